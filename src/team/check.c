/*
 * What a rank tells before its barrier g it writes to calls[g % 2] of its own record. After barrier g all read
 * it, each before it comes to its next barrier. So it is overwritten, for barrier g + 2 at the earliest, when
 * all have come to barrier g + 1, and have read: the same as with the words of collective.c. And who was told
 * that the team has failed, which is no passing, tells nothing any more: it could be ahead of those who still read.
 *
 * All ranks compare all records with rank 0's and find the same difference, so that it does not matter who of
 * them fails the team first. In a large team the last one to come compares for all.
 */
#include "team/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/text.h"
#include "memory/array_shape.h"
#include "memory/member.h"
#include "team/barrier.h"
#include "team/held.h"
#include "team/mailbox.h"

static struct check_call_shared *told(struct team_shared *team, uint32_t rank, uint32_t barrier)
{
    return &team_checks(team)[rank].calls[barrier % 2];
}

void check_tell(struct team_place *place, const struct collective_call *call)
{
    struct check_call_shared *mine = told(place->team, place->rank, barrier_next(place));

    text_copy_end(mine->name, sizeof mine->name, call->name);
    FAULT_POINT();
    text_copy_end(mine->where, sizeof mine->where, call->where);
    mine->bytes = call->bytes;
    mine->dtype = call->dtype;
    mine->op = call->op;
    mine->root = call->root;
    mine->level = call->level;
}

/* ---- Which rank differs ---- */

static bool is_same(const struct check_call_shared *call, const struct check_call_shared *other)
{
    return strcmp(call->name, other->name) == 0 && call->bytes == other->bytes &&
           call->dtype == other->dtype && call->op == other->op && call->root == other->root &&
           call->level == other->level;
}

/* The first rank that calls something else than rank 0, or 0. */
static uint32_t rank_that_differs(struct team_shared *team, uint32_t barrier)
{
    for (uint32_t rank = 1; rank < team->size; rank++) {
        if (!is_same(told(team, rank, barrier), told(team, 0, barrier)))
            return rank;
    }
    return 0;
}

/* For the last one to come; one place is enough, as collective.c says. */
static void compare_for_all(struct team_shared *team, const void *argument)
{
    collective_put(&team->result[0], rank_that_differs(team, *(const uint32_t *)argument));
}

/* ---- Saying it ---- */

static const char *op_name(int32_t op)
{
    static const char *const names[] = {"SUM", "PROD", "MIN", "MAX",  "AND",    "OR",
                                        "XOR", "BAND", "BOR", "BXOR", "MINLOC", "MAXLOC"};

    return op >= 1 && op <= (int32_t)(sizeof names / sizeof *names) ? names[op - 1] : "none";
}

static const char *level_name(int32_t level)
{
    static const char *const names[] = {
        [SHAREDMEM_BY_NUMA] = "BY_NUMA", [SHAREDMEM_BY_L3] = "BY_L3", [SHAREDMEM_BY_PACKAGE] = "BY_PACKAGE"};

    return level >= SHAREDMEM_BY_NUMA && level <= SHAREDMEM_BY_PACKAGE ? names[level] : "none";
}

static const char *place_of(const char *where)
{
    return where[0] != '\0' ? where : "an unknown place";
}

/* What is wrong with a call of that name beside the other one. Returns what all ranks have to do. */
static const char *describe(const struct check_call_shared *call, const struct check_call_shared *other,
                            char *text, size_t size)
{
    if (strcmp(call->name, other->name) != 0) {
        snprintf(text, size, "%s", call->name);
        return "all ranks of a team make the same calls, in the same order";
    }
    if (call->root != other->root) {
        snprintf(text, size, "%s with root %d", call->name, (int)call->root);
        return "all ranks must give the same root";
    }
    if (call->op != other->op) {
        snprintf(text, size, "%s with op %d (%s)", call->name, (int)call->op, op_name(call->op));
        return "all ranks must give the same op";
    }
    if (call->dtype != other->dtype) {
        snprintf(text, size, "%s with dtype %d (%s)", call->name, (int)call->dtype,
                 array_dtype_name(call->dtype));
        return "all ranks must give the same dtype";
    }
    if (call->level != other->level) {
        snprintf(text, size, "%s with level %d (%s)", call->name, (int)call->level, level_name(call->level));
        return "all ranks must give the same level";
    }
    snprintf(text, size, "%s of %llu bytes", call->name, (unsigned long long)call->bytes);
    return "all ranks must give the same size";
}

/* Its process; 0: it is not known. */
static int32_t pid_of(const struct team_shared *team, uint32_t rank)
{
    uint32_t member = team_member(team, rank);

    return member != 0 ? atomic_load_explicit(&member_slot(member)->pid, memory_order_relaxed) : 0;
}

static int fail(struct team_place *place, uint32_t rank, uint32_t barrier)
{
    const struct check_call_shared *its = told(place->team, rank, barrier);
    const struct check_call_shared *first = told(place->team, 0, barrier);
    uint32_t its_rank = team_root_rank(place->team, rank), first_rank = team_root_rank(place->team, 0);
    char it[80], other[80], which[TEAM_WHICH_BYTES];
    const char *rule = describe(its, first, it, sizeof it);
    sharedmem_error error;

    describe(first, its, other, sizeof other);
    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "rank %u calls %s at %s, rank %u calls %s at %s%s; %s",
              its_rank, it, place_of(its->where), first_rank, other, place_of(first->where),
              team_which(place, which), rule);
    error.rank = (int32_t)its_rank;
    error.pid = pid_of(place->team, rank);
    team_fail(place->team, place->rank, &error);
    member_wake_sleepers();
    return team_cancelled(place);
}

int check_compare(struct team_place *place, uint32_t barrier)
{
    uint32_t rank = rank_that_differs(place->team, barrier);

    return rank == 0 ? 0 : fail(place, rank, barrier);
}

int check_call(struct team_place *place, const struct collective_call *call)
{
    uint32_t barrier = barrier_next(place);
    int met;

    if (team_is_stopping(place->team))
        return team_cancelled(place);
    check_tell(place, call);
    met = barrier_meet_and(place, call->where, compare_for_all, &barrier);
    if (met < 0)
        return -1;
    if (met == 1 && collective_get(&place->team->result[0]) == 0)
        return 0;
    return check_compare(place, barrier);
}

/* ---- Regions and mutexes ---- */

int check_holds_nothing(const struct team_place *place, const struct collective_call *call)
{
    char what[160];
    sharedmem_error error;

    if (place != NULL && place->in_ordered)
        snprintf(what, sizeof what, "the ordered region that it began at %.80s",
                 place_of(place->ordered_where != NULL ? place->ordered_where : ""));
    else if (!held_describe(place, what, sizeof what))
        return 0;
    error_set(&error, SHAREDMEM_ERROR_USAGE, EDEADLK,
              "%s: this rank is in %s; others that wait for that never come here: end it before", call->name,
              what);
    return error_end_call(&error, false, call->where);
}

/* ---- Loops ---- */

void check_tell_loop(const struct team_place *place, uint64_t k, const sharedmem_loop *loop)
{
    struct check_loop_shared *mine = &team_checks(place->team)[place->rank].loops[k % TEAM_LOOPS];

    mine->n = loop->n;
    mine->chunk = loop->chunk;
    mine->schedule = loop->schedule;
    text_copy_end(mine->where, sizeof mine->where, loop->where);
    FAULT_POINT();
    /* release: who reads the number reads the rest of it; until then the one before in this place is told. */
    atomic_store_explicit(&mine->number, k + 1, memory_order_release);
}

static bool is_same_loop(const struct check_loop_shared *loop, const struct check_loop_shared *other)
{
    return loop->n == other->n && loop->chunk == other->chunk && loop->schedule == other->schedule;
}

static void describe_loop(const struct check_loop_shared *loop, char *text, size_t size)
{
    static const char *const names[] = {
        [SHAREDMEM_GUIDED] = "guided", [SHAREDMEM_DYNAMIC] = "dynamic", [SHAREDMEM_STATIC] = "static"};

    snprintf(text, size, "a loop of %llu items, %s by %llu, at %s", (unsigned long long)loop->n,
             names[loop->schedule], (unsigned long long)loop->chunk, place_of(loop->where));
}

void check_explain_loop(const struct team_place *place, uint64_t k, char *text, size_t size)
{
    struct check_rank_shared *checks = team_checks(place->team);
    const struct check_loop_shared *mine = &checks[place->rank].loops[k % TEAM_LOOPS];
    char it[192], other[192];

    for (uint32_t rank = 0; rank < place->team->size; rank++) {
        const struct check_loop_shared *its = &checks[rank].loops[k % TEAM_LOOPS];

        /* acquire: pairs with the release above. */
        if (atomic_load_explicit(&its->number, memory_order_acquire) != k + 1 || is_same_loop(its, mine))
            continue;
        describe_loop(mine, it, sizeof it);
        describe_loop(its, other, sizeof other);
        snprintf(text, size, "rank %u begins %s, rank %u began %s; ", place->rank, it, rank, other);
        return;
    }
}

/* ---- Messages ---- */

/* So many are told of one by one, for each rank. */
#define LEFT_TOLD 5u

union send_place {
    uint64_t words[CHECK_SEND_WORDS];
    char text[CHECK_SEND_WORDS * sizeof(uint64_t)];
};

void check_tell_send(const struct team_place *place, uint32_t to, uint32_t number, const char *where)
{
    struct check_rank_shared *mine = &team_checks(place->team)[place->rank];
    /* relaxed: threads of the rank get places of their own, that is all. The message's seq orders the rest. */
    uint32_t k = atomic_fetch_add_explicit(&mine->n_sends, 1, memory_order_relaxed);
    struct check_send_shared *send = &mine->sends[k % CHECK_SENDS];
    uint32_t turn = atomic_load_explicit(&send->turn, memory_order_relaxed);
    union send_place its_place;

    /* acquire: the words come behind it, for who reads them. */
    if (turn % 2 == 1 || !atomic_compare_exchange_strong_explicit(&send->turn, &turn, turn + 1, memory_order_acquire,
                                                                  memory_order_relaxed))
        return;
    atomic_thread_fence(memory_order_release);
    text_copy_end(its_place.text, sizeof its_place.text, where);
    atomic_store_explicit(&send->to, to, memory_order_relaxed);
    atomic_store_explicit(&send->number, number, memory_order_relaxed);
    FAULT_POINT();
    for (size_t i = 0; i < CHECK_SEND_WORDS; i++)
        atomic_store_explicit(&send->where[i], its_place.words[i], memory_order_relaxed);
    /* release: it is whole; pairs with the acquire in is_that_send(). */
    atomic_store_explicit(&send->turn, turn + 2, memory_order_release);
}

/* Whether it is that message's, as long as it was read: then where is in place. */
static bool is_that_send(const struct check_send_shared *send, uint32_t to, uint32_t number, union send_place *place)
{
    uint32_t turn = atomic_load_explicit(&send->turn, memory_order_acquire);

    if (turn == 0 || turn % 2 == 1 || atomic_load_explicit(&send->to, memory_order_relaxed) != to ||
        atomic_load_explicit(&send->number, memory_order_relaxed) != number)
        return false;
    for (size_t i = 0; i < CHECK_SEND_WORDS; i++)
        place->words[i] = atomic_load_explicit(&send->where[i], memory_order_relaxed);
    /* Pairs with the fence in check_tell_send(): who has read any of the next one's words sees its turn. */
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&send->turn, memory_order_relaxed) == turn && place->text[0] != '\0';
}

static const char *place_of_send(struct team_shared *team, uint32_t from, uint32_t to, uint32_t number,
                                 union send_place *place)
{
    const struct check_rank_shared *its = &team_checks(team)[from];

    for (uint32_t k = 0; k < CHECK_SENDS; k++) {
        if (is_that_send(&its->sends[k], to, number, place))
            return place->text;
    }
    return "an unknown place";
}

static void tell_left(struct team_shared *team, uint32_t from, uint32_t to,
                      const struct message_slot_shared *slot, void *argument)
{
    uint32_t *n = argument, number = atomic_load_explicit(&slot->seq, memory_order_relaxed) - 1;
    union send_place place;

    if (++*n <= LEFT_TOLD)
        log_warn("rank %u sent %llu bytes with tag %d to rank %u at %s, which nobody has received",
                 team_root_rank(team, from), (unsigned long long)slot->bytes, (int)slot->tag,
                 team_root_rank(team, to), place_of_send(team, from, to, number, &place));
}

void check_left_messages(struct team_shared *team, uint32_t to)
{
    uint32_t n = 0;

    if (!team->is_checked || team_is_stopping(team))
        return;
    mailbox_for_each_left(team, to, tell_left, &n);
    if (n > LEFT_TOLD)
        log_warn("rank %u has not received %u more messages", team_root_rank(team, to), n - LEFT_TOLD);
}
