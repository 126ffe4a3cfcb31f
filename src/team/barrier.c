#include "team/barrier.h"

#include <errno.h>

#include "base/error.h"
#include "base/fault.h"
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

/*
 * A rank that left will never come: the team fails with that. One that died is told of by whoever supervises
 * it.
 */
static void give_up(const struct team_place *place, uint32_t missing, const char *where)
{
    struct team_shared *team = place->team;
    sharedmem_error error;

    if (atomic_load_explicit(&team->ranks[missing].left, memory_order_acquire) == 0) {
        team_stop(team);
        return;
    }
    error_set(&error, SHAREDMEM_ERROR_DEADLOCK, EDEADLK,
              "rank %u has ended while rank %u waits for it in the barrier at %s", missing, place->rank,
              where != NULL ? where : "an unknown place");
    error.rank = (int32_t)missing;
    team_fail(team, place->rank, &error);
}

/* Nothing happened for a while: is somebody missing who will never come? */
static void look_for_missing(const struct team_place *place, uint32_t goal, const char *where)
{
    struct team_shared *team = place->team;

    for (uint32_t rank = 0; rank < team->size; rank++) {
        if (!team_rank_is_gone(team, rank))
            continue;
        /*
         * One that left has come to all barriers that it said. One that died may have said so, and not been
         * counted.
         */
        if (atomic_load_explicit(&team->ranks[rank].left, memory_order_acquire) != 0 &&
            has_come_to(arrived(team, rank), goal))
            continue;
        give_up(place, rank, where);
        return;
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

    wait_begin_spun(&wait, WAIT_BARRIER, where, atomic_load_explicit(&other->member, memory_order_relaxed));
    while (!has_come_to(seen = arrived(team, rank), goal) && !team_is_stopping(team)) {
        if (wait_pause(&wait))
            continue;
        if (!wait_park(&wait, &other->arrived, seen, &other->arrived_sleepers))
            look_for_missing(place, goal, where);
    }
    wait_end(&wait);
}

/*
 * Those who sleep for this rank are woken when it has nothing else to do, before it sleeps itself or at the end: the fence
 * that this takes would else stand between its arrival and its first look at the others.
 */
static void meet_by_flags(const struct team_place *place, uint32_t goal, const char *where)
{
    struct team_shared *team = place->team;
    struct team_rank_shared *mine = &team->ranks[place->rank];

    FAULT_POINT();
    /* release: who sees the arrival sees what was done before it. */
    atomic_store_explicit(&mine->arrived, goal, memory_order_release);
    FAULT_POINT();
    for (uint32_t rank = 0; rank < team->size; rank++) {
        WAIT_SPIN_UNTIL(has_come_to(arrived(team, rank), goal));
        if (has_come_to(arrived(team, rank), goal))
            continue;
        wait_wake(&mine->arrived, &mine->arrived_sleepers);
        meet_rank(place, rank, goal, where);
    }
    wait_wake(&mine->arrived, &mine->arrived_sleepers);
}

static void wait_for_release(const struct team_place *place, uint32_t goal, const char *where)
{
    struct team_shared *team = place->team;
    struct wait wait;
    uint32_t seen;

    wait_begin(&wait, WAIT_BARRIER, where, 0);
    while (!has_come_to(seen = atomic_load_explicit(&team->n_released, memory_order_acquire), goal) &&
           !team_is_stopping(team)) {
        if (wait_pause(&wait))
            continue;
        if (!wait_park(&wait, &team->n_released, seen, &team->released_sleepers))
            look_for_missing(place, goal, where);
    }
    wait_end(&wait);
}

__attribute__((noinline)) static void meet_by_count(const struct team_place *place, uint32_t goal,
                                                    const char *where)
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

int barrier_meet(struct team_place *place, const char *where)
{
    struct team_shared *team = place->team;
    uint32_t goal = arrived(team, place->rank) + 1;

    if (team->size <= BARRIER_FLAGS_MAX)
        meet_by_flags(place, goal, where);
    else
        meet_by_count(place, goal, where);
    if (!team_is_stopping(team) || is_complete(team, goal))
        return 0;
    return team_cancelled(place);
}
