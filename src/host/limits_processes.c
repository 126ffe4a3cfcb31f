#include "base/bits.h"
#include "host/limits.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "host/cgroup.h"
#include "host/kernel_file.h"

/* Whoever has one of these may start more processes than RLIMIT_NPROC says, and so may root. */
#define CAP_SYS_ADMIN_BIT    21
#define CAP_SYS_RESOURCE_BIT 24

/* What the pids controllers above this process have left. */
static uint64_t room_in_cgroups(const char *root, const char *controller)
{
    uint64_t room = LIMITS_NONE;
    struct cgroup cgroup;

    for (bool is = cgroup_find(root, controller, &cgroup); is; is = cgroup_up(&cgroup)) {
        char path[PATH_MAX];
        uint64_t limit, used;

        /* "max" is no number. */
        if (cgroup_file(&cgroup, "pids.max", path) && kernel_file_number(path, &limit) == 0 &&
            cgroup_file(&cgroup, "pids.current", path) && kernel_file_number(path, &used) == 0)
            room = bits_smaller(room, bits_difference(limit, used));
    }
    return room;
}

/* A field of /proc/pid/status, its number read in base; or otherwise. */
static uint64_t status_field(const char *pid, const char *key, int base, uint64_t otherwise)
{
    size_t length = strlen(key);
    uint64_t value = otherwise;
    char path[64], line[256];
    FILE *file;

    if (snprintf(path, sizeof path, "/proc/%.20s/status", pid) >= (int)sizeof path)
        return otherwise;
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, length) == 0 && line[length] == ':') {
            value = strtoull(line + length + 1, NULL, base);
            break;
        }
    }
    if (file != NULL)
        fclose(file);
    return value;
}

static bool is_exempt(void)
{
    uint64_t capabilities;

    if (getuid() == 0)
        return true;
    capabilities = status_field("self", "CapEff", 16, 0);
    return (capabilities >> CAP_SYS_ADMIN_BIT & 1) != 0 || (capabilities >> CAP_SYS_RESOURCE_BIT & 1) != 0;
}

/* All threads of this machine, by the "running/all" of /proc/loadavg; LIMITS_NONE: not known. */
static uint64_t all_threads(void)
{
    char line[128];
    const char *slash;

    if (kernel_file_line("/proc/loadavg", line, sizeof line) != 0 || (slash = strchr(line, '/')) == NULL)
        return LIMITS_NONE;
    return strtoull(slash + 1, NULL, 10);
}

/* The threads of this user, which is what the limit counts. */
static uint64_t threads_of_user(void)
{
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    uint64_t n = 0;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0]) &&
            status_field(entry->d_name, "Uid", 10, UINT64_MAX) == (uint64_t)getuid())
            n += status_field(entry->d_name, "Threads", 10, 1);
    }
    if (folder != NULL)
        closedir(folder);
    return n;
}

/* What RLIMIT_NPROC leaves. */
static uint64_t room_of_user(uint64_t wanted)
{
    struct rlimit limit;
    uint64_t all;

    if (getrlimit(RLIMIT_NPROC, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || is_exempt())
        return LIMITS_NONE;
    all = all_threads();
    /* Mostly there is room even if all were this user's: nobody has to be counted. */
    if (all != LIMITS_NONE && bits_difference(limit.rlim_cur, all) >= wanted)
        return LIMITS_NONE;
    return bits_difference(limit.rlim_cur, threads_of_user());
}

uint64_t limits_processes(const char *root, uint64_t wanted)
{
    uint64_t room = bits_smaller(room_in_cgroups(root, "pids"), room_in_cgroups(root, NULL));

    return bits_smaller(room, room_of_user(wanted));
}
