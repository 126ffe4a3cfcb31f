#include "team/barrier.h"

#include <errno.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/text.h"
#include "host/clock.h"
#include "memory/member.h"
#include "memory/wait.h"
#include "team/sync.h"

/* Whether count, which wraps, has come to goal. */
static bool has_come_to(uint32_t count, uint32_t goal)
{
    return (int32_t)(count - goal) >= 0;
}

static uint32_t arrived(const struct team_shared *team, uint32_t rank)
{
    /* acquire: pairs with the release in meet_by_flags(). */
    return atomic_load_explicit(&team->ranks[rank].arrived, memory_order_acquire);
}

/* Whether rank is this one, or is seen to wait in a barrier too. */
static bool waits_too(const struct team_place *place, uint32_t rank)
{
    uint32_t member = team_member(place->team, rank);

    return rank == place->rank || (member != 0 && atomic_load_explicit(&member_slot(member)->wait.kind,
                                                                       memory_order_acquire) == WAIT_BARRIER);
}

/* The others that are seen to wait, by the numbers that they have in the outermost team, which rise then too. */
static void list_waiting(const struct team_place *place, uint32_t missing, struct text_ranges *waiting)
{
    const struct team_shared *team = place->team;
    uint64_t seen[MEMBER_SLOTS / 64] = {0};

    for (uint32_t rank = 0; rank < team->size; rank++) {
        uint32_t number = team_root_rank(team, rank);

        if (rank != missing && waits_too(place, rank))
            seen[number / 64] |= (uint64_t)1 << number % 64;
    }
    text_ranges_of_set(waiting, seen, team_root(team)->size);
}

void barrier_list_missing(const struct team_shared *team, struct text_ranges *missing)
{
    uint64_t set[MEMBER_SLOTS / 64] = {0};
    uint32_t latest = arrived(team, 0);

    for (uint32_t rank = 1; rank < team->size; rank++) {
        if (!has_come_to(latest, arrived(team, rank)))
            latest = arrived(team, rank);
    }
    for (uint32_t rank = 0; rank < team->size; rank++) {
        uint32_t number = team_root_rank(team, rank) % MEMBER_SLOTS;

        if (!has_come_to(arrived(team, rank), latest))
            set[number / 64] |= (uint64_t)1 << number % 64;
    }
    text_ranges_of_set(missing, set, MEMBER_SLOTS);
}

/*
 * A rank that left will never come: the team fails with that. One that died is told of by whoever supervises
 * it; in a job that may see no more than the rank's shell, so that what is known is said here too.
 */
static void give_up(const struct team_place *place, uint32_t missing, const char *where)
{
    struct team_shared *team = place->team;
    uint32_t number = team_root_rank(team, missing);
    char which[TEAM_WHICH_BYTES];
    struct text_ranges waiting;
    sharedmem_error error;

    if (team_left(team, missing) == TEAM_STAYS && !team_root(team)->is_job)
        team_stop(team);
    /* Where it left because the team had failed, that is no news. */
    if (team_is_stopping(team))
        return;
    list_waiting(place, missing, &waiting);
    error_set(&error, SHAREDMEM_ERROR_DEADLOCK, EDEADLK,
              "rank %u %s while rank%s %s wait%s in the barrier or collective at %s%s", number,
              team_how_gone(team, missing), waiting.n > 1 ? "s" : "", waiting.text, waiting.n > 1 ? "" : "s",
              where != NULL ? where : "an unknown place", team_which(place, which));
    error.rank = (int32_t)number;
    team_fail(team, place->rank, &error);
}

/*
 * One that left by itself has come to all barriers that it said. One that died may have said so, and not been
 * counted.
 */
static bool is_no_matter(const struct team_shared *team, uint32_t rank, uint32_t goal)
{
    return team_left(team, rank) == TEAM_LEFT && has_come_to(arrived(team, rank), goal);
}

/* The first rank that has not come; where all have, another one each time. */
static uint32_t rank_to_ask_for(const struct team_place *place, uint32_t goal)
{
    const struct team_shared *team = place->team;

    for (uint32_t rank = 0; rank < team->size; rank++) {
        if (!has_come_to(arrived(team, rank), goal))
            return rank;
    }
    return (uint32_t)(clock_monotonic_ns() / WAIT_PARK_NS + place->rank) % team->size;
}

/*
 * Nothing happened for a while: is somebody missing who will never come? Of all ranks that is asked which whoever
 * supervises them says of their ends; the system, which takes longer, of one only.
 */
static void look_for_missing(const struct team_place *place, uint32_t goal, const char *where)
{
    struct team_shared *team = place->team;
    uint32_t asked = rank_to_ask_for(place, goal);

    for (uint32_t rank = 0; rank < team->size; rank++) {
        bool is_gone = rank == asked ? team_rank_is_gone(team, rank) : team_rank_is_told_gone(team, rank);

        if (is_gone && !is_no_matter(team, rank, goal)) {
            give_up(place, rank, where);
            return;
        }
    }
}

/* Not inlined: the way of those who find the others there already shall be short. */
__attribute__((noinline)) static void meet_rank(const struct team_place *place, uint32_t rank, uint32_t goal,
                                                const char *where)
{
    struct team_shared *team = place->team;
    struct team_rank_shared *other = &team->ranks[rank];
    struct wait wait;
    uint32_t seen;

    wait_begin_spun(&wait, WAIT_BARRIER, where, team_waker(team, rank));
    while (!has_come_to(seen = arrived(team, rank), goal) && !team_is_stopping(team)) {
        if (wait_pause(&wait))
            continue;
        if (!wait_park(&wait, &other->arrived, seen, &other->arrived_sleepers)) {
            look_for_missing(place, goal, where);
            wait_for(&wait, team_waker(team, rank));
        }
    }
    wait_end(&wait);
}

/* ---- The two halves: to say that this rank has come, and to wait until all have ---- */

static inline void arrive_by_flag(const struct team_place *place, uint32_t goal)
{
    FAULT_POINT();
    /* release: who sees the arrival sees what was done before it. */
    atomic_store_explicit(&place->team->ranks[place->rank].arrived, goal, memory_order_release);
    FAULT_POINT();
}

/* Wakes those who sleep for this rank. */
static inline void wake_for_arrival(const struct team_place *place)
{
    struct team_rank_shared *mine = &place->team->ranks[place->rank];

    wait_wake_mine(&mine->arrived, &mine->arrived_sleepers);
}

/*
 * Those who sleep for this rank are woken when it has nothing else to do, before it sleeps itself or at the
 * end: what this takes would else stand between its arrival and its first look at the others.
 * is_read: all read the others' lines behind the barrier. To fetch one's own back then, as wake_for_arrival() does,
 * would take it from who is just about to read it: a reduction of two ranks takes a quarter less without.
 */
static inline void wait_for_flags(const struct team_place *place, uint32_t goal, const char *where, bool is_read)
{
    struct team_rank_shared *mine = &place->team->ranks[place->rank];
    struct team_shared *team = place->team;

    for (uint32_t rank = 0; rank < team->size; rank++) {
        if (rank == place->rank)
            continue;
        WAIT_SPIN_UNTIL(has_come_to(arrived(team, rank), goal));
        if (has_come_to(arrived(team, rank), goal))
            continue;
        wake_for_arrival(place);
        meet_rank(place, rank, goal, where);
    }
    if (is_read)
        wait_wake(&mine->arrived, &mine->arrived_sleepers);
    else
        wake_for_arrival(place);
}

static uint32_t released(const struct team_shared *team)
{
    /* acquire: who sees the release sees what all did before, and what the last one finished. */
    return atomic_load_explicit(&team->n_released, memory_order_acquire);
}

static void wait_for_release(const struct team_place *place, uint32_t goal, const char *where)
{
    struct team_shared *team = place->team;
    struct wait wait;
    uint32_t seen;

    wait_begin(&wait, WAIT_BARRIER, where, 0);
    while (!has_come_to(seen = released(team), goal) && !team_is_stopping(team)) {
        if (wait_pause(&wait))
            continue;
        if (!wait_park(&wait, &team->n_released, seen, &team->released_sleepers))
            look_for_missing(place, goal, where);
    }
    wait_end(&wait);
}

/* The last one to come releases all. */
static void arrive_by_count(const struct team_place *place, uint32_t goal, barrier_finish *finish,
                            const void *argument)
{
    struct team_shared *team = place->team;

    FAULT_POINT();
    /* release: as above, for those who look for the missing. */
    atomic_store_explicit(&team->ranks[place->rank].arrived, goal, memory_order_release);
    FAULT_POINT();
    /* acq_rel: the last one has seen what all did before, and passes it on by its release. */
    if (atomic_fetch_add_explicit(&team->n_arrived, 1, memory_order_acq_rel) + 1 != goal * team->size)
        return;
    FAULT_POINT();
    if (finish != NULL)
        finish(team, argument);
    FAULT_POINT();
    /* release: pairs with the acquire in released(). */
    atomic_store_explicit(&team->n_released, goal, memory_order_release);
    FAULT_POINT();
    wait_wake(&team->n_released, &team->released_sleepers);
}

__attribute__((noinline)) static void meet_by_count(const struct team_place *place, uint32_t goal,
                                                    const char *where, barrier_finish *finish,
                                                    const void *argument)
{
    arrive_by_count(place, goal, finish, argument);
    if (!has_come_to(released(place->team), goal))
        wait_for_release(place, goal, where);
}

/* Whether all have come: a barrier that is complete counts, even if the team failed right after it. */
static bool is_complete(const struct team_shared *team, uint32_t goal)
{
    for (uint32_t rank = 0; rank < team->size; rank++) {
        if (!has_come_to(arrived(team, rank), goal))
            return false;
    }
    return true;
}

static bool is_large(const struct team_place *place)
{
    return place->team->size > BARRIER_FLAGS_MAX;
}

/* What the wait for the barrier has come to: 0, or -1. */
static inline int end(struct team_place *place, uint32_t goal)
{
    if (team_is_stopping(place->team) && !is_complete(place->team, goal))
        return team_cancelled(place);
    return 0;
}

static inline int meet(struct team_place *place, const char *where, barrier_finish *finish,
                       const void *argument)
{
    uint32_t goal = barrier_next(place);

    if (is_large(place)) {
        meet_by_count(place, goal, where, finish, argument);
    } else {
        arrive_by_flag(place, goal);
        wait_for_flags(place, goal, where, finish != NULL);
    }
    if (end(place, goal) != 0)
        return -1;
    /* All have come, but the last one may have died before it let the others go. */
    return finish != NULL && is_large(place) && has_come_to(released(place->team), goal);
}

int barrier_meet(struct team_place *place, const char *where)
{
    return meet(place, where, NULL, NULL);
}

int barrier_meet_and(struct team_place *place, const char *where, barrier_finish *finish,
                     const void *argument)
{
    return meet(place, where, finish, argument);
}

void barrier_arrive(struct team_place *place)
{
    uint32_t goal = barrier_next(place);

    if (is_large(place)) {
        arrive_by_count(place, goal, NULL, NULL);
    } else {
        arrive_by_flag(place, goal);
        /* It may compute for long, and who sleeps shall not. */
        wake_for_arrival(place);
    }
    place->has_arrived = true;
}

int barrier_wait(struct team_place *place, const char *where)
{
    uint32_t goal = barrier_next(place) - 1;

    place->has_arrived = false;
    if (!is_large(place))
        wait_for_flags(place, goal, where, false);
    else if (!has_come_to(released(place->team), goal))
        wait_for_release(place, goal, where);
    return end(place, goal);
}

int barrier_refuse(const char *call, const char *where)
{
    return sync_misused(where, EPERM, call,
                        "this rank has arrived at a barrier, and is to come to it first by "
                        "sharedmem_barrier_wait()");
}
