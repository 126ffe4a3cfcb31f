/*
 * moving.h: a call of move.h under way in one rank: the parts, as far as it knows them,
 * whose they are, and where.
 */
#ifndef TEAM_MOVING_H
#define TEAM_MOVING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "team/announce.h"
#include "team/collective.h"
#include "team/move.h"

/* What a slot of the board begins with: what only root knows of a rank's part, where parts differ. */
struct slot_shared {
    uint64_t offset; /* in the whole */
    uint64_t bytes;
    uint64_t start; /* in the stream: the large parts, one behind the other */
    uint64_t total; /* of the stream */
};

_Static_assert(sizeof(struct slot_shared) <= COLLECTIVE_SLOT_HEAD, "data lie behind the head");

/* One part, as far as this rank knows it. */
struct part {
    uint32_t rank;
    struct slot_shared is;
};

/* A call under way in one rank. */
struct moving {
    const struct move *move;
    struct team_shared *team;
    uint32_t me;
    uint32_t barrier; /* the one behind what the ranks announce */
    bool has_whole;   /* this rank has the whole, or gets it, and knows all parts */
    struct part mine;
    struct announce_ranks sources, intos; /* whose memory is shared; once there are large parts */
};

static inline bool moving_is_large(const struct part *part)
{
    return part->is.bytes > COLLECTIVE_SLOT_BYTES;
}

/*
 * All parts that this rank knows: all, or its own.
 *
 *     for (struct part part = moving_first(moving); moving_has(moving, &part); part = moving_next(moving, &part))
 */
struct part moving_first(const struct moving *moving);
bool moving_has(const struct moving *moving, const struct part *part);
struct part moving_next(const struct moving *moving, const struct part *part);

/* This rank's own; where parts differ, and it does not know all, the rest is learnt from root. */
struct part moving_find_mine(const struct moving *moving);

/* Whether this rank has the part, or wants it; its own from its own memory may be both. */
bool moving_owns(const struct moving *moving, const struct part *part);
bool moving_wants(const struct moving *moving, const struct part *part);

/* Where the owner has the part, and where it goes to in a rank that wants it. */
const char *moving_source(const struct moving *moving, const struct part *part);
char *moving_place(const struct moving *moving, const struct part *part);

/*
 * Where others find it that is shared, and where its owner can put it itself; NULL: nowhere. Before the next
 * barrier.
 */
const char *moving_shared_source(const struct moving *moving, const struct part *part);
char *moving_shared_place(const struct moving *moving, const struct part *part);

#endif
