/* Workers that are forked for one call: they see the caller's memory as of then, and end with it. */
#include <signal.h>
#include <stdlib.h>

#include "base/each_fork.h"
#include "memory/member.h"
#include "run/placement.h"
#include "run/worker.h"

static int open_room(struct crew *crew)
{
    return supervise_init(&crew->children, crew->team->size,
                          crew->doorbell != NULL ? crew->doorbell->fd : -1);
}

/* A worker's whole life. */
EACH_FORK static void live(void *argument)
{
    struct crew *crew = argument;

    /* First of all: where the system has started it on another's processor that one waits meanwhile. */
    if (!crew->is_in_place && !crew->binds_late)
        placement_apply(crew->plan, crew->next_rank);
    worker_be_born(crew, crew->next_member);
    supervise_forget(&crew->children);
    worker_do(crew, crew->next_rank);
    worker_leave(crew, team_is_stopping(crew->team) ? EXIT_FAILURE : EXIT_SUCCESS);
}

static int start(struct crew *crew)
{
    crew->next_member = member_reserve();
    if (crew->next_member == 0)
        return -1;
    atomic_store_explicit(&crew->team->ranks[crew->next_rank].member, crew->next_member,
                          memory_order_release);
    if (supervise_fork_next(&crew->children, crew->next_rank, crew->next_member, live, crew) == 0) {
        if (!crew->is_in_place && !crew->binds_late)
            placement_hurry(crew->plan, crew->next_rank, crew->children.newest);
        return 0;
    }
    member_release(crew->next_member);
    return -1;
}

static void ended(const struct supervise_child *child, void *argument)
{
    crew_worker_ended(argument, child->rank, child);
}

static void wait_for_any(struct crew *crew, uint64_t timeout_ns)
{
    if (supervise_wait(&crew->children, timeout_ns, ended, crew))
        doorbell_clear(crew->doorbell);
}

static void kill_all(struct crew *crew)
{
    supervise_signal(&crew->children, SIGKILL);
}

static void close_room(struct crew *crew)
{
    supervise_fini(&crew->children);
}

const struct worker_ops worker_forked = {
    .open = open_room,
    .start = start,
    .wait = wait_for_any,
    .kill = kill_all,
    .close = close_room,
    .is_process = true,
    .forks = true,
};
