/*
 * heap_layout.h: how the heap lies in the segment; for the heap's own files only.
 *
 * The heap's part is struct heap_shared, then the unit table, the live marks, and the units: 4096 bytes each,
 * the first at a multiple of 2 MiB. Units form runs without gaps, each free, or one large block, or a span:
 * small blocks of one size class. The tables lie apart from the memory they describe, so that a program that
 * writes beyond its block does not reach them, and so that any address can be asked what it is.
 *
 * An entry of kind FREE, LARGE, CLOSING or SPAN is the head of a run, always true. TAIL and INNER are hints
 * left in other entries, and count only where the head that they lead to agrees: they need not be cleaned up.
 *
 * All of this is guarded by heap_shared.lock and changed through heap_shared.log only, but for hints and for
 * the map of populated units (populate.h), which lies behind the live marks.
 *
 * A live mark, a byte for each 64 bytes of the units, tells that the program owns the small block that begins
 * there, and its size class. Whoever has the block, its owner or a member's cache (cache.h), is the only one
 * that changes its mark, and needs no lock for that. A block that is free in its span has none.
 */
#ifndef MEMORY_HEAP_LAYOUT_H
#define MEMORY_HEAP_LAYOUT_H

#include <stdint.h>

#include "memory/lock.h"
#include "memory/segment.h"
#include "memory/undo.h"

#define UNIT_BYTES    4096u
#define GRANULE_BYTES 64u

enum unit_kind {
    UNIT_NONE,    /* within a run, says nothing */
    UNIT_FREE,    /* head of a free run: in a bin's list */
    UNIT_LARGE,   /* head of one block */
    UNIT_CLOSING, /* the same, freed, while its pages are given back to the system */
    UNIT_SPAN,    /* head of a span: in its class's list if it has free blocks */
    UNIT_TAIL,    /* the last of a free run: n_units is the run's length */
    UNIT_INNER,   /* within a span: n_units is how far back its head lies */
    UNIT_CACHE,   /* head of a member's cache, as long as the segment lives */
    UNIT_EDGE     /* unit 0: belongs to nothing, so that 0 can stand for no unit */
};

struct unit_shared {
    uint32_t kind;
    uint32_t n_units;
    uint32_t next, prev; /* in a list; 0: none */
    uint64_t free_bits;  /* of a span: bit b: block b is free; of a large block: see budget.h */
    uint64_t bytes;      /* of a large block: what was asked for; of a span: its size class */
};

#define HEAP_EXACT_BINS 64u
#define HEAP_BINS       (HEAP_EXACT_BINS + 26 * 8)

/* The size classes of small blocks in quanta of 64 bytes: 1 to 8, then four for each doubling. */
#define HEAP_CLASS_LIST(X)                                                                                   \
    X(1)                                                                                                     \
    X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(10) X(12) X(14) X(16) X(20) X(24) X(28) X(32) X(40) X(48) X(56)     \
        X(64) X(80) X(96) X(112) X(128) X(160) X(192) X(224) X(256)
#define HEAP_CLASSES 28u

/* What is handed out and what can be, see budget.h. The first two are hints, and not logged. */
struct budget_shared {
    int64_t credit;         /* bytes that may be handed out before the limits are read again */
    uint64_t read_at_ns;    /* when they were read; 0: never */
    uint64_t large_units;   /* of all blocks that stay untouched */
    uint64_t touched_units; /* of these, as far as known; each one's are in its free_bits */
    uint64_t looked_at_ns;  /* when their pages were counted; hints, as what follows */
    uint64_t room_at_look;  /* what the limits left then */
    uint32_t large;         /* the first of them: linked by next and prev */
    uint32_t unused;
};

struct heap_shared {
    struct lock_shared lock;
    uint64_t units_offset; /* where unit 0 begins */
    uint32_t n_units;
    uint32_t is_checked;  /* blocks carry a guard (guard.h), and no member has a cache */
    uint64_t live_offset; /* where the live mark of unit 0's first byte is */
    uint64_t used_units;
    uint64_t n_blocks; /* neither free in a span nor in a run: the program's, and those in caches */
    uint64_t bin_map[(HEAP_BINS + 63) / 64]; /* bit b: bins[b] is not empty */
    uint32_t bins[HEAP_BINS];
    uint32_t classes[HEAP_CLASSES];
    struct undo_shared log;
    struct budget_shared budget;
    uint64_t populated_offset;      /* a bit for each unit, see populate.h */
    _Atomic uint32_t populated_end; /* no unit from here on was ever populated */
    uint32_t unused;
    /* The units that became free last, and the free run that has them now. Hints, and not logged. */
    uint32_t freed, n_freed, freed_run;
    int32_t idle_units; /* free and populated, about: a hint too */
    struct unit_shared units[];
};

/* How many units so many bytes take. */
#define UNITS_FOR(bytes) (((bytes) + UNIT_BYTES - 1) / UNIT_BYTES)

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

/* The live mark of a place in the units, an offset in the segment: 0, or 1 + the block's size class. */
static inline _Atomic uint8_t *live_mark(const struct heap_shared *heap, uint64_t offset)
{
    return (_Atomic uint8_t *)segment_at(heap->live_offset) + (offset - heap->units_offset) / GRANULE_BYTES;
}

/* For the checks: fills error. Returns -1 with errno EUCLEAN. */
int heap_broken(sharedmem_error *error, const char *what, uint32_t unit);

#endif
