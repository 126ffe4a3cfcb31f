#include "memory/block_find.h"

#include "memory/cache.h"
#include "memory/heap_lock.h"
#include "memory/spans.h"

enum heap_answer block_find(const struct heap_shared *heap, const void *pointer, struct block_found *found)
{
    uint32_t unit = unit_of(heap, pointer);
    uint64_t offset = segment_offset(pointer);

    if (unit == 0)
        return HEAP_FOREIGN;
    *found = (struct block_found){.unit = unit};
    if (heap->units[unit].kind == UNIT_LARGE)
        return pointer == unit_address(heap, unit) ? HEAP_GOOD : HEAP_NO_BLOCK;
    found->unit = span_head(heap, unit);
    if (found->unit == 0)
        return HEAP_NO_BLOCK;
    found->block = span_block(heap, found->unit, offset);
    found->in_span = true;
    if (!span_has_block(heap, found->unit, offset) ||
        heap->units[found->unit].free_bits >> found->block & 1 ||
        atomic_load_explicit(live_mark(heap, offset), memory_order_relaxed) == 0)
        return HEAP_NO_BLOCK;
    return HEAP_GOOD;
}

static size_t room_of(const struct heap_shared *heap, const struct block_found *found)
{
    const struct unit_shared *unit = &heap->units[found->unit];

    return found->in_span ? span_block_bytes((uint32_t)unit->bytes) : (size_t)unit->n_units * UNIT_BYTES;
}

size_t block_find_small(const void *block)
{
    uint32_t mark = member_my_cache != NULL ? cache_look(member_my_cache, block) : 0;

    return mark > 0 && mark <= HEAP_CLASSES ? span_block_bytes(mark - 1) : 0;
}

enum heap_answer block_find_room(const void *block, size_t *room)
{
    struct heap_shared *heap = heap_here();
    enum heap_answer answer;
    struct block_found found;

    *room = block_find_small(block);
    if (*room > 0)
        return HEAP_GOOD;
    if (heap_lock(heap) != 0)
        return HEAP_DEADLOCK;
    answer = block_find(heap, block, &found);
    if (answer == HEAP_GOOD)
        *room = room_of(heap, &found);
    heap_unlock(heap);
    return answer;
}

size_t block_find_slot(const void *block)
{
    struct heap_shared *heap = heap_here();
    uint32_t unit = unit_of(heap, block), span;
    size_t room = 0;

    if (unit == 0 || heap_lock(heap) != 0)
        return 0;
    span = span_head(heap, unit);
    if (span != 0 && span_has_block(heap, span, segment_offset(block)))
        room = span_block_bytes((uint32_t)heap->units[span].bytes);
    heap_unlock(heap);
    return room;
}

/* The head of the run that a unit of a large block lies in, or 0. */
static uint32_t large_head(const struct heap_shared *heap, uint32_t unit)
{
    for (uint32_t head = unit; head > 0; head--) {
        uint32_t kind = heap->units[head].kind;

        if (kind == UNIT_LARGE && heap->units[head].n_units > unit - head)
            return head;
        if (kind == UNIT_LARGE || kind == UNIT_FREE || kind == UNIT_SPAN || kind == UNIT_CLOSING)
            return 0;
    }
    return 0;
}

static char *find_around(const struct heap_shared *heap, uint32_t unit, const void *address, size_t *room)
{
    uint32_t span = span_head(heap, unit), head = span == 0 ? large_head(heap, unit) : 0;
    char *begin;

    if (head != 0) {
        *room = (size_t)heap->units[head].n_units * UNIT_BYTES;
        return unit_address(heap, head);
    }
    if (span == 0)
        return NULL;
    *room = span_block_bytes((uint32_t)heap->units[span].bytes);
    begin = unit_address(heap, span) + span_block(heap, span, segment_offset(address)) * *room;
    return atomic_load_explicit(live_mark(heap, segment_offset(begin)), memory_order_relaxed) != 0 ? begin
                                                                                                   : NULL;
}

char *block_find_around(const void *address, size_t *room)
{
    struct heap_shared *heap = heap_here();
    uint32_t unit = unit_of(heap, address);
    char *begin;

    if (unit == 0 || heap_lock(heap) != 0)
        return NULL;
    begin = find_around(heap, unit, address, room);
    heap_unlock(heap);
    return begin;
}
