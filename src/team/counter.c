/*
 * The public counter: 64 bits that members add to and wait for.
 *
 * The invariant: who sleeps has set SLEEPERS in the turn, and looked at the value after that; who changes
 * the value looks at the turn after that. Both put a fence between, so that one of them sees the other:
 * either the sleeper finds the new value, or the changer finds SLEEPERS, begins another turn, and wakes all.
 * They sleep on the turn, which differs from what they saw from then on, and not on half of the value, which
 * comes again. Where the changer dies before it woke them, or a turn comes again after 2^31 others, that
 * costs WAIT_PARK_NS.
 *
 * A sleeper that dies leaves a bit, no count: the next change clears it.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdatomic.h>

#include "base/error.h"
#include "base/fault.h"
#include "host/futex.h"
#include "memory/memory.h"
#include "memory/wait.h"
#include "team/job.h"
#include "team/sync.h"
#include "team/team.h"

#define SLEEPERS 1u

struct counter_shared {
    _Atomic int64_t value;
    _Atomic uint32_t turn; /* SLEEPERS, and a count of wake-ups above it: the futex word */
    uint32_t unused;
};

_Static_assert(sizeof(struct counter_shared) == sizeof(sharedmem_counter), "all zero is a counter at 0");

static struct counter_shared *inside(sharedmem_counter *counter)
{
    return (struct counter_shared *)(void *)counter;
}

/* ---- Changing ---- */

/* After each change. */
static inline void wake(struct counter_shared *counter)
{
    uint32_t turn;

    FAULT_POINT();
    /* Pairs with the fence in begin_sleep(). */
    atomic_thread_fence(memory_order_seq_cst);
    turn = atomic_load_explicit(&counter->turn, memory_order_relaxed);
    if (!(turn & SLEEPERS))
        return;
    /* Clears the bit, and carries. Where that fails another changer has done it since, and wakes them. */
    if (!atomic_compare_exchange_strong_explicit(&counter->turn, &turn, turn + SLEEPERS, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    FAULT_POINT();
    futex_wake(&counter->turn, INT_MAX);
    FAULT_POINT();
}

static int misplaced(const sharedmem_counter *counter, const char *where)
{
    return sync_misplaced(where, "counter", counter, "sharedmem_counter");
}

int64_t sharedmem_counter_add_at(sharedmem_counter *counter, int64_t amount, const char *where)
{
    int64_t before;

    if (!sync_is_placed(counter)) {
        misplaced(counter, where);
        return 0;
    }
    FAULT_POINT();
    /* acq_rel: who comes to a value has seen what all did before they added to it. */
    before = atomic_fetch_add_explicit(&inside(counter)->value, amount, memory_order_acq_rel);
    wake(inside(counter));
    return (int64_t)((uint64_t)before + (uint64_t)amount);
}

int sharedmem_counter_set_at(sharedmem_counter *counter, int64_t value, const char *where)
{
    if (!sync_is_placed(counter))
        return misplaced(counter, where);
    FAULT_POINT();
    /* release: pairs with value_of(). */
    atomic_store_explicit(&inside(counter)->value, value, memory_order_release);
    wake(inside(counter));
    return 0;
}

static inline int64_t value_of(struct counter_shared *counter)
{
    /* acquire: pairs with the releases of add and set: what was done before them is seen. */
    return atomic_load_explicit(&counter->value, memory_order_acquire);
}

int64_t sharedmem_counter_read_at(const sharedmem_counter *counter, const char *where)
{
    if (!sync_is_placed(counter)) {
        misplaced(counter, where);
        return 0;
    }
    return value_of(inside((sharedmem_counter *)(uintptr_t)counter));
}

/* ---- Waiting ---- */

/* What is waited for. */
struct goal {
    struct counter_shared *counter;
    int32_t relation;
    int64_t value;
};

static bool is_reached(const struct goal *goal)
{
    int64_t seen = value_of(goal->counter);

    switch (goal->relation) {
    case SHAREDMEM_EQ:
        return seen == goal->value;
    case SHAREDMEM_NE:
        return seen != goal->value;
    case SHAREDMEM_LT:
        return seen < goal->value;
    case SHAREDMEM_LE:
        return seen <= goal->value;
    case SHAREDMEM_GT:
        return seen > goal->value;
    default:
        return seen >= goal->value;
    }
}

/* Whether a team that the caller works for has failed: who was to change the counter may be gone. */
static bool has_failed(const struct team_place *place)
{
    while (place != NULL && !team_is_stopping(place->team))
        place = place->within;
    return place != NULL;
}

/* Of how many ranks the system is asked each time, which takes microseconds for each. */
#define LOOKS_AT_ONCE 8

/* Stops the team where rank is seen dead; of its end is told by whoever supervises it. */
static void look_at(const struct team_place *place, uint32_t rank)
{
    struct team_shared *team = place->team;

    /* The second after the first: who leaves by itself says so before it is gone. */
    if (rank != place->rank && team_rank_is_gone(team, rank) && team_left(team, rank) == TEAM_STAYS)
        team_stop(team);
}

/*
 * Nothing happened for a while. The master of a parallel call is one of its ranks, and while it waits here
 * nobody else may see that a worker has died. A job has its launcher for that, and who is replaced is no loss.
 */
static void look_for_dead(const struct team_place *place, uint32_t n_looks)
{
    for (; place != NULL; place = place->within) {
        const struct team_place *root = team_root_place(place);
        uint32_t size = root->team->size, n = size < LOOKS_AT_ONCE ? size : LOOKS_AT_ONCE;

        for (uint32_t i = 0; i < n && !root->team->is_job && !root->team->is_mended; i++)
            look_at(root, (n_looks * n + i) % size);
    }
}

/* Says that somebody sleeps. Returns the turn to sleep in, once the goal has been looked at again. */
static uint32_t begin_sleep(struct counter_shared *counter)
{
    uint32_t turn = atomic_fetch_or_explicit(&counter->turn, SLEEPERS, memory_order_relaxed) | SLEEPERS;

    FAULT_POINT();
    /* Pairs with the fence in wake(). */
    atomic_thread_fence(memory_order_seq_cst);
    return turn;
}

/*
 * Waits until the goal is reached: 0; or ETIMEDOUT; ECANCELED, a team has failed; EDEADLK, nobody else is
 * there.
 */
static int wait_for_goal(const struct goal *goal, struct wait *wait)
{
    const struct team_place *place = team_here();
    uint32_t turn, n_looks = 0;

    while (!is_reached(goal)) {
        if (has_failed(place))
            return ECANCELED;
        if (wait_pause(wait))
            continue;
        if (wait_is_over(wait))
            return ETIMEDOUT;
        turn = begin_sleep(goal->counter);
        if (is_reached(goal))
            break;
        if (wait_park(wait, &goal->counter->turn, turn, NULL))
            continue;
        look_for_dead(place, n_looks++);
        if (wait->until_ns == 0 && memory_is_alone() && !is_reached(goal))
            return EDEADLK;
    }
    return 0;
}

static int check(sharedmem_counter *counter, int32_t relation, const char *where)
{
    if (!sync_is_placed(counter))
        return misplaced(counter, where);
    if (relation < SHAREDMEM_EQ || relation > SHAREDMEM_GE)
        return sync_misused(where, EINVAL, "counter",
                            "the relation is none of SHAREDMEM_EQ, NE, LT, LE, GT and GE");
    return 0;
}

/* The goal is not reached yet. */
__attribute__((noinline)) static int wait_long(const struct goal *goal, uint64_t until_ns, const char *where)
{
    sharedmem_error error;
    struct wait wait;
    int code;

    if (memory_enter_at(where, &error) != 0)
        return error_end_call(&error, false, where);
    job_current(where);
    wait_begin(&wait, WAIT_COUNTER, where, 0);
    wait_limit(&wait, until_ns);
    code = wait_for_goal(goal, &wait);
    wait_end(&wait);
    switch (code) {
    case 0:
        return 0;
    case ECANCELED:
        return team_cancelled(team_here());
    case EDEADLK:
        return sync_misused(
            where, EDEADLK, "counter",
            "it is waited for for ever: there is no other process or thread that could change it "
            "(in debug mode, serial maps and teams of one the caller is alone)");
    default:
        errno = code;
        return -1;
    }
}

int sharedmem_counter_wait_at(sharedmem_counter *counter, int32_t relation, int64_t value, const char *where)
{
    struct goal goal = {.counter = inside(counter), .relation = relation, .value = value};

    if (check(counter, relation, where) != 0)
        return -1;
    return is_reached(&goal) ? 0 : wait_long(&goal, 0, where);
}

int sharedmem_counter_timedwait_at(sharedmem_counter *counter, int32_t relation, int64_t value,
                                   double seconds, const char *where)
{
    struct goal goal = {.counter = inside(counter), .relation = relation, .value = value};

    if (check(counter, relation, where) != 0)
        return -1;
    if (isnan(seconds))
        return sync_misused(where, EINVAL, "counter", "seconds is not a number");
    if (is_reached(&goal))
        return 0;
    if (seconds > 0)
        return wait_long(&goal, sync_until(seconds), where);
    errno = ETIMEDOUT;
    return -1;
}
