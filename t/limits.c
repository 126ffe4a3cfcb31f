/* Memory limits and cpu quotas, on machines recorded in t/machines. */
#include "host/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/cgroup.h"
#include "host/kernel_file.h"
#include "sharedmem.h"
#include "tap.h"

#define MiB    (UINT64_C(1) << 20)
#define CGROUP "/sys/fs/cgroup"

static const struct {
    const char *machine;
    uint64_t total;
    const char *total_source;
    uint64_t available;
    const char *available_source;
    int quota;
} machines[] = {
    /* The job's limit is the smallest, but its slice has less left; page cache counts as free. */
    {"v2-nested", 4096 * MiB, CGROUP "/batch.slice/job-7.scope/memory.max", 1024 * MiB,
     CGROUP "/batch.slice/memory.max", 3},
    /*
     * The mount point has a blank in it; more is used than the limit allows; half a processor counts as one.
     */
    {"v2-blank", 1024 * MiB, CGROUP " v2/job/memory.max", 0, CGROUP " v2/job/memory.max", 1},
    /* The process was moved out of its namespace: only the namespace's top is known to be above it. */
    {"v2-outside", 2048 * MiB, CGROUP "/memory.max", 1536 * MiB, CGROUP "/memory.max", 2},
    {"v1-torque", 2048 * MiB, CGROUP "/memory/torque/3.head/memory.limit_in_bytes", 768 * MiB,
     CGROUP "/memory/torque/3.head/memory.limit_in_bytes", 2},
    /* "No limit" of version 1, and one that is more than the machine has. */
    {"v1-unlimited", 4096 * MiB, "machine", 1024 * MiB, "machine", 0},
    /* A container sees its own part of the hierarchy, and its paths as they are outside. */
    {"v1-container", 768 * MiB, CGROUP "/memory/child/memory.limit_in_bytes", 768 * MiB,
     CGROUP "/memory/child/memory.limit_in_bytes", 4},
    /* Here its path is not below what is mounted, though it begins alike. And there is no meminfo. */
    {"v1-outside", 1024 * MiB, CGROUP "/memory/memory.limit_in_bytes", 768 * MiB,
     CGROUP "/memory/memory.limit_in_bytes", 3},
    {"broken", 0, "machine", 0, "machine", 0},
    {"no-such-machine", 0, "machine", 0, "machine", 0},
};

static const char *machine_root(const char *machine)
{
    static char root[4096];
    const char *srcdir = getenv("srcdir");

    snprintf(root, sizeof root, "%s/t/machines/%s", srcdir != NULL ? srcdir : ".", machine);
    return root;
}

static void test_machines(void)
{
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        const char *machine = machines[i].machine;
        struct limits_memory memory;

        limits_memory_read(machine_root(machine), &memory);
        test_int((long long)machines[i].total, (long long)memory.total, "%s: total", machine);
        test_str(machines[i].total_source, memory.total_source, "%s: the source of total", machine);
        test_int((long long)machines[i].available, (long long)memory.available, "%s: available", machine);
        test_str(machines[i].available_source, memory.available_source, "%s: the source of available",
                 machine);
        test_int(machines[i].quota, limits_cpu_quota(machine_root(machine)), "%s: cpu quota", machine);
    }
}

/* How many were killed: in the process's own cgroup, of either version, or on a machine whose cgroups don't tell. */
static void test_oom_kills(void)
{
    static const struct {
        const char *machine;
        long long kills;
    } cases[] = {
        {"v1-torque", 2}, {"v2-nested", 3}, {"v1-unlimited", 5}, {"broken", 0}, {"no-such-machine", 0}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        test_int(cases[i].kills, (long long)limits_oom_kills(machine_root(cases[i].machine)),
                 "%s: processes killed for want of memory", cases[i].machine);
}

/* The tightest of the cgroups above a process; the machine's own limits are this test's, which wants few. */
static void test_processes(void)
{
    test_int(25, (long long)limits_processes(machine_root("v2-nested"), 1),
             "what a slice has left counts, not the job's 40");
    test_int(-1, (long long)limits_processes(machine_root("no-such-machine"), 1), "no limit is near");
}

static void test_walk(void)
{
    static const char *const below[] = {"/batch.slice/job-7.scope/step", "/batch.slice/job-7.scope",
                                        "/batch.slice", ""};
    struct cgroup cgroup;
    size_t level = 0;

    for (bool is = cgroup_find(machine_root("v2-nested"), NULL, &cgroup); is && level < 4;
         is = cgroup_up(&cgroup)) {
        test_str(below[level], cgroup.path + cgroup.top, "level %zu of the walk", level);
        level++;
    }
    test_int(4, (long long)level, "the walk visits each level");
    test_ok(!cgroup_up(&cgroup), "the walk ends at the mount point");
    test_ok(!cgroup_find(machine_root("v2-nested"), "memory", &cgroup), "no version 1 on this machine");
    test_ok(cgroup_find(machine_root("v1-torque"), "cpuacct", &cgroup),
            "the second of two controllers is found");
    test_ok(!cgroup_find(machine_root("v1-torque"), "cpua", &cgroup), "a part of a controller's name is not");
}

static void test_kernel_files(void)
{
    char path[4096], line[16];
    uint64_t number = 7;

    snprintf(path, sizeof path, "%s/proc/meminfo", machine_root("v2-nested"));
    test_int(0, kernel_file_field(path, "MemTotal", &number), "a field in kB is read");
    test_int((long long)(16384 * MiB), (long long)number, "its value in bytes");
    test_int(-1, kernel_file_field(path, "Mem", &number), "a part of a key is no key");
    test_int(-1, kernel_file_line(path, line, sizeof line), "a line that does not fit is refused");
    test_int(-1, kernel_file_number(path, &number), "text is no number");
    test_int((long long)(16384 * MiB), (long long)number, "failures leave the value");
    test_int(-1, kernel_file_number("/no/such/file", &number), "an absent file is no number");
    test_int(-1, kernel_file_number("/dev/null", &number), "an empty file is no number");
}

/* Returns the low byte of what went wrong, 0: nothing. */
static int check_narrowed_limits(void)
{
    struct rlimit as = {UINT64_C(64) << 30, RLIM_INFINITY}, fsize = {12345, RLIM_INFINITY};

    if (setrlimit(RLIMIT_AS, &as) != 0 || setrlimit(RLIMIT_FSIZE, &fsize) != 0)
        return 1;
    if (limits_address_space() != UINT64_C(64) << 30)
        return 2;
    return limits_file_size() == 12345 ? 0 : 3;
}

static void test_resource_limits(void)
{
    struct rlimit limit;
    pid_t child;
    int status;

    getrlimit(RLIMIT_FSIZE, &limit);
    test_ok(limits_file_size() == (limit.rlim_cur == RLIM_INFINITY ? LIMITS_NONE : limit.rlim_cur),
            "the file size limit is the process's");
    if (test_address_sanitized() || test_thread_sanitized() || test_under_valgrind()) {
        test_skip("the address space is the tool's");
        return;
    }
    fflush(NULL);
    child = fork();
    if (child == 0)
        test_child_exit(check_narrowed_limits());
    waitpid(child, &status, 0);
    test_int(0, status, "limits set by setrlimit are seen");
}

static void test_this_machine(void)
{
    uint64_t total = sharedmem_total_memory(), available = sharedmem_available_memory();
    struct limits_memory memory;
    int fds = test_fds();

    limits_memory_read("", &memory);
    test_ok(total > 16 * MiB, "this machine has memory");
    test_ok(available > 0 && available <= total, "some of it is available");
    test_ok(limits_cpu_quota("") >= 0, "its quota can be read");
    test_int(fds, test_fds(), "no file is left open");
    test_note("total %" PRIu64 " MiB by %s, available %" PRIu64 " MiB by %s, quota %d", memory.total / MiB,
              memory.total_source, memory.available / MiB, memory.available_source, limits_cpu_quota(""));
}

int main(void)
{
    test_begin(60);
    test_machines();
    test_oom_kills();
    test_walk();
    test_processes();
    test_kernel_files();
    test_resource_limits();
    test_this_machine();
    return test_end();
}
