/*
 * guard.h: what a checked heap (SHAREDMEM_HEAP_CHECK=1) knows of each block: who allocated it, who freed it,
 * and whether something was written where it should not be. For the heap's own files.
 *
 * A block's room ends with its guard; between what was asked for and the guard lie bytes of a known pattern,
 * 16 at least. A freed block is filled with that pattern.
 */
#ifndef MEMORY_GUARD_H
#define MEMORY_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/caller.h"

struct guard_shared {
    uint64_t state; /* one of two magic numbers; anything else: nothing is known */
    uint64_t bytes; /* what was asked for */
    struct caller_shared allocated, freed;
};

enum guard_answer {
    GUARD_LIVE,    /* allocated, and nothing is wrong */
    GUARD_OVERRUN, /* allocated, and written beyond its end */
    GUARD_FREED,   /* freed, and nothing is wrong */
    GUARD_WRITTEN, /* freed, and written after that */
    GUARD_LOST     /* it has no guard, or that was written over */
};

/* How much room a block of bytes needs with its guard; SIZE_MAX where that is too much. */
size_t guard_room(size_t bytes);

/* The guard of a block with that room. */
struct guard_shared *guard_of(const void *block, size_t room);

/* A block that is to be: what its guard gets, and what was found in its place. */
struct guard_plan {
    size_t bytes;
    struct caller_shared caller;
    bool was_written; /* an earlier block there was written after it was freed, and had this guard */
    struct guard_shared late;
};

/* What lies where the guard of such a block will be, left by others, is none. */
void guard_forget(void *block, size_t room);

/* Makes the block the planned one. Nobody has it yet: whoever looks through the heap must find it guarded. */
void guard_set(void *block, size_t room, struct guard_plan *plan);

/*
 * Notes that the caller freed it, and fills it with the pattern. For small blocks, which nobody has any more. A
 * larger one gives its pages back.
 */
void guard_set_freed(void *block, size_t room, const struct caller_shared *caller);

enum guard_answer guard_look(const void *block, size_t room);

/*
 * Writes what is known of the block: size, who allocated and who freed it. Blocks for some milliseconds as
 * symbols_find() does.
 */
void guard_describe(const void *block, size_t room, char *text, size_t size);

#endif
