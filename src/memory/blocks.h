/*
 * blocks.h: the heap's blocks as they are, without what a checked heap adds: small ones from the member's cache
 * or a span, large ones as runs. For the heap's own files.
 */
#ifndef MEMORY_BLOCKS_H
#define MEMORY_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

#include "memory/guard.h"
#include "memory/heap.h"

/*
 * As heap_alloc(), heap_free(); bytes 1 or more. In a checked heap: what the block's guard gets, and who frees
 * it; else NULL.
 */
void *blocks_alloc(size_t bytes, size_t alignment, struct guard_plan *plan);
enum heap_answer blocks_free(void *block, const struct caller_shared *caller);

/* As heap_alloc_zeroed(), in a heap that is not checked. */
void *blocks_alloc_zeroed(size_t bytes);

/* As heap_resize(); bytes 1 or more. */
bool blocks_resize(void *block, size_t bytes);

#endif
