/*
 * parse.h: strict readers of numbers from text that people write. Blanks around the number are fine; a sign,
 * anything behind it, overflow or nothing at all is an error. All return 0, or -1 and leave the value.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdint.h>

/* Reads a whole decimal number from min to max, min not negative. */
int parse_int(const char *text, long min, long max, long *value);

/*
 * Reads a size: a whole number, then nothing, K, M, G or T (either case, a B or iB may follow), powers of
 * 1024.
 */
int parse_size(const char *text, uint64_t *value);

/* The longest time that parse_duration() takes: 292 years. A moment and such a time can be added up. */
#define PARSE_DURATION_MAX_NS ((uint64_t)INT64_MAX)

/*
 * Reads a time: a whole number, then nothing or s (seconds), ms, m, h or d; or h:mm:ss or m:ss, where what
 * stands behind a colon is less than 60. *ns: in nanoseconds.
 */
int parse_duration(const char *text, uint64_t *ns);

/*
 * Reads a list of counts as Slurm has it, "2(x3),1": twos for three hosts, one for the next. n_hosts: set to how many
 * it is for. Returns the count of host number `host`, from 1 to max; or 0: the list is malformed, or has no such host.
 */
int parse_list_entry(const char *text, long host, int max, int *n_hosts);

#endif
