/* A map's worker: takes chunks and does their items. */
#include "base/each_fork.h"
#include "base/error.h"
#include "base/fault.h"
#include "run/crew_errors.h"
#include "run/map_shared.h"
#include "run/worker.h"
#include "team/ordered.h"

/* Item i has failed. Returns false: this was the worker's last one. */
static bool fail_item(struct map *map, sharedmem_error *error)
{
    if (map_is_mended(map))
        worker_give_up(&map->crew, error);
    else
        crew_fail(&map->crew, error);
    return false;
}

static bool fail_by(struct map *map, uint64_t i, int code)
{
    sharedmem_error error;

    if (code != 0)
        crew_item_error(&error, map->crew.place.rank, i, code);
    else
        crew_region_error(&error, i);
    return fail_item(map, &error);
}

enum ready { READY, DONE_BEFORE, OVER };

/* Sees to it that item i is there, and room for its result. */
static enum ready get_ready(struct map *map, uint64_t i, void **result)
{
    const char *where = map->options.where;

    /* The worker before this one has done it, or it never will be: what its place holds is left alone. */
    if (map_is_mended(map) && results_has(&map->results, i))
        return DONE_BEFORE;
    if (!feed_wait(&map->feed, map->crew.team, i, where) ||
        !results_begin(&map->results, map->crew.team, i, where, result))
        return OVER;
    map->crew.place.item = feed_item(&map->feed, i);
    return READY;
}

/*
 * Does item i. Returns false where this was the worker's last one. Where results are written in place, and
 * nobody waits for them, that is a matter of nanoseconds, and all the rest out of the way.
 */
static inline bool do_item(struct map *map, uint64_t i)
{
    void *result;
    int code;

    if (map->is_plain) {
        result = results_in_place(&map->results, i);
    } else {
        enum ready ready = get_ready(map, i, &result);

        if (ready != READY)
            return ready == DONE_BEFORE;
    }
    code = map->options.work(i, result, map->context);
    crew_check_self(&map->crew);
    FAULT_POINT();
    if (code != 0 || map->crew.place.in_ordered)
        return fail_by(map, i, code);
    error_drop_fail_message();
    if (!map->is_plain)
        results_end(&map->results, i);
    FAULT_POINT();
    return !team_is_stopping(map->crew.team);
}

EACH_FORK static bool do_chunk(struct map *map, uint64_t begin, uint64_t end)
{
    struct team_shared *team = map->crew.team;
    struct team_rank_shared *mine = &team->ranks[map->crew.place.rank];

    if (!map->crew.is_ready)
        worker_get_ready(&map->crew);
    for (uint64_t i = begin; i < end; i++) {
        atomic_store_explicit(&mine->item, i, memory_order_relaxed);
        ordered_set_floor(team, map->crew.place.rank, i);
        if (!do_item(map, i))
            return false;
    }
    atomic_store_explicit(&mine->item, SHAREDMEM_NO_ITEM, memory_order_relaxed);
    /* The next chunk begins beyond this one, wherever: those behind it need not wait until that is known. */
    ordered_set_floor(team, map->crew.place.rank, end);
    return true;
}

/* Takes a chunk, as one that another worker can go on with. */
static bool take(struct map *map, struct schedule_turn *turn, uint64_t *begin, uint64_t *end)
{
    if (map->schedule.kind == SHAREDMEM_STATIC)
        return schedule_next(&map->schedule, map->dealt, turn, map->crew.place.rank, begin, end);
    return map_mend_take(map, begin, end);
}

static bool take_and_do(struct map *map, struct schedule_turn *turn)
{
    struct map_rank_shared *hand = &map->ranks[map->crew.place.rank];
    uint64_t begin, end;

    if (!take(map, turn, &begin, &end) || !do_chunk(map, begin, end))
        return false;
    atomic_store_explicit(&hand->n_chunks, turn->n_taken, memory_order_relaxed);
    return true;
}

/* What the worker before this one had in hand; with a static schedule that is dealt once more. */
static bool do_inherited(struct map *map)
{
    struct map_rank_shared *hand = &map->ranks[map->crew.place.rank];

    if (map->schedule.kind == SHAREDMEM_STATIC)
        return true;
    return do_chunk(map, atomic_load_explicit(&hand->begin, memory_order_relaxed),
                    atomic_load_explicit(&hand->end, memory_order_relaxed));
}

static void work_mended(struct map *map)
{
    struct map_rank_shared *hand = &map->ranks[map->crew.place.rank];
    struct schedule_turn turn = {.n_taken = atomic_load_explicit(&hand->n_chunks, memory_order_relaxed)};
    bool goes_on = do_inherited(map);

    for (; goes_on; worker_settle(&map->crew))
        goes_on = take_and_do(map, &turn);
}

EACH_FORK void map_work(struct crew *crew)
{
    struct map *map = (struct map *)crew;
    struct schedule_turn turn = {0};
    uint64_t begin, end;

    if (map_is_mended(map)) {
        work_mended(map);
        return;
    }
    for (bool again = false; schedule_next(&map->schedule, map->dealt, &turn, crew->place.rank, &begin, &end);
         again = true) {
        if (again)
            worker_settle(crew);
        if (!do_chunk(map, begin, end))
            break;
    }
}
