/*
 * printed.h: what is printed within a region comes out before what the next member prints in its own, and in
 * one piece.
 *
 * For that stdout is flushed at the region's end. Under the launcher each rank prints into a pipe of its own,
 * and what comes first out of many pipes is not said: so the rank then waits until the launcher has taken all
 * of it. A rank that has never printed pays nothing for it.
 */
#ifndef TEAM_PRINTED_H
#define TEAM_PRINTED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>

/*
 * This process has joined its job: notes which of its files are the launcher's pipes, and from now on prints
 * each line to them as it ends.
 */
void printed_joined(void);

/*
 * A region has begun, in this process: what it prints from now on comes out without waiting for a line's end.
 */
void printed_begin(void);

/* Workers of this process are gone, maybe from within regions: only its own count from now on. */
void printed_forget_workers(void);

/* At its end, still within it. Blocks as printing does. Keeps errno. */
void printed_settle(void);

/* In the rank's claim, where the launcher looks; NULL where it need not. */
extern _Atomic uint64_t *printed_regions __attribute__((visibility("hidden")));

/* Whether the launcher is told of regions: else printed_begin() has nothing to do. */
static inline bool printed_is_told(void)
{
    return printed_regions != NULL;
}

/* Whether stdout may hold back what was printed: else, and where nobody is told, nor has printed_settle(). */
static inline bool printed_is_pending(void)
{
#if defined(__GLIBC__) && !defined(__UCLIBC__)
    /* As __fpending() has it, which is a call; a wide stream is left to that. */
    return stdout->_IO_write_ptr != stdout->_IO_write_base || stdout->_mode > 0;
#else
    return __fpending(stdout) > 0;
#endif
}

#endif
