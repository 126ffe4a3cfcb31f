#include "run/stop.h"

#include <stdatomic.h>

#include "base/each_fork.h"

static _Atomic uint32_t n_stops;
static _Thread_local struct team_shared *meant __attribute__((tls_model("initial-exec")));

uint32_t stop_count(void)
{
    /* relaxed: it orders nothing. */
    return atomic_load_explicit(&n_stops, memory_order_relaxed);
}

bool stop_is_told(const struct team_shared *team, uint32_t stops_at_start, const struct team_place *outer)
{
    if (team_is_stopped(team) || stop_count() != stops_at_start)
        return true;
    return outer != NULL && team_root(outer->team) != team && !team_root(outer->team)->is_job &&
           team_is_stopped(outer->team);
}

EACH_FORK struct team_shared *stop_enter(struct team_shared *team)
{
    struct team_shared *before = meant;

    meant = team;
    return before;
}

void stop_leave(struct team_shared *before)
{
    meant = before;
}

void sharedmem_stop(void)
{
    struct team_place *place = team_here();

    if (meant != NULL)
        team_stop_quietly(meant);
    else if (place != NULL && !team_root(place->team)->is_job)
        team_stop_quietly(place->team);
    else
        atomic_fetch_add_explicit(&n_stops, 1, memory_order_relaxed);
}
