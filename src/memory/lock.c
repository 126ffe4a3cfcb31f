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

/* The lock is this member's, from a dead one. */
static int taken_over(struct lock_shared *lock)
{
    FAULT_POINT();
    atomic_store_explicit(&lock->owner_died, 1, memory_order_relaxed);
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
                return taken_over(lock);
            continue;
        }
        sleepers = SLEEPERS;
        sleep_on(lock, wait, seen);
    }
}

__attribute__((noinline)) static int lock_wait(struct lock_shared *lock, const char *where)
{
    uint32_t seen = atomic_load_explicit(&lock->word, memory_order_relaxed);
    struct wait wait;
    int result;

    if (owner_of(seen) == member_my_id)
        return EDEADLK;
    member_hold(segment_offset(lock));
    FAULT_POINT();
    wait_begin(&wait, WAIT_LOCK, where, owner_of(seen));
    result = acquire_by_waiting(lock, &wait);
    wait_end(&wait);
    return result;
}

int lock_acquire(struct lock_shared *lock, const char *where)
{
    int result = lock_try(lock, segment_offset(lock));

    return result != EBUSY ? result : lock_wait(lock, where);
}

bool lock_is_mine(const struct lock_shared *lock)
{
    return owner_of(atomic_load_explicit(&lock->word, memory_order_relaxed)) == member_my_id;
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

void lock_recover(struct lock_shared *lock, uint32_t dead)
{
    uint32_t seen;

    member_hold(segment_offset(lock));
    /* Again where only a sleeper added its bit meanwhile. */
    while (owner_of(seen = atomic_load_explicit(&lock->word, memory_order_relaxed)) == dead) {
        if (swap(lock, seen, member_my_id | SLEEPERS)) {
            taken_over(lock);
            lock_release(lock);
            return;
        }
    }
    member_unhold(segment_offset(lock));
}
