/*
 * What the tests of parallel.Parallel of the Python package sharedmem check: failures in regions, reductions,
 * private and shared variables, barriers, a rank that is killed. By the ranks of a parallel call, and, where
 * the original deals a loop by a schedule, by a map with each.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sharedmem.h>

#include "tap.h"

#define N_ITEMS 20

struct shared {
    int64_t a[2]; /* not atomic: what is lost shows */
    int arrived;
    int wrong;
};

static struct shared *shared;
static _Thread_local int64_t private[2];

enum region { CRITICAL, ORDERED };

/* The last of all fails, in its region. */
static int fail_inside(enum region region, bool is_last)
{
    if (region == CRITICAL) {
        SHAREDMEM_CRITICAL
        {
            shared->arrived++;
            if (is_last)
                return sharedmem_fail(19, "the last one");
        }
        return 0;
    }
    SHAREDMEM_ORDERED
    {
        shared->arrived++;
        if (is_last)
            return sharedmem_fail(19, "the last one");
    }
    return 0;
}

static int fail_as_item(size_t i, void *result, void *context)
{
    (void)result;
    return fail_inside(*(enum region *)context, i == N_ITEMS - 1);
}

static int fail_as_rank(size_t rank, void *result, void *context)
{
    (void)result;
    for (int round = 0; round < 3; round++) {
        int code = fail_inside(*(enum region *)context, round == 2 && (int)rank == sharedmem_size() - 1);

        if (code != 0)
            return code;
    }
    return 0;
}

static bool is_told(int result, const sharedmem_error *error)
{
    return result == -1 && errno == ECANCELED && error->kind == SHAREDMEM_ERROR_RETURNED &&
           error->code == 19 && strstr(error->message, "the last one") != NULL;
}

static void test_failure(enum region region, int backend, int np)
{
    static const char *const names[] = {"critical", "ordered"};
    sharedmem_error error;
    int result;

    for (int schedule = SHAREDMEM_GUIDED; schedule <= SHAREDMEM_STATIC; schedule++) {
        shared->arrived = 0;
        result = sharedmem_map(N_ITEMS, fail_as_item, &region, .np = np, .backend = backend,
                               .schedule = schedule, .error = &error);
        test_ok(is_told(result, &error) && error.item == N_ITEMS - 1,
                "backend %d, %d workers, schedule %d: an item fails in %s", backend, np, schedule,
                names[region]);
        /* Critical: others may not have come to theirs. */
        test_ok(region == CRITICAL || shared->arrived == N_ITEMS, "after all before it");
    }
    result = sharedmem_parallel(np, fail_as_rank, &region, .backend = backend, .error = &error);
    test_ok(is_told(result, &error) && error.rank == (backend == SHAREDMEM_SERIAL ? 0 : np - 1),
            "backend %d: a rank of %d does", backend, np);
}

/* ---- Variables ---- */

static int add_results(size_t i, void *result, void *context)
{
    (void)i;
    ((int64_t *)context)[0] += ((int64_t *)result)[0];
    ((int64_t *)context)[1] += ((int64_t *)result)[1];
    return 0;
}

static int give_pair(size_t i, void *result, void *context)
{
    (void)context;
    ((int64_t *)result)[0] = (int64_t)i;
    ((int64_t *)result)[1] = 10 * (int64_t)i;
    return 0;
}

/* Each rank has its own variable, rank 0 that of the caller; all share another; and they reduce a third. */
static int add_up(size_t rank, void *result, void *context)
{
    sharedmem_range part = sharedmem_my_part(N_ITEMS);
    int64_t own[2] = {0};

    (void)rank;
    (void)result;
    (void)context;
    private[0] = private[1] = 0;
    sharedmem_barrier();
    for (size_t i = part.begin; i < part.end; i++) {
        private[0] += (int64_t)i;
        private[1] += 10 * (int64_t)i;
        own[0] += (int64_t)i;
        SHAREDMEM_CRITICAL
        {
            shared->a[0] += (int64_t)i;
            shared->a[1] += 10 * (int64_t)i;
        }
    }
    sharedmem_barrier();
    if (private[0] != own[0] || sharedmem_all_int64(private[0], SHAREDMEM_SUM) != 190 ||
        sharedmem_all_int64(private[1], SHAREDMEM_SUM) != 1900)
        return 1;
    return shared->a[0] == 190 && shared->a[1] == 1900 ? 0 : 2;
}

static int64_t sum_of_part(int part, int n_parts)
{
    sharedmem_range range = sharedmem_part(N_ITEMS, part, n_parts);
    int64_t total = 0;

    for (size_t i = range.begin; i < range.end; i++)
        total += (int64_t)i;
    return total;
}

static void test_variables(int backend, int np)
{
    int64_t a[2], mine = sum_of_part(0, backend == SHAREDMEM_SERIAL ? 1 : np);

    for (int schedule = SHAREDMEM_GUIDED; schedule <= SHAREDMEM_STATIC; schedule++) {
        memset(a, 0, sizeof a);
        sharedmem_map(N_ITEMS, give_pair, a, .np = np, .backend = backend, .schedule = schedule,
                      .result_size = sizeof a, .reduce = add_results);
        test_ok(a[0] == 190 && a[1] == 1900, "backend %d, %d workers, schedule %d: a reduction", backend, np,
                schedule);
    }
    memset(shared, 0, sizeof *shared);
    test_int(0, sharedmem_parallel(np, add_up, NULL, .backend = backend),
             "backend %d, %d ranks: private, shared and reduced variables", backend, np);
    test_ok(private[0] == mine && private[1] == 10 * mine, "the caller has those of rank 0");
}

/* ---- Barriers ---- */

static int meet(size_t rank, void *result, void *context)
{
    (void)rank;
    (void)result;
    (void)context;
    SHAREDMEM_CRITICAL
    {
        shared->arrived++;
    }
    if (sharedmem_barrier() != 0 || shared->arrived != sharedmem_size() || sharedmem_barrier() != 0)
        return 1;
    return 0;
}

static int die(size_t rank, void *result, void *context)
{
    (void)result;
    (void)context;
    if (sharedmem_barrier() != 0)
        return 1;
    if ((int)rank == sharedmem_size() - 1)
        kill(getpid(), SIGKILL);
    return sharedmem_barrier() == 0 ? 2 : 0;
}

static void test_barriers(int backend, int np)
{
    sharedmem_error error;

    memset(shared, 0, sizeof *shared);
    test_int(0, sharedmem_parallel(np, meet, NULL, .backend = backend), "backend %d, %d ranks: barriers",
             backend, np);
    if (backend != SHAREDMEM_PROCESSES || np == 1)
        return;
    test_ok(sharedmem_parallel(np, die, NULL, .error = &error) == -1 &&
                error.kind == SHAREDMEM_ERROR_SIGNAL && error.code == SIGKILL && error.rank == np - 1,
            "%d ranks: one is killed between two", np);
}

int main(void)
{
    static const int nps[] = {1, 2, 5};

    test_begin(120);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    shared = sharedmem_calloc(1, sizeof *shared);
    for (int backend = SHAREDMEM_PROCESSES; backend <= SHAREDMEM_SERIAL; backend++) {
        for (size_t p = 0; p < sizeof nps / sizeof *nps; p++) {
            test_failure(CRITICAL, backend, nps[p]);
            test_failure(ORDERED, backend, nps[p]);
            test_variables(backend, nps[p]);
            test_barriers(backend, nps[p]);
        }
    }
    test_int(0, test_children(), "no process is left");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
    sharedmem_free(shared);
    return test_end();
}
