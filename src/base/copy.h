/*
 * copy.h: copying what another processor has just written, or will read next.
 *
 * There memcpy(3) can be ten times slower than plain loads and stores: from some 2 KiB on, and up to the
 * size of a cache, it is one instruction on newer processors (rep movsb), which some of them do badly where
 * the lines lie in another's cache.
 */
#ifndef BASE_COPY_H
#define BASE_COPY_H

#include <stddef.h>

/* As memcpy(3): the two don't overlap, and may be NULL where bytes is 0. */
void copy_far(void *to, const void *from, size_t bytes);

#endif
