/*
 * Pools: what a map with one may ask for, what its workers see, and that nothing is left of many.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sharedmem.h>

#include "pool.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define NP              3

/* ---- Usage ---- */

static void test_sizes(void)
{
    static const int bad[] = {-1, INT_MIN, 16383, INT_MAX};
    sharedmem_error error;
    sharedmem_pool *pool;

    for (size_t k = 0; k < COUNT_OF(bad); k++) {
        test_ok(sharedmem_pool_create(bad[k], &error) == NULL && errno == EINVAL &&
                    error.kind == SHAREDMEM_ERROR_USAGE,
                "no pool of %d", bad[k]);
    }
    test_has("api-pool.c:", error.where, "its place is said");
    sharedmem_pool_destroy(NULL);
    for (int np = 1; np <= 8; np += 7) {
        pool = sharedmem_pool_create(np, &error);
        test_int(np, test_children(), "a pool of %d has so many processes", np);
        test_ok(map_is_right(pool, 0, 0) && map_is_right(pool, 0, 1) && map_is_right(pool, 0, 500) &&
                    map_is_right(pool, 1, 500),
                "and maps");
        errno = 7;
        sharedmem_pool_destroy(pool);
        test_int(7, errno, "its end keeps errno");
        test_int(0, test_children(), "and leaves nobody");
    }
    setenv("SHAREDMEM_NP", "5", 1);
    pool = sharedmem_pool_create(0, NULL);
    test_int(5, test_children(), "0 is sharedmem_cpu_count()");
    sharedmem_pool_destroy(pool);
    unsetenv("SHAREDMEM_NP");
}

/* What a map with a pool must not ask for. */
static void test_refused(void)
{
    sharedmem_pool *pool = sharedmem_pool_create(NP, NULL);
    int private = 0, *shared = sharedmem_new(int, 1);
    size_t results[4] = {0};
    sharedmem_error error;
    const struct {
        const char *name, *message;
        sharedmem_map_options options;
    } rows[] = {
        {"more workers than it has", ".np is 4, but the pool has 3", {.n = 4, .np = 4}},
        {"THREADS", "leave .backend out", {.n = 4, .backend = SHAREDMEM_THREADS}},
        {"SERIAL", "leave .backend out", {.n = 4, .backend = SHAREDMEM_SERIAL}},
        {"a private context", ".context_size", {.n = 4, .context = &private}},
        {"a size without a context", ".context_size without", {.n = 4, .context_size = 8}},
    };

    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        sharedmem_map_options options = rows[r].options;

        options.work = twice;
        options.results = results;
        options.result_size = sizeof *results;
        options.pool = pool;
        options.error = &error;
        test_ok(sharedmem_map_with(&options, sizeof options) == -1 && errno == EINVAL &&
                    error.kind == SHAREDMEM_ERROR_USAGE,
                "refused: %s", rows[r].name);
        test_has(rows[r].message, error.message, "which is said");
    }
    test_int(
        0, sharedmem_map(4, twice, shared, .pool = pool, .results = results, .result_size = sizeof *results),
        "a shared context needs no size");
    test_ok(map_is_right(pool, 0, 100), "it maps afterwards");
    sharedmem_pool_destroy(pool);
    sharedmem_free(shared);
}

/* ---- What workers see ---- */

static int global = 1;

static int see_global(size_t i, void *result, void *context)
{
    const int *mine = context;

    (void)i;
    *(int *)result = global * 100 + (mine != NULL ? *mine : 0);
    return 0;
}

static int seen_by(sharedmem_pool *pool, void *context, size_t context_size)
{
    int seen[NP] = {0};

    if (sharedmem_map(NP, see_global, context, .pool = pool, .context_size = context_size, .results = seen,
                      .result_size = sizeof *seen, .schedule = SHAREDMEM_STATIC) != 0)
        return -1;
    for (int k = 1; k < NP; k++) {
        if (seen[k] != seen[0])
            return -2;
    }
    return seen[0];
}

static int change_global(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    global++;
    return 0;
}

static void test_snapshot(void)
{
    sharedmem_pool *pool = sharedmem_pool_create(NP, NULL);
    int private = 7, *shared = sharedmem_new(int, 1);

    global = 2;
    test_int(100, seen_by(pool, NULL, 0), "workers see globals as of the creation");
    test_int(107, seen_by(pool, &private, sizeof private), "a private context is copied");
    private = 8;
    test_int(108, seen_by(pool, &private, sizeof private), "at each map");
    *shared = 9;
    test_int(109, seen_by(pool, shared, 0), "a shared one is seen as it is");
    sharedmem_map(NP, change_global, NULL, .pool = pool, .schedule = SHAREDMEM_STATIC);
    test_int(200, seen_by(pool, NULL, 0), "what they change in theirs stays from map to map");
    test_int(2, global, "and is theirs");
    global = 1;
    sharedmem_pool_destroy(pool);
    sharedmem_free(shared);
}

static int add_item(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    *(long *)result += *(const long *)sharedmem_item();
    return 0;
}

/* None of it was there when the pool was created. */
static void test_private_arrays(void)
{
    enum { N = 70000 }; /* more than go round the ring once */
    sharedmem_pool *pool = sharedmem_pool_create(NP, NULL);
    long *items = malloc(N * sizeof *items), *results = malloc(N * sizeof *results);
    bool good;

    for (long i = 0; i < N; i++) {
        items[i] = 3 * i;
        results[i] = i;
    }
    good = sharedmem_map(N, add_item, NULL, .pool = pool, .items = items, .item_size = sizeof *items,
                         .results = results, .result_size = sizeof *results) == 0;
    for (long i = 0; i < N; i++)
        good &= results[i] == 4 * i;
    test_ok(good, "private items and results, which begin as they are");
    sharedmem_pool_destroy(pool);
    free(items);
    free(results);
}

/* ---- A library that is loaded later ---- */

typedef double one_number(double x);

/* The address is the master's: in workers that did not load it there is nothing, or anything else. */
static int call_it(size_t i, void *result, void *context)
{
    one_number *function = *(one_number **)context;

    *(double *)result = function((double)i);
    return 0;
}

/* The library that lies beside this program (t/loaded.c). */
static one_number *load(void)
{
    char path[PATH_MAX + 32] = "";
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
    one_number *function = NULL;
    void *library;

    if (length > 0)
        path[length] = '\0';
    if (strrchr(path, '/') == NULL)
        return NULL;
    strcpy(strrchr(path, '/'), "/.libs/loaded.so");
    library = dlopen(path, RTLD_NOW);
    if (library != NULL)
        *(void **)&function = dlsym(library, "loaded_number");
    return function;
}

static void test_dlopen(void)
{
    sharedmem_pool *pool = sharedmem_pool_create(NP, NULL);
    bool good = map_is_right(pool, 0, 10);
    one_number *function = load();
    double results[50] = {0};

    if (test_ok(function != NULL, "a library is loaded")) {
        good &= sharedmem_map(50, call_it, (void *)&function, .context_size = sizeof function, .pool = pool,
                              .results = results, .result_size = sizeof *results) == 0;
        for (size_t i = 0; i < 50; i++)
            good &= results[i] == function((double)i);
        test_ok(good, "workers know what was loaded after the pool was created");
    }
    sharedmem_pool_destroy(pool);
}

/* ---- Many ---- */

static void test_leaves_nothing(void)
{
    int maps = test_under_valgrind() ? 50 : 2000, pools = test_under_valgrind() ? 5 : 100, fds = test_fds();
    sharedmem_pool *pool;
    bool good = true;

    for (int k = 0; k < pools; k++) {
        pool = sharedmem_pool_create(1 + k % NP, NULL);
        good &= map_is_right(pool, 0, 20);
        sharedmem_pool_destroy(pool);
    }
    test_ok(good, "%d pools, one after the other", pools);
    test_int(fds, test_fds(), "no file stays open");
    pool = sharedmem_pool_create(NP, NULL);
    fds = test_fds();
    for (int k = 0; k < maps; k++)
        good &= map_is_right(pool, k % 4, (size_t)k % 50);
    test_ok(good, "%d maps of one pool", maps);
    test_int(fds, test_fds(), "no file stays open");
    sharedmem_pool_destroy(pool);
    test_int(0, test_children(), "no process is left");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
}

int main(void)
{
    test_begin(120);
    setenv("SHAREDMEM_HEAP", "128M", 1);
    test_sizes();
    test_refused();
    test_snapshot();
    test_private_arrays();
    test_dlopen();
    test_leaves_nothing();
    return test_end();
}
