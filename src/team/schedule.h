/*
 * schedule.h: dealing items 0..n-1 to the members of a team, each item once. Dispatch is one atomic step a
 * chunk.
 */
#ifndef TEAM_SCHEDULE_H
#define TEAM_SCHEDULE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sharedmem.h"

/* What all members know alike. */
struct schedule {
    sharedmem_schedule kind;
    uint32_t n_ranks;
    uint64_t n;
    uint64_t chunk;     /* items at a time; guided: at least; static: 0 is equal blocks */
    uint64_t chunk_max; /* guided: at most */
};

/* What they share: a line of its own, since every dispatch writes it. Zeroed memory is a fresh one. */
struct schedule_shared {
    _Atomic uint64_t next; /* the first item not dealt yet (not for static) */
    char unused[56];
};

/* One member's part. Zeroed is a fresh one. */
struct schedule_turn {
    uint64_t n_taken; /* chunks so far (static) */
    bool is_over;     /* it was told that there are no more (dynamic) */
};

/*
 * Takes rank's next chunk: items *begin to *end - 1. Returns false where there are no more for it.
 * n and n_ranks * chunk must add up to less than UINT64_MAX; a rank has one turn for the whole of it.
 */
bool schedule_next(const struct schedule *schedule, struct schedule_shared *shared,
                   struct schedule_turn *turn, uint32_t rank, uint64_t *begin, uint64_t *end);

#endif
