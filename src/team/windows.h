/*
 * windows.h: a stream of bytes goes by the team's board, a window of it at a time: who has some of the window
 * puts them, all meet, and who wants some takes them, while the next window is put on the board's other
 * half.
 */
#ifndef TEAM_WINDOWS_H
#define TEAM_WINDOWS_H

#include <stddef.h>

#include "team/team.h"

/* Copies to, or from, half what the calling rank has, or wants, of bytes from to to - 1 of the stream. */
typedef void windows_step(const void *what, char *half, size_t from, size_t to);

struct windows {
    struct team_place *place;
    const char *where;
    size_t bytes; /* of the stream, the same in all ranks */
    /*
     * The same in all ranks: as much as fits into a half, of which its lanes are the steps' business. Less
     * was never faster, though then more is read while more is written: each window is a barrier too.
     */
    size_t window;
    windows_step *put, *take;
    const void *what;
};

/*
 * Passes what comes behind the first `from` bytes. All ranks of a team call it, once the board is up. Each
 * window is a barrier, and the last may still be read by others when it returns. Returns 0 or -1,
 * ECANCELED.
 */
int windows_pass(const struct windows *windows, size_t from);

#endif
