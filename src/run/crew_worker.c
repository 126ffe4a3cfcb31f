/* The workers' side of crew.h and worker.h. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/each_fork.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/flush.h"
#include "host/openmp.h"
#include "memory/heap.h"
#include "memory/member.h"
#include "memory/wait.h"
#include "run/placement.h"
#include "run/stop.h"
#include "run/worker.h"
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
EACH_FORK _Noreturn void worker_leave(struct crew *crew, int status)
{
    flush_all();
    heap_leave();
    ordered_say_left(crew->team, crew->place.rank, TEAM_LEFT);
    _exit(status);
}

static void say_whose(const struct crew *crew, sharedmem_error *error)
{
    error->rank = (int32_t)crew->place.rank;
    error->pid = getpid();
}

void crew_fail(struct crew *crew, sharedmem_error *error)
{
    say_whose(crew, error);
    team_fail(crew->team, crew->place.rank, error);
}

void worker_give_up(struct crew *crew, sharedmem_error *error)
{
    say_whose(crew, error);
    team_give_up(crew->team, crew->place.rank, error);
    if (!crew->kind->is_process)
        return;
    fflush(NULL);
    _exit(EXIT_FAILURE);
}

void crew_end_copy(void)
{
    _exit(EXIT_FAILURE);
}

void worker_fail_uncaught(struct crew *crew, sharedmem_error *error)
{
    error->item = atomic_load_explicit(&my_rank(crew)->item, memory_order_relaxed);
    if (crew->team->is_mended)
        worker_give_up(crew, error);
    else
        crew_fail(crew, error);
}

static void leave_by_error(const sharedmem_error *error)
{
    sharedmem_error mine = *error;

    worker_fail_uncaught(my_crew, &mine);
    worker_leave(my_crew, EXIT_FAILURE);
}

/* The team has failed while this worker waited for it. */
static void leave_cancelled(void)
{
    worker_leave(my_crew, EXIT_FAILURE);
}

EACH_FORK void worker_be_born(struct crew *crew, uint32_t member)
{
    /* The slot was taken away: the master is gone, and this process is about to be. */
    if (member_become(member) != 0)
        _exit(EXIT_FAILURE);
    my_crew = crew;
    member_forget_original();
    /* It may have been forked inside of a function of the user on the master, who waits. */
    stop_enter(NULL);
    wait_forget();
    error_set_leave(leave_by_error);
    error_drop_fail_message();
    FAULT_POINT();
}

/* A parked worker does one call after the other. */
static void use_crash_slot(struct crash_shared *slot)
{
    static pid_t installed_in;

    if (installed_in == getpid()) {
        crash_use(slot);
        return;
    }
    crash_install(slot);
    installed_in = getpid();
}

void worker_take_place(struct crew *crew, uint32_t rank, void (*leave)(void))
{
    crew->place = (struct team_place){
        .team = crew->team,
        .rank = rank,
        .leave = leave,
        .masters_hold = &crew->held,
        .cores = placement_cores(crew->plan),
        .within = crew->within,
    };
}

EACH_FORK void worker_get_ready(struct crew *crew)
{
    crew->is_ready = true;
    if (!crew->kind->is_process)
        return;
    use_crash_slot(&my_rank(crew)->crash);
    openmp_set_threads(crew->n_threads);
}

EACH_FORK void worker_settle(struct crew *crew)
{
    if (!crew->binds_late || atomic_load_explicit(&crew->team->all_started, memory_order_relaxed) == 0)
        return;
    placement_apply(crew->plan, crew->place.rank);
    crew->binds_late = false;
}

EACH_FORK void worker_do(struct crew *crew, uint32_t rank)
{
    my_crew = crew;
    crew->self = member_my_id;
    worker_take_place(crew, rank, leave_cancelled);
    team_enter_process(&crew->place);
    crew->work(crew);
}
