/*
 * populate.h: memory for units before anybody writes there, so that a machine that has none says so to
 * malloc, and not by ending the program at some later store. For the heap's own files.
 *
 * Spans and blocks up to POPULATE_MAX_UNITS are populated; larger blocks stay untouched, so that their first
 * touch places them. Which units are populated is a bitmap beside the unit table: a bit is set after its unit
 * has its page, and cleared before the page is given back. So a death at any step leaves at worst a page
 * without its bit, which is populated once more, and nothing needs to be undone.
 */
#ifndef MEMORY_POPULATE_H
#define MEMORY_POPULATE_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/heap_layout.h"

#define POPULATE_MAX_UNITS (((uint32_t)1 << 20) / UNIT_BYTES)

/* How many units of n from first on are not populated. The caller has the heap's lock, or owns the units. */
uint32_t populate_missing(const struct heap_shared *heap, uint32_t first, uint32_t n);

/*
 * Populates n units from first on, which the caller owns; their budget is taken. Without the heap's lock.
 * Returns false where the system has no memory for them (budget.h has the reason).
 */
bool populate_units(struct heap_shared *heap, uint32_t first, uint32_t n);

/*
 * Takes the budget for a run of n units that was just taken, and populates it; with it some of the free units
 * behind, the more the more is in use, since a larger step costs less a page. The caller has the heap's lock.
 * Returns as populate_units().
 */
bool populate_run(struct heap_shared *heap, uint32_t first, uint32_t n);

/*
 * Gives the pages around the units that became free last back to the system, where these are many: a few are
 * kept, since they are soon taken again, and populating costs more than what else is to be done for a block.
 * The caller has the heap's lock, and has committed.
 */
void populate_trim(struct heap_shared *heap);

/* The pages of n units from first on are about to be given back. The caller owns them. */
void populate_forget(struct heap_shared *heap, uint32_t first, uint32_t n);

#endif
