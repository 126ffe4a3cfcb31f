#include "memory/runs.h"

#include "memory/populate.h"

static void set32(struct heap_shared *heap, uint32_t *word, uint32_t value)
{
    undo_set32(&heap->log, word, value);
}

static uint32_t log2_of(uint32_t n)
{
    return 31u - (uint32_t)__builtin_clz(n);
}

void unit_set(struct heap_shared *heap, uint32_t unit, enum unit_kind kind, uint32_t n_units)
{
    set32(heap, &heap->units[unit].kind, kind);
    set32(heap, &heap->units[unit].n_units, n_units);
}

void unit_list_push(struct heap_shared *heap, uint32_t *head, uint32_t unit)
{
    uint32_t second = *head;

    set32(heap, &heap->units[unit].next, second);
    set32(heap, &heap->units[unit].prev, 0);
    if (second != 0)
        set32(heap, &heap->units[second].prev, unit);
    set32(heap, head, unit);
}

void unit_list_remove(struct heap_shared *heap, uint32_t *head, uint32_t unit)
{
    uint32_t next = heap->units[unit].next;
    uint32_t prev = heap->units[unit].prev;

    if (prev != 0)
        set32(heap, &heap->units[prev].next, next);
    else
        set32(heap, head, next);
    if (next != 0)
        set32(heap, &heap->units[next].prev, prev);
}

/*
 * Bins of one length up to 63 units, then eight for each doubling: a run taken from a bin that begins at or
 * above the length asked for is long enough, and at most an eighth too long.
 */
uint32_t runs_bin(uint32_t n)
{
    uint32_t log;

    if (n < HEAP_EXACT_BINS)
        return n;
    log = log2_of(n);
    return HEAP_EXACT_BINS + (log - 6) * 8 + ((n >> (log - 3)) & 7);
}

/* The first bin whose every run has n units or more. */
static uint32_t safe_bin(uint32_t n)
{
    return n < HEAP_EXACT_BINS ? n : runs_bin(n + (1u << (log2_of(n) - 3)) - 1);
}

static void bin_insert(struct heap_shared *heap, uint32_t unit)
{
    uint32_t bin = runs_bin(heap->units[unit].n_units);

    unit_list_push(heap, &heap->bins[bin], unit);
    undo_set64(&heap->log, &heap->bin_map[bin / 64], heap->bin_map[bin / 64] | (uint64_t)1 << bin % 64);
}

static void bin_remove(struct heap_shared *heap, uint32_t unit)
{
    uint32_t bin = runs_bin(heap->units[unit].n_units);

    unit_list_remove(heap, &heap->bins[bin], unit);
    if (heap->bins[bin] == 0)
        undo_set64(&heap->log, &heap->bin_map[bin / 64],
                   heap->bin_map[bin / 64] & ~((uint64_t)1 << bin % 64));
}

/* The first bin from `bin` on that is not empty, or HEAP_BINS. */
static uint32_t next_bin(const struct heap_shared *heap, uint32_t bin)
{
    uint64_t below = ((uint64_t)1 << bin % 64) - 1;

    for (uint32_t word = bin / 64; word < sizeof heap->bin_map / 8; word++, below = 0) {
        uint64_t map = heap->bin_map[word] & ~below;

        if (map != 0)
            return word * 64 + (uint32_t)__builtin_ctzll(map);
    }
    return HEAP_BINS;
}

static uint32_t find(const struct heap_shared *heap, uint32_t n)
{
    uint32_t bin = next_bin(heap, safe_bin(n));
    uint32_t unit;

    if (bin < HEAP_BINS)
        return heap->bins[bin];
    /* Nothing larger: the bin of n itself may hold runs that are just long enough. */
    for (unit = heap->bins[runs_bin(n)]; unit != 0; unit = heap->units[unit].next) {
        if (heap->units[unit].n_units >= n)
            break;
    }
    return unit;
}

/* Makes a free run that does not touch another one. */
static void make_free(struct heap_shared *heap, uint32_t first, uint32_t n)
{
    unit_set(heap, first, UNIT_FREE, n);
    if (n > 1)
        unit_set(heap, first + n - 1, UNIT_TAIL, n);
    bin_insert(heap, first);
}

void runs_init(struct heap_shared *heap, uint32_t first)
{
    make_free(heap, first, heap->n_units - first);
    undo_commit(&heap->log);
}

static int32_t populated(const struct heap_shared *heap, uint32_t first, uint32_t n)
{
    return (int32_t)(n - populate_missing(heap, first, n));
}

uint32_t runs_take(struct heap_shared *heap, uint32_t n, uint32_t align)
{
    uint32_t needed = n + align - 1;
    uint32_t run, length, front, back;

    if (n == 0 || needed < n || needed > heap->n_units)
        return 0;
    run = find(heap, needed);
    if (run == 0)
        return 0;
    length = heap->units[run].n_units;
    front = (align - run % align) % align;
    back = length - front - n;
    bin_remove(heap, run);
    if (front > 0)
        make_free(heap, run, front);
    if (back > 0)
        make_free(heap, run + front + n, back);
    undo_set64(&heap->log, &heap->used_units, heap->used_units + n);
    heap->idle_units -= populated(heap, run + front, n);
    return run + front;
}

/* The head of the free run that ends just before unit, or 0. */
static uint32_t free_run_before(const struct heap_shared *heap, uint32_t unit)
{
    const struct unit_shared *last = &heap->units[unit - 1];
    uint32_t head = unit - 1;

    if (last->kind == UNIT_TAIL) {
        if (last->n_units >= unit)
            return 0;
        head = unit - last->n_units;
    }
    return heap->units[head].kind == UNIT_FREE && heap->units[head].n_units == unit - head ? head : 0;
}

static bool free_run_at(const struct heap_shared *heap, uint32_t unit)
{
    return unit < heap->n_units && heap->units[unit].kind == UNIT_FREE;
}

void runs_give(struct heap_shared *heap, uint32_t first, uint32_t n)
{
    uint32_t before = free_run_before(heap, first);
    uint32_t behind = first + n;

    heap->freed = first;
    heap->n_freed = n;
    heap->idle_units += populated(heap, first, n);
    undo_set64(&heap->log, &heap->used_units, heap->used_units - n);
    if (free_run_at(heap, behind)) {
        bin_remove(heap, behind);
        n += heap->units[behind].n_units;
        unit_set(heap, behind, UNIT_NONE, 0);
    }
    if (before != 0) {
        bin_remove(heap, before);
        n += heap->units[before].n_units;
        unit_set(heap, first, UNIT_NONE, 0);
        first = before;
    }
    make_free(heap, first, n);
    heap->freed_run = first;
}

bool runs_grow(struct heap_shared *heap, uint32_t first, uint32_t n)
{
    uint32_t old_n = heap->units[first].n_units;
    uint32_t behind = first + old_n, more = n - old_n;
    uint32_t left;

    if (more == 0)
        return true;
    if (!free_run_at(heap, behind) || heap->units[behind].n_units < more)
        return false;
    left = heap->units[behind].n_units - more;
    bin_remove(heap, behind);
    unit_set(heap, behind, UNIT_NONE, 0);
    if (left > 0)
        make_free(heap, behind + more, left);
    undo_set64(&heap->log, &heap->used_units, heap->used_units + more);
    heap->idle_units -= populated(heap, behind, more);
    set32(heap, &heap->units[first].n_units, n);
    return true;
}
