/*
 * exchange.h: each rank has a part for each other, and gets one of each.
 *
 * Parts are copied as those of move.h: from shared memory by who gets them, into shared memory by who has
 * them, else by the board.
 */
#ifndef TEAM_EXCHANGE_H
#define TEAM_EXCHANGE_H

#include <stddef.h>

#include "team/team.h"

struct exchange {
    struct team_place *place; /* NULL: alone */
    const char *name, *where;
    const char *in; /* the parts for ranks 0, 1, ... */
    char *out;      /* for the parts of ranks 0, 1, ...; in: these take the place of the others */
    size_t bytes;   /* of a part */
};

/* Returns 0, or -1 with errno: EINVAL (uncaught) where bytes differs between ranks; ENOMEM; ECANCELED. */
int exchange_parts(const struct exchange *exchange);

#endif
