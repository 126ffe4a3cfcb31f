/* pool.h: a map by a pool, and whether it was right, for the tests of pools. */
#ifndef T_POOL_H
#define T_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include <sharedmem.h>

static inline int twice(size_t i, void *result, void *context)
{
    (void)context;
    *(size_t *)result = 2 * i;
    return 0;
}

/* Of n items, 500 at most. np: 0 is all of the pool. */
static inline bool map_is_right(sharedmem_pool *pool, int np, size_t n)
{
    size_t results[500] = {0};
    bool good = sharedmem_map(n, twice, NULL, .pool = pool, .np = np, .results = results,
                              .result_size = sizeof *results) == 0;

    for (size_t i = 0; i < n; i++)
        good &= results[i] == 2 * i;
    return good;
}

#endif
