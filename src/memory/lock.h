/*
 * lock.h: a lock in shared memory that outlives the death of its owner. Zeroed memory is a free lock.
 *
 * The word holds the owner's member id, never a rank or a pid, and in its highest bit whether somebody
 * sleeps. A lock is not fair: whoever comes while it is free takes it, since handing it to a sleeper costs a
 * wake-up each time.
 */
#ifndef MEMORY_LOCK_H
#define MEMORY_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lock_shared {
    _Atomic uint32_t word;
    _Atomic uint32_t owner_died; /* an owner died in it, and nobody called lock_mark_consistent() since */
};

/*
 * Takes the lock; waits as wait.h says. where: "file:line" for those who ask what this member waits for, or
 * NULL.
 * Returns 0; or EOWNERDEAD: the lock is taken too, but an owner died in it, and what it guards must be put
 * right
 *   before lock_mark_consistent(); or EDEADLK: this member has it already, and it is left as it is.
 * The caller must be a member (member_join).
 */
int lock_acquire(struct lock_shared *lock, const char *where);

/* Says that what the lock guards is whole again. Only its owner. */
void lock_mark_consistent(struct lock_shared *lock);

/* Whether the calling thread has it. */
bool lock_is_mine(const struct lock_shared *lock);

/* Gives the lock back. Only its owner. Keeps errno. */
void lock_release(struct lock_shared *lock);

/*
 * Takes the lock from dead, a member marked dead, if it has it, and gives it back with owner_died set.
 * The caller must be a member, and live.
 */
void lock_recover(struct lock_shared *lock, uint32_t dead);

#endif
