/*
 * critical.h: the critical regions of a segment: a fixed table of locks by name, the same for all members,
 * whatever team they work for.
 */
#ifndef TEAM_CRITICAL_H
#define TEAM_CRITICAL_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "memory/lock.h"
#include "memory/member.h"
#include "memory/segment.h"

/* The unnamed one, and 255 others. */
#define CRITICAL_MAX        256u
#define CRITICAL_NAME_BYTES 48u

/* A line each, so that two regions do not disturb each other. */
struct critical_shared {
    struct lock_shared lock;
    uint64_t hash;
    char name[CRITICAL_NAME_BYTES];
};

struct critical_table_shared {
    struct lock_shared lock;  /* for adding a name */
    _Atomic uint32_t n_named; /* entries 1..n_named have names, which never change; 0 is the unnamed one */
    char unused[52];
    struct critical_shared entries[CRITICAL_MAX];
};

/* Locks that somebody holds as long as his workers live. */
struct critical_held {
    uint32_t n;
    uint32_t unused;
    uint64_t locks[2 * MEMBER_HELD_MAX]; /* offsets; what has no room is not noted */
};

/* What the calling member holds now, and what those held for whom it works. */
void critical_note_held(struct critical_held *held);

/* Whether who waits for this worker to end holds the lock: a region's, or a mutex. */
bool critical_is_masters(const struct lock_shared *lock);

/* Whether the lock, an offset, is that of a region. */
bool critical_is_region(uint64_t lock);

/* Writes what the lock, an offset, is: critical "log", the unnamed critical, mutex 0x7f0012345678. */
void critical_describe(uint64_t lock, char *text, size_t size);

/*
 * Enters the region called name; NULL is the unnamed one. The caller is a member.
 * Returns 0, or -1 with errno EDEADLK (this member is in it already), ELOOP (who waits for this member to end
 * is in it), ENOSPC (no room for another name), or ENAMETOOLONG.
 */
int critical_enter(const char *name, const char *where);

/* Whether the region is the thread's that the calling one was forked from by the program. */
bool critical_is_originals(const char *name);

/* Leaves it. Returns 0, or -1 with errno EPERM where this member is not in it. */
int critical_leave(const char *name);

/*
 * The short ways into the unnamed region and out of it, for a member that has no other lock while nobody
 * waits. They return whether that was so; else nothing has changed.
 *
 * They are open once this process has called critical_open_short_way(), in whatever thread.
 */
void critical_open_short_way(void);

/* The unnamed region's lock and its offset; NULL until the way is open. */
extern struct lock_shared *_Atomic critical_unnamed __attribute__((visibility("hidden")));
extern _Atomic uint64_t critical_unnamed_offset __attribute__((visibility("hidden")));

static inline bool critical_try_enter(void)
{
    /* acquire: pairs with the release in critical_open_short_way(). */
    struct lock_shared *lock = atomic_load_explicit(&critical_unnamed, memory_order_acquire);
    int code;

    if (__builtin_expect(lock == NULL, 0))
        return false;
    code = lock_try(lock, atomic_load_explicit(&critical_unnamed_offset, memory_order_relaxed));
    if (__builtin_expect(code == 0, 1))
        return true;
    /* Whoever supervises the dead tells of it; what it was changing, only the program can know. */
    if (code == EOWNERDEAD)
        lock_mark_consistent(lock);
    return code == EOWNERDEAD;
}

static inline bool critical_try_leave(void)
{
    struct lock_shared *lock = atomic_load_explicit(&critical_unnamed, memory_order_acquire);

    return lock != NULL &&
           lock_try_release(lock, atomic_load_explicit(&critical_unnamed_offset, memory_order_relaxed));
}

#endif
