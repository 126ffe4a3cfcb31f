/*
 * slice.h: large memory as the ranks of a team share it: one slice each, as sharedmem_part() cuts it, so that
 * who touches its slice first gets the pages that it will work on. What is decided by slices agrees
 * everywhere with what a loop with SHAREDMEM_STATIC, or sharedmem_my_part(), deals: but for one page at each
 * border.
 */
#ifndef TEAM_SLICE_H
#define TEAM_SLICE_H

#include <stddef.h>

#include "sharedmem.h"

/*
 * From this size on memory is worth being touched in slices. One core touches some 1 GB/s of new pages: this
 * takes 30 ms, and forking workers for it less than one.
 */
#define SLICE_LARGE_BYTES ((size_t)32 << 20)

/*
 * Slice i of n of so many bytes, which begin at a page: it begins and ends at multiples of unit, or at the
 * end.
 */
sharedmem_range slice_of(size_t bytes, size_t unit, int i, int n);

/* What a page fault may bring at most: the unit for slice_of(). */
size_t slice_unit(void);

#endif
