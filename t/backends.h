/*
 * backends.h: all the ways in which a map can be done, for tests that say the same of each.
 *
 *     for (size_t w = 0; w < N_WAYS; w++) {
 *         if (way_is_possible(&ways[w]))
 *             test_int(0, way_map(&ways[w], pool, &(sharedmem_map_options){...}), "%s: ...", ways[w].name);
 *     }
 *
 * What work needs must lie in shared memory: the workers of a pool were forked before.
 */
#ifndef T_BACKENDS_H
#define T_BACKENDS_H

#include <sharedmem.h>

#include "tap.h"

struct way {
    const char *name;
    int backend;
    bool has_pool;
    bool is_debug;
};

static const struct way ways[] = {
    {"processes", SHAREDMEM_PROCESSES, false, false}, {"threads", SHAREDMEM_THREADS, false, false},
    {"serial", SHAREDMEM_SERIAL, false, false},       {"pool", SHAREDMEM_PROCESSES, true, false},
    {"debug mode", SHAREDMEM_PROCESSES, false, true},
};

#define N_WAYS (sizeof ways / sizeof *ways)

/* Whether workers are processes. */
static inline bool way_forks(const struct way *way)
{
    return way->backend == SHAREDMEM_PROCESSES && !way->is_debug;
}

/* Whether more than one item is done at a time. */
static inline bool way_is_parallel(const struct way *way)
{
    return way->backend != SHAREDMEM_SERIAL && !way->is_debug;
}

/* The thread sanitizer sees one process, and none of its own after a fork among threads. */
static inline bool way_is_possible(const struct way *way)
{
    return !way_forks(way) || !test_thread_sanitized();
}

/* The map of options, done that way. Keeps errno. */
static inline int way_map(const struct way *way, sharedmem_pool *pool, const sharedmem_map_options *given)
{
    sharedmem_map_options options = *given;
    bool before = sharedmem_set_debug(way->is_debug);
    int result;

    options.backend = way->backend;
    options.pool = way->has_pool ? pool : NULL;
    result = sharedmem_map_with(&options, sizeof options);
    sharedmem_set_debug(before);
    return result;
}

#endif
