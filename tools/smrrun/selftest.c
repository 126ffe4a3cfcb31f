#include "config.h"

#include "smrrun/selftest.h"

#include <dlfcn.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/env.h"
#include "base/text.h"
#include "host/affinity.h"
#include "host/futex.h"
#include "host/kernel_file.h"
#include "host/limits.h"
#include "host/pages.h"
#include "host/peer_memory.h"
#include "host/process.h"
#include "memory/segment.h"
#include "sharedmem.h"

/* What a command line says that is one of our own ranks. No option begins like that. */
#define RANK_WORD "selftest-rank"

#define MS 1000000u

/* What ranks share in the small job. */
#define SHARED_BYTES ((size_t)1 << 20)

/* Files that a job needs for each rank, and besides. */
#define FILES_OF_RANK 4
#define FILES_BESIDES 32

enum level { OK, NOTE, FAIL };

struct report {
    FILE *out;
    const char *root;
    const struct launch *launch;
    int n_failed;
};

__attribute__((format(printf, 4, 5))) static void say(struct report *report, enum level level,
                                                      const char *what, const char *format, ...)
{
    static const char *const names[] = {"ok", "note", "FAIL"};
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_one_line(text);
    fprintf(report->out, "%-4s  %-10s  %s\n", names[level], what, text);
    report->n_failed += level == FAIL;
}

static const char *plural(long long n)
{
    return n == 1 ? "" : "s";
}

/* ---- Versions, processors ---- */

static void say_versions(struct report *report)
{
    struct utsname system = {.release = "?", .machine = "?"};
    char topology[32];

    uname(&system);
    topology_version(topology, sizeof topology);
    say(report, OK, "versions", "smrrun %s, shared memory layout %u, %s, glibc %s, Linux %s %s",
        sharedmem_version(), SEGMENT_LAYOUT, topology, gnu_get_libc_version(), system.release,
        system.machine);
}

static int count_packages(const struct topology *topology)
{
    int n = 0;

    for (int i = 0; i < topology->n_pus; i++) {
        if (topology->pus[i].package >= n)
            n = topology->pus[i].package + 1;
    }
    return n;
}

static void say_processors(struct report *report)
{
    const struct topology *topology = report->launch->topology;
    const struct plan *plan = &report->launch->plan;

    if (topology == NULL) {
        say(report, NOTE, "processors",
            "packages and cores are not known, and nobody is bound; install hwloc");
        return;
    }
    say(report, OK, "processors",
        "%d package%s, %d NUMA node%s, %d core%s, %d hardware thread%s may be used%s",
        count_packages(topology), plural(count_packages(topology)), topology->n_nodes,
        plural(topology->n_nodes), topology->n_cores, plural(topology->n_cores), topology->n_pus,
        plural(topology->n_pus),
        topology->is_this_machine ? "" : "; they are not this machine's (HWLOC_XMLFILE or HWLOC_SYNTHETIC)");
    say(report, plan->warning[0] != '\0' ? NOTE : OK, "ranks", "%d (from %s)%s, %s%s%s%s", plan->n_ranks,
        plan->source, plan->is_default ? " unless -n says otherwise" : "",
        plan->binding != NULL ? "bound to equal shares of cores" : "not bound",
        plan->unbound[0] != '\0' ? ": " : "", plan->unbound, "");
    if (plan->warning[0] != '\0')
        say(report, NOTE, "threads", "%s", plan->warning);
}

static void say_affinity(struct report *report)
{
    long n_online = sysconf(_SC_NPROCESSORS_ONLN);
    struct text_ranges cpus;
    size_t bytes;
    cpu_set_t *mask = affinity_read(&bytes);

    if (mask == NULL) {
        say(report, NOTE, "affinity", "not known: %s", strerror(errno));
        return;
    }
    text_ranges_begin(&cpus);
    for (size_t cpu = 0; cpu < bytes * CHAR_BIT; cpu++) {
        if (CPU_ISSET_S(cpu, bytes, mask))
            text_ranges_add(&cpus, (unsigned)cpu);
    }
    if ((long)cpus.n < n_online)
        say(report, NOTE, "affinity",
            "cpus %s of %ld that are online: taskset, a cpuset or a batch system keeps the rest", cpus.text,
            n_online);
    else
        say(report, OK, "affinity", "cpus %s: all that are online", cpus.text);
    CPU_FREE(mask);
}

static void say_quota(struct report *report)
{
    int quota = limits_cpu_quota(report->root);
    const struct topology *topology = report->launch->topology;

    if (quota == 0)
        say(report, OK, "quota", "the cgroup limits no processor time");
    else
        say(report, topology != NULL && quota < topology->n_cores ? NOTE : OK, "quota",
            "the cgroup grants the time of %d processor%s: ranks are counted by it, and more of them take "
            "turns",
            quota, plural(quota));
}

static void say_batch(struct report *report)
{
    const struct batch *batch = &report->launch->batch;
    char cores[64] = "";

    if (batch->system == NULL) {
        say(report, OK, "batch", "this is no job of a batch system");
        return;
    }
    if (batch->n_cores > 0)
        snprintf(cores, sizeof cores, ", %d core%s", batch->n_cores, plural(batch->n_cores));
    if (batch->n_ranks > 0)
        say(report, OK, "batch", "a job of %s: %d rank%s by %s%s", batch->system, batch->n_ranks,
            plural(batch->n_ranks), batch->source, cores);
    else
        say(report, OK, "batch", "a job of %s, which does not say how many ranks%s", batch->system, cores);
    if (batch->n_nodes > 1)
        say(report, NOTE, "batch", "the job has %d nodes, and smrrun uses this one; start it once on each",
            batch->n_nodes);
    if (batch->warning[0] != '\0')
        say(report, NOTE, "batch", "%s", batch->warning);
}

/* ---- Memory ---- */

static void say_memory(struct report *report)
{
    char total[TEXT_BYTES_SIZE], available[TEXT_BYTES_SIZE];
    struct limits_memory memory;

    limits_memory_read(report->root, &memory);
    if (memory.total == 0)
        say(report, NOTE, "memory", "nothing tells how much there is; 1 GiB is taken, --heap says otherwise");
    else
        say(report, memory.available < SEGMENT_MIN_BYTES ? NOTE : OK, "memory",
            "%s (%s), of which %s (%s) are unused; more than that is refused, with a line that says so",
            text_bytes(total, memory.total), memory.total_source, text_bytes(available, memory.available),
            memory.available_source);
}

/* A limit that halves what shared memory may have: its pages are mapped, and lie in what counts as a file. */
static void say_halving(struct report *report, const char *what, const char *option, uint64_t limit)
{
    char size[TEXT_BYTES_SIZE];

    if (limit == LIMITS_NONE)
        say(report, OK, what, "unlimited (%s)", option);
    else if (limit / 2 < SEGMENT_MIN_BYTES)
        say(report, FAIL, what, "%s (%s): shared memory needs more; raise %s", text_bytes(size, limit),
            option, option);
    else
        say(report, NOTE, what, "%s (%s): shared memory has half of it at most; raise %s for more",
            text_bytes(size, limit), option, option);
}

static void say_huge_pages(struct report *report)
{
    const char *setting = pages_huge_setting(report->root);

    if (pages_huge_is_allowed(setting))
        say(report, OK, "huge pages", "shared memory gets them (shmem_enabled is %s)", setting);
    else
        say(report, NOTE, "huge pages",
            "not for shared memory (shmem_enabled is %s): first touch costs more; ask the administrator for "
            "advise",
            setting[0] != '\0' ? setting : "not there");
}

static void say_memfd(struct report *report)
{
    int fd;

    /* A signal would end this process. What is wrong has been said. */
    if (limits_file_size() < SEGMENT_MIN_BYTES)
        return;
    fd = pages_create(PAGES_HUGE_BYTES, "", 1);
    if (fd >= 0)
        say(report, OK, "memfd",
            "shared memory without a name: nothing in /dev/shm or /tmp, and nothing left behind");
    else
        say(report, FAIL, "memfd",
            "no shared memory: %s; a sandbox may forbid memfd_create(2), or Linux is older than 3.17",
            strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* ---- Limits ---- */

static void say_processes(struct report *report)
{
    int n = report->launch->plan.n_ranks;
    uint64_t room = limits_processes(report->root, (uint64_t)n + 1);

    if (room == LIMITS_NONE)
        say(report, OK, "processes", "no limit is near (ulimit -u, the cgroup's pids.max)");
    else
        say(report, room > (uint64_t)n ? OK : FAIL, "processes",
            "%llu more may be started (ulimit -u, the cgroup's pids.max)%s", (unsigned long long)room,
            room > (uint64_t)n ? "" : ": raise that, or give a smaller -n");
}

static void say_files(struct report *report)
{
    uint64_t hard = limits_resource(RLIMIT_NOFILE, true), room = OPTIONS_MAX_RANKS;
    int n = report->launch->plan.n_ranks;

    if (hard != LIMITS_NONE && hard < FILES_BESIDES + FILES_OF_RANK * room)
        room = hard > FILES_BESIDES ? (hard - FILES_BESIDES) / FILES_OF_RANK : 0;
    if (room >= (uint64_t)n)
        say(report, OK, "files", "enough for %llu rank%s (ulimit -Hn)", (unsigned long long)room,
            plural((long long)room));
    else
        say(report, FAIL, "files",
            "%llu (ulimit -Hn): not enough for %d rank%s; raise it, or give a smaller -n",
            (unsigned long long)hard, n, plural(n));
}

static void say_core(struct report *report)
{
    uint64_t soft = limits_resource(RLIMIT_CORE, false);
    char size[TEXT_BYTES_SIZE];

    if (soft == 0)
        say(report, OK, "core files", "none (ulimit -c): of a crash there is the traceback alone");
    else
        say(report, OK, "core files", "%s%s (ulimit -c), without the shared memory",
            soft == LIMITS_NONE ? "of any size" : "up to ",
            soft == LIMITS_NONE ? "" : text_bytes(size, soft));
}

static void say_locked(struct report *report)
{
    uint64_t soft = limits_resource(RLIMIT_MEMLOCK, false);
    char size[TEXT_BYTES_SIZE];

    say(report, OK, "locked", "%s (ulimit -l): no memory is locked, and none need be",
        soft == LIMITS_NONE ? "unlimited" : text_bytes(size, soft));
}

/* ---- What the kernel lets us do ---- */

static void say_futex(struct report *report)
{
    _Atomic uint32_t word = 1;

    /* Of another value it does not sleep; else for a millisecond, as nobody wakes it. */
    if (futex_wait(&word, 2, 1000 * MS) && !futex_wait(&word, 1, MS))
        say(report, OK, "futex", "who waits long sleeps, and is woken");
    else
        say(report, FAIL, "futex",
            "sleeping on a word of memory does not work; a sandbox may forbid futex(2)");
}

static void say_pidfd(struct report *report)
{
    if (process_has_pidfd())
        say(report, OK, "pidfd", "the end of a rank is seen at once");
    else
        say(report, NOTE, "pidfd",
            "not there: the end of a rank is seen after up to 20 ms; a sandbox forbids it, or Linux is older "
            "than 5.3");
}

static void say_proc(struct report *report)
{
    if (access("/proc/self/fd", R_OK | X_OK) == 0)
        say(report, OK, "/proc", "is there");
    else
        say(report, NOTE, "/proc",
            "cannot be read (%s): limits and tracebacks are not known, nor ranks that wrappers start; mount "
            "it",
            strerror(errno));
}

/* The library loads it in a child only; this process is about to end. */
static void say_debug_info(struct report *report)
{
    void *library = NULL;

#ifdef HAVE_DWFL
    library = dlopen("libdw.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (library == NULL)
        say(report, NOTE, "tracebacks",
            "without file and line: libdw.so.1 is not there; install elfutils' libdw");
    else
        say(report, OK, "tracebacks", "with file and line, where programs have them (cc -g)");
#else
    say(report, NOTE, "tracebacks", "without file and line: this was built without elfutils");
#endif
    if (library != NULL)
        dlclose(library);
}

int selftest_report(FILE *out, const char *root, const struct launch *launch)
{
    struct report report = {.out = out, .root = root, .launch = launch};

    say_versions(&report);
    say_processors(&report);
    say_affinity(&report);
    say_quota(&report);
    say_batch(&report);
    say_memory(&report);
    say_halving(&report, "addresses", "ulimit -v", limits_address_space());
    say_halving(&report, "file size", "ulimit -f", limits_file_size());
    say_memfd(&report);
    say_huge_pages(&report);
    say_processes(&report);
    say_files(&report);
    say_core(&report);
    say_locked(&report);
    say_futex(&report);
    say_pidfd(&report);
    say_proc(&report);
    say_debug_info(&report);
    return report.n_failed;
}

/* ---- The job ---- */

char **selftest_command(void)
{
    static char own[] = "/proc/self/exe", word[] = RANK_WORD;
    static char *command[] = {own, word, NULL};
    char *called = (char *)getauxval(AT_EXECFN);

    /* The kernel keeps by what path this program was started. */
    if (access(own, X_OK) != 0 && called != NULL)
        command[0] = called;
    return command;
}

bool selftest_is_rank(int argc, char **argv)
{
    return argc == 2 && strcmp(argv[1], RANK_WORD) == 0 && env_text(ENV_JOB) != NULL;
}

static const char *size_reason(void)
{
    switch ((enum segment_by)segment_header()->size_by) {
    case SEGMENT_BY_MEMORY:
        return "as much as there is; --heap says otherwise";
    case SEGMENT_BY_HEAP:
        return "as SHAREDMEM_HEAP says";
    case SEGMENT_BY_OPTION:
        return "as --heap says";
    case SEGMENT_BY_ADDRESS_SPACE:
        return "half of what ulimit -v allows; --heap says otherwise";
    case SEGMENT_BY_FILE_SIZE:
        return "half of what ulimit -f allows; --heap says otherwise";
    default:
        return "the system refused more";
    }
}

int selftest_job(FILE *out, int n_ranks, int status, double seconds)
{
    struct report report = {.out = out};
    char size[TEXT_BYTES_SIZE];

    if (segment_base != NULL)
        say(&report, OK, "heap", "up to %s: %s", text_bytes(size, segment_header()->size), size_reason());
    if (status == 0)
        say(&report, OK, "job", "%d rank%s met, shared memory and ended: %.1f ms", n_ranks, plural(n_ranks),
            seconds * 1e3);
    else
        say(&report, FAIL, "job", "a small job of %d rank%s ended with status %d; what is said above is why",
            n_ranks, plural(n_ranks), status);
    return report.n_failed;
}

/* Rank 1 reads from rank 0 what only that has, as a message of more than 64 KiB is read. */
static bool reads_peer(int rank)
{
    struct {
        struct peer_shared peer;
        uint64_t address;
    } told = {.address = 0};
    uint64_t own = 4711, got = 0;
    bool is_read = false;

    if (rank == 0) {
        peer_memory_tell(&told.peer);
        told.address = (uintptr_t)&own;
    }
    sharedmem_bcast(&told, sizeof told, 0);
    if (rank == 1)
        is_read = peer_memory_read(&told.peer, told.address, &got, sizeof got) && got == own;
    /* It is there until all have answered. */
    return sharedmem_all_int64(is_read, SHAREDMEM_SUM) == 1;
}

static void say_messages(struct report *report, bool are_direct, int n_ranks)
{
    uint64_t scope = 0;
    char why[96] = "a container or sandbox forbids it";

    if (kernel_file_number("/proc/sys/kernel/yama/ptrace_scope", &scope) == 0 && scope > 0)
        snprintf(why, sizeof why, "Yama's kernel.yama.ptrace_scope is %llu, and would have to be 0",
                 (unsigned long long)scope);
    if (n_ranks < 2)
        say(report, OK, "messages", "one rank sends none");
    else if (are_direct)
        say(report, OK, "messages", "those of more than 64 KiB are copied once (process_vm_readv)");
    else
        say(report, NOTE, "messages",
            "those of more than 64 KiB are copied twice: process_vm_readv is refused; %s", why);
}

int selftest_rank(void)
{
    int rank = sharedmem_rank(), n_ranks = sharedmem_size();
    struct report report = {.out = stdout};
    unsigned char *shared = NULL;
    bool are_direct, is_good;

    if (rank == 0)
        shared = sharedmem_calloc(SHARED_BYTES, 1);
    sharedmem_bcast(&shared, sizeof shared, 0);
    if (shared != NULL)
        shared[rank] = 1;
    sharedmem_barrier();
    is_good = shared != NULL && shared[n_ranks - 1 - rank] == 1;
    are_direct = reads_peer(rank);
    if (rank == 0) {
        sharedmem_free(shared);
        say_messages(&report, are_direct, n_ranks);
    }
    return is_good ? 0 : 1;
}
