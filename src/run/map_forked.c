/* A map's master: lays out the map in shared memory, starts its workers, takes their results. */
#include <errno.h>

#include "base/error.h"
#include "host/doorbell.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/wait.h"
#include "run/crew_errors.h"
#include "run/map_shared.h"

static void plan_map(struct map *map, const sharedmem_map_options *options, uint32_t np,
                     sharedmem_error *error)
{
    uint64_t chunk = options->chunk < options->n ? options->chunk : options->n;

    *map = (struct map){
        .crew = {.call = "map", .where = options->where, .work = map_work, .error = error},
        .options = *options,
        .schedule = {.kind = options->schedule,
                     .n_ranks = np,
                     .n = options->n,
                     .chunk = chunk,
                     .chunk_max = UINT64_MAX},
    };
    results_plan(&map->results, options, &map->schedule);
    map->results.master = member_my_id;
}

static int no_memory(const struct map *map, size_t bytes)
{
    return error_set(map->crew.error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM,
                     "map: no %zu MiB of shared memory for results that wait for the caller "
                     "(SHAREDMEM_HEAP sets the heap's size; this machine has %llu MiB available; "
                     "SHAREDMEM_STATIC and a large .chunk need more than other schedules)",
                     bytes >> 20, (unsigned long long)sharedmem_available_memory() >> 20);
}

/* The map's one block: dealing, team, results. */
static int allocate(struct map *map, uint32_t np)
{
    size_t dealt = sizeof *map->dealt, team = team_bytes(np);
    size_t bytes;
    char *at;

    if (__builtin_add_overflow(results_bytes(&map->results), dealt + team, &bytes))
        bytes = SIZE_MAX;
    else
        map->block = heap_alloc(bytes, HEAP_ALIGNMENT);
    if (map->block == NULL)
        return no_memory(map, bytes);
    at = map->block;
    map->dealt = (struct schedule_shared *)(void *)at;
    map->crew.team = (struct team_shared *)(void *)(at + dealt);
    *map->dealt = (struct schedule_shared){.next = 0};
    team_init(map->crew.team, np, true);
    results_bind(&map->results, at + dealt + team);
    return 0;
}

static int open_doorbell(struct map *map)
{
    if (map->results.window == 0)
        return 0;
    return doorbell_open(&map->results.doorbell) == 0
               ? 0
               : error_system(map->crew.error, "map: no file descriptor left; raise ulimit -n");
}

static void close_map(struct map *map)
{
    int saved_errno = errno;

    crew_close(&map->crew);
    doorbell_close(&map->results.doorbell);
    if (map->block != NULL)
        heap_free(map->block);
    errno = saved_errno;
}

static int reduce(size_t i, void *result, void *context)
{
    struct map *map = context;
    int code = map->options.reduce(i, result, map->options.context);

    crew_check_self(&map->crew);
    return code;
}

/* Takes the results that are there. */
static void drain(struct map *map)
{
    uint64_t item;
    int code;

    if (map->results.window == 0 || map->crew.failed)
        return;
    code =
        results_drain(&map->results, map->options.n, map->options.reduce != NULL ? reduce : NULL, map, &item);
    if (code == 0)
        return;
    crew_reduce_error(map->crew.error, item, code);
    crew_end_early(&map->crew);
}

/* Every worker has said that it did all; then all results are here, or something did what it must not. */
static void check_all_taken(struct map *map)
{
    uint64_t taken;

    if (map->results.window == 0 || map->crew.failed)
        return;
    taken = atomic_load_explicit(&map->results.shared->drained, memory_order_relaxed);
    if (taken == map->options.n)
        return;
    error_set(map->crew.error, SHAREDMEM_ERROR_EXITED, ECANCELED, "the result of item %llu is missing",
              (unsigned long long)taken);
    map->crew.error->item = taken;
    crew_end_early(&map->crew);
}

/* Sleeps while the next result is not complete, and no worker ends. */
static void watch_once(struct map *map)
{
    bool may_sleep = map->results.window == 0 || map->crew.failed || results_sleep(&map->results);

    crew_watch(&map->crew, may_sleep ? WAIT_PARK_NS : 0);
    if (map->results.window != 0)
        results_wake_up(&map->results);
    drain(map);
}

/* Who waits, watches: until the last worker has ended. */
static void watch(struct map *map)
{
    /* reduce may throw an exception of C++. */
    __attribute__((cleanup(wait_end))) struct wait wait;

    wait_begin(&wait, WAIT_WORKERS, map->options.where, 0);
    wait_publish(&wait);
    while (crew_runs(&map->crew))
        watch_once(map);
}

static int run(struct map *map, uint32_t np)
{
    if (allocate(map, np) != 0 || open_doorbell(map) != 0 ||
        crew_open(&map->crew, map->results.window != 0 ? &map->results.doorbell : NULL) != 0)
        return -1;
    if (crew_start(&map->crew, 0) != 0)
        return -1;
    watch(map);
    drain(map);
    crew_check_end(&map->crew);
    check_all_taken(map);
    if (!map->crew.failed)
        return 0;
    errno = ECANCELED;
    return -1;
}

int map_forked(const sharedmem_map_options *options, uint32_t np, sharedmem_error *error)
{
    /* Closed also when an exception of C++, or a thread's cancellation, leaves through reduce. */
    __attribute__((cleanup(close_map))) struct map map = {.block = NULL};

    if (memory_enter(error) != 0)
        return -1;
    plan_map(&map, options, np, error);
    return run(&map, np);
}
