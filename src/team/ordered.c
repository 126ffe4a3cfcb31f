#include "team/ordered.h"

#include <errno.h>

#include "base/each_fork.h"
#include "base/fault.h"
#include "memory/wait.h"

static uint64_t floor_of(const struct team_shared *team, uint32_t rank)
{
    /* acquire: pairs with the release below: what was done in an earlier turn is seen in a later one. */
    return atomic_load_explicit(&team->ranks[rank].floor, memory_order_acquire);
}

void ordered_wake(struct team_shared *team, uint32_t rank)
{
    wait_wake(wait_low_half(&team->ranks[rank].floor), &team->ranks[rank].floor_sleepers);
}

/*
 * Rank is gone, and its floor stays where it is. Who ended well says so in the outermost team only: of the others
 * one that waits for it says it here. One that died is missed.
 */
static void pass_over(const struct team_place *place, uint32_t rank, const char *where)
{
    if (place->root != NULL && team_left(place->team, rank) == TEAM_LEFT)
        ordered_set_floor(place->team, rank, ORDERED_NO_MORE);
    else
        team_miss(place, rank, "its turn in the ordered region", where);
}

/* Waits until rank's floor has come to ticket, or the team fails. */
static void wait_for_floor(struct team_place *place, uint32_t rank, uint64_t ticket, const char *where)
{
    struct team_shared *team = place->team;
    struct team_rank_shared *other = &team->ranks[rank];
    struct wait wait;
    uint64_t floor;

    if (team->crowd == 0)
        WAIT_SPIN_UNTIL(floor_of(team, rank) >= ticket);
    wait_begin_spun(&wait, WAIT_ORDERED, where, team_waker(team, rank));
    /* A turn on the processor for each that shares it: then it is another one's, elsewhere, and may take long. */
    if (team->crowd > 0)
        wait_limit_yields(&wait, team->crowd);
    while ((floor = floor_of(team, rank)) < ticket && !team_is_stopping(team)) {
        if (wait_pause(&wait) ||
            wait_park(&wait, wait_low_half(&other->floor), (uint32_t)floor, &other->floor_sleepers))
            continue;
        /* The floor again after the look: a rank raises it before it leaves. */
        if (!team->is_mended && team_rank_is_gone(team, rank) && floor_of(team, rank) < ticket)
            pass_over(place, rank, where);
        wait_for(&wait, team_waker(team, rank));
    }
    wait_end(&wait);
}

/*
 * The rank whose turn comes last before ticket, or size where there is none. Those before it have then mostly
 * been through too, and each turn wakes one waiter, not all.
 */
static uint32_t last_before(const struct team_shared *team, uint32_t self, uint64_t ticket)
{
    uint32_t last = team->size;
    uint64_t highest = 0;

    for (uint32_t rank = 0; rank < team->size; rank++) {
        uint64_t floor = floor_of(team, rank);

        if (rank != self && floor < ticket && (last == team->size || floor > highest)) {
            last = rank;
            highest = floor;
        }
    }
    return last;
}

/*
 * Whether whoever was in the region last has left word that it is ticket's turn. That is one line to look at
 * instead of one a rank; where items skip the region nobody leaves word, and the floors tell.
 */
static bool has_passed(const struct team_shared *team, uint64_t ticket)
{
    /* acquire: pairs with the release in ordered_leave(). */
    return atomic_load_explicit(&team->passed, memory_order_acquire) >= ticket;
}

/*
 * In a loop that has dealt this rank no item yet that is one below the loop's first, and below its floor: it
 * is refused.
 */
static uint64_t ticket_of(const struct team_place *place)
{
    const struct team_shared *team = place->team;

    if (team->is_map)
        return atomic_load_explicit(&team->ranks[place->rank].item, memory_order_relaxed);
    if (place->loop != NULL)
        return place->loop->first_ticket + place->loop->next - 1;
    return floor_of(team, place->rank);
}

/* Whether this item was in a region already; the floor tells where it is not kept until the item is done. */
static bool has_been_in(const struct team_place *place, uint64_t ticket)
{
    return floor_of(place->team, place->rank) > ticket ||
           (place->team->is_mended && place->has_ticket && place->ticket == ticket);
}

int ordered_enter(struct team_place *place, const char *where)
{
    struct team_shared *team = place->team;
    uint64_t ticket = ticket_of(place);
    uint32_t before = team->size;

    if (place->in_ordered || has_been_in(place, ticket)) {
        errno = EPERM;
        return -1;
    }
    while (!has_passed(team, ticket) && (before = last_before(team, place->rank, ticket)) < team->size &&
           !team_is_stopping(team)) {
        atomic_store_explicit(&team->has_ordered, 1, memory_order_relaxed);
        FAULT_POINT();
        wait_for_floor(place, before, ticket, where);
    }
    if (before < team->size && !has_passed(team, ticket))
        return team_cancelled(place);
    place->in_ordered = true;
    place->ordered_where = where;
    place->ticket = ticket;
    place->has_ticket = true;
    FAULT_POINT();
    return 0;
}

void ordered_leave(struct team_place *place)
{
    struct team_shared *team = place->team;
    uint64_t ticket = place->ticket;

    place->in_ordered = false;
    /* The item may fail yet, and enter again in another try: its turn is over when it is done. */
    if (team->is_mended)
        return;
    /*
     * Only who is in the region writes this, so that it only rises. Before the floor, whose rise wakes the
     * next one.
     */
    atomic_store_explicit(&team->passed, ticket + 1, memory_order_release);
    FAULT_POINT();
    ordered_set_floor(team, place->rank,
                      team->is_map || place->loop != NULL ? ticket + 1 : ticket + team->size);
}

uint64_t ordered_next_block(const struct team_place *place)
{
    return ((floor_of(place->team, place->rank) - place->rank) / ORDERED_BLOCK + 1) * ORDERED_BLOCK;
}

/*
 * The floor first: who sees that a rank has left must not find it in the way of a turn that will never come.
 */
EACH_FORK void ordered_say_left(struct team_shared *team, uint32_t rank, enum team_left how)
{
    ordered_set_floor(team, rank, ORDERED_NO_MORE);
    FAULT_POINT();
    /* release: who sees it sees all that this rank did. */
    atomic_store_explicit(&team->ranks[rank].left, how, memory_order_release);
}
