/* map_shared.h: one running map, as its master and its workers know it; for the map's own files only. */
#ifndef RUN_MAP_SHARED_H
#define RUN_MAP_SHARED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/binding.h"
#include "run/results.h"
#include "sharedmem.h"
#include "team/schedule.h"
#include "team/supervise.h"
#include "team/team.h"

/* A worker's line: it alone writes, the master reads once it has ended. */
struct map_worker_shared {
    _Atomic uint64_t item; /* what it works on, or SHAREDMEM_NO_ITEM */
    _Atomic uint32_t left; /* it came to its end by itself: it did all, or its error is in the team */
    char unused[52];
};

/* Private to each process: workers have the master's as of the fork. */
struct map {
    sharedmem_map_options options;
    uint32_t np;
    uint32_t next_rank; /* the one that is being forked; then each worker's own */
    uint32_t next_member;
    struct schedule schedule;
    struct results results;
    const struct binding_plan *plan; /* NULL: workers are not bound */

    /* In the segment, one block. */
    void *block;
    struct schedule_shared *dealt;
    struct map_worker_shared *workers;
    struct team_shared *team;

    /* The master's alone. */
    struct supervise children;
    sharedmem_error *error; /* filled once, by the first failure */
    bool failed;
    uint64_t kill_at_ns; /* failed: when those that still run are ended */
};

/* The map over forked workers. The options are checked. Returns 0, or -1 with errno and error. */
int map_forked(const sharedmem_map_options *options, uint32_t np, sharedmem_error *error);

/* The map by the caller alone. */
int map_serial(const sharedmem_map_options *options, sharedmem_error *error);

/* A worker's whole life, in its process: argument is the struct map. Does not return. */
void map_worker(void *argument);

/*
 * Fills error for item i of the map failing with code in rank of this process: what the user said, or a
 * sentence.
 */
void map_item_error(sharedmem_error *error, uint32_t rank, uint64_t i, int code);

/* The same for reduce, on the master. */
void map_reduce_error(sharedmem_error *error, uint64_t i, int code);

/* Fills error for a worker that ended before it was done. */
void map_death_error(sharedmem_error *error, const struct supervise_child *child, uint64_t item);

#endif
