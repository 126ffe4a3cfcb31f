/*
 * runs.h: runs of free units: found by size, split, merged. For the heap's own files; the caller has its
 * lock.
 */
#ifndef MEMORY_RUNS_H
#define MEMORY_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/heap_layout.h"

/* Makes the units first to the last one of the heap one free run. */
void runs_init(struct heap_shared *heap, uint32_t first);

/*
 * Takes n units, the first at a multiple of align, a power of two. Returns the first, or 0 where no run is
 * long enough.
 * The caller sets the head's kind, which is not FREE, in the same change.
 */
uint32_t runs_take(struct heap_shared *heap, uint32_t n, uint32_t align);

/* Makes n units from first on free, merged with free neighbours. None of them is a head any more. */
void runs_give(struct heap_shared *heap, uint32_t first, uint32_t n);

/*
 * Makes the run at first n units long, not fewer than now, by the free run behind it. Returns whether it
 * could.
 */
bool runs_grow(struct heap_shared *heap, uint32_t first, uint32_t n);

/* Which bin holds free runs of n units. */
uint32_t runs_bin(uint32_t n);

/* Sets kind and n_units of an entry. */
void unit_set(struct heap_shared *heap, uint32_t unit, enum unit_kind kind, uint32_t n_units);

/* Lists of units through next and prev, with *head as the first. */
void unit_list_push(struct heap_shared *heap, uint32_t *head, uint32_t unit);
void unit_list_remove(struct heap_shared *heap, uint32_t *head, uint32_t unit);

#endif
