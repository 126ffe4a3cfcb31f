#include "memory/undo.h"

#include <stdlib.h>

#include "base/fault.h"
#include "memory/segment.h"

static uint64_t *aligned_word(const void *address)
{
    return (uint64_t *)((uintptr_t)address & ~(uintptr_t)7);
}

static void set_count(struct undo_shared *log, uint64_t count)
{
    atomic_signal_fence(memory_order_seq_cst);
    FAULT_POINT();
    atomic_store_explicit(&log->count, count, memory_order_relaxed);
    FAULT_POINT();
    atomic_signal_fence(memory_order_seq_cst);
}

static void log_word(struct undo_shared *log, const uint64_t *word)
{
    uint64_t count = atomic_load_explicit(&log->count, memory_order_relaxed);

    /* A change that does not fit could not be undone: to go on would be to risk the heap of every member. */
    if (count >= UNDO_CAPACITY)
        abort();
    log->entries[count].offset = segment_offset(word);
    log->entries[count].old = *word;
    set_count(log, count + 1);
}

void undo_set64(struct undo_shared *log, uint64_t *word, uint64_t value)
{
    if (*word == value)
        return;
    log_word(log, word);
    *word = value;
}

void undo_set32(struct undo_shared *log, uint32_t *word, uint32_t value)
{
    if (*word == value)
        return;
    log_word(log, aligned_word(word));
    *word = value;
}

uint32_t undo_room(const struct undo_shared *log)
{
    return UNDO_CAPACITY - (uint32_t)atomic_load_explicit(&log->count, memory_order_relaxed);
}

void undo_commit(struct undo_shared *log)
{
    set_count(log, 0);
}

void undo_roll_back(struct undo_shared *log)
{
    uint64_t count = atomic_load_explicit(&log->count, memory_order_relaxed);

    /*
     * The log is shared memory: what a stray store of the program made of it must not be followed out of the
     * heap.
     */
    if (count > UNDO_CAPACITY)
        count = 0;
    for (uint64_t i = count; i-- > 0;) {
        uint64_t offset = log->entries[i].offset;

        FAULT_POINT();
        if (offset % 8 == 0 && offset <= segment_size - 8)
            *(uint64_t *)segment_at(offset) = log->entries[i].old;
    }
    undo_commit(log);
}
