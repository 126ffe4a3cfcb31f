/* stop.h: sharedmem_stop(), as the calls that it stops see it. */
#ifndef RUN_STOP_H
#define RUN_STOP_H

#include <stdbool.h>
#include <stdint.h>

#include "team/team.h"

/*
 * How often this process was told to stop all that it runs; who sees it change stops. A map that begins
 * afterwards is not meant.
 */
uint32_t stop_count(void);

/*
 * Whether a call of this thread is to stop: it was told so as team, which does the call's work; or the
 * process was, since stop_count() gave stops_at_start; or what the call is a part of: outer, the thread's
 * place in another team, or NULL.
 */
bool stop_is_told(const struct team_shared *team, uint32_t stops_at_start, const struct team_place *outer);

/*
 * Until stop_leave(), sharedmem_stop() in this thread means team: the master calls a function of the user.
 * Returns what it meant until now.
 */
struct team_shared *stop_enter(struct team_shared *team);
void stop_leave(struct team_shared *before);

#endif
