/*
 * collective.h: what the calls have in common in which all ranks of a team meet. collective.c says why nobody
 * overwrites what another still reads.
 */
#ifndef TEAM_COLLECTIVE_H
#define TEAM_COLLECTIVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "team/team.h"

/* What one barrier can pass by one half of the team's board. */
#define COLLECTIVE_HALF_BYTES ((size_t)512 << 10)

/* What all ranks of a team have to say alike of a collective that they make together. -1, and 0 bytes: nothing. */
struct collective_call {
    const char *name;  /* "allreduce" */
    const char *where; /* "file:line", or NULL */
    uint64_t bytes;    /* of each rank's part; or of elements, by dtype */
    int32_t dtype;
    int32_t op;
    int32_t root;
};

/*
 * Begins a collective: sets *place to the caller's in its team, which it joins where need be; NULL: it is
 * alone. Each public collective calls this first, once.
 * Returns 0, or -1 where it must not make the call (EPERM, uncaught): in a map.
 */
int collective_begin(const struct collective_call *call, struct team_place **place);

static inline bool collective_is_alone(const struct team_place *place)
{
    return place == NULL || place->team->size == 1;
}

/* The words that rank puts, or has put, for barrier. */
static inline _Atomic uint64_t *collective_words(struct team_shared *team, uint32_t rank, uint32_t barrier)
{
    return team->ranks[rank].words[barrier % 2];
}

/* relaxed, both: the barrier between them orders them. */
static inline void collective_put(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static inline uint64_t collective_get(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/*
 * Sees to it that the team has its board, of two halves. Ranks may do that at once: the first one's stays,
 * for good, since its memory costs more to come by than most collectives. Returns 0 or an errno.
 */
int collective_put_up_board(struct team_shared *team);

/* The half for barrier, once the board is up. It is aligned to 64 bytes. */
char *collective_half(const struct team_shared *team, uint32_t barrier);

/*
 * A barrier, after which all ranks have the address of count * size bytes that rank 0 has allocated, all
 * zero. The block is pending then. Returns NULL in all ranks alike, or where the team has failed, with errno.
 */
void *collective_allocate(struct team_place *place, size_t count, size_t size, const char *where);

/*
 * Sets the block that is the team's until rank 0 sets none, 0, at the end of a call: where the call comes to
 * none rank 0 is told so, but cannot know whether all others were, and leaves the block to team_free_blocks().
 */
void collective_set_pending(struct team_shared *team, uint64_t offset);

#endif
