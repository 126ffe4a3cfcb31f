#include "memory/cache.h"

#include "memory/populate.h"
#include "memory/runs.h"
#include "memory/spans.h"

#define PLACE(quanta) {offsetof(struct cache_blocks, of_##quanta) / sizeof(uint64_t), CACHE_ROOM(quanta)},

const struct cache_place cache_places[HEAP_CLASSES] = {HEAP_CLASS_LIST(PLACE)};

/* A member that takes one block populates no more than that. */
_Static_assert(sizeof(struct cache_shared) <= UNIT_BYTES, "a cache is one unit");

/* A logged change also needs room for what giving a block to its span may change besides: a run that ends. */
#define LOG_ROOM 32u

/* Under the heap's lock nobody else stores it, and undoing it is one store as well. */
static void set_n(struct heap_shared *heap, struct cache_stack stack, uint64_t n)
{
    undo_set64(&heap->log, (uint64_t *)(void *)stack.n, n);
}

static uint64_t n_of(struct cache_stack stack)
{
    /* acquire: pairs with cache_push(). */
    uint64_t n = atomic_load_explicit(stack.n, memory_order_acquire);

    return n <= stack.room ? n : stack.room;
}

/* Whoever used the cache before died in a change to it. */
static void mend(struct cache_shared *cache)
{
    for (uint32_t k = 0; k < HEAP_CLASSES; k++) {
        struct cache_stack stack = cache_stack(cache, k);

        for (uint64_t i = 0; i < n_of(stack); i++) {
            uint64_t offset = atomic_load_explicit(&stack.blocks[i], memory_order_relaxed);

            atomic_store_explicit(cache_live(cache, offset), 0, memory_order_relaxed);
            FAULT_POINT();
        }
    }
}

static void use(struct cache_shared *cache)
{
    uint32_t busy = atomic_load_explicit(&cache->busy, memory_order_relaxed);

    if (busy != 0 && busy != member_my_id)
        mend(cache);
    cache_set_busy(cache, member_my_id);
}

static struct cache_shared *create(struct heap_shared *heap)
{
    uint32_t run = runs_take(heap, CACHE_UNITS, 1);
    struct cache_shared *cache;

    if (run == 0)
        return NULL;
    if (!populate_run(heap, run, CACHE_UNITS)) {
        runs_give(heap, run, CACHE_UNITS);
        undo_commit(&heap->log);
        return NULL;
    }
    unit_set(heap, run, UNIT_CACHE, CACHE_UNITS);
    cache = (struct cache_shared *)(void *)unit_address(heap, run);
    /* Another block may have been there. */
    for (uint32_t k = 0; k < HEAP_CLASSES; k++)
        atomic_store_explicit(&cache->n[k], 0, memory_order_relaxed);
    cache->units_offset = heap->units_offset;
    cache->units_bytes = (uint64_t)heap->n_units * UNIT_BYTES;
    cache->live_offset = heap->live_offset;
    undo_set64(&heap->log, &member_me->cache, segment_offset(cache));
    undo_commit(&heap->log);
    return cache;
}

struct cache_shared *cache_open(struct heap_shared *heap)
{
    if (heap->is_checked)
        return NULL;
    if (member_my_cache == NULL)
        member_my_cache = member_me->cache != 0 ? segment_at(member_me->cache) : create(heap);
    if (member_my_cache != NULL)
        use(member_my_cache);
    return member_my_cache;
}

void cache_close(struct cache_shared *cache)
{
    if (cache != NULL)
        cache_set_busy(cache, 0);
}

/* Moves blocks from one span into the stack, as one change. Returns false where there is no span. */
static bool fill_from_span(struct heap_shared *heap, struct cache_stack stack, uint32_t size_class,
                           uint64_t upto)
{
    uint64_t n = n_of(stack);
    uint32_t taken;
    void *first;
    uint64_t bits = span_take_many(heap, size_class, (uint32_t)(upto - n), &first);

    if (bits == 0)
        return false;
    taken = (uint32_t)__builtin_popcountll(bits);
    for (; bits != 0; bits &= bits - 1) {
        uint64_t block = (uint64_t)__builtin_ctzll(bits) * span_block_bytes(size_class);

        atomic_store_explicit(&stack.blocks[n++], segment_offset(first) + block, memory_order_relaxed);
    }
    undo_set64(&heap->log, &heap->n_blocks, heap->n_blocks + taken);
    set_n(heap, stack, n);
    undo_commit(&heap->log);
    return true;
}

bool cache_fill(struct heap_shared *heap, struct cache_shared *cache, uint32_t size_class)
{
    struct cache_stack stack = cache_stack(cache, size_class);
    uint64_t upto = (stack.room + 1) / 2;

    while (n_of(stack) < upto && fill_from_span(heap, stack, size_class, upto))
        ;
    return n_of(stack) > 0;
}

/* The span of a block in a stack; 0 where it is none, since the program wrote over the cache. */
static uint32_t span_of(const struct heap_shared *heap, uint64_t offset)
{
    uint32_t unit = unit_of(heap, segment_at(offset));

    return unit != 0 ? span_head(heap, unit) : 0;
}

/*
 * Gives blocks from the top down to their span, as long as it is the same one, but for the first `keep`. *n
 * goes down with them; the stack's own n is left to the caller. Returns how many there were.
 */
static uint32_t give_top(struct heap_shared *heap, struct cache_stack stack, uint64_t *n, uint64_t keep)
{
    uint32_t span = span_of(heap, atomic_load_explicit(&stack.blocks[*n - 1], memory_order_relaxed));
    uint64_t bits = 0;

    do {
        uint64_t offset = atomic_load_explicit(&stack.blocks[*n - 1], memory_order_relaxed);

        if (span_of(heap, offset) != span)
            break;
        if (span != 0)
            bits |= (uint64_t)1 << span_block(heap, span, offset) % 64;
        (*n)--;
    } while (*n > keep);
    if (span != 0)
        span_give_many(heap, span, bits);
    return (uint32_t)__builtin_popcountll(bits);
}

/* As many as the log has room for, as one change. */
static uint64_t drain_some(struct heap_shared *heap, struct cache_stack stack, uint64_t keep)
{
    uint64_t n = n_of(stack);
    uint64_t given = 0;

    while (n > keep && undo_room(&heap->log) >= LOG_ROOM)
        given += give_top(heap, stack, &n, keep);
    set_n(heap, stack, n);
    undo_set64(&heap->log, &heap->n_blocks, heap->n_blocks - given);
    undo_commit(&heap->log);
    populate_trim(heap);
    return n;
}

void cache_drain_class(struct heap_shared *heap, struct cache_shared *cache, uint32_t size_class,
                       uint64_t keep)
{
    struct cache_stack stack = cache_stack(cache, size_class);

    if (n_of(stack) > keep) {
        while (drain_some(heap, stack, keep) > keep)
            ;
    }
}

bool cache_drain(struct heap_shared *heap, struct cache_shared *cache)
{
    bool any = false;

    for (uint32_t k = 0; k < HEAP_CLASSES; k++) {
        any |= n_of(cache_stack(cache, k)) > 0;
        cache_drain_class(heap, cache, k, 0);
    }
    return any;
}

bool cache_drain_all(struct heap_shared *heap, struct cache_shared *cache)
{
    bool any = cache != NULL && cache_drain(heap, cache);
    uint32_t slot = 1, id;

    while ((id = member_reserve_idle(slot)) != 0) {
        struct member_shared *member = member_slot(id);

        cache = segment_at(member->cache);
        use(cache);
        any |= cache_drain(heap, cache);
        cache_close(cache);
        slot = member_number(id) + 1;
        member_release(id);
    }
    return any;
}

void cache_census(uint64_t *n_blocks, uint64_t *n_bytes)
{
    *n_blocks = *n_bytes = 0;
    for (uint32_t slot = 1; slot <= member_slots_used(); slot++) {
        uint64_t offset = member_numbered(slot)->cache;
        struct cache_shared *cache = segment_at(offset);

        for (uint32_t k = 0; offset != 0 && k < HEAP_CLASSES; k++) {
            uint64_t n = n_of(cache_stack(cache, k));

            *n_blocks += n;
            *n_bytes += n * span_block_bytes(k);
        }
    }
}
