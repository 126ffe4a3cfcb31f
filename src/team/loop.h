/*
 * loop.h: the loops over the ranks of a team, behind sharedmem.h's calls for them. loop.c has the protocol.
 */
#ifndef TEAM_LOOP_H
#define TEAM_LOOP_H

#include "team/team.h"

/*
 * This rank leaves the loop that it is in, if it is in one: what it has not done of its chunk, nobody does.
 */
void loop_leave(struct team_place *place);

#endif
