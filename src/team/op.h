/*
 * op.h: what the ops of the collectives do to elements of each dtype. The rules are here and nowhere else.
 *
 * Whole numbers wrap. Real ones follow IEEE 754; for MIN and MAX a NaN is beyond all numbers, the first of two
 * stays, and -0.0 is less than 0.0. Logical ops, and all of bool, give 1 or 0. A product of complex numbers is
 * (ac - bd) + (ad + bc)i, whatever a, b, c and d are. Of MINLOC and MAXLOC elements are pairs, with a value in
 * front and an int64_t at byte OP_INDEX_AT; of values of which none is the lesser the smallest index counts.
 * No product is fused with a sum: an element has the same bits wherever it stands in an array.
 */
#ifndef TEAM_OP_H
#define TEAM_OP_H

#include <stddef.h>
#include <stdint.h>

#include "sharedmem.h"

#define OP_PAIR_BYTES 16
#define OP_INDEX_AT   8

/*
 * Sets each of n elements at `to` to left op right. to may be left, or right, or both; else they do not
 * overlap. None need be aligned. Pure.
 */
typedef void op_kernel(void *to, const void *left, const void *right, size_t n);

/* The kernel, or NULL where there is no such dtype or op, or the op makes no sense for it. */
op_kernel *op_find(int32_t dtype, int32_t op);

/*
 * What op makes of elements that are combined with no others: the kernel to call, in place, with them as both
 * operands. NULL: they stay as they are; so of all ops but those that give 1 or 0.
 */
op_kernel *op_find_alone(int32_t dtype, int32_t op);

/* How many bytes an element has; 0 where op_find() says NULL. */
size_t op_element_bytes(int32_t dtype, int32_t op);

/*
 * Why there is no kernel, and what to give instead: kind USAGE, EINVAL. call: the name that the message begins
 * with.
 */
void op_explain(const char *call, int32_t dtype, int32_t op, sharedmem_error *error);

#endif
