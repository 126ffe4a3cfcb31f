#include "memory/heap.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "host/limits.h"
#include "host/pages.h"
#include "memory/heap_layout.h"
#include "memory/heap_lock.h"
#include "memory/runs.h"
#include "memory/spans.h"

/*
 * Freed blocks of this size and more give their pages back; below it the system call costs more than it
 * saves.
 */
#define PUNCH_BYTES ((size_t)64 << 10)

/* From here on an allocation is worth the time to read what memory the machine has left. */
#define ASK_BYTES ((size_t)16 << 20)

/* Zeroing pages by giving them back is faster than storing zeroes from about here. */
#define ZERO_BY_PUNCH_BYTES ((size_t)256 << 10)

int heap_lock(struct heap_shared *heap)
{
    switch (lock_acquire(&heap->lock, NULL)) {
    case 0:
        return 0;
    case EOWNERDEAD:
        undo_roll_back(&heap->log);
        lock_mark_consistent(&heap->lock);
        return 0;
    default:
        errno = EDEADLK;
        return -1;
    }
}

void heap_unlock(struct heap_shared *heap)
{
    lock_release(&heap->lock);
}

void heap_init(void)
{
    struct heap_shared *heap = heap_here();
    uint64_t begin = segment_offset(heap);
    uint64_t end = segment_part_end(SEGMENT_HEAP);
    /*
     * Entries for all of the part, also for the units whose room the table takes itself: simple, and 1% too
     * many.
     */
    uint64_t table_end = segment_offset(&heap->units[(end - begin) / UNIT_BYTES]);

    heap->units_offset = (table_end + PAGES_HUGE_BYTES - 1) / PAGES_HUGE_BYTES * PAGES_HUGE_BYTES;
    heap->n_units = (uint32_t)((end - heap->units_offset) / UNIT_BYTES);
    heap->units[0].kind = UNIT_EDGE;
    runs_init(heap, 1);
}

/*
 * What the machine cannot hold is refused here; else the page fault that finds out would be the program's
 * end.
 */
static bool machine_has(size_t bytes)
{
    struct limits_memory memory;

    if (bytes < ASK_BYTES)
        return true;
    limits_memory_read("", &memory);
    return memory.total == 0 || bytes <= memory.available;
}

static void *take_large(struct heap_shared *heap, size_t bytes, size_t alignment)
{
    uint64_t n = (bytes + UNIT_BYTES - 1) / UNIT_BYTES;
    uint32_t align = alignment > UNIT_BYTES ? (uint32_t)(alignment / UNIT_BYTES) : 1;
    uint32_t run;

    if (bytes > SEGMENT_MAX_BYTES || n >= heap->n_units)
        return NULL;
    run = runs_take(heap, (uint32_t)n, align);
    if (run == 0)
        return NULL;
    unit_set(heap, run, UNIT_LARGE, (uint32_t)n);
    undo_set64(&heap->log, &heap->units[run].bytes, bytes);
    return unit_address(heap, run);
}

void *heap_alloc(size_t bytes, size_t alignment)
{
    struct heap_shared *heap = heap_here();
    void *block = NULL;

    if (bytes == 0)
        bytes = 1;
    if (machine_has(bytes)) {
        if (heap_lock(heap) != 0)
            return NULL;
        if (bytes <= SPAN_MAX_BYTES && alignment <= HEAP_ALIGNMENT)
            block = span_take(heap, span_class(bytes));
        else
            block = take_large(heap, bytes, alignment);
        if (block != NULL)
            undo_set64(&heap->log, &heap->n_blocks, heap->n_blocks + 1);
        undo_commit(&heap->log);
        heap_unlock(heap);
        FAULT_POINT();
    }
    if (block == NULL)
        errno = ENOMEM;
    return block;
}

void *heap_alloc_zeroed(size_t bytes)
{
    void *block = heap_alloc(bytes, HEAP_ALIGNMENT);
    size_t rounded = (bytes + UNIT_BYTES - 1) / UNIT_BYTES * UNIT_BYTES;

    if (block != NULL && (bytes < ZERO_BY_PUNCH_BYTES || !pages_punch(block, rounded)))
        memset(block, 0, bytes);
    return block;
}

/* What a pointer leads to. */
struct found {
    uint32_t unit; /* the head of its run */
    uint32_t block;
    bool in_span;
};

static enum heap_answer find_block(const struct heap_shared *heap, const void *pointer, struct found *found)
{
    uint32_t unit = unit_of(heap, pointer);
    uint32_t size;
    size_t offset;

    if (unit == 0)
        return HEAP_FOREIGN;
    *found = (struct found){.unit = unit};
    if (heap->units[unit].kind == UNIT_LARGE)
        return pointer == unit_address(heap, unit) ? HEAP_GOOD : HEAP_NO_BLOCK;
    found->unit = span_head(heap, unit);
    if (found->unit == 0)
        return HEAP_NO_BLOCK;
    size = span_block_bytes((uint32_t)heap->units[found->unit].bytes);
    offset = (size_t)((const char *)pointer - unit_address(heap, found->unit));
    found->block = (uint32_t)(offset / size);
    found->in_span = true;
    if (offset % size != 0 || found->block >= span_blocks((uint32_t)heap->units[found->unit].bytes) ||
        heap->units[found->unit].free_bits >> found->block & 1)
        return HEAP_NO_BLOCK;
    return HEAP_GOOD;
}

static void give_large(struct heap_shared *heap, uint32_t run)
{
    uint32_t n = heap->units[run].n_units;

    runs_give(heap, run, n);
}

/*
 * A long run's pages are given back before anybody else can get them, but not under the lock, since that
 * takes long:
 * the run is closing meanwhile. Dying here loses it.
 */
static void close_run(struct heap_shared *heap, uint32_t run, uint32_t n)
{
    unit_set(heap, run, UNIT_CLOSING, n);
    undo_commit(&heap->log);
    heap_unlock(heap);
    pages_punch(unit_address(heap, run), (size_t)heap->units[run].n_units * UNIT_BYTES);
    FAULT_POINT();
    heap_lock(heap);
    give_large(heap, run);
}

static void give_block(struct heap_shared *heap, const struct found *found)
{
    undo_set64(&heap->log, &heap->n_blocks, heap->n_blocks - 1);
    if (found->in_span)
        span_give(heap, found->unit, found->block);
    else if (heap->units[found->unit].n_units >= PUNCH_BYTES / UNIT_BYTES)
        close_run(heap, found->unit, heap->units[found->unit].n_units);
    else
        give_large(heap, found->unit);
}

enum heap_answer heap_free(void *block)
{
    struct heap_shared *heap = heap_here();
    enum heap_answer answer;
    struct found found;

    if (heap_lock(heap) != 0)
        return HEAP_DEADLOCK;
    answer = find_block(heap, block, &found);
    if (answer == HEAP_GOOD) {
        give_block(heap, &found);
        undo_commit(&heap->log);
    }
    heap_unlock(heap);
    return answer;
}

static size_t room_of(const struct heap_shared *heap, const struct found *found)
{
    const struct unit_shared *unit = &heap->units[found->unit];

    return found->in_span ? span_block_bytes((uint32_t)unit->bytes) : (size_t)unit->n_units * UNIT_BYTES;
}

enum heap_answer heap_usable(const void *block, size_t *bytes)
{
    struct heap_shared *heap = heap_here();
    enum heap_answer answer;
    struct found found;

    if (heap_lock(heap) != 0)
        return HEAP_DEADLOCK;
    answer = find_block(heap, block, &found);
    if (answer == HEAP_GOOD)
        *bytes = room_of(heap, &found);
    heap_unlock(heap);
    return answer;
}

/* Gives back what lies behind the first n units. */
static void cut_large(struct heap_shared *heap, uint32_t run, uint32_t n)
{
    uint32_t spare = heap->units[run].n_units - n;

    undo_set32(&heap->log, &heap->units[run].n_units, n);
    if (spare >= PUNCH_BYTES / UNIT_BYTES)
        close_run(heap, run + n, spare);
    else
        runs_give(heap, run + n, spare);
}

static bool resize_found(struct heap_shared *heap, const struct found *found, size_t bytes)
{
    uint64_t n = (bytes + UNIT_BYTES - 1) / UNIT_BYTES;
    struct unit_shared *unit = &heap->units[found->unit];

    if (found->in_span)
        return bytes <= SPAN_MAX_BYTES && span_class(bytes) == unit->bytes;
    if (bytes <= SPAN_MAX_BYTES || n >= heap->n_units)
        return false;
    if (n > unit->n_units && !machine_has((n - unit->n_units) * UNIT_BYTES))
        return false;
    undo_set64(&heap->log, &unit->bytes, bytes);
    if (n >= unit->n_units)
        return runs_grow(heap, found->unit, (uint32_t)n);
    cut_large(heap, found->unit, (uint32_t)n);
    return true;
}

bool heap_resize(void *block, size_t bytes)
{
    struct heap_shared *heap = heap_here();
    struct found found;
    bool done;

    if (bytes == 0)
        bytes = 1;
    if (heap_lock(heap) != 0)
        return false;
    done = find_block(heap, block, &found) == HEAP_GOOD && resize_found(heap, &found, bytes);
    if (done)
        undo_commit(&heap->log);
    else
        undo_roll_back(&heap->log);
    heap_unlock(heap);
    return done;
}

void heap_statistics_read(struct heap_statistics *statistics)
{
    struct heap_shared *heap = heap_here();

    *statistics = (struct heap_statistics){.capacity_bytes = (uint64_t)(heap->n_units - 1) * UNIT_BYTES};
    if (heap_lock(heap) != 0)
        return;
    statistics->used_bytes = heap->used_units * UNIT_BYTES;
    statistics->n_blocks = heap->n_blocks;
    heap_unlock(heap);
}
