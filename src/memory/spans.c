#include "memory/spans.h"

#include "memory/guard.h"
#include "memory/populate.h"
#include "memory/runs.h"

/*
 * A span stays as long as one block of it is in use or kept in a cache: the shorter it is, the less memory that
 * holds. Too short for its blocks it wastes what is left behind the last one.
 */
#define SPAN_BYTES 32768u
#define QUANTUM    64u

/*
 * The classes as span_class() has them. A span holds 64 blocks, or as many as fit into 32 KiB, but 4 at least.
 */
struct span_class_rule {
    uint32_t bytes, blocks, units;
    uint32_t inverse; /* 2^32 / bytes, rounded up: offset * inverse >> 32 is offset / bytes up to 2^16 */
};

#define BLOCKS(bytes) (SPAN_BYTES / (bytes) > 64 ? 64 : SPAN_BYTES / (bytes) < 4 ? 4 : SPAN_BYTES / (bytes))
#define UNITS(bytes)  UNITS_FOR(BLOCKS(bytes) * (bytes))
#define CLASS(quanta)                                                                                        \
    {(quanta)*QUANTUM, BLOCKS((quanta)*QUANTUM), UNITS((quanta)*QUANTUM),                                    \
     (uint32_t)(((uint64_t)1 << 32) / ((quanta)*QUANTUM) + 1)},

static const struct span_class_rule rules[HEAP_CLASSES] = {HEAP_CLASS_LIST(CLASS)};

uint32_t span_block_bytes(uint32_t size_class)
{
    return rules[size_class].bytes;
}

uint32_t span_blocks(uint32_t size_class)
{
    return rules[size_class].blocks;
}

uint32_t span_units(uint32_t size_class)
{
    return rules[size_class].units;
}

static uint64_t all_free(uint32_t size_class)
{
    return ~(uint64_t)0 >> (64 - rules[size_class].blocks);
}

/* Its memory may hold what is left of blocks of the same size, at the same place, with something in between. */
static void forget_guards(const struct heap_shared *heap, uint32_t span, uint32_t size_class)
{
    for (uint32_t i = 0; i < rules[size_class].blocks; i++)
        guard_forget(unit_address(heap, span) + (size_t)i * rules[size_class].bytes, rules[size_class].bytes);
}

static uint32_t span_create(struct heap_shared *heap, uint32_t size_class)
{
    uint32_t n = span_units(size_class);
    uint32_t span = runs_take(heap, n, 1);

    if (span == 0)
        return 0;
    if (!populate_run(heap, span, n)) {
        runs_give(heap, span, n);
        return 0;
    }
    if (heap->is_checked)
        forget_guards(heap, span, size_class);
    unit_set(heap, span, UNIT_SPAN, n);
    undo_set64(&heap->log, &heap->units[span].free_bits, all_free(size_class));
    undo_set64(&heap->log, &heap->units[span].bytes, size_class);
    for (uint32_t i = 1; i < n; i++)
        unit_set(heap, span + i, UNIT_INNER, i);
    unit_list_push(heap, &heap->classes[size_class], span);
    return span;
}

/* The lowest n bits that are set, or all where there are fewer. */
static uint64_t lowest(uint64_t bits, uint32_t n)
{
    uint64_t rest = bits;

    while (n-- > 0 && rest != 0)
        rest &= rest - 1;
    return bits ^ rest;
}

uint64_t span_take_many(struct heap_shared *heap, uint32_t size_class, uint32_t n, void **first)
{
    uint32_t span = heap->classes[size_class];
    struct unit_shared *unit;
    uint64_t taken;

    if (span == 0)
        span = span_create(heap, size_class);
    if (span == 0)
        return 0;
    unit = &heap->units[span];
    taken = lowest(unit->free_bits, n);
    undo_set64(&heap->log, &unit->free_bits, unit->free_bits & ~taken);
    if (unit->free_bits == 0)
        unit_list_remove(heap, &heap->classes[size_class], span);
    *first = unit_address(heap, span);
    return taken;
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

void span_give_many(struct heap_shared *heap, uint32_t span, uint64_t blocks)
{
    struct unit_shared *unit = &heap->units[span];
    uint32_t size_class = (uint32_t)unit->bytes;
    uint64_t bits = unit->free_bits;

    undo_set64(&heap->log, &unit->free_bits, bits | blocks);
    if (bits == 0)
        unit_list_push(heap, &heap->classes[size_class], span);
    give_back_if_spare(heap, span, size_class);
}

uint32_t span_block(const struct heap_shared *heap, uint32_t span, uint64_t offset)
{
    uint64_t within = offset - segment_offset(unit_address(heap, span));

    return (uint32_t)(within * rules[heap->units[span].bytes].inverse >> 32);
}

bool span_has_block(const struct heap_shared *heap, uint32_t span, uint64_t offset)
{
    uint32_t size_class = (uint32_t)heap->units[span].bytes, block = span_block(heap, span, offset);

    return block < rules[size_class].blocks &&
           offset == segment_offset(unit_address(heap, span)) + (uint64_t)block * rules[size_class].bytes;
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
