/*
 * check.h: checking mode for what ranks do together. Where a team is_checked each rank tells the others what it
 * calls, and where, before they do it; where they differ the team fails with an error that names two of them.
 */
#ifndef TEAM_CHECK_H
#define TEAM_CHECK_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "sharedmem.h"
#include "team/collective.h"
#include "team/team.h"

/* A collective as its rank tells it; one cache line pair, written whole. */
struct check_call_shared {
    char name[32];
    char where[72]; /* the end of "file:line" */
    uint64_t bytes;
    int32_t dtype;
    int32_t op;
    int32_t root;
    int32_t level;
};

/* A loop that a rank has begun. */
struct check_loop_shared {
    _Atomic uint64_t number; /* 1 + which of the team's loops; 0: none yet. Stored last */
    uint64_t n;
    uint64_t chunk;
    int32_t schedule;
    int32_t unused;
    char where[96];
};

/*
 * Where a rank sent one of its last messages. Its threads may come to the same one, when others have sent a lot
 * between, and somebody read it meanwhile: so each word is atomic, and turn says whether they belong together.
 */
#define CHECK_SEND_WORDS 6
struct check_send_shared {
    _Atomic uint32_t turn; /* odd: it is being written */
    _Atomic uint32_t to;
    _Atomic uint32_t number; /* in the channel (mailbox.h) */
    uint32_t unused;
    _Atomic uint64_t where[CHECK_SEND_WORDS]; /* the end of "file:line" */
};

/* How many messages that nobody has received can be told with their places, of each rank. A power of two. */
#define CHECK_SENDS 32u

/* What one rank tells. It alone writes it. */
struct check_rank_shared {
    struct check_call_shared calls[2];           /* for the even barriers, and for the odd */
    struct check_loop_shared loops[TEAM_LOOPS]; /* as in the team's ring */
    struct check_send_shared sends[CHECK_SENDS]; /* message k, of all that it sent, is at k % CHECK_SENDS */
    _Atomic uint32_t n_sends;
    char unused[60];
};

/*
 * Meets the others at a barrier, and looks whether all make the same call. The team is_checked.
 * Returns 0, or -1 with errno ECANCELED: the team has failed, with that or before (a worker ends instead).
 */
int check_call(struct team_place *place, const struct collective_call *call);

/*
 * The same for calls that must not wait: tells the others what this rank calls with the barrier that it comes to
 * next; and behind that barrier, whose number it was, compares.
 */
void check_tell(struct team_place *place, const struct collective_call *call);
int check_compare(struct team_place *place, uint32_t barrier);

/*
 * Whether the calling thread is in a region, or has a mutex locked, that others may wait for in place of coming
 * to the call: an uncaught usage error (EDEADLK). What it held before it came to this team is no matter. place:
 * NULL: it is alone. Returns 0 or -1.
 */
int check_holds_nothing(const struct team_place *place, const struct collective_call *call);

/* Tells which loop rank in place begins, number k of the team's, before it touches what they share. */
void check_tell_loop(const struct team_place *place, uint64_t k, const sharedmem_loop *loop);

/*
 * Rank in place has found that others make another loop: writes which, both with their places; where that is
 * not known text stays as it is.
 */
void check_explain_loop(const struct team_place *place, uint64_t k, char *text, size_t size);

/*
 * Notes where rank in place sends that message to another, before it is there; not where another thread is about to,
 * in the same place. The team is_checked.
 */
void check_tell_send(const struct team_place *place, uint32_t to, uint32_t number, const char *where);

/*
 * Warns of messages to a rank, which receives none any more, that it has not received. Nothing where the team has
 * failed or is not checked.
 */
void check_left_messages(struct team_shared *team, uint32_t to);

#endif
