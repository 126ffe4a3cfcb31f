#include "run/crew.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/flush.h"
#include "host/clock.h"
#include "memory/member.h"
#include "run/crew_errors.h"
#include "run/placement.h"
#include "team/printed.h"

int crew_open(struct crew *crew, const struct doorbell *doorbell)
{
    crew->doorbell = doorbell;
    if (supervise_init(&crew->children, crew->team->size, doorbell != NULL ? doorbell->fd : -1) != 0)
        return error_set(crew->error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM, "%s: no memory for %u workers",
                         crew->call, crew->team->size);
    crew->plan = placement_plan(crew->team->size);
    crew->team->is_crowded = crew->plan != NULL && (uint32_t)crew->plan->n_ranks < crew->team->size;
    crew->self = member_my_id;
    return 0;
}

bool crew_runs(const struct crew *crew)
{
    return crew->children.n_running > 0;
}

void crew_end_early(struct crew *crew)
{
    crew->failed = true;
    crew->kill_at_ns = clock_monotonic_ns() + CREW_GRACE_NS;
    team_stop(crew->team);
    /* Those that wait for each other shall see it at once, and leave by themselves. */
    member_wake_sleepers();
}

void crew_notice_failure(struct crew *crew)
{
    const sharedmem_error *first = team_first_error(crew->team);

    if (crew->failed || first == NULL)
        return;
    *crew->error = *first;
    crew_end_early(crew);
}

static void worker_ended(const struct supervise_child *child, void *argument)
{
    struct crew *crew = argument;
    const struct team_rank_shared *rank = &crew->team->ranks[child->rank];

    /* A worker's error may lie in the team already, when another's end is seen: then it was first. */
    crew_notice_failure(crew);
    /* acquire: pairs with crew_leave(): from here on the master sees all that this worker did. */
    if (crew->failed || atomic_load_explicit(&rank->left, memory_order_acquire) != 0)
        return;
    crew_death_error(crew->error, child, rank);
    crew_end_early(crew);
}

void crew_watch(struct crew *crew, uint64_t timeout_ns)
{
    uint64_t now;

    if (crew->failed) {
        now = clock_monotonic_ns();
        if (now >= crew->kill_at_ns)
            supervise_signal(&crew->children, SIGKILL);
        else if (crew->kill_at_ns - now < timeout_ns)
            timeout_ns = crew->kill_at_ns - now;
    }
    if (supervise_wait(&crew->children, timeout_ns, worker_ended, crew))
        doorbell_clear(crew->doorbell);
    crew_notice_failure(crew);
}

void crew_check_end(struct crew *crew)
{
    if (crew->failed || !team_is_stopping(crew->team))
        return;
    error_set(crew->error, SHAREDMEM_ERROR_DEADLOCK, ECANCELED,
              "%s: a worker is gone while others waited for it", crew->call);
    crew_end_early(crew);
}

/* Why worker next_rank could not be started, by errno; and what helps. */
static void refused(struct crew *crew)
{
    const char *hint = errno == EAGAIN
                           ? "; raise ulimit -u or the job's limit of processes, or use fewer workers by .np"
                           : "";
    int code = errno;
    size_t length;

    error_system(crew->error, "%s: cannot start worker %u of %u", crew->call, crew->next_rank,
                 crew->team->size);
    length = strlen(crew->error->message);
    snprintf(crew->error->message + length, sizeof crew->error->message - length, "%s", hint);
    errno = code;
}

static int start_next(struct crew *crew)
{
    crew->next_member = member_reserve();
    if (crew->next_member != 0) {
        atomic_store_explicit(&crew->team->ranks[crew->next_rank].member, crew->next_member,
                              memory_order_release);
        if (supervise_fork(&crew->children, crew->next_rank, crew->next_member, crew_worker, crew) == 0)
            return 0;
        refused(crew);
        member_release(crew->next_member);
        return -1;
    }
    refused(crew);
    return -1;
}

/* Nobody will see a result any more, and nobody needs to end well. */
static void end_at_once(struct crew *crew)
{
    crew_end_early(crew);
    supervise_signal(&crew->children, SIGKILL);
    while (crew_runs(crew))
        crew_watch(crew, CREW_GRACE_NS);
}

void crew_close(struct crew *crew)
{
    int saved_errno = errno;

    if (crew_runs(crew))
        end_at_once(crew);
    supervise_fini(&crew->children);
    if (crew->failed)
        printed_forget_workers();
    binding_plan_destroy(crew->plan);
    crew->plan = NULL;
    errno = saved_errno;
}

int crew_start(struct crew *crew, uint32_t first)
{
    int result = 0;
    bool held;

    crash_prepare();
    held = flush_before_fork();
    for (crew->next_rank = first; crew->next_rank < crew->team->size && result == 0; crew->next_rank++)
        result = start_next(crew);
    flush_after_fork(held);
    if (result != 0)
        crew_close(crew);
    return result;
}
