/*
 * shortage.h: whether a process ended because memory had run out, as far as that can be told: the system says
 * it to nobody. It kills with SIGKILL, and counts that; or a page of shared memory cannot be had, and that is a
 * SIGBUS at its address.
 */
#ifndef TEAM_SHORTAGE_H
#define TEAM_SHORTAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "host/crash.h"
#include "host/process.h"

/*
 * Before children are started: kills that are counted from then on may be of one of them. It counts at most once
 * a second, since that takes longer than starting one.
 */
void shortage_note(void);

/*
 * Writes into text, to be put behind "was ended by SIGKILL", that it was very likely that, with the sizes and
 * limits of now and the most that the process had: ", very likely because memory ran out: ...". crash: what the
 * process left behind. NULL: it can leave nothing, and of a SIGBUS no more is said than that it may be that.
 * Returns whether it very likely was; else text is "" or that it may be.
 */
bool shortage_explains(const struct process_end *end, const struct crash_shared *crash, char *text,
                       size_t size);

#endif
