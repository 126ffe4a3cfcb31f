/* spans.h: small blocks of equal size in runs of units. For the heap's own files; the caller has its lock. */
#ifndef MEMORY_SPANS_H
#define MEMORY_SPANS_H

#include <stddef.h>
#include <stdint.h>

#include "memory/heap_layout.h"

/* The largest block that lives in a span. */
#define SPAN_MAX_BYTES 16384u

/*
 * The size class for blocks of bytes, 1 to SPAN_MAX_BYTES; and the size of its blocks, at most a quarter
 * more.
 */
uint32_t span_class(size_t bytes);
uint32_t span_block_bytes(uint32_t size_class);

/* How many blocks a span of class has, at most 64; and how many units. */
uint32_t span_blocks(uint32_t size_class);
uint32_t span_units(uint32_t size_class);

/* Takes a block of class. Returns NULL where no units are left. */
void *span_take(struct heap_shared *heap, uint32_t size_class);

/* Gives back the block with number block of the span, which is not free. */
void span_give(struct heap_shared *heap, uint32_t span, uint32_t block);

/* The head of the span that unit lies in, or 0. */
uint32_t span_head(const struct heap_shared *heap, uint32_t unit);

#endif
