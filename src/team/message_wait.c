#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include "base/error.h"
#include "base/fault.h"
#include "host/clock.h"
#include "host/process.h"
#include "memory/wait.h"
#include "team/message.h"
#include "team/stream.h"

static bool is_large(const struct letter *letter)
{
    return letter->bytes > MESSAGE_EAGER_BYTES;
}

/*
 * A letter that could not be sent. What is received already goes on to its end, the rest of the call does
 * not.
 */
static bool fail_out(struct message_call *call)
{
    call->code = errno;
    call->is_in |= !call->is_taken;
    if (call->letter.stream != 0)
        stream_close(call->place, &call->letter);
    return call->is_out = true;
}

/* A letter that has its number goes on: those behind it would wait for it. */
static bool fail_in(struct message_call *call, int code)
{
    call->code = code;
    return call->is_in = true;
}

/* ---- A large letter to itself ---- */

/* Its receiver is the call's other half, or another thread. */
static bool is_own(const struct message_call *call)
{
    const struct letter *letter = &call->letter;

    return letter->is_sent && letter->stream != 0 && letter->to == call->place->rank;
}

static bool has_failed_in(const struct message_call *call)
{
    return call->is_in && (call->code != 0 || call->is_too_long);
}

/*
 * Takes it out of the mailbox, where nobody receives it: it would be waited for until somebody does. Returns whether
 * it was still there, and no thread is at it.
 */
static bool take_back(struct message_call *call)
{
    struct wanted own = {.source = (int)call->letter.to,
                         .room = call->letter.bytes,
                         .only = call->letter.stream,
                         .where = call->where};

    if (mailbox_take(call->place, &own) != MAILBOX_STREAMED)
        return false;
    stream_close(call->place, &call->letter);
    return call->is_out = true;
}

/* ---- Steps ---- */

/* Returns whether nothing is left to do. */
static bool step_out(struct message_call *call)
{
    struct letter *letter = &call->letter;
    int answer = 1;

    if (call->is_out)
        return true;
    if (is_large(letter) && letter->stream == 0)
        answer = stream_open(call->place, letter);
    if (answer > 0)
        answer = mailbox_send(call->place, letter);
    if (answer < 0)
        return fail_out(call);
    if (letter->stream == 0)
        return call->is_out = answer > 0;
    if (!stream_fill(call->place, letter))
        return is_own(call) && has_failed_in(call) && take_back(call);
    stream_close(call->place, letter);
    return call->is_out = true;
}

static bool take(struct message_call *call)
{
    switch (mailbox_has_news(call->place, &call->wanted) ? mailbox_take(call->place, &call->wanted)
                                                         : MAILBOX_NOTHING) {
    case MAILBOX_NOTHING:
        return false;
    case MAILBOX_STREAMED:
        call->is_taken = true;
        return false;
    case MAILBOX_FAILED:
        return fail_in(call, errno);
    case MAILBOX_TOO_LONG:
        call->is_too_long = true;
        return call->is_in = true;
    default:
        return call->is_in = true;
    }
}

static bool step_in(struct message_call *call)
{
    if (call->is_in || (!call->is_taken && take(call)))
        return true;
    return call->is_in = call->is_taken && stream_drain(call->place, &call->wanted);
}

bool message_look(struct message_call *call)
{
    return step_in(call);
}

/* Goes on with both. Returns whether one is done. */
static bool go_on(struct message_call *call, enum message_side side)
{
    bool out = step_out(call), in = step_in(call);

    return side == MESSAGE_OUT ? out : in;
}

/* ---- Whom it waits for ---- */

/* The rank; or -1: any, or other threads of its own. */
static int whom_for(const struct message_call *call, enum message_side side)
{
    const struct letter *letter = &call->letter;

    if (side == MESSAGE_IN)
        return call->is_taken ? call->wanted.found.source : call->wanted.source;
    return letter->is_numbered ? (int)letter->to : -1;
}

static uint32_t waker_for(const struct message_call *call, enum message_side side)
{
    int whom = whom_for(call, side);

    return whom >= 0 ? team_waker(call->place->team, (uint32_t)whom) : 0;
}

/* Of others than this rank: whether all are gone, and *last the one that was looked at last. */
static bool are_gone(const struct team_place *place, uint32_t *last)
{
    for (uint32_t rank = 0; rank < place->team->size; rank++) {
        if (rank == place->rank)
            continue;
        if (!team_rank_is_gone(place->team, rank))
            return false;
        *last = rank;
    }
    return place->team->size > 1;
}

static void tag_text(char *text, size_t size, int tag)
{
    if (tag == SHAREDMEM_ANY_TAG)
        snprintf(text, size, "any tag");
    else
        snprintf(text, size, "tag %d", tag);
}

/* Nothing came for a while: will it ever? A message that was sent before its sender left is there by now. */
static void look_in(struct message_call *call)
{
    struct team_place *place = call->place;
    int whom = whom_for(call, MESSAGE_IN);
    char tag[32], what[80];
    uint32_t gone = (uint32_t)whom;

    if (whom == (int)place->rank || place->team->size == 1) {
        if (process_is_single() && !step_in(call) && (call->is_out || (is_own(call) && !call->is_taken)))
            fail_in(call, EDEADLK);
        return;
    }
    if (!(whom >= 0 ? team_rank_is_gone(place->team, gone) : are_gone(place, &gone)) || step_in(call))
        return;
    tag_text(tag, sizeof tag, call->is_taken ? call->wanted.found.tag : call->wanted.tag);
    snprintf(what, sizeof what, "a message%s (%s)", whom >= 0 ? "" : " from any rank", tag);
    team_miss(place, gone, what, call->where);
}

static void look_out(struct message_call *call)
{
    struct team_place *place = call->place;
    const struct letter *letter = &call->letter;
    char what[80];

    if (!letter->is_numbered && letter->stream == 0 && !is_large(letter))
        mailbox_want_room(place, letter, true);
    /* What it was to receive has been another message. */
    if (is_own(call) && call->is_in && process_is_single() && take_back(call))
        call->code = EDEADLK;
    if (!letter->is_numbered || letter->to == place->rank || !team_rank_is_gone(place->team, letter->to) ||
        step_out(call))
        return;
    snprintf(what, sizeof what, "it to receive a message (tag %d)", letter->tag);
    team_miss(place, letter->to, what, call->where);
}

/* ---- Waiting ---- */

static int cancel(struct message_call *call)
{
    if (!call->is_out && call->letter.stream != 0)
        stream_abandon(&call->letter);
    return team_cancelled(call->place);
}

/* Returns false where nobody rang for long, or who is waited for is gone. */
static bool sleep_on_bell(struct message_call *call, enum message_side side, struct wait *wait)
{
    struct mailbox_shared *mine = mailbox_of(call->place->team, call->place->rank);
    bool woken = true;
    uint32_t seen;

    if (!call->is_out && !call->letter.is_sent && (!is_large(&call->letter) || call->letter.stream != 0))
        mailbox_want_room(call->place, &call->letter, false);
    atomic_fetch_add_explicit(&mine->waiters, 1, memory_order_relaxed);
    FAULT_POINT();
    /* Pairs with the fence in mailbox_ring(): either it sees this waiter, or what it changed is seen here. */
    atomic_thread_fence(memory_order_seq_cst);
    seen = atomic_load_explicit(&mine->bell, memory_order_relaxed);
    if (!go_on(call, side) && !mailbox_is_wanted(mine) && !team_is_stopping(call->place->team))
        woken = wait_park(wait, &mine->bell, seen, NULL);
    atomic_fetch_sub_explicit(&mine->waiters, 1, memory_order_relaxed);
    return woken;
}

/*
 * A worker that died ends the team, whoever waits for whom: here the master may be the one who waits, and
 * nobody else watches. All are asked for what was said of their ends; one each time the system, which takes
 * longer.
 */
static void look_for_dead(struct team_shared *team, uint32_t self)
{
    uint32_t asked = (uint32_t)(clock_monotonic_ns() / WAIT_PARK_NS + self) % team->size;

    for (uint32_t rank = 0; rank < team->size; rank++) {
        bool is_gone = rank == asked ? team_rank_is_gone(team, rank) : team_rank_is_told_gone(team, rank);

        /* Who has left by itself has said so before. */
        if (is_gone && team_left(team, rank) == TEAM_STAYS)
            team_stop(team);
    }
}

static void look(struct message_call *call)
{
    const struct team_place *root = team_root_place(call->place);

    if (!root->team->is_job)
        look_for_dead(root->team, root->rank);
    if (!call->is_out)
        look_out(call);
    if (!call->is_in)
        look_in(call);
}

/*
 * Whether a large letter is being received just now: that ends soon, and to sleep and be woken would take a
 * good part as long. The processor is given to others meanwhile, a time for each few pages: at most some 0.3
 * ms.
 */
static bool is_being_received(const struct message_call *call, enum message_side side, unsigned yields)
{
    const struct letter *letter = &call->letter;

    return side == MESSAGE_OUT && letter->is_sent && call->place->team->crowd == 0 && yields < 1000 &&
           yields < letter->bytes / 1024 && mailbox_is_taken(letter);
}

/* Not inlined: the way of those whose message is there already shall be short. */
__attribute__((noinline)) static int wait_for_side(struct message_call *call, enum message_side side)
{
    struct team_shared *team = call->place->team;
    bool is_cancelled = false;
    unsigned yields = 0;
    struct wait wait;

    wait_begin_spun(&wait, side == MESSAGE_OUT ? WAIT_SEND : WAIT_RECEIVE, call->where,
                    waker_for(call, side));
    /* A turn on the processor for each that shares it, as with ordered regions. */
    if (team->crowd > 0)
        wait_limit_yields(&wait, team->crowd);
    while (!go_on(call, side) && !(is_cancelled = team_is_stopping(team))) {
        mailbox_serve(call->place, call->where);
        if (wait_pause(&wait))
            continue;
        if (is_being_received(call, side, yields)) {
            yields++;
            sched_yield();
        } else if (!sleep_on_bell(call, side, &wait)) {
            look(call);
            wait_for(&wait, waker_for(call, side));
        }
    }
    wait_end(&wait);
    return is_cancelled ? cancel(call) : 0;
}

void message_begin(struct message_call *call)
{
    call->is_out = !call->has_letter;
    call->is_in = !call->has_wanted;
}

int message_wait(struct message_call *call, enum message_side side)
{
    if (call->place->team->crowd == 0)
        WAIT_SPIN_UNTIL(go_on(call, side));
    if (!go_on(call, side) && wait_for_side(call, side) != 0)
        return -1;
    if (call->code == 0)
        return 0;
    errno = call->code;
    return -1;
}
