/*
 * The public mutex: a recoverable lock (memory/lock.h) that programs put where they like in shared memory,
 * and that tells of owners that died in it.
 *
 * The invariant: owner_died of the lock is set from a death in it until one who asked for the lock in that
 * state gives it back. Who did not ask does not get it.
 */
#include <errno.h>
#include <math.h>
#include <unistd.h>

#include "base/checking.h"
#include "base/error.h"
#include "host/clock.h"
#include "memory/lock.h"
#include "memory/memory.h"
#include "memory/wait.h"
#include "team/critical.h"
#include "team/deadlock.h"
#include "team/held.h"
#include "team/sync.h"
#include "team/team.h"

_Static_assert(sizeof(struct lock_shared) == sizeof(sharedmem_mutex),
               "a mutex is a lock, and all zero is free");

static struct lock_shared *lock_of(sharedmem_mutex *mutex)
{
    return (struct lock_shared *)(void *)mutex;
}

/* ---- An owner that died ---- */

/* The rank of the caller's team whose death in the lock its supervisor tells of, or the team's size. */
static uint32_t rank_that_died(const struct team_place *place, uint32_t dead)
{
    uint32_t rank = 0;

    if (place->team->is_mended || !member_is_gone(dead))
        return place->team->size;
    while (rank < place->team->size &&
           (rank == place->rank ||
            atomic_load_explicit(&place->team->ranks[rank].member, memory_order_relaxed) != dead))
        rank++;
    return rank;
}

static int say_owner_died(const char *where)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_SYSTEM, EOWNERDEAD,
              "mutex: who held it ended or failed in it, and what it guards may be half changed: "
              "sharedmem_mutex_lock_robust() locks it all the same, to put that right; or it was never zeroed, "
              "as by sharedmem_new(sharedmem_mutex, 1)");
    return error_end_call(&error, false, where);
}

/* Whether place's team has failed, or will since dead was one of its ranks. Sees to it that it will. */
static bool team_fails(const struct team_place *place, uint32_t dead, const char *where)
{
    uint32_t rank;

    if (team_is_stopping(place->team))
        return true;
    rank = rank_that_died(place, dead);
    if (rank < place->team->size)
        team_miss(place, rank, "the mutex that it held,", where);
    return rank < place->team->size;
}

/*
 * The lock is not for this caller, who does not ask for its state. Where a team that it works for fails
 * anyway, the cause of that is told, and not this.
 */
static int refuse(uint32_t dead, const char *where)
{
    for (const struct team_place *place = team_here(); place != NULL; place = place->within) {
        if (team_fails(team_root_place(place), dead, where))
            return team_cancelled(team_here());
    }
    return say_owner_died(where);
}

/* This member has the lock, in which one died. */
static int have_from_dead(struct lock_shared *lock, bool *owner_died, const char *where)
{
    uint32_t dead = atomic_load_explicit(&lock->owner_died, memory_order_relaxed);

    if (owner_died != NULL) {
        held_took(lock, where);
        *owner_died = true;
        return 0;
    }
    lock_release(lock);
    return refuse(dead, where);
}

/* ---- Locking ---- */

/* What a call got from the lock, code, as the caller gets it. */
static int end_lock(struct lock_shared *lock, int code, bool *owner_died, const char *where)
{
    switch (code) {
    case 0:
        held_took(lock, where);
        return 0;
    case EOWNERDEAD:
        return have_from_dead(lock, owner_died, where);
    case EDEADLK:
        return sync_misused(where, EDEADLK, "mutex",
                            "this member has locked it already, and would wait for itself for ever; "
                            "or it was never zeroed, as by sharedmem_new(sharedmem_mutex, 1)");
    case ECANCELED:
        return deadlock_end_lock(where);
    default:
        errno = code;
        return -1;
    }
}

/*
 * How much of the segment has mutexes that can be had in the short way: all of it once this process has taken
 * the other one; nothing in checking mode, where each look costs more than the mutex.
 */
static _Atomic size_t short_bytes;

static void open_short_way(void)
{
    /* relaxed: who is a member, which lock_try() asks, knows the segment. */
    if (!checking_is_on())
        atomic_store_explicit(&short_bytes, segment_size, memory_order_relaxed);
}

static inline bool has_short_way(const sharedmem_mutex *mutex)
{
    return (uintptr_t)mutex % sizeof(uint64_t) == 0 &&
           (uintptr_t)mutex - (uintptr_t)segment_base < atomic_load_explicit(&short_bytes, memory_order_relaxed);
}

/* The mutex was not to be had at once, or is none. code: what lock_try() said. */
__attribute__((noinline)) static int lock_slowly(sharedmem_mutex *mutex, int code, uint64_t until_ns,
                                                 bool *owner_died, const char *where)
{
    struct lock_shared *lock = lock_of(mutex);
    sharedmem_error error;

    if (!sync_is_placed(mutex))
        return sync_misplaced(where, "mutex", mutex, "sharedmem_mutex");
    if (memory_enter_at(where, &error) != 0)
        return error_end_call(&error, false, where);
    open_short_way();
    if (code == EBUSY && until_ns == 0 && critical_is_masters(lock))
        return sync_misused(
            where, EDEADLK, "mutex",
            "the caller of this map or parallel call has locked it, and waits for its workers; "
            "let the caller unlock it before the call");
    if (code == EBUSY && until_ns == 0)
        held_wants(lock, where);
    if (code == EBUSY)
        code = lock_acquire_until(lock, where, until_ns);
    return end_lock(lock, code, owner_died, where);
}

/* The short way, where the mutex is free and the caller has no other lock. */
static inline int lock_shortly(sharedmem_mutex *mutex)
{
    return has_short_way(mutex) ? lock_try(lock_of(mutex), segment_offset(mutex)) : EBUSY;
}

int sharedmem_mutex_lock_at(sharedmem_mutex *mutex, const char *where)
{
    int code = lock_shortly(mutex);

    return __builtin_expect(code == 0, 1) ? 0 : lock_slowly(mutex, code, 0, NULL, where);
}

int sharedmem_mutex_lock_robust_at(sharedmem_mutex *mutex, bool *owner_died, const char *where)
{
    int code;

    if (owner_died == NULL)
        return sync_misused(where, EINVAL, "mutex",
                            "owner_died is NULL; sharedmem_mutex_lock() is for those who do not ask");
    *owner_died = false;
    code = lock_shortly(mutex);
    return code == 0 ? 0 : lock_slowly(mutex, code, 0, owner_died, where);
}

/*
 * An owner that died unseen would keep a mutex busy for those who only try. The system, which takes
 * microseconds, is asked no oftener than by those who wait.
 */
static bool is_time_to_look(void)
{
    static _Thread_local uint64_t looked_ns;
    uint64_t now = clock_monotonic_ns();

    if (now - looked_ns < WAIT_PARK_NS)
        return false;
    looked_ns = now;
    return true;
}

int sharedmem_mutex_trylock_at(sharedmem_mutex *mutex, const char *where)
{
    struct lock_shared *lock = lock_of(mutex);
    int code = lock_shortly(mutex);
    sharedmem_error error;

    if (code == 0)
        return 0;
    if (!sync_is_placed(mutex))
        return sync_misplaced(where, "mutex", mutex, "sharedmem_mutex");
    if (memory_enter_at(where, &error) != 0)
        return error_end_call(&error, false, where);
    if (code == EBUSY)
        code = lock_acquire_now(lock);
    if (code == EBUSY && is_time_to_look() && lock_look(lock))
        code = lock_acquire_now(lock);
    return end_lock(lock, code, NULL, where);
}

int sharedmem_mutex_timedlock_at(sharedmem_mutex *mutex, double seconds, const char *where)
{
    int code;

    if (isnan(seconds))
        return sync_misused(where, EINVAL, "mutex", "seconds is not a number");
    if (seconds > 0) {
        code = lock_shortly(mutex);
        return code == 0 ? 0 : lock_slowly(mutex, code, sync_until(seconds), NULL, where);
    }
    code = sharedmem_mutex_trylock_at(mutex, where);
    if (code != 0 && errno == EBUSY)
        errno = ETIMEDOUT;
    return code;
}

/* ---- Unlocking ---- */

__attribute__((noinline)) static int unlock_slowly(sharedmem_mutex *mutex, const char *where)
{
    struct lock_shared *lock = lock_of(mutex);

    if (!sync_is_placed(mutex))
        return sync_misplaced(where, "mutex", mutex, "sharedmem_mutex");
    /* It is the parent's, who unlocks it. */
    if (lock_is_originals(lock))
        return 0;
    if (member_me == NULL || !lock_is_mine(lock))
        return sync_misused(where, EPERM, "mutex", "it is unlocked by one that has not locked it, or twice");
    /* Who has it knew of the death. */
    lock_mark_consistent(lock);
    FAULT_POINT();
    lock_release(lock);
    return 0;
}

int sharedmem_mutex_unlock_at(sharedmem_mutex *mutex, const char *where)
{
    struct lock_shared *lock = lock_of(mutex);

    if (__builtin_expect(sync_is_placed(mutex) &&
                             atomic_load_explicit(&lock->owner_died, memory_order_relaxed) == 0 &&
                             lock_try_release(lock, segment_offset(lock)),
                         1))
        return 0;
    return unlock_slowly(mutex, where);
}
