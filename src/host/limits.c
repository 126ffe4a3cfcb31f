#include "host/limits.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

#include "base/parse.h"
#include "host/cgroup.h"
#include "host/kernel_file.h"

/* Processors' worth of time by one cgroup, rounded down, at least 1; INT_MAX where it has no quota. */
typedef int quota_reader(const struct cgroup *cgroup);

static int whole_processors(uint64_t quota, uint64_t period)
{
    uint64_t processors;

    if (period == 0)
        return INT_MAX;
    processors = quota / period;
    if (processors >= INT_MAX)
        return INT_MAX;
    return processors < 1 ? 1 : (int)processors;
}

static int quota_version_1(const struct cgroup *cgroup)
{
    char path[PATH_MAX];
    uint64_t quota, period;

    if (!cgroup_file(cgroup, "cpu.cfs_quota_us", path) || kernel_file_number(path, &quota) != 0)
        return INT_MAX;
    if (!cgroup_file(cgroup, "cpu.cfs_period_us", path) || kernel_file_number(path, &period) != 0)
        return INT_MAX;
    return whole_processors(quota, period);
}

/* cpu.max is "150000 100000", quota and period, or "max 100000". */
static int quota_version_2(const struct cgroup *cgroup)
{
    char path[PATH_MAX], line[64];
    char *blank;
    long quota, period;

    if (!cgroup_file(cgroup, "cpu.max", path) || kernel_file_line(path, line, sizeof line) != 0)
        return INT_MAX;
    blank = strchr(line, ' ');
    if (blank == NULL)
        return INT_MAX;
    *blank = '\0';
    if (parse_int(line, 0, LONG_MAX, &quota) != 0 || parse_int(blank + 1, 0, LONG_MAX, &period) != 0)
        return INT_MAX;
    return whole_processors((uint64_t)quota, (uint64_t)period);
}

static int smallest_quota(const char *root, const char *controller, quota_reader *read_quota)
{
    struct cgroup cgroup;
    int smallest = INT_MAX;

    for (bool is = cgroup_find(root, controller, &cgroup); is; is = cgroup_up(&cgroup)) {
        int quota = read_quota(&cgroup);

        if (quota < smallest)
            smallest = quota;
    }
    return smallest;
}

int limits_cpu_quota(const char *root)
{
    int by_version_1 = smallest_quota(root, "cpu", quota_version_1);
    int by_version_2 = smallest_quota(root, NULL, quota_version_2);
    int smallest = by_version_1 < by_version_2 ? by_version_1 : by_version_2;

    return smallest == INT_MAX ? 0 : smallest;
}

uint64_t limits_resource(int resource, bool is_hard)
{
    struct rlimit limit;
    rlim_t value;

    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0)
        return LIMITS_NONE;
    value = is_hard ? limit.rlim_max : limit.rlim_cur;
    return value != RLIM_INFINITY ? value : LIMITS_NONE;
}

uint64_t limits_address_space(void)
{
    return limits_resource(RLIMIT_AS, false);
}

uint64_t limits_file_size(void)
{
    return limits_resource(RLIMIT_FSIZE, false);
}
