/*
 * options.h: reading a struct of options from a caller that was built against another version of the header.
 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <stddef.h>

#include "sharedmem.h"

/*
 * Copies options of from_size bytes into ours of size: what an older caller does not have is zero; what a
 * newer one has beyond ours must be. Returns 0, or -1 where it is not: the caller wants what this library
 * does not know.
 */
int options_read(void *options, size_t size, const void *from, size_t from_size);

/* The error for that: E2BIG, named. Returns -1. */
int options_unknown(sharedmem_error *error, const char *call);

#endif
