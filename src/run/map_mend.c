/*
 * Maps with .retries: a worker that gives up, or dies, is replaced, and its item tried again so many times; then
 * it is marked, and the rest goes on.
 *
 * What a worker has in hand is written down beside its rank (struct map_rank_shared), and items that are
 * complete are seen by their flags. So the next one goes on at the item that was lost.
 *
 * A worker may die in the very step that takes a chunk, before it has written down that it has it. So it
 * writes first what it wants; and the counter of items dealt says also who took the last chunk. Whoever takes
 * the next one notes that beside that rank before: so it is always known whether the dead had got what it
 * wanted.
 */
#include <stdlib.h>

#include "base/fault.h"
#include "run/map_shared.h"
#include "team/ordered.h"

/* The counter: how many items are dealt (2^48 at most), and above it 1 + the rank that took the last. */
#define OWNER_SHIFT 49
#define DEALT_MASK  (((uint64_t)1 << OWNER_SHIFT) - 1)

/* The master's memory of a rank. */
struct map_mend {
    uint64_t item; /* that its last worker was lost with */
    int32_t tries; /* of that */
};

int map_mend_open(struct map *map)
{
    if (!map_is_mended(map))
        return 0;
    map->mend = malloc(map->schedule.n_ranks * sizeof *map->mend);
    for (uint32_t rank = 0; map->mend != NULL && rank < map->schedule.n_ranks; rank++)
        map->mend[rank] = (struct map_mend){.item = SHAREDMEM_NO_ITEM - 1};
    return map->mend != NULL ? 0 : -1;
}

void map_mend_close(struct map *map)
{
    free(map->mend);
    map->mend = NULL;
}

/* ---- Taking chunks, in workers ---- */

uint64_t map_mend_dealt(const struct map *map)
{
    return atomic_load_explicit(&map->dealt->next, memory_order_relaxed) & DEALT_MASK;
}

/* Notes beside the rank that took the last chunk that it did, before the counter forgets it. */
static void note_owner(const struct map *map, uint64_t counter)
{
    uint64_t owner = counter >> OWNER_SHIFT, end = counter & DEALT_MASK, seen;
    _Atomic uint64_t *seen_end;

    if (owner == 0)
        return;
    seen_end = &map->ranks[owner - 1].seen_end;
    seen = atomic_load_explicit(seen_end, memory_order_relaxed);
    /* It only rises: who was held up here must not take back what others noted since. */
    while (seen < end && !atomic_compare_exchange_weak_explicit(seen_end, &seen, end, memory_order_relaxed,
                                                                memory_order_relaxed))
        ;
}

/* All ordered among each other, for the dead leave their stores to be read by others. */
static void write_down(_Atomic uint64_t *begin_word, uint64_t begin, _Atomic uint64_t *end_word, uint64_t end)
{
    atomic_store_explicit(begin_word, begin, memory_order_release);
    FAULT_POINT();
    atomic_store_explicit(end_word, end, memory_order_release);
    FAULT_POINT();
}

bool map_mend_take(const struct map *map, uint64_t *begin, uint64_t *end)
{
    uint32_t rank = map->crew.place.rank;
    struct map_rank_shared *hand = &map->ranks[rank];
    uint64_t counter = atomic_load_explicit(&map->dealt->next, memory_order_acquire), mine;

    do {
        *begin = counter & DEALT_MASK;
        if (*begin >= map->schedule.n)
            return false;
        *end = *begin + schedule_chunk(&map->schedule, *begin);
        note_owner(map, counter);
        FAULT_POINT();
        write_down(&hand->wanted_begin, *begin, &hand->wanted_end, *end);
        mine = (uint64_t)(rank + 1) << OWNER_SHIFT | *end;
        /* release: pairs with the acquire of who takes the next one. */
    } while (!atomic_compare_exchange_weak_explicit(&map->dealt->next, &counter, mine, memory_order_acq_rel,
                                                    memory_order_acquire));
    FAULT_POINT();
    write_down(&hand->begin, *begin, &hand->end, *end);
    return true;
}

/* ---- Workers that are lost, on the master ---- */

/* Whether rank got the chunk, up to end, that it wanted last. */
static bool has_taken(const struct map *map, uint32_t rank, uint64_t end)
{
    uint64_t mine = (uint64_t)(rank + 1) << OWNER_SHIFT | end;

    /*
     * The counter first: where another has taken it over meanwhile, that one's note was there before. Ends of
     * a rank's chunks rise: a note of an earlier one is below.
     */
    return atomic_load_explicit(&map->dealt->next, memory_order_acquire) == mine ||
           atomic_load_explicit(&map->ranks[rank].seen_end, memory_order_acquire) >= end;
}

/* Writes down what rank's worker took, but did not come to write down itself. */
static void settle(struct map *map, uint32_t rank)
{
    struct map_rank_shared *hand = &map->ranks[rank];
    uint64_t wanted = atomic_load_explicit(&hand->wanted_end, memory_order_acquire);

    if (wanted == atomic_load_explicit(&hand->end, memory_order_relaxed) || !has_taken(map, rank, wanted))
        return;
    atomic_store_explicit(&hand->begin, atomic_load_explicit(&hand->wanted_begin, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&hand->end, wanted, memory_order_relaxed);
}

/* Item was tried often enough. The first error is the map's in the end. */
static void give_up_item(struct map *map, uint32_t rank, uint64_t item, const sharedmem_error *error)
{
    if (map->crew.error->kind == SHAREDMEM_ERROR_NONE)
        *map->crew.error = *error;
    map_mark_failed(&map->options, item);
    results_skip(&map->results, item);
    /* Those behind it need not wait for its turn. */
    ordered_set_floor(map->crew.team, rank, item + 1);
}

/* Who waited for item, or for room for its result, has not begun it: it is not the item that ended it. */
static bool may_have_begun(const struct map *map, uint64_t item)
{
    return results_has_room(&map->results, item) &&
           (!feed_is_made(&map->feed) || item < feed_n_made(&map->feed));
}

/* The item that rank's worker was lost with; it had one in hand, and that is not complete. */
static uint64_t item_lost(const struct map *map, uint32_t rank)
{
    uint64_t item = atomic_load_explicit(&map->crew.team->ranks[rank].item, memory_order_relaxed);

    if (item == SHAREDMEM_NO_ITEM)
        return item;
    /* The next worker begins with it; turns (ordered.h) of items before it are over. */
    atomic_store_explicit(&map->ranks[rank].begin, item, memory_order_relaxed);
    return results_has(&map->results, item) || !may_have_begun(map, item) ? SHAREDMEM_NO_ITEM : item;
}

bool map_mend_lost(struct crew *crew, uint32_t rank, const sharedmem_error *error)
{
    struct map *map = (struct map *)crew;
    struct map_mend *mend = &map->mend[rank];
    uint64_t item;

    settle(map, rank);
    item = item_lost(map, rank);
    mend->tries = mend->item == item ? mend->tries + 1 : 1;
    mend->item = item;
    if (mend->tries > map->options.retries) {
        /* Workers that die without an item do so for another reason, and would for ever. */
        if (item == SHAREDMEM_NO_ITEM)
            return false;
        give_up_item(map, rank, item, error);
    } else if (item != SHAREDMEM_NO_ITEM) {
        results_reset(&map->results, item);
    }
    return true;
}

void map_mend_finish(struct map *map)
{
    if (map->crew.failed || map->crew.error->kind == SHAREDMEM_ERROR_NONE)
        return;
    crew_end_early(&map->crew);
}
