/*
 * escape.h: leaving a function of the user from within it, where no process can end for that: in a worker that
 * is a thread, and in the caller that does the work itself. An uncaught error in an item, or a wait of a team
 * that has failed, goes back to whoever called the item, as if that had thrown it.
 *
 * The user's frames are dropped (longjmp): what they had allocated stays allocated, as in a worker that ends.
 * Regions that they were in are left, and the thread works for the team again that it worked for before.
 */
#ifndef RUN_ESCAPE_H
#define RUN_ESCAPE_H

#include <stdbool.h>

#include "sharedmem.h"

/* How a call of the user's function ended. */
enum escape_end {
    ESCAPE_CAME_BACK, /* by itself */
    ESCAPE_BY_ERROR,  /* by an uncaught error: it is in *error */
    ESCAPE_CANCELLED  /* by escape_cancelled() */
};

/* Calls body(argument), which may be left. Calls may be nested; the innermost one is gone back to. */
enum escape_end escape_run(void (*body)(void *argument), void *argument, sharedmem_error *error);

/*
 * The same; where an uncaught error left body, failed(argument, error) is called before the regions are left:
 * who waits for them then finds that error told already.
 */
enum escape_end escape_run_and(void (*body)(void *argument), void *argument, sharedmem_error *error,
                               void (*failed)(void *argument, sharedmem_error *error));

/* Whether the calling thread is in an escape_run(). */
bool escape_is_possible(void);

/* Goes back from within escape_run(): a team_place's leave. */
void escape_cancelled(void);

#endif
