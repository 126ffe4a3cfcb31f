/*
 * fault_ranks.h: parallel calls in which one rank is killed between two stores, for tests of what ranks do together.
 * The body arms fault_arm(shared->step) in rank shared->bad, and counts itself in shared->done at its end.
 */
#ifndef T_FAULT_RANKS_H
#define T_FAULT_RANKS_H

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include <sharedmem.h>

#include "memory/heap.h"
#include "tap.h"

struct fault_ranks {
    size_t bad;
    unsigned long step, n_steps; /* when it dies; and how many steps the call had, where it did not */
    _Atomic size_t done;
    _Atomic int wrong; /* what the body has found */
};

static struct fault_ranks *shared;

static inline uint64_t blocks(void)
{
    struct heap_statistics statistics;

    heap_statistics_read(&statistics);
    return statistics.n_blocks;
}

/* One call in which who dies at its step'th store, or lives if there are less. Returns what is wrong. */
static inline int die_once(sharedmem_function *body, const void *context, int np, size_t who, unsigned long step,
                           int *died)
{
    uint64_t before = blocks();
    sharedmem_error error;
    int wrong, result;

    memset(shared, 0, sizeof *shared);
    shared->bad = who;
    shared->step = step;
    result = sharedmem_parallel(np, body, (void *)(uintptr_t)context, .error = &error);
    if (result == 0)
        wrong = shared->done != (size_t)np;
    else
        wrong = error.kind != SHAREDMEM_ERROR_SIGNAL || error.rank != (int)who || errno != ECANCELED;
    *died += result != 0;
    /* A dead member's block in flight may be lost, no more. */
    return wrong + (blocks() > before + (result != 0)) + (shared->wrong != 0) + (heap_check(NULL) != 0) +
           (test_children() != 0);
}

#endif
