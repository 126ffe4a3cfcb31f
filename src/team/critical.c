#include "team/critical.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "memory/lock.h"
#include "memory/member.h"
#include "memory/segment.h"

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

_Static_assert(sizeof(struct critical_shared) == 64, "a region is one cache line");
_Static_assert(sizeof(struct critical_table_shared) <= SEGMENT_CRITICALS_BYTES, "the table fits its part");

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

static struct critical_shared *region_named(const char *name)
{
    struct critical_shared *entry;
    uint64_t hash;

    if (name == NULL)
        return &table()->entries[0];
    if (strlen(name) >= CRITICAL_NAME_BYTES) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    hash = hash_of(name);
    entry = find(name, hash);
    return entry != NULL ? entry : add(name, hash);
}

int critical_enter(const char *name, const char *where)
{
    struct critical_shared *region = region_named(name);

    if (region == NULL)
        return -1;
    switch (lock_acquire(&region->lock, where)) {
    case 0:
        return 0;
    case EOWNERDEAD:
        /* Whoever supervises the dead tells of it; what it was changing, only the program can know. */
        lock_mark_consistent(&region->lock);
        return 0;
    default:
        errno = EDEADLK;
        return -1;
    }
}

int critical_leave(const char *name)
{
    struct critical_shared *region = region_named(name);

    if (region == NULL || !lock_is_mine(&region->lock)) {
        errno = EPERM;
        return -1;
    }
    lock_release(&region->lock);
    return 0;
}
