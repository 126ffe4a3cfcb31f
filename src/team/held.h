/*
 * held.h: checking mode for locks: where the calling thread took those that it holds, and that nobody takes
 * them in an order in which two could wait for each other for ever (lock_order.h). With checking off all of it
 * does nothing, and the short ways past it are open.
 */
#ifndef TEAM_HELD_H
#define TEAM_HELD_H

#include <stdbool.h>
#include <stddef.h>

#include "memory/lock.h"
#include "team/team.h"

/*
 * This member is about to wait for the lock, a region's or a mutex, for as long as it takes: warns where others
 * take those that it holds in another order.
 */
void held_wants(const struct lock_shared *lock, const char *where);

/* It has it. Nobody has to say that it is given back: the lock itself tells. */
void held_took(const struct lock_shared *lock, const char *where);

/*
 * Writes one lock that this thread has taken as a rank in place, and still holds: what, and where. Returns
 * whether there is one.
 */
bool held_describe(const struct team_place *place, char *text, size_t size);

#endif
