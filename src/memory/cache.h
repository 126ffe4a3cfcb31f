/*
 * cache.h: the freed small blocks that a member keeps for its next calls, so that these take no lock. For the
 * heap's own files.
 *
 * A cache belongs to a slot of the member table: one member at a time uses it, without a lock, and the slot's
 * next member finds what the last one left. It is a stack for each size class. What changes between a cache
 * and the spans does so under the heap's lock and in its log.
 *
 * Invariant: a block is in one stack at most, and who takes it out or puts it in does so by the one store to
 * that stack's n. A live mark is set before its block leaves a stack, and cleared before it comes into one: who
 * frees again what a dead member was freeing finds the mark gone, and a block is never in two stacks. So
 * whatever moment its member dies at, a block that it was giving back may be lost, and a block in a stack may
 * have a mark. cache_open() clears that one before anybody uses the cache again.
 *
 * A signal handler that comes between finds the cache busy, and its calls fail; whatever a call reads to decide
 * what to do, it reads while the cache is busy.
 */
#ifndef MEMORY_CACHE_H
#define MEMORY_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "memory/heap_layout.h"
#include "memory/member.h"

/*
 * The most bytes of one class in a cache, but for the two blocks that always fit. A stack is filled by half,
 * with blocks of one unit as a rule: whose live marks are one line, which no other member then writes to.
 */
#define CACHE_BYTES (2 * UNIT_BYTES)
#define CACHE_ROOM(quanta)                                                                                   \
    (CACHE_BYTES / GRANULE_BYTES / (quanta) < 2 ? 2 : CACHE_BYTES / GRANULE_BYTES / (quanta))

/* All stacks, one behind the other; a block is its offset in the segment. */
#define CACHE_STACK(quanta) _Atomic uint64_t of_##quanta[CACHE_ROOM(quanta)];
struct cache_blocks {
    HEAP_CLASS_LIST(CACHE_STACK)
};

/* Where in these the stack of a class begins, and how many blocks it keeps. */
struct cache_place {
    uint16_t first, room;
};
extern const struct cache_place cache_places[HEAP_CLASSES] __attribute__((visibility("hidden")));

struct cache_shared {
    /* The member that is changing it, or died so; 0: nobody. Only its slot's member stores it. */
    _Atomic uint32_t busy;
    uint32_t unused;
    /* The heap's, for the short ways. */
    uint64_t units_offset, units_bytes, live_offset;
    uint64_t unused_too[4];
    _Atomic uint64_t n[HEAP_CLASSES];
    union {
        struct cache_blocks stacks;
        _Atomic uint64_t blocks[sizeof(struct cache_blocks) / sizeof(uint64_t)];
    };
};

#define CACHE_UNITS ((uint32_t)UNITS_FOR(sizeof(struct cache_shared)))

/* The stack of one class. */
struct cache_stack {
    _Atomic uint64_t *n, *blocks;
    uint64_t room;
};

static inline struct cache_stack cache_stack(struct cache_shared *cache, uint32_t size_class)
{
    const struct cache_place *place = &cache_places[size_class];

    return (struct cache_stack){&cache->n[size_class], &cache->blocks[place->first], place->room};
}

/* ---- With the heap's lock; what they change is committed. ---- */

/*
 * Begins a change to the calling member's cache, which is made or adopted where it has none yet. Ended by
 * cache_close(). NULL where it cannot have one: there is no memory left, or the heap is checked.
 */
struct cache_shared *cache_open(struct heap_shared *heap);
void cache_close(struct cache_shared *cache);

/* Fills an empty stack by half from the spans. Returns whether it has a block now. */
bool cache_fill(struct heap_shared *heap, struct cache_shared *cache, uint32_t size_class);

/* Gives the spans what the stack has above keep. */
void cache_drain_class(struct heap_shared *heap, struct cache_shared *cache, uint32_t size_class,
                       uint64_t keep);

/* Gives the spans all that the cache has. Returns whether that was anything. */
bool cache_drain(struct heap_shared *heap, struct cache_shared *cache);

/* The same of this cache (or NULL) and those of all slots that have no member. */
bool cache_drain_all(struct heap_shared *heap, struct cache_shared *cache);

/* How many blocks all caches hold together, and their bytes. What their members do meanwhile may be missed. */
void cache_census(uint64_t *n_blocks, uint64_t *n_bytes);

/*
 * Looks through all caches. Of those that others use meanwhile it is known only that their blocks are blocks.
 * Returns 0, or -1 with error, as heap_check().
 */
int cache_check(const struct heap_shared *heap, sharedmem_error *error);

/* ---- The short ways, for the cache's own member. ---- */

/* Whether this thread is in a change to its cache now: a signal handler interrupted it. */
static inline bool cache_is_interrupted(void)
{
    return member_my_cache != NULL &&
           atomic_load_explicit(&member_my_cache->busy, memory_order_relaxed) == member_my_id;
}

/*
 * A killed process leaves its stores in program order, and a handler runs between two instructions of its
 * thread: only the compiler has to be held.
 */
static inline void cache_step(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    FAULT_POINT();
}

static inline void cache_set_busy(struct cache_shared *cache, uint32_t member)
{
    cache_step();
    atomic_store_explicit(&cache->busy, member, memory_order_relaxed);
    cache_step();
}

static inline _Atomic uint8_t *cache_live(const struct cache_shared *cache, uint64_t offset)
{
    return (_Atomic uint8_t *)segment_at(cache->live_offset) + (offset - cache->units_offset) / GRANULE_BYTES;
}

/* Takes a block from a stack that has some. The cache is busy. */
static inline void *cache_pop(struct cache_shared *cache, uint32_t size_class)
{
    struct cache_stack stack = cache_stack(cache, size_class);
    uint64_t n = atomic_load_explicit(stack.n, memory_order_relaxed) - 1;
    uint64_t offset = atomic_load_explicit(&stack.blocks[n], memory_order_relaxed);

    atomic_store_explicit(cache_live(cache, offset), (uint8_t)(size_class + 1), memory_order_relaxed);
    cache_step();
    atomic_store_explicit(stack.n, n, memory_order_relaxed);
    return segment_at(offset);
}

/* Puts a block on a stack that has room. The cache is busy. */
static inline void cache_push(struct cache_shared *cache, uint32_t size_class, uint64_t offset)
{
    struct cache_stack stack = cache_stack(cache, size_class);
    uint64_t n = atomic_load_explicit(stack.n, memory_order_relaxed);

    atomic_store_explicit(cache_live(cache, offset), 0, memory_order_relaxed);
    cache_step();
    atomic_store_explicit(&stack.blocks[n], offset, memory_order_relaxed);
    cache_step();
    /* release: pairs with the acquire of who looks through all caches; it sees a block below the n it sees. */
    atomic_store_explicit(stack.n, n + 1, memory_order_release);
}

/* A block of the class, or NULL: the cache is empty, or in use, or there is none. */
static inline void *cache_take(uint32_t size_class)
{
    struct cache_shared *cache = member_my_cache;
    void *block = NULL;

    if (cache == NULL || atomic_load_explicit(&cache->busy, memory_order_relaxed) != 0)
        return NULL;
    /* What is read to decide is read while busy: before it a handler may come and change it. */
    cache_set_busy(cache, member_my_id);
    if (atomic_load_explicit(&cache->n[size_class], memory_order_relaxed) > 0)
        block = cache_pop(cache, size_class);
    cache_set_busy(cache, 0);
    return block;
}

/* 1 + the class of the small block that the program has at this address, or 0. */
static inline uint32_t cache_look(const struct cache_shared *cache, const void *block)
{
    uint64_t offset = segment_offset(block);

    if (offset % GRANULE_BYTES != 0 || offset - cache->units_offset >= cache->units_bytes)
        return 0;
    return atomic_load_explicit(cache_live(cache, offset), memory_order_relaxed);
}

/*
 * Keeps a block that the program gives back. Returns false, and nothing has changed, where it is none, or not
 * small, or the cache is full or in use.
 */
static inline bool cache_give(const void *block)
{
    struct cache_shared *cache = member_my_cache;
    struct cache_stack stack;
    uint32_t mark;
    bool has_room;

    if (cache == NULL || (mark = cache_look(cache, block)) == 0 || mark > HEAP_CLASSES ||
        atomic_load_explicit(&cache->busy, memory_order_relaxed) != 0)
        return false;
    cache_set_busy(cache, member_my_id);
    stack = cache_stack(cache, mark - 1);
    has_room = atomic_load_explicit(stack.n, memory_order_relaxed) < stack.room;
    if (has_room)
        cache_push(cache, mark - 1, segment_offset(block));
    cache_set_busy(cache, 0);
    return has_room;
}

#endif
