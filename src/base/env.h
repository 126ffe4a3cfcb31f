/*
 * env.h: every environment variable that the library and its launcher read, in one table; the only place that
 * calls getenv and touches environ.
 *
 * The environment is input: values are checked here, and all are taken as unset in a program that runs with
 * raised privileges (AT_SECURE).
 */
#ifndef BASE_ENV_H
#define BASE_ENV_H

#include <stdbool.h>
#include <stdint.h>

enum env_variable {
    ENV_NP,
    ENV_OMP_NUM_THREADS,
    ENV_PBS_NUM_PPN,
    ENV_HEAP,
    ENV_HEAP_CHECK,
    ENV_CHECK,
    ENV_BIND,
    ENV_MEM,
    ENV_DEBUG,
    ENV_PROGRESS,
    ENV_JOB,
    ENV_RANK,
    ENV_SIZE,
    ENV_OPTS,
    ENV_LD_PRELOAD,
    ENV_COLUMNS,
    /* Of the launcher only. */
    ENV_GDB,
    ENV_PATH,
    ENV_PYTHONUNBUFFERED,
    ENV_PBS_JOBID,
    ENV_PBS_NODEFILE,
    ENV_PBS_NP,
    ENV_PBS_NUM_NODES,
    ENV_PBS_TASKNUM,
    ENV_PBS_NODENUM,
    ENV_PBS_O_WORKDIR,
    ENV_NCPUS,
    ENV_SLURM_JOB_ID,
    ENV_SLURM_NNODES,
    ENV_SLURM_JOB_NUM_NODES,
    ENV_SLURM_NODEID,
    ENV_SLURM_TASKS_PER_NODE,
    ENV_SLURM_NTASKS,
    ENV_SLURM_NPROCS,
    ENV_SLURM_CPUS_ON_NODE,
    ENV_SLURM_JOB_CPUS_PER_NODE,
    ENV_SLURM_CPUS_PER_TASK,
    ENV_SLURM_STEP_ID,
    ENV_SLURM_LOCALID,
    ENV_SLURM_STEP_TASKS_PER_NODE,
    ENV_SLURM_GTIDS,
    ENV_SLURM_HET_SIZE,
    ENV_SLURMD_NODENAME,
    ENV_SLURM_JOB_NODELIST,
    ENV_MPI_LOCALRANKID,
    ENV_MPI_LOCALNRANKS,
    ENV_OMPI_LOCAL_RANK,
    ENV_OMPI_LOCAL_SIZE,
    ENV_PMIX_NAMESPACE,
    ENV_FLUX_JOB_ID,
    ENV_FLUX_TASK_LOCAL_ID,
    ENV_FLUX_JOB_SIZE,
    ENV_FLUX_JOB_NNODES,
    ENV_LSB_JOBID,
    ENV_LSB_MCPU_HOSTS,
    ENV_LSB_DJOB_NUMPROC,
    ENV_SGE_TASK_ID,
    ENV_NHOSTS,
    ENV_NSLOTS,
    ENV_PE_HOSTFILE,
    ENV_HWLOC_PLUGINS_PATH,
    ENV_HWLOC_XMLFILE,
    ENV_HWLOC_SYNTHETIC,
    ENV_COUNT
};

enum env_result { ENV_UNSET, ENV_GOOD, ENV_MALFORMED };

/* Whether the program runs with raised privileges, so that nothing of the environment may be believed. */
bool env_is_untrusted(void);

/* Whether the program runs under valgrind, which is in LD_PRELOAD then. */
bool env_has_valgrind(void);

/* Its name, as users set it. */
const char *env_name(enum env_variable variable);

/* What it is for, one line without a newline: for manuals and help. */
const char *env_purpose(enum env_variable variable);

/* Its value as text, or NULL where it is unset. */
const char *env_text(enum env_variable variable);

/* The same of any variable, which a user named. */
const char *env_text_of(const char *name);

/* Whether text can be the name of a variable: letters, digits and _, no digit first. */
bool env_is_name(const char *text);

/* Reads a whole number from min to max. Sets *value where the result is ENV_GOOD, else leaves it. */
enum env_result env_int(enum env_variable variable, long min, long max, long *value);

/* Reads the first whole number, from min to max, of a list separated by commas (OpenMP's form). */
enum env_result env_first_int(enum env_variable variable, long min, long max, long *value);

/* Reads a size in bytes: digits, then nothing, K, M, G or T, powers of 1024. */
enum env_result env_size(enum env_variable variable, uint64_t *value);

/* Warns of a malformed value, once per variable and process: what it is, what is expected. */
void env_warn(enum env_variable variable, const char *expected);

/*
 * Sets a variable of this process; NULL unsets it. Only for programs of our own with one thread, not for a
 * library.
 */
void env_set(enum env_variable variable, const char *value);

/*
 * A copy of the environment, for a program that is to be started: the n settings, each "VAR=VALUE", are in it
 * in place of what VAR was before. Of two settings of one VAR the later counts.
 * Returns an array with NULL at its end; it and its texts are one block, which the caller frees with free().
 * NULL with ENOMEM.
 */
char **env_copy_with(const char *const *settings, int n);

#endif
