/*
 * What smrrun --selftest says of machines and jobs that nobody here has, of limits, and where the kernel refuses
 * what a job needs. The command as a whole is in smrrun-debug.t, too.
 */
#include "smrrun/selftest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "in_child.h"
#include "tap.h"

static char text[16384];

static const char *machine_root(const char *machine)
{
    static char root[4096];
    const char *srcdir = getenv("srcdir");

    snprintf(root, sizeof root, "%s/t/machines/%s", srcdir != NULL ? srcdir : ".", machine);
    return machine[0] != '\0' ? root : "";
}

/* Fills text with the report. Returns how many lines say FAIL, as they themselves say it. */
static int report(const char *machine, const struct launch *launch)
{
    FILE *out = fmemopen(text, sizeof text, "w");
    int n_failed = selftest_report(out, machine_root(machine), launch), n_said = 0;

    fclose(out);
    for (const char *at = text; (at = strstr(at, "\nFAIL  ")) != NULL; at++)
        n_said++;
    test_int(n_said, n_failed, "\"%s\": as many have failed as the lines say", machine);
    return n_failed;
}

/* Whether a line begins with this. */
static bool says(const char *line)
{
    char found[512];

    snprintf(found, sizeof found, "\n%s", line);
    return strstr(text, found) != NULL;
}

/* ---- Machines and jobs ---- */

static const struct {
    const char *machine;
    const char *topology; /* hwloc's description; NULL: not known */
    struct batch batch;
    struct plan plan;
    const char *lines[4];
    int n_failed;
} cases[] = {
    {"v2-nested", "package:2 numa:2 core:4 pu:2",
     .plan = {.n_ranks = 16, .is_default = true, .source = "16 cores"},
     .lines = {"ok    processors  2 packages, 4 NUMA nodes, 16 cores, 32 hardware threads may be used; they "
               "are not",
               "ok    ranks       16 (from 16 cores) unless -n says otherwise, not bound\n",
               "note  quota       the cgroup grants the time of 3 processors: ranks are counted by it",
               "ok    processes   25 more may be started"}},
    {"v2-nested", "core:2", .plan = {.n_ranks = 64, .source = "-n", .warning = "too many"},
     .lines =
         {"FAIL  processes   25 more may be started (ulimit -u, the cgroup's pids.max): raise that, or give",
          "note  ranks       64 (from -n), not bound\n", "note  threads     too many\n",
          "ok    quota       the cgroup grants the time of 3 processors"},
     .n_failed = 1},
    {"v1-torque", "core:4",
     .batch =
         {.system = "Torque", .n_ranks = 2, .n_cores = 2, .n_nodes = 3, .source = "PBS_NP", .warning = "odd"},
     .plan = {.n_ranks = 2, .source = "PBS_NP of Torque", .unbound = "others"},
     .lines = {"ok    batch       a job of Torque: 2 ranks by PBS_NP, 2 cores\n",
               "note  batch       the job has 3 nodes, and smrrun uses this one", "note  batch       odd\n",
               "ok    ranks       2 (from PBS_NP of Torque), not bound: others\n"}},
    {"v1-torque", "core:4", .batch = {.system = "Slurm", .n_nodes = 1}, .plan = {.n_ranks = 1},
     .lines = {"ok    batch       a job of Slurm, which does not say how many ranks\n",
               "ok    memory      2.0 GiB (/sys/fs/cgroup/memory/torque/3.head/memory.limit_in_bytes), of "
               "which "}},
    {"no-such-machine", NULL, .plan = {.n_ranks = 1},
     .lines = {"note  processors  packages and cores are not known, and nobody is bound; install hwloc\n",
               "ok    quota       the cgroup limits no processor time\n",
               "note  memory      nothing tells how much there is; 1 GiB is taken, --heap says otherwise\n",
               "note  huge pages  not for shared memory (shmem_enabled is not there)"}},
    {"huge-advise", "core:1", .plan = {.n_ranks = 1},
     .lines = {"ok    huge pages  shared memory gets them (shmem_enabled is advise)\n",
               "ok    batch       this is no job of a batch system\n", "ok    ranks       1 (from )",
               "ok    processors  1 package, 1 NUMA node, 1 core, 1 hardware thread may be used"}},
    {"huge-never", "core:1", .plan = {.n_ranks = 1},
     .lines = {"note  huge pages  not for shared memory (shmem_enabled is never): first touch costs more"}},
};

static void test_case(size_t i)
{
    struct launch launch = {.batch = cases[i].batch, .plan = cases[i].plan};
    sharedmem_error error;

    if (cases[i].topology != NULL) {
        launch.topology = topology_load_synthetic(cases[i].topology, &error);
        if (launch.topology == NULL) {
            test_skip("hwloc cannot be loaded here: %s", error.message);
            return;
        }
    }
    test_int(cases[i].n_failed, report(cases[i].machine, &launch), "%s: failures", cases[i].machine);
    test_ok(strncmp(text, "ok    versions    smrrun ", 24) == 0, "%s: versions are first", cases[i].machine);
    for (size_t line = 0; line < COUNT_OF(cases[i].lines) && cases[i].lines[line] != NULL; line++) {
        if (!test_ok(says(cases[i].lines[line]), "%s: %s", cases[i].machine, cases[i].lines[line]))
            fprintf(stderr, "# in: %s", text);
    }
    topology_destroy(launch.topology);
}

/* ---- Limits and refusals, each in a child ---- */

static const struct launch small = {.plan = {.n_ranks = 4}};

static bool limit(int resource, rlim_t value)
{
    struct rlimit both = {value, value};

    return setrlimit((__rlimit_resource_t)resource, &both) == 0;
}

static bool few_files(void)
{
    return limit(RLIMIT_NOFILE, 40);
}

static void see_few_files(void)
{
    held(report("", &small) == 1);
    held(says("FAIL  files       40 (ulimit -Hn): not enough for 4 ranks; raise it, or give a smaller -n\n"));
}

static bool other_limits(void)
{
    return limit(RLIMIT_NOFILE, 64) && limit(RLIMIT_FSIZE, (rlim_t)1 << 30) && limit(RLIMIT_CORE, 4096);
}

static void see_other_limits(void)
{
    held(report("", &small) == 0);
    held(says("ok    files       enough for 8 ranks (ulimit -Hn)\n"));
    held(says("note  file size   1.0 GiB (ulimit -f): shared memory has half of it at most; raise ulimit -f "
              "for more\n"));
    held(says("ok    core files  up to 4.0 KiB (ulimit -c), without the shared memory\n"));
}

static bool small_files(void)
{
    return limit(RLIMIT_FSIZE, 4096) && limit(RLIMIT_CORE, 0);
}

static void see_small_files(void)
{
    held(report("", &small) >= 1);
    held(says("FAIL  file size   4.0 KiB (ulimit -f): shared memory needs more; raise ulimit -f\n"));
    held(says("ok    core files  none (ulimit -c): of a crash there is the traceback alone\n"));
}

static bool refuse_memfd(void)
{
    return refuse_syscall(SYS_memfd_create, ENOSYS);
}

static void see_no_memfd(void)
{
    held(report("", &small) == 1);
    held(says("FAIL  memfd       no shared memory: Function not implemented; a sandbox may forbid "
              "memfd_create(2)"));
}

static bool refuse_pidfd_here(void)
{
    return refuse_syscall(SYS_pidfd_open, EPERM);
}

static void see_no_pidfd(void)
{
    held(report("", &small) == 0);
    held(says("note  pidfd       not there: the end of a rank is seen after up to 20 ms"));
}

/* ---- The whole command ---- */

/* Runs it in the same child, with its report into text. Returns its exit status. */
static int run_command(void)
{
    struct process process;
    struct process_end end;
    int ends[2];
    size_t n = 0;
    ssize_t got;
    const char *what, *arguments[] = {"./smrrun", "--selftest", "-n", "2", NULL};
    struct process_spec spec = {.path = "./smrrun",
                                .argv = (char *const *)(uintptr_t)arguments,
                                .envp = environ,
                                .stdio = {-1, -1, -1},
                                .keep_fd = -1};

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    spec.stdio[1] = ends[1];
    if (process_spawn(&process, &spec, &what) != 0)
        return -1;
    close(ends[1]);
    while (n < sizeof text - 1 && (got = read(ends[0], text + n, sizeof text - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    close(ends[0]);
    await_end(&process, &end);
    return end.code;
}

static void see_all(void)
{
    held(run_command() == 0);
    held(says("ok    messages    those of more than 64 KiB are copied once (process_vm_readv)\n"));
    held(says("ok    heap        up to "));
    held(says("ok    job         2 ranks met, shared memory and ended: "));
}

static bool refuse_peers(void)
{
    return refuse_syscall(SYS_process_vm_readv, EPERM);
}

static void see_no_peers(void)
{
    held(run_command() == 0);
    held(says("note  messages    those of more than 64 KiB are copied twice: process_vm_readv is refused; "));
    held(says("ok    job         2 ranks met"));
}

static void see_no_job(void)
{
    held(run_command() == 1);
    held(says("FAIL  memfd "));
    held(says("FAIL  job         a small job of 2 ranks ended with status "));
}

int main(void)
{
    test_begin(60);
    /* Before the answer is known, which is asked for once. */
    if (!test_under_valgrind())
        test_refused(refuse_pidfd_here, see_no_pidfd, "no pidfd");
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        test_case(i);
    test_refused(few_files, see_few_files, "few files");
    test_refused(other_limits, see_other_limits, "limits that do");
    test_refused(small_files, see_small_files, "small files");
    test_refused(refuse_memfd, see_no_memfd, "no memfd");
    if (test_under_valgrind())
        return test_end();
    if (access("./smrrun", X_OK) != 0) {
        test_skip("smrrun is not built here");
        return test_end();
    }
    test_refused(NULL, see_all, "the whole command");
    test_refused(refuse_peers, see_no_peers, "the whole command, without process_vm_readv");
    test_refused(refuse_memfd, see_no_job, "the whole command, without shared memory");
    return test_end();
}
