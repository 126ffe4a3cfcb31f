/*
 * sink.h: one of the user's files, mostly stdout or stderr, and what is on its way there. It is gathered, so
 * that many lines are one write(2), and written in the order in which it was added. The file is the user's:
 * its flags stay as they are.
 */
#ifndef SMRRUN_SINK_H
#define SMRRUN_SINK_H

#include <stdbool.h>
#include <stddef.h>

/* Room for the longest that must be one write: a line held back, what was read last, and a label. */
#define SINK_BYTES (2 * 65536 + 128)

struct sink {
    int fd;
    int error;     /* errno of the write that failed; 0: none. From then on what is added is dropped */
    size_t length; /* how much of text is on its way */
    char text[SINK_BYTES];
};

/* The caller keeps fd, and closes it. */
void sink_init(struct sink *sink, int fd);

/* Sees to it that the next n bytes go into one write, where n is at most SINK_BYTES. May write. */
void sink_reserve(struct sink *sink, size_t n);

/* Adds bytes; bytes may be NULL where n is 0. Writes when there is no room. */
void sink_add(struct sink *sink, const char *bytes, size_t n);

/*
 * Writes all. Blocks until it is written or writing has failed, also where the file is in non-blocking mode;
 * a signal handler does not end it. The caller ignores SIGPIPE and SIGXFSZ.
 */
void sink_flush(struct sink *sink);

#endif
