/*
 * barrier.h: all ranks of a team meet.
 *
 * Up to BARRIER_FLAGS_MAX ranks each says on its own line how many barriers it has come to and watches the
 * others' lines; more ranks count their arrivals in one word, and the last one releases them.
 */
#ifndef TEAM_BARRIER_H
#define TEAM_BARRIER_H

#include "team/team.h"

#define BARRIER_FLAGS_MAX 4u

/*
 * Meets the others; what each did before is seen by all after it. Returns 0, or -1 with errno ECANCELED where
 * the team has failed, which it does if a rank is gone that will never come (a worker ends instead).
 */
int barrier_meet(struct team_place *place, const char *where);

/* What the last one to come does for all. */
typedef void barrier_finish(struct team_shared *team, const void *argument);

/*
 * As barrier_meet(), but in a team of more than BARRIER_FLAGS_MAX the rank that comes last calls
 * finish(team, argument) before it lets the others go, and all see what that did.
 * Returns 1 then; 0 where the others met without it: the team is small, or the last one died. -1 as above.
 */
int barrier_meet_and(struct team_place *place, const char *where, barrier_finish *finish,
                     const void *argument);

/*
 * The two halves of a barrier: this rank has come, which does not block; and the wait until all have, which returns
 * as barrier_meet(). Between them place->has_arrived holds, and the rank comes to no other barrier of this team.
 */
void barrier_arrive(struct team_place *place);
int barrier_wait(struct team_place *place, const char *where);

struct text_ranges;

/* The ranks, by their numbers in the outermost team, that others wait for in a barrier of team; none where nobody is. */
void barrier_list_missing(const struct team_shared *team, struct text_ranges *missing);

/* For calls that may not be made between the halves: an uncaught usage error, -1 with errno EPERM. */
int barrier_refuse(const char *call, const char *where);

/* The number of the barrier that rank in place comes to next. It wraps; even and odd take turns. */
static inline uint32_t barrier_next(const struct team_place *place)
{
    /* relaxed: its own. */
    return atomic_load_explicit(&place->team->ranks[place->rank].arrived, memory_order_relaxed) + 1;
}

#endif
