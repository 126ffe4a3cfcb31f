/* text.h: what is done to text before a person reads it. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>

/*
 * Makes text one line, whatever names and values of users went into it: line breaks at its end go, others are
 * blanks.
 */
void text_one_line(char *text);

/* Copies the end of text, as much as fits into size bytes with its 0, and clears the rest. NULL is "". */
void text_copy_end(char *to, size_t size, const char *text);

#endif
