/*
 * binding.h: which processing units each rank gets. The plan is a pure function of topology, number of ranks
 * and policy, to be printed, and tested on machines that nobody here has; binding_apply() carries it out.
 */
#ifndef HOST_BINDING_H
#define HOST_BINDING_H

#include <sys/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "host/topology.h"

/* What a rank is bound to. */
enum binding_policy {
    BINDING_NONE, /* nobody is bound */
    BINDING_SHARE, /* its share: whole cores, as many for each; more ranks than cores: a processing unit each */
    BINDING_CORE, /* the first core of its share, or as many as it asked for */
    BINDING_PU,   /* the first processing unit of its share */
    BINDING_L3,   /* all that is behind the cache, node or package that its share lies in */
    BINDING_NUMA,
    BINDING_PACKAGE
};

/* Where shares lie. */
enum binding_map {
    BINDING_SPREAD, /* dealt evenly to packages, NUMA nodes and caches; ranks that follow each other adjacent */
    BINDING_CLOSE, /* side by side from the first core on */
    BINDING_BY_L3, /* ranks in turn to caches, nodes or packages, side by side in each */
    BINDING_BY_NUMA,
    BINDING_BY_PACKAGE
};

struct binding_request {
    int n_ranks;
    enum binding_policy policy;
    enum binding_map map;
    int cores;      /* of each share; 0: what an equal share has, with CLOSE one */
    int per_object; /* with BY_...: so many ranks at most on each, one after the other; 0: in turn */
    bool use_smt;   /* each processing unit counts as a core */
    int threads;    /* so many cores each rank can use; 0: nobody knows. Where cores differ, see below */
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
 * Plans for the ranks of a request.
 *
 * topology: may be NULL for NONE.
 * All shares have the same number of whole cores: what is asked for, else cores / n_ranks rounded down; cores that
 * do not divide stay unused. More ranks than cores get a processing unit each; more than those are not bound.
 * SPREAD deals ranks evenly to packages, then to NUMA nodes, then to L3 caches, as far as each has room. Shares
 * cross the border of an L3, a node or a package only where not all of them fit in without, and that of the
 * smallest rather than that of a larger one. Of the objects of BY_... none is crossed: shares are as large as lets
 * all fit in.
 * Where cores differ in speed the fast ones come first: slower ones are used where ranks need more cores than the
 * fast ones are, or one rank is alone; and shares are as large as lets each be of equal cores. A rank needs
 * `cores`, else `threads`, else one.
 * Owner: the caller, binding_plan_destroy().
 * Returns NULL with errno ENOMEM; EINVAL: n_ranks < 1; or ENOSPC: so many do not fit, as they ask for more cores
 * than there are, or per_object is too small.
 */
struct binding_plan *binding_plan_make(const struct topology *topology,
                                       const struct binding_request *request);

/* The same by policy alone, SHARE or NONE, spread. */
struct binding_plan *binding_plan_create(const struct topology *topology, int n_ranks,
                                         enum binding_policy policy);

/* How many objects BY_... deals ranks to. */
int binding_count_objects(const struct topology *topology, enum binding_map map);

/* Frees it. NULL is fine. Keeps errno. */
void binding_plan_destroy(struct binding_plan *plan);

/*
 * Binds the calling thread as rank's row says; width 0, or a plan for another machine, leaves it as it is.
 * Async-signal-safe.
 * Returns 0, or -1 with errno: EINVAL where there is no such rank or processor.
 */
int binding_apply(const struct binding_plan *plan, int rank);

/* The same for thread tid; a pid is its first thread's. */
int binding_apply_to(const struct binding_plan *plan, int rank, pid_t tid);

/* The rank whose row has the processor that the calling thread runs on now; -1: none has. */
int binding_rank_here(const struct binding_plan *plan);

/*
 * Writes rank's row as a list like "0-3,8" into text (cut to size). Returns its length as snprintf does.
 * "unbound" where width is 0.
 */
int binding_format(const struct binding_plan *plan, int rank, char *text, size_t size);

#endif
