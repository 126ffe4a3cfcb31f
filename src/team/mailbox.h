/*
 * mailbox.h: messages between the ranks of a team, as they lie in shared memory. message.h says what is made
 * of it, stream.h how those go that are too large for it.
 *
 * Each rank has a mailbox. To it lead channels, one from each rank that ever sent to it, itself included;
 * nothing is there before it is needed. A channel is a ring of slots, written by the sender and emptied by
 * the receiver: so the messages of two ranks keep their order, and nobody's message is in another's way.
 *
 *   up to MESSAGE_INLINE_BYTES   lies in the slot;
 *   up to MESSAGE_EAGER_BYTES    lies in a cell of the sender, whom the slot names. A rank has a few cells,
 *                                for all that it sends: so much memory it has at most for what nobody has
 *                                received;
 *   more                         stays where it is, and the slot says how to get it (stream.h).
 *
 * In order:
 *   1. The sender takes a cell, if it needs one, by a compare-and-swap of its word, and copies the data into
 *      it.
 *   2. It takes the number of a message by adding to the channel's sent, and waits until the slot of that
 *      number is free: the message that many slots before has been taken.
 *   3. It writes the slot, and last the message's number, plus one, into the slot's seq: that one store sends
 *      it.
 *   4. The receiver finds the number of the message that comes next in the slot it looks at, copies the data,
 *      and counts the message in taken: that one store makes it the receiver's. Then it frees the cell.
 * A receiver that looks for a message behind others holds those: it puts them aside, in its own order, into
 * blocks of the heap. What is held is looked at first. A sender that finds no room says so; then the
 * receiver, whatever it waits for itself, holds what is before it. So a program that sends more than there is
 * room for before it receives goes on, as long as the heap has memory.
 *
 * Any threads of a rank may send at once, they meet in sent only. Those that receive have the mailbox's lock
 * while they look and take.
 *
 * Sleeping: whoever waits for anything here sleeps on the bell of its own mailbox, for what it waits for may
 * come from anywhere, and others want to be served meanwhile. It says so in waiters, and then looks once
 * more; who changed something looks at waiters afterwards. A fence stands between on both sides, so one sees
 * the other.
 *
 * A rank killed between any two stores has not sent the message, or has sent it whole. What it holds itself
 * nobody else waits for. At most the block that it was just making is lost.
 */
#ifndef TEAM_MAILBOX_H
#define TEAM_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/lock.h"
#include "memory/segment.h"
#include "sharedmem.h"
#include "team/team.h"

#define MESSAGE_INLINE_BYTES 48u
#define MESSAGE_EAGER_BYTES  ((size_t)64 << 10)

/* How large messages go by streams; a rank can send so many at once, by threads of its own. */
#define MAILBOX_STREAMS 3

struct message_slot_shared {
    _Atomic uint32_t seq; /* 1 + the number of the message that is in it */
    int32_t tag;
    uint64_t bytes;
    union {
        char data[MESSAGE_INLINE_BYTES];
        struct {
            uint64_t cell;   /* the offset of the cell; 0: it goes by the stream */
            uint64_t stream; /* the offset of that */
            uint64_t source; /* the offset of the data; 0: they are private */
        };
    };
};

/* A message put aside: data of an inline or eager one, or its slot's words, lie behind it. */
struct message_held_shared {
    uint64_t next; /* offset; 0: the last one */
    struct message_slot_shared slot;
    char data[];
};

struct channel_shared {
    /* Written by the sender. */
    _Atomic uint32_t sent;       /* numbers that were taken */
    _Atomic uint32_t taken_seen; /* taken, as the sender read it last */
    char unused[56];
    /* Written by the receiver, but for is_blocked. */
    _Atomic uint32_t taken;
    _Atomic uint32_t is_blocked; /* the sender waits for room, here or in its cells */
    _Atomic uint64_t held_first; /* offsets of the messages put aside; 0: none */
    uint64_t held_last;
    char unused2[40];
    struct message_slot_shared slots[];
};

struct mailbox_shared {
    /* What others look at with each message. */
    _Atomic uint32_t bell;        /* the futex word of those threads of the rank that sleep */
    _Atomic uint32_t waiters;     /* how many are about to */
    _Atomic uint32_t has_blocked; /* a channel that leads here may be blocked */
    uint32_t unused;
    _Atomic uint64_t channels; /* the offset of a table: the offset of the channel from each rank; 0: none */
    _Atomic uint64_t cells[2]; /* the offsets of this rank's cells, small and large ones */
    _Atomic uint64_t streams[MAILBOX_STREAMS];
    /* What the rank itself uses to receive. */
    struct lock_shared lock;
    uint32_t next_source;    /* where the next look at all channels begins: none shall starve */
    _Atomic uint32_t n_held; /* how often something was put aside: who has looked needs to look again */
    char unused2[48];
};

enum cell_state {
    CELL_FREE,
    CELL_FILLED, /* some thread of the rank is at it */
    CELL_SENT    /* plus the rank whose message it has */
};

/*
 * A cell is busy from the making of its message until that has been received; or until its sender finds that the
 * receiver is gone for good, and takes it back. Meanwhile the receiver may have freed it, just before its end, and
 * another thread sent something by it. So whose message it has is in the same word: what is taken back then has the
 * same receiver, and is received by nobody either.
 */
struct cell_shared {
    _Atomic uint32_t is_busy; /* enum cell_state */
    char unused[60];
    char data[];
};

/* Makes the team's mailboxes where there are none yet. Returns 0, or -1 with errno ENOMEM. */
int mailbox_open(struct team_shared *team);

/* Calls visit for each message to a rank that nobody has received; the rank receives none meanwhile. */
typedef void mailbox_visit(struct team_shared *team, uint32_t from, uint32_t to,
                           const struct message_slot_shared *slot, void *argument);
void mailbox_for_each_left(struct team_shared *team, uint32_t to, mailbox_visit *visit, void *argument);

/* Frees all that a team's messages have in the heap; its ranks are gone, but for the caller. Keeps errno. */
void mailbox_close(struct team_shared *team);

/*
 * The block that *place has the offset of, made of zeros where there is none yet, by any member, at once with
 * others. NULL with errno ENOMEM. Its pointer stays.
 */
void *mailbox_block(_Atomic uint64_t *place, size_t bytes);

/* acquire: pairs with the release of who made the block. NULL: nobody has. */
static inline void *mailbox_block_at(const _Atomic uint64_t *place)
{
    uint64_t offset = atomic_load_explicit(place, memory_order_acquire);

    return offset != 0 ? segment_at(offset) : NULL;
}

/* Of a team whose mailboxes are open. */
static inline struct mailbox_shared *mailbox_of(const struct team_shared *team, uint32_t rank)
{
    return (struct mailbox_shared *)mailbox_block_at(&team->mailboxes) + rank;
}

/* Wakes the threads of the mailbox's rank that sleep, after something changed that they may wait for. */
void mailbox_ring(struct mailbox_shared *box);

/* ---- To send ---- */

/* A message on its way out. */
struct letter {
    const void *data;
    size_t bytes;
    uint32_t to;
    int32_t tag;
    const char *where;       /* the call */
    uint64_t stream, source; /* of a large one, see above */
    struct channel_shared *channel;
    uint64_t cell;   /* 0: none taken (yet) */
    uint32_t number; /* is_numbered: its own in the channel */
    bool is_numbered, is_sent;
};

/*
 * Goes on with steps 1 to 3 as far as that is possible without waiting. Returns 1 where it is sent, 0 where
 * there is no room, -1 with errno ENOMEM.
 */
int mailbox_send(const struct team_place *place, struct letter *letter);

/* Whether its receiver has it, and if it is a large one is at it. Of one that is sent. */
static inline bool mailbox_is_taken(const struct letter *letter)
{
    /* relaxed: nothing is read that came with it. */
    uint32_t taken = atomic_load_explicit(&letter->channel->taken, memory_order_relaxed);

    return (int32_t)(taken - letter->number) > 0;
}

/*
 * There is no room for letter, and the caller is about to sleep: those who can make some are told. Cells
 * whose messages nobody can receive any more, for their receivers are gone, come free.
 */
void mailbox_want_room(const struct team_place *place, const struct letter *letter, bool look);

/* ---- To receive ---- */

/* What is looked for, and what was found. */
struct wanted {
    int source, tag; /* or SHAREDMEM_ANY_SOURCE, SHAREDMEM_ANY_TAG */
    void *data;
    size_t room;
    bool is_probe;     /* it stays where it is */
    uint64_t only;     /* only the message that goes by this stream; or 0 */
    bool has_looked;   /* at what was held, when */
    uint32_t n_held;   /* was this */
    const char *where; /* the call */
    sharedmem_status found;
    uint64_t stream, from; /* of a large one: what its slot says */
};

enum mailbox_answer {
    MAILBOX_NOTHING,  /* no such message is there */
    MAILBOX_FOUND,    /* probed; or taken, the data are there */
    MAILBOX_STREAMED, /* taken, the data come by the stream */
    MAILBOX_TOO_LONG, /* there is one that has no room; it stays, and nothing was written */
    MAILBOX_FAILED    /* errno: ENOMEM, nothing can be put aside */
};

/*
 * Looks for the first message that is wanted, in the order in which their senders sent them. Does not wait.
 */
enum mailbox_answer mailbox_take(const struct team_place *place, struct wanted *wanted);

/* Whether it is worth a look: cheap, for loops. */
bool mailbox_has_news(const struct team_place *place, const struct wanted *wanted);

/* Puts aside what stands before senders that wait for room. */
void mailbox_serve(const struct team_place *place, const char *where);

/* Whether a sender that waits for room has asked to be served. */
static inline bool mailbox_is_wanted(const struct mailbox_shared *box)
{
    /* relaxed: who set it rings afterwards. */
    return atomic_load_explicit(&box->has_blocked, memory_order_relaxed) != 0;
}

/* ---- For the mailbox's own files ---- */

/*
 * How many slots a channel has, a power of two. With all pairs in use 4 slots take 400 MB for 1,024 ranks, 16
 * take 5 MB for 64.
 */
static inline uint32_t mailbox_slots(const struct team_shared *team)
{
    return team->size <= 64 ? 16 : 4;
}

/* The channel between two ranks; NULL where there is none (yet). */
static inline struct channel_shared *mailbox_channel(const struct team_shared *team, uint32_t from,
                                                     uint32_t to)
{
    const _Atomic uint64_t *channels = mailbox_block_at(&mailbox_of(team, to)->channels);

    return channels != NULL ? mailbox_block_at(&channels[from]) : NULL;
}

static inline void mailbox_free_cell(uint64_t offset)
{
    struct cell_shared *cell = segment_at(offset);

    /* release: the data have been read; pairs with the acquire of who takes the cell next. */
    atomic_store_explicit(&cell->is_busy, CELL_FREE, memory_order_release);
}

#endif
