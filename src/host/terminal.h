/* terminal.h: the terminal that a program talks to, by one of its descriptors. */
#ifndef HOST_TERMINAL_H
#define HOST_TERMINAL_H

#include <stdbool.h>

/* What is taken for its width where nobody says. */
#define TERMINAL_COLUMNS 80

/* Whether fd is one. */
bool terminal_is(int fd);

/* Its width: of its window, else by COLUMNS, else TERMINAL_COLUMNS. */
int terminal_columns(int fd);

/*
 * Whether what is written to fd now, a line of less than 4 KiB, would go out at once: not to a terminal that
 * is stopped by Ctrl-S, nor to one from the background, nor to a pipe that is full; to a file always. It is a
 * moment's answer: who stops the terminal just between this and the write stops the writer, too.
 */
bool terminal_takes(int fd);

#endif
