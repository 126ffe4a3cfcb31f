/* spans.h: small blocks of equal size in runs of units. For the heap's own files; the caller has its lock. */
#ifndef MEMORY_SPANS_H
#define MEMORY_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/heap_layout.h"

/* The largest block that lives in a span. */
#define SPAN_MAX_BYTES 16384u

/*
 * The size class for blocks of bytes, 1 to SPAN_MAX_BYTES; and the size of its blocks, at most a quarter
 * more.
 */
static inline uint32_t span_class(size_t bytes)
{
    /*
     * In quanta of 64 bytes: 1 to 8, then four for each doubling up to 256. With m quanta asked for and 2^e
     * the power of two at or below m - 1, a step is 2^(e-2).
     */
    uint32_t last = ((uint32_t)bytes - 1) / 64;
    uint32_t log;

    if (last < 8)
        return last;
    log = 31u - (uint32_t)__builtin_clz(last);
    return 8 + (log - 3) * 4 + ((last >> (log - 2)) - 4);
}

uint32_t span_block_bytes(uint32_t size_class);

/* How many blocks a span of class has, at most 64; and how many units. */
uint32_t span_blocks(uint32_t size_class);
uint32_t span_units(uint32_t size_class);

/*
 * Takes up to n blocks (1 or more) of class, all of one span. Returns their bits, with *first where block 0 of
 * that span lies; 0 where no units are left.
 */
uint64_t span_take_many(struct heap_shared *heap, uint32_t size_class, uint32_t n, void **first);

/* Gives back the blocks with these bits, which are not free, to their span. */
void span_give_many(struct heap_shared *heap, uint32_t span, uint64_t blocks);

/* The number of the span's block that the address, an offset in the segment, lies in. */
uint32_t span_block(const struct heap_shared *heap, uint32_t span, uint64_t offset);

/* Whether a block of the span, free or not, begins at the address, an offset in the segment. */
bool span_has_block(const struct heap_shared *heap, uint32_t span, uint64_t offset);

/* The head of the span that unit lies in, or 0. */
uint32_t span_head(const struct heap_shared *heap, uint32_t unit);

#endif
