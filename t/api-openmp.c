/*
 * Maps and parallel calls in a program of OpenMP: regions before, after, beside and in workers. With the argument
 * "rank" it is a rank of a job, which does a few of these and tells by its exit status.
 */
#include <errno.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sharedmem.h>

#include "tap.h"

#define REGION 3 /* threads */

/* How many threads a region of n has. */
static int region(int n)
{
    int threads = 0;

#pragma omp parallel num_threads(n) reduction(+ : threads)
    threads += 1;
    return threads;
}

/* How many a region has that says nothing of it. */
static int region_of_all(void)
{
    int threads = 0;

#pragma omp parallel reduction(+ : threads)
    threads += 1;
    return threads;
}

/* ---- In workers ---- */

static int region_in_item(size_t i, void *result, void *context)
{
    (void)context;
    *(int *)result = region(REGION) + (int)i;
    return 0;
}

static bool map_with_regions(int np, size_t n)
{
    int results[64] = {0};
    bool good = n <= 64 && sharedmem_map(n, region_in_item, NULL, .np = np, .results = results,
                                         .result_size = sizeof *results) == 0;

    for (size_t i = 0; i < n && good; i++)
        good = results[i] == REGION + (int)i;
    return good;
}

static void test_map(void)
{
    test_ok(map_with_regions(2, 5), "work has regions, where the caller had none");
    test_int(REGION, region(REGION), "the caller has one");
    test_ok(map_with_regions(2, 5), "work has regions, where the caller had one");
    test_int(REGION, region(REGION), "and the caller has another");
}

static int add_in_region(size_t i, void *result, void *context)
{
    int sum = 0, *total = context;

    (void)i;
#pragma omp parallel num_threads(REGION) reduction(+ : sum)
    sum += *(int *)result;
    *total += sum;
    return 0;
}

static void test_reduce(void)
{
    int total = 0;

    sharedmem_map(10, region_in_item, &total, .np = 2, .result_size = sizeof(int), .reduce = add_in_region);
    test_int(REGION * (10 * REGION + 45), total, "reduce and work have regions at once");
}

static void test_many(void)
{
    int n = test_under_valgrind() ? 5 : 200, good = 0;

    for (int i = 0; i < n; i++)
        good += region(REGION) == REGION && map_with_regions(2, 2);
    test_int(n, good, "%d maps and regions in turn", n);
}

static void test_crowded(void)
{
    int np = 4 * sharedmem_cpu_count();

    np = np < 32 ? np : 32;
    test_ok(map_with_regions(np, (size_t)np), "%d workers, more than cores, with regions", np);
}

static int map_in_item(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return region(REGION) == REGION && map_with_regions(2, 3) && region(REGION) == REGION ? 0 : 1;
}

static void test_nested(void)
{
    test_int(0, sharedmem_map(4, map_in_item, NULL, .np = 2), "maps in a map, all with regions");
}

/* ---- How many threads ---- */

static int count_threads(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    *(int *)result = omp_get_max_threads() == region_of_all() ? omp_get_max_threads() : -1;
    return 0;
}

/* Checks the workers of a map, and that the caller's own number stays. */
static void check_threads(int np, int expected, const char *what)
{
    int counts[8] = {0}, mine = omp_get_max_threads();
    bool good;

    sharedmem_map((size_t)np, count_threads, NULL, .np = np, .schedule = SHAREDMEM_STATIC, .results = counts,
                  .result_size = sizeof *counts);
    good = omp_get_max_threads() == mine;
    for (int i = 0; i < np; i++)
        good &= counts[i] == expected;
    test_ok(good, "%s: %d workers have %d threads each (%d)", what, np, expected, counts[0]);
}

static int share(int n, int np)
{
    return n > np ? n / np : 1;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static void test_counts(void)
{
    int cores = sharedmem_cpu_count(), all = omp_get_max_threads();

    for (int np = 1; np <= 8; np *= 2)
        check_threads(np, smaller(share(cores, np), all), "by default");
    setenv("SHAREDMEM_BIND", "none", 1);
    for (int np = 1; np <= 8; np *= 2)
        check_threads(np, smaller(share(cores, np), all), "not bound");
    setenv("PBS_NUM_PPN", "1", 1);
    check_threads(1, 1, "where a batch system granted one core");
    unsetenv("SHAREDMEM_BIND");
    check_threads(1, cores > 1 ? 1 : smaller(cores, all), "the same by a smaller grant");
    unsetenv("PBS_NUM_PPN");
    omp_set_num_threads(16 * cores);
    check_threads(2, share(cores, 2), "the caller wants more than there are cores");
    omp_set_num_threads(1);
    check_threads(1, 1, "the caller wants one");
    omp_set_num_threads(all);
}

/* ---- Parallel ---- */

static int count_in_rank(size_t rank, void *result, void *context)
{
    int *counts = context;

    (void)result;
    counts[rank] = region(REGION) == REGION && map_with_regions(2, 2) ? region_of_all() : -1;
    return sharedmem_barrier();
}

static void test_parallel(void)
{
    int all = 3 * sharedmem_cpu_count(), *counts = sharedmem_calloc(4, sizeof *counts);

    omp_set_num_threads(all);
    region(REGION);
    for (int np = 2; np <= 4; np++) {
        int expected = share(sharedmem_cpu_count(), np);
        bool good = sharedmem_parallel(np, count_in_rank, counts) == 0;

        for (int rank = 0; rank < np; rank++)
            good &= counts[rank] == expected;
        test_ok(good, "%d ranks, the caller too, have %d threads each (%d, %d)", np, expected, counts[0],
                counts[1]);
        test_int(all, omp_get_max_threads(), "and the caller has its own again");
        test_int(all, region_of_all(), "in its regions too");
    }
    omp_set_num_threads(sharedmem_cpu_count());
    sharedmem_free(counts);
}

/* ---- In a region ---- */

static int do_nothing(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return 0;
}

static void check_refused(int result, int code, const sharedmem_error *error, const char *call)
{
    test_ok(result == -1 && code == EPERM, "%s inside a region fails by EPERM", call);
    test_int(SHAREDMEM_ERROR_USAGE, error->kind, "its kind");
    test_has(call, error->message, "its message");
    test_has(": called inside an OpenMP parallel region", error->message, "says why: %s", error->message);
    test_has("api-openmp.c:", error->where, "and where");
}

static void test_refused(void)
{
    sharedmem_error map_error, parallel_error;
    int map = 0, map_code = 0, parallel = 0, parallel_code = 0, serial = -1;

#pragma omp parallel num_threads(2)
#pragma omp single
    {
        map = sharedmem_map(4, do_nothing, NULL, .np = 2, .error = &map_error);
        map_code = errno;
        parallel = sharedmem_parallel(2, do_nothing, NULL, .error = &parallel_error);
        parallel_code = errno;
        serial = sharedmem_map(4, do_nothing, NULL, .backend = SHAREDMEM_SERIAL);
    }
    check_refused(map, map_code, &map_error, "map");
    check_refused(parallel, parallel_code, &parallel_error, "parallel");
    test_int(0, serial, "a map without workers may be there");
    test_int(0, test_children(), "no process is left");
    test_ok(map_with_regions(2, 4), "outside of the region a map is fine");
}

static void test_region_of_one(void)
{
    bool good = false;

    region(REGION);
#pragma omp parallel num_threads(1)
    good = map_with_regions(2, 4);
    test_ok(good, "a map in a region of one thread");
    test_int(REGION, region(REGION), "and a region behind it");
}

static int map_in_region(size_t i, void *result, void *context)
{
    int failed = 0;

    (void)i;
    (void)result;
    (void)context;
#pragma omp parallel num_threads(2) reduction(+ : failed)
    failed += sharedmem_map(2, do_nothing, NULL, .np = 2, .error = &(sharedmem_error){.code = 0}) != 0;
    return failed == 2 ? 0 : 1;
}

static void test_refused_in_worker(void)
{
    test_int(0, sharedmem_map(3, map_in_region, NULL, .np = 2), "a map in a region of a worker fails too");
}

/* ---- Beside other threads ---- */

static void *map_in_thread(void *argument)
{
    bool *good = argument;

    *good = true;
    for (int i = 0; i < 20 && *good; i++)
        *good = map_with_regions(2, 3) && region(REGION) == REGION;
    return NULL;
}

/* Each thread of a program has a pool of its own; the other's is in use meanwhile. */
static void test_threads(void)
{
    pthread_t thread;
    bool good = false;

    if (pthread_create(&thread, NULL, map_in_thread, &good) != 0) {
        test_skip("no thread can be had");
        return;
    }
    for (int i = 0; i < 200; i++)
        region(REGION);
    pthread_join(thread, NULL);
    test_ok(good, "maps and regions of a thread, beside regions of the first");
}

/* ---- Calls by threads of OpenMP ---- */

#define N_CALLS 200

struct common {
    sharedmem_mutex mutex;
    sharedmem_counter counter;
    int64_t by_mutex, by_critical; /* what a lock that excludes nobody would lose */
};

/* Returns how many things were not as they should be in this thread, of rank in size. */
static int calls_of_thread(struct common *common, int rank, int size)
{
    int wrong = sharedmem_rank() != rank || sharedmem_size() != size;

    for (int k = 0; k < N_CALLS; k++) {
        char *block = sharedmem_malloc((size_t)k);

        wrong += block == NULL;
        SHAREDMEM_CRITICAL
        {
            common->by_critical++;
        }
        SHAREDMEM_LOCKED (&common->mutex) {
            common->by_mutex++;
        }
        sharedmem_counter_add(&common->counter, 1);
        sharedmem_free(block);
    }
    return wrong;
}

/* In all ranks at once, alone too: their threads are their rank, and locks are between all threads of all. */
static bool calls_in_region(void)
{
    struct common *common = sharedmem_team_calloc(1, sizeof *common);
    int rank = sharedmem_rank(), size = sharedmem_size(), wrong = 0;
    int64_t all = (int64_t)size * REGION * N_CALLS;

#pragma omp parallel num_threads(REGION) reduction(+ : wrong)
    {
        wrong += calls_of_thread(common, rank, size);
        /* Whichever thread it is that speaks for the rank. */
#pragma omp single
        wrong += sharedmem_barrier() != 0 || sharedmem_all_int64(1, SHAREDMEM_SUM) != size;
        wrong += calls_of_thread(common, rank, size);
    }
    sharedmem_barrier();
    return wrong == 0 && common->by_mutex == 2 * all && common->by_critical == 2 * all &&
           sharedmem_counter_read(&common->counter) == 2 * all && sharedmem_heap_check(NULL) == 0;
}

/* ---- A rank of a job ---- */

static int be_rank(void)
{
    bool good = region(REGION) == REGION;

    for (int i = 0; i < 5; i++)
        good &= map_with_regions(2, 4) && region(REGION) == REGION && sharedmem_barrier() == 0 &&
                calls_in_region();
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int region_and_pid(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    region(2);
    *(pid_t *)result = getpid();
    return 0;
}

/* libomp notes each process there; workers end without taking that back. */
static void test_nothing_left(void)
{
    pid_t pids[8] = {0};
    /* Of an earlier process of that number there may be one. */
    const time_t begun = time(NULL);
    struct stat status;
    char path[64];
    int n_left = 0;

    test_int(0,
             sharedmem_map(8, region_and_pid, NULL, .np = 4, .chunk = 2, .schedule = SHAREDMEM_STATIC,
                           .results = pids, .result_size = sizeof *pids),
             "workers that use OpenMP");
    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "/dev/shm/__KMP_REGISTERED_LIB_%d_%u", (int)pids[i], (unsigned)getuid());
        n_left += stat(path, &status) == 0 && status.st_mtime >= begun;
    }
    test_int(0, n_left, "leave nothing in /dev/shm");
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "rank") == 0)
        return be_rank();
    test_begin(180);
    if (test_thread_sanitized())
        test_skip_all("the thread sanitizer does not know how OpenMP's threads wait for each other");
    if (omp_get_proc_bind() != omp_proc_bind_false)
        test_skip_all("OMP_PROC_BIND or OMP_PLACES is set; unset both");
    test_map();
    test_reduce();
    test_many();
    test_crowded();
    test_nested();
    test_counts();
    test_parallel();
    test_refused();
    test_region_of_one();
    test_refused_in_worker();
    test_threads();
    test_ok(calls_in_region(), "threads of OpenMP allocate, lock and meet for the program that they are");
    test_nothing_left();
    return test_end();
}
