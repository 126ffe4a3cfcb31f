/*
 * drawing.h: the machine with its ranks, drawn in plain characters for a person:
 *
 *     package 0, L3 0: [0 0 1 1 2 2 . .]
 *     package 0, L3 1: [3 3 x x . . . .]
 *
 * A line for each L3 (and NUMA node, where it has several), in it for each core the ranks that are bound to it. A
 * dot is free, an x is a core that may not be used here. A core of which not all hardware threads have the same
 * ranks has them all, 0/1. A bar is between cores of different speeds. What is too long for a line has runs of
 * equal cores as 0*32, and of one core for each rank as 0..71; what is too long still has several lines.
 */
#ifndef SMRRUN_DRAWING_H
#define SMRRUN_DRAWING_H

#include "host/binding.h"
#include "host/topology.h"

/* No line is longer, with "smrrun: " before it. */
#define DRAWING_COLUMNS 110

/*
 * Calls line for each line, without a newline, the first of which says what the signs mean that follow. Pure.
 * whole: all of the machine; allowed: what of it may be used, may be the same. binding: NULL, nobody is bound.
 * Returns 0, or -1 with ENOMEM.
 */
int drawing_make(const struct topology *whole, const struct topology *allowed,
                 const struct binding_plan *binding, void (*line)(const char *text, void *argument),
                 void *argument);

#endif
