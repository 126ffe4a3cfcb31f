/*
 * plan.h: how many ranks, with how many threads each, on which processors: decided before anything starts,
 * from the options, the batch system's grant and the machine.
 */
#ifndef SMRRUN_PLAN_H
#define SMRRUN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/binding.h"
#include "host/topology.h"
#include "smrrun/batch.h"
#include "smrrun/options.h"

/* The machine as far as the plan needs it. */
struct plan_machine {
    const struct topology *topology; /* what this process may use; NULL: not known, or not needed */
    int n_pus;                       /* processors that this process may use; 0: not known */
    int quota;                       /* processors' worth of time by the cgroup's quota; 0: none */
    bool has_omp_threads;            /* OMP_NUM_THREADS is set */
    long omp_threads;                /* its first number, or 0 where it is malformed */
};

struct plan {
    int n_ranks;
    int n_threads;                /* what OMP_NUM_THREADS is set to; 0: it stays as it is */
    struct binding_plan *binding; /* NULL: nobody is bound */
    int crowd;                    /* so many ranks share a processor; 0: none do, as far as that is known */
    bool is_default;              /* nobody said how many ranks */
    char source[160];             /* what n_ranks is from */
    char unbound[160];            /* why nobody is bound; "" where they are, or it was asked for */
    char warning[256];            /* one line, or "" */
};

/* Whether the plan needs to know the topology, machine->topology not being known yet. */
bool plan_needs_topology(const struct options *options, const struct batch *batch,
                         const struct plan_machine *machine);

/*
 * Makes the plan; pure. message: what is wrong and what to type instead, one line, where it cannot be made.
 * Owner: the caller, plan_fini(). Returns 0 or -1.
 */
int plan_make(struct plan *plan, const struct options *options, const struct batch *batch,
              const struct plan_machine *machine, char *message, size_t size);

void plan_fini(struct plan *plan);

/* "cpus 6-7 (package 0 cores 6-7)" for the processors of which has says so; "unbound" where all are. */
void plan_describe(const struct topology *topology, bool (*has)(int os_index, const void *argument),
                   const void *argument, char *text, size_t size);

/* The same for rank by the plan. */
void plan_describe_rank(const struct plan *plan, const struct topology *topology, int rank, char *text,
                        size_t size);

#endif
