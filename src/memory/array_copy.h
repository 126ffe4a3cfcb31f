/* array_copy.h: setting and moving elements. Others allocate them, and say who does which part. */
#ifndef MEMORY_ARRAY_COPY_H
#define MEMORY_ARRAY_COPY_H

#include "sharedmem.h"

/* Sets so many bytes, a multiple of itemsize, to a value of itemsize bytes, again and again. */
void array_fill(char *to, size_t bytes, const void *value, size_t itemsize);

/* Whether value, an element of itemsize bytes, is what fresh pages hold. -0.0 is not that zero. */
bool array_is_zero(const void *value, size_t itemsize);

/*
 * Copies elements begin to end-1, counted in C order, of from to those of to, which has the same dtype and
 * shape. Both are checked, and share no memory. Several may do parts of it at once.
 */
void array_copy(const sharedmem_array *to, const sharedmem_array *from, size_t begin, size_t end);

#endif
