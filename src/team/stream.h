/*
 * stream.h: large messages, above MESSAGE_EAGER_BYTES. Their slot in the channel names a stream of the
 * sender, and the sender stays in its call until all has been received. Then:
 *
 *   data in the segment   the receiver copies them from there: once. The sender waits.
 *   private data          the same, from the sender's own memory. Where the system refuses that, the receiver
 *                         asks for the stream's ring: through that they go in pieces, and both copy at once.
 *                         It is the slower way by several times, for the ring's lines are each other's all
 *                         the time.
 *
 * Invariant: drained <= filled <= drained + the ring; filled is the sender's, drained the receiver's, and
 * each is raised when what it counts has been copied. drained == the message's bytes ends it, and nobody but
 * the sender touches the stream after that. A message is received when drained has come to its end, and not
 * torn before: a sender that gives up, since the team has failed, says so before it returns and its data may
 * change, and a receiver looks at that when it has copied them.
 */
#ifndef TEAM_STREAM_H
#define TEAM_STREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/peer_memory.h"
#include "team/mailbox.h"

struct stream_shared {
    /* Written by the sender. */
    _Atomic uint32_t is_busy;
    _Atomic uint32_t is_abandoned;
    _Atomic uint64_t filled;
    _Atomic uint64_t ring; /* its offset; 0: no private data came here yet */
    uint64_t address;      /* of the data, in the sender's process, which is: */
    struct peer_shared sender;
    char unused[8];
    /* Written by the receiver. */
    _Atomic uint64_t drained;
    _Atomic uint32_t wants_ring;
    char unused2[52];
};

/*
 * Gives a large letter a stream of this rank. Returns 1; 0 where all are in use, by other threads of the
 * rank; -1 with errno ENOMEM.
 */
int stream_open(const struct team_place *place, struct letter *letter);

/* Goes on with the sending of a letter that has a stream. Returns whether all of it has been received. */
bool stream_fill(const struct team_place *place, const struct letter *letter);

/* Gives the stream back: its letter has been received. Or not: the sender goes without that. */
void stream_close(const struct team_place *place, const struct letter *letter);
void stream_abandon(const struct letter *letter);

/*
 * Goes on with the receiving of what mailbox_take() answered MAILBOX_STREAMED for. Returns whether that is
 * all.
 */
bool stream_drain(const struct team_place *place, const struct wanted *wanted);

/* Frees a rank's streams, with its mailbox. */
void stream_close_all(struct mailbox_shared *box);

#endif
