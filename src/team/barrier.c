#include "team/barrier.h"

#include <errno.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/text.h"
#include "host/clock.h"
#include "memory/member.h"
#include "memory/wait.h"

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
    uint32_t member = atomic_load_explicit(&place->team->ranks[rank].member, memory_order_acquire);

    return rank == place->rank || (member != 0 && atomic_load_explicit(&member_slot(member)->wait.kind,
                                                                       memory_order_acquire) == WAIT_BARRIER);
}

/*
 * A rank that left will never come: the team fails with that. One that died is told of by whoever supervises
 * it; in a job that may see no more than the rank's shell, so that what is known is said here too.
 */
static void give_up(const struct team_place *place, uint32_t missing, const char *where)
{
    struct team_shared *team = place->team;
    struct text_ranges waiting;
    sharedmem_error error;

    if (atomic_load_explicit(&team->ranks[missing].left, memory_order_acquire) == TEAM_STAYS && !team->is_job)
        team_stop(team);
    /* Where it left because the team had failed, that is no news. */
    if (team_is_stopping(team))
        return;
    text_ranges_begin(&waiting);
    for (uint32_t rank = 0; rank < team->size; rank++) {
        if (rank != missing && waits_too(place, rank))
            text_ranges_add(&waiting, rank);
    }
    error_set(&error, SHAREDMEM_ERROR_DEADLOCK, EDEADLK,
              "rank %u is gone while rank%s %s wait%s in the barrier or collective at %s", missing,
              waiting.n > 1 ? "s" : "", waiting.text, waiting.n > 1 ? "" : "s",
              where != NULL ? where : "an unknown place");
    error.rank = (int32_t)missing;
    team_fail(team, place->rank, &error);
}

/*
 * One that left by itself has come to all barriers that it said. One that died may have said so, and not been
 * counted.
 */
static bool is_no_matter(const struct team_shared *team, uint32_t rank, uint32_t goal)
{
    return atomic_load_explicit(&team->ranks[rank].left, memory_order_acquire) == TEAM_LEFT &&
           has_come_to(arrived(team, rank), goal);
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

/*
 * Those who sleep for this rank are woken when it has nothing else to do, before it sleeps itself or at the
 * end: the fence that this takes would else stand between its arrival and its first look at the others.
 */
static inline void meet_by_flags(const struct team_place *place, uint32_t goal, const char *where)
{
    struct team_shared *team = place->team;
    struct team_rank_shared *mine = &team->ranks[place->rank];

    FAULT_POINT();
    /* release: who sees the arrival sees what was done before it. */
    atomic_store_explicit(&mine->arrived, goal, memory_order_release);
    FAULT_POINT();
    for (uint32_t rank = 0; rank < team->size; rank++) {
        if (rank == place->rank)
            continue;
        WAIT_SPIN_UNTIL(has_come_to(arrived(team, rank), goal));
        if (has_come_to(arrived(team, rank), goal))
            continue;
        wait_wake(&mine->arrived, &mine->arrived_sleepers);
        meet_rank(place, rank, goal, where);
    }
    wait_wake(&mine->arrived, &mine->arrived_sleepers);
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

__attribute__((noinline)) static void meet_by_count(const struct team_place *place, uint32_t goal,
                                                    const char *where, barrier_finish *finish,
                                                    const void *argument)
{
    struct team_shared *team = place->team;
    bool is_last;

    FAULT_POINT();
    /* release: as above, for those who look for the missing. */
    atomic_store_explicit(&team->ranks[place->rank].arrived, goal, memory_order_release);
    FAULT_POINT();
    /* acq_rel: the last one has seen what all did before, and passes it on by its release. */
    is_last = atomic_fetch_add_explicit(&team->n_arrived, 1, memory_order_acq_rel) + 1 == goal * team->size;
    FAULT_POINT();
    if (!is_last) {
        wait_for_release(place, goal, where);
        return;
    }
    if (finish != NULL)
        finish(team, argument);
    FAULT_POINT();
    /* release: pairs with the acquire in released(). */
    atomic_store_explicit(&team->n_released, goal, memory_order_release);
    FAULT_POINT();
    wait_wake(&team->n_released, &team->released_sleepers);
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

static inline int meet(struct team_place *place, const char *where, barrier_finish *finish,
                       const void *argument)
{
    struct team_shared *team = place->team;
    uint32_t goal = barrier_next(place);
    bool is_large = team->size > BARRIER_FLAGS_MAX;

    if (is_large)
        meet_by_count(place, goal, where, finish, argument);
    else
        meet_by_flags(place, goal, where);
    if (team_is_stopping(team) && !is_complete(team, goal))
        return team_cancelled(place);
    /* All have come, but the last one may have died before it let the others go. */
    return finish != NULL && is_large && has_come_to(released(team), goal);
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
