/* Calls within calls, and what each takes over from the one around it: what it may wait for, who is stopped. */
#include <sharedmem.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static int nothing(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return 0;
}

/* ---- A critical region that a master is in ---- */

static int enter(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    SHAREDMEM_CRITICAL
    {
        return 0;
    }
    return 1;
}

static int enter_in_serial_map(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    return sharedmem_map(1, enter, context, .backend = SHAREDMEM_SERIAL);
}

static int enter_in_parallel(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    return sharedmem_parallel(2, enter, context);
}

static void test_masters_region(void)
{
    static const struct {
        const char *name;
        sharedmem_function *work;
    } cases[] = {
        {"an item", enter}, {"a serial map in an item", enter_in_serial_map}, {"rank 0", enter_in_parallel}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sharedmem_error error = {0};
        int code = 0;

        SHAREDMEM_CRITICAL
        {
            code = sharedmem_map(2, cases[i].work, NULL, .np = 2, .error = &error);
        }
        test_int(-1, code, "%s enters its master's region: an error, no hang", cases[i].name);
        test_has("caller of this map", error.message, "%s: that tells why", cases[i].name);
    }
    /* Workers of a worker that ended lost their parent. */
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

/* ---- Background calls of items ---- */

static sharedmem_background *started[2];

static int answer(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    usleep(2000);
    *(int *)result = 42;
    return 0;
}

static int start_one(size_t i, void *result, void *context)
{
    int *answers = context;

    (void)result;
    started[i] = sharedmem_background_start(answer, NULL, .result = &answers[i], .result_size = sizeof(int));
    return 0;
}

static int wait_other(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    return sharedmem_background_wait(started[1 - i], NULL);
}

/* Threads that start calls end with their map; the calls go on, and are anybody's to wait for. */
static void test_background_of_items(void)
{
    int answers[2] = {0};

    for (int round = 0; round < 10; round++) {
        memset(answers, 0, sizeof answers);
        sharedmem_map(2, start_one, answers, .np = 2, .backend = SHAREDMEM_THREADS);
        sharedmem_map(2, wait_other, NULL, .np = 2, .backend = SHAREDMEM_THREADS);
        if (answers[0] != 42 || answers[1] != 42)
            break;
    }
    test_ok(answers[0] == 42 && answers[1] == 42, "started in items, waited for in those of another map");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
}

/* ---- Uncaught errors in what an item has called ---- */

static int misuse(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    if (i == 0)
        sharedmem_all_double(1, 99);
    sharedmem_barrier();
    return 0;
}

static int misuse_in_parallel(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    return sharedmem_parallel(3, misuse, context, .backend = (int)(intptr_t)context);
}

static void misused_progress(const sharedmem_progress *progress, void *context)
{
    (void)context;
    if (progress->is_last)
        sharedmem_all_double(1, 99);
}

static int map_with_progress(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return sharedmem_map(2, nothing, NULL, .np = 2, .progress = misused_progress) == 0 ? 0 : 1;
}

static void test_uncaught_within(int backend, const char *name)
{
    sharedmem_error error = {0};

    test_int(-1, sharedmem_map(1, misuse_in_parallel, NULL, .backend = backend, .error = &error),
             "%s: an uncaught error in rank 0 of a call in an item", name);
    test_has("op is 99", error.message, "%s: is that item's", name);
    sharedmem_map(1, map_with_progress, NULL, .backend = backend, .error = &error);
    /*
     * A worker that is ended while it looks for the place of its call leaves the child that does so to us. What
     * lived on would keep this until the time limit.
     */
    test_ok(test_reap_orphans() <= 2,
            "%s: and leaves no process behind, but one for each worker that is killed", name);
}

/* ---- Ordered regions around a call that fails ---- */

static int fail_uncaught(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    sharedmem_barrier_at("here");
    return 0;
}

static int map_in_ordered(size_t i, void *result, void *context)
{
    sharedmem_error error;

    (void)i;
    (void)result;
    (void)context;
    SHAREDMEM_ORDERED
    {
        sharedmem_map(1, nothing, NULL, .result_size = 8, .reduce = fail_uncaught, .error = &error,
                      .backend = SHAREDMEM_SERIAL);
    }
    return 0;
}

static void test_ordered_around(int backend, const char *name)
{
    test_int(0, sharedmem_map(4, map_in_ordered, NULL, .np = 2, .backend = backend),
             "%s: the region around a map that fails stays its item's", name);
}

/* ---- Stops ---- */

static int stop_in_last(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    if (i == 1)
        sharedmem_stop();
    return 0;
}

static int sum_after_stop(size_t i, void *result, void *context)
{
    const sharedmem_array *numbers = context;
    double sum;

    (void)i;
    (void)result;
    sharedmem_stop();
    sharedmem_sum(*numbers, &sum);
    return 0;
}

static void test_stops(void)
{
    const int64_t shape[] = {(int64_t)9 << 20};
    const double one = 1;
    sharedmem_array numbers = sharedmem_full(SHAREDMEM_FLOAT64, 1, shape, &one);

    for (int backend = SHAREDMEM_PROCESSES; backend <= SHAREDMEM_SERIAL; backend++) {
        int64_t np = backend == SHAREDMEM_SERIAL ? 1 : 2;

        test_int(np == 1 ? 0 : SHAREDMEM_STOPPED,
                 sharedmem_parallel(np, stop_in_last, NULL, .backend = backend),
                 "backend %d: a parallel call that is stopped says so", backend);
        test_int(SHAREDMEM_STOPPED, sharedmem_map(2, sum_after_stop, &numbers, .np = 1, .backend = backend),
                 "backend %d: a sum that is stopped is no failure of the map", backend);
    }
    sharedmem_free(numbers.data);
}

/* ---- Signals to workers that do nothing ---- */

static void stop_on_signal(int signal)
{
    (void)signal;
    sharedmem_stop();
}

static int tell_pid(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    ((_Atomic int *)context)[sharedmem_rank()] = getpid();
    return 0;
}

/* What was a map's memory is the program's now. */
static void test_idle_workers(int signal)
{
    _Atomic int *pids = sharedmem_new(_Atomic int, 2);
    sharedmem_pool *pool = sharedmem_pool_create(2, NULL);
    unsigned char *blocks[100];
    bool clean = true;

    while (pids[0] == 0 || pids[1] == 0)
        sharedmem_map(64, tell_pid, (void *)pids, .pool = pool);
    for (int i = 0; i < 100; i++) {
        blocks[i] = sharedmem_calloc(1, (size_t)(20480 - 160 * i));
        clean &= blocks[i] != NULL;
    }
    test_kill(pids[0], signal);
    test_kill(pids[1], signal);
    /* The pool's next map waits for them, or finds them gone: the signal was delivered. */
    sharedmem_map(2, nothing, NULL, .pool = pool, .error = &(sharedmem_error){0});
    sharedmem_pool_destroy(pool);
    for (int i = 0; i < 100; i++) {
        for (int at = 0; at < 20480 - 160 * i; at++)
            clean &= blocks[i][at] == 0;
        sharedmem_free(blocks[i]);
    }
    sharedmem_free((void *)pids);
    test_ok(clean, "signal %d to workers of a pool between maps touches nobody's memory", signal);
}

int main(void)
{
    test_begin(120);
    if (test_thread_sanitized())
        test_skip_all("the thread sanitizer does not go through forks of a program with threads");
    signal(SIGINT, stop_on_signal);
    test_idle_workers(SIGINT);
    test_idle_workers(SIGABRT);
    test_masters_region();
    test_stops();
    test_background_of_items();
    test_uncaught_within(SHAREDMEM_THREADS, "threads");
    test_uncaught_within(SHAREDMEM_SERIAL, "serial");
    test_ordered_around(SHAREDMEM_THREADS, "threads");
    test_ordered_around(SHAREDMEM_SERIAL, "serial");
    return test_end();
}
