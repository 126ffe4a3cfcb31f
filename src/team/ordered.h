/*
 * ordered.h: turns. Whoever wants one has a ticket, and enters when no rank can come any more with a smaller
 * one.
 *
 * Each rank publishes its floor: it will not enter with a ticket below that. Beginning item i is a floor of
 * i, leaving the region a floor above its ticket, ending the highest floor there is. So an item that skips
 * the region blocks nobody, and a map without ordered regions pays one store an item.
 *
 * A ticket is
 *   in a map   the item;
 *   by rank    the floor: at first the rank's number, and the team's size more after each turn;
 *   in a loop  the loop's first ticket and the item. Of a chunk no item's floor is of use to another rank,
 *              whose items are all before the chunk or behind it: the chunk's beginning is one store.
 * A loop's first ticket is the beginning of the next block of ORDERED_BLOCK tickets, and behind its last one
 * each rank's number counts again. So loops and turns by rank follow each other, and all ranks come to the
 * same numbers by themselves, though one has taken turns before the loop that another left out.
 *
 * The invariant: a rank is in the region only while all others' floors are at or above its ticket; tickets
 * are unique, floors only rise.
 * Unique between loops: as long as ranks that have taken different numbers of turns since the last loop have
 * not used up the block with them. Where one has, it and the others take different tickets for the first of
 * the next loop, and its beginning fails (loop.c).
 */
#ifndef TEAM_ORDERED_H
#define TEAM_ORDERED_H

#include "base/fault.h"
#include "team/team.h"

/* More than a team has ranks, so that ranks in one round are mostly in one block. */
#define ORDERED_BLOCK ((uint64_t)1 << 18)

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
 * Waits for this place's turn. Returns 0, or -1 with errno EPERM (it has had it: this item's; or it is in it
 * now; or its loop has dealt it no item yet) or ECANCELED (the team has failed; a worker ends instead).
 */
int ordered_enter(struct team_place *place, const char *where);

/* Ends the turn. */
void ordered_leave(struct team_place *place);

/* The first ticket of a loop that this rank begins now. */
uint64_t ordered_next_block(const struct team_place *place);

/* Rank will do nothing any more: its turns are passed over, and who waits for it elsewhere shall not. */
void ordered_say_left(struct team_shared *team, uint32_t rank, enum team_left how);

#endif
