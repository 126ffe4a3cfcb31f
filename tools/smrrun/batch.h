/*
 * batch.h: what the batch system granted this job on this host, as its environment says.
 *
 * A job is known by the variable that holds its number; without it the rest, which may be left over, does not
 * count. Each number is taken from the first of its sources that is there and well formed:
 *
 *   Slurm    n_ranks: this host's entry of SLURM_TASKS_PER_NODE; on one host SLURM_NTASKS, SLURM_NPROCS;
 *            SLURM_CPUS_ON_NODE, or this host's entry of SLURM_JOB_CPUS_PER_NODE, over SLURM_CPUS_PER_TASK
 *            n_threads: SLURM_CPUS_PER_TASK     n_cores: SLURM_CPUS_ON_NODE, SLURM_JOB_CPUS_PER_NODE
 *   Torque   n_ranks, n_cores: lines of PBS_NODEFILE that name this host; PBS_NUM_PPN; on one host PBS_NP
 *   PBS Pro  n_ranks: the lines, where there are several (mpiprocs was asked for); NCPUS
 *   LSF      n_ranks, n_cores: this host's number in LSB_MCPU_HOSTS; on one host LSB_DJOB_NUMPROC
 *   Grid Engine  n_ranks, n_cores: on one host NSLOTS; this host's line of PE_HOSTFILE
 *
 * Slurm counts what it takes for a processor: on some clusters that is a hardware thread.
 *
 * smrrun that srun or mpiexec has started is another thing: the tasks of that step count how often smrrun was started,
 * and not how many ranks it is to start. Each has its share of the cores: SLURM_CPUS_PER_TASK, else SLURM_CPUS_ON_NODE
 * over the tasks. A shell of salloc that is itself a step (use_interactive_step) has the counts of its job, and is
 * taken for a script.
 */
#ifndef SMRRUN_BATCH_H
#define SMRRUN_BATCH_H

#include <stdbool.h>
#include <stddef.h>

struct batch {
    const char *system; /* "Torque", "Slurm", "PBS Pro", "LSF", "Grid Engine"; NULL: this is no batch job */
    int n_ranks;        /* how many ranks the job asked for on this host, at most 4096; 0: it does not say */
    int n_threads;      /* how many cores each of them; 0: it does not say */
    int n_cores;        /* how many cores were granted on this host in all; 0: it does not say */
    int n_nodes;        /* how many hosts the job has; 1 where it does not say */
    int n_groups; /* how many parts that were asked for each by itself (Slurm's heterogeneous jobs); else 0 */
    char source[128];  /* what n_ranks is from: "PBS_NODEFILE", "SLURM_CPUS_ON_NODE / SLURM_CPUS_PER_TASK" */
    char warning[256]; /* one line on what was malformed, or of another host, first and passed over; "" */
    const char *
        starter; /* what has started smrrun as its task: "srun", "pbsdsh", "mpiexec (MPICH)"; NULL: a script */
    int n_starts; /* how many of smrrun that has started on this host, as far as it tells; else 1 */
    int start;    /* which of them this is, from 0 */
};

/*
 * Reads the environment, and the files that it names. Never blocks and never fails.
 * hostname: this host's, with or without its domain.
 * Also where there is no batch job: what has started smrrun is known from MPI's launchers.
 */
void batch_read(struct batch *batch, const char *hostname);

#endif
