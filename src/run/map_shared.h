/* map_shared.h: one running map, as its master and its workers know it; for the map's own files only. */
#ifndef RUN_MAP_SHARED_H
#define RUN_MAP_SHARED_H

#include <stdint.h>

#include "run/crew.h"
#include "run/results.h"
#include "sharedmem.h"
#include "team/schedule.h"

/* Private to each process: workers have the master's as of the fork. */
struct map {
    struct crew crew; /* the first: a crew's work gets it as the map */
    sharedmem_map_options options;
    struct schedule schedule;
    struct results results;
    void *block; /* in the segment: what is dealt, the team, the results */
    struct schedule_shared *dealt;
};

/* The map over np forked workers. The options are checked. Returns 0, or -1 with errno and error. */
int map_forked(const sharedmem_map_options *options, uint32_t np, sharedmem_error *error);

/* The map by the caller alone. */
int map_serial(const sharedmem_map_options *options, sharedmem_error *error);

/* What each worker does. */
void map_work(struct crew *crew);

#endif
