/*
 * heap.h: the shared heap. Any member allocates, any member frees, and the death of one at any moment costs
 * at most the block it was just getting or giving.
 *
 * One central heap under one recoverable lock; each change to it is logged and happens as a whole (undo.h).
 * Small blocks lie in spans (spans.h), large ones are runs of units (runs.h) whose pages go back to the
 * system when they are freed.
 */
#ifndef MEMORY_HEAP_H
#define MEMORY_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "sharedmem.h"

/* Blocks are aligned to this, and no two share a cache line. */
#define HEAP_ALIGNMENT     64u
#define HEAP_ALIGNMENT_MAX ((size_t)2 << 20)

enum heap_answer {
    HEAP_GOOD,
    HEAP_FOREIGN,  /* the address is not in the heap */
    HEAP_NO_BLOCK, /* no block begins there, or it was freed before */
    HEAP_DEADLOCK  /* called by a handler that interrupted this thread in the heap */
};

struct heap_statistics {
    uint64_t capacity_bytes;
    uint64_t used_bytes; /* in runs that are not free, empty spans too */
    uint64_t n_blocks;
};

/* Lays the heap into its part of a fresh segment. Once, before anybody else sees it. */
void heap_init(void);

/* Takes bytes (0: 1) at a multiple of alignment, a power of two up to HEAP_ALIGNMENT_MAX. NULL with errno. */
void *heap_alloc(size_t bytes, size_t alignment);

/* As heap_alloc(), all zero. */
void *heap_alloc_zeroed(size_t bytes);

/* Gives a block back. */
enum heap_answer heap_free(void *block);

/* Sets *bytes to what block has room for. */
enum heap_answer heap_usable(const void *block, size_t *bytes);

/*
 * Makes the block fit for bytes where it lies, if that is possible without much waste. Returns whether it
 * did.
 */
bool heap_resize(void *block, size_t bytes);

void heap_statistics_read(struct heap_statistics *statistics);

/* Checks everything, see sharedmem_heap_check(). */
int heap_check(sharedmem_error *error);

#endif
