/*
 * results.h: where the results of a map's items go, and how they come to the master.
 *
 * Where results are shared memory and nothing is reduced, workers write them in place and that is all. Else
 * they are drained: a worker writes into a slot (or in place, where that is shared) and sets the item's flag;
 * the master takes them by rising index. Slots and flags are a ring, a window on the items: a worker that is
 * a window ahead of the master waits for it.
 *
 * That never deadlocks as long as chunks are dealt by rising index and done in order: the worker that has the
 * lowest item not taken yet always has room for it. A static schedule deals otherwise, and gets a window of
 * all items.
 */
#ifndef RUN_RESULTS_H
#define RUN_RESULTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/doorbell.h"
#include "sharedmem.h"
#include "team/schedule.h"
#include "team/team.h"

/* Each line has one writer side: the master, or whoever sleeps. */
struct results_shared {
    _Atomic uint64_t drained; /* items below it have been taken */
    _Atomic uint32_t turn;    /* counts changes of drained: the futex word of workers that wait for room */
    char unused[52];
    _Atomic uint32_t waiting_workers;
    _Atomic uint32_t master_sleeps; /* ring the doorbell when item `drained` is done */
    char unused2[56];
};

/* Every process of the map has its copy. */
struct results {
    char *in_place;  /* shared memory for all results, or NULL */
    char *copy_to;   /* private memory of the master for all results, or NULL */
    size_t size;     /* bytes of one result; 0: there are none */
    size_t stride;   /* bytes of a slot; 0: no slots */
    uint64_t window; /* slots and flags, a power of two; 0: not drained */
    struct results_shared *shared;
    _Atomic uint8_t *done;    /* flags, by item modulo window */
    char *slots;              /* by item modulo window */
    uint32_t master;          /* the master's member id: workers wait for it */
    struct doorbell doorbell; /* wakes the master; none where not drained */
};

/*
 * Decides how results go, by the options and the schedule (whose chunk_max it sets). Pure, but for asking
 * whether .results is shared memory.
 */
void results_plan(struct results *results, const sharedmem_map_options *options, struct schedule *schedule);

/* How much shared memory the plan needs; SIZE_MAX where that overflows. */
size_t results_bytes(const struct results *results);

/* Puts the plan into memory of that many bytes, aligned to 64. */
void results_bind(struct results *results, void *memory);

/*
 * Worker: where item i's result goes, in *result (NULL where there are none); waits for room. It holds what
 * .results held, zeroes where there is no .results.
 * Returns false where the team stopped meanwhile, or the master is gone.
 */
bool results_begin(const struct results *results, const struct team_shared *team, uint64_t i,
                   const char *where, void **result);

/* Worker: item i's result is complete. */
void results_end(const struct results *results, uint64_t i);

/*
 * Master: takes the results that are complete, by rising index, and calls taken for each, where it is not
 * NULL.
 * Stops where that returns non-zero, and returns that; *next is then the item it was for, else the first not
 * taken.
 */
int results_drain(struct results *results, uint64_t n, sharedmem_function *taken, void *context,
                  uint64_t *next);

/* Master: it is about to sleep. Returns whether it may: the next result is not complete yet. */
bool results_sleep(const struct results *results);
void results_wake_up(const struct results *results);

#endif
