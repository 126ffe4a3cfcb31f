/*
 * A map gives the same, byte for byte, whoever does it: processes, threads, the caller, a pool, debug mode;
 * with any number of workers, schedule and chunk, wherever results lie and items come from.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "backends.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define N_MAX           1000

static sharedmem_pool *pool;

/* ---- Results ---- */

/* No power of two, so that a place that is a byte wrong shows. */
struct value {
    uint64_t i;
    double root;
    uint64_t before; /* what it began as, and more */
};

enum place { NOWHERE, PRIVATE, SHARED };

static double root_of(size_t i)
{
    double x = 1 + (double)i, root = x;

    for (int k = 0; k < 8; k++)
        root = (root + x / root) / 2;
    return root;
}

static int fill(size_t i, void *result, void *context)
{
    struct value *value = result;

    (void)context;
    value->i += i;
    value->root += root_of(i);
    value->before += 7;
    return 0;
}

static void mix(uint64_t *hash, const void *data, size_t bytes)
{
    for (size_t k = 0; k < bytes; k++)
        *hash = (*hash ^ ((const unsigned char *)data)[k]) * 0x100000001b3u;
}

/* What reduce has seen: in its order, and whatever the order. */
struct seen {
    uint64_t hash;
    uint64_t sum;
    size_t n;
};

static int look(size_t i, void *result, void *context)
{
    struct seen *seen = *(struct seen **)context;
    uint64_t hash = i;

    mix(&hash, result, sizeof(struct value));
    mix(&seen->hash, &hash, sizeof hash);
    seen->sum += hash;
    seen->n++;
    return 0;
}

/* What item i's result begins as. */
static struct value initial(size_t i)
{
    return (struct value){.i = 3 * i, .root = 0.5, .before = i * i};
}

static void expect(size_t n, bool has_results, struct value *results, struct seen *seen)
{
    for (size_t i = 0; i < n; i++) {
        results[i] = has_results ? initial(i) : (struct value){0};
        fill(i, &results[i], NULL);
        look(i, &results[i], &seen);
    }
}

struct kind {
    const char *name;
    enum place place;
    bool is_reduced;
    int order;
};

static const struct kind kinds[] = {
    {"reduced by index", NOWHERE, true, SHAREDMEM_BY_INDEX},
    {"reduced as done", NOWHERE, true, SHAREDMEM_AS_DONE},
    {"private", PRIVATE, false, 0},
    {"shared", SHARED, false, 0},
    {"private, reduced by index", PRIVATE, true, SHAREDMEM_BY_INDEX},
    {"shared, reduced as done", SHARED, true, SHAREDMEM_AS_DONE},
};

static struct seen **seen_in_context; /* in shared memory, for workers of a pool; they never look at it */
static struct value private_results[N_MAX], *shared_results;

static bool is_same(const struct kind *kind, size_t n, const struct value *got, const struct seen *seen)
{
    static struct value want[N_MAX];
    struct seen all = {0};

    expect(n, got != NULL, want, &all);
    if (got != NULL && memcmp(got, want, n * sizeof *got) != 0)
        return false;
    if (!kind->is_reduced)
        return true;
    return seen->n == n && seen->sum == all.sum &&
           (kind->order == SHAREDMEM_AS_DONE || seen->hash == all.hash);
}

/* One map; states too, so that what is not reduced is watched now and then. */
static bool map_once(const struct way *way, const struct kind *kind, size_t n, int np, int schedule,
                     size_t chunk)
{
    struct seen seen = {0};
    struct value *results = kind->place == PRIVATE  ? private_results
                            : kind->place == SHARED ? shared_results
                                                    : NULL;
    uint8_t states[N_MAX];
    bool has_states = (n + (size_t)np + chunk) % 2 == 0, good = true;

    for (size_t i = 0; results != NULL && i < n; i++)
        results[i] = initial(i);
    *seen_in_context = &seen;
    good = way_map(way, pool,
                   &(sharedmem_map_options){.n = n,
                                            .work = fill,
                                            .context = seen_in_context,
                                            .np = np,
                                            .schedule = schedule,
                                            .chunk = chunk,
                                            .results = results,
                                            .result_size = sizeof *results,
                                            .states = has_states ? states : NULL,
                                            .reduce = kind->is_reduced ? look : NULL,
                                            .reduce_order = kind->order}) == 0;
    for (size_t i = 0; has_states && i < n; i++)
        good &= states[i] == SHAREDMEM_DONE;
    return good && is_same(kind, n, results, &seen);
}

/* Every n and np; schedules and chunks take turns, so that each meets each. */
static bool map_all_sizes(const struct way *way, const struct kind *kind)
{
    static const size_t ns[] = {0, 1, 2, 3, 1000}, chunks[] = {0, 1, 3, 1000};
    static const int nps[] = {1, 2, 3, 7, 16, 64};
    size_t step = test_under_valgrind() ? 3 : 1, turn = 0;
    bool good = true;

    for (size_t n = 0; n < COUNT_OF(ns); n++) {
        for (size_t p = 0; p < COUNT_OF(nps); p += step, turn++) {
            if (!map_once(way, kind, ns[n], nps[p], (int)(turn % 3), chunks[turn % COUNT_OF(chunks)])) {
                test_note("not with n %zu, np %d, schedule %zu, chunk %zu", ns[n], nps[p], turn % 3,
                          chunks[turn % COUNT_OF(chunks)]);
                good = false;
            }
        }
    }
    return good;
}

static bool map_all_schedules(const struct way *way)
{
    static const size_t chunks[] = {0, 1, 3, 1000};
    bool good = true;

    for (int schedule = SHAREDMEM_GUIDED; schedule <= SHAREDMEM_STATIC; schedule++) {
        for (size_t c = 0; c < COUNT_OF(chunks); c++)
            good &=
                map_once(way, &kinds[(size_t)schedule * 2 % COUNT_OF(kinds)], 1000, 3, schedule, chunks[c]);
    }
    return good;
}

static void test_same_bytes(const struct way *way)
{
    for (size_t k = 0; k < COUNT_OF(kinds); k++)
        test_ok(map_all_sizes(way, &kinds[k]), "%s: results %s", way->name, kinds[k].name);
    test_ok(map_all_schedules(way), "%s: each schedule with each chunk", way->name);
}

/* ---- Items ---- */

/* A tail of letters: 24 bytes, or one. */
struct star {
    uint64_t a;
    double b;
    char name[8];
};

static struct star star_of(size_t i)
{
    struct star star = {.a = i * 5, .b = (double)i / 4};

    snprintf(star.name, sizeof star.name, "i%zu", i % 1000);
    return star;
}

struct feeding {
    size_t size;    /* of an item: the star, or its first byte */
    uint64_t n;     /* next ends there */
    uint64_t fails; /* and fails here */
    uint64_t n_reduced;
    uint64_t n_called;
    bool is_right; /* as reduce and next saw it */
};

static struct feeding *feeding;

static bool is_item(size_t i, const void *item)
{
    struct star star = star_of(i);

    return item != NULL && memcmp(item, &star, feeding->size) == 0;
}

static int use_item(size_t i, void *result, void *context)
{
    (void)context;
    *(uint64_t *)result = i + 1;
    return is_item(i, sharedmem_item()) ? 0 : 77;
}

static int reduce_item(size_t i, void *result, void *context)
{
    (void)context;
    feeding->is_right &=
        i == feeding->n_reduced++ && *(uint64_t *)result == i + 1 && is_item(i, sharedmem_item());
    return 0;
}

static int make_item(size_t i, void *item, void *context)
{
    struct star star = star_of(i), zero = {0};

    (void)context;
    feeding->is_right &= i == feeding->n_called++ && memcmp(item, &zero, feeding->size) == 0;
    if (i == feeding->fails)
        return sharedmem_fail(-4, "line %zu is torn", i);
    if (i == feeding->n)
        return 0;
    memcpy(item, &star, feeding->size);
    return 1;
}

static void begin_feeding(size_t size, uint64_t n, uint64_t fails)
{
    *feeding = (struct feeding){.size = size, .n = n, .fails = fails, .is_right = true};
}

static bool map_items(const struct way *way, const void *items, size_t size, size_t n)
{
    begin_feeding(size, n, UINT64_MAX);
    return way_map(way, pool,
                   &(sharedmem_map_options){.n = n,
                                            .work = use_item,
                                            .items = items,
                                            .item_size = size,
                                            .result_size = sizeof(uint64_t),
                                            .reduce = reduce_item,
                                            .np = 3}) == 0 &&
           feeding->is_right && feeding->n_reduced == n && sharedmem_item() == NULL;
}

static void test_arrays(const struct way *way)
{
    static struct star stars[N_MAX];
    static char bytes[N_MAX];
    struct star *shared = sharedmem_new(struct star, N_MAX);

    for (size_t i = 0; i < N_MAX; i++) {
        stars[i] = shared[i] = star_of(i);
        bytes[i] = *(char *)&stars[i];
    }
    test_ok(map_items(way, stars, sizeof *stars, N_MAX), "%s: items of a private array", way->name);
    test_ok(map_items(way, shared, sizeof *shared, N_MAX), "%s: of a shared one", way->name);
    test_ok(map_items(way, bytes, 1, N_MAX), "%s: of one byte each", way->name);
    sharedmem_free(shared);
}

static int map_made(const struct way *way, size_t look_ahead, int np, int schedule, sharedmem_error *error)
{
    return way_map(way, pool,
                   &(sharedmem_map_options){.n = SIZE_MAX,
                                            .work = use_item,
                                            .next = make_item,
                                            .item_size = feeding->size,
                                            .look_ahead = look_ahead,
                                            .result_size = sizeof(uint64_t),
                                            .reduce = reduce_item,
                                            .schedule = schedule,
                                            .chunk = look_ahead / 2,
                                            .np = np,
                                            .error = error});
}

static void test_generator(const struct way *way)
{
    static const size_t lengths[] = {0, 1, 1000}, aheads[] = {1, 2, 256, 0},
                        sizes[] = {1, sizeof(struct star)};
    sharedmem_error error;

    for (size_t l = 0; l < COUNT_OF(lengths); l++) {
        bool good = true;

        for (size_t k = 0; k < COUNT_OF(aheads) * COUNT_OF(sizes); k++) {
            begin_feeding(sizes[k % COUNT_OF(sizes)], lengths[l], UINT64_MAX);
            good &=
                map_made(way, aheads[k / COUNT_OF(sizes)], k % 3 == 0 ? 7 : 2, (int)(k % 3), &error) == 0 &&
                feeding->is_right && feeding->n_reduced == lengths[l] && feeding->n_called == lengths[l] + 1;
        }
        test_ok(good, "%s: a generator of %zu items", way->name, lengths[l]);
    }
    begin_feeding(sizeof(struct star), 1000, 500);
    test_ok(map_made(way, 16, 3, 0, &error) == -1 && errno == ECANCELED && error.item == 500 &&
                error.code == -4 && error.kind == SHAREDMEM_ERROR_RETURNED,
            "%s: one that fails in the middle", way->name);
    test_str("next failed with code -4 instead of item 500: line 500 is torn", error.message, "its message");
    test_ok(feeding->is_right && feeding->n_reduced <= 500, "nothing is wrong before");
}

/* ---- Few items ---- */

static int who(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    *(int *)result = sharedmem_rank() * 100 + sharedmem_size();
    return 0;
}

static bool is_done_by_caller(const struct way *way, size_t n, size_t min_length)
{
    int results[20] = {0};
    bool good = way_map(way, pool,
                        &(sharedmem_map_options){.n = n,
                                                 .work = who,
                                                 .np = 2,
                                                 .schedule = SHAREDMEM_STATIC,
                                                 .results = results,
                                                 .result_size = sizeof *results,
                                                 .min_length = min_length}) == 0;

    for (size_t i = 0; i < n; i++)
        good &= results[i] == 1;
    return good;
}

static void test_min_length(const struct way *way)
{
    bool is_alone = !way_is_parallel(way);

    test_ok(is_done_by_caller(way, 19, 20), "%s: fewer than .min_length are the caller's", way->name);
    test_ok(is_done_by_caller(way, 20, 20) == is_alone, "%s: .min_length of them are not", way->name);
}

/* ---- Many ---- */

static void test_many(const struct way *way)
{
    size_t maps = test_under_valgrind() ? 20 : way_forks(way) && !way->has_pool ? 300 : 2000;
    int fds = test_fds();
    bool good = true;

    for (size_t k = 0; k < maps; k++)
        good &= map_once(way, &kinds[k % COUNT_OF(kinds)], k % 10, 2, (int)(k % 3), 0);
    test_ok(good, "%s: %zu maps in a row", way->name, maps);
    test_int(fds, test_fds(), "%s: no file stays open", way->name);
}

int main(void)
{
    test_begin(240);
    setenv("SHAREDMEM_HEAP", "256M", 1);
    shared_results = sharedmem_new(struct value, N_MAX);
    seen_in_context = sharedmem_new(struct seen *, 1);
    feeding = sharedmem_new(struct feeding, 1);
    if (!test_thread_sanitized())
        pool = sharedmem_pool_create(64, NULL);
    for (size_t w = 0; w < N_WAYS; w++) {
        if (!way_is_possible(&ways[w]))
            continue;
        test_same_bytes(&ways[w]);
        test_arrays(&ways[w]);
        test_generator(&ways[w]);
        test_min_length(&ways[w]);
        test_many(&ways[w]);
    }
    sharedmem_pool_destroy(pool);
    test_int(0, test_children(), "no process is left");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
    return test_end();
}
