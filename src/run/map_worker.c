/* A map's worker: takes chunks and does their items. */
#include "base/error.h"
#include "base/fault.h"
#include "run/crew_errors.h"
#include "run/map_shared.h"
#include "team/ordered.h"

/* Does item i. Returns false where this was the worker's last one. */
static bool do_item(struct map *map, uint64_t i)
{
    uint32_t rank = map->crew.place.rank;
    sharedmem_error error;
    void *result;
    int code;

    if (!results_begin(&map->results, map->crew.team, i, map->options.where, &result))
        return false;
    code = map->options.work(i, result, map->options.context);
    crew_check_self(&map->crew);
    FAULT_POINT();
    if (code != 0 || map->crew.place.in_ordered) {
        if (code != 0)
            crew_item_error(&error, rank, i, code);
        else
            crew_region_error(&error, i);
        crew_fail(&map->crew, &error);
        return false;
    }
    error_drop_fail_message();
    results_end(&map->results, i);
    FAULT_POINT();
    return !team_is_stopping(map->crew.team);
}

static bool do_chunk(struct map *map, uint64_t begin, uint64_t end)
{
    struct team_shared *team = map->crew.team;
    struct team_rank_shared *mine = &team->ranks[map->crew.place.rank];

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

void map_work(struct crew *crew)
{
    struct map *map = (struct map *)crew;
    struct schedule_turn turn = {0};
    uint64_t begin, end;

    while (schedule_next(&map->schedule, map->dealt, &turn, crew->place.rank, &begin, &end)) {
        if (!do_chunk(map, begin, end))
            break;
    }
}
