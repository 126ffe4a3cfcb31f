/*
 * Maps that end early, by sharedmem_stop() from wherever it may be called, or by a failure: what .states
 * calls done is in .results and was reduced, once; nothing else was.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sharedmem.h>

#include "backends.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define N_ITEMS         20000 /* at 1 ms each: who is not stopped runs into the time limit */
#define STOP_AT         60

enum stopper {
    BY_ITEM,
    BY_ITEMS_SIGNAL, /* its handler calls sharedmem_stop(), in the worker */
    BY_REDUCE,
    BY_NEXT,
    BY_PROGRESS,
    BY_THREAD,
    BY_SIGNAL, /* to the master's thread, which sleeps */
    BY_FAILURE
};

struct shared {
    enum stopper stopper;
    int signal;
    bool is_generated;
    _Atomic size_t n_done;  /* by items */
    _Atomic size_t n_other; /* by those of another map at the same time, where there is one */
    _Atomic size_t n_signals;
};

static struct shared *shared;
static sharedmem_pool *pool;
static uint8_t reduced[N_ITEMS], states[N_ITEMS];
static uint64_t results[N_ITEMS];

static void stop_by_signal(int signal)
{
    (void)signal;
    sharedmem_stop();
    atomic_fetch_add(&shared->n_signals, 1);
}

static int work(size_t i, void *result, void *context)
{
    (void)context;
    if (i == STOP_AT && shared->stopper == BY_FAILURE) {
        /* So that there is something behind it that is done. */
        while (atomic_load(&shared->n_done) < STOP_AT + 10 && sharedmem_size() > 1)
            usleep(100);
        return 5;
    }
    usleep(shared->stopper == BY_ITEM || shared->stopper == BY_FAILURE ? 10 : 1000);
    *(uint64_t *)result += i + 1;
    if (i == STOP_AT && shared->stopper == BY_ITEM)
        sharedmem_stop();
    if (i == STOP_AT && shared->stopper == BY_ITEMS_SIGNAL)
        raise(SIGUSR1);
    atomic_fetch_add(&shared->n_done, 1);
    return 0;
}

static int reduce(size_t i, void *result, void *context)
{
    (void)context;
    reduced[i]++;
    if (*(uint64_t *)result != i + 1 + (shared->is_generated ? 0 : 1000))
        reduced[i] += 10;
    if (shared->stopper == BY_REDUCE && i == STOP_AT)
        sharedmem_stop();
    return 0;
}

static int next(size_t i, void *item, void *context)
{
    (void)context;
    memcpy(item, &i, sizeof i);
    if (shared->stopper == BY_NEXT && i == STOP_AT)
        sharedmem_stop();
    return i < N_ITEMS;
}

static void progress(const sharedmem_progress *progress, void *context)
{
    (void)context;
    if (shared->stopper == BY_PROGRESS && progress->n_done > 0)
        sharedmem_stop();
}

struct other {
    pthread_t thread, master;
};

/* Stops the map once it is under way. */
static void *stop_from_thread(void *argument)
{
    struct other *other = argument;

    while (atomic_load(&shared->n_done) < 10 || atomic_load(&shared->n_other) < 10)
        usleep(1000);
    if (shared->stopper == BY_THREAD)
        sharedmem_stop();
    else
        pthread_kill(other->master, shared->signal);
    return NULL;
}

/* Whether what is done was done, and nothing else was touched. */
static bool is_consistent(bool is_reduced)
{
    size_t n_done = 0;
    bool good = true;

    for (size_t i = 0; i < N_ITEMS; i++) {
        bool done = states[i] == SHAREDMEM_DONE;

        n_done += done;
        good &= !done || results[i] == 1000 + i + 1;
        good &= !is_reduced || reduced[i] == done;
        good &= states[i] != SHAREDMEM_FAILED || (shared->stopper == BY_FAILURE && i == STOP_AT);
    }
    /* Of a map that failed reduce gets nothing more: it may have had nothing yet. */
    if (n_done == 0 && is_reduced && shared->stopper == BY_FAILURE)
        return good;
    return good && n_done > 0 && n_done < N_ITEMS;
}

static bool is_consistent_generated(void)
{
    bool good = reduced[N_ITEMS - 1] == 0;

    for (size_t i = 0; i < N_ITEMS; i++)
        good &= reduced[i] <= 1;
    return good;
}

static void prepare(enum stopper stopper, bool is_generated, int signal)
{
    memset(reduced, 0, sizeof reduced);
    memset(states, 77, sizeof states);
    for (size_t i = 0; i < N_ITEMS; i++)
        results[i] = 1000;
    *shared =
        (struct shared){.stopper = stopper, .is_generated = is_generated, .signal = signal, .n_other = 10};
}

/* One map that ends early. Returns what it returned. */
static int end_early(const struct way *way, int order, bool is_reduced, sharedmem_error *error)
{
    bool made = shared->is_generated;
    sharedmem_map_options options = {.n = made ? SIZE_MAX : N_ITEMS,
                                     .work = work,
                                     .np = 3,
                                     .schedule = SHAREDMEM_DYNAMIC,
                                     .results = made ? NULL : results,
                                     .states = made ? NULL : states,
                                     .result_size = sizeof *results,
                                     .next = made ? next : NULL,
                                     .item_size = made ? sizeof(size_t) : 0,
                                     .reduce = is_reduced || made ? reduce : NULL,
                                     .reduce_order = order,
                                     .progress = progress,
                                     .error = error};
    struct other other = {.master = pthread_self()};
    bool has_other = shared->stopper == BY_THREAD || shared->stopper == BY_SIGNAL;
    int result;

    if (has_other)
        pthread_create(&other.thread, NULL, stop_from_thread, &other);
    result = way_map(way, pool, &options);
    if (has_other)
        pthread_join(other.thread, NULL);
    return result;
}

static const struct {
    const char *name;
    enum stopper stopper;
    bool is_generated;
    int signal;
} rows[] = {
    {"an item", BY_ITEM, false, 0},
    {"a signal's handler in an item", BY_ITEMS_SIGNAL, false, 0},
    {"reduce", BY_REDUCE, false, 0},
    {"next", BY_NEXT, true, 0},
    {"reduce, of a generator", BY_REDUCE, true, 0},
    {"progress", BY_PROGRESS, false, 0},
    {"another thread", BY_THREAD, false, 0},
    {"SIGINT", BY_SIGNAL, false, SIGINT},
    {"SIGUSR2, of a generator", BY_SIGNAL, true, SIGUSR2},
    {"a failure", BY_FAILURE, false, 0},
};

static void test_row(const struct way *way, size_t r)
{
    static const struct {
        const char *name;
        int order;
        bool is_reduced;
    } kinds[] = {{"by index", SHAREDMEM_BY_INDEX, true},
                 {"as done", SHAREDMEM_AS_DONE, true},
                 {"no reduce", 0, false}};
    bool fails = rows[r].stopper == BY_FAILURE;

    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        sharedmem_error error;
        int result;

        if (!kinds[k].is_reduced && rows[r].stopper == BY_REDUCE)
            continue;
        prepare(rows[r].stopper, rows[r].is_generated, rows[r].signal);
        result = end_early(way, kinds[k].order, kinds[k].is_reduced, &error);
        test_int(fails ? -1 : SHAREDMEM_STOPPED, result, "%s, %s: ended by %s", way->name, kinds[k].name,
                 rows[r].name);
        test_int(fails ? SHAREDMEM_ERROR_RETURNED : SHAREDMEM_ERROR_NONE, error.kind, "its error");
        test_ok(rows[r].is_generated ? is_consistent_generated() : is_consistent(kinds[k].is_reduced),
                "what is done is done once, and kept");
        if (fails)
            test_int(SHAREDMEM_FAILED, states[STOP_AT], "the state of what failed");
    }
}

/* ---- Which maps are stopped ---- */

static int count(size_t i, void *result, void *context)
{
    (void)context;
    *(uint64_t *)result = i;
    return 0;
}

static bool is_whole(const struct way *way)
{
    uint64_t got[300] = {0};
    bool good =
        way_map(way, pool,
                &(sharedmem_map_options){
                    .n = 300, .work = count, .np = 3, .results = got, .result_size = sizeof *got}) == 0;

    for (size_t i = 0; i < 300; i++)
        good &= got[i] == i;
    return good;
}

static int stop_here(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    if (i == 3)
        sharedmem_stop();
    usleep(1000);
    return 0;
}

static int map_that_stops(size_t i, void *result, void *context)
{
    *(int *)result =
        sharedmem_map(N_ITEMS, stop_here, context, .np = 2, .backend = (int)(i % 3 == 0 ? 1 : i % 3));
    return 0;
}

static void test_inner(const struct way *way)
{
    int got[6] = {0};

    test_int(
        0,
        way_map(way, pool,
                &(sharedmem_map_options){
                    .n = 6, .work = map_that_stops, .np = 2, .results = got, .result_size = sizeof *got}),
        "%s: the map around one that is stopped goes on", way->name);
    for (size_t i = 0; i < COUNT_OF(got); i++) {
        if (got[i] != SHAREDMEM_STOPPED)
            test_int(SHAREDMEM_STOPPED, got[i], "the inner map %zu is stopped", i);
    }
}

static int sleep_long(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    atomic_fetch_add((_Atomic size_t *)context, 1);
    usleep(1000);
    return 0;
}

static int map_for_long(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    if (i == 1) {
        while (atomic_load(&shared->n_done) < 10)
            usleep(1000);
        sharedmem_stop();
        return 0;
    }
    sharedmem_map(N_ITEMS, sleep_long, &shared->n_done, .np = 2, .backend = SHAREDMEM_THREADS);
    return 0;
}

static void test_outer(const struct way *way)
{
    if (!way_is_parallel(way))
        return;
    prepare(BY_ITEM, false, 0);
    test_int(SHAREDMEM_STOPPED,
             way_map(way, pool,
                     &(sharedmem_map_options){
                         .n = 2, .work = map_for_long, .np = 2, .schedule = SHAREDMEM_STATIC}),
             "%s: a stop ends maps inside too", way->name);
}

struct mapper {
    const struct way *way;
    _Atomic size_t *n_done;
};

static void *map_in_thread(void *argument)
{
    struct mapper *mapper = argument;

    return (void *)(intptr_t)way_map(
        mapper->way, NULL,
        &(sharedmem_map_options){
            .n = N_ITEMS, .work = sleep_long, .context = (void *)mapper->n_done, .np = 2});
}

/* One Ctrl-C: which thread the handler runs in is chance. */
static void test_all_maps(const struct way *way)
{
    struct other other = {.master = pthread_self()};
    struct mapper here = {way, &shared->n_done}, there = {way, &shared->n_other};
    pthread_t thread;
    void *theirs, *mine;

    /* Where the caller does the items, it is always in one: its own map is meant. */
    if (!way_is_parallel(way) || way->has_pool)
        return;
    prepare(BY_SIGNAL, false, SIGINT);
    atomic_store(&shared->n_other, 0);
    pthread_create(&thread, NULL, map_in_thread, &there);
    pthread_create(&other.thread, NULL, stop_from_thread, &other);
    mine = map_in_thread(&here);
    pthread_join(other.thread, NULL);
    pthread_join(thread, &theirs);
    test_int(SHAREDMEM_STOPPED, (intptr_t)mine, "%s: a handler in a thread that maps stops its map",
             way->name);
    test_int(SHAREDMEM_STOPPED, (intptr_t)theirs, "%s: and that of another thread", way->name);
}

/* ---- Idle workers of a pool get Ctrl-C too: no map of theirs is left to stop ---- */

static int give_pid(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    *(pid_t *)result = getpid();
    return 0;
}

static void test_idle_pool(void)
{
    enum { N_BLOCKS = 1000 };
    char *blocks[N_BLOCKS];
    pid_t pids[4] = {0};
    int n_changed = 0;

    way_map(&(struct way){.has_pool = true}, pool,
            &(sharedmem_map_options){.n = 4,
                                     .work = give_pid,
                                     .np = 4,
                                     .schedule = SHAREDMEM_STATIC,
                                     .results = pids,
                                     .result_size = sizeof *pids});
    /* What the map's memory was is given to others. */
    for (size_t k = 0; k < N_BLOCKS; k++)
        blocks[k] = sharedmem_calloc(k % 40 + 1, 1024);
    atomic_store(&shared->n_signals, 0);
    for (size_t k = 0; k < COUNT_OF(pids); k++)
        test_kill(pids[k], SIGUSR1);
    while (atomic_load(&shared->n_signals) < COUNT_OF(pids))
        usleep(1000);
    for (size_t k = 0; k < N_BLOCKS; k++) {
        for (size_t byte = 0; byte < (k % 40 + 1) * 1024; byte++)
            n_changed += blocks[k][byte] != 0;
        sharedmem_free(blocks[k]);
    }
    test_int(0, n_changed, "a stop in an idle worker of a pool writes to nobody's memory");
    test_ok(is_whole(&(struct way){.has_pool = true}), "and its next map is whole");
}

int main(void)
{
    test_begin(200);
    setenv("SHAREDMEM_HEAP", "256M", 1);
    shared = sharedmem_new(struct shared, 1);
    signal(SIGINT, stop_by_signal);
    signal(SIGUSR1, stop_by_signal);
    signal(SIGUSR2, stop_by_signal);
    if (!test_thread_sanitized())
        pool = sharedmem_pool_create(4, NULL);
    for (size_t w = 0; w < N_WAYS; w++) {
        if (!way_is_possible(&ways[w]))
            continue;
        sharedmem_stop();
        test_ok(is_whole(&ways[w]), "%s: a stop where no map runs does nothing", ways[w].name);
        for (size_t r = 0; r < COUNT_OF(rows); r++)
            test_row(&ways[w], r);
        test_inner(&ways[w]);
        test_outer(&ways[w]);
        test_all_maps(&ways[w]);
        test_ok(is_whole(&ways[w]), "%s: the next map is whole", ways[w].name);
    }
    if (pool != NULL)
        test_idle_pool();
    sharedmem_pool_destroy(pool);
    test_int(0, test_children(), "no process is left");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
    return test_end();
}
