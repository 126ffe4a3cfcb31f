/*
 * place_plan.h: which bytes of a block are to lie on which NUMA nodes, for ranks that are bound. A pure
 * function of topology, binding and size: tested on machines that nobody here has.
 */
#ifndef RUN_PLACE_PLAN_H
#define RUN_PLACE_PLAN_H

#include <stddef.h>

#include "host/binding.h"
#include "host/topology.h"
#include "sharedmem.h"

/* Bytes begin to end - 1 lie on n_nodes nodes, in turn. */
struct place_area {
    size_t begin, end;
    int first_node; /* where they are in the plan's nodes */
    int n_nodes;    /* 0: whoever touches a page first has it near */
};

struct place_plan {
    int n_spread; /* how many nodes the ranks are near to; where it is 1 there are no areas */
    int n_areas;
    struct place_area *areas; /* in order, without gaps; neighbours differ in their nodes */
    int *nodes;               /* as the kernel counts them, rising within an area */
};

/*
 * Plans for bytes, in multiples of unit, and n_ranks ranks that are bound by binding: rank r as its row
 * r % binding->n_ranks says. A row without processors of topology, or binding NULL or of width 0, stands for
 * all of the topology's.
 * Owner: the caller, place_plan_destroy(). Returns NULL with errno ENOMEM.
 */
struct place_plan *place_plan_create(const struct topology *topology, const struct binding_plan *binding,
                                     int n_ranks, enum sharedmem_placement how, size_t bytes, size_t unit);

/* Frees it. NULL is fine. Keeps errno. */
void place_plan_destroy(struct place_plan *plan);

#endif
