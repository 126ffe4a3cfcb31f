/*
 * ordered.h: turns. Whoever wants one has a ticket, in a map its item, else round * size + rank, and enters
 * when no rank can come any more with a smaller one.
 *
 * Each rank publishes its floor: it will not enter with a ticket below that. Beginning item i is a floor of
 * i, leaving the region a floor above its ticket, ending the highest floor there is. So an item that skips
 * the region blocks nobody, and a map without ordered regions pays one store an item.
 *
 * The invariant: a rank is in the region only while all others' floors are at or above its ticket; tickets
 * are unique, floors only rise.
 */
#ifndef TEAM_ORDERED_H
#define TEAM_ORDERED_H

#include "team/team.h"

/* The floor of a rank that has ended. */
#define ORDERED_NO_MORE UINT64_MAX

/* Raises rank's floor; wakes those who wait for that. */
void ordered_set_floor(struct team_shared *team, uint32_t rank, uint64_t floor);

/*
 * Waits for this place's turn. Returns 0, or -1 with errno EPERM (it has had it: this item's, or it is in it
 * now) or
 * ECANCELED (the team has failed; a worker ends instead).
 */
int ordered_enter(struct team_place *place, const char *where);

/* Ends the turn. */
void ordered_leave(struct team_place *place);

#endif
