/*
 * What the tests of the Python package sharedmem check of its arrays, and of what is computed over them: a
 * sum in three ways, words counted. With forked workers, a pool, threads, and by the caller alone, and with
 * each schedule.
 */
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "tap.h"
#include "ways.h"

#define N_NUMBERS ((int64_t)1 << 16)
#define N_PARTS   64

/* Made before the pool is, so that its workers know it. */
struct shared {
    double sum, numbers[N_NUMBERS];
};

static struct shared *shared;

/* ---- Arrays ---- */

static bool has_shape_of(sharedmem_array a, sharedmem_array b)
{
    return a.data != NULL && a.ndim == b.ndim && memcmp(a.shape, b.shape, sizeof a.shape) == 0 &&
           a.dtype == b.dtype;
}

static bool create(const struct way *way)
{
    int64_t shape[] = {100};
    double one = 1, list[100] = {0};
    sharedmem_array a = sharedmem_empty(SHAREDMEM_FLOAT64, 1, shape);
    sharedmem_array others[] = {
        sharedmem_empty_like(a), sharedmem_empty_like(sharedmem_wrap(list, SHAREDMEM_FLOAT64, 1, shape)),
        sharedmem_full(SHAREDMEM_FLOAT64, 1, shape, &one), sharedmem_full_like(a, &one)};
    bool good = a.data != NULL && a.shape[0] == 100;

    (void)way;
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        good &= has_shape_of(others[k], a) && sharedmem_is_shared(others[k].data);
        good &= k < 2 || ((double *)others[k].data)[99] == 1;
        sharedmem_free(others[k].data);
    }
    sharedmem_free(a.data);
    return good;
}

/* What a worker adds through its copy of an array's value, all see. */
static int add_ten(size_t i, void *result, void *context)
{
    sharedmem_array a = *(const sharedmem_array *)sharedmem_item();
    int64_t at[3] = {0};

    (void)i;
    (void)context;
    for (at[0] = 0; at[0] < a.shape[0]; at[0]++)
        for (at[1] = 0; at[1] < (a.ndim > 1 ? a.shape[1] : 1); at[1]++)
            for (at[2] = 0; at[2] < (a.ndim > 2 ? a.shape[2] : 1); at[2]++)
                *(double *)((char *)a.data + at[0] * a.strides[0] + at[1] * a.strides[1] +
                            at[2] * a.strides[2]) += 10;
    *(sharedmem_array *)result = a;
    return 0;
}

static bool is_passed(const struct way *way, sharedmem_array a)
{
    sharedmem_array back[2] = {{0}};
    const sharedmem_array items[2] = {a, {.data = a.data, .dtype = SHAREDMEM_FLOAT64, .ndim = 1}};

    return MAP(way, 2, add_ten, .items = items, .item_size = sizeof a, .results = back,
               .result_size = sizeof a, .np = 2) == 0 &&
           memcmp(&back[0], &a, sizeof a) == 0;
}

static bool arrays(const struct way *way)
{
    int64_t shape[] = {10, 5, 2}, flat[] = {100}, none[] = {5, 0};
    sharedmem_array a = sharedmem_empty(SHAREDMEM_FLOAT64, 1, flat), b, c,
                    d = sharedmem_empty(SHAREDMEM_FLOAT32, 2, none);
    double *numbers = a.data;
    bool good = true;

    for (int k = 0; k < 100; k++)
        numbers[k] = k;
    b = sharedmem_slice(a, 0, SHAREDMEM_END, SHAREDMEM_END, -1);
    c = sharedmem_transpose(sharedmem_reshape(a, 3, shape), NULL);
    good &= is_passed(way, a) && numbers[0] == 10 && is_passed(way, b) && numbers[99] == 119;
    good &= is_passed(way, c) && is_passed(way, d) && sharedmem_array_size(d) == 0;
    for (int k = 0; k < 100; k++)
        good &= numbers[k] == k + 30;
    sharedmem_free(a.data);
    sharedmem_free(d.data);
    return good;
}

static int next_square(size_t i, void *result, void *context)
{
    (void)context;
    *(int32_t *)result = (int32_t)(i * i);
    return i < 100;
}

/* Of all that the iterator has, and of as many as were asked for. */
static bool from_iterator(const struct way *way)
{
    sharedmem_array all = sharedmem_fromiter(SHAREDMEM_INT32, next_square, NULL, -1);
    sharedmem_array some = sharedmem_fromiter(SHAREDMEM_INT32, next_square, NULL, 10);
    bool good = all.shape[0] == 100 && some.shape[0] == 10 && sharedmem_is_shared(all.data);

    (void)way;
    for (int k = 0; k < 100 && good; k++)
        good &= ((int32_t *)all.data)[k] == k * k && (k >= 10 || ((int32_t *)some.data)[k] == k * k);
    sharedmem_free(all.data);
    sharedmem_free(some.data);
    return good;
}

/* What is computed from shared memory is plain memory. */
static bool plain_memory(const struct way *way)
{
    double two = shared->numbers[0] + shared->numbers[1], *copy = malloc(sizeof two);
    bool good =
        sharedmem_is_shared(shared->numbers) && !sharedmem_is_shared(&two) && !sharedmem_is_shared(copy);

    (void)way;
    free(copy);
    return good;
}

/* ---- Sums ---- */

/* Part i of the rectangle rule for x over [0, 1). */
static int integrate(size_t i, void *result, void *context)
{
    sharedmem_range part = sharedmem_part(N_NUMBERS, (int)i, N_PARTS);
    double sum = 0;

    (void)context;
    for (size_t k = part.begin; k < part.end; k++) {
        shared->numbers[k] = (double)k / N_NUMBERS / N_NUMBERS;
        sum += shared->numbers[k];
    }
    SHAREDMEM_CRITICAL
    {
        shared->sum += sum;
    }
    *(double *)result = sum;
    return 0;
}

static double reduced;

static int add_part(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    reduced += *(double *)result;
    return 0;
}

static bool is_near(double a, double b)
{
    return a - b < 1e-12 && b - a < 1e-12;
}

static bool sum(const struct way *way)
{
    double direct = 0;

    reduced = 0;
    if (MAP(way, N_PARTS, integrate, .np = 4, .result_size = sizeof(double), .reduce = add_part) != 0)
        return false;
    for (int64_t k = 0; k < N_NUMBERS; k++)
        direct += shared->numbers[k];
    return is_near(reduced, shared->sum) && is_near(direct, reduced) && direct > 0.49 && direct < 0.51;
}

static const char *const lines[] = {
    "a pool of workers is a pool",
    "sharedmem is memory. that is shared. by a pool",
    "",
    "sharedmem. sharedmem. pool",
    "no word of it",
};
#define N_LINES (sizeof lines / sizeof *lines)

struct counts {
    int sharedmem, pool;
};

static int count_words(size_t i, void *result, void *context)
{
    struct counts *counts = result;
    char line[100], *rest = line;

    (void)context;
    memcpy(line, lines[i % N_LINES], strlen(lines[i % N_LINES]) + 1);
    for (char *word; (word = strtok_r(rest, " .", &rest)) != NULL;) {
        counts->sharedmem += strcmp(word, "sharedmem") == 0;
        counts->pool += strcmp(word, "pool") == 0;
    }
    return 0;
}

static int add_counts(size_t i, void *result, void *context)
{
    const struct counts *counts = result;

    (void)i;
    ((struct counts *)context)->sharedmem += counts->sharedmem;
    ((struct counts *)context)->pool += counts->pool;
    return 0;
}

static struct counts count_all(const struct way *way)
{
    struct counts counts = {0};

    if (MAP(way, 100 * N_LINES, count_words, .context = &counts, .np = 4, .result_size = sizeof counts,
            .reduce = add_counts, .context_size = way->pool != NULL ? sizeof counts : 0) != 0)
        counts.pool = -1;
    return counts;
}

static bool word_count(const struct way *way)
{
    struct counts counts = count_all(way), serial;

    sharedmem_set_debug(true);
    serial = count_all(way);
    sharedmem_set_debug(false);
    return counts.sharedmem == 300 && counts.pool == 400 && memcmp(&counts, &serial, sizeof counts) == 0;
}

static const struct {
    const char *name;
    bool (*holds)(const struct way *way);
} rows[] = {
    {"create arrays", create},
    {"an array from an iterator", from_iterator},
    {"arrays as values: plain, reversed, transposed, empty", arrays},
    {"sums of shared memory are plain memory", plain_memory},
    {"a sum three ways", sum},
    {"count words, in debug mode too", word_count},
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
    test_begin(120);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    shared = sharedmem_calloc(1, sizeof *shared);
    ways_test(test_rows, 8);
    test_int(0, test_children(), "no process is left");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
    sharedmem_free(shared);
    return test_end();
}
