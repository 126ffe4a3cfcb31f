/* Which rank a process is by the variables of other launchers, as they were recorded, and with something wrong. */
#include "memory/foreign.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parse.h"
#include "host/rendezvous.h"
#include "sharedmem.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define STEP(rank, tasks)                                                                                    \
    "SLURM_JOB_ID=17", "SLURM_STEP_ID=0", "SLURM_NODEID=0", "SLURM_LOCALID=" rank,                           \
        "SLURM_STEP_TASKS_PER_NODE=" tasks
#define OPENMPI(rank, size)                                                                                  \
    "OMPI_COMM_WORLD_LOCAL_RANK=" rank, "OMPI_COMM_WORLD_LOCAL_SIZE=" size, "PMIX_NAMESPACE=639172609",      \
        "OMPI_COMM_WORLD_RANK=5", "OMPI_COMM_WORLD_SIZE=8"
#define FLUX(rank, size, hosts)                                                                              \
    "FLUX_JOB_ID=f2aXz", "FLUX_TASK_LOCAL_ID=" rank, "FLUX_JOB_SIZE=" size, "FLUX_JOB_NNODES=" hosts,        \
        "FLUX_TASK_RANK=3"

static const struct {
    const char *name;
    const char *variables[8];
    const char *launcher; /* NULL: none */
    int rank, size;
    const char *job;
    const char *problem; /* a part of it */
} rows[] = {
    {"nothing", {NULL}, NULL, 0, 1, "", ""},
    {"a step of srun", {STEP("2", "4")}, "srun", 2, 4, "slurm.17.0.0", ""},
    {"srun on several nodes",
     {"SLURM_JOB_ID=17", "SLURM_STEP_ID=3", "SLURM_NODEID=2", "SLURM_LOCALID=1",
      "SLURM_STEP_TASKS_PER_NODE=4(x2),3"},
     "srun",
     1,
     3,
     "slurm.17.3.2",
     ""},
    {"a step as Slurm 22.05 sets it",
     {STEP("1", "2"), "SLURM_GTIDS=0,1", "SLURM_STEP_NUM_TASKS=2"},
     "srun",
     1,
     2,
     "slurm.17.0.0",
     ""},
    {"a batch script that a step has handed in", {STEP("0", "2"), "SLURM_GTIDS=0"}, NULL, 0, 1, "", ""},
    {"a step of one task", {STEP("0", "1")}, NULL, 0, 1, "", ""},
    {"a batch script",
     {"SLURM_JOB_ID=17", "SLURM_NTASKS=2", "SLURM_LOCALID=0", "SLURM_PROCID=0"},
     NULL,
     0,
     1,
     "",
     ""},
    {"a shell of salloc",
     {"SLURM_JOB_ID=17", "SLURM_NTASKS=2", "SLURM_JOB_CPUS_PER_NODE=2"},
     NULL,
     0,
     1,
     "",
     ""},
    {"a step without its job",
     {"SLURM_STEP_ID=0", "SLURM_LOCALID=1", "SLURM_STEP_TASKS_PER_NODE=4"},
     NULL,
     0,
     1,
     "",
     ""},
    {"a rank that the step does not have",
     {STEP("4", "4")},
     NULL,
     4,
     4,
     "slurm.17.0.0",
     "SLURM_LOCALID=4 is not what srun sets"},
    {"no list of tasks",
     {STEP("0", "4(x")},
     NULL,
     0,
     0,
     "slurm.17.0.0",
     "SLURM_STEP_TASKS_PER_NODE=4(x is not"},
    {"a list without this host",
     {"SLURM_JOB_ID=17", "SLURM_STEP_ID=0", "SLURM_NODEID=1", "SLURM_LOCALID=0",
      "SLURM_STEP_TASKS_PER_NODE=4"},
     NULL,
     0,
     0,
     "slurm.17.0.1",
     "SLURM_STEP_TASKS_PER_NODE=4 is not"},
    {"more tasks than can be",
     {STEP("0", "5000")},
     NULL,
     0,
     0,
     "slurm.17.0.0",
     "SLURM_STEP_TASKS_PER_NODE=5000"},
    {"Open MPI", {OPENMPI("1", "4")}, "mpiexec (Open MPI)", 1, 4, "openmpi.639172609", ""},
    {"one rank of Open MPI on this host", {OPENMPI("0", "1")}, NULL, 0, 1, "", ""},
    {"Open MPI without its job",
     {"OMPI_COMM_WORLD_LOCAL_RANK=1", "OMPI_COMM_WORLD_LOCAL_SIZE=2"},
     NULL,
     0,
     1,
     "",
     ""},
    {"a rank of Open MPI out of range",
     {OPENMPI("4", "4")},
     NULL,
     4,
     4,
     "openmpi.639172609",
     "OMPI_COMM_WORLD_LOCAL_RANK=4 is not what mpiexec (Open MPI) sets"},
    {"a size that is no number",
     {OPENMPI("0", "many")},
     NULL,
     0,
     -1,
     "openmpi.639172609",
     "OMPI_COMM_WORLD_LOCAL_SIZE=many"},
    {"Open MPI in a step of srun",
     {OPENMPI("1", "4"), "SLURM_JOB_ID=17", "SLURM_STEP_ID=0"},
     "mpiexec (Open MPI)",
     1,
     4,
     "openmpi.639172609",
     ""},
    {"what MPICH has left over",
     {"MPI_LOCALRANKID=1", "MPI_LOCALNRANKS=4", "PMI_RANK=1", "PMI_SIZE=4"},
     NULL,
     0,
     1,
     "",
     ""},
    {"MPICH without local numbers", {"PMI_RANK=1", "PMI_SIZE=4"}, NULL, 0, 1, "", ""},
    {"flux", {FLUX("3", "4", "1")}, "flux", 3, 4, "flux.f2aXz", ""},
    {"flux on several nodes", {FLUX("1", "4", "2")}, NULL, 1, 4, "flux.f2aXz", "flux does not say how many"},
    {"one task of flux", {FLUX("0", "1", "1")}, NULL, 0, 1, "", ""},
    {"told to be alone", {STEP("2", "4"), "SHAREDMEM_JOB=none"}, NULL, 0, 1, "", ""},
    {"empty variables",
     {"SLURM_JOB_ID=17", "SLURM_STEP_ID=", "SLURM_LOCALID=1", "SLURM_STEP_TASKS_PER_NODE=4"},
     NULL,
     0,
     1,
     "",
     ""},
};

static void set(const char *const *variables, bool is_set)
{
    for (; *variables != NULL; variables++) {
        char name[64];
        const char *equals = strchr(*variables, '=');

        snprintf(name, sizeof name, "%.*s", (int)(equals - *variables), *variables);
        if (is_set)
            setenv(name, equals + 1, 1);
        else
            unsetenv(name);
    }
}

static void test_rows(void)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct foreign foreign;

        set(rows[i].variables, true);
        foreign_read(&foreign);
        set(rows[i].variables, false);
        test_str(rows[i].launcher, foreign.launcher, "%s: the launcher", rows[i].name);
        test_has(rows[i].problem, foreign.problem, "what is wrong");
        test_ok((rows[i].problem[0] == '\0') == (foreign.problem[0] == '\0'), "if something is");
        test_int(rows[i].rank, foreign.rank, "the rank");
        test_int(rows[i].size, foreign.size, "of how many");
        test_str(rows[i].job, foreign.job, "of which job");
    }
}

static const struct {
    const char *text;
    long host;
    int entry, n_hosts;
} lists[] = {
    {"4", 0, 4, 1},
    {"4", 1, 0, 1},
    {"2(x3),1", 2, 2, 4},
    {"2(x3),1", 3, 1, 4},
    {"2(x3),1", 4, 0, 4},
    {"1,2,3", 1, 2, 3},
    {"", 0, 0, 0},
    {"0", 0, 0, 0},
    {"4(x0)", 0, 0, 0},
    {"4(x2", 0, 0, 0},
    {"4,", 0, 0, 1},
    {"4(x2)x", 0, 0, 2},
    {"-1", 0, 0, 0},
    {" 4", 0, 0, 0},
    {"4097", 0, 0, 0},
    {"99999999999999999999", 0, 0, 0},
    {"1(x99999999)", 0, 0, 0},
};

static void test_lists(void)
{
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        int n_hosts;

        test_int(lists[i].entry, parse_list_entry(lists[i].text, lists[i].host, 4096, &n_hosts),
                 "'%s', host %ld", lists[i].text, lists[i].host);
        test_int(lists[i].n_hosts, n_hosts, "for so many hosts");
    }
}

/* ---- The lock of the meeting ---- */

/* Child: rank 1 of a step, which says soon for whom it waits. */
static void join_as_rank(int output)
{
    static const char *const step[] = {STEP("1", "2"), NULL};
    char job[32];

    set(step, true);
    snprintf(job, sizeof job, "%d", (int)getppid());
    setenv("SLURM_JOB_ID", job, 1);
    dup2(output, STDERR_FILENO);
    foreign_patience_ns = 1000000;
    sharedmem_init();
    _exit(0);
}

/* Who has the lock, this process, is named by who waits for it. */
static void test_lock(void)
{
    char name[108], line[400] = "", pid[40];
    ssize_t n = 0;
    size_t at = 0;
    int fds[2], lock;
    pid_t child;

    snprintf(name, sizeof name, "sharedmem/%u/slurm.%d.0.0/meet", (unsigned)geteuid(), (int)getpid());
    snprintf(pid, sizeof pid, "rank 1 waits for process %d, ", (int)getpid());
    lock = rendezvous_take(name);
    test_ok(lock >= 0 && pipe(fds) == 0, "the lock is taken");
    child = fork();
    if (child == 0) {
        close(lock);
        join_as_rank(fds[1]);
    }
    close(fds[1]);
    while (strchr(line, '\n') == NULL && at < sizeof line - 1 &&
           (n = read(fds[0], line + at, sizeof line - 1 - at)) > 0)
        at += (size_t)n;
    test_has(pid, line, "who waits for it says for whom");
    test_has("that srun has started", line, "and in which job");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(lock);
    close(fds[0]);
}

int main(void)
{
    test_begin(20);
    test_rows();
    test_lists();
    if (!test_thread_sanitized())
        test_lock();
    return test_end();
}
