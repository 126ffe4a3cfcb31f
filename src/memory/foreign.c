#include "memory/foreign.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "base/parse.h"
#include "host/process.h"
#include "host/rendezvous.h"

#define MAX_RANKS 4096

static bool is_set(enum env_variable variable)
{
    const char *text = env_text(variable);

    return text != NULL && *text != '\0';
}

/* A number from 0 to max, or -1 where it is none. */
static int number(enum env_variable variable, long max)
{
    long value;

    return env_int(variable, 0, max, &value) == ENV_GOOD ? (int)value : -1;
}

static void set_problem(struct foreign *foreign, enum env_variable variable)
{
    snprintf(foreign->problem, sizeof foreign->problem, "%s=%.60s is not what %s sets", env_name(variable),
             env_text(variable), foreign->launcher);
}

/* Rank and size by two variables. */
static void take_numbers(struct foreign *foreign, enum env_variable rank, enum env_variable size)
{
    foreign->size = number(size, MAX_RANKS);
    foreign->rank = number(rank, MAX_RANKS - 1);
    if (foreign->size < 1)
        set_problem(foreign, size);
    else if (foreign->rank < 0 || foreign->rank >= foreign->size)
        set_problem(foreign, rank);
}

/* ---- The launchers. Each says whether its variables are complete ---- */

static bool read_openmpi(struct foreign *foreign)
{
    if (!is_set(ENV_OMPI_LOCAL_RANK) || !is_set(ENV_OMPI_LOCAL_SIZE) || !is_set(ENV_PMIX_NAMESPACE))
        return false;
    foreign->launcher = "mpiexec (Open MPI)";
    snprintf(foreign->job, sizeof foreign->job, "openmpi.%.60s", env_text(ENV_PMIX_NAMESPACE));
    take_numbers(foreign, ENV_OMPI_LOCAL_RANK, ENV_OMPI_LOCAL_SIZE);
    return true;
}

/* It numbers no jobs; but all its ranks on a node descend from one process. */
static bool read_mpich(struct foreign *foreign)
{
    pid_t proxy;
    struct process_look look = {.start_ticks = 0};

    if (!is_set(ENV_MPI_LOCALRANKID) || !is_set(ENV_MPI_LOCALNRANKS))
        return false;
    foreign->launcher = "mpiexec (MPICH)";
    take_numbers(foreign, ENV_MPI_LOCALRANKID, ENV_MPI_LOCALNRANKS);
    proxy = rendezvous_ancestor("hydra_pmi_proxy");
    /* The variables were left over in an environment: whoever had them has ended. */
    if (proxy == 0 || process_look(proxy, &look) != 1)
        return false;
    snprintf(foreign->job, sizeof foreign->job, "mpich.%d.%llu", (int)proxy,
             (unsigned long long)look.start_ticks);
    return true;
}

/*
 * A script that was handed in from within a step still has what that step set, but for SLURM_GTIDS, which counts the
 * tasks of this host as well, and is set for scripts too.
 */
static bool is_of_outer_step(int n_tasks)
{
    int n_listed = 1;

    if (!is_set(ENV_SLURM_GTIDS))
        return false;
    for (const char *text = env_text(ENV_SLURM_GTIDS); *text != '\0'; text++)
        n_listed += *text == ',';
    return n_listed != n_tasks;
}

/* A batch script is no step; a step says how many tasks each host has. */
static bool read_slurm(struct foreign *foreign)
{
    int n_hosts, host = 0;

    if (!is_set(ENV_SLURM_JOB_ID) || !is_set(ENV_SLURM_STEP_ID) || !is_set(ENV_SLURM_LOCALID) ||
        !is_set(ENV_SLURM_STEP_TASKS_PER_NODE))
        return false;
    foreign->launcher = "srun";
    if (is_set(ENV_SLURM_NODEID))
        host = number(ENV_SLURM_NODEID, INT_MAX);
    snprintf(foreign->job, sizeof foreign->job, "slurm.%.30s.%.30s.%d", env_text(ENV_SLURM_JOB_ID),
             env_text(ENV_SLURM_STEP_ID), host);
    foreign->size =
        host >= 0 ? parse_list_entry(env_text(ENV_SLURM_STEP_TASKS_PER_NODE), host, MAX_RANKS, &n_hosts) : 0;
    foreign->rank = number(ENV_SLURM_LOCALID, MAX_RANKS - 1);
    if (foreign->size < 1)
        set_problem(foreign, ENV_SLURM_STEP_TASKS_PER_NODE);
    else if (foreign->rank < 0 || foreign->rank >= foreign->size)
        set_problem(foreign, ENV_SLURM_LOCALID);
    return foreign->size < 1 || !is_of_outer_step(foreign->size);
}

/* It does not say how many tasks a host has; on one host all. */
static bool read_flux(struct foreign *foreign)
{
    if (!is_set(ENV_FLUX_JOB_ID) || !is_set(ENV_FLUX_TASK_LOCAL_ID) || !is_set(ENV_FLUX_JOB_SIZE) ||
        !is_set(ENV_FLUX_JOB_NNODES))
        return false;
    foreign->launcher = "flux";
    snprintf(foreign->job, sizeof foreign->job, "flux.%.60s", env_text(ENV_FLUX_JOB_ID));
    take_numbers(foreign, ENV_FLUX_TASK_LOCAL_ID, ENV_FLUX_JOB_SIZE);
    if (foreign->problem[0] == '\0' && foreign->size > 1 && number(ENV_FLUX_JOB_NNODES, INT_MAX) != 1)
        snprintf(foreign->problem, sizeof foreign->problem,
                 "flux does not say how many of its tasks are on this host; start one smrrun on each");
    return true;
}

/* Those that have started at least so many processes here. */
static void read_launchers(struct foreign *foreign, int min_size)
{
    /* MPI's launchers first: under a batch system they were started by its own. */
    static bool (*const launchers[])(struct foreign * foreign) = {read_openmpi, read_mpich, read_slurm,
                                                                  read_flux};

    *foreign = (struct foreign){.size = 1};
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
        if (launchers[i](foreign) && (foreign->size >= min_size || foreign->problem[0] != '\0'))
            break;
        *foreign = (struct foreign){.size = 1};
    }
    if (foreign->problem[0] != '\0')
        foreign->launcher = NULL;
}

void foreign_read(struct foreign *foreign)
{
    const char *job = env_text(ENV_JOB);

    if (job != NULL && strcmp(job, "none") == 0)
        *foreign = (struct foreign){.size = 1};
    else
        read_launchers(foreign, 2);
}

void foreign_read_any(struct foreign *foreign)
{
    read_launchers(foreign, 1);
}
