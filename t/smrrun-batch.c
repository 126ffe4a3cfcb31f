/* What batch systems grant: environments as they are inside of jobs, and malformed ones. */
#include "smrrun/batch.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/env.h"
#include "smrrun/hosts.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define HOST            "node7.cluster.org"

/* What comes out. warning: a part of it; "": none. */
struct grant {
    const char *system;
    int n_ranks, n_threads, n_cores, n_nodes;
    const char *source, *warning;
};

/* Settings of a case. Of PBS_NODEFILE and PE_HOSTFILE only the file's name in t/machines/batch is said. */
struct job {
    const char *name;
    const char *settings[20];
    struct grant expected;
};

static char folder[4096];

static void clear_environment(void)
{
    for (int variable = ENV_PBS_JOBID; variable < ENV_COUNT; variable++)
        unsetenv(env_name(variable));
    unsetenv(env_name(ENV_PBS_NUM_PPN));
}

static void set(const char *setting)
{
    char name[64], path[4200];
    const char *value = strchr(setting, '=') + 1;

    snprintf(name, sizeof name, "%.*s", (int)(value - setting - 1), setting);
    if ((strcmp(name, "PBS_NODEFILE") == 0 || strcmp(name, "PE_HOSTFILE") == 0) && value[0] != '/') {
        snprintf(path, sizeof path, "%s//%s", folder, value); /* as Torque writes it */
        value = path;
    }
    setenv(name, value, 1);
}

static void test_job(const struct job *job, const char *hostname)
{
    const struct grant *expected = &job->expected;
    struct batch batch;

    clear_environment();
    for (size_t i = 0; i < COUNT_OF(job->settings) && job->settings[i] != NULL; i++)
        set(job->settings[i]);
    memset(&batch, 0x5a, sizeof batch);
    batch_read(&batch, hostname);
    test_str(expected->system, batch.system, "%s: the system", job->name);
    test_int(expected->n_ranks, batch.n_ranks, "%s: ranks", job->name);
    test_int(expected->n_threads, batch.n_threads, "%s: cores of each", job->name);
    test_int(expected->n_cores, batch.n_cores, "%s: cores of all", job->name);
    test_int(expected->n_nodes, batch.n_nodes, "%s: hosts", job->name);
    test_str(expected->source, batch.source, "%s: the source", job->name);
    if (expected->warning[0] == '\0')
        test_str("", batch.warning, "%s: no warning", job->name);
    else
        test_has(expected->warning, batch.warning, "%s: a warning", job->name);
    test_ok(strchr(batch.warning, '\n') == NULL, "which is one line");
}

static void test_jobs(const struct job *jobs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        test_job(&jobs[i], HOST);
    clear_environment();
}

#define TORQUE "PBS_JOBID=0.host"
#define SLURM  "SLURM_JOB_ID=17"

/* ---- No job ---- */

static const struct job no_jobs[] = {
    {"nothing", {NULL}, {NULL, 0, 0, 0, 1, "", ""}},
    {"Torque's without a job",
     {"PBS_NUM_PPN=4", "PBS_NP=4", "PBS_NODEFILE=ppn2"},
     {NULL, 0, 0, 0, 1, "", ""}},
    {"Slurm's without a job", {"SLURM_NTASKS=4", "SLURM_TASKS_PER_NODE=4"}, {NULL, 0, 0, 0, 1, "", ""}},
    {"malformed ones without a job", {"PBS_NP=x", "SLURM_NTASKS=y"}, {NULL, 0, 0, 0, 1, "", ""}},
    {"empty markers", {"PBS_JOBID=", "SLURM_JOB_ID=", "SLURM_NTASKS=4"}, {NULL, 0, 0, 0, 1, "", ""}},
    {"NSLOTS of something else", {"NSLOTS=4", "NCPUS=4"}, {NULL, 0, 0, 0, 1, "", ""}},
};

/* ---- Torque and PBS Pro ---- */

static const struct job pbs_jobs[] = {
    {"nodes=1:ppn=2",
     {TORQUE, "PBS_ENVIRONMENT=PBS_BATCH", "PBS_NODEFILE=ppn2", "PBS_NP=2", "PBS_NUM_NODES=1",
      "PBS_NUM_PPN=2", "PBS_NODENUM=0", "PBS_VNODENUM=0", "PBS_TASKNUM=1"},
     {"Torque", 2, 0, 2, 1, "PBS_NODEFILE", ""}},
    {"ncpus=16: one slot all the same",
     {TORQUE, "PBS_NODEFILE=one-line", "PBS_NP=1", "PBS_NUM_NODES=1", "PBS_NUM_PPN=1"},
     {"Torque", 1, 0, 1, 1, "PBS_NODEFILE", ""}},
    {"hosts by their full names",
     {TORQUE, "PBS_NODEFILE=ppn4-full"},
     {"Torque", 4, 0, 4, 1, "PBS_NODEFILE", ""}},
    {"a task of pbsdsh",
     {TORQUE, "PBS_NODEFILE=ppn2", "PBS_NUM_PPN=2"},
     {"Torque", 2, 0, 2, 1, "PBS_NODEFILE", ""}},
    {"an array job",
     {"PBS_JOBID=3[1].host", "PBS_NODEFILE=ppn2"},
     {"Torque", 2, 0, 2, 1, "PBS_NODEFILE", ""}},
    {"procs=16: one slot all the same, as it was recorded",
     {TORQUE, "PBS_ENVIRONMENT=PBS_BATCH", "PBS_NODEFILE=one-line", "PBS_NP=1", "PBS_NUM_NODES=1",
      "PBS_NUM_PPN=1", "PBS_NODENUM=0", "PBS_VNODENUM=0", "PBS_TASKNUM=1", "PBS_WALLTIME=3600"},
     {"Torque", 1, 0, 1, 1, "PBS_NODEFILE", ""}},
    {"np of another node, in a job of one",
     {TORQUE, "PBS_NODEFILE=ppn2", "PBS_NP=64"},
     {"Torque", 2, 0, 2, 1, "PBS_NODEFILE", ""}},
    {"three hosts",
     {TORQUE, "PBS_NODEFILE=three-hosts", "PBS_NP=6", "PBS_NUM_NODES=3", "PBS_NUM_PPN=2"},
     {"Torque", 3, 0, 3, 3, "PBS_NODEFILE", ""}},
    {"two hosts in turns", {TORQUE, "PBS_NODEFILE=in-turns"}, {"Torque", 2, 0, 2, 2, "PBS_NODEFILE", ""}},
    {"one host by another name",
     {TORQUE, "PBS_NODEFILE=other-name"},
     {"Torque", 3, 0, 3, 1, "PBS_NODEFILE", ""}},
    {"hosts by other names",
     {TORQUE, "PBS_NODEFILE=other-names", "PBS_NUM_PPN=4", "PBS_NP=8"},
     {"Torque", 4, 0, 4, 2, "PBS_NUM_PPN",
      "other-names does not name this host, node7.cluster.org; start smrrun on the job's hosts, or say -n"}},
    {"hosts by other names, no ppn",
     {TORQUE, "PBS_NODEFILE=other-names", "PBS_NP=8"},
     {"Torque", 0, 0, 0, 2, "", "does not name this host"}},
    {"blanks, capitals, no end", {TORQUE, "PBS_NODEFILE=untidy"}, {"Torque", 3, 0, 3, 1, "PBS_NODEFILE", ""}},
    {"hosts with names like ours",
     {TORQUE, "PBS_NODEFILE=like-named"},
     {"Torque", 1, 0, 1, 5, "PBS_NODEFILE", ""}},
    {"ppn without a file", {TORQUE, "PBS_NUM_PPN=4"}, {"Torque", 4, 0, 4, 1, "PBS_NUM_PPN", ""}},
    {"ppn on several hosts",
     {TORQUE, "PBS_NUM_PPN=4", "PBS_NUM_NODES=3"},
     {"Torque", 4, 0, 4, 3, "PBS_NUM_PPN", ""}},
    {"np on one host", {TORQUE, "PBS_NP=6"}, {"Torque", 6, 0, 6, 1, "PBS_NP", ""}},
    {"np on several hosts", {TORQUE, "PBS_NP=6", "PBS_NUM_NODES=3"}, {"Torque", 0, 0, 0, 3, "", ""}},
    {"a job that says nothing", {TORQUE}, {"Torque", 0, 0, 0, 1, "", ""}},
    {"what is not needed is not judged",
     {TORQUE, "PBS_NODEFILE=ppn2", "PBS_NUM_PPN=x", "PBS_NP=y", "PBS_NUM_NODES=z"},
     {"Torque", 2, 0, 2, 1, "PBS_NODEFILE", ""}},
    /* Malformed. */
    {"no such file",
     {TORQUE, "PBS_NODEFILE=/no/such//file", "PBS_NUM_PPN=4"},
     {"Torque", 4, 0, 4, 1, "PBS_NUM_PPN",
      "PBS_NODEFILE=/no/such//file cannot be read (No such file or directory) and is ignored"}},
    {"a folder",
     {TORQUE, "PBS_NODEFILE=/tmp", "PBS_NUM_PPN=4"},
     {"Torque", 4, 0, 4, 1, "PBS_NUM_PPN",
      "PBS_NODEFILE=/tmp cannot be read (no plain file) and is ignored"}},
    {"a device",
     {TORQUE, "PBS_NODEFILE=/dev/zero", "PBS_NUM_PPN=4"},
     {"Torque", 4, 0, 4, 1, "PBS_NUM_PPN", "/dev/zero cannot be read (no plain file)"}},
    {"an empty file",
     {TORQUE, "PBS_NODEFILE=empty", "PBS_NP=3"},
     {"Torque", 3, 0, 3, 1, "PBS_NP", "names no host"}},
    {"blank lines",
     {TORQUE, "PBS_NODEFILE=blank", "PBS_NP=3"},
     {"Torque", 3, 0, 3, 1, "PBS_NP", "names no host"}},
    {"too many lines",
     {TORQUE, "PBS_NODEFILE=too-many", "PBS_NUM_PPN=8"},
     {"Torque", 8, 0, 8, 1, "PBS_NUM_PPN", "names this host more than 4096 times"}},
    {"ppn of 0",
     {TORQUE, "PBS_NUM_PPN=0", "PBS_NP=2"},
     {"Torque", 2, 0, 2, 1, "PBS_NP", "PBS_NUM_PPN=0 is not a whole number from 1 to 4096 and is ignored"}},
    {"the first warning stays",
     {TORQUE, "PBS_NUM_PPN=a\nb", "PBS_NP=y"},
     {"Torque", 0, 0, 0, 1, "", "PBS_NUM_PPN=a b is not"}},
    {"no number of hosts",
     {TORQUE, "PBS_NUM_NODES=-1", "PBS_NUM_PPN=2"},
     {"Torque", 2, 0, 2, 1, "PBS_NUM_PPN", "PBS_NUM_NODES=-1 is not"}},
    /* PBS Pro. */
    {"select=1:ncpus=16",
     {TORQUE, "PBS_NODEFILE=one-line", "NCPUS=16"},
     {"PBS Pro", 16, 0, 16, 1, "NCPUS", ""}},
    {"select=2:ncpus=1",
     {TORQUE, "PBS_NODEFILE=ppn2", "NCPUS=1"},
     {"PBS Pro", 2, 0, 2, 1, "PBS_NODEFILE", ""}},
    {"ncpus=8:mpiprocs=2",
     {TORQUE, "PBS_NODEFILE=ppn2", "NCPUS=8"},
     {"PBS Pro", 2, 0, 0, 1, "PBS_NODEFILE", ""}},
    {"select=3 on three hosts",
     {TORQUE, "PBS_NODEFILE=like-named", "NCPUS=4"},
     {"PBS Pro", 4, 0, 4, 5, "NCPUS", ""}},
    {"malformed NCPUS",
     {TORQUE, "PBS_NODEFILE=one-line", "NCPUS=x"},
     {"PBS Pro", 1, 0, 1, 1, "PBS_NODEFILE", "NCPUS=x is not"}},
    {"NCPUS of a user in Torque",
     {TORQUE, "PBS_NODEFILE=ppn2", "PBS_NUM_PPN=2", "NCPUS=64"},
     {"Torque", 2, 0, 2, 1, "PBS_NODEFILE", ""}},
};

/* ---- Slurm ---- */

/* As Slurm 22.05 sets them on a host with two cores, less what nobody reads; the host's name is ours here. */
#define RECORDED(tasks, cores)                                                                               \
    SLURM, "SLURM_JOB_NODELIST=node7", "SLURM_JOB_NUM_NODES=1", "SLURM_NNODES=1",                            \
        "SLURM_TASKS_PER_NODE=" tasks, "SLURM_JOB_CPUS_PER_NODE=" cores
#define RECORDED_NODE(tasks, cores, task)                                                                    \
    RECORDED(tasks, cores), "SLURMD_NODENAME=node7", "SLURM_CPUS_ON_NODE=" cores, "SLURM_NODEID=0",          \
        "SLURM_LOCALID=" task, "SLURM_PROCID=" task
#define RECORDED_STEP(tasks, cores, task, tasks_of_step, listed)                                             \
    RECORDED_NODE(tasks, cores, task), "SLURM_STEP_ID=0", "SLURM_STEP_NUM_TASKS=" tasks_of_step,             \
        "SLURM_STEP_TASKS_PER_NODE=" tasks_of_step, "SLURM_GTIDS=" listed

static const struct job slurm_recorded[] = {
    {"sbatch -n 2, recorded",
     {RECORDED_NODE("2", "2", "0"), "SLURM_GTIDS=0", "SLURM_NTASKS=2", "SLURM_NPROCS=2"},
     {"Slurm", 2, 0, 2, 1, "SLURM_TASKS_PER_NODE", ""}},
    {"sbatch -c 2, recorded",
     {RECORDED_NODE("1", "2", "0"), "SLURM_GTIDS=0", "SLURM_CPUS_PER_TASK=2"},
     {"Slurm", 1, 2, 2, 1, "SLURM_TASKS_PER_NODE", ""}},
    {"sbatch, recorded",
     {RECORDED_NODE("1", "1", "0"), "SLURM_GTIDS=0"},
     {"Slurm", 1, 0, 1, 1, "SLURM_TASKS_PER_NODE", ""}},
    {"sbatch --exclusive, recorded",
     {RECORDED_NODE("2", "2", "0"), "SLURM_GTIDS=0"},
     {"Slurm", 2, 0, 2, 1, "SLURM_TASKS_PER_NODE", ""}},
    {"salloc -n 2, recorded",
     {RECORDED("2", "2"), "SLURM_NTASKS=2", "SLURM_NPROCS=2"},
     {"Slurm", 2, 0, 2, 1, "SLURM_TASKS_PER_NODE", ""}},
    {"salloc -c 2, recorded",
     {RECORDED("1", "2"), "SLURM_CPUS_PER_TASK=2"},
     {"Slurm", 1, 2, 2, 1, "SLURM_TASKS_PER_NODE", ""}},
    {"salloc -n 2 with an interactive step, recorded",
     {RECORDED_STEP("2", "2", "0", "1", "0"), "SLURM_NTASKS=2", "SLURM_NPROCS=2"},
     {"Slurm", 2, 0, 2, 1, "SLURM_TASKS_PER_NODE", ""}},
    {"a script that a step of two has handed in, recorded",
     {RECORDED_STEP("2", "2", "0", "2", "0"), "SLURM_NTASKS=2", "SLURM_CPUS_PER_TASK=1"},
     {"Slurm", 2, 1, 2, 1, "SLURM_TASKS_PER_NODE", ""}},
    {"a script of one task that a step of two has handed in",
     {RECORDED_STEP("1", "1", "0", "2", "0"), "SLURM_NTASKS=1"},
     {"Slurm", 1, 0, 1, 1, "SLURM_TASKS_PER_NODE", ""}},
    {"srun -n 1 -c 2 smrrun, recorded",
     {RECORDED_STEP("1", "2", "0", "1", "0"), "SLURM_NTASKS=1", "SLURM_CPUS_PER_TASK=2"},
     {"Slurm", 0, 0, 2, 1, "", ""}},
    {"srun -n 1 smrrun in a job of two, recorded",
     {RECORDED_STEP("1", "2", "0", "1", "0"), "SLURM_NTASKS=1"},
     {"Slurm", 0, 0, 2, 1, "", ""}},
    {"srun -n 2 smrrun, recorded",
     {RECORDED_STEP("2", "2", "1", "2", "0,1"), "SLURM_NTASKS=2"},
     {"Slurm", 0, 0, 1, 1, "", ""}},
    {"srun -n 4 -O smrrun", {RECORDED_STEP("4", "2", "3", "4", "0,1,2,3")}, {"Slurm", 0, 0, 1, 1, "", ""}},
    {"sbatch -N 3 -n 5, recorded",
     {SLURM, "SLURM_JOB_NODELIST=node[7-9]", "SLURM_JOB_NUM_NODES=3", "SLURM_NNODES=3", "SLURM_NTASKS=5",
      "SLURM_TASKS_PER_NODE=2(x2),1", "SLURM_JOB_CPUS_PER_NODE=2(x2),1", "SLURMD_NODENAME=node7",
      "SLURM_CPUS_ON_NODE=2", "SLURM_NODEID=0", "SLURM_LOCALID=0", "SLURM_GTIDS=0"},
     {"Slurm", 2, 0, 2, 3, "SLURM_TASKS_PER_NODE", ""}},
    {"srun in that, on its third node, recorded",
     {SLURM, "SLURM_JOB_NODELIST=node[7-9]", "SLURM_JOB_NUM_NODES=3", "SLURM_NNODES=3", "SLURM_NTASKS=3",
      "SLURM_TASKS_PER_NODE=1(x3)", "SLURM_JOB_CPUS_PER_NODE=2(x2),1", "SLURMD_NODENAME=node9",
      "SLURM_CPUS_ON_NODE=1", "SLURM_NODEID=2", "SLURM_LOCALID=0", "SLURM_STEP_ID=0",
      "SLURM_STEP_TASKS_PER_NODE=1(x3)", "SLURM_GTIDS=2"},
     {"Slurm", 0, 0, 1, 3, "", ""}},
    {"a heterogeneous job of two parts, recorded",
     {RECORDED_NODE("2", "2", "0"), "SLURM_GTIDS=0", "SLURM_NTASKS=2", "SLURM_HET_SIZE=2",
      "SLURM_JOB_NUM_NODES_HET_GROUP_0=1", "SLURM_JOB_NUM_NODES_HET_GROUP_1=1", "SLURM_NTASKS_HET_GROUP_1=1",
      "SLURM_CPUS_PER_TASK_HET_GROUP_1=2"},
     {"Slurm", 2, 0, 2, 2, "SLURM_TASKS_PER_NODE", ""}},
    {"a heterogeneous job, malformed",
     {RECORDED("2", "2"), "SLURM_HET_SIZE=2", "SLURM_JOB_NUM_NODES_HET_GROUP_0=x"},
     {"Slurm", 2, 0, 2, 2, "SLURM_TASKS_PER_NODE",
      "SLURM_JOB_NUM_NODES_HET_GROUP_0=x is not a whole number"}},
    {"a shell of salloc elsewhere",
     {SLURM, "SLURM_JOB_NODELIST=node[1-6,10-12],gpu7", "SLURM_NNODES=10", "SLURM_TASKS_PER_NODE=2(x10)"},
     {"Slurm", 2, 0, 0, 10, "SLURM_TASKS_PER_NODE",
      "this host, node7.cluster.org, is none of the job's (node[1-6,10-12],gpu7), and ranks are started "
      "here; srun "
      "-N 10 -n 10 smrrun ... starts them there"}},
    {"a shell of salloc on one of the hosts",
     {SLURM, "SLURM_JOB_NODELIST=gpu3,node[1-8]", "SLURM_NNODES=9", "SLURM_TASKS_PER_NODE=2(x9)"},
     {"Slurm", 2, 0, 0, 9, "SLURM_TASKS_PER_NODE", ""}},
};

/* Who has started smrrun, and how often. */
static const struct {
    const char *name;
    const char *settings[20];
    const char *starter;
    int n_starts, start, n_ranks, n_cores;
} starts[] = {
    {"a person", {NULL}, NULL, 1, 0, 0, 0},
    {"sbatch", {RECORDED_NODE("2", "2", "0"), "SLURM_GTIDS=0"}, NULL, 1, 0, 2, 2},
    {"a shell of salloc", {RECORDED_STEP("2", "2", "0", "1", "0")}, NULL, 1, 0, 2, 2},
    {"srun -n 1", {RECORDED_STEP("1", "2", "0", "1", "0")}, "srun", 1, 0, 0, 2},
    {"srun -n 2", {RECORDED_STEP("2", "2", "1", "2", "0,1")}, "srun", 2, 1, 0, 1},
    {"a script that a step has handed in", {RECORDED_STEP("2", "2", "0", "2", "0")}, NULL, 1, 0, 2, 2},
    {"Open MPI's mpiexec -n 2 in Torque",
     {TORQUE, "PBS_NODEFILE=ppn2", "OMPI_COMM_WORLD_LOCAL_RANK=1", "OMPI_COMM_WORLD_LOCAL_SIZE=2",
      "PMIX_NAMESPACE=1"},
     "mpiexec (Open MPI)",
     2,
     1,
     0,
     1},
    {"mpiexec --map-by ppr:1:node in Torque",
     {TORQUE, "PBS_NODEFILE=three-hosts", "OMPI_COMM_WORLD_LOCAL_RANK=0", "OMPI_COMM_WORLD_LOCAL_SIZE=1",
      "PMIX_NAMESPACE=1"},
     "mpiexec (Open MPI)",
     1,
     0,
     3,
     3},
    {"Torque's script",
     {TORQUE, "PBS_NODEFILE=three-hosts", "PBS_TASKNUM=1", "PBS_NODENUM=0"},
     NULL,
     1,
     0,
     3,
     3},
    {"pbsdsh on the first host", {TORQUE, "PBS_NODEFILE=three-hosts", "PBS_TASKNUM=2"}, "pbsdsh", 1, 0, 3, 3},
    {"pbsdsh on another", {TORQUE, "PBS_NODEFILE=three-hosts", "PBS_NODENUM=1"}, "pbsdsh", 1, 0, 3, 3},
    {"flux",
     {"FLUX_JOB_ID=f2a", "FLUX_TASK_LOCAL_ID=2", "FLUX_JOB_SIZE=4", "FLUX_JOB_NNODES=1"},
     "flux",
     4,
     2,
     0,
     0},
};

static void test_starts(void)
{
    for (size_t i = 0; i < COUNT_OF(starts); i++) {
        struct batch batch;

        clear_environment();
        for (int k = 0; starts[i].settings[k] != NULL; k++)
            set(starts[i].settings[k]);
        batch_read(&batch, HOST);
        test_str(starts[i].starter, batch.starter, "%s: what has started smrrun", starts[i].name);
        test_int(starts[i].n_starts, batch.n_starts, "%s: how often", starts[i].name);
        test_int(starts[i].start, batch.start, "%s: and which this is", starts[i].name);
        test_int(starts[i].n_ranks, batch.n_ranks, "%s: ranks", starts[i].name);
        test_int(starts[i].n_cores, batch.n_cores, "%s: cores", starts[i].name);
    }
    clear_environment();
}

static const struct job slurm_jobs[] = {
    {"a batch script with -n 2",
     {SLURM, "SLURM_NTASKS=2", "SLURM_NPROCS=2", "SLURM_TASKS_PER_NODE=2", "SLURM_CPUS_ON_NODE=2",
      "SLURM_JOB_CPUS_PER_NODE=2", "SLURM_PROCID=0", "SLURM_LOCALID=0", "SLURM_NODEID=0", "SLURM_NNODES=1"},
     {"Slurm", 2, 0, 2, 1, "SLURM_TASKS_PER_NODE", ""}},
    {"with -c 2",
     {SLURM, "SLURM_CPUS_PER_TASK=2", "SLURM_TASKS_PER_NODE=1", "SLURM_CPUS_ON_NODE=2", "SLURM_NODEID=0"},
     {"Slurm", 1, 2, 2, 1, "SLURM_TASKS_PER_NODE", ""}},
    {"with -c 2 and no list",
     {SLURM, "SLURM_CPUS_PER_TASK=2", "SLURM_CPUS_ON_NODE=16"},
     {"Slurm", 8, 2, 16, 1, "SLURM_CPUS_ON_NODE / SLURM_CPUS_PER_TASK", ""}},
    {"more cores for a task than there are",
     {SLURM, "SLURM_CPUS_PER_TASK=8", "SLURM_CPUS_ON_NODE=2"},
     {"Slurm", 1, 8, 2, 1, "SLURM_CPUS_ON_NODE / SLURM_CPUS_PER_TASK", ""}},
    {"with --exclusive", {SLURM, "SLURM_CPUS_ON_NODE=64"}, {"Slurm", 64, 0, 64, 1, "SLURM_CPUS_ON_NODE", ""}},
    {"a shell of salloc",
     {SLURM, "SLURM_NTASKS=4", "SLURM_NPROCS=4", "SLURM_JOB_CPUS_PER_NODE=4", "SLURM_JOB_NUM_NODES=1"},
     {"Slurm", 4, 0, 4, 1, "SLURM_NTASKS", ""}},
    {"a shell of salloc with -c",
     {SLURM, "SLURM_CPUS_PER_TASK=4", "SLURM_JOB_CPUS_PER_NODE=16(x2)"},
     {"Slurm", 4, 4, 16, 2, "SLURM_JOB_CPUS_PER_NODE / SLURM_CPUS_PER_TASK", ""}},
    {"NPROCS alone", {SLURM, "SLURM_NPROCS=3"}, {"Slurm", 3, 0, 0, 1, "SLURM_NPROCS", ""}},
    {"tasks on several hosts don't tell ours",
     {SLURM, "SLURM_NTASKS=8", "SLURM_JOB_NUM_NODES=2"},
     {"Slurm", 0, 0, 0, 2, "", ""}},
    {"the first of 2(x3),1",
     {SLURM, "SLURM_TASKS_PER_NODE=2(x3),1", "SLURM_JOB_CPUS_PER_NODE=4(x3),2"},
     {"Slurm", 2, 0, 4, 4, "SLURM_TASKS_PER_NODE", ""}},
    {"the third of 2(x3),1",
     {SLURM, "SLURM_NODEID=2", "SLURM_TASKS_PER_NODE=2(x3),1"},
     {"Slurm", 2, 0, 0, 4, "SLURM_TASKS_PER_NODE", ""}},
    {"the fourth of 2(x3),1",
     {SLURM, "SLURM_NODEID=3", "SLURM_TASKS_PER_NODE=2(x3),1", "SLURM_JOB_CPUS_PER_NODE=4(x3),2"},
     {"Slurm", 1, 0, 2, 4, "SLURM_TASKS_PER_NODE", ""}},
    {"the second of 4,3,2",
     {SLURM, "SLURM_NODEID=1", "SLURM_TASKS_PER_NODE=4,3,2"},
     {"Slurm", 3, 0, 0, 3, "SLURM_TASKS_PER_NODE", ""}},
    {"a step on one of two hosts",
     {SLURM, "SLURM_STEP_ID=0", "SLURM_NNODES=1", "SLURM_JOB_NUM_NODES=2", "SLURM_TASKS_PER_NODE=8"},
     {"Slurm", 8, 0, 0, 1, "SLURM_TASKS_PER_NODE", ""}},
    {"a job that says nothing", {SLURM}, {"Slurm", 0, 0, 0, 1, "", ""}},
    {"Slurm that looks like PBS too",
     {SLURM, TORQUE, "SLURM_TASKS_PER_NODE=2", "PBS_NUM_PPN=7"},
     {"Slurm", 2, 0, 0, 1, "SLURM_TASKS_PER_NODE", ""}},
    /* Malformed. */
    {"a host that is not in the list",
     {SLURM, "SLURM_NODEID=4", "SLURM_TASKS_PER_NODE=2(x3),1", "SLURM_CPUS_ON_NODE=8"},
     {"Slurm", 8, 0, 8, 1, "SLURM_CPUS_ON_NODE",
      "SLURM_TASKS_PER_NODE=2(x3),1 is not a list like 2(x3),1 with this host in it and is ignored"}},
    {"which host is malformed",
     {SLURM, "SLURM_NODEID=-1", "SLURM_TASKS_PER_NODE=2"},
     {"Slurm", 2, 0, 0, 1, "SLURM_TASKS_PER_NODE", "SLURM_NODEID=-1 is not a whole number"}},
    {"malformed counts",
     {SLURM, "SLURM_NTASKS=all", "SLURM_NPROCS=3", "SLURM_CPUS_PER_TASK=0"},
     {"Slurm", 3, 0, 0, 1, "SLURM_NPROCS", "SLURM_CPUS_PER_TASK=0 is not a whole number from 1 to 4096"}},
    {"malformed cores, but a good list",
     {SLURM, "SLURM_CPUS_ON_NODE=lots", "SLURM_JOB_CPUS_PER_NODE=8"},
     {"Slurm", 8, 0, 8, 1, "SLURM_JOB_CPUS_PER_NODE", "SLURM_CPUS_ON_NODE=lots is not"}},
};

static const char *const bad_lists[] = {"",
                                        " ",
                                        "x",
                                        "0",
                                        "-2",
                                        "2x",
                                        "2 ",
                                        "2(",
                                        "2(x",
                                        "2(x)",
                                        "2(x0)",
                                        "2(x3",
                                        "2(3)",
                                        "2(x3)1",
                                        "2,",
                                        ",2",
                                        "2,,1",
                                        "4097",
                                        "99999999999999999999",
                                        "2(x99999999999999999999)",
                                        "2(x1048576),2(x1048576)",
                                        "2,0",
                                        "2;1",
                                        "2(x3),x"};

static void test_bad_lists(void)
{
    for (size_t i = 0; i < COUNT_OF(bad_lists); i++) {
        char setting[64];
        struct job job = {bad_lists[i],
                          {SLURM, setting, "SLURM_NTASKS=5"},
                          {"Slurm", 5, 0, 0, 1, "SLURM_NTASKS", "SLURM_TASKS_PER_NODE="}};

        snprintf(setting, sizeof setting, "SLURM_TASKS_PER_NODE=%s", bad_lists[i]);
        test_job(&job, HOST);
    }
}

/* ---- LSF and Grid Engine ---- */

static const struct job other_jobs[] = {
    {"LSF, bsub -n 8",
     {"LSB_JOBID=9", "LSB_DJOB_NUMPROC=8", "LSB_MCPU_HOSTS=node7 8 "},
     {"LSF", 8, 0, 8, 1, "LSB_MCPU_HOSTS", ""}},
    {"LSF on two hosts",
     {"LSB_JOBID=9", "LSB_DJOB_NUMPROC=12", "LSB_MCPU_HOSTS=node6 8 node7 4"},
     {"LSF", 4, 0, 4, 2, "LSB_MCPU_HOSTS", ""}},
    {"LSF on one host by another name",
     {"LSB_JOBID=9", "LSB_DJOB_NUMPROC=8", "LSB_MCPU_HOSTS=ib3 8"},
     {"LSF", 8, 0, 8, 1, "LSB_DJOB_NUMPROC", ""}},
    {"LSF on hosts by other names",
     {"LSB_JOBID=9", "LSB_DJOB_NUMPROC=8", "LSB_MCPU_HOSTS=ib3 4 ib4 4"},
     {"LSF", 0, 0, 0, 2, "", "LSB_MCPU_HOSTS=ib3 4 ib4 4 does not name this host"}},
    {"LSF, the number alone",
     {"LSB_JOBID=9", "LSB_DJOB_NUMPROC=8"},
     {"LSF", 8, 0, 8, 1, "LSB_DJOB_NUMPROC", ""}},
    {"LSF with a malformed list",
     {"LSB_JOBID=9", "LSB_DJOB_NUMPROC=8", "LSB_MCPU_HOSTS=node7 node8"},
     {"LSF", 8, 0, 8, 1, "LSB_DJOB_NUMPROC", "LSB_MCPU_HOSTS=node7 node8 is not a list like"}},
    {"LSF with a list that ends early",
     {"LSB_JOBID=9", "LSB_DJOB_NUMPROC=8", "LSB_MCPU_HOSTS=node7 8 node8"},
     {"LSF", 8, 0, 8, 1, "LSB_DJOB_NUMPROC", "is not a list like"}},
    {"Grid Engine",
     {"SGE_TASK_ID=undefined", "NSLOTS=6", "NHOSTS=1"},
     {"Grid Engine", 6, 0, 6, 1, "NSLOTS", ""}},
    {"Grid Engine on two hosts",
     {"SGE_TASK_ID=1", "NSLOTS=6", "NHOSTS=2"},
     {"Grid Engine", 0, 0, 0, 2, "", ""}},
    {"Grid Engine on two hosts, with its file",
     {"SGE_TASK_ID=undefined", "NSLOTS=6", "NHOSTS=2", "PE_HOSTFILE=grid-engine"},
     {"Grid Engine", 4, 0, 4, 2, "PE_HOSTFILE", ""}},
    {"Grid Engine on other hosts",
     {"SGE_TASK_ID=undefined", "NSLOTS=6", "NHOSTS=2", "PE_HOSTFILE=other-names"},
     {"Grid Engine", 0, 0, 0, 2, "", "does not name this host"}},
    {"Grid Engine without its file",
     {"SGE_TASK_ID=undefined", "NSLOTS=6", "NHOSTS=2", "PE_HOSTFILE=/no/such/file"},
     {"Grid Engine", 0, 0, 0, 2, "", "PE_HOSTFILE=/no/such/file cannot be read (No such file"}},
    {"Grid Engine, malformed",
     {"SGE_TASK_ID=1", "NSLOTS=x"},
     {"Grid Engine", 0, 0, 0, 1, "", "NSLOTS=x is not a whole number"}},
};

/* ---- Hosts ---- */

/* How many lines of a file name this host, whatever it is called. */
static void test_hostnames(void)
{
    static const struct {
        const char *hostname, *settings;
        int n_ranks;
    } cases[] = {
        {"node7", "PBS_NODEFILE=three-hosts", 3},
        {"node7.cluster.org", "PBS_NODEFILE=three-hosts", 3},
        {"NODE7", "PBS_NODEFILE=three-hosts", 3},
        {"node8", "PBS_NODEFILE=three-hosts", 1},
        {"node", "PBS_NODEFILE=three-hosts", 0},
        {"node77", "PBS_NODEFILE=three-hosts", 0},
        {"", "PBS_NODEFILE=three-hosts", 0},
        {"node7", "PBS_NODEFILE=like-named", 2},
        {"node7.other.org", "PBS_NODEFILE=like-named", 2},
        {"node7.third.org", "PBS_NODEFILE=like-named", 1},
        {"node7", "PBS_NODEFILE=ppn4-full", 4},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct batch batch;

        clear_environment();
        set(TORQUE);
        set(cases[i].settings);
        batch_read(&batch, cases[i].hostname);
        test_int(cases[i].n_ranks, batch.n_ranks, "%s in %s", cases[i].hostname, cases[i].settings);
    }
}

static void test_ranges(void)
{
    static const struct {
        const char *list, *hostname;
        bool is_in;
    } cases[] = {
        {"node7", "node7", true},
        {"NODE7", "node7", true},
        {"node7.cluster.org", "node7", true},
        {"node7", "node7.cluster.org", true},
        {"node7.cluster.org", "node7.other.org", false},
        {"node[1-8]", "node7", true},
        {"node[1-8]", "node7.cluster.org", true},
        {"node[1-6]", "node7", false},
        {"node[1-6,7]", "node7", true},
        {"node[1,3,8-12]", "node10", true},
        {"node[1,3,8-12]", "node13", false},
        {"node[01-12]", "node7", false},
        {"node[01-12]", "node07", true},
        {"node[08-120]", "node100", true},
        {"node[08-120]", "node0100", false},
        {"node[1-12]", "node007", false},
        {"login,gpu[1-2],node[5-9]", "node7", true},
        {"gpu[1-2],login", "login", true},
        {"rack[1-2]node[3-4]", "rack2node3", true},
        {"rack[1-2]node[3-4]", "rack3node3", false},
        {"node[1-2]-ib", "node2-ib", true},
        {"node[1-2]-ib", "node2", false},
        {"node[1-99]", "node", false},
        {"node[1-99]", "nodex", false},
        /* Malformed, and hostile. */
        {"", "node7", false},
        {",,", "node7", false},
        {"node[", "node7", false},
        {"node[]", "node7", false},
        {"node[-]", "node7", false},
        {"node[7", "node7", false},
        {"node[x-9]", "node7", false},
        {"node[99999999999999999999999-7]", "node7", false},
        {"[0-9][0-9][0-9][0-9][0-9]", "12345", false},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        test_ok(hosts_is_in_ranges(cases[i].list, cases[i].hostname) == cases[i].is_in, "%s in %s: %s",
                cases[i].hostname, cases[i].list, cases[i].is_in ? "yes" : "no");
}

/* An array's node file has the number of the element in its name. */
static void test_array(void)
{
    char path[] = "/tmp/sharedmem-test.XXXXXX", name[64], setting[96];
    struct job job = {"an array's file",
                      {"PBS_JOBID=3[1].host", setting, "PBS_ARRAYID=1", "PBS_NUM_PPN=2"},
                      {"Torque", 2, 0, 2, 1, "PBS_NODEFILE", ""}};
    FILE *file;

    if (mkdtemp(path) == NULL)
        return;
    snprintf(name, sizeof name, "%s//3[1].host", path);
    snprintf(setting, sizeof setting, "PBS_NODEFILE=%s", name);
    file = fopen(name, "w");
    test_ok(file != NULL && fputs("node7\nnode7\n", file) >= 0 && fclose(file) == 0, "its file is written");
    test_job(&job, HOST);
    remove(name);
    remove(path);
}

/* A pipe in place of the file must not be waited for. */
static void test_pipe(void)
{
    char path[] = "/tmp/sharedmem-test.XXXXXX", fifo[64], setting[80];
    struct job job = {"a pipe", {TORQUE, setting}, {"Torque", 0, 0, 0, 1, "", "(no plain file)"}};

    if (mkdtemp(path) == NULL)
        return;
    snprintf(fifo, sizeof fifo, "%s/pipe", path);
    snprintf(setting, sizeof setting, "PBS_NODEFILE=%s", fifo);
    test_int(0, mkfifo(fifo, 0600), "a pipe is made");
    test_job(&job, HOST);
    remove(fifo);
    remove(path);
}

int main(void)
{
    const char *srcdir = getenv("srcdir");

    test_begin(20);
    snprintf(folder, sizeof folder, "%s/t/machines/batch", srcdir != NULL ? srcdir : ".");
    test_jobs(no_jobs, COUNT_OF(no_jobs));
    test_jobs(pbs_jobs, COUNT_OF(pbs_jobs));
    test_jobs(slurm_jobs, COUNT_OF(slurm_jobs));
    test_jobs(slurm_recorded, COUNT_OF(slurm_recorded));
    test_starts();
    test_bad_lists();
    test_jobs(other_jobs, COUNT_OF(other_jobs));
    test_hostnames();
    test_ranges();
    test_array();
    test_pipe();
    return test_end();
}
