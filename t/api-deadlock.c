/*
 * Deadlocks are found, in parallel calls over processes and threads and in maps, and end as errors that say who
 * waits where; what only looks like one is none.
 */
#include <sharedmem.h>

#include "deadlocks.h"
#include "look_alikes.h"
#include "shared_block.h"
#include "tap.h"

static double longest;
static const char *longest_name;

static int call_body(size_t rank, void *result, void *context)
{
    void (*const *body)(int rank) = context;

    (void)result;
    (*body)((int)rank);
    return 0;
}

static void check_error(int result, const sharedmem_error *error, const char *name, const char *way)
{
    test_int(-1, result, "%s, %s: the call fails", name, way);
    test_int(SHAREDMEM_ERROR_DEADLOCK, error->kind, "%s, %s: by a deadlock", name, way);
    if (!test_ok(strstr(error->message, "deadlock: rank") != NULL &&
                     strstr(error->message, "deadlocks.h:") != NULL,
                 "%s, %s: who waits, and where", name, way))
        test_note("%s", error->message);
}

static void begin(void)
{
    memset(deadlocks, 0, sizeof *deadlocks);
}

static void test_true(const struct deadlock *one, int backend, const char *way)
{
    void (*body)(int rank) = one->body;
    sharedmem_error error;
    double since;
    int result;

    begin();
    since = sharedmem_wtime();
    result = sharedmem_parallel(one->size, call_body, &body, .error = &error, .backend = backend);
    since = sharedmem_wtime() - since;
    if (since > longest) {
        longest = since;
        longest_name = one->name;
    }
    check_error(result, &error, one->name, way);
}

static void test_map(const struct deadlock *one, sharedmem_map_options options, const char *way)
{
    void (*body)(int rank) = one->body;
    sharedmem_error error;

    begin();
    options.n = (size_t)one->size;
    options.np = one->size;
    options.work = call_body;
    options.context = &body;
    options.error = &error;
    options.chunk = 1;
    if (options.pool != NULL)
        options.context_size = sizeof body;
    check_error(sharedmem_map_with(&options, sizeof options), &error, one->name, way);
}

static void say_nothing(const sharedmem_progress *progress, void *context)
{
    (void)progress, (void)context;
}

static void test_maps(const struct deadlock *one)
{
    sharedmem_pool *pool = sharedmem_pool_create(one->size, NULL);

    test_map(one, (sharedmem_map_options){.backend = SHAREDMEM_THREADS}, "a map over threads");
    if (!test_thread_sanitized()) {
        test_map(one, (sharedmem_map_options){.backend = SHAREDMEM_PROCESSES}, "a map over processes");
        test_map(one, (sharedmem_map_options){.pool = pool}, "a map over a pool");
        test_map(one, (sharedmem_map_options){.progress = say_nothing}, "a map that tells of its progress");
    }
    sharedmem_pool_destroy(pool);
}

/* ---- In a call within a rank, which fails by itself: the others need not ---- */

static int call_within(size_t rank, void *result, void *context)
{
    const bool *is_map = context;
    sharedmem_error error;

    (void)result;
    if (rank == 1) {
        SHAREDMEM_LOCKED(&deadlocks->mutexes[0])
        {
            meet(2);
            sharedmem_barrier();
        }
        return 0;
    }
    meet(2);
    if (*is_map)
        expect(sharedmem_map(4, lock_first, NULL, .np = 2, .error = &error) != 0);
    else
        expect(sharedmem_background_wait(sharedmem_background_start(lock_first, NULL), &error) != 0);
    expect(error.kind == SHAREDMEM_ERROR_DEADLOCK);
    sharedmem_barrier();
    return 0;
}

static void test_within(bool is_map, const char *name)
{
    sharedmem_error error;

    begin();
    test_int(0, sharedmem_parallel(2, call_within, &is_map, .error = &error),
             "%s that needs what a rank has who waits: the ranks go on", name);
    test_int(0, deadlocks->n_wrong, "%s that needs what a rank has who waits: it fails by a deadlock", name);
}

/* ---- What is none ---- */

static void test_look_alike(const struct look_alike *one, int backend, const char *way)
{
    void (*body)(int rank) = one->body;
    sharedmem_error error;

    begin();
    test_int(0, sharedmem_parallel(one->size, call_body, &body, .error = &error, .backend = backend),
             "%s, %s: all go on", one->name, way) ||
        (test_note("%s", error.message), 0);
    test_int(0, deadlocks->n_wrong, "%s, %s: all is right", one->name, way);
}

/* ---- Maps whose master does what its workers wait for ---- */

static int slow_next(size_t i, void *item, void *context)
{
    (void)context;
    if (i == 2)
        sleep_ms(LOOKS_LIKE_MS);
    *(size_t *)item = i;
    return i < 6;
}

static int slow_reduce(size_t i, void *result, void *context)
{
    (void)result, (void)context;
    if (i == 0)
        sleep_ms(LOOKS_LIKE_MS);
    return 0;
}

static void slow_progress(const sharedmem_progress *progress, void *context)
{
    static int n;

    (void)progress, (void)context;
    if (n++ == 0)
        sleep_ms(LOOKS_LIKE_MS);
}

static int in_turn(size_t i, void *result, void *context)
{
    (void)result, (void)context;
    if (i == 0)
        sleep_ms(LOOKS_LIKE_MS);
    SHAREDMEM_ORDERED
    {
    }
    return 0;
}

static int nothing(size_t i, void *result, void *context)
{
    (void)i, (void)result, (void)context;
    return 0;
}

static int region_of_one_that_dies(size_t i, void *result, void *context)
{
    (void)result, (void)context;
    SHAREDMEM_CRITICAL
    {
        if (i == 0 && atomic_fetch_add(&deadlocks->n_here, 1) == 0) {
            sleep_ms(LOOKS_LIKE_MS);
            raise(SIGKILL);
        }
    }
    return 0;
}

static void test_masters(int backend, const char *way)
{
    begin();
    test_int(0,
             sharedmem_map(SIZE_MAX, nothing, NULL, .np = 2, .next = slow_next, .item_size = sizeof(size_t),
                           .backend = backend),
             "%s: a generator that takes long", way);
    test_int(0, sharedmem_map(5000, nothing, NULL, .np = 2, .reduce = slow_reduce, .backend = backend),
             "%s: a reduction that takes long", way);
    test_int(0, sharedmem_map(20, in_turn, NULL, .np = 4, .progress = slow_progress, .backend = backend),
             "%s: a progress function and a turn that take long", way);
    test_int(0, sharedmem_map(8, sleep_long, NULL, .np = 4, .backend = backend),
             "%s: an item that takes long", way);
    if (backend == SHAREDMEM_PROCESSES)
        test_int(0, sharedmem_map(8, region_of_one_that_dies, NULL, .np = 4, .retries = 1),
                 "%s: one that dies in a region, and is retried", way);
}

static void test_idle_pool(void)
{
    sharedmem_pool *pool = sharedmem_pool_create(3, NULL);

    begin();
    test_int(0, sharedmem_map(3, nothing, NULL, .pool = pool), "a pool has its first map");
    sleep_ms(LOOKS_LIKE_MS);
    test_int(0, sharedmem_map(3, sleep_long, NULL, .pool = pool),
             "a pool that was idle, and an item that takes long");
    sharedmem_pool_destroy(pool);
}

static int keep_silent(size_t rank, void *result, void *context)
{
    (void)result, (void)context;
    if (rank == 1) {
        sleep_ms(LOOKS_LIKE_MS);
        raise(SIGKILL);
    }
    sharedmem_barrier();
    return 0;
}

static void test_death(void)
{
    sharedmem_error error;

    test_int(-1, sharedmem_parallel(4, keep_silent, NULL, .error = &error), "one is killed: the call fails");
    test_int(SHAREDMEM_ERROR_SIGNAL, error.kind, "one is killed: that is told, and no deadlock");
}

int main(void)
{
    test_begin(120);
    deadlocks = shared_block("64M", sizeof *deadlocks);
    for (size_t i = 0; i < COUNT_OF(true_ones); i++) {
        if (!test_thread_sanitized())
            test_true(&true_ones[i], SHAREDMEM_PROCESSES, "processes");
        test_true(&true_ones[i], SHAREDMEM_THREADS, "threads");
        if (true_ones[i].is_of_items)
            test_maps(&true_ones[i]);
    }
    test_note("found after %.0f ms at most: %s", longest * 1e3, longest_name);
    for (size_t i = 0; i < COUNT_OF(look_alikes); i++) {
        if (!test_thread_sanitized())
            test_look_alike(&look_alikes[i], SHAREDMEM_PROCESSES, "processes");
        if (!look_alikes[i].needs_processes)
            test_look_alike(&look_alikes[i], SHAREDMEM_THREADS, "threads");
    }
    test_masters(SHAREDMEM_THREADS, "threads");
    if (!test_thread_sanitized()) {
        test_masters(SHAREDMEM_PROCESSES, "processes");
        test_within(true, "a map");
        test_within(false, "a background call");
        test_idle_pool();
        test_death();
    }
    return test_end();
}
