/*
 * array_shape.h: what all calls for arrays ask first: whether these are arrays and shapes, and how large.
 * call is the public call's name, for messages.
 */
#ifndef MEMORY_ARRAY_SHAPE_H
#define MEMORY_ARRAY_SHAPE_H

#include "sharedmem.h"

/* Whether there are arrays of this shape. Returns 0, or -1 with errno EINVAL and error, which may be NULL. */
int array_check_shape(const char *call, int32_t dtype, int32_t ndim, const int64_t *shape,
                      sharedmem_error *error);

/*
 * The same for an array: a program may have made it by hand, or not looked whether it got one. The addresses
 * of its elements can be computed without overflow then.
 */
int array_check(const char *call, const sharedmem_array *a, sharedmem_error *error);

/* Says that error is uncaught. Returns an array that is none, which is what a call that fails returns. */
sharedmem_array array_refuse(const sharedmem_error *error);

/*
 * Makes *a an array of this shape, which is checked, in C order and without data yet; *bytes is what its
 * elements take. Returns false where that is more than any memory has. A dimension of 0 counts as 1 in this,
 * as in NumPy, since strides must not overflow either.
 */
bool array_lay_out(sharedmem_array *a, int32_t dtype, int32_t ndim, const int64_t *shape, size_t *bytes);

/* Whether an array, which is checked, has no elements. */
bool array_is_empty(const sharedmem_array *a);

/*
 * The bytes of an array lie from data + *low to data + *high - 1; both are 0 where it is empty. Returns false
 * where these overflow.
 */
bool array_find_extent(const sharedmem_array *a, int64_t *low, int64_t *high);

/* "float64"; dtype is one. */
const char *array_dtype_name(int32_t dtype);

/* A shape as a person writes it: "3 x 4", or "scalar". Returns text. */
#define ARRAY_TEXT_BYTES 192
const char *array_shape_text(char text[ARRAY_TEXT_BYTES], int32_t ndim, const int64_t *shape);

#endif
