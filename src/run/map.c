/* sharedmem_map(): what its caller asks for, checked. */
#include <errno.h>
#include <string.h>

#include "base/debug.h"
#include "base/error.h"
#include "base/options.h"
#include "host/clock.h"
#include "memory/wait.h"
#include "run/crew_errors.h"
#include "run/escape.h"
#include "run/map_shared.h"
#include "run/placement.h"
#include "run/pool.h"
#include "run/progress.h"

/* How often progress is told. */
#define PROGRESS_NS ((uint64_t)250000000)

static int usage(sharedmem_error *error, const char *message)
{
    return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL, "map: %s", message);
}

static int check_sizes(const sharedmem_map_options *options, sharedmem_error *error)
{
    size_t bytes;

    if (schedule_check_n("map", options->n, error) != 0)
        return -1;
    if (__builtin_mul_overflow(options->n, options->result_size, &bytes) || bytes > PTRDIFF_MAX)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "map: n * .result_size, %zu * %zu, is more than any memory", options->n,
                         options->result_size);
    if (__builtin_mul_overflow(options->n, options->item_size, &bytes) || bytes > PTRDIFF_MAX)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "map: n * .item_size, %zu * %zu, is more than any memory", options->n,
                         options->item_size);
    return 0;
}

static int check_results(const sharedmem_map_options *options, sharedmem_error *error)
{
    if (options->results != NULL && options->result_size == 0)
        return usage(error, ".results needs .result_size, the bytes of one result");
    if (options->n > 0 && options->result_size > 0 && options->results == NULL && options->reduce == NULL)
        return usage(error,
                     ".result_size without .results or .reduce: results would be lost (was .results NULL?)");
    if (options->n > 0 && options->result_size > PTRDIFF_MAX / 4)
        return usage(error, ".result_size is more than any memory");
    return 0;
}

/* Of a generator nobody knows how many items there will be. */
static int check_generator(const sharedmem_map_options *options, sharedmem_error *error)
{
    if (options->n != SIZE_MAX)
        return error_set(
            error, SHAREDMEM_ERROR_USAGE, EINVAL,
            "map: n is %zu, but .next says by itself when there are no more items: give SIZE_MAX",
            options->n);
    if (options->items != NULL)
        return usage(error, ".items and .next are both given; items come from one of them");
    if (options->results != NULL)
        return usage(error, ".results needs a known n, and .next has none: take the results in .reduce");
    if (options->states != NULL)
        return usage(error, ".states needs a known n, and .next has none");
    if (options->item_size > PTRDIFF_MAX / 4)
        return usage(error, ".item_size is more than any memory");
    return 0;
}

static int check_items(const sharedmem_map_options *options, sharedmem_error *error)
{
    if ((options->items != NULL || options->next != NULL) && options->item_size == 0)
        return usage(error, ".items and .next need .item_size, the bytes of one item");
    if (options->items == NULL && options->next == NULL && options->item_size > 0 && options->n > 0)
        return usage(error, ".item_size without .items or .next (was .items NULL?)");
    if (options->next != NULL)
        return check_generator(options, error);
    return check_sizes(options, error);
}

static int check_how(const sharedmem_map_options *options, sharedmem_error *error)
{
    if (crew_check_np("map", ".np", options->np, error) != 0 ||
        schedule_check_kind("map", options->schedule, error) != 0 ||
        crew_check_backend("map", options->backend, error) != 0)
        return -1;
    if (options->reduce_order < SHAREDMEM_BY_INDEX || options->reduce_order > SHAREDMEM_AS_DONE)
        return usage(error, ".reduce_order is none of SHAREDMEM_BY_INDEX, SHAREDMEM_AS_DONE");
    if (options->retries < 0)
        return usage(error, ".retries is negative; 0 tries each item once");
    return 0;
}

/* What parked workers, who see private memory as of long ago, cannot do. */
static int check_pool(const sharedmem_map_options *options, sharedmem_error *error)
{
    if (options->pool == NULL)
        return 0;
    if (options->backend != SHAREDMEM_PROCESSES)
        return usage(error, ".pool is of processes; leave .backend out");
    if (options->context != NULL && options->context_size == 0 && !sharedmem_is_shared(options->context))
        return usage(error,
                     "the workers of a .pool do not see what has changed in private memory since it was "
                     "created: context must be in shared memory (sharedmem_malloc), or .context_size say "
                     "how many bytes of it to copy");
    if (options->context == NULL && options->context_size > 0)
        return usage(error, ".context_size without a context");
    if (options->np > pool_size(options->pool))
        return error_set(
            error, SHAREDMEM_ERROR_USAGE, EINVAL,
            "map: .np is %d, but the pool has %d workers; leave .np out, or create a larger pool",
            options->np, pool_size(options->pool));
    return 0;
}

static int check(const sharedmem_map_options *options, sharedmem_error *error)
{
    if (options->reserved != 0)
        return options_refused(E2BIG, "map", error);
    if (options->work == NULL)
        return usage(error, "work is NULL; give the function that does item i");
    if (check_how(options, error) != 0 || check_results(options, error) != 0 ||
        check_items(options, error) != 0)
        return -1;
    return check_pool(options, error);
}

static uint32_t count_workers(const sharedmem_map_options *options)
{
    size_t np = options->np > 0 ? (size_t)options->np : placement_default_np();

    if (options->pool != NULL && options->np == 0)
        np = (size_t)pool_size(options->pool);
    return (uint32_t)(np < options->n ? np : options->n);
}

static bool is_serial(const sharedmem_map_options *options)
{
    return options->backend == SHAREDMEM_SERIAL || debug_is_on() ||
           (options->next == NULL && options->n < options->min_length);
}

static int run(const sharedmem_map_options *options, sharedmem_error *error)
{
    if (check(options, error) != 0)
        return -1;
    if (options->states != NULL)
        memset(options->states, SHAREDMEM_PENDING, options->n);
    if (options->n == 0)
        return 0;
    if (is_serial(options))
        return map_serial(options, error);
    return map_workers(options, count_workers(options), error);
}

/* The user asked for bars of all maps. */
static void add_bar(sharedmem_map_options *options)
{
    if (options->progress == NULL && progress_is_wanted())
        options->progress = sharedmem_progress_bar;
}

int sharedmem_map_with(const sharedmem_map_options *given, size_t sizeof_options)
{
    sharedmem_map_options options;
    int code = options_read(&options, sizeof options, given, sizeof_options);
    sharedmem_error own, *error = options.error != NULL ? options.error : &own;

    error_clear(error);
    add_bar(&options);
    if (options_refused(code, "map", error) != 0 || (code = run(&options, error)) < 0)
        return error_end_call(error, options.error != NULL, options.where);
    return code;
}

/* ---- For all backends ---- */

static _Thread_local struct map_item reduced;

struct map_item map_get_item(void)
{
    return reduced;
}

void map_set_item(const void *item)
{
    reduced = (struct map_item){.item = item, .place = team_here(), .is_set = true};
}

void map_reset_item(struct map_item before)
{
    reduced = before;
}

const void *sharedmem_item(void)
{
    const struct team_place *place = team_here();

    if (reduced.is_set && reduced.place == place)
        return reduced.item;
    return place != NULL ? place->item : NULL;
}

void map_mark_failed(const sharedmem_map_options *options, uint64_t item)
{
    if (options->states != NULL && item < options->n && options->states[item] != SHAREDMEM_DONE)
        options->states[item] = SHAREDMEM_FAILED;
}

void map_begin_progress(struct map_progress *progress)
{
    progress->began_ns = progress->told_ns = clock_monotonic_ns();
    progress->n_done = 0;
    progress->error.kind = SHAREDMEM_ERROR_NONE;
}

/* One call of the user's progress. */
struct progress_call {
    const sharedmem_map_options *options;
    const sharedmem_progress *told;
};

static void call(void *argument)
{
    const struct progress_call *progress = argument;

    progress->options->progress(progress->told, progress->options->context);
}

static void call_progress(struct map_progress *progress, const sharedmem_map_options *options,
                          const sharedmem_progress *told)
{
    struct progress_call user = {.options = options, .told = told};
    sharedmem_error error;
    struct wait within;

    wait_interrupt(&within);
    if (!escape_is_possible())
        call(&user);
    else if (escape_run(call, &user, &error) == ESCAPE_BY_ERROR)
        progress->error = error;
    wait_resume(&within);
}

uint64_t map_tell_progress(struct map_progress *progress, const sharedmem_map_options *options, bool is_last)
{
    uint64_t now = clock_monotonic_ns();
    sharedmem_progress told = {
        .n_done = progress->n_done,
        .n = options->next == NULL ? options->n : 0,
        .seconds = (double)(now - progress->began_ns) / 1e9,
        .is_last = is_last,
        .where = options->where,
    };

    if (!is_last && now - progress->told_ns < PROGRESS_NS)
        return PROGRESS_NS - (now - progress->told_ns);
    progress->told_ns = now;
    call_progress(progress, options, &told);
    return PROGRESS_NS;
}
