#include "run/crew.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/flush.h"
#include "host/clock.h"
#include "host/openmp.h"
#include "memory/member.h"
#include "run/calls.h"
#include "run/crew_errors.h"
#include "run/escape.h"
#include "run/placement.h"
#include "run/stop.h"
#include "run/worker.h"
#include "team/printed.h"

int crew_open_doorbell(const struct crew *crew, struct doorbell *doorbell)
{
    if (doorbell_open(doorbell) == 0)
        return 0;
    return error_system(crew->error, "%s: no file descriptor left; raise ulimit -n", crew->call);
}

int crew_open(struct crew *crew, const struct doorbell *doorbell)
{
    crew->doorbell = doorbell->fd >= 0 ? doorbell : NULL;
    crew->self = member_my_id;
    if (crew->kind->is_process)
        crew_note_oom();
    critical_note_held(&crew->held);
    crew->within = crew->pool == NULL ? team_here() : NULL;
    if (crew->kind->open(crew) != 0)
        return error_set(crew->error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM, "%s: no memory for %u workers",
                         crew->call, crew->team->size);
    return 0;
}

void crew_bind(struct crew *crew)
{
    crew->plan = placement_plan(crew->team->size);
    crew->unbound = placement_keep(crew->plan);
    crew->team->crowd = placement_crowd(crew->plan, crew->team->size);
}

bool crew_runs(const struct crew *crew)
{
    return crew->n_running + crew->n_lost > 0;
}

/* Nothing more is begun; what runs has its grace. */
static void begin_end(struct crew *crew)
{
    crew->ending = true;
    crew->n_lost = 0;
    crew->kill_at_ns = clock_monotonic_ns() + CREW_GRACE_NS;
    team_stop(crew->team);
    /* Those that wait for each other shall see it at once, and leave by themselves. */
    member_wake_sleepers();
}

void crew_end_early(struct crew *crew)
{
    crew->failed = true;
    begin_end(crew);
}

void crew_notice_failure(struct crew *crew)
{
    const sharedmem_error *first = team_first_error(crew->team);

    /* What fails because it was stopped is no failure. */
    if (crew->failed || first == NULL || team_is_stopped(crew->team))
        return;
    *crew->error = *first;
    crew_end_early(crew);
}

/* Whether somebody who may has said that the call shall end: within it, around it, or in this process. */
static bool is_told_to_stop(const struct crew *crew)
{
    if (crew->is_apart)
        return team_is_stopped(crew->team);
    return stop_is_told(crew->team, crew->stops_at_start, team_here());
}

static void notice_stop(struct crew *crew)
{
    if (crew->ending || !is_told_to_stop(crew))
        return;
    team_stop_quietly(crew->team);
    begin_end(crew);
}

static void why_lost(const struct crew *crew, uint32_t rank, const struct supervise_child *child,
                     sharedmem_error *error)
{
    const sharedmem_error *given = team_why_given_up(crew->team, rank);

    if (given != NULL)
        *error = *given;
    else
        crew_death_error(error, child, &crew->team->ranks[rank]);
}

void crew_worker_ended(struct crew *crew, uint32_t rank, const struct supervise_child *child)
{
    struct team_rank_shared *ours = &crew->team->ranks[rank];
    sharedmem_error error;

    crew->n_running--;
    if (atomic_load_explicit(&ours->calls, memory_order_relaxed) != 0)
        (child != NULL ? calls_collect : calls_forget)(crew->team, rank);
    /* A worker's error may lie in the team already, when another's end is seen: then it was first. */
    crew_notice_failure(crew);
    /* acquire: pairs with worker_leave(): from here on the master sees all that this worker did. */
    if (crew->ending || atomic_load_explicit(&ours->left, memory_order_acquire) != TEAM_STAYS)
        return;
    why_lost(crew, rank, child, &error);
    if (crew->lost != NULL && crew->lost(crew, rank, &error)) {
        atomic_store_explicit(&ours->left, TEAM_DIED, memory_order_relaxed);
        crew->n_lost++;
        return;
    }
    *crew->error = error;
    crew_end_early(crew);
}

/* Why the next worker, after those that run, could not be started, by errno; and what helps. */
static void refused(struct crew *crew)
{
    const char *hint = "";
    int code = errno;
    size_t length;

    if (code == EAGAIN)
        hint = crew->kind->is_process
                   ? "; raise ulimit -u or the job's limit of processes, or use fewer workers by .np"
                   : "; raise ulimit -u, or ulimit -v, where each thread's stack counts, or use fewer "
                     "workers by .np";
    error_system(crew->error, "%s: cannot start worker %u of %u", crew->call, crew->n_running,
                 crew->team->size);
    length = strlen(crew->error->message);
    snprintf(crew->error->message + length, sizeof crew->error->message - length, "%s", hint);
    errno = code;
}

/* Starts the worker of next_rank. */
static int start_next(struct crew *crew)
{
    if (crew->kind->start(crew) != 0) {
        refused(crew);
        return -1;
    }
    crew->n_running++;
    return 0;
}

/* The worker of a rank that is lost was no good: another one takes its place. */
static void start_lost(struct crew *crew)
{
    bool held = false;

    if (crew->kind->is_process) {
        if (openmp_before_fork(crew->call, crew->error) != 0) {
            crew_end_early(crew);
            return;
        }
        held = flush_before_fork();
    }

    for (uint32_t rank = 0; rank < crew->team->size && crew->n_lost > 0; rank++) {
        if (atomic_load_explicit(&crew->team->ranks[rank].left, memory_order_relaxed) != TEAM_DIED)
            continue;
        crew->n_lost--;
        crew->next_rank = rank;
        team_reopen(crew->team, rank);
        if (start_next(crew) != 0)
            crew_end_early(crew);
    }
    if (crew->kind->is_process)
        flush_after_fork(held);
}

void crew_watch(struct crew *crew, uint64_t timeout_ns)
{
    uint64_t now;

    if (crew->ending && crew->kind->kill != NULL) {
        now = clock_monotonic_ns();
        if (now >= crew->kill_at_ns)
            crew->kind->kill(crew);
        else if (crew->kill_at_ns - now < timeout_ns)
            timeout_ns = crew->kill_at_ns - now;
    }
    crew->kind->wait(crew, timeout_ns);
    crew_notice_failure(crew);
    notice_stop(crew);
    if (crew->n_lost > 0)
        start_lost(crew);
}

void crew_check_end(struct crew *crew)
{
    if (crew->ending || !team_is_stopping(crew->team))
        return;
    if (team_is_stopped(crew->team)) {
        begin_end(crew);
        return;
    }
    error_set(crew->error, SHAREDMEM_ERROR_DEADLOCK, ECANCELED,
              "%s: a worker is gone while others waited for it", crew->call);
    crew_end_early(crew);
}

int crew_result(const struct crew *crew)
{
    if (!crew->failed)
        return crew->ending ? SHAREDMEM_STOPPED : 0;
    errno = ECANCELED;
    return -1;
}

/* Nobody will see a result any more, and nobody needs to end well. */
static void end_at_once(struct crew *crew)
{
    crew_end_early(crew);
    crew->kill_at_ns = 0;
    while (crew_runs(crew))
        crew_watch(crew, CREW_GRACE_NS);
}

void crew_close(struct crew *crew)
{
    int saved_errno = errno;

    if (crew->n_running > 0)
        end_at_once(crew);
    if (crew->kind != NULL)
        crew->kind->close(crew);
    if (crew->ending)
        printed_forget_workers();
    placement_forget(crew->unbound);
    crew->unbound = NULL;
    binding_plan_destroy(crew->plan);
    crew->plan = NULL;
    errno = saved_errno;
}

/*
 * Forks the worker whose place is here, the last: the master is about to sleep. Born there, it is not moved:
 * to move one that runs takes as long as half a fork. The others are left to the system, which starts them on
 * processors that are idle.
 */
static int start_here(struct crew *crew)
{
    int result;

    crew->is_in_place = placement_apply_for_now(crew->plan, crew->next_rank, crew->unbound);
    result = start_next(crew);
    if (crew->is_in_place)
        placement_restore(crew->unbound);
    crew->is_in_place = false;
    return result;
}

/* Starts the workers of ranks first to the last, in such an order that one whose place is here comes last. */
static int start_all(struct crew *crew, uint32_t first)
{
    uint32_t n = crew->team->size - first;
    int64_t here = crew->kind->forks && !crew->binds_late ? placement_rank_here(crew->plan, first, n) : -1;
    uint32_t before = here >= 0 ? (uint32_t)here - first + 1 : 0;

    for (uint32_t i = 0; i < n; i++) {
        bool is_here = here >= 0 && i == n - 1;

        crew->next_rank = first + (before + i) % n;
        if ((is_here ? start_here : start_next)(crew) != 0)
            return -1;
    }
    /* relaxed: nothing hangs on it but when workers bind themselves. */
    atomic_store_explicit(&crew->team->all_started, 1, memory_order_relaxed);
    return 0;
}

int crew_start(struct crew *crew, uint32_t first)
{
    bool held = false;
    int result;

    crew->n_threads = placement_threads(crew->plan, crew->team->size);
    crew->binds_late = crew->kind->forks && crew->team->is_map && crew->team->crowd > 0;
    if (crew->call_copy != NULL)
        memcpy(crew->call_copy, crew, crew->bytes);
    if (crew->kind->forks) {
        if (openmp_before_fork(crew->call, crew->error) != 0)
            return -1;
        crash_prepare();
        error_guard_forks();
        team_guard_forks();
        held = flush_before_fork();
    }
    result = start_all(crew, first);
    if (crew->kind->forks)
        flush_after_fork(held);
    if (result != 0)
        crew_close(crew);
    return result;
}

/* ---- Functions of the user, on the master ---- */

struct user_call {
    sharedmem_function *function;
    size_t i;
    void *result, *context;
    int code;
};

static void call(void *argument)
{
    struct user_call *user = argument;

    user->code = user->function(user->i, user->result, user->context);
}

int crew_call(sharedmem_function *function, size_t i, void *result, void *context, sharedmem_error *error)
{
    struct user_call user = {.function = function, .i = i, .result = result, .context = context};

    if (escape_run(call, &user, error) == ESCAPE_CAME_BACK)
        return user.code;
    return -1;
}
