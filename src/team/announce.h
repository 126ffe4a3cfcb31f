/*
 * announce.h: how the calls that move large data between ranks begin: each rank says where its memory lies
 * and how much it has, all meet, and all know alike whether the call can be made, and what it takes.
 */
#ifndef TEAM_ANNOUNCE_H
#define TEAM_ANNOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/member.h"
#include "team/team.h"

/* What a rank says. What lies in private memory, or is none, goes by NULL. */
struct announcement {
    const void *source;
    const void *into;
    uint64_t bytes;
};

/* What all ranks know alike then. One word, which the last one to come can leave for all. */
struct announce_verdict {
    uint16_t is_refused; /* an enum of the caller's says why; ANNOUNCE_ERRNO is for all */
    uint8_t by_board;    /* some data have to go by the board */
    uint8_t is_common;   /* the caller's */
    uint32_t value;      /* is_refused: a rank; or an errno */
};

/* There is no board; value is the errno. */
#define ANNOUNCE_ERRNO 1

/*
 * Says what the calling rank has with its next barrier, once the board is up. Returns whether it is; else
 * that it is not is said.
 */
bool announce_put(struct team_place *place, const struct announcement *mine);

/*
 * Judges what has been said, by whatever else `what` is; the same whichever rank does it. In a large team one
 * rank does it for all.
 */
typedef struct announce_verdict announce_judge(struct team_shared *team, const void *what);

/*
 * Meets the others and sets *verdict, which the first rank without a board decides, or else judge. Returns 0,
 * or -1 with errno: ECANCELED, or what the verdict says of the board.
 */
int announce_meet(struct team_place *place, const char *where, announce_judge *judge, const void *what,
                  struct announce_verdict *verdict);

/*
 * What rank has said with barrier: addresses of the segment, or NULL. They stay until somebody says more
 * with the next but one.
 */
const char *announce_source(struct team_shared *team, uint32_t rank, uint32_t barrier);
char *announce_into(struct team_shared *team, uint32_t rank, uint32_t barrier);
uint64_t announce_bytes(struct team_shared *team, uint32_t rank, uint32_t barrier);

/* Some of the ranks of a team. */
struct announce_ranks {
    uint64_t bits[MEMBER_SLOTS / 64];
};

static inline bool announce_has(const struct announce_ranks *ranks, uint32_t rank)
{
    return (ranks->bits[rank / 64] >> rank % 64 & 1) != 0;
}

/* Of ranks begin to end - 1: whose sources, and whose intos, are shared. For when the words are gone. */
void announce_note(struct team_shared *team, uint32_t barrier, uint32_t begin, uint32_t end,
                   struct announce_ranks *sources, struct announce_ranks *intos);

#endif
