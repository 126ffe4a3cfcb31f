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

/* What a flag says of its item. */
enum results_flag {
    RESULTS_OPEN,   /* not complete */
    RESULTS_DONE,   /* complete, not taken */
    RESULTS_TAKEN,  /* taken, but an earlier one is not */
    RESULTS_SKIPPED /* it will never be complete: nothing to take */
};

/* Each line has one writer side: the master, or whoever sleeps. */
struct results_shared {
    _Atomic uint64_t drained; /* items below it have been taken */
    _Atomic uint32_t turn;    /* counts changes of drained: the futex word of workers that wait for room */
    char unused[52];
    _Atomic uint32_t waiting_workers;
    _Atomic uint32_t master_sleeps; /* enum results_sleep */
    _Atomic uint64_t wake_at;       /* RESULTS_SLEEPS: ring the doorbell when this item is done */
    char unused2[48];
};

enum results_sleep { RESULTS_AWAKE, RESULTS_SLEEPS, RESULTS_SLEEPS_FOR_ANY };

/* Every process of the map has its copy. */
struct results {
    char *in_place;  /* memory of all workers for all results, or NULL */
    char *copy_to;   /* private memory of the master for all results, or NULL */
    size_t size;     /* bytes of one result; 0: there are none */
    size_t stride;   /* bytes of a slot; 0: no slots */
    uint64_t window; /* slots and flags, a power of two; 0: not drained */
    uint32_t shift;  /* its logarithm: how often the ring went round before item i, its lap, is i >> shift */
    uint64_t n;      /* items; more than any map has: not known */
    bool as_done;    /* they are taken as they come */
    bool is_eager;   /* who takes them may be slow: room is given back at once */
    bool is_loaded;  /* slots are given what copy_to holds by the master: workers don't see that */
    struct results_shared *shared;
    _Atomic uint8_t *done;    /* flags (enum results_flag, and of which lap), by item modulo window */
    char *slots;              /* by item modulo window */
    uint32_t master;          /* the master's member id: workers wait for it */
    struct doorbell doorbell; /* wakes the master; none where not drained */
};

/*
 * Decides how results go, by the options and the schedule (whose chunk_max it sets). Pure, but for asking
 * whether .results is shared memory. Results are drained where somebody takes them, or wants to know of each.
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

/* The same where nothing is drained: there is always room. */
static inline void *results_in_place(const struct results *results, uint64_t i)
{
    return results->in_place != NULL ? results->in_place + i * results->size : NULL;
}

/* Worker: item i's result is complete. */
void results_end(const struct results *results, uint64_t i);

/* Whether there is room for item i's result: else its worker waits for the master. */
bool results_has_room(const struct results *results, uint64_t i);

/* Whether item i is complete, or never will be: nothing is left to do for it. */
bool results_has(const struct results *results, uint64_t i);

/* Master: who did item i is gone before it was complete; its result is to begin as it did. */
void results_reset(const struct results *results, uint64_t i);

/* Master: item i will never be complete. */
void results_skip(const struct results *results, uint64_t i);

/*
 * Master: takes the results below limit that are complete, and calls taken for each, where it is not NULL: by
 * rising index up to the first that is not complete, or as_done all.
 * Stops where that returns non-zero, and returns that; *item is then the one it was for.
 */
int results_drain(struct results *results, uint64_t limit, sharedmem_function *taken, void *context,
                  uint64_t *item);

/* The same at the end, by rising index over gaps: what is complete is taken, whatever lies before it. */
int results_drain_rest(struct results *results, sharedmem_function *taken, void *context, uint64_t *item);

/* How many are taken, of those below the first that is not. */
uint64_t results_drained(const struct results *results);

/*
 * Master: it is about to sleep until the item `ahead` places behind the next one, or as_done any below limit, is
 * complete. Returns whether it may: that is not so yet.
 */
bool results_sleep(const struct results *results, uint64_t limit, uint64_t ahead);
void results_wake_up(const struct results *results);

#endif
