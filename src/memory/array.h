/* array.h: how new arrays are made. */
#ifndef MEMORY_ARRAY_H
#define MEMORY_ARRAY_H

#include "sharedmem.h"

/*
 * Allocates an array in C order; is_zeroed: all zero. Where it fails it is none, with errno, and what is a
 * usage error has been told.
 */
sharedmem_array array_create(const char *call, int32_t dtype, int32_t ndim, const int64_t *shape,
                             bool is_zeroed);

#endif
