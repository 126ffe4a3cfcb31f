/*
 * A map's master: starts forked workers, takes their results, watches over them, and ends them all if one
 * fails.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "host/clock.h"
#include "host/doorbell.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/wait.h"
#include "run/map_shared.h"
#include "run/placement.h"

/* What an item may still take after the map failed, before its worker is ended in the middle of it. */
#define GRACE_NS ((uint64_t)10000000)

/* The longest that the master sleeps before it looks around by itself. */
#define LOOK_NS ((uint64_t)WAIT_PARK_NS)

static void plan_map(struct map *map, const sharedmem_map_options *options, uint32_t np,
                     sharedmem_error *error)
{
    uint64_t chunk = options->chunk < options->n ? options->chunk : options->n;

    *map = (struct map){
        .options = *options,
        .np = np,
        .error = error,
        .schedule = {.kind = options->schedule,
                     .n_ranks = np,
                     .n = options->n,
                     .chunk = chunk,
                     .chunk_max = UINT64_MAX},
    };
    results_plan(&map->results, options, &map->schedule);
    map->results.master = member_my_id;
}

/* The map's one block: dealing, workers, team, results. */
static int allocate(struct map *map, sharedmem_error *error)
{
    size_t dealt = sizeof *map->dealt, workers = map->np * sizeof *map->workers, team = team_bytes(map->np);
    size_t results = results_bytes(&map->results, map->np);
    size_t bytes;
    char *at;

    if (!__builtin_add_overflow(results, dealt + workers + team, &bytes))
        map->block = heap_alloc(bytes, HEAP_ALIGNMENT);
    if (map->block == NULL)
        return error_set(error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM,
                         "map: no shared memory for %zu results of %zu bytes (SHAREDMEM_HEAP sets its size; "
                         "this machine has %llu MiB available)",
                         map->options.n, map->options.result_size,
                         (unsigned long long)sharedmem_available_memory() >> 20);
    at = map->block;
    map->dealt = (struct schedule_shared *)(void *)at;
    map->workers = (struct map_worker_shared *)(void *)(at + dealt);
    map->team = (struct team_shared *)(void *)(at + dealt + workers);
    memset(at, 0, dealt + workers);
    for (uint32_t rank = 0; rank < map->np; rank++)
        map->workers[rank].item = SHAREDMEM_NO_ITEM;
    team_init(map->team, map->np);
    results_bind(&map->results, at + dealt + workers + team);
    return 0;
}

static int open_doorbell(struct map *map, sharedmem_error *error)
{
    if (map->results.window == 0)
        return 0;
    map->results.doorbell = doorbell_open();
    return map->results.doorbell >= 0 ? 0 : error_system(error, "map: no file descriptor left");
}

/* Everything the map has but its workers. */
static int open_map(struct map *map, sharedmem_error *error)
{
    if (allocate(map, error) != 0 || open_doorbell(map, error) != 0)
        return -1;
    if (supervise_init(&map->children, map->np, map->results.doorbell) != 0)
        return error_set(error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM, "map: no memory for %u workers", map->np);
    map->plan = placement_plan(map->np);
    return 0;
}

static void close_map(struct map *map)
{
    int saved_errno = errno;

    supervise_fini(&map->children);
    binding_plan_destroy((struct binding_plan *)map->plan);
    if (map->results.doorbell >= 0)
        close(map->results.doorbell);
    if (map->block != NULL)
        heap_free(map->block);
    errno = saved_errno;
}

/*
 * The map has failed, by what is in map->error now: nothing new is begun, and what still runs gets a little
 * time.
 */
static void end_early(struct map *map)
{
    map->failed = true;
    map->kill_at_ns = clock_monotonic_ns() + GRACE_NS;
    team_stop(map->team);
    results_release_all(&map->results);
}

/* A worker's error may lie in the team already, when another's end is seen: then it was first. */
static void notice_failure(struct map *map)
{
    const sharedmem_error *first = team_first_error(map->team);

    if (map->failed || first == NULL)
        return;
    *map->error = *first;
    end_early(map);
}

static void worker_ended(const struct supervise_child *child, void *argument)
{
    struct map *map = argument;
    const struct map_worker_shared *line = &map->workers[child->rank];

    notice_failure(map);
    /* acquire: pairs with leave(); from here on the master sees all of this worker's results. */
    if (map->failed || atomic_load_explicit(&line->left, memory_order_acquire) != 0)
        return;
    map_death_error(map->error, child, atomic_load_explicit(&line->item, memory_order_relaxed));
    end_early(map);
}

static int refused(struct map *map, sharedmem_error *error)
{
    const char *hint = errno == EAGAIN
                           ? "; raise ulimit -u or the job's limit of processes, or use fewer workers by .np"
                           : "";
    int code = errno;
    size_t length;

    error_system(error, "map: cannot start worker %u of %u", map->next_rank, map->np);
    length = strlen(error->message);
    snprintf(error->message + length, sizeof error->message - length, "%s", hint);
    errno = code;
    return -1;
}

static int start_worker(struct map *map, sharedmem_error *error)
{
    map->next_member = member_reserve();
    if (map->next_member == 0)
        return refused(map, error);
    if (supervise_fork(&map->children, map->next_rank, map->next_member, map_worker, map) == 0)
        return 0;
    refused(map, error);
    member_release(map->next_member);
    return -1;
}

static int start_workers(struct map *map, sharedmem_error *error)
{
    /* What is pending would else be printed once more by each worker. */
    fflush(NULL);
    for (map->next_rank = 0; map->next_rank < map->np; map->next_rank++) {
        if (start_worker(map, error) != 0)
            return -1;
    }
    return 0;
}

/* Takes the results that are there. */
static void drain(struct map *map)
{
    uint64_t item;
    int code;

    if (map->results.window == 0 || map->failed)
        return;
    code = results_drain(&map->results, map->options.n, map->options.reduce, map->options.context, &item);
    if (code == 0)
        return;
    map_reduce_error(map->error, item, code);
    end_early(map);
}

/* How long the master may sleep; 0: not at all, a result came meanwhile. */
static uint64_t sleep_ns(const struct map *map)
{
    uint64_t now;

    if (!map->failed)
        return map->results.window == 0 || results_sleep(&map->results) ? LOOK_NS : 0;
    now = clock_monotonic_ns();
    return map->kill_at_ns > now && map->kill_at_ns - now < LOOK_NS ? map->kill_at_ns - now : LOOK_NS;
}

static void watch_once(struct map *map)
{
    supervise_wait(&map->children, sleep_ns(map), worker_ended, map);
    if (map->results.window != 0)
        results_wake_up(&map->results);
    notice_failure(map);
    drain(map);
    if (map->failed && clock_monotonic_ns() >= map->kill_at_ns)
        supervise_signal(&map->children, SIGKILL);
}

/* Who waits, watches: until the last worker has ended. */
static void watch(struct map *map)
{
    struct wait wait;

    wait_begin(&wait, WAIT_WORKERS, map->options.where, 0);
    wait_publish(&wait);
    while (map->children.n_running > 0)
        watch_once(map);
    wait_end(&wait);
    drain(map);
}

int map_forked(const sharedmem_map_options *options, uint32_t np, sharedmem_error *error)
{
    struct map map;
    int result;

    if (memory_enter(error) != 0)
        return -1;
    plan_map(&map, options, np, error);
    result = open_map(&map, error);
    if (result == 0) {
        result = start_workers(&map, error);
        if (result != 0) {
            int code = errno;

            end_early(&map);
            supervise_signal(&map.children, SIGKILL);
            watch(&map);
            errno = code;
        } else {
            watch(&map);
        }
    }
    close_map(&map);
    if (result == 0 && map.failed) {
        errno = ECANCELED;
        result = -1;
    }
    return result;
}
