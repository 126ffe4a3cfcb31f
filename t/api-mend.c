/*
 * Maps with .retries: an item that fails, or ends its worker, is done by a fresh one; what the lost one had
 * done before is left as it is, wherever it waits to be taken; an item that never gets done is the only one
 * missing.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <sharedmem.h>

#include "tap.h"
#include "ways.h"

#define N_ITEMS 40
#define BAD     25 /* in the second half: the first worker of two holds up what the second has done */
#define LAST    39

enum how { FAIL, DIE, FAIL_ALWAYS };

struct shared {
    _Atomic int tries[N_ITEMS];
    _Atomic bool go;
    enum how how;
};

static struct shared *shared;
static double *in_place;

/* Item 0 is not done before the last one: until then nothing can be taken by index. */
static int work(size_t i, void *result, void *context)
{
    int try = ++shared->tries[i];

    (void)context;
    while (i == 0 && !shared->go && sharedmem_size() > 1)
        usleep(100);
    if (i == BAD && (try == 1 || shared->how == FAIL_ALWAYS)) {
        if (shared->how == DIE)
            kill(getpid(), SIGKILL);
        return sharedmem_fail(5, "try %d", try);
    }
    *(double *)result += (double)(i + 1);
    if (i == LAST)
        shared->go = true;
    return 0;
}

static double reduced[N_ITEMS];

static int reduce(size_t i, void *result, void *context)
{
    (void)context;
    reduced[i] += *(double *)result;
    return 0;
}

static bool are_right(const double *results, bool all)
{
    for (size_t i = 0; i < N_ITEMS; i++) {
        if (results[i] != (i != BAD || all ? (double)(i + 1) : 0))
            return false;
    }
    return true;
}

/* Each once, but for the bad one. */
static bool are_done_once(int bad_tries)
{
    for (size_t i = 0; i < N_ITEMS; i++) {
        if (shared->tries[i] != (i == BAD ? bad_tries : 1))
            return false;
    }
    return true;
}

static int map_into(const struct way *way, double *results, uint8_t *states, sharedmem_error *error)
{
    size_t chunk = way->schedule == SHAREDMEM_STATIC ? 0 : N_ITEMS / 2;
    enum how how = shared->how;

    memset(shared, 0, sizeof *shared);
    memset(reduced, 0, sizeof reduced);
    shared->how = how;
    return MAP(way, N_ITEMS, work, .np = 2, .chunk = chunk, .retries = 2, .results = results,
               .result_size = sizeof *results, .reduce = results == NULL ? reduce : NULL, .states = states,
               .error = error);
}

static void test_place(const struct way *way, double *results, const char *name)
{
    const double *got = results == NULL ? reduced : results;
    uint8_t states[N_ITEMS];
    sharedmem_error error;
    int result;

    for (int how = FAIL; how <= (way->backend == SHAREDMEM_PROCESSES ? DIE : FAIL); how++) {
        shared->how = (enum how)how;
        if (results != NULL)
            memset(results, 0, N_ITEMS * sizeof *results);
        result = map_into(way, results, states, NULL);
        test_ok(result == 0 && are_right(got, true) && states[BAD] == SHAREDMEM_DONE,
                "%s, schedule %d, %s: a second try %s", way->name, way->schedule, name,
                how == DIE ? "after a death" : "after a failure");
        test_ok(are_done_once(2), "nothing else is done twice");
    }
    shared->how = FAIL_ALWAYS;
    if (results != NULL)
        memset(results, 0, N_ITEMS * sizeof *results);
    result = map_into(way, results, states, &error);
    test_ok(result == -1 && errno == ECANCELED && error.item == BAD && error.code == 5 &&
                states[BAD] == SHAREDMEM_FAILED && are_right(got, false) && are_done_once(3),
            "one that fails in all tries is the only one that is missing");
    test_has("try 3", error.message, "its last try says why");
}

static void test_way(const struct way *way)
{
    double private[N_ITEMS];

    test_place(way, NULL, "reduced");
    test_place(way, private, "private results");
    test_place(way, in_place, "shared results");
}

int main(void)
{
    test_begin(120);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    shared = sharedmem_calloc(1, sizeof *shared);
    in_place = sharedmem_new(double, N_ITEMS);
    ways_test(test_way, 2);
    test_int(0, test_children(), "no process is left");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
    sharedmem_free(in_place);
    sharedmem_free(shared);
    return test_end();
}
