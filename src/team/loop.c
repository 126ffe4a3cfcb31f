/*
 * Loops over the ranks of a team, which all make the same ones in the same order: each rank counts them by
 * itself, and loop k has number k, and the place k % TEAM_LOOPS of the team's ring, in all ranks.
 *
 * A place's two words, next and loop, have a bit that says whose they are: the bit of k / TEAM_LOOPS. The
 * first rank of loop k that finds the other bit, left by loop k - TEAM_LOOPS, changes the word to a fresh one
 * by compare-and-swap; nobody waits for that, and it does not matter who dies.
 *
 * The invariant: who touches the place of loop k is in loop k, and all ranks have left loop k - TEAM_LOOPS.
 * For the ring has two halves, and a rank goes into one only when it has seen that all have left it, by the
 * count on each one's line. So one bit is enough: whoever is in loop k finds words of it, or of the one
 * before in this place, never of a later one; and no slow rank of an earlier loop can take items of this one.
 * By halves, because else one that waits would be woken for each loop, and let the others wait for that.
 *
 * A rank's count is stored with release when it has dealt itself its last chunk, and read with acquire by who
 * wants the half: the words that it then finds are not older than that. All else is relaxed: the words only
 * deal numbers.
 */
#include "team/loop.h"

#include <errno.h>
#include <stdio.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/options.h"
#include "memory/member.h"
#include "memory/wait.h"
#include "team/barrier.h"
#include "team/check.h"
#include "team/job.h"
#include "team/ordered.h"

_Static_assert((TEAM_LOOPS & (TEAM_LOOPS - 1)) == 0, "numbers of loops wrap in the ring");
_Static_assert(ORDERED_BLOCK > MEMBER_SLOTS, "a round of turns fits into a block");

/* The bit of a place's words. SCHEDULE_MAX_ITEMS, with overshooting ranks, leaves it alone. */
#define WHOSE ((uint64_t)1 << 63)

/* No loop begins beyond this ticket, so that none of its own wraps. */
#define TICKETS_MAX ((uint64_t)1 << 63)

static int usage(const char *where, int code, const char *message)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_USAGE, code, "loop: %s", message);
    return error_end_call(&error, false, where);
}

/* ---- Leaving ---- */

/* How many loops rank has left. */
static uint64_t loops_left(const struct team_shared *team, uint32_t rank)
{
    /* acquire: pairs with the release in loop_leave(). */
    return atomic_load_explicit(&team->ranks[rank].loops, memory_order_acquire);
}

void loop_leave(struct team_place *place)
{
    struct team_rank_shared *mine = &place->team->ranks[place->rank];
    uint64_t n_loops;

    if (place->loop == NULL)
        return;
    /* What it points to may be gone already, where a program ends within a loop. */
    place->loop = NULL;
    ordered_set_floor(place->team, place->rank, place->behind_loop + place->rank);
    FAULT_POINT();
    n_loops = loops_left(place->team, place->rank) + 1;
    atomic_store_explicit(&mine->loops, n_loops, memory_order_release);
    FAULT_POINT();
    /* Others wait for a half to be left. */
    if (n_loops % TEAM_LOOPS_AHEAD == 0)
        wait_wake(wait_low_half(&mine->loops), &mine->loops_sleepers);
}

/*
 * Whether the caller works for the team that it has begun the loop in. A copy that the program forked within
 * the loop does not: the loop is its parent's.
 */
static bool is_mine(const sharedmem_loop *loop)
{
    return loop->place == team_here();
}

void sharedmem_loop_end(sharedmem_loop *loop)
{
    struct team_place *place = loop->place;
    int saved_errno = errno;

    if (loop->is_open && place != NULL && is_mine(loop) && place->loop == loop) {
        if (place->in_ordered) {
            sharedmem_ordered_end();
            usage(loop->where, EPERM, "it has ended within an ordered region; end that before");
        }
        loop_leave(place);
    }
    loop->next = loop->end = 0;
    loop->is_open = false;
    loop->is_over = true;
    errno = saved_errno;
}

/* ---- A place in the ring ---- */

/* Waits until rank has left so many loops, or the team fails. */
__attribute__((noinline)) static void wait_for_rank(const struct team_place *place, uint32_t rank,
                                                    uint64_t n_loops, const char *where)
{
    struct team_shared *team = place->team;
    struct team_rank_shared *other = &team->ranks[rank];
    struct wait wait;
    uint64_t seen;

    wait_begin(&wait, WAIT_LOOP, where, team_waker(team, rank));
    while ((seen = loops_left(team, rank)) < n_loops && !team_is_stopping(team)) {
        if (wait_pause(&wait) ||
            wait_park(&wait, wait_low_half(&other->loops), (uint32_t)seen, &other->loops_sleepers))
            continue;
        /* The count again after the look: a rank leaves its loops before it is gone. */
        if (team_rank_is_gone(team, rank) && loops_left(team, rank) < n_loops)
            team_miss(place, rank, "it to leave an earlier loop, in the loop", where);
        wait_for(&wait, team_waker(team, rank));
    }
    wait_end(&wait);
}

/* Waits until all have left so many loops. Returns 0, or -1: the team has failed. */
static int wait_for_all(struct team_place *place, uint64_t n_loops, const char *where)
{
    struct team_shared *team = place->team;

    for (uint32_t rank = 0; rank < team->size; rank++) {
        if (loops_left(team, rank) >= n_loops)
            continue;
        wait_for_rank(place, rank, n_loops, where);
        if (loops_left(team, rank) < n_loops)
            return team_cancelled(place);
    }
    return 0;
}

/* What word is for this loop: fresh, or what others of it have made of that. */
static uint64_t claim_word(_Atomic uint64_t *word, uint64_t fresh)
{
    uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);

    FAULT_POINT();
    if (((seen ^ fresh) & WHOSE) != 0 && atomic_compare_exchange_strong_explicit(
                                             word, &seen, fresh, memory_order_relaxed, memory_order_relaxed))
        return fresh;
    return seen;
}

/* Spreads what differs between numbers over all bits; 63 of them count. */
static uint64_t mix(uint64_t number)
{
    number ^= number >> 32;
    number *= 0x9e3779b97f4a7c15u;
    number ^= number >> 29;
    number *= 0xd6e8feb86659fd93u;
    return number ^ number >> 32;
}

/* What must be the same in all ranks of a loop. */
static uint64_t print_of(const sharedmem_loop *loop)
{
    uint64_t print = mix(loop->n + 1);

    print = mix(print + loop->chunk);
    print = mix(print + (uint64_t)loop->schedule);
    return mix(print + loop->first_ticket);
}

static int say_another(const sharedmem_loop *loop, const struct team_place *place, uint64_t k)
{
    char known[500] = "another rank is in another loop here; ", text[700];

    if (place->team->is_checked)
        check_explain_loop(place, k, known, sizeof known);
    snprintf(text, sizeof text,
             "%sall ranks of a team make the same loops, in the same order, with the same n, .schedule and .chunk",
             known);
    return usage(loop->where, EINVAL, text);
}

/*
 * Takes part in the loop's place. Returns 0, or -1: the team has failed, or others are in another loop, of
 * which one in 2^63 would look the same.
 */
static int enter_place(sharedmem_loop *loop, struct team_place *place)
{
    struct team_shared *team = place->team;
    uint64_t k = loops_left(team, place->rank);
    struct schedule_shared *dealt = &team->loops[k % TEAM_LOOPS];
    uint64_t print;

    /* The first of a half. */
    if (k % TEAM_LOOPS_AHEAD == 0 && k >= TEAM_LOOPS &&
        wait_for_all(place, k - TEAM_LOOPS_AHEAD, loop->where) != 0)
        return -1;
    /* Zeroed is the other bit than the first loop's. */
    loop->origin = (k / TEAM_LOOPS) % 2 == 0 ? WHOSE : 0;
    loop->dealt = dealt;
    if (team->is_checked)
        check_tell_loop(place, k, loop);
    print = (print_of(loop) & ~WHOSE) | loop->origin;
    if (claim_word(&dealt->loop, print) != print)
        return say_another(loop, place, k);
    FAULT_POINT();
    claim_word(&dealt->next, loop->origin);
    return 0;
}

/* ---- Beginning ---- */

static int check(const sharedmem_loop_options *options, sharedmem_error *error)
{
    if (options->reserved != 0)
        return options_refused(E2BIG, "loop", error);
    if (schedule_check_n("loop", options->n, error) != 0)
        return -1;
    return schedule_check_kind("loop", options->schedule, error);
}

/* One rank deals to itself, with nothing shared: the same chunks as SHAREDMEM_STATIC; guided is one. */
static void be_alone(sharedmem_loop *loop)
{
    if (loop->schedule == SHAREDMEM_GUIDED)
        loop->chunk = 0;
    else if (loop->schedule == SHAREDMEM_DYNAMIC && loop->chunk == 0)
        loop->chunk = 1;
    loop->schedule = SHAREDMEM_STATIC;
}

static int enter(sharedmem_loop *loop, struct team_place *place)
{
    if (place->loop != NULL)
        return usage(
            loop->where, EPERM,
            "this rank is in a loop already; within one use a plain for, and end one that is left early "
            "by sharedmem_loop_end()");
    if (place->has_arrived)
        return barrier_refuse("loop", loop->where);
    if (place->in_ordered)
        return usage(
            loop->where, EPERM,
            "this rank is in an ordered region, which keeps the others out of the loop; begin it outside");
    loop->first_ticket = ordered_next_block(place);
    if (loop->first_ticket >= TICKETS_MAX)
        return usage(loop->where, EOVERFLOW,
                     "the loops of this team have had 2^63 items; a new team can go on");
    if (place->team->size == 1)
        be_alone(loop);
    else if (enter_place(loop, place) != 0)
        return -1;
    place->loop = loop;
    place->behind_loop = loop->first_ticket + loop->n;
    ordered_set_floor(place->team, place->rank, loop->first_ticket);
    return 0;
}

static int begin(sharedmem_loop *loop, const sharedmem_loop_options *options)
{
    struct team_place *place = job_current(options->where);

    if (place != NULL && place->team->is_map)
        return usage(options->where, EPERM,
                     "it is dealt to the ranks of a team, and items of a map are no ranks; use a plain for "
                     "within an item, or sharedmem_parallel() in place of the map");
    *loop = (sharedmem_loop){
        .n = options->n,
        .chunk = options->chunk < options->n ? options->chunk : options->n,
        .schedule = options->schedule,
        .where = options->where,
        .place = place,
    };
    if (place == NULL)
        be_alone(loop);
    else if (enter(loop, place) != 0)
        return -1;
    loop->is_open = true;
    return 0;
}

int sharedmem_loop_begin_with(sharedmem_loop *loop, const sharedmem_loop_options *given,
                              size_t sizeof_options)
{
    sharedmem_loop_options options;
    int code = options_read(&options, sizeof options, given, sizeof_options);
    sharedmem_error error;

    *loop = (sharedmem_loop){.next = 0};
    error_clear(&error);
    if (options_refused(code, "loop", &error) != 0 || check(&options, &error) != 0)
        return error_end_call(&error, false, options.where);
    return begin(loop, &options);
}

/* ---- Dealing ---- */

/* Takes this rank's next chunk into hand. Returns false where there is none. */
static bool deal(sharedmem_loop *loop, const struct team_place *place)
{
    const struct schedule schedule = {
        .kind = loop->schedule,
        .n_ranks = place != NULL ? place->team->size : 1,
        .n = loop->n,
        .chunk = loop->chunk,
        .chunk_max = UINT64_MAX,
        .origin = loop->origin,
    };
    struct schedule_turn turn = {.n_taken = loop->n_taken};
    uint64_t begin, end;

    if (!schedule_next(&schedule, loop->dealt, &turn, place != NULL ? place->rank : 0, &begin, &end))
        return false;
    loop->n_taken = turn.n_taken;
    loop->next = begin;
    loop->end = end;
    return true;
}

/* Whether this rank may take a chunk. */
static bool may_go_on(struct team_place *place)
{
    return place == NULL || (!team_is_stopping(place->team) && !place->in_ordered);
}

/* The loop is over for this rank, or its team has failed. */
static bool end(sharedmem_loop *loop)
{
    struct team_place *place = loop->place;

    sharedmem_loop_end(loop);
    if (place != NULL && team_is_stopping(place->team))
        team_cancelled(place);
    return false;
}

/* The next chunk, where none is in hand. Returns false where the loop has ended for this rank. */
static bool take_chunk(sharedmem_loop *loop)
{
    struct team_place *place = loop->place;

    if (!loop->is_open || !is_mine(loop))
        return false;
    if (!may_go_on(place) || !deal(loop, place))
        return end(loop);
    if (place != NULL)
        ordered_set_floor(place->team, place->rank, loop->first_ticket + loop->next);
    return true;
}

bool sharedmem_loop_next(sharedmem_loop *loop, size_t *i)
{
    if (loop->next >= loop->end && !take_chunk(loop))
        return false;
    *i = loop->next++;
    return true;
}

bool sharedmem_loop_next_chunk(sharedmem_loop *loop, size_t *begin, size_t *end)
{
    if (loop->next >= loop->end && !take_chunk(loop))
        return false;
    *begin = loop->next;
    *end = loop->end;
    /* None is left in hand, and the first is the one that is being done. */
    loop->next = loop->end = *begin + 1;
    return true;
}
