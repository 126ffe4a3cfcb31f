/*
 * rank_threads.h: teams whose ranks are threads of the test, for tests of what ranks do together.
 *
 *     static void body(struct rank *me)
 *     {
 *         check(me, sharedmem_barrier() == 0, "a barrier failed");
 *     }
 *
 *     test_str(NULL, run(4, body, seed), "4 ranks meet");
 *
 * Each rank is a member, and in its place of the team while it runs body. Checks are noted, since results are
 * printed by the test's first thread. Include it last, for it has a variable team.
 */
#ifndef T_RANK_THREADS_H
#define T_RANK_THREADS_H

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory/heap.h"
#include "memory/memory.h"
#include "tap.h"
#include "team/team.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MAX_RANKS       32

struct rank {
    pthread_t thread;
    struct team_place place;
    void (*body)(struct rank *me);
    unsigned seed;   /* its own: when it dawdles */
    unsigned common; /* the same in all ranks: what they do */
    const char *wrong;
    void *block; /* for body */
};

static struct rank ranks[MAX_RANKS];
static struct team_shared *team;

/* What a test does besides: for a new team; in each rank before body, and behind it. Each may be NULL. */
static struct {
    void (*new_team)(void);
    void (*begin)(struct rank *me);
    void (*end)(struct rank *me);
} hooks;

static inline void *be_rank(void *argument)
{
    struct rank *me = argument;

    if (memory_enter(NULL) != 0) {
        me->wrong = "no shared memory in a thread";
        return NULL;
    }
    atomic_store_explicit(&team->ranks[me->place.rank].member, member_my_id, memory_order_release);
    if (hooks.begin != NULL)
        hooks.begin(me);
    team_enter_thread(&me->place);
    me->body(me);
    team_enter_thread(NULL);
    if (hooks.end != NULL)
        hooks.end(me);
    return NULL;
}

static inline void start_team(uint32_t n)
{
    team = heap_alloc(team_bytes(n), HEAP_ALIGNMENT);
    team_init(team, n, false);
    memset(ranks, 0, sizeof ranks);
    if (hooks.new_team != NULL)
        hooks.new_team();
}

static inline void start_ranks(void (*body)(struct rank *me), unsigned seed)
{
    for (uint32_t rank = 0; rank < team->size; rank++) {
        ranks[rank].place = (struct team_place){.team = team, .rank = rank};
        ranks[rank].body = body;
        ranks[rank].common = seed;
        ranks[rank].seed = seed * 100 + rank;
        pthread_create(&ranks[rank].thread, NULL, be_rank, &ranks[rank]);
    }
}

/* What was wrong first, or NULL. */
static inline const char *join_ranks(void)
{
    const char *wrong = NULL;

    for (uint32_t rank = 0; rank < team->size; rank++) {
        pthread_join(ranks[rank].thread, NULL);
        if (wrong == NULL)
            wrong = ranks[rank].wrong;
    }
    return wrong;
}

static inline void end_team(void)
{
    team_free_blocks(team);
    heap_free(team);
}

/* The life of a team of n. Returns what was wrong first, or NULL. */
static inline const char *run(uint32_t n, void (*body)(struct rank *me), unsigned seed)
{
    const char *wrong;

    start_team(n);
    start_ranks(body, seed);
    wrong = join_ranks();
    end_team();
    return wrong;
}

/* The first one counts. */
static inline void check(struct rank *me, bool held, const char *what)
{
    if (!held && me->wrong == NULL)
        me->wrong = what;
}

static inline unsigned below(unsigned *seed, unsigned n)
{
    return (unsigned)rand_r(seed) % n;
}

/* Sleeps once in n calls, and lets others go first in one of 20. */
static inline void dawdle_once_in(struct rank *me, unsigned n)
{
    unsigned what = below(&me->seed, n);

    if (what == 0)
        usleep(200);
    else if (what < n / 20)
        sched_yield();
}

static inline uint64_t blocks_in_heap(void)
{
    struct heap_statistics statistics;

    heap_statistics_read(&statistics);
    return statistics.n_blocks;
}

#endif
