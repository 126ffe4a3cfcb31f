/*
 * heap_layout.h: how the heap lies in the segment; for the heap's own files only.
 *
 * The heap's part is struct heap_shared, then the unit table, then the units: 4096 bytes each, the first at a
 * multiple of 2 MiB. Units form runs without gaps, each free, or one large block, or a span: small blocks of
 * one size class. The table has an entry a unit, apart from the memory it describes, so that a program that
 * writes beyond its block does not reach it, and so that any address can be asked what it is.
 *
 * An entry of kind FREE, LARGE, CLOSING or SPAN is the head of a run, always true. TAIL and INNER are hints
 * left in other entries, and count only where the head that they lead to agrees: they need not be cleaned up.
 *
 * All of it is guarded by heap_shared.lock and changed through heap_shared.log only.
 */
#ifndef MEMORY_HEAP_LAYOUT_H
#define MEMORY_HEAP_LAYOUT_H

#include <stdint.h>

#include "memory/lock.h"
#include "memory/segment.h"
#include "memory/undo.h"

#define UNIT_BYTES 4096u

enum unit_kind {
    UNIT_NONE,    /* within a run, says nothing */
    UNIT_FREE,    /* head of a free run: in a bin's list */
    UNIT_LARGE,   /* head of one block */
    UNIT_CLOSING, /* the same, freed, while its pages are given back to the system */
    UNIT_SPAN,    /* head of a span: in its class's list if it has free blocks */
    UNIT_TAIL,    /* the last of a free run: n_units is the run's length */
    UNIT_INNER,   /* within a span: n_units is how far back its head lies */
    UNIT_EDGE     /* unit 0: belongs to nothing, so that 0 can stand for no unit */
};

struct unit_shared {
    uint32_t kind;
    uint32_t n_units;
    uint32_t next, prev; /* in a list; 0: none */
    uint64_t free_bits;  /* of a span: bit b: block b is free */
    uint64_t bytes;      /* of a large block: what was asked for; of a span: its size class */
};

#define HEAP_EXACT_BINS 64u
#define HEAP_BINS       (HEAP_EXACT_BINS + 26 * 8)
#define HEAP_CLASSES    28u

struct heap_shared {
    struct lock_shared lock;
    uint64_t units_offset; /* where unit 0 begins */
    uint32_t n_units;
    uint32_t unused;
    uint64_t used_units;
    uint64_t n_blocks;
    uint64_t bin_map[(HEAP_BINS + 63) / 64]; /* bit b: bins[b] is not empty */
    uint32_t bins[HEAP_BINS];
    uint32_t classes[HEAP_CLASSES];
    struct undo_shared log;
    struct unit_shared units[];
};

static inline struct heap_shared *heap_here(void)
{
    return segment_part(SEGMENT_HEAP);
}

static inline char *unit_address(const struct heap_shared *heap, uint32_t unit)
{
    return segment_at(heap->units_offset + (uint64_t)unit * UNIT_BYTES);
}

/* The unit that address lies in, or 0. */
static inline uint32_t unit_of(const struct heap_shared *heap, const void *address)
{
    uint64_t offset = segment_offset(address);

    if (!segment_contains(address) || offset < heap->units_offset)
        return 0;
    offset = (offset - heap->units_offset) / UNIT_BYTES;
    return offset < heap->n_units ? (uint32_t)offset : 0;
}

#endif
