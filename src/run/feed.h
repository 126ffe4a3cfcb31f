/*
 * feed.h: what sharedmem_item() gives: the items of the caller's array, or those that the caller's next makes
 * while the map runs. The latter go through a ring: the master is at most .look_ahead items ahead of the oldest
 * one that is not taken (results.h), and a worker that is ahead of the master waits.
 */
#ifndef RUN_FEED_H
#define RUN_FEED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sharedmem.h"
#include "team/team.h"

struct feed_shared {
    _Atomic uint64_t n_made; /* items below it are there */
    _Atomic uint64_t n_end;  /* there will be no more than these; UINT64_MAX: not known yet */
    _Atomic uint32_t turn;   /* counts changes of both: the futex word of workers that wait for items */
    _Atomic uint32_t waiting_workers;
    char unused[40];
};

/* Every worker has its copy. */
struct feed {
    const char *array;   /* the caller's items, or a copy of them; NULL: none, or next makes them */
    size_t size;         /* bytes of an item; 0: there are none */
    size_t stride;       /* bytes of a slot; 0: next makes none */
    uint64_t look_ahead; /* next: at most so many more than are taken */
    uint64_t window;     /* slots, a power of two */
    size_t copied_bytes; /* of the array: it is private, and workers cannot see it */
    struct feed_shared *shared;
    char *slots;
    uint32_t master;
};

/* Decides how items go. */
void feed_plan(struct feed *feed, const sharedmem_map_options *options);

/* How much shared memory that needs; SIZE_MAX where it overflows. Puts it there, aligned to 64. */
size_t feed_bytes(const struct feed *feed);
void feed_bind(struct feed *feed, void *memory);

/* Whether next makes the items. */
static inline bool feed_is_made(const struct feed *feed)
{
    return feed->stride > 0;
}

/* Item i, which is there; NULL where the map has no items. */
const void *feed_item(const struct feed *feed, uint64_t i);

/*
 * Worker: waits until item i is there. Returns false where there are fewer, the team stopped, or the master is
 * gone.
 */
bool feed_wait(const struct feed *feed, const struct team_shared *team, uint64_t i, const char *where);

/* Master: whether there is room to make another item, and whether there may be one. */
bool feed_may_make(const struct feed *feed, uint64_t n_taken);

/* Master: where the next item is to be made. */
void *feed_place(const struct feed *feed);

/* Master: the next item is made; or it is known that there is none any more. */
void feed_made(const struct feed *feed);
void feed_ended(const struct feed *feed);

/* Master: how many there are by now, and in the end (UINT64_MAX: not known yet). */
uint64_t feed_n_made(const struct feed *feed);
uint64_t feed_n_end(const struct feed *feed);

#endif
