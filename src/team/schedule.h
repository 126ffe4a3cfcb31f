/*
 * schedule.h: dealing items 0..n-1 to the members of a team, each item once. Dispatch is one atomic step a
 * chunk.
 */
#ifndef TEAM_SCHEDULE_H
#define TEAM_SCHEDULE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sharedmem.h"

/*
 * Beyond this, counters of items and chunks could overflow; it is more than any machine can count to in
 * years.
 */
#define SCHEDULE_MAX_ITEMS ((size_t)1 << 48)

/* What callers give, checked. Each returns 0, or -1 with errno EINVAL and error. call: "map", to be named. */
int schedule_check_n(const char *call, size_t n, sharedmem_error *error);
int schedule_check_kind(const char *call, int32_t kind, sharedmem_error *error);

/* What all members know alike. */
struct schedule {
    sharedmem_schedule kind;
    uint32_t n_ranks;
    uint64_t n;
    uint64_t chunk;     /* items at a time; guided: at least; static: 0 is equal blocks */
    uint64_t chunk_max; /* guided: at most */
    uint64_t origin;    /* what next is at item 0 */
};

/* What they share: a line of its own, since every dispatch writes it. Zeroed is fresh where origin is 0. */
struct schedule_shared {
    _Atomic uint64_t next; /* origin and the first item not dealt yet (not for static) */
    _Atomic uint64_t loop; /* of the ranks of a team: which loop it is (loop.c) */
    char unused[48];
};

/* One member's part. Zeroed is a fresh one. */
struct schedule_turn {
    uint64_t n_taken; /* chunks so far (static) */
    bool is_over;     /* it was told that there are no more (dynamic) */
};

/*
 * Takes rank's next chunk: items *begin to *end - 1. Returns false where there are no more for it.
 * origin, n and n_ranks * chunk must add up to less than UINT64_MAX; a rank has one turn for the whole of it.
 */
bool schedule_next(const struct schedule *schedule, struct schedule_shared *shared,
                   struct schedule_turn *turn, uint32_t rank, uint64_t *begin, uint64_t *end);

/* How many items the chunk has that begins at next, less than n: for who deals himself. Not for static. */
uint64_t schedule_chunk(const struct schedule *schedule, uint64_t next);

#endif
