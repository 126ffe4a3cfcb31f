/* sharedmem_parallel(): one function in all ranks, of which the caller is the first. */
#include <errno.h>
#include <unistd.h>

#include "base/debug.h"
#include "base/error.h"
#include "base/options.h"
#include "host/openmp.h"
#include "memory/budget.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/wait.h"
#include "run/calls.h"
#include "run/crew.h"
#include "run/crew_errors.h"
#include "run/escape.h"
#include "run/placement.h"
#include "run/solo.h"
#include "run/stop.h"
#include "run/worker.h"
#include "team/check.h"
#include "team/ordered.h"

struct parallel {
    struct crew crew; /* the first: a crew's work gets it as the parallel call */
    sharedmem_parallel_options options;
    struct call_shared *block; /* in the segment: with the team behind it */
    struct team_place place;   /* the caller's, as rank 0 */
    struct team_place *before; /* what its thread worked for until now */
    bool is_entered;
    bool is_bound;                 /* as rank 0, for now */
    struct openmp_threads threads; /* and how many of OpenMP's it had */
    struct doorbell doorbell;      /* rung by ranks that are threads */
};

/* body in this rank. Returns its code; error is filled where that is not 0. */
static int run_body(const sharedmem_parallel_options *options, uint32_t rank, sharedmem_error *error)
{
    int code = options->body(rank, NULL, options->context);

    if (code != 0)
        crew_body_error(error, rank, code);
    else
        error_drop_fail_message();
    return code;
}

/* What each worker does. */
static void work(struct crew *crew)
{
    const struct parallel *parallel = (const struct parallel *)crew;
    sharedmem_error error;
    int code;

    worker_get_ready(crew);
    code = run_body(&parallel->options, crew->place.rank, &error);
    crew_check_self(crew);
    if (code != 0)
        crew_fail(crew, &error);
}

/* The caller is itself again. Twice does no harm. */
static void leave_first_rank(struct parallel *parallel)
{
    if (parallel->is_entered)
        team_enter_thread(parallel->before);
    parallel->is_entered = false;
    if (parallel->is_bound)
        placement_restore(parallel->crew.unbound);
    parallel->is_bound = false;
    openmp_restore_threads(&parallel->threads);
    parallel->threads = (struct openmp_threads){{0}};
}

/*
 * The same in the caller, where an uncaught error ends the program. But where that has somewhere to go back to, a
 * thread of another team, there is more to do before.
 */
static int call_body(const sharedmem_parallel_options *options, sharedmem_error *error)
{
    int code;

    if (!escape_is_possible())
        return run_body(options, 0, error);
    error_clear(error);
    code = crew_call(options->body, 0, NULL, options->context, error);
    if (code == 0)
        error_drop_fail_message();
    else if (error->kind == SHAREDMEM_ERROR_NONE)
        crew_body_error(error, 0, code);
    return code;
}

/* The caller's part: rank 0. */
static void run_first_rank(struct parallel *parallel)
{
    struct team_shared *team = parallel->crew.team;
    sharedmem_error error;
    int code;

    parallel->before = team_enter_thread(&parallel->place);
    parallel->is_entered = true;
    parallel->is_bound = placement_apply_for_now(parallel->crew.plan, 0, parallel->crew.unbound);
    parallel->place.cores = placement_cores(parallel->crew.plan);
    if (parallel->place.within != NULL)
        parallel->place.masters_hold = parallel->place.within->masters_hold;
    parallel->threads = openmp_set_threads(parallel->crew.n_threads);
    code = call_body(&parallel->options, &error);
    crew_check_self(&parallel->crew);
    leave_first_rank(parallel);
    /* Who was told that the team has failed fails because of that. */
    if (code != 0 && !parallel->place.is_cancelled)
        team_fail(team, 0, &error);
    ordered_say_left(team, 0, TEAM_LEFT);
    crew_notice_failure(&parallel->crew);
}

static void watch(struct crew *crew)
{
    __attribute__((cleanup(wait_end))) struct wait wait;

    wait_begin(&wait, WAIT_WORKERS, crew->where, 0);
    wait_publish(&wait);
    while (crew_runs(crew))
        crew_watch(crew, WAIT_PARK_NS);
    crew_check_end(crew);
}

static int run_crew(struct parallel *parallel)
{
    struct crew *crew = &parallel->crew;

    if (!crew->kind->is_process && crew_open_doorbell(crew, &parallel->doorbell) != 0)
        return -1;
    atomic_store_explicit(&crew->team->ranks[0].member, member_my_id, memory_order_release);
    if (crew_open(crew, &parallel->doorbell) != 0)
        return -1;
    crew_bind(crew);
    if (crew_start(crew, 1) != 0)
        return -1;
    run_first_rank(parallel);
    watch(crew);
    for (uint32_t rank = 0; rank < crew->team->size; rank++)
        check_left_messages(crew->team, rank);
    return crew_result(crew);
}

static void close_parallel(struct parallel *parallel)
{
    int saved_errno = errno;

    leave_first_rank(parallel);
    crew_close(&parallel->crew);
    doorbell_close(&parallel->doorbell);
    team_free_blocks(parallel->crew.team);
    calls_end(parallel->block);
    heap_free(parallel->block);
    errno = saved_errno;
}

static int run_many(const sharedmem_parallel_options *options, uint32_t np, sharedmem_error *error)
{
    struct call_shared *block;
    struct team_shared *team;

    if (memory_enter(error) != 0)
        return -1;
    block = heap_alloc(sizeof *block + team_bytes(np), HEAP_ALIGNMENT);
    if (block == NULL)
        return error_set(error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM,
                         "parallel: no shared memory for %u ranks: %s", np, budget_reason());
    team = (struct team_shared *)(void *)(block + 1);
    team_init(team, np, false);
    calls_begin(block, team);
    /* Closed also when an exception of C++, or a thread's cancellation, leaves through body. */
    __attribute__((cleanup(close_parallel))) struct parallel parallel = {
        .crew = {.call = "parallel",
                 .where = options->where,
                 .team = team,
                 .bytes = sizeof parallel,
                 .kind = options->backend == SHAREDMEM_THREADS ? &worker_threads : &worker_forked,
                 .work = work,
                 .stops_at_start = stop_count(),
                 .error = error},
        .options = *options,
        .place = {.team = team, .within = team_here()},
        .block = block,
        .doorbell = DOORBELL_NONE,
    };
    return run_crew(&parallel);
}

static int run_alone(const sharedmem_parallel_options *options, sharedmem_error *error)
{
    SOLO_TEAM(solo);

    solo_enter(&solo, false);
    if (run_body(options, 0, error) == 0)
        return team_is_stopped(solo.place.team) ? SHAREDMEM_STOPPED : 0;
    errno = ECANCELED;
    return -1;
}

static int run(const sharedmem_parallel_options *options, sharedmem_error *error)
{
    uint32_t np;

    if (options->body == NULL)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "parallel: body is NULL; give the function that each rank runs");
    if (crew_check_np("parallel", "np", options->np, error) != 0 ||
        crew_check_backend("parallel", options->backend, error) != 0)
        return -1;
    if (options->reserved != 0)
        return options_refused(E2BIG, "parallel", error);
    np = options->np > 0 ? (uint32_t)options->np : placement_default_np();
    return np == 1 || debug_is_on() || options->backend == SHAREDMEM_SERIAL ? run_alone(options, error)
                                                                            : run_many(options, np, error);
}

int sharedmem_parallel_with(const sharedmem_parallel_options *given, size_t sizeof_options)
{
    sharedmem_parallel_options options;
    int code = options_read(&options, sizeof options, given, sizeof_options);
    sharedmem_error own, *error = options.error != NULL ? options.error : &own;

    error_clear(error);
    if (options_refused(code, "parallel", error) == 0 && (code = run(&options, error)) >= 0)
        return code;
    return error_end_call(error, options.error != NULL, options.where);
}
