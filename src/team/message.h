/*
 * message.h: the public messages, send, recv, sendrecv, probe and iprobe. mailbox.h says how they lie in
 * shared memory, and in which order what is stored.
 *
 * A call is a letter to send, a wanted one to receive, or both, and goes on with both by small steps that
 * never wait: until it is sent, and received. Between the steps it waits as wait.h says, for its own bell,
 * and serves senders that have no room. So two ranks that send to each other at once, and rings of sendrecv,
 * need no order.
 *
 * A wait ends
 *   when what it is for is there, even where its sender is gone, or the team has failed;
 *   by team_miss() where a rank is gone that it is for, which has sent nothing more, or will receive nothing
 *   more;
 *     for a message of any rank: where all others are gone;
 *   by team_cancelled() where the team fails;
 *   where a process with one thread waits for a message of its own.
 */
#ifndef TEAM_MESSAGE_H
#define TEAM_MESSAGE_H

#include <stdbool.h>

#include "team/mailbox.h"

/* One call, as it goes on. */
struct message_call {
    const char *name;
    const char *where;
    struct team_place *place;
    struct letter letter;
    struct wanted wanted;
    bool has_letter, has_wanted;
    bool is_taken;    /* its stream is on */
    bool is_out;      /* nothing is left to do for the letter */
    bool is_in;       /* nor for what is wanted */
    bool is_too_long; /* it is in, but was too long */
    int code;         /* the errno that one half has failed with; or 0 */
};

/* Half of a call. */
enum message_side { MESSAGE_OUT, MESSAGE_IN };

/* Before the first step of a call. */
void message_begin(struct message_call *call);

/*
 * Goes on with both halves until one is done. Returns 0, or -1 with errno: ECANCELED, and the call is over;
 * or what that half came to, and the other one can still be waited for.
 */
int message_wait(struct message_call *call, enum message_side side);

/* One look for what is wanted, without waiting. Whether it is in. */
bool message_look(struct message_call *call);

#endif
