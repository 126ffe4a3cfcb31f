/*
 * progress.h: how far a map is, for a person: the text, and when it is written. Maps call what their caller
 * gave as .progress, or sharedmem_progress_bar() where progress_is_wanted().
 */
#ifndef RUN_PROGRESS_H
#define RUN_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "sharedmem.h"

/*
 * Whether a map of the calling thread is to show a bar that its caller did not ask for: SHAREDMEM_PROGRESS=1,
 * and it is not inside of another map, nor in a rank other than 0. Malformed values are warned of once.
 */
bool progress_is_wanted(void);

/*
 * Writes one line, without its end, into text, cut to size. Pure.
 * is_terminal: with a bar, and at most columns wide; else a sentence that tells of which map it is.
 * Returns its length.
 */
size_t progress_render(char *text, size_t size, const sharedmem_progress *progress, int columns,
                       bool is_terminal);

#endif
