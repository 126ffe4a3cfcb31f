/* sync.h: what mutexes and counters have in common: where they may lie, how long one waits, misuse. */
#ifndef TEAM_SYNC_H
#define TEAM_SYNC_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/segment.h"

/* Whether object lies where other members see it, and its words are each in one piece. */
static inline bool sync_is_placed(const void *object)
{
    return (uintptr_t)object % sizeof(uint64_t) == 0 && segment_contains(object);
}

/*
 * These calls have no sharedmem_error: what was used wrongly is uncaught. call: "mutex", "counter". Returns
 * -1 with errno code, where the handler returns.
 */
int sync_misused(const char *where, int code, const char *call, const char *why);

/* The same for an object that is not placed; EINVAL. type: "sharedmem_mutex". */
int sync_misplaced(const char *where, const char *call, const void *object, const char *type);

/*
 * When a wait of so many seconds, above 0, is over: clock_monotonic_ns(). 0, which is never, where that is so
 * long that nobody would see the end.
 */
uint64_t sync_until(double seconds);

#endif
