/* A map's worker: takes chunks, does their items, and leaves. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "memory/member.h"
#include "run/map_shared.h"

/* The map that this process is a worker of, for leaving from within the user's code. */
static struct map *my_map;

static struct map_worker_shared *my_line(const struct map *map)
{
    return &map->workers[map->next_rank];
}

/*
 * The regular end. What the program printed is flushed here, since _exit() does not: exit() would run the
 * program's exit handlers once more for each worker.
 */
static _Noreturn void leave(struct map *map, int status)
{
    fflush(NULL);
    /* release: who sees it sees all of this worker's results. */
    atomic_store_explicit(&my_line(map)->left, 1, memory_order_release);
    _exit(status);
}

static void fail(struct map *map, sharedmem_error *error)
{
    error->rank = (int32_t)map->next_rank;
    error->pid = getpid();
    team_fail(map->team, map->next_rank, error);
}

/* An uncaught error within an item: the item fails with it. */
static void leave_by_error(const sharedmem_error *error)
{
    sharedmem_error mine = *error;

    mine.item = atomic_load_explicit(&my_line(my_map)->item, memory_order_relaxed);
    fail(my_map, &mine);
    leave(my_map, EXIT_FAILURE);
}

static void start(struct map *map)
{
    /* The slot was taken away: the master is gone, and this process is about to be. */
    if (member_become(map->next_member) != 0)
        _exit(EXIT_FAILURE);
    my_map = map;
    team_enter(map->next_rank, map->np);
    error_set_leave(leave_by_error);
    /* Not being bound costs speed, not results. */
    if (map->plan != NULL)
        binding_apply(map->plan, (int)map->next_rank);
    FAULT_POINT();
}

/* Does item i. Returns false where this was the worker's last one. */
static bool do_item(struct map *map, uint64_t i)
{
    sharedmem_error error;
    void *result;
    int code;

    if (!results_begin(&map->results, map->team, map->next_rank, i, map->options.where, &result))
        return false;
    code = map->options.work(i, result, map->options.context);
    FAULT_POINT();
    if (code != 0) {
        map_item_error(&error, map->next_rank, i, code);
        fail(map, &error);
        return false;
    }
    error_take_fail_message(NULL);
    results_end(&map->results, i);
    FAULT_POINT();
    return !team_is_stopping(map->team);
}

static bool do_chunk(struct map *map, uint64_t begin, uint64_t end)
{
    _Atomic uint64_t *item = &my_line(map)->item;

    for (uint64_t i = begin; i < end; i++) {
        atomic_store_explicit(item, i, memory_order_relaxed);
        if (!do_item(map, i))
            return false;
    }
    atomic_store_explicit(item, SHAREDMEM_NO_ITEM, memory_order_relaxed);
    return true;
}

void map_worker(void *argument)
{
    struct map *map = argument;
    struct schedule_turn turn = {0};
    uint64_t begin, end;
    bool failed;

    start(map);
    while (schedule_next(&map->schedule, map->dealt, &turn, map->next_rank, &begin, &end)) {
        if (!do_chunk(map, begin, end))
            break;
    }
    failed = team_is_stopping(map->team);
    leave(map, failed ? EXIT_FAILURE : EXIT_SUCCESS);
}
