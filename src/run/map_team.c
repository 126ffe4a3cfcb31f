/* A map's master: lays out the map in shared memory, starts its workers, takes their results. */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/text.h"
#include "host/doorbell.h"
#include "memory/budget.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/wait.h"
#include "run/calls.h"
#include "run/crew_errors.h"
#include "run/map_shared.h"
#include "run/pool.h"
#include "run/stop.h"
#include "run/worker.h"

static const struct worker_ops *kind_of(const sharedmem_map_options *options)
{
    if (options->pool != NULL)
        return &worker_parked;
    return options->backend == SHAREDMEM_THREADS ? &worker_threads : &worker_forked;
}

static struct schedule schedule_of(const sharedmem_map_options *options, uint32_t np)
{
    /* Where items are made n is SIZE_MAX: how many there will be is not known. */
    uint64_t n = options->n < SCHEDULE_MAX_ITEMS ? options->n : SCHEDULE_MAX_ITEMS;
    struct schedule schedule = {.kind = options->schedule, .n_ranks = np, .n = n, .chunk_max = UINT64_MAX};

    schedule.chunk = options->chunk < n ? options->chunk : n;
    if (options->next == NULL)
        return schedule;
    /* Shares of an unknown number cannot be told. */
    if (schedule.kind == SHAREDMEM_GUIDED)
        schedule.kind = SHAREDMEM_DYNAMIC;
    if (schedule.chunk == 0)
        schedule.chunk = 1;
    return schedule;
}

/* Who has a chunk has all of what may be made: the others would have nothing to do. */
static void limit_chunk(struct schedule *schedule, const struct feed *feed)
{
    uint64_t most = feed->look_ahead / schedule->n_ranks;

    if (feed_is_made(feed) && schedule->chunk > most)
        schedule->chunk = most > 0 ? most : 1;
}

static void plan_map(struct map *map, const sharedmem_map_options *options, uint32_t np,
                     sharedmem_error *error)
{
    *map = (struct map){
        .crew = {.call = "map",
                 .where = options->where,
                 .bytes = sizeof *map,
                 .kind = kind_of(options),
                 .work = map_work,
                 .pool = options->pool,
                 .stops_at_start = stop_count(),
                 .error = error},
        .options = *options,
        .schedule = schedule_of(options, np),
        .context = options->context,
        .item_before = map_get_item(),
        .bad_item = SHAREDMEM_NO_ITEM,
    };
    map_begin_progress(&map->progress);
    feed_plan(&map->feed, options);
    limit_chunk(&map->schedule, &map->feed);
    results_plan(&map->results, options, &map->schedule);
    map->results.master = member_my_id;
    map->is_plain = map->results.window == 0 && options->items == NULL;
    if (map_is_mended(map))
        map->crew.lost = map_mend_lost;
}

static int no_memory(const struct map *map, size_t bytes)
{
    char size[TEXT_BYTES_SIZE];

    return error_set(map->crew.error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM,
                     "map: no %s of shared memory for results that wait for the caller: %s "
                     "(SHAREDMEM_STATIC without .chunk needs more than other schedules)",
                     text_bytes(size, bytes), budget_reason());
}

/* The parts of the map's block, in their order. */
enum {
    PART_HEAD,
    PART_DEALT,
    PART_CALL,
    PART_HANDS,
    PART_CONTEXT,
    PART_TEAM,
    PART_RESULTS,
    PART_FEED,
    N_PARTS
};

static void measure_parts(const struct map *map, uint32_t np, size_t bytes[N_PARTS])
{
    bytes[PART_HEAD] = sizeof(struct call_shared);
    bytes[PART_DEALT] = sizeof *map->dealt;
    bytes[PART_CALL] = map->options.pool != NULL ? bits_round_up(sizeof *map, 64) : 0;
    bytes[PART_HANDS] = map_is_mended(map) ? np * sizeof *map->ranks : 0;
    bytes[PART_CONTEXT] = map->options.pool != NULL ? bits_round_up(map->options.context_size, 64) : 0;
    bytes[PART_TEAM] = team_bytes(np);
    bytes[PART_RESULTS] = results_bytes(&map->results);
    bytes[PART_FEED] = feed_bytes(&map->feed);
}

static void *allocate_parts(const size_t bytes[N_PARTS], void *parts[N_PARTS], size_t *total)
{
    size_t offsets[N_PARTS];
    char *block;

    *total = 0;
    for (int i = 0; i < N_PARTS; i++) {
        offsets[i] = *total;
        if (__builtin_add_overflow(*total, bytes[i], total) || *total > PTRDIFF_MAX) {
            *total = SIZE_MAX;
            budget_refuse(BUDGET_OVERFLOW, "no memory is as large");
            return NULL;
        }
    }
    block = heap_alloc(*total, HEAP_ALIGNMENT);
    for (int i = 0; block != NULL && i < N_PARTS; i++)
        parts[i] = block + offsets[i];
    return block;
}

static int allocate(struct map *map, uint32_t np)
{
    size_t bytes[N_PARTS], total;
    void *parts[N_PARTS];

    measure_parts(map, np, bytes);
    map->block = allocate_parts(bytes, parts, &total);
    if (map->block == NULL)
        return no_memory(map, total);
    map->dealt = parts[PART_DEALT];
    *map->dealt = (struct schedule_shared){.next = 0};
    if (bytes[PART_CALL] > 0)
        map->crew.call_copy = parts[PART_CALL];
    if (map_is_mended(map))
        map->ranks = memset(parts[PART_HANDS], 0, bytes[PART_HANDS]);
    if (bytes[PART_CONTEXT] > 0)
        map->context = memcpy(parts[PART_CONTEXT], map->options.context, map->options.context_size);
    map->crew.team = parts[PART_TEAM];
    team_init(map->crew.team, np, true);
    map->crew.team->is_mended = map_is_mended(map);
    if (map->results.window > 0)
        results_bind(&map->results, parts[PART_RESULTS]);
    feed_bind(&map->feed, parts[PART_FEED]);
    calls_begin(map->block, map->crew.team);
    return 0;
}

/* Parked workers have the pool's, threads always need one, to tell of their end. */
static int open_doorbell(struct map *map)
{
    if (map->options.pool != NULL) {
        map->results.doorbell = *pool_doorbell(map->options.pool);
        return 0;
    }
    if (map->results.window == 0 && map->crew.kind->is_process)
        return 0;
    return crew_open_doorbell(&map->crew, &map->results.doorbell);
}

static void close_map(struct map *map)
{
    int saved_errno = errno;

    map_reset_item(map->item_before);
    crew_close(&map->crew);
    if (map->options.pool != NULL)
        pool_end_call(map->options.pool);
    else
        doorbell_close(&map->results.doorbell);
    map_mend_close(map);
    calls_end(map->block);
    if (map->block != NULL)
        heap_free(map->block);
    errno = saved_errno;
}

/* ---- Results, as they come ---- */

/*
 * Calls one of the user's functions: within it sharedmem_stop() means this map. Only there: a signal handler
 * in a master that waits stops all maps of the process, as one in any other thread does.
 */
static int call_user(struct map *map, sharedmem_function *function, size_t i, void *result)
{
    struct team_shared *before = stop_enter(map->crew.team);
    struct wait within;
    int code;

    wait_interrupt(&within);
    code = crew_call(function, i, result, map->options.context, &map->user_error);
    wait_resume(&within);
    stop_leave(before);
    crew_check_self(&map->crew);
    return code;
}

static uint64_t tell_progress(struct map *map, bool is_last)
{
    struct team_shared *before;
    uint64_t next;

    if (map->options.progress == NULL)
        return WAIT_PARK_NS;
    before = stop_enter(map->crew.team);
    next = map_tell_progress(&map->progress, &map->options, is_last);
    crew_check_self(&map->crew);
    stop_leave(before);
    if (map->progress.error.kind != SHAREDMEM_ERROR_NONE && !map->crew.failed) {
        *map->crew.error = map->progress.error;
        crew_end_early(&map->crew);
    }
    return next;
}

/* Item i's result is complete, and in its place. */
static int taken(size_t i, void *result, void *context)
{
    struct map *map = context;
    int code = 0;

    if (map->options.reduce != NULL) {
        /* The map has failed: nobody wants it any more, and so it is not done. */
        if (map->crew.failed)
            return 0;
        map_set_item(feed_item(&map->feed, i));
        code = call_user(map, map->options.reduce, i, result);
        map_reset_item(map->item_before);
    }
    if (code != 0)
        return code;
    if (map->options.states != NULL)
        map->options.states[i] = SHAREDMEM_DONE;
    map->progress.n_done++;
    tell_progress(map, false);
    return 0;
}

static bool is_watched(const struct map *map)
{
    const sharedmem_map_options *options = &map->options;

    return options->reduce != NULL || options->states != NULL || options->progress != NULL;
}

/* A function of the user failed with code, for item. */
static void fail_by_user(struct map *map, uint64_t item, int code,
                         void (*say)(sharedmem_error *error, uint64_t i, int code))
{
    if (map->user_error.kind != SHAREDMEM_ERROR_NONE) {
        *map->crew.error = map->user_error;
        map->crew.error->item = item;
    } else {
        say(map->crew.error, item, code);
    }
    map->bad_item = item;
    crew_end_early(&map->crew);
}

/* Items that may be complete are below this. */
static uint64_t horizon(const struct map *map)
{
    uint64_t dealt = map_is_mended(map) ? map_mend_dealt(map)
                                        : atomic_load_explicit(&map->dealt->next, memory_order_relaxed);

    if (map->schedule.kind == SHAREDMEM_STATIC || dealt > map->schedule.n)
        return map->schedule.n;
    return dealt;
}

/* Takes the results that are there. */
static void drain(struct map *map)
{
    uint64_t item = 0;
    int code;

    if (map->results.window == 0 || map->crew.ending)
        return;
    code = results_drain(&map->results, horizon(map), is_watched(map) ? taken : NULL, map, &item);
    if (code != 0)
        fail_by_user(map, item, code, crew_reduce_error);
}

/* The map ended early: what is complete is kept. Who failed in reduce is not asked again. */
static void drain_rest(struct map *map)
{
    uint64_t item = 0;
    int code;

    if (map->results.window == 0 || !map->crew.ending)
        return;
    if (map->bad_item != SHAREDMEM_NO_ITEM)
        results_skip(&map->results, map->bad_item);
    code = results_drain_rest(&map->results, is_watched(map) ? taken : NULL, map, &item);
    if (code != 0)
        fail_by_user(map, item, code, crew_reduce_error);
}

/* ---- Items, as they are wanted ---- */

/* Makes the next item. Returns false where there is none. */
static bool make_one(struct map *map)
{
    uint64_t i = feed_n_made(&map->feed);
    void *place = feed_place(&map->feed);
    int code;

    memset(place, 0, map->feed.size);
    code = call_user(map, map->options.next, i, place);
    if (code > 0 && i + 1 < SCHEDULE_MAX_ITEMS) {
        feed_made(&map->feed);
        return true;
    }
    feed_ended(&map->feed);
    if (code < 0)
        fail_by_user(map, i, code, crew_next_error);
    return false;
}

static void make_items(struct map *map)
{
    while (feed_may_make(&map->feed, results_drained(&map->results)) && !map->crew.ending &&
           !team_is_stopping(map->crew.team) && make_one(map)) {
        /* Between two that take their time, others may have become complete. */
        tell_progress(map, false);
    }
}

/* ---- Until the last worker has ended ---- */

/* How many items the next one to be waited for is behind the oldest: waking for each would cost more than it. */
static uint64_t wake_distance(const struct map *map)
{
    uint64_t outstanding;

    if (!feed_is_made(&map->feed))
        return 0;
    outstanding = feed_n_made(&map->feed) - results_drained(&map->results);
    /* What has no room for its result waits for this master. */
    if (outstanding > map->results.window)
        outstanding = map->results.window;
    return outstanding > 1 && map->options.reduce == NULL ? outstanding / 2 : 0;
}

/* Sleeps while the next result is not complete, and no worker ends. */
static void watch_once(struct map *map)
{
    bool is_drained = map->results.window != 0 && !map->crew.ending;
    uint64_t timeout = tell_progress(map, false);
    bool may_sleep = !is_drained || results_sleep(&map->results, horizon(map), wake_distance(map));

    if (timeout > WAIT_PARK_NS)
        timeout = WAIT_PARK_NS;
    crew_watch(&map->crew, may_sleep ? timeout : 0);
    if (is_drained)
        results_wake_up(&map->results);
    drain(map);
    if (feed_is_made(&map->feed))
        make_items(map);
}

/* Who waits, watches. */
static void watch(struct map *map)
{
    /* reduce and next may throw an exception of C++. */
    __attribute__((cleanup(wait_end))) struct wait wait;

    wait_begin(&wait, WAIT_WORKERS, map->options.where, 0);
    wait_publish(&wait);
    if (feed_is_made(&map->feed))
        make_items(map);
    while (crew_runs(&map->crew))
        watch_once(map);
}

/* Every worker has said that it did all; then all results are here, or something did what it must not. */
static void check_all_taken(struct map *map)
{
    uint64_t n = feed_is_made(&map->feed) ? feed_n_end(&map->feed) : map->options.n;
    uint64_t drained;

    if (map->results.window == 0 || map->crew.ending)
        return;
    drained = results_drained(&map->results);
    if (drained == n)
        return;
    error_set(map->crew.error, SHAREDMEM_ERROR_EXITED, ECANCELED, "the result of item %llu is missing",
              (unsigned long long)drained);
    map->crew.error->item = drained;
    crew_end_early(&map->crew);
}

static int finish(struct map *map)
{
    drain(map);
    crew_check_end(&map->crew);
    drain_rest(map);
    check_all_taken(map);
    if (map_is_mended(map))
        map_mend_finish(map);
    if (map->crew.failed)
        map_mark_failed(&map->options, map->crew.error->item);
    tell_progress(map, true);
    return crew_result(&map->crew);
}

static int run(struct map *map, uint32_t np)
{
    if (map->options.pool != NULL && pool_begin_call(map->options.pool, map->crew.error) != 0) {
        /* It is another's: what closes the map must not touch it. */
        map->options.pool = NULL;
        map->crew.kind = NULL;
        return -1;
    }
    if (allocate(map, np) != 0 || open_doorbell(map) != 0)
        return -1;
    if (map_mend_open(map) != 0)
        return error_set(map->crew.error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM, "map: no memory for .retries");
    if (crew_open(&map->crew, &map->results.doorbell) != 0)
        return -1;
    if (map->options.pool == NULL)
        crew_bind(&map->crew);
    if (crew_start(&map->crew, 0) != 0)
        return -1;
    watch(map);
    return finish(map);
}

static void leave_stop(struct team_shared **before)
{
    stop_leave(*before);
}

int map_workers(const sharedmem_map_options *options, uint32_t np, sharedmem_error *error)
{
    __attribute__((cleanup(leave_stop), unused)) struct team_shared *meant_before = stop_enter(NULL);
    /* Closed also when an exception of C++, or a thread's cancellation, leaves through reduce. */
    __attribute__((cleanup(close_map))) struct map map = {.item_before = map_get_item()};

    if (memory_enter(error) != 0)
        return -1;
    plan_map(&map, options, np, error);
    return run(&map, np);
}
