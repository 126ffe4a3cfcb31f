/* The heap's self-check: walks every run, every list and every sum, and trusts none of them. */
#include "memory/heap.h"

#include <errno.h>

#include "base/error.h"
#include "memory/cache.h"
#include "memory/guard.h"
#include "memory/heap_layout.h"
#include "memory/heap_lock.h"
#include "memory/populate.h"
#include "memory/runs.h"
#include "memory/spans.h"

/* What the walk over all runs counted, to be found again in the lists. */
struct census {
    uint64_t used_units;
    uint64_t n_blocks;
    uint64_t free_runs;
    uint64_t spans_with_room;
    uint64_t large_blocks, large_units; /* that stay untouched */
};

int heap_broken(sharedmem_error *error, const char *what, uint32_t unit)
{
    return error_set(error, SHAREDMEM_ERROR_SYSTEM, EUCLEAN, "the shared heap is damaged: %s (unit %u)", what,
                     unit);
}

static int check_free(const struct heap_shared *heap, uint32_t unit, uint32_t n, bool after_free,
                      sharedmem_error *error)
{
    const struct unit_shared *last = &heap->units[unit + n - 1];

    if (n > 1 && (last->kind != UNIT_TAIL || last->n_units != n))
        return heap_broken(error, "a free run without its tail", unit);
    if (after_free)
        return heap_broken(error, "two free runs side by side", unit);
    return 0;
}

/* Live marks stand where blocks begin that are not free in the span, and nowhere else. */
static bool marks_are_right(const struct heap_shared *heap, uint32_t unit)
{
    const struct unit_shared *span = &heap->units[unit];
    uint32_t size = span_block_bytes((uint32_t)span->bytes), blocks = span_blocks((uint32_t)span->bytes);
    uint64_t begin = segment_offset(unit_address(heap, unit));

    for (uint32_t at = 0; at < span->n_units * UNIT_BYTES; at += GRANULE_BYTES) {
        uint32_t block = at / size;
        bool may_be = at % size == 0 && block < blocks && (span->free_bits >> block & 1) == 0;
        uint8_t mark = atomic_load_explicit(live_mark(heap, begin + at), memory_order_relaxed);

        if (mark != 0 && (!may_be || mark != span->bytes + 1))
            return false;
    }
    return true;
}

/* Whether nobody wrote beyond the block or, where it is free, into it. */
static int check_guard(const struct heap_shared *heap, const void *block, size_t room, bool is_live,
                       sharedmem_error *error)
{
    enum guard_answer answer = heap->is_checked ? guard_look(block, room) : GUARD_LIVE;
    char known[384] = "";

    /* What is not live may be on its way, with somebody who died. */
    if (is_live ? answer == GUARD_LIVE : answer != GUARD_WRITTEN)
        return 0;
    guard_describe(block, room, known, sizeof known);
    return error_set(error, SHAREDMEM_ERROR_SYSTEM, EUCLEAN, "the block at %p was written %s: %s", block,
                     is_live ? "beyond its end" : "after it was freed", known);
}

static int check_blocks(const struct heap_shared *heap, uint32_t unit, sharedmem_error *error)
{
    const struct unit_shared *span = &heap->units[unit];
    uint32_t size = span_block_bytes((uint32_t)span->bytes);

    for (uint32_t i = 0; heap->is_checked && i < span_blocks((uint32_t)span->bytes); i++) {
        const char *block = unit_address(heap, unit) + (size_t)i * size;
        bool is_live =
            atomic_load_explicit(live_mark(heap, segment_offset(block)), memory_order_relaxed) != 0;

        if (check_guard(heap, block, size, is_live, error) != 0)
            return -1;
    }
    return 0;
}

static int check_span(const struct heap_shared *heap, uint32_t unit, uint32_t n, struct census *census,
                      sharedmem_error *error)
{
    const struct unit_shared *span = &heap->units[unit];
    uint32_t size_class = (uint32_t)span->bytes;
    uint32_t n_free = (uint32_t)__builtin_popcountll(span->free_bits);

    if (span->bytes >= HEAP_CLASSES || span_units(size_class) != n)
        return heap_broken(error, "a span of no class", unit);
    if (span_blocks(size_class) < 64 && span->free_bits >> span_blocks(size_class) != 0)
        return heap_broken(error, "a span with more blocks than it holds", unit);
    for (uint32_t i = 1; i < n; i++) {
        if (span_head(heap, unit + i) != unit)
            return heap_broken(error, "a span that does not know its units", unit + i);
    }
    if (!marks_are_right(heap, unit))
        return heap_broken(error, "a span with wrong live marks", unit);
    census->n_blocks += span_blocks(size_class) - n_free;
    census->spans_with_room += n_free > 0;
    return check_blocks(heap, unit, error);
}

static int check_block(const struct heap_shared *heap, uint32_t unit, sharedmem_error *error)
{
    const struct unit_shared *run = &heap->units[unit];

    if (UNITS_FOR(run->bytes) != run->n_units)
        return heap_broken(error, "a large block of the wrong size", unit);
    return check_guard(heap, unit_address(heap, unit), (size_t)run->n_units * UNIT_BYTES, true, error);
}

/* Counts one run. Returns -1 where it is damaged. */
static int check_run(const struct heap_shared *heap, uint32_t unit, bool after_free, struct census *census,
                     sharedmem_error *error)
{
    uint32_t n = heap->units[unit].n_units;

    if (n == 0 || n > heap->n_units - unit)
        return heap_broken(error, "a run of impossible length", unit);
    if (heap->units[unit].kind != UNIT_FREE)
        census->used_units += n;
    switch (heap->units[unit].kind) {
    case UNIT_FREE:
        census->free_runs++;
        return check_free(heap, unit, n, after_free, error);
    case UNIT_LARGE:
        census->n_blocks++;
        census->large_blocks += n > POPULATE_MAX_UNITS;
        census->large_units += n > POPULATE_MAX_UNITS ? n : 0;
        return check_block(heap, unit, error);
    case UNIT_CLOSING:
        return 0;
    case UNIT_CACHE:
        return n == CACHE_UNITS ? 0 : heap_broken(error, "a member's cache of the wrong size", unit);
    case UNIT_SPAN:
        return check_span(heap, unit, n, census, error);
    default:
        return heap_broken(error, "a run of no kind", unit);
    }
}

static int check_runs(const struct heap_shared *heap, struct census *census, sharedmem_error *error)
{
    bool after_free = false;

    for (uint32_t unit = 1; unit < heap->n_units; unit += heap->units[unit].n_units) {
        if (check_run(heap, unit, after_free, census, error) != 0)
            return -1;
        after_free = heap->units[unit].kind == UNIT_FREE;
    }
    return 0;
}

/* Counts a list's units into *count. Each must be of kind, and linked both ways. */
static int check_list(const struct heap_shared *heap, uint32_t head, enum unit_kind kind, uint64_t *count,
                      sharedmem_error *error)
{
    uint32_t before = 0;

    for (uint32_t unit = head; unit != 0; unit = heap->units[unit].next) {
        if (unit >= heap->n_units || heap->units[unit].kind != kind || heap->units[unit].prev != before)
            return heap_broken(error, "a damaged list", unit);
        /* A ring would go on for ever. */
        if (++*count > heap->n_units)
            return heap_broken(error, "a list that never ends", unit);
        before = unit;
    }
    return 0;
}

static int check_bins(const struct heap_shared *heap, const struct census *census, sharedmem_error *error)
{
    uint64_t count = 0;

    for (uint32_t bin = 0; bin < HEAP_BINS; bin++) {
        bool mapped = heap->bin_map[bin / 64] >> bin % 64 & 1;

        if (mapped != (heap->bins[bin] != 0))
            return heap_broken(error, "the map of bins is wrong", bin);
        if (check_list(heap, heap->bins[bin], UNIT_FREE, &count, error) != 0)
            return -1;
        for (uint32_t unit = heap->bins[bin]; unit != 0; unit = heap->units[unit].next) {
            if (runs_bin(heap->units[unit].n_units) != bin)
                return heap_broken(error, "a free run in the wrong bin", unit);
        }
    }
    return count == census->free_runs ? 0 : heap_broken(error, "free runs missing from the bins", 0);
}

static int check_classes(const struct heap_shared *heap, const struct census *census, sharedmem_error *error)
{
    uint64_t count = 0;

    for (uint32_t size_class = 0; size_class < HEAP_CLASSES; size_class++) {
        if (check_list(heap, heap->classes[size_class], UNIT_SPAN, &count, error) != 0)
            return -1;
        for (uint32_t unit = heap->classes[size_class]; unit != 0; unit = heap->units[unit].next) {
            if (heap->units[unit].bytes != size_class || heap->units[unit].free_bits == 0)
                return heap_broken(error, "a span in the wrong list", unit);
        }
    }
    return count == census->spans_with_room ? 0 : heap_broken(error, "spans missing from their lists", 0);
}

static int check_large(const struct heap_shared *heap, const struct census *census, sharedmem_error *error)
{
    uint64_t count = 0;

    if (check_list(heap, heap->budget.large, UNIT_LARGE, &count, error) != 0)
        return -1;
    if (count != census->large_blocks || heap->budget.large_units != census->large_units)
        return heap_broken(error, "large blocks missing from their list", 0);
    return 0;
}

static int check_sums(const struct heap_shared *heap, const struct census *census, sharedmem_error *error)
{
    if (heap->used_units != census->used_units)
        return heap_broken(error, "the count of used units is wrong", (uint32_t)heap->used_units);
    if (heap->n_blocks != census->n_blocks)
        return heap_broken(error, "the count of blocks is wrong", (uint32_t)heap->n_blocks);
    return 0;
}

int heap_check(sharedmem_error *error)
{
    struct heap_shared *heap = heap_here();
    struct census census = {0};
    int result = -1;

    if (heap_lock(heap) != 0)
        return error_system(error, "cannot check the shared heap inside of one of its calls");
    if (check_runs(heap, &census, error) == 0 && check_bins(heap, &census, error) == 0 &&
        check_classes(heap, &census, error) == 0 && check_large(heap, &census, error) == 0 &&
        check_sums(heap, &census, error) == 0)
        result = cache_check(heap, error);
    heap_unlock(heap);
    return result;
}
