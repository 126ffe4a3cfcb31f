/*
 * line.h: whole lines made of the bytes of one stream, however they come. It reads and writes nothing itself:
 * bytes are given to it, and what is whole it adds to a sink.
 *
 * A line ends after "\n", "\r\n" or "\r". A piece without an end is held back, and so is a line whose "\r" is
 * the last byte so far, for the newline that may follow. All other bytes are as good as any, 0 too. What
 * comes out is what went in, but for labels; and it is the same however the bytes were cut.
 */
#ifndef SMRRUN_LINE_H
#define SMRRUN_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "smrrun/sink.h"

struct line {
    char *held; /* the piece held back, allocated only while there is one */
    size_t n_held;
    size_t size;     /* bytes allocated at held */
    size_t longest;  /* a longer piece is not held back */
    char last;       /* the last byte that was passed on; at first a newline */
    char label[16];  /* what each line begins with; "" for nothing */
    bool is_stamped; /* before the label stands when it was passed on */
};

/* label is cut to size. */
void line_init(struct line *line, size_t longest, const char *label, bool is_stamped);

/*
 * Takes the n next bytes, and passes on what is whole. A piece that grows longer than longest passes as it
 * is, and so does one for which there is no memory. Returns whether anything was passed on: a piece held back
 * is then a new one.
 */
bool line_add(struct line *line, const char *bytes, size_t n, struct sink *to);

/* Whether a piece is held back; and whether it only lacks the newline that may follow its "\r". */
bool line_is_held(const struct line *line);
bool line_is_held_for_newline(const struct line *line);

/* Passes on the piece held back, if there is one. What follows then is the rest of its line. */
void line_pass(struct line *line, struct sink *to);

/* The stream is at its end: as line_pass(), and where lines have labels the last one gets a newline. */
void line_end(struct line *line, struct sink *to);

/* Frees the piece held back. */
void line_fini(struct line *line);

#endif
