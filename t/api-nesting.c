/*
 * Maps among each other, and what their items do, by every way: maps in items and in reduce, from threads at
 * once, regions, errors.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "backends.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define N_ITEMS         200

struct shared {
    size_t counter; /* not atomic: lost additions show */
    size_t other;
    size_t n_log;
    size_t log[N_ITEMS];
    size_t way; /* of the maps inside */
};

static struct shared *shared;
static sharedmem_pool *pool;

static void reset(void)
{
    memset(shared, 0, sizeof *shared);
}

/* ---- Errors: the same of each way ---- */

enum failing { RETURNS, SAYS, USES_WRONGLY, BAD_REDUCE, INNER_MAP };

static int just_fail(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    return i == 2 ? sharedmem_fail(3, "too deep") : 0;
}

static int fail_somehow(size_t i, void *result, void *context)
{
    (void)result;
    if (i != 1)
        return 0;
    switch (*(enum failing *)context) {
    case RETURNS:
        return 12;
    case SAYS:
        return sharedmem_fail(-3, "no such file: %s%c", "a.nml", '!');
    case USES_WRONGLY:
        sharedmem_critical_begin("a name that is longer than forty-seven bytes, by far", SHAREDMEM_HERE);
        return 0;
    case INNER_MAP:
        sharedmem_map(3, just_fail, NULL, .np = 1);
        return 0;
    default:
        return 0;
    }
}

static int fail_to_reduce(size_t i, void *result, void *context)
{
    (void)result;
    return *(enum failing *)context == BAD_REDUCE && i == 1 ? sharedmem_fail(9, "full") : 0;
}

static const struct {
    const char *name;
    enum failing how;
    int kind, code;
    const char *message;
} failures[] = {
    {"a code", RETURNS, SHAREDMEM_ERROR_RETURNED, 12, "item 1 failed with code 12 in worker N"},
    {"sharedmem_fail()", SAYS, SHAREDMEM_ERROR_RETURNED, -3,
     "item 1 failed with code -3 in worker N: no such file: a.nml!"},
    {"an uncaught error", USES_WRONGLY, SHAREDMEM_ERROR_USAGE, ENAMETOOLONG,
     "critical: the name is longer than 47 bytes"},
    {"reduce", BAD_REDUCE, SHAREDMEM_ERROR_RETURNED, 9, "reduce of item 1 failed with code 9: full"},
    {"an uncaught map inside", INNER_MAP, SHAREDMEM_ERROR_RETURNED, 3,
     "item 2 failed with code 3 in worker N: too deep"},
};

/* "worker 2" becomes "worker N": which one it was is chance. There are less than ten. */
static const char *without_worker(sharedmem_error *error)
{
    char *worker = strstr(error->message, "in worker ");

    if (worker != NULL)
        worker[strlen("in worker ")] = 'N';
    return error->message;
}

static void test_failures(const struct way *way)
{
    enum failing *how = sharedmem_new(enum failing, 1);

    for (size_t f = 0; f < COUNT_OF(failures); f++) {
        sharedmem_error error;
        uint8_t states[20];
        int result;

        *how = failures[f].how;
        result = way_map(way, pool,
                         &(sharedmem_map_options){.n = 20,
                                                  .work = fail_somehow,
                                                  .context = how,
                                                  .np = 3,
                                                  .result_size = 8,
                                                  .reduce = fail_to_reduce,
                                                  .states = states,
                                                  .where = SHAREDMEM_HERE,
                                                  .error = &error});
        test_ok(result == -1 && errno == ECANCELED && error.item == 1, "%s: %s fails the map, with its item",
                way->name, failures[f].name);
        test_int(failures[f].kind, error.kind, "its kind");
        test_int(failures[f].code, error.code, "its code");
        test_str(failures[f].message, without_worker(&error), "its message");
        test_has("api-nesting.c:", error.where, "its place");
        test_ok(error.rank == -1 || (error.rank >= 0 && error.rank < 3), "its rank");
        test_int(SHAREDMEM_FAILED, states[1], "its state");
    }
    sharedmem_free(how);
}

/* ---- Regions ---- */

static int leave_regions(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    for (int k = 0; k < 2; k++) {
        SHAREDMEM_CRITICAL
        {
            if (i % 4 == 0)
                break;
            if (i % 4 == 1)
                goto out;
            shared->counter++;
        }
    }
    SHAREDMEM_CRITICAL_NAMED("other")
    {
        shared->other++;
        if (i % 4 == 2)
            return 0;
    }
out:
    SHAREDMEM_ORDERED
    {
        shared->log[shared->n_log++] = i;
        if (i % 4 == 3)
            return 0;
    }
    return 0;
}

static bool is_log_right(void)
{
    size_t at = 0;

    for (size_t i = 0; i < N_ITEMS; i++) {
        if (i % 4 != 2 && (at >= shared->n_log || shared->log[at++] != i))
            return false;
    }
    return at == shared->n_log;
}

static void test_regions(const struct way *way)
{
    bool good = true;

    for (int round = 0; round < 15; round++) {
        reset();
        good &= way_map(way, pool,
                        &(sharedmem_map_options){.n = N_ITEMS,
                                                 .work = leave_regions,
                                                 .np = 4,
                                                 .schedule = round % 3,
                                                 .chunk = (size_t)round % 4}) == 0 &&
                shared->counter == N_ITEMS && shared->other == N_ITEMS / 4 * 3 && is_log_right();
    }
    test_ok(good, "%s: regions left by break, goto, return and at their end", way->name);
}

static int fail_inside(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    SHAREDMEM_CRITICAL
    SHAREDMEM_CRITICAL_NAMED("other")
    {
        if (i == 3)
            sharedmem_barrier();
    }
    return 0;
}

static int enter_both(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    SHAREDMEM_CRITICAL
    SHAREDMEM_CRITICAL_NAMED("other")
    {
        shared->counter++;
    }
    return 0;
}

static void test_error_inside(const struct way *way)
{
    sharedmem_error error;
    int result =
        way_map(way, pool, &(sharedmem_map_options){.n = 20, .work = fail_inside, .np = 3, .error = &error});

    reset();
    test_ok(result == -1 && error.kind == SHAREDMEM_ERROR_USAGE && error.item == 3,
            "%s: an error in two regions", way->name);
    enter_both(0, NULL, NULL);
    test_ok(way_map(way, pool, &(sharedmem_map_options){.n = 20, .work = enter_both, .np = 3}) == 0 &&
                shared->counter == 21,
            "%s: leaves them free", way->name);
}

static void test_map_in_critical(const struct way *way)
{
    sharedmem_error error;
    int result = 0, code = 0;

    SHAREDMEM_CRITICAL
    {
        result = way_map(way, pool,
                         &(sharedmem_map_options){.n = 20, .work = enter_both, .np = 3, .error = &error});
        code = errno;
    }
    test_ok(result == -1 && code == ECANCELED && error.kind == SHAREDMEM_ERROR_USAGE && error.code == EDEADLK,
            "%s: a map in a region that its items enter fails", way->name);
    reset();
    SHAREDMEM_CRITICAL_NAMED("third")
    {
        result = way_map(way, pool, &(sharedmem_map_options){.n = 20, .work = enter_both, .np = 3});
    }
    test_ok(result == 0 && shared->counter == 20, "%s: in another region it works", way->name);
}

/* ---- Maps in maps ---- */

static int square(size_t i, void *result, void *context)
{
    (void)context;
    *(uint64_t *)result = i * i;
    return 0;
}

static int add(size_t i, void *result, void *context)
{
    (void)i;
    *(uint64_t *)context += *(uint64_t *)result;
    return 0;
}

static bool sum_is_right(const struct way *way, sharedmem_pool *its_pool)
{
    uint64_t *sum = sharedmem_calloc(1, sizeof *sum);
    bool good = way_map(way, its_pool,
                        &(sharedmem_map_options){.n = 50,
                                                 .work = square,
                                                 .context = sum,
                                                 .np = 2,
                                                 .result_size = sizeof(uint64_t),
                                                 .reduce = add}) == 0 &&
                *sum == 40425;

    sharedmem_free(sum);
    return good;
}

/* A pool of its own, where the way needs one. */
static bool do_both(const struct way *way)
{
    sharedmem_pool *inner = way->has_pool ? sharedmem_pool_create(2, NULL) : NULL;
    bool good = sum_is_right(way, inner) && sum_is_right(way, inner);

    sharedmem_pool_destroy(inner);
    return good;
}

static int map_inside(size_t i, void *result, void *context)
{
    (void)context;
    *(uint64_t *)result = i;
    return do_both(&ways[shared->way]) ? 0 : 1;
}

static int reduce_by_map(size_t i, void *result, void *context)
{
    (void)context;
    return *(uint64_t *)result == i && do_both(&ways[shared->way]) ? 0 : 1;
}

static void test_nested(const struct way *way)
{
    size_t rounds = test_under_valgrind() ? 1 : 3, n = test_under_valgrind() ? 3 : 6;

    for (size_t inner = 0; inner < N_WAYS; inner++) {
        bool good = true;

        if (!way_is_possible(&ways[inner]))
            continue;
        shared->way = inner;
        for (size_t round = 0; round < rounds; round++)
            good &= way_map(way, pool,
                            &(sharedmem_map_options){.n = n,
                                                     .work = map_inside,
                                                     .np = 3,
                                                     .result_size = sizeof(uint64_t),
                                                     .reduce = reduce_by_map}) == 0;
        test_ok(good, "%s: with maps by %s in its items and in reduce", way->name, ways[inner].name);
    }
}

/* ---- sharedmem_item() belongs to the innermost map ---- */

static const long outer_items[] = {100, 101, 102}, inner_items[] = {7, 8};

static int take_item(size_t i, void *result, void *context)
{
    const long *item = sharedmem_item();

    (void)i;
    (void)context;
    *(long *)result = item != NULL ? *item : -1;
    return 0;
}

static bool gives_items(const struct way *way, const long *items, long first)
{
    long got[2] = {0};

    return way_map(way, NULL,
                   &(sharedmem_map_options){.n = 2,
                                            .work = take_item,
                                            .items = items,
                                            .item_size = items != NULL ? sizeof *items : 0,
                                            .results = got,
                                            .result_size = sizeof *got,
                                            .np = 2}) == 0 &&
           got[0] == first && got[1] == (first < 0 ? first : first + 1);
}

static bool items_are_right(size_t i)
{
    const struct way *way = &ways[shared->way];
    const long *mine = sharedmem_item();

    return *mine == outer_items[i] && gives_items(way, inner_items, 7) && gives_items(way, NULL, -1) &&
           sharedmem_item() == mine;
}

static int check_items(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    return items_are_right(i) ? 0 : 1;
}

static void test_items_inside(const struct way *way)
{
    for (size_t inner = 0; inner < N_WAYS; inner++) {
        sharedmem_error error;
        sharedmem_map_options options = {.n = 3,
                                         .work = check_items,
                                         .items = outer_items,
                                         .item_size = sizeof *outer_items,
                                         .np = 2,
                                         .error = &error};

        if (!way_is_possible(&ways[inner]) || ways[inner].has_pool)
            continue;
        shared->way = inner;
        test_int(0, way_map(way, pool, &options), "%s: items of a map by %s inside", way->name,
                 ways[inner].name);
        options.reduce = check_items;
        options.work = take_item;
        options.result_size = sizeof(long);
        test_int(0, way_map(way, pool, &options), "%s: inside reduce", way->name);
    }
}

/* ---- From threads at once ---- */

static void *map_in_thread(void *argument)
{
    const struct way *way = argument;
    sharedmem_pool *mine = way->has_pool ? sharedmem_pool_create(2, NULL) : NULL;
    bool good = true;

    for (int k = 0; k < 20; k++)
        good &= sum_is_right(way, mine);
    sharedmem_pool_destroy(mine);
    return good ? argument : NULL;
}

static void test_from_threads(const struct way *way)
{
    pthread_t threads[4];
    bool good = true;
    void *result;

    /* It is the process's, and these would switch it. */
    if (way->is_debug)
        return;
    for (size_t t = 0; t < COUNT_OF(threads); t++)
        pthread_create(&threads[t], NULL, map_in_thread, (void *)(uintptr_t)way);
    for (size_t t = 0; t < COUNT_OF(threads); t++) {
        pthread_join(threads[t], &result);
        good &= result != NULL;
    }
    test_ok(good, "%s: from 4 threads at once", way->name);
}

/* ---- How many workers a map inside has ---- */

static int note_size(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    *(int *)result = sharedmem_size();
    return 0;
}

static int map_by_default(size_t i, void *result, void *context)
{
    int sizes[8] = {0};

    (void)i;
    (void)context;
    if (sharedmem_map(8, note_size, NULL, .backend = ways[shared->way].backend, .results = sizes,
                      .result_size = sizeof *sizes) != 0)
        return 1;
    *(int *)result = sizes[0];
    return 0;
}

static void test_default_np(const struct way *way)
{
    int sizes[2] = {0}, want = way_is_parallel(way) ? 2 : 4;

    for (size_t inner = 0; inner < 2; inner++) {
        if (!way_is_possible(&ways[inner]))
            continue;
        shared->way = inner;
        way_map(way, pool,
                &(sharedmem_map_options){
                    .n = 2, .work = map_by_default, .np = 2, .results = sizes, .result_size = sizeof *sizes});
        test_int(way->is_debug ? 1 : want, sizes[0], "%s: a map inside, by %s, has its share of the cores",
                 way->name, ways[inner].name);
    }
}

int main(void)
{
    test_begin(240);
    setenv("SHAREDMEM_HEAP", "256M", 1);
    /* Without binding, which knows the cores of this very machine. */
    setenv("SHAREDMEM_NP", "4", 1);
    setenv("SHAREDMEM_BIND", "none", 1);
    shared = sharedmem_new(struct shared, 1);
    if (!test_thread_sanitized())
        pool = sharedmem_pool_create(4, NULL);
    for (size_t w = 0; w < N_WAYS; w++) {
        if (!way_is_possible(&ways[w]))
            continue;
        test_failures(&ways[w]);
        test_regions(&ways[w]);
        test_error_inside(&ways[w]);
        test_map_in_critical(&ways[w]);
        test_nested(&ways[w]);
        test_items_inside(&ways[w]);
        test_default_np(&ways[w]);
        test_from_threads(&ways[w]);
    }
    sharedmem_pool_destroy(pool);
    test_int(0, test_children(), "no process is left");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
    return test_end();
}
