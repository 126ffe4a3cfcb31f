/*
 * move.h: the calls in which each rank has one part of a whole: the parts come together in one rank's
 * memory or in that of all, or one rank deals them out.
 *
 * Each part is copied once where its memory, or the place that it goes to, is shared; and not at all where
 * that is the same. From private memory to private memory it goes by the board. Parts of up to
 * COLLECTIVE_SLOT_BYTES all do, and take one barrier.
 */
#ifndef TEAM_MOVE_H
#define TEAM_MOVE_H

#include <stddef.h>
#include <stdint.h>

#include "team/team.h"

enum move_way { MOVE_GATHER, MOVE_ALLGATHER, MOVE_SCATTER };

struct move {
    struct team_place *place; /* NULL: alone */
    const char *name, *where; /* of the call */
    enum move_way way;
    uint32_t root;  /* not for MOVE_ALLGATHER */
    const char *in; /* MOVE_SCATTER: the whole, used in root; else this rank's part */
    char
        *out; /* MOVE_SCATTER: for this rank's part; else for the whole, where that is wanted. in: in place */
    size_t bytes; /* of this rank's part */
    /*
     * Where parts may differ: the bytes of each, and where in the whole it begins (NULL: behind the one
     * before). In root only, or in all ranks. has_sizes is the same in all ranks.
     */
    const size_t *sizes, *offsets;
    bool has_sizes;
};

/*
 * Makes the call, whose arguments are checked but for what only other ranks can know: a part that is not as
 * large as who has the sizes says is an uncaught usage error (EINVAL) in all ranks.
 * Returns 0, or -1 with errno: EINVAL, ENOMEM in all ranks alike, ECANCELED.
 */
int move_parts(const struct move *move);

#endif
