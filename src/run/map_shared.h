/* map_shared.h: one running map, as its master and its workers know it; for the map's own files only. */
#ifndef RUN_MAP_SHARED_H
#define RUN_MAP_SHARED_H

#include <stdatomic.h>
#include <stdint.h>

#include "run/crew.h"
#include "run/feed.h"
#include "run/results.h"
#include "sharedmem.h"
#include "team/schedule.h"

/* What a worker of a mended map has in hand, for the one that takes its place (map_mend.c). */
struct map_rank_shared {
    _Atomic uint64_t begin, end; /* the chunk */
    _Atomic uint64_t n_chunks;   /* complete before that (static) */
    /* The chunk that it was last about to take; and the end of one that others saw it take. */
    _Atomic uint64_t wanted_begin, wanted_end, seen_end;
    char unused[16];
};

/* When progress was called, and is to be called. */
struct map_progress {
    uint64_t began_ns;
    uint64_t told_ns;
    uint64_t n_done;
    sharedmem_error
        error; /* an uncaught one in progress, where the caller can go back from it; else of kind NONE */
};

struct map_mend;

/* What sharedmem_item() gives in reduce: to place alone, not to maps and workers that begin meanwhile. */
struct map_item {
    const void *item;
    const struct team_place *place;
    bool is_set;
};

/* Each worker has its copy, see crew.h. */
struct map {
    struct crew crew; /* the first: a crew's work gets it as the map */
    sharedmem_map_options options;
    struct schedule schedule;
    struct results results;
    struct feed feed;
    bool is_plain; /* no items, nothing drained: an item is a call of work and no more */
    void *context; /* for work: the caller's, or a copy for parked workers */
    void *block;   /* in the segment: all that follows, the team, results and items */
    struct schedule_shared *dealt;
    struct map_rank_shared *ranks; /* NULL: the map is not mended */

    /* The master's alone. */
    struct map_mend *mend; /* for each rank; NULL: the map is not mended */
    struct map_progress progress;
    struct map_item item_before; /* what sharedmem_item() gave when the map began */
    uint64_t bad_item;           /* where reduce or next failed */
    sharedmem_error user_error;  /* where that was an uncaught error */
};

/* The map over workers of its backend. The options are checked. Returns as sharedmem_map(), error is filled. */
int map_workers(const sharedmem_map_options *options, uint32_t np, sharedmem_error *error);

/* The map by the caller alone. */
int map_serial(const sharedmem_map_options *options, sharedmem_error *error);

/* What each worker does. */
void map_work(struct crew *crew);

/* ---- What all backends do on the master ---- */

/* The item of the result that reduce is called for; until map_reset_item() to what it was before. */
struct map_item map_get_item(void);
void map_set_item(const void *item);
void map_reset_item(struct map_item before);

void map_begin_progress(struct map_progress *progress);

/* Calls progress where it is time for that, or is_last. Returns when it is time next, in ns from now. */
uint64_t map_tell_progress(struct map_progress *progress, const sharedmem_map_options *options, bool is_last);

/* Marks item, where it is one that is not done, in .states. */
void map_mark_failed(const sharedmem_map_options *options, uint64_t item);

/* ---- Mending (map_mend.c) ---- */

/* Whether items that fail are tried again, by other workers. */
static inline bool map_is_mended(const struct map *map)
{
    return map->options.retries > 0;
}

/* Returns 0, or -1 with errno ENOMEM. map_mend_close() frees what it took. */
int map_mend_open(struct map *map);
void map_mend_close(struct map *map);

/* How many items are dealt. */
uint64_t map_mend_dealt(const struct map *map);

/* Worker: takes its next chunk, and writes it down. Returns false where there is none. Not static. */
bool map_mend_take(const struct map *map, uint64_t *begin, uint64_t *end);

/* crew's lost: decides what becomes of the item that the worker had. */
bool map_mend_lost(struct crew *crew, uint32_t rank, const sharedmem_error *error);

/* All workers have ended: fails the map if an item did. */
void map_mend_finish(struct map *map);

#endif
