/*
 * options.h: reading a struct of options from a caller that was built against another version of the header.
 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <stddef.h>

#include "sharedmem.h"

/*
 * Copies options of from_size bytes into ours of size: what an older caller does not have is zero; what a
 * newer one has beyond ours must be. from NULL gives all zeros.
 * Returns 0, or an errno for options_refused(): EINVAL, from is NULL; E2BIG, the caller wants what this
 * library does not know.
 */
int options_read(void *options, size_t size, const void *from, size_t from_size);

/* Fills error by what options_read() returned for call. Returns 0 where that is 0, else -1. */
int options_refused(int code, const char *call, sharedmem_error *error);

#endif
