/*
 * What the tests of the Python package sharedmem check of its maps and background calls: each with forked
 * workers, a pool, threads, and by the caller alone, and with each schedule. What waits for the clock there
 * waits for an event here.
 */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sharedmem.h>

#include "tap.h"
#include "ways.h"

#define POOL_NP     8
#define N_TICKETS   800
#define FAILED_ITEM 10

/* Made before the pool is, so that its workers know it. */
struct shared {
    _Atomic int arrived, rank_mask, warnings, value, has_seen;
    _Atomic bool go;
    int64_t ticket, tickets[N_TICKETS];
    double scalar;
};

static struct shared *shared;

/* Until condition, however long that takes: the test's time limit ends what never comes. */
#define WAIT_FOR(condition)                                                                                  \
    while (!(condition))                                                                                     \
    usleep(100)

static void work_a_little(size_t i)
{
    usleep((useconds_t)(i * 7919 % 100));
}

/* ---- Regions ---- */

static int store_in_order(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    SHAREDMEM_ORDERED
    {
        shared->scalar = (double)i;
    }
    return 0;
}

static bool scalar(const struct way *way)
{
    double one = 1;
    sharedmem_array s = sharedmem_full(SHAREDMEM_FLOAT64, 0, NULL, &one);
    bool good = sharedmem_array_size(s) == 1 && *(double *)s.data == 1;

    sharedmem_free(s.data);
    return MAP(way, 10, store_in_order, .np = 4) == 0 && shared->scalar == 9 && good;
}

static int take_ticket(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    work_a_little(i);
    SHAREDMEM_ORDERED
    {
        shared->tickets[i] = shared->ticket++;
    }
    return 0;
}

/* No order but what they wait for: item 0 comes after another one. */
static int take_any_ticket(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    if (i == 0)
        WAIT_FOR(shared->arrived > 0);
    shared->tickets[i] = shared->arrived++;
    return 0;
}

static bool ordered(const struct way *way)
{
    bool good = MAP(way, N_TICKETS, take_ticket, .np = 32) == 0;

    for (int64_t i = 0; i < N_TICKETS; i++)
        good &= shared->tickets[i] == i;
    if (way->is_alone)
        return good;
    return MAP(way, N_TICKETS, take_any_ticket, .np = 32) == 0 && shared->tickets[0] > 0 && good;
}

static int note_rank(size_t i, void *result, void *context)
{
    static const int all = 1 | 2 | 4 | 8;

    (void)result;
    (void)context;
    atomic_fetch_or(&shared->rank_mask, 1 << sharedmem_rank());
    WAIT_FOR(sharedmem_size() == 1 || shared->rank_mask == all);
    SHAREDMEM_ORDERED
    {
        shared->tickets[i] = sharedmem_rank();
    }
    return 0;
}

static bool ranks(const struct way *way)
{
    bool good = MAP(way, N_TICKETS, note_rank, .np = 4) == 0;
    int seen = 0;

    for (int i = 0; i < N_TICKETS; i++)
        seen |= 1 << shared->tickets[i];
    return good && seen == (way->is_alone ? 1 : 15);
}

static int be_alone(size_t i, void *result, void *context)
{
    int failures = 0;

    (void)result;
    (void)context;
    SHAREDMEM_CRITICAL
    {
        shared->value = (int)i + 1;
        work_a_little(i);
        failures = shared->value != (int)i + 1;
    }
    return failures;
}

/* The same without the region: some item finds the value of another one. */
static int be_disturbed(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    shared->value = (int)i + 1;
    WAIT_FOR(shared->value != (int)i + 1 || shared->has_seen > 0);
    shared->has_seen++;
    return 3;
}

static bool critical(const struct way *way)
{
    sharedmem_error error;

    if (MAP(way, 100, be_alone, .np = 8) != 0)
        return false;
    return way->is_alone || (MAP(way, 16, be_disturbed, .np = 8, .error = &error) == -1 &&
                             error.kind == SHAREDMEM_ERROR_RETURNED && error.code == 3);
}

/* ---- Workers ---- */

static int meet_others(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    shared->arrived++;
    WAIT_FOR(shared->arrived == 4);
    return 0;
}

/* Four that each take their time do so together. */
static bool together(const struct way *way)
{
    return way->is_alone || MAP(way, 4, meet_others, .np = 4) == 0;
}

static int die_by_signal(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    work_a_little(i);
    if (i == FAILED_ITEM)
        kill(getpid(), SIGKILL);
    return 0;
}

static bool killed(const struct way *way)
{
    sharedmem_error error;

    /* There it would be the program that is killed. */
    if (way->backend != SHAREDMEM_PROCESSES)
        return true;
    return MAP(way, 100, die_by_signal, .np = 4, .error = &error) == -1 && error.item == FAILED_ITEM &&
           error.kind == SHAREDMEM_ERROR_SIGNAL && error.code == SIGKILL;
}

static int fail_with_message(size_t i, void *result, void *context)
{
    char long_message[5000];

    (void)result;
    (void)context;
    work_a_little(i);
    if (i != FAILED_ITEM)
        return 0;
    if (shared->value == 0)
        return sharedmem_fail(77, "no such file: %s", "a.dat");
    memset(long_message, '\xff', sizeof long_message - 1);
    long_message[sizeof long_message - 1] = '\0';
    return sharedmem_fail(78, "%s", long_message);
}

/* With a message, and with one that cannot come over as it is. */
static bool raised(const struct way *way)
{
    sharedmem_error error;
    bool good = MAP(way, 100, fail_with_message, .np = 4, .error = &error) == -1 &&
                error.item == FAILED_ITEM && error.code == 77 &&
                strstr(error.message, "no such file: a.dat") != NULL;

    shared->value = 1;
    return MAP(way, 100, fail_with_message, .np = 4, .error = &error) == -1 && error.item == FAILED_ITEM &&
           error.code == 78 && strlen(error.message) == sizeof error.message - 1 && good;
}

static void count_warning(const char *message)
{
    shared->warnings += strstr(message, "SHAREDMEM_NP") != NULL;
}

static int warn(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    setenv("SHAREDMEM_NP", "junk", 1);
    return sharedmem_cpu_count() > 0 ? 0 : 1;
}

/* Warnings of workers go where the program sends them, and harm nothing. */
static bool warnings(const struct way *way)
{
    bool good;

    /* Each process warns once, so that only fresh ones are sure to; and threads share one environment. */
    if (way->backend != SHAREDMEM_PROCESSES || way->pool != NULL)
        return true;
    sharedmem_set_log(count_warning);
    good = MAP(way, 8, warn, .np = 8) == 0;
    return shared->warnings > 0 && shared->warnings <= 8 && good;
}

/* ---- Background ---- */

static int answer(size_t i, void *result, void *context)
{
    (void)i;
    WAIT_FOR(*(bool *)context || shared->go);
    *(int *)result = 42;
    return 0;
}

static int refuse(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return sharedmem_fail(5, "test of a failure");
}

static void test_background(int backend, const char *name)
{
    bool is_serial = backend == SHAREDMEM_SERIAL;
    int value = 0;
    sharedmem_background *call = sharedmem_background_start(answer, &is_serial, .result = &value,
                                                            .result_size = sizeof value, .backend = backend);
    sharedmem_error error;

    /* It goes on beside its caller. */
    test_int(is_serial, sharedmem_background_test(call, 0), "background, %s: runs until it is told", name);
    shared->go = true;
    test_ok(sharedmem_background_wait(call, NULL) == 0 && value == 42, "and has a value");
    shared->go = false;
    call = sharedmem_background_start(refuse, NULL, .backend = backend);
    test_ok(sharedmem_background_wait(call, &error) == -1 && error.code == 5 &&
                strstr(error.message, "test of a failure") != NULL,
            "a failure comes back by the wait");
}

static const struct {
    const char *name;
    bool (*holds)(const struct way *way);
} rows[] = {
    {"a scalar, set in order", scalar}, {"items that wait for each other run together", together},
    {"a worker is killed", killed},     {"an item fails", raised},
    {"every rank has a number", ranks}, {"ordered, and not ordered", ordered},
    {"workers warn", warnings},         {"critical, and not critical", critical},
};

static void test_rows(const struct way *way)
{
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        memset(shared, 0, sizeof *shared);
        test_ok(rows[r].holds(way), "%s, schedule %d: %s", way->name, way->schedule, rows[r].name);
    }
}

int main(void)
{
    test_begin(180);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    shared = sharedmem_calloc(1, sizeof *shared);
    ways_test(test_rows, POOL_NP);
    test_background(SHAREDMEM_PROCESSES, "a process");
    test_background(SHAREDMEM_THREADS, "a thread");
    test_background(SHAREDMEM_SERIAL, "the caller");
    test_int(0, test_children(), "no process is left");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
    sharedmem_free(shared);
    return test_end();
}
