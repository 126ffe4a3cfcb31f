#include "memory/heap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/each_fork.h"
#include "base/env.h"
#include "base/log.h"
#include "host/pages.h"
#include "memory/block_find.h"
#include "memory/blocks.h"
#include "memory/budget.h"
#include "memory/cache.h"
#include "memory/guard.h"
#include "memory/heap_layout.h"
#include "memory/heap_lock.h"
#include "memory/runs.h"

int heap_lock(struct heap_shared *heap)
{
    if (cache_is_interrupted()) {
        errno = EDEADLK;
        return -1;
    }
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

static bool is_asked_to_check(void)
{
    long value = 0;

    if (env_int(ENV_HEAP_CHECK, 0, 1, &value) == ENV_MALFORMED)
        env_warn(ENV_HEAP_CHECK, "0 or 1");
    return value != 0;
}

void heap_init(void)
{
    struct heap_shared *heap = heap_here();
    uint64_t begin = segment_offset(heap);
    uint64_t end = segment_part_end(SEGMENT_HEAP);
    /*
     * Entries for all of the part, also for the units whose room the tables take themselves: simple, and a
     * little too many.
     */
    uint64_t n_most = (end - begin) / UNIT_BYTES;
    uint64_t table_end;

    heap->live_offset = segment_offset(&heap->units[n_most]);
    heap->populated_offset = heap->live_offset + n_most * (UNIT_BYTES / GRANULE_BYTES);
    table_end = heap->populated_offset + n_most / 8 + sizeof(uint64_t);
    heap->budget.credit = BUDGET_FIRST_BYTES;
    heap->units_offset = bits_round_up(table_end, PAGES_HUGE_BYTES);
    heap->n_units = (uint32_t)((end - heap->units_offset) / UNIT_BYTES);
    heap->is_checked = is_asked_to_check();
    heap->units[0].kind = UNIT_EDGE;
    runs_init(heap, 1);
}

static void warn_of_late_write(const void *block, const struct guard_shared *guard)
{
    char allocated[128], freed[128];

    log_warn("the block of %llu bytes at %p, allocated at %s, was written after it was freed at %s",
             (unsigned long long)guard->bytes, block,
             caller_format(&guard->allocated, allocated, sizeof allocated),
             caller_format(&guard->freed, freed, sizeof freed));
}

static void *alloc_checked(size_t bytes, size_t alignment)
{
    struct guard_plan plan = {.bytes = bytes};
    void *block;

    caller_note(&plan.caller);
    block = blocks_alloc(guard_room(bytes), alignment, &plan);
    if (block != NULL && plan.was_written)
        warn_of_late_write(block, &plan.late);
    return block;
}

void *heap_alloc(size_t bytes, size_t alignment)
{
    if (bytes == 0)
        bytes = 1;
    return heap_is_checked() ? alloc_checked(bytes, alignment) : blocks_alloc(bytes, alignment, NULL);
}

void *heap_alloc_zeroed(size_t bytes)
{
    void *block;

    if (bytes == 0)
        bytes = 1;
    if (!heap_is_checked())
        return blocks_alloc_zeroed(bytes);
    block = alloc_checked(bytes, HEAP_ALIGNMENT);
    if (block != NULL)
        memset(block, 0, bytes);
    return block;
}

/* What is wrong with a block is not freed: it stays as it is, to be looked at. */
static enum heap_answer free_checked(void *block)
{
    struct caller_shared caller;
    size_t room;
    enum heap_answer answer = block_find_room(block, &room);

    if (answer != HEAP_GOOD)
        return answer;
    if (guard_look(block, room) != GUARD_LIVE)
        return HEAP_OVERRUN;
    caller_note(&caller);
    return blocks_free(block, &caller);
}

enum heap_answer heap_free(void *block)
{
    return heap_is_checked() ? free_checked(block) : blocks_free(block, NULL);
}

enum heap_answer heap_usable(const void *block, size_t *bytes)
{
    size_t room;
    enum heap_answer answer = block_find_room(block, &room);

    if (answer != HEAP_GOOD)
        return answer;
    *bytes = room;
    if (!heap_is_checked())
        return HEAP_GOOD;
    if (guard_look(block, room) != GUARD_LIVE)
        return HEAP_OVERRUN;
    *bytes = guard_of(block, room)->bytes;
    return HEAP_GOOD;
}

EACH_FORK void heap_leave(void)
{
    struct heap_shared *heap = heap_here();

    if (member_my_cache == NULL || heap_lock(heap) != 0)
        return;
    cache_drain(heap, cache_open(heap));
    cache_close(member_my_cache);
    heap_unlock(heap);
}

/* In a checked heap a block always moves: who still uses the old place is found sooner. */
bool heap_resize(void *block, size_t bytes)
{
    return !heap_is_checked() && blocks_resize(block, bytes != 0 ? bytes : 1);
}

/* What a checked heap knows of a block, behind `before`; else nothing. */
static void append_known(const void *block, size_t room, const char *before, char *text, size_t size)
{
    size_t length = strlen(text);

    if (!heap_is_checked() || length + strlen(before) + 1 >= size)
        return;
    memcpy(text + length, before, strlen(before) + 1);
    guard_describe(block, room, text + strlen(text), size - strlen(text));
}

void heap_explain(const void *pointer, char *text, size_t size)
{
    size_t room = 0;
    const char *begin = block_find_around(pointer, &room);
    const char *hint = heap_is_checked() ? "" : "; SHAREDMEM_HEAP_CHECK=1 tells where";

    if (begin != NULL) {
        snprintf(text, size, "it is %zu bytes into a block", (size_t)((const char *)pointer - begin));
        append_known(begin, room, "; ", text, size);
        return;
    }
    room = block_find_slot(pointer);
    snprintf(text, size, "the block was freed before%s", hint);
    if (room != 0)
        append_known(pointer, room, ": ", text, size);
}

void heap_explain_overrun(const void *block, char *text, size_t size)
{
    size_t room = 0;

    text[0] = '\0';
    if (block_find_room(block, &room) == HEAP_GOOD)
        append_known(block, room, "", text, size);
}

void heap_statistics_read(struct heap_statistics *statistics)
{
    struct heap_shared *heap = heap_here();
    uint64_t n_cached;

    *statistics = (struct heap_statistics){.capacity_bytes = (uint64_t)(heap->n_units - 1) * UNIT_BYTES};
    if (heap_lock(heap) != 0)
        return;
    cache_census(&n_cached, &statistics->cached_bytes);
    statistics->used_bytes = heap->used_units * UNIT_BYTES;
    statistics->n_blocks = heap->n_blocks > n_cached ? heap->n_blocks - n_cached : 0;
    heap_unlock(heap);
}

bool heap_is_checked(void)
{
    return heap_here()->is_checked != 0;
}

/* Runs may change their places meanwhile: it is a moment's figure. */
uint64_t heap_resident_bytes(void)
{
    struct heap_shared *heap = heap_here();
    uint64_t bytes = 0;
    bool is_used;
    uint32_t n;

    for (uint32_t unit = 1; unit < heap->n_units; unit += n) {
        if (heap_lock(heap) != 0)
            return 0;
        n = heap->units[unit].n_units;
        if (n == 0 || n > heap->n_units - unit)
            n = heap->n_units - unit;
        is_used = heap->units[unit].kind != UNIT_FREE;
        heap_unlock(heap);
        if (is_used)
            bytes += pages_resident(unit_address(heap, unit), (size_t)n * UNIT_BYTES);
    }
    return bytes;
}
