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

#endif
