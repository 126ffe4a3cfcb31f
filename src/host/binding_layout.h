/*
 * binding_layout.h: a binding plan while it is made. binding_plan.c places shares; binding_layout.c makes the plan's
 * rows of them.
 */
#ifndef HOST_BINDING_LAYOUT_H
#define HOST_BINDING_LAYOUT_H

#include "host/binding.h"

/*
 * A share is a run of units: whole cores, or single processing units where ranks outnumber the cores. Domains
 * are runs of units too, because hwloc's order keeps what belongs together together. A level is what one kind
 * of domain splits; the levels below are split inside of it.
 */
enum binding_kind { KIND_PACKAGE, KIND_NUMA, KIND_L3, KIND_SPEED, KIND_CORE, N_KINDS };

struct binding_layout {
    const struct topology *topology;
    const struct binding_request *request;
    bool by_core;    /* units are cores */
    bool is_close;   /* domains are filled one after the other */
    bool has_speeds; /* units differ in speed */
    int n_units;
    int *first_pu;   /* of each unit, and behind the last one n_pus */
    int share_units; /* in each share */
    int n_levels;    /* without that of cores where the units are cores */
    enum binding_kind levels[N_KINDS];
    int n_placed;
    int *share_start; /* of each rank placed so far: its first unit */
};

/*
 * Fills the plan of shares that all lie somewhere: its rows, by the request's policy, and cores_per_rank.
 * Returns 0, or -1 with errno ENOMEM.
 */
int binding_layout_fill(const struct binding_layout *layout, struct binding_plan *plan);

#endif
