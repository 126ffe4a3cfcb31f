/* The heap's self-check, of the members' caches. */
#include "memory/cache.h"
#include "memory/spans.h"

/* Whether a block of the class begins there that is not free in its span. */
static bool is_taken(const struct heap_shared *heap, uint32_t size_class, uint64_t offset)
{
    uint32_t unit = offset < segment_size ? unit_of(heap, segment_at(offset)) : 0;
    uint32_t span = unit != 0 ? span_head(heap, unit) : 0;

    return span != 0 && heap->units[span].bytes == size_class && span_has_block(heap, span, offset) &&
           (heap->units[span].free_bits >> span_block(heap, span, offset) & 1) == 0;
}

/* Whether block i of a stack that nobody uses is there once, and the program has no right to it. */
static bool is_kept_once(const struct heap_shared *heap, struct cache_stack stack, uint64_t i)
{
    uint64_t offset = atomic_load_explicit(&stack.blocks[i], memory_order_relaxed);

    if (atomic_load_explicit(live_mark(heap, offset), memory_order_relaxed) != 0)
        return false;
    while (i-- > 0) {
        if (atomic_load_explicit(&stack.blocks[i], memory_order_relaxed) == offset)
            return false;
    }
    return true;
}

static int check_stack(const struct heap_shared *heap, struct cache_stack stack, uint32_t size_class,
                       bool is_still, sharedmem_error *error)
{
    /* acquire: pairs with cache_push(). */
    uint64_t n = atomic_load_explicit(stack.n, memory_order_acquire);

    if (n > stack.room)
        return heap_broken(error, "a member's cache with more blocks than it holds", size_class);
    for (uint64_t i = 0; i < n; i++) {
        if (!is_taken(heap, size_class, atomic_load_explicit(&stack.blocks[i], memory_order_relaxed)))
            return heap_broken(error, "a member's cache with what is no block", size_class);
        if (is_still && !is_kept_once(heap, stack, i))
            return heap_broken(error, "a member's cache with a block that is in use", size_class);
    }
    return 0;
}

static int check_one(const struct heap_shared *heap, uint32_t slot, sharedmem_error *error)
{
    uint64_t offset = member_numbered(slot)->cache;
    uint32_t unit = offset < segment_size ? unit_of(heap, segment_at(offset)) : 0;
    struct cache_shared *cache = segment_at(offset);
    bool is_still = slot == member_number(member_my_id) && member_my_cache == cache;

    if (unit == 0 || heap->units[unit].kind != UNIT_CACHE)
        return heap_broken(error, "a member's cache that is none", unit);
    for (uint32_t k = 0; k < HEAP_CLASSES; k++) {
        if (check_stack(heap, cache_stack(cache, k), k, is_still, error) != 0)
            return -1;
    }
    return 0;
}

int cache_check(const struct heap_shared *heap, sharedmem_error *error)
{
    for (uint32_t slot = 1; slot <= member_slots_used(); slot++) {
        if (member_numbered(slot)->cache != 0 && check_one(heap, slot, error) != 0)
            return -1;
    }
    return 0;
}
