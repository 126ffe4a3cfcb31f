/*
 * lock.h: a lock in shared memory that outlives the death of its owner. Zeroed memory is a free lock.
 *
 * The word holds the owner's member id, never a rank or a pid, and in its highest bit whether somebody
 * sleeps. A lock is not fair: whoever comes while it is free takes it, since handing it to a sleeper costs a
 * wake-up each time.
 */
#ifndef MEMORY_LOCK_H
#define MEMORY_LOCK_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "memory/member.h"
#include "memory/segment.h"

struct lock_shared {
    _Atomic uint32_t word;
    /* The member that died in it, where nobody called lock_mark_consistent() since; 0: none. */
    _Atomic uint32_t owner_died;
};

/*
 * Takes the lock; waits as wait.h says. where: "file:line" for those who ask what this member waits for, or
 * NULL.
 * Returns 0; or EOWNERDEAD: the lock is taken too, but an owner died in it, and what it guards must be put
 * right
 *   before lock_mark_consistent(); or EDEADLK: this member has it already, and it is left as it is;
 *   or ECANCELED: it will never come free, and the caller's team, where it has one, has failed with that
 *   (team/deadlock.h).
 * The caller must be a member (member_join).
 */
int lock_acquire(struct lock_shared *lock, const char *where);

/* The same until until_ns (wait.h), 0 is for ever; then ETIMEDOUT, and the lock is not taken. */
int lock_acquire_until(struct lock_shared *lock, const char *where, uint64_t until_ns);

/*
 * The same without waiting: EBUSY where another member has it that is not marked dead. The caller may hold
 * other locks.
 */
int lock_acquire_now(struct lock_shared *lock);

/* Asks the system whether the owner lives, and marks it dead where not. Returns whether it is dead. */
bool lock_look(struct lock_shared *lock);

/* Whether the thread has it that the calling one was forked from by the program (member_is_copy_of). */
bool lock_is_originals(const struct lock_shared *lock);

/* Says that what the lock guards is whole again. Only its owner. */
void lock_mark_consistent(struct lock_shared *lock);

/* Whether the calling thread has it. */
bool lock_is_mine(const struct lock_shared *lock);

/* Gives the lock back. Only its owner. Keeps errno. */
void lock_release(struct lock_shared *lock);

/* Gives it back as if its owner, the caller, had died in it. Keeps errno. */
void lock_abandon(struct lock_shared *lock);

/*
 * Takes the lock from dead, a member marked dead, if it has it, and gives it back with owner_died set.
 * The caller must be a member, and live.
 */
void lock_recover(struct lock_shared *lock, uint32_t dead);

/* ---- The short ways: lock free, nobody asleep, one atomic step each. ---- */

/*
 * Takes the lock where that needs no waiting and the caller holds no other: as lock_acquire(), or EBUSY, and
 * nothing has changed. offset: the lock's, which a caller may know without reckoning.
 */
static inline int lock_try(struct lock_shared *lock, uint64_t offset)
{
    struct member_shared *me = member_me;
    uint32_t seen = 0;

    if (me == NULL || !member_hold_only(me, offset))
        return EBUSY;
    FAULT_POINT();
    /* acquire: pairs with the release of who gave it back. */
    if (!atomic_compare_exchange_strong_explicit(&lock->word, &seen, member_my_id, memory_order_acquire,
                                                 memory_order_relaxed)) {
        member_unhold_only(me);
        return EBUSY;
    }
    FAULT_POINT();
    return atomic_load_explicit(&lock->owner_died, memory_order_relaxed) != 0 ? EOWNERDEAD : 0;
}

/*
 * Gives the lock back where lock_try() took it and nobody sleeps. Returns whether that was so; else nothing
 * has changed.
 */
static inline bool lock_try_release(struct lock_shared *lock, uint64_t offset)
{
    struct member_shared *me = member_me;
    uint32_t mine = member_my_id;

    if (me == NULL || !member_holds_only(me, offset))
        return false;
    FAULT_POINT();
    /* One step tells whose it is, and whether somebody sleeps. */
    if (!atomic_compare_exchange_strong_explicit(&lock->word, &mine, 0, memory_order_release,
                                                 memory_order_relaxed))
        return false;
    FAULT_POINT();
    member_unhold_only(me);
    return true;
}

#endif
