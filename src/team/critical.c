#include "team/critical.h"

#include <stdio.h>
#include <string.h>

#include "team/held.h"
#include "team/team.h"

_Static_assert(sizeof(struct critical_shared) == 64, "a region is one cache line");
_Static_assert(sizeof(struct critical_table_shared) <= SEGMENT_CRITICALS_BYTES, "the table fits its part");

struct lock_shared *_Atomic critical_unnamed;
_Atomic uint64_t critical_unnamed_offset;

static struct critical_table_shared *table(void)
{
    return segment_part(SEGMENT_CRITICALS);
}

/* FNV-1a. */
static uint64_t hash_of(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash;
}

static struct critical_shared *find(const char *name, uint64_t hash)
{
    /* acquire: pairs with the release in add(): the names up to there are whole. */
    uint32_t n_named = atomic_load_explicit(&table()->n_named, memory_order_acquire);

    for (uint32_t i = 1; i <= n_named && i < CRITICAL_MAX; i++) {
        struct critical_shared *entry = &table()->entries[i];

        if (entry->hash == hash && strncmp(entry->name, name, sizeof entry->name) == 0)
            return entry;
    }
    return NULL;
}

/* The one store of n_named makes the new entry count: a death before it leaves nothing. */
static struct critical_shared *add_last(const char *name, uint64_t hash)
{
    uint32_t n_named = atomic_load_explicit(&table()->n_named, memory_order_relaxed);
    struct critical_shared *entry = &table()->entries[n_named + 1];

    if (n_named + 1 >= CRITICAL_MAX) {
        errno = ENOSPC;
        return NULL;
    }
    entry->hash = hash;
    memcpy(entry->name, name, strlen(name) + 1);
    atomic_store_explicit(&table()->n_named, n_named + 1, memory_order_release);
    return entry;
}

static struct critical_shared *add(const char *name, uint64_t hash)
{
    struct critical_shared *entry;

    if (lock_acquire(&table()->lock, NULL) == EOWNERDEAD)
        lock_mark_consistent(&table()->lock);
    /* Another member may have added it meanwhile. */
    entry = find(name, hash);
    if (entry == NULL)
        entry = add_last(name, hash);
    lock_release(&table()->lock);
    return entry;
}

/*
 * What this process has looked up, by where the name lies: mostly in one place of the program, as text that
 * stays. It does not have to: what is found here has the name that is asked for, or is not taken. Threads may
 * write over each other's.
 */
#define KNOWN_MAX 16u
static _Atomic uint32_t known[KNOWN_MAX]; /* numbers of entries; 0: none */

static _Atomic uint32_t *known_at(const char *name)
{
    uintptr_t at = (uintptr_t)name;

    return &known[(at ^ at >> 4) % KNOWN_MAX];
}

static struct critical_shared *region_named(const char *name)
{
    struct critical_shared *entry;
    uint64_t hash;

    if (strlen(name) >= CRITICAL_NAME_BYTES) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    hash = hash_of(name);
    entry = find(name, hash);
    return entry != NULL ? entry : add(name, hash);
}

static struct lock_shared *lock_named(const char *name)
{
    uint32_t at = atomic_load_explicit(known_at(name), memory_order_relaxed);
    struct critical_shared *entry = &table()->entries[at];

    /* acquire: pairs with the release in add_last(), as in find(). */
    if (at != 0 && at <= atomic_load_explicit(&table()->n_named, memory_order_acquire) &&
        strcmp(entry->name, name) == 0)
        return &entry->lock;
    entry = region_named(name);
    if (entry == NULL)
        return NULL;
    atomic_store_explicit(known_at(name), (uint32_t)(entry - table()->entries), memory_order_relaxed);
    return &entry->lock;
}

static struct lock_shared *lock_of(const char *name)
{
    return name == NULL ? &table()->entries[0].lock : lock_named(name);
}

static void note(struct critical_held *held, uint64_t lock)
{
    if (lock != 0 && held->n < sizeof held->locks / sizeof *held->locks)
        held->locks[held->n++] = lock;
}

void critical_note_held(struct critical_held *held)
{
    const struct team_place *place = team_here();

    held->n = 0;
    if (place != NULL && place->masters_hold != NULL)
        *held = *place->masters_hold;
    for (unsigned i = 0; member_me != NULL && i < MEMBER_HELD_MAX; i++)
        note(held, atomic_load_explicit(&member_me->held[i], memory_order_relaxed));
}

bool critical_is_masters(const struct lock_shared *lock)
{
    const struct team_place *place = team_here();
    const struct critical_held *held = place != NULL ? place->masters_hold : NULL;

    for (uint32_t i = 0; held != NULL && i < held->n; i++) {
        if (held->locks[i] == segment_offset(lock))
            return true;
    }
    return false;
}

bool critical_is_region(uint64_t lock)
{
    return lock - segment_header()->part_offset[SEGMENT_CRITICALS] < SEGMENT_CRITICALS_BYTES;
}

void critical_describe(uint64_t lock, char *text, size_t size)
{
    const struct critical_shared *entry = segment_at(lock);

    if (!critical_is_region(lock))
        snprintf(text, size, "mutex %p", segment_at(lock));
    else if (entry == &table()->entries[0])
        snprintf(text, size, "the unnamed critical");
    else
        snprintf(text, size, "critical \"%.*s\"", (int)sizeof entry->name, entry->name);
}

int critical_enter(const char *name, const char *where)
{
    struct lock_shared *lock = lock_of(name);

    if (lock == NULL)
        return -1;
    if (critical_is_masters(lock)) {
        errno = ELOOP;
        return -1;
    }
    held_wants(lock, where);
    switch (lock_acquire(lock, where)) {
    case EOWNERDEAD:
        lock_mark_consistent(lock);
        /* fall through */
    case 0:
        held_took(lock, where);
        return 0;
    case ECANCELED:
        errno = ECANCELED;
        return -1;
    default:
        errno = EDEADLK;
        return -1;
    }
}

bool critical_is_originals(const char *name)
{
    struct lock_shared *lock = lock_of(name);

    return lock != NULL && lock_is_originals(lock);
}

int critical_leave(const char *name)
{
    struct lock_shared *lock = lock_of(name);

    if (lock == NULL || !lock_is_mine(lock)) {
        errno = EPERM;
        return -1;
    }
    lock_release(lock);
    return 0;
}

void critical_open_short_way(void)
{
    struct lock_shared *lock = &table()->entries[0].lock;

    /* Threads that come here at once store the same. */
    atomic_store_explicit(&critical_unnamed_offset, segment_offset(lock), memory_order_relaxed);
    atomic_store_explicit(&critical_unnamed, lock, memory_order_release);
}
