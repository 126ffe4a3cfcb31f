/* text.h: what is done to text before a person reads it. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdint.h>

/*
 * Makes text one line, whatever names and values of users went into it: line breaks at its end go, others, and tabs,
 * are blanks; other characters that a terminal would obey are question marks.
 */
void text_one_line(char *text);

/* Copies the end of text, as much as fits into size bytes with its 0, and clears the rest. NULL is "". */
void text_copy_end(char *to, size_t size, const char *text);

/* A size as a person reads it, never more than it is: "100 bytes", "1.5 GiB", "22 MiB". Returns text. */
#define TEXT_BYTES_SIZE 24
const char *text_bytes(char text[TEXT_BYTES_SIZE], uint64_t bytes);

/* Numbers that rise as a person writes them: "0-3, 7". */
struct text_ranges {
    char text[240]; /* "..." at its end where not all fit */
    unsigned n;     /* how many numbers */
    unsigned first; /* of the last run */
    unsigned last;
    unsigned begin; /* where the last run begins in text */
    bool is_full;
};

void text_ranges_begin(struct text_ranges *ranges);

/* Adds a number above all those before. */
void text_ranges_add(struct text_ranges *ranges, unsigned number);

/* All numbers below n whose bit is set: of number k bit k % 64 of word k / 64. */
void text_ranges_of_set(struct text_ranges *ranges, const uint64_t *set, unsigned n);

/* No longer word is compared. */
#define TEXT_DISTANCE_BYTES 32

/*
 * How many letters must be changed, added, dropped or swapped with the next to make one word of the other;
 * both are cut to TEXT_DISTANCE_BYTES.
 */
int text_distance(const char *word, const char *other);

#endif
