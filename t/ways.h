/*
 * ways.h: who does a map's items, and how they are dealt: what does not change its results. For tests that
 * ask the same of all.
 */
#ifndef T_WAYS_H
#define T_WAYS_H

#include <stdbool.h>
#include <stdlib.h>

#include <sharedmem.h>

#include "tap.h"

struct way {
    const char *name;
    int backend, schedule;
    sharedmem_pool *pool;
    int pool_size;
    bool is_alone; /* no two items at the same time */
};

static inline int way_map(const struct way *way, sharedmem_map_options options)
{
    options.backend = way->backend;
    options.schedule = way->schedule;
    options.pool = way->pool;
    if (way->pool != NULL && options.np > way->pool_size)
        options.np = way->pool_size;
    return sharedmem_map_with(&options, sizeof options);
}

/* sharedmem_map(), by way. */
#define MAP(way, ...) way_map((way), (sharedmem_map_options){__VA_ARGS__, .where = SHAREDMEM_HERE})

/* Calls test for each of them. What a pool's workers need must be in shared memory before. */
static inline void ways_test(void (*test)(const struct way *way), int pool_size)
{
    sharedmem_pool *pool = sharedmem_pool_create(pool_size, NULL);
    struct way ways[] = {{.name = "processes"},
                         {.name = "pool", .pool = pool, .pool_size = pool_size},
                         {.name = "threads", .backend = SHAREDMEM_THREADS},
                         {.name = "serial", .backend = SHAREDMEM_SERIAL, .is_alone = true}};

    for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
        for (ways[k].schedule = SHAREDMEM_GUIDED; ways[k].schedule <= SHAREDMEM_STATIC; ways[k].schedule++) {
            /* There each has one schedule, and another than the one before. */
            if (!test_under_valgrind() || (k + (size_t)ways[k].schedule) % 3 == 0)
                test(&ways[k]);
        }
    }
    sharedmem_pool_destroy(pool);
}

#endif
