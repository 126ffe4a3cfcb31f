/* The workers' side of crew.h. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "memory/member.h"
#include "run/crew.h"
#include "run/placement.h"
#include "team/ordered.h"

/* The crew that this process is a worker of, for leaving from within the user's code. */
static struct crew *my_crew;

static struct team_rank_shared *my_rank(const struct crew *crew)
{
    return &crew->team->ranks[crew->place.rank];
}

/*
 * What the program printed is flushed here, since _exit() does not: exit() would run the program's exit
 * handlers once more for each worker.
 */
_Noreturn void crew_leave(struct crew *crew, int status)
{
    fflush(NULL);
    ordered_say_left(crew->team, crew->place.rank, TEAM_LEFT);
    _exit(status);
}

void crew_fail(struct crew *crew, sharedmem_error *error)
{
    error->rank = (int32_t)crew->place.rank;
    error->pid = getpid();
    team_fail(crew->team, crew->place.rank, error);
}

/* A fork drops membership (member.c), so that who it is tells. */
void crew_check_self(const struct crew *crew)
{
    if (member_my_id != crew->self)
        _exit(EXIT_FAILURE);
}

/* An uncaught error within the user's code: what it works on fails with it. */
static void leave_by_error(const sharedmem_error *error)
{
    sharedmem_error mine = *error;

    mine.item = atomic_load_explicit(&my_rank(my_crew)->item, memory_order_relaxed);
    crew_fail(my_crew, &mine);
    crew_leave(my_crew, EXIT_FAILURE);
}

/* The team has failed while this worker waited for it. */
static void leave_cancelled(void)
{
    crew_leave(my_crew, EXIT_FAILURE);
}

static void start(struct crew *crew)
{
    /* The slot was taken away: the master is gone, and this process is about to be. */
    if (member_become(crew->next_member) != 0)
        _exit(EXIT_FAILURE);
    my_crew = crew;
    crew->self = member_my_id;
    crew->place = (struct team_place){.team = crew->team, .rank = crew->next_rank, .leave = leave_cancelled};
    team_enter_process(&crew->place);
    error_set_leave(leave_by_error);
    crash_install(&my_rank(crew)->crash);
    error_drop_fail_message();
    supervise_forget(&crew->children);
    placement_apply(crew->plan, crew->place.rank);
    FAULT_POINT();
}

void crew_worker(void *argument)
{
    struct crew *crew = argument;

    start(crew);
    crew->work(crew);
    crew_leave(crew, team_is_stopping(crew->team) ? EXIT_FAILURE : EXIT_SUCCESS);
}
