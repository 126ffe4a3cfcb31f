#include "memory/lock.h"

#include "host/futex.h"
#include "memory/wait.h"

/*
 * The invariant: the word is 0, or names the member that may touch what the lock guards, until that member is
 * dead.
 * From a dead owner it passes to one other member, by compare-and-swap. Taking it is an acquire, giving it
 * back a release, so that what one owner wrote the next one sees; a dead owner's stores are all visible, in
 * its program order, once it is seen dead.
 */
#define SLEEPERS (1u << MEMBER_ID_BITS)

static uint32_t owner_of(uint32_t word)
{
    return word & ~SLEEPERS;
}

static bool swap(struct lock_shared *lock, uint32_t seen, uint32_t next)
{
    return atomic_compare_exchange_strong_explicit(&lock->word, &seen, next, memory_order_acquire,
                                                   memory_order_relaxed);
}

static int taken(struct lock_shared *lock)
{
    FAULT_POINT();
    return atomic_load_explicit(&lock->owner_died, memory_order_relaxed) != 0 ? EOWNERDEAD : 0;
}

/* The lock is this member's, from dead. */
static int taken_over(struct lock_shared *lock, uint32_t dead)
{
    FAULT_POINT();
    atomic_store_explicit(&lock->owner_died, dead, memory_order_relaxed);
    return EOWNERDEAD;
}

/* Sleeps until the lock may have come free; looks after the owner where nothing happens. */
static void sleep_on(struct lock_shared *lock, struct wait *wait, uint32_t seen)
{
    if (!(seen & SLEEPERS) && !swap(lock, seen, seen | SLEEPERS))
        return;
    if (!wait_park(wait, &lock->word, seen | SLEEPERS, NULL))
        member_look(owner_of(seen));
}

/*
 * Gives up after a sleep. The one wake-up of a release may have been this member's, while others sleep on: the
 * next release must wake one of them. Returns false where the lock has changed: it is to be looked at again.
 */
static bool pass_on_sleepers(struct lock_shared *lock, uint32_t seen, uint32_t sleepers)
{
    return sleepers == 0 || (seen & SLEEPERS) != 0 || swap(lock, seen, seen | SLEEPERS);
}

static int acquire_by_waiting(struct lock_shared *lock, struct wait *wait)
{
    /* Who has slept cannot know whether others still do, and takes the lock as if they did. */
    uint32_t sleepers = 0;

    for (;;) {
        uint32_t seen = atomic_load_explicit(&lock->word, memory_order_relaxed);

        if (seen == 0) {
            if (swap(lock, 0, member_my_id | sleepers))
                return taken(lock);
            continue;
        }
        wait_for(wait, owner_of(seen));
        if (wait_pause_longer(wait))
            continue;
        if (member_is_gone(owner_of(seen))) {
            if (swap(lock, seen, member_my_id | SLEEPERS))
                return taken_over(lock, owner_of(seen));
            continue;
        }
        if (wait_is_over(wait)) {
            if (pass_on_sleepers(lock, seen, sleepers))
                return ETIMEDOUT;
            continue;
        }
        if (wait->is_condemned) {
            if (pass_on_sleepers(lock, seen, sleepers))
                return ECANCELED;
            continue;
        }
        sleepers = SLEEPERS;
        sleep_on(lock, wait, seen);
    }
}

__attribute__((noinline)) static int lock_wait(struct lock_shared *lock, const char *where, uint64_t until_ns)
{
    uint32_t seen = atomic_load_explicit(&lock->word, memory_order_relaxed);
    struct wait wait;
    int result;

    if (owner_of(seen) == member_my_id)
        return EDEADLK;
    member_hold(segment_offset(lock));
    FAULT_POINT();
    wait_begin(&wait, where != NULL ? WAIT_LOCK : WAIT_INNER, where, owner_of(seen));
    wait_limit(&wait, until_ns);
    result = acquire_by_waiting(lock, &wait);
    wait_end(&wait);
    if (result == ETIMEDOUT || result == ECANCELED)
        member_unhold(segment_offset(lock));
    return result;
}

int lock_acquire_until(struct lock_shared *lock, const char *where, uint64_t until_ns)
{
    int result = lock_try(lock, segment_offset(lock));

    return result != EBUSY ? result : lock_wait(lock, where, until_ns);
}

int lock_acquire(struct lock_shared *lock, const char *where)
{
    return lock_acquire_until(lock, where, 0);
}

int lock_acquire_now(struct lock_shared *lock)
{
    uint32_t seen = atomic_load_explicit(&lock->word, memory_order_relaxed);

    if (owner_of(seen) == member_my_id)
        return EDEADLK;
    if (seen != 0 && !member_is_gone(owner_of(seen)))
        return EBUSY;
    member_hold(segment_offset(lock));
    FAULT_POINT();
    if (swap(lock, seen, seen == 0 ? member_my_id : member_my_id | SLEEPERS))
        return seen == 0 ? taken(lock) : taken_over(lock, owner_of(seen));
    member_unhold(segment_offset(lock));
    return EBUSY;
}

bool lock_look(struct lock_shared *lock)
{
    uint32_t seen = atomic_load_explicit(&lock->word, memory_order_relaxed);

    return seen != 0 && member_look(owner_of(seen));
}

bool lock_is_mine(const struct lock_shared *lock)
{
    return owner_of(atomic_load_explicit(&lock->word, memory_order_relaxed)) == member_my_id;
}

bool lock_is_originals(const struct lock_shared *lock)
{
    return member_is_copy_of(owner_of(atomic_load_explicit(&lock->word, memory_order_relaxed)));
}

void lock_mark_consistent(struct lock_shared *lock)
{
    atomic_store_explicit(&lock->owner_died, 0, memory_order_relaxed);
}

void lock_release(struct lock_shared *lock)
{
    uint32_t old;

    if (lock_try_release(lock, segment_offset(lock)))
        return;
    FAULT_POINT();
    old = atomic_exchange_explicit(&lock->word, 0, memory_order_release);
    FAULT_POINT();
    if (old & SLEEPERS)
        futex_wake(&lock->word, 1);
    FAULT_POINT();
    member_unhold(segment_offset(lock));
}

void lock_abandon(struct lock_shared *lock)
{
    atomic_store_explicit(&lock->owner_died, member_my_id, memory_order_relaxed);
    FAULT_POINT();
    lock_release(lock);
}

void lock_recover(struct lock_shared *lock, uint32_t dead)
{
    uint32_t seen;

    member_hold(segment_offset(lock));
    /* Again where only a sleeper added its bit meanwhile. */
    while (owner_of(seen = atomic_load_explicit(&lock->word, memory_order_relaxed)) == dead) {
        if (swap(lock, seen, member_my_id | SLEEPERS)) {
            taken_over(lock, dead);
            lock_release(lock);
            return;
        }
    }
    member_unhold(segment_offset(lock));
}
