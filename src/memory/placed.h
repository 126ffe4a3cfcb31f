/*
 * placed.h: which NUMA nodes the heap's pages come from where nobody has said so for a block: SHAREDMEM_MEM.
 * It is told to the kernel once, for all of the heap and all who map it, by whoever makes the segment.
 */
#ifndef MEMORY_PLACED_H
#define MEMORY_PLACED_H

#include <stddef.h>

#include "host/topology.h"

enum placed_default {
    PLACED_LOCAL,      /* first touch, and large memory is touched by who will use it */
    PLACED_INTERLEAVE, /* pages in turn from the nodes of the job */
    PLACED_NONE        /* first touch, and nothing is touched ahead */
};

/* What SHAREDMEM_MEM says; a value that is none is warned of once. */
enum placed_default placed_default(void);

/*
 * Interleaves the heap of a fresh segment, if that is wanted, over the nodes of the processors that the
 * caller may use. Nothing where there is one. Where the system refuses, that is a warning: it costs speed
 * only.
 */
void placed_begin(void);

/* Places areas of the heap, see topology_place(). */
int placed_set(const struct topology_area *areas, int n, sharedmem_error *error);

/*
 * A block that is about to be freed: who gets its pages next shall find them as if it had never been placed.
 * Costs nothing as long as nobody has placed anything. Keeps errno.
 */
void placed_forget(void *block);

#endif
