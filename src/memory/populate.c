#include "memory/populate.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/text.h"
#include "host/pages.h"
#include "memory/budget.h"

/* What is populated at once: 64 KiB in a small program, and 256 KiB at most, for the heap's lock is held. */
#define AHEAD_MIN_UNITS 16u
#define AHEAD_MAX_UNITS 64u
#define AHEAD_SHARE     16u

/*
 * So many free units may keep their pages, or a share of what is used. Where there are more, those that lie so
 * near to the units that became free last give theirs back, if they are enough for a system call.
 */
#define KEPT_UNITS  2048u
#define KEPT_SHARE  8u
#define NEAR_UNITS  512u
#define WORTH_UNITS 16u

/* Words of the bitmap are changed by owners of other units in them at the same time. */
static _Atomic uint64_t *bitmap(const struct heap_shared *heap)
{
    return segment_at(heap->populated_offset);
}

/* The bits of one word that stand for units from first on, n at most; *taken is how many. */
static uint64_t word_mask(uint32_t first, uint32_t n, uint32_t *taken)
{
    uint32_t shift = first % 64;

    *taken = n < 64 - shift ? n : 64 - shift;
    return ~(uint64_t)0 >> (64 - *taken) << shift;
}

uint32_t populate_missing(const struct heap_shared *heap, uint32_t first, uint32_t n)
{
    uint32_t end = atomic_load_explicit(&heap->populated_end, memory_order_relaxed);
    uint32_t missing = 0, taken;

    /* Most of a long run is where nothing ever was. */
    if (first + n > end) {
        missing = first > end ? n : first + n - end;
        n -= missing;
    }
    for (; n > 0; first += taken, n -= taken) {
        uint64_t mask = word_mask(first, n, &taken);
        uint64_t bits = atomic_load_explicit(&bitmap(heap)[first / 64], memory_order_relaxed);

        /* In most words all bits are alike: counting takes longer than looking. */
        if ((bits & mask) == 0)
            missing += taken;
        else if ((bits & mask) != mask)
            missing += (uint32_t)__builtin_popcountll(mask & ~bits);
    }
    return missing;
}

static void raise_end(struct heap_shared *heap, uint32_t end)
{
    uint32_t seen = atomic_load_explicit(&heap->populated_end, memory_order_relaxed);

    while (seen < end && !atomic_compare_exchange_weak_explicit(&heap->populated_end, &seen, end,
                                                                memory_order_relaxed, memory_order_relaxed))
        ;
}

/* Relaxed: whoever looks at a unit's bit has got the unit through the heap's lock. */
static void mark(struct heap_shared *heap, uint32_t first, uint32_t n)
{
    uint32_t taken;

    raise_end(heap, first + n);
    for (; n > 0; first += taken, n -= taken) {
        uint64_t mask = word_mask(first, n, &taken);

        atomic_fetch_or_explicit(&bitmap(heap)[first / 64], mask, memory_order_relaxed);
        FAULT_POINT();
    }
}

void populate_forget(struct heap_shared *heap, uint32_t first, uint32_t n)
{
    uint32_t taken;

    for (; n > 0; first += taken, n -= taken) {
        uint64_t mask = word_mask(first, n, &taken);
        _Atomic uint64_t *word = &bitmap(heap)[first / 64];

        /* Large blocks were never marked: that leaves their part of the map untouched too. */
        if ((atomic_load_explicit(word, memory_order_relaxed) & mask) != 0) {
            atomic_fetch_and_explicit(word, ~mask, memory_order_relaxed);
            FAULT_POINT();
        }
    }
}

bool populate_units(struct heap_shared *heap, uint32_t first, uint32_t n)
{
    char size[TEXT_BYTES_SIZE];

    if (populate_missing(heap, first, n) == 0)
        return true;
    if (pages_populate(unit_address(heap, first), (size_t)n * UNIT_BYTES) != 0)
        return budget_refuse(BUDGET_SYSTEM, "the system has no memory for %s of the shared heap (%s)",
                             text_bytes(size, (uint64_t)n * UNIT_BYTES), strerror(errno));
    FAULT_POINT();
    mark(heap, first, n);
    return true;
}

static bool take_and_populate(struct heap_shared *heap, uint32_t first, uint32_t n)
{
    return budget_take(heap, (uint64_t)populate_missing(heap, first, n) * UNIT_BYTES) &&
           populate_units(heap, first, n);
}

/* How many units behind a run that ends before `behind` are worth populating with its n. */
static uint32_t units_ahead(const struct heap_shared *heap, uint32_t behind, uint32_t n)
{
    uint64_t step = heap->used_units / AHEAD_SHARE;

    if (step < AHEAD_MIN_UNITS)
        step = AHEAD_MIN_UNITS;
    if (step > AHEAD_MAX_UNITS)
        step = AHEAD_MAX_UNITS;
    if (n >= step || behind >= heap->n_units || heap->units[behind].kind != UNIT_FREE)
        return 0;
    step -= n;
    return step < heap->units[behind].n_units ? (uint32_t)step : heap->units[behind].n_units;
}

bool populate_run(struct heap_shared *heap, uint32_t first, uint32_t n)
{
    uint32_t ahead, missing;

    if (populate_missing(heap, first, n) == 0)
        return true;
    ahead = units_ahead(heap, first + n, n);
    missing = populate_missing(heap, first + n, ahead);
    if (ahead == 0 || !take_and_populate(heap, first, n + ahead))
        return take_and_populate(heap, first, n);
    heap->idle_units += (int32_t)missing;
    return true;
}

/* How many free units may keep their pages. */
static int64_t kept_units(const struct heap_shared *heap)
{
    uint64_t share = heap->used_units / KEPT_SHARE;

    return share > KEPT_UNITS ? (int64_t)share : KEPT_UNITS;
}

void populate_trim(struct heap_shared *heap)
{
    uint32_t run = heap->freed_run, first, end, idle;

    heap->freed_run = 0;
    if (run == 0 || heap->units[run].kind != UNIT_FREE || heap->idle_units <= kept_units(heap))
        return;
    first = heap->freed - run > NEAR_UNITS ? heap->freed - NEAR_UNITS : run;
    end = heap->freed + heap->n_freed + NEAR_UNITS;
    if (end > run + heap->units[run].n_units)
        end = run + heap->units[run].n_units;
    idle = end - first - populate_missing(heap, first, end - first);
    if (idle < WORTH_UNITS)
        return;
    populate_forget(heap, first, end - first);
    pages_punch(unit_address(heap, first), (size_t)(end - first) * UNIT_BYTES);
    heap->idle_units -= (int32_t)idle;
    budget_give(heap, (uint64_t)idle * UNIT_BYTES);
}
