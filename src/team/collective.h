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

#include "memory/segment.h"
#include "team/team.h"

/* What one barrier can pass by one half of the team's board, at least. */
#define COLLECTIVE_HALF_BYTES ((size_t)512 << 10)

/*
 * A half has a slot for each rank: what is said of its data, and as much of them. It is no power of two, by
 * which the beginnings of all slots would meet in few places of the caches.
 */
#define COLLECTIVE_SLOT_HEAD  ((size_t)64)
#define COLLECTIVE_SLOT_BYTES ((size_t)16 << 10)

/* What all ranks of a team have to say alike of a collective that they make together. -1, and 0 bytes: nothing. */
struct collective_call {
    const char *name;  /* "allreduce" */
    const char *where; /* "file:line", or NULL */
    uint64_t bytes;    /* of each rank's part; or of elements, by dtype */
    int32_t dtype;
    int32_t op;
    int32_t root;
    int32_t level; /* a sharedmem_level that the team is split by; 0: it is not */
};

/*
 * Begins a collective: sets *place to the caller's in its team, which it joins where need be; NULL: it is
 * alone. Each public collective calls this first, once.
 * Returns 0, or -1 where it must not make the call (EPERM, uncaught): in a map, or between the halves of a barrier; or
 * what checking mode finds.
 */
int collective_begin(const struct collective_call *call, struct team_place **place);

/* Returns 0, or -1 where call's root is no rank (EINVAL, uncaught). */
int collective_check_root(const struct collective_call *call, const struct team_place *place);

/* What a call that ranks of a team make with each other says in a map (EPERM, uncaught). Returns -1. */
int collective_refuse_in_map(const char *name, const char *where);

/*
 * The same for a place that the caller knows, of no map. In checking mode the ranks meet, and compare what they
 * call: where a team is_checked they have met when this returns 0. -1 then also where they differ (ECANCELED,
 * the team has failed with that) or where the caller is in a region (EDEADLK, uncaught).
 */
int collective_check(const struct collective_call *call, struct team_place *place);

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
 * Sees to it that the team has a block of so many bytes, whose offset is in *block, a word of team. Ranks may do that at once:
 * the first one's stays, for good, since its memory costs more to come by than most collectives. Returns 0 or
 * an errno.
 */
int collective_put_up(struct team_shared *team, _Atomic uint64_t *block, size_t bytes);

/* Where it is, once it is up. It is aligned to 64 bytes. */
static inline char *collective_at(const _Atomic uint64_t *block)
{
    /* acquire: pairs with the release in collective_put_up(). */
    return segment_at(atomic_load_explicit(block, memory_order_acquire));
}

/* The same for the team's board, of two halves. */
int collective_put_up_board(struct team_shared *team);

/* How large a half of team's board is: in a large team what its barriers cost wants more done by each. */
static inline size_t collective_half_bytes(const struct team_shared *team)
{
    size_t slots = team->size * (COLLECTIVE_SLOT_HEAD + COLLECTIVE_SLOT_BYTES);

    return slots > COLLECTIVE_HALF_BYTES ? slots : COLLECTIVE_HALF_BYTES;
}

/* The half for barrier, once the board is up. It is aligned to 64 bytes. */
char *collective_half(const struct team_shared *team, uint32_t barrier);

/*
 * The first errno that a rank has put as its first word for barrier, since it could not do its part; 0: none
 * has. Behind that barrier, and before the caller's next.
 */
int collective_first_errno(struct team_shared *team, uint32_t barrier);

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
