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

#endif
