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

#include "base/fault.h"
#include "team/team.h"

/* The floor of a rank that has ended. */
#define ORDERED_NO_MORE UINT64_MAX

/* Wakes those who wait for rank's floor. */
void ordered_wake(struct team_shared *team, uint32_t rank);

/* Raises rank's floor; wakes those who wait for that. */
static inline void ordered_set_floor(struct team_shared *team, uint32_t rank, uint64_t floor)
{
    /*
     * release: pairs with the acquire of those who wait: what was done in an earlier turn is seen in a later
     * one.
     */
    atomic_store_explicit(&team->ranks[rank].floor, floor, memory_order_release);
    FAULT_POINT();
    /*
     * In a map without ordered regions that is all. Who sees has_ordered late wakes a first sleeper a period
     * late.
     */
    if (atomic_load_explicit(&team->has_ordered, memory_order_relaxed) != 0)
        ordered_wake(team, rank);
}

/*
 * Waits for this place's turn. Returns 0, or -1 with errno EPERM (it has had it: this item's, or it is in it
 * now) or
 * ECANCELED (the team has failed; a worker ends instead).
 */
int ordered_enter(struct team_place *place, const char *where);

/* Ends the turn. */
void ordered_leave(struct team_place *place);

/* Rank will do nothing any more: its turns are passed over, and who waits for it elsewhere shall not. */
void ordered_say_left(struct team_shared *team, uint32_t rank, enum team_left how);

#endif
