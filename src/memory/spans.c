#include "memory/spans.h"

#include "memory/runs.h"

#define SPAN_MAX_UNITS 16u
#define QUANTUM        64u

/*
 * Block sizes in quanta of 64 bytes: 1 to 8, then four for each doubling up to 256.
 * With m quanta asked for and 2^e the power of two at or below m - 1, a step is 2^(e-2).
 */
uint32_t span_class(size_t bytes)
{
    uint32_t last = ((uint32_t)bytes + QUANTUM - 1) / QUANTUM - 1;
    uint32_t log;

    if (last < 8)
        return last;
    log = 31u - (uint32_t)__builtin_clz(last);
    return 8 + (log - 3) * 4 + ((last >> (log - 2)) - 4);
}

uint32_t span_block_bytes(uint32_t size_class)
{
    uint32_t log;

    if (size_class < 8)
        return (size_class + 1) * QUANTUM;
    log = (size_class - 8) / 4 + 3;
    return (((size_class - 8) % 4 + 5) << (log - 2)) * QUANTUM;
}

uint32_t span_blocks(uint32_t size_class)
{
    uint32_t blocks = SPAN_MAX_UNITS * UNIT_BYTES / span_block_bytes(size_class);

    return blocks < 64 ? blocks : 64;
}

uint32_t span_units(uint32_t size_class)
{
    return (span_blocks(size_class) * span_block_bytes(size_class) + UNIT_BYTES - 1) / UNIT_BYTES;
}

static uint64_t all_free(uint32_t size_class)
{
    return ~(uint64_t)0 >> (64 - span_blocks(size_class));
}

static uint32_t span_create(struct heap_shared *heap, uint32_t size_class)
{
    uint32_t n = span_units(size_class);
    uint32_t span = runs_take(heap, n, 1);

    if (span == 0)
        return 0;
    unit_set(heap, span, UNIT_SPAN, n);
    undo_set64(&heap->log, &heap->units[span].free_bits, all_free(size_class));
    undo_set64(&heap->log, &heap->units[span].bytes, size_class);
    for (uint32_t i = 1; i < n; i++)
        unit_set(heap, span + i, UNIT_INNER, i);
    unit_list_push(heap, &heap->classes[size_class], span);
    return span;
}

void *span_take(struct heap_shared *heap, uint32_t size_class)
{
    uint32_t span = heap->classes[size_class];
    struct unit_shared *unit;
    uint32_t block;

    if (span == 0)
        span = span_create(heap, size_class);
    if (span == 0)
        return NULL;
    unit = &heap->units[span];
    block = (uint32_t)__builtin_ctzll(unit->free_bits);
    undo_set64(&heap->log, &unit->free_bits, unit->free_bits & (unit->free_bits - 1));
    if (unit->free_bits == 0)
        unit_list_remove(heap, &heap->classes[size_class], span);
    return unit_address(heap, span) + (size_t)block * span_block_bytes(size_class);
}

/* A span that is wholly free stays while it is the last one of its class, for the next block. */
static void give_back_if_spare(struct heap_shared *heap, uint32_t span, uint32_t size_class)
{
    struct unit_shared *unit = &heap->units[span];

    if (unit->free_bits != all_free(size_class) || (heap->classes[size_class] == span && unit->next == 0))
        return;
    unit_list_remove(heap, &heap->classes[size_class], span);
    runs_give(heap, span, unit->n_units);
}

void span_give(struct heap_shared *heap, uint32_t span, uint32_t block)
{
    struct unit_shared *unit = &heap->units[span];
    uint32_t size_class = (uint32_t)unit->bytes;
    uint64_t bits = unit->free_bits;

    undo_set64(&heap->log, &unit->free_bits, bits | (uint64_t)1 << block);
    if (bits == 0)
        unit_list_push(heap, &heap->classes[size_class], span);
    give_back_if_spare(heap, span, size_class);
}

uint32_t span_head(const struct heap_shared *heap, uint32_t unit)
{
    const struct unit_shared *entry = &heap->units[unit];
    uint32_t head = unit;

    if (entry->kind == UNIT_INNER && entry->n_units < unit)
        head = unit - entry->n_units;
    if (heap->units[head].kind != UNIT_SPAN || heap->units[head].n_units <= unit - head)
        return 0;
    return head;
}
