/*
 * team.h: a team's control block, ranks 0..size-1, and which team the calling code works for.
 *
 * The first error ends the team: who fails writes its error beside its rank, then claims to be the first, and
 * all others stop at their next step.
 */
#ifndef TEAM_TEAM_H
#define TEAM_TEAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sharedmem.h"

/* In the segment; a line of its own that is written only at the end. */
struct team_shared {
    uint32_t size;
    _Atomic uint32_t stopping; /* no more items are to be begun */
    _Atomic uint32_t first;    /* 1 + the rank whose error came first; 0: none has failed */
    char unused[52];
    sharedmem_error errors[]; /* one a rank; pages that nobody touches while nobody fails */
};

/* How many bytes a team of size needs: at most about 64 MiB, for 16,383. */
size_t team_bytes(uint32_t size);

/* Lays a team into memory of team_bytes(size), of whatever content. */
void team_init(struct team_shared *team, uint32_t size);

/* Rank failed with error: it is kept, and first if nobody was before. The team stops. */
void team_fail(struct team_shared *team, uint32_t rank, const sharedmem_error *error);

/* The error that came first, or NULL. */
const sharedmem_error *team_first_error(const struct team_shared *team);

/* Tells all to begin nothing more. */
void team_stop(struct team_shared *team);

/* Whether somebody said so. */
static inline bool team_is_stopping(const struct team_shared *team)
{
    /* relaxed: a late look costs one more item, nothing else hangs on it. */
    return atomic_load_explicit(&team->stopping, memory_order_relaxed) != 0;
}

/*
 * From now on this process works as rank of a team of size; what sharedmem_rank() and sharedmem_size() tell.
 */
void team_enter(uint32_t rank, uint32_t size);

#endif
