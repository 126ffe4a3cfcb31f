#include "memory/blocks.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/text.h"
#include "host/pages.h"
#include "memory/block_find.h"
#include "memory/budget.h"
#include "memory/cache.h"
#include "memory/heap_layout.h"
#include "memory/heap_lock.h"
#include "memory/populate.h"
#include "memory/runs.h"
#include "memory/spans.h"

/* What is cut off a large block gives its pages back if it is so long; below it the call costs more than it saves. */
#define PUNCH_BYTES ((size_t)64 << 10)

#define HUGE_UNITS ((uint32_t)(PAGES_HUGE_BYTES / UNIT_BYTES))

/* Whether a block of n units stays untouched, see populate.h. */
static bool is_large(uint64_t n_units)
{
    return n_units > POPULATE_MAX_UNITS;
}

/* What n units from first on add to what has to have memory. */
static uint64_t budget_of(const struct heap_shared *heap, uint32_t first, uint32_t n)
{
    return (uint64_t)(is_large(n) ? n : populate_missing(heap, first, n)) * UNIT_BYTES;
}

static void *take_large(struct heap_shared *heap, size_t bytes, size_t alignment)
{
    uint64_t n = UNITS_FOR(bytes);
    uint32_t align = alignment > UNIT_BYTES ? (uint32_t)(alignment / UNIT_BYTES) : 1;
    uint32_t run;

    if (bytes > SEGMENT_MAX_BYTES || n >= heap->n_units)
        return NULL;
    /* A block of huge pages begins where one does, if it can. */
    run = bytes >= PAGES_HUGE_BYTES && pages_huge_is_wanted() ? runs_take(heap, (uint32_t)n, HUGE_UNITS) : 0;
    if (run == 0)
        run = runs_take(heap, (uint32_t)n, align);
    if (run == 0)
        return NULL;
    if (!budget_take(heap, budget_of(heap, run, (uint32_t)n))) {
        runs_give(heap, run, (uint32_t)n);
        return NULL;
    }
    unit_set(heap, run, UNIT_LARGE, (uint32_t)n);
    undo_set64(&heap->log, &heap->units[run].bytes, bytes);
    if (is_large(n))
        budget_add_large(heap, run, (uint32_t)n);
    return unit_address(heap, run);
}

/* Which limit or variable made the heap as large as it is, for a person. */
static const char *size_by(void)
{
    static const char *const names[] = {
        [SEGMENT_BY_MEMORY] = "the memory there is",  [SEGMENT_BY_HEAP] = "SHAREDMEM_HEAP",
        [SEGMENT_BY_OPTION] = "smrrun --heap",        [SEGMENT_BY_ADDRESS_SPACE] = "half of ulimit -v",
        [SEGMENT_BY_FILE_SIZE] = "half of ulimit -f", [SEGMENT_BY_SYSTEM] = "all that could be mapped",
    };
    uint32_t by = segment_header()->size_by;

    return by < sizeof names / sizeof *names ? names[by] : "the launcher";
}

/* A larger heap, unless the memory for it is not there, or nothing is that large. */
static const char *what_helps(size_t bytes)
{
    if (bytes > SEGMENT_MAX_BYTES)
        return "; is that a negative number?";
    if (segment_header()->size_by == SEGMENT_BY_MEMORY)
        return "; ask the batch system or the container for more memory";
    return "; SHAREDMEM_HEAP or smrrun --heap makes it larger";
}

static void say_full(const struct heap_shared *heap, size_t bytes)
{
    char whole[TEXT_BYTES_SIZE], asked[TEXT_BYTES_SIZE], left[TEXT_BYTES_SIZE], room[TEXT_BYTES_SIZE];

    budget_refuse(BUDGET_HEAP,
                  "the shared heap of %s (%s) has no %s in one piece; %s of %s for blocks are free%s",
                  text_bytes(whole, segment_header()->size), size_by(), text_bytes(asked, bytes),
                  text_bytes(left, (heap->n_units - 1 - heap->used_units) * UNIT_BYTES),
                  text_bytes(room, (uint64_t)(heap->n_units - 1) * UNIT_BYTES), what_helps(bytes));
}

/*
 * The class for small blocks, or HEAP_CLASSES. A span begins at a multiple of UNIT_BYTES: its blocks are
 * aligned to what divides their size.
 */
static uint32_t class_for(size_t bytes, size_t alignment)
{
    uint32_t size_class;

    if (bytes > SPAN_MAX_BYTES || alignment > UNIT_BYTES)
        return HEAP_CLASSES;
    size_class = span_class(bytes);
    if (alignment <= HEAP_ALIGNMENT)
        return size_class;
    while (size_class < HEAP_CLASSES && span_block_bytes(size_class) % alignment != 0)
        size_class++;
    return size_class;
}

/* What is asked for. */
struct request {
    size_t bytes, alignment;
    uint32_t size_class; /* HEAP_CLASSES: none, it is not small */
    struct guard_plan *plan;
};

/* Without a cache. Dying between the commit and the mark loses the block. */
static void *take_from_span(struct heap_shared *heap, const struct request *request)
{
    uint32_t size_class = request->size_class;
    void *first;
    uint64_t bit = span_take_many(heap, size_class, 1, &first);
    char *block;

    if (bit == 0)
        return NULL;
    block = (char *)first + (size_t)__builtin_ctzll(bit) * span_block_bytes(size_class);
    if (request->plan != NULL)
        guard_set(block, span_block_bytes(size_class), request->plan);
    undo_set64(&heap->log, &heap->n_blocks, heap->n_blocks + 1);
    undo_commit(&heap->log);
    FAULT_POINT();
    atomic_store_explicit(live_mark(heap, segment_offset(block)), (uint8_t)(size_class + 1),
                          memory_order_relaxed);
    return block;
}

static void *take_small(struct heap_shared *heap, struct cache_shared *cache, const struct request *request)
{
    if (cache == NULL)
        return take_from_span(heap, request);
    return cache_fill(heap, cache, request->size_class) ? cache_pop(cache, request->size_class) : NULL;
}

static void *take(struct heap_shared *heap, struct cache_shared *cache, const struct request *request)
{
    void *block;

    if (request->size_class < HEAP_CLASSES)
        return take_small(heap, cache, request);
    block = take_large(heap, request->bytes, request->alignment);
    if (block != NULL && request->plan != NULL)
        guard_set(block, UNITS_FOR(request->bytes) * UNIT_BYTES, request->plan);
    if (block != NULL)
        undo_set64(&heap->log, &heap->n_blocks, heap->n_blocks + 1);
    undo_commit(&heap->log);
    return block;
}

/* Gives the spans what all caches keep that nobody else uses now. Returns whether that was anything. */
static bool drain_all(struct heap_shared *heap, struct cache_shared **cache)
{
    if (*cache == NULL && member_me->cache != 0)
        *cache = cache_open(heap);
    return cache_drain_all(heap, *cache);
}

/* What takes the lock: the cache is empty, or the block large, and not populated yet. NULL with the reason. */
__attribute__((noinline)) static void *alloc_under_lock(const struct request *request)
{
    struct heap_shared *heap = heap_here();
    struct cache_shared *cache;
    void *block;

    budget_begin();
    if (heap_lock(heap) != 0) {
        budget_refuse(BUDGET_SYSTEM, "called in a signal handler that interrupted the shared heap");
        return NULL;
    }
    /* Who wants large blocks only needs none. */
    cache = request->size_class < HEAP_CLASSES ? cache_open(heap) : NULL;
    block = take(heap, cache, request);
    /* What is freed and kept may be just what is missing. */
    if (block == NULL && drain_all(heap, &cache)) {
        budget_begin();
        block = take(heap, cache, request);
    }
    if (block == NULL && *budget_reason() == '\0')
        say_full(heap, request->bytes);
    cache_close(cache);
    undo_commit(&heap->log);
    heap_unlock(heap);
    FAULT_POINT();
    if (block == NULL)
        errno = ENOMEM;
    return block;
}

/* Populates a block that is not small, or gives it back where that cannot be. */
static void *populated(void *block, const struct request *request)
{
    uint64_t n = UNITS_FOR(request->bytes);

    if (block == NULL || is_large(n) || populate_units(heap_here(), unit_of(heap_here(), block), (uint32_t)n))
        return block;
    blocks_free(block, request->plan != NULL ? &request->plan->caller : NULL);
    errno = ENOMEM;
    return NULL;
}

void *blocks_alloc(size_t bytes, size_t alignment, struct guard_plan *plan)
{
    struct request request = {bytes, alignment, class_for(bytes, alignment), plan};
    void *block = request.size_class < HEAP_CLASSES ? cache_take(request.size_class) : NULL;

    if (block != NULL)
        return block;
    block = alloc_under_lock(&request);
    return request.size_class < HEAP_CLASSES ? block : populated(block, &request);
}

/* New pages are zero, and stay untouched. Returns whether all of the block is. */
static bool zero_by_punch(void *block, size_t bytes)
{
    uint64_t n = UNITS_FOR(bytes);

    if (!is_large(n))
        return false;
    populate_forget(heap_here(), unit_of(heap_here(), block), (uint32_t)n);
    return pages_punch(block, n * UNIT_BYTES);
}

void *blocks_alloc_zeroed(size_t bytes)
{
    void *block = blocks_alloc(bytes, HEAP_ALIGNMENT, NULL);

    if (block != NULL && !zero_by_punch(block, bytes))
        memset(block, 0, bytes);
    return block;
}

/*
 * A long run's pages are given back before anybody else can get them, but not under the lock, since that takes
 * long: the run is closing meanwhile. Dying here loses it.
 */
static void close_run(struct heap_shared *heap, uint32_t run, uint32_t n)
{
    unit_set(heap, run, UNIT_CLOSING, n);
    undo_commit(&heap->log);
    heap_unlock(heap);
    populate_forget(heap, run, n);
    pages_punch(unit_address(heap, run), (size_t)n * UNIT_BYTES);
    FAULT_POINT();
    heap_lock(heap);
    runs_give(heap, run, n);
}

/* Gives n units at the end of a large block back, which is of `whole` units until now, or all of it. */
static void give_units(struct heap_shared *heap, uint32_t first, uint32_t n, uint32_t whole)
{
    if (is_large(whole))
        budget_give(heap, (uint64_t)n * UNIT_BYTES);
    if (is_large(whole) && n >= PUNCH_BYTES / UNIT_BYTES)
        close_run(heap, first, n);
    else
        runs_give(heap, first, n);
}

static void give_large(struct heap_shared *heap, uint32_t run)
{
    uint32_t n = heap->units[run].n_units;

    if (is_large(n))
        budget_drop_large(heap, run, n);
    give_units(heap, run, n, n);
}

/* Without a cache. Dying before the commit loses the block. */
static void give_to_span(struct heap_shared *heap, const struct block_found *found, uint64_t offset,
                         const struct caller_shared *caller)
{
    atomic_store_explicit(live_mark(heap, offset), 0, memory_order_relaxed);
    FAULT_POINT();
    if (caller != NULL)
        guard_set_freed(segment_at(offset), span_block_bytes((uint32_t)heap->units[found->unit].bytes),
                        caller);
    undo_set64(&heap->log, &heap->n_blocks, heap->n_blocks - 1);
    span_give_many(heap, found->unit, (uint64_t)1 << found->block);
}

static void give_small(struct heap_shared *heap, const struct block_found *found, uint64_t offset,
                       const struct caller_shared *caller)
{
    uint32_t size_class = (uint32_t)heap->units[found->unit].bytes;
    struct cache_shared *cache = cache_open(heap);
    struct cache_stack stack;

    if (cache == NULL) {
        give_to_span(heap, found, offset, caller);
        return;
    }
    stack = cache_stack(cache, size_class);
    if (atomic_load_explicit(stack.n, memory_order_relaxed) >= stack.room)
        cache_drain_class(heap, cache, size_class, stack.room / 2);
    cache_push(cache, size_class, offset);
    cache_close(cache);
}

static void give_block(struct heap_shared *heap, const struct block_found *found, const void *block,
                       const struct caller_shared *caller)
{
    if (found->in_span) {
        give_small(heap, found, segment_offset(block), caller);
        return;
    }
    undo_set64(&heap->log, &heap->n_blocks, heap->n_blocks - 1);
    give_large(heap, found->unit);
}

__attribute__((noinline)) static enum heap_answer free_under_lock(void *block,
                                                                  const struct caller_shared *caller)
{
    struct heap_shared *heap = heap_here();
    enum heap_answer answer;
    struct block_found found;

    if (heap_lock(heap) != 0)
        return HEAP_DEADLOCK;
    answer = block_find(heap, block, &found);
    if (answer == HEAP_GOOD) {
        give_block(heap, &found, block, caller);
        undo_commit(&heap->log);
        populate_trim(heap);
    }
    heap_unlock(heap);
    return answer;
}

enum heap_answer blocks_free(void *block, const struct caller_shared *caller)
{
    return cache_give(block) ? HEAP_GOOD : free_under_lock(block, caller);
}

/* What is left of a large block that is no longer one is populated, as others of its size are. */
static bool keep_part(struct heap_shared *heap, uint32_t run, uint32_t n)
{
    return is_large(n) || (budget_take(heap, budget_of(heap, run, n)) && populate_units(heap, run, n));
}

/* Gives back what lies behind the first n units. */
static bool cut_large(struct heap_shared *heap, uint32_t run, uint32_t n)
{
    uint32_t whole = heap->units[run].n_units;

    if (n == whole)
        return true;
    if (is_large(whole)) {
        if (!keep_part(heap, run, n))
            return false;
        budget_drop_large(heap, run, whole);
        if (is_large(n))
            budget_add_large(heap, run, n);
    }
    undo_set32(&heap->log, &heap->units[run].n_units, n);
    give_units(heap, run + n, whole - n, whole);
    return true;
}

/* Takes what it needs from the free run behind. */
static bool grow_large(struct heap_shared *heap, uint32_t run, uint32_t n)
{
    uint32_t old_n = heap->units[run].n_units;

    if (!runs_grow(heap, run, n))
        return false;
    if (!is_large(n))
        return budget_take(heap, budget_of(heap, run + old_n, n - old_n)) &&
               populate_units(heap, run + old_n, n - old_n);
    if (!budget_take(heap, (uint64_t)(n - old_n) * UNIT_BYTES))
        return false;
    if (is_large(old_n))
        budget_drop_large(heap, run, old_n);
    budget_add_large(heap, run, n);
    return true;
}

static bool resize_found(struct heap_shared *heap, const struct block_found *found, size_t bytes)
{
    uint64_t n = UNITS_FOR(bytes);
    struct unit_shared *unit = &heap->units[found->unit];

    if (found->in_span)
        return bytes <= SPAN_MAX_BYTES && span_class(bytes) == unit->bytes;
    /* The first: so many bytes that their units are too few in n. */
    if (bytes > SEGMENT_MAX_BYTES || bytes <= SPAN_MAX_BYTES || n >= heap->n_units)
        return false;
    undo_set64(&heap->log, &unit->bytes, bytes);
    if (n > unit->n_units)
        return grow_large(heap, found->unit, (uint32_t)n);
    return cut_large(heap, found->unit, (uint32_t)n);
}

bool blocks_resize(void *block, size_t bytes)
{
    struct heap_shared *heap = heap_here();
    struct block_found found;
    bool done;

    if (block_find_small(block) > 0)
        return bytes <= SPAN_MAX_BYTES && span_block_bytes(span_class(bytes)) == block_find_small(block);
    if (heap_lock(heap) != 0)
        return false;
    done = block_find(heap, block, &found) == HEAP_GOOD && resize_found(heap, &found, bytes);
    if (done) {
        undo_commit(&heap->log);
        populate_trim(heap);
    } else {
        undo_roll_back(&heap->log);
    }
    heap_unlock(heap);
    return done;
}
