/* sharedmem_parallel(): one function in all ranks, of which the caller is the first. */
#include <errno.h>
#include <unistd.h>

#include "base/debug.h"
#include "base/error.h"
#include "base/options.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/wait.h"
#include "run/crew.h"
#include "run/crew_errors.h"
#include "run/placement.h"
#include "run/solo.h"
#include "team/ordered.h"

/* The master has a slot of the member table too. */
#define PARALLEL_MAX_RANKS ((int64_t)MEMBER_SLOTS - 2)

struct parallel {
    struct crew crew; /* the first: a crew's work gets it as the parallel call */
    sharedmem_parallel_options options;
    struct team_place place;   /* the caller's, as rank 0 */
    struct team_place *before; /* what its thread worked for until now */
    bool is_entered;
    struct placement_mask *mask; /* where that could run until now */
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
    int code = run_body(&parallel->options, crew->place.rank, &error);

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
    placement_restore(parallel->mask);
    parallel->mask = NULL;
}

/* The caller's part: rank 0. */
static void run_first_rank(struct parallel *parallel)
{
    struct team_shared *team = parallel->crew.team;
    sharedmem_error error;
    int code;

    parallel->before = team_enter_thread(&parallel->place);
    parallel->is_entered = true;
    parallel->mask = placement_apply_kept(parallel->crew.plan, 0);
    code = run_body(&parallel->options, 0, &error);
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

    atomic_store_explicit(&crew->team->ranks[0].member, member_my_id, memory_order_release);
    if (crew_open(crew, NULL) != 0 || crew_start(crew, 1) != 0)
        return -1;
    run_first_rank(parallel);
    watch(crew);
    if (!crew->failed)
        return 0;
    errno = ECANCELED;
    return -1;
}

static void close_parallel(struct parallel *parallel)
{
    int saved_errno = errno;

    leave_first_rank(parallel);
    crew_close(&parallel->crew);
    team_free(parallel->crew.team);
    errno = saved_errno;
}

static int run_many(const sharedmem_parallel_options *options, uint32_t np, sharedmem_error *error)
{
    struct team_shared *team;

    if (memory_enter(error) != 0)
        return -1;
    team = heap_alloc(team_bytes(np), HEAP_ALIGNMENT);
    if (team == NULL)
        return error_set(error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM, "parallel: no shared memory for %u ranks",
                         np);
    team_init(team, np, false);
    /* Closed also when an exception of C++, or a thread's cancellation, leaves through body. */
    __attribute__((cleanup(close_parallel))) struct parallel parallel = {
        .crew = {.call = "parallel", .where = options->where, .team = team, .work = work, .error = error},
        .options = *options,
        .place = {.team = team},
    };
    return run_crew(&parallel);
}

static int run_alone(const sharedmem_parallel_options *options, sharedmem_error *error)
{
    SOLO_TEAM(solo);

    solo_enter(&solo, false);
    if (run_body(options, 0, error) == 0)
        return 0;
    errno = ECANCELED;
    return -1;
}

static int run(const sharedmem_parallel_options *options, sharedmem_error *error)
{
    uint32_t np;

    if (options->body == NULL)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "parallel: body is NULL; give the function that each rank runs");
    if (options->np < 0 || options->np > PARALLEL_MAX_RANKS)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "parallel: np is %lld; it can be 1 to %lld, or 0 for sharedmem_cpu_count()",
                         (long long)options->np, (long long)PARALLEL_MAX_RANKS);
    np = options->np > 0 ? (uint32_t)options->np : (uint32_t)sharedmem_cpu_count();
    return np == 1 || debug_is_on() ? run_alone(options, error) : run_many(options, np, error);
}

int sharedmem_parallel_with(const sharedmem_parallel_options *given, size_t sizeof_options)
{
    sharedmem_parallel_options options;
    int code = options_read(&options, sizeof options, given, sizeof_options);
    sharedmem_error own, *error = options.error != NULL ? options.error : &own;

    error_clear(error);
    if (options_refused(code, "parallel", error) == 0 && run(&options, error) == 0)
        return 0;
    return error_end_call(error, options.error != NULL, options.where);
}
