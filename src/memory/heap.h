/*
 * heap.h: the shared heap. Any member allocates, any member frees, and the death of one at any moment costs
 * at most the block it was just getting or giving.
 *
 * One central heap under one recoverable lock; each change to it is logged and happens as a whole (undo.h).
 * Small blocks lie in spans (spans.h), large ones are runs of units (runs.h) whose pages go back to the
 * system when they are freed. Each member keeps small blocks that it frees for its next calls, which take no
 * lock (cache.h).
 */
#ifndef MEMORY_HEAP_H
#define MEMORY_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "memory/cache.h"
#include "memory/spans.h"
#include "sharedmem.h"

/* Blocks are aligned to this, and no two share a cache line. */
#define HEAP_ALIGNMENT     64u
#define HEAP_ALIGNMENT_MAX ((size_t)2 << 20)

enum heap_answer {
    HEAP_GOOD,
    HEAP_FOREIGN,  /* the address is not in the heap */
    HEAP_NO_BLOCK, /* no block begins there, or it was freed before */
    HEAP_OVERRUN,  /* it is one, but was written beyond its end; only a checked heap sees that */
    HEAP_DEADLOCK  /* called by a handler that interrupted this thread in the heap */
};

struct heap_statistics {
    uint64_t capacity_bytes;
    uint64_t used_bytes; /* in runs that are not free, empty spans and the members' caches too */
    uint64_t
        cached_bytes;  /* of that, in small blocks that are freed and kept for their members' next calls */
    uint64_t n_blocks; /* allocated and not freed; their own members' calls meanwhile may be missed */
};

/* Lays the heap into its part of a fresh segment. Once, before anybody else sees it. */
void heap_init(void);

/*
 * Takes bytes (0: 1) at a multiple of alignment, a power of two up to HEAP_ALIGNMENT_MAX. NULL with errno
 * ENOMEM, or EDEADLK where a signal handler interrupted this thread in the heap; budget_reason() says why.
 * Blocks up to 1 MiB have their memory; larger ones get it when they are touched first.
 */
void *heap_alloc(size_t bytes, size_t alignment);

/* As heap_alloc(), all zero. */
void *heap_alloc_zeroed(size_t bytes);

/* Gives a block back. What is answered with anything but HEAP_GOOD has changed nothing. */
enum heap_answer heap_free(void *block);

/* Sets *bytes to what block has room for; in a checked heap that is just what was asked for. */
enum heap_answer heap_usable(const void *block, size_t *bytes);

/*
 * Gives back the small blocks that the calling member keeps for its next calls, since there will be none: else
 * they would hold their pages until its slot has a member again. Nothing happens in a handler that interrupted
 * the heap.
 */
void heap_leave(void);

/*
 * Makes the block fit for bytes where it lies, if that is possible without much waste. Returns whether it
 * did.
 */
bool heap_resize(void *block, size_t bytes);

/*
 * The short ways, which take no lock: a block, or NULL and nothing is said of why; and whether block was given
 * back. Where they fail heap_alloc() and heap_free() have the answer.
 */
static inline void *heap_alloc_short(size_t bytes)
{
    return bytes - 1 < SPAN_MAX_BYTES ? cache_take(span_class(bytes)) : NULL;
}

static inline bool heap_free_short(const void *block)
{
    return cache_give(block);
}

/*
 * Writes what a pointer is that HEAP_NO_BLOCK was answered for, and of a block that was written beyond its end
 * what is known of it: in a checked heap its size, and who allocated and freed it. Blocks for some milliseconds as
 * symbols_find() does.
 */
void heap_explain(const void *pointer, char *text, size_t size);
void heap_explain_overrun(const void *block, char *text, size_t size);

void heap_statistics_read(struct heap_statistics *statistics);

/* How much of what is used is in memory now: pages that nobody has touched yet are not. It takes milliseconds. */
uint64_t heap_resident_bytes(void);

/* Whether this is a checked heap (SHAREDMEM_HEAP_CHECK=1). */
bool heap_is_checked(void);

/* Checks everything, see sharedmem_heap_check(). */
int heap_check(sharedmem_error *error);

#endif
