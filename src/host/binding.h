/*
 * binding.h: which processing units each rank gets. The plan is a pure function of topology, number of ranks
 * and policy, to be printed, and tested on machines that nobody here has; binding_apply() carries it out.
 */
#ifndef HOST_BINDING_H
#define HOST_BINDING_H

#include <stdbool.h>
#include <stddef.h>

#include "host/topology.h"

enum binding_policy {
    BINDING_NONE, /* nobody is bound */
    /* Equal shares of whole cores; more ranks than cores: a processing unit each; more than those: none. */
    BINDING_SHARE
};

/*
 * The plan: rank r gets processing units pus[r * width] to pus[(r + 1) * width - 1], their os_index rising.
 * width 0: nobody is bound. Where cores have different numbers of processing units a rank may get fewer than
 * width: the rest of its row is -1.
 */
struct binding_plan {
    bool is_this_machine; /* as the topology's: where not, binding_apply() does nothing */
    int n_ranks;
    int width;
    int cores_per_rank; /* whole cores in each share; 0 where ranks share cores or are not bound */
    int *pus;
};

/*
 * Plans for n_ranks ranks.
 *
 * topology: may be NULL for NONE.
 * SHARE gives each rank the same number of whole cores, cores / n_ranks rounded down; cores that do not
 * divide stay unused. Ranks are dealt evenly to packages, then to NUMA nodes, then to L3 caches, as far as
 * each has room, so that ranks that follow each other are adjacent. Shares cross the border of an L3, a node
 * or a package only where not all of them fit in without, and that of the smallest rather than that of a
 * larger one.
 * Owner: the caller, binding_plan_destroy().
 * Returns NULL with errno ENOMEM or EINVAL (n_ranks < 1).
 */
struct binding_plan *binding_plan_create(const struct topology *topology, int n_ranks,
                                         enum binding_policy policy);

/* Frees it. NULL is fine. Keeps errno. */
void binding_plan_destroy(struct binding_plan *plan);

/*
 * Binds the calling thread as rank's row says; width 0, or a plan for another machine, leaves it as it is.
 * Async-signal-safe.
 * Returns 0, or -1 with errno: EINVAL where there is no such rank or processor.
 */
int binding_apply(const struct binding_plan *plan, int rank);

/* The rank whose row has the processor that the calling thread runs on now; -1: none has. */
int binding_rank_here(const struct binding_plan *plan);

/*
 * Writes rank's row as a list like "0-3,8" into text (cut to size). Returns its length as snprintf does.
 * "unbound" where width is 0.
 */
int binding_format(const struct binding_plan *plan, int rank, char *text, size_t size);

#endif
