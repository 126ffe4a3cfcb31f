/*
 * parse.h: strict readers of numbers from text that people write. Blanks around the number are fine; a sign,
 * anything behind it, overflow or nothing at all is an error.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdint.h>

/* Reads a whole decimal number from min to max, min not negative. Returns 0, or -1 and leaves *value. */
int parse_int(const char *text, long min, long max, long *value);

/*
 * Reads a size: a whole number, then nothing, K, M, G or T (either case, a B or iB may follow), powers of
 * 1024.
 */
int parse_size(const char *text, uint64_t *value);

#endif
