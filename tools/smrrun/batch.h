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
 *   Grid Engine  n_ranks, n_cores: on one host NSLOTS
 *
 * Slurm counts what it takes for a processor: on some clusters that is a hardware thread.
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
    char source[128];   /* what n_ranks is from: "PBS_NODEFILE", "SLURM_CPUS_ON_NODE / SLURM_CPUS_PER_TASK" */
    char warning[256];  /* one line on what was malformed first and passed over; "" */
};

/*
 * Reads the environment, and the files that it names. Never blocks and never fails.
 * hostname: this host's, with or without its domain.
 */
void batch_read(struct batch *batch, const char *hostname);

#endif
