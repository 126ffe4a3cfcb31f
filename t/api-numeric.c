/*
 * Sum, min, max, sort, argsort and searchsorted: every dtype, all sizes at which something changes, every
 * number of ranks, against plain loops and qsort(); NaN, -0.0; what is refused; within other calls; failures.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static const int32_t dtypes[] = {
    SHAREDMEM_BOOL,    SHAREDMEM_INT8,      SHAREDMEM_INT16,     SHAREDMEM_INT32,  SHAREDMEM_INT64,
    SHAREDMEM_UINT8,   SHAREDMEM_UINT16,    SHAREDMEM_UINT32,    SHAREDMEM_UINT64, SHAREDMEM_FLOAT32,
    SHAREDMEM_FLOAT64, SHAREDMEM_COMPLEX64, SHAREDMEM_COMPLEX128};

static const char *const names[] = {"bool",    "int8",      "int16",     "int32",  "int64",
                                    "uint8",   "uint16",    "uint32",    "uint64", "float32",
                                    "float64", "complex64", "complex128"};

static const char *const counts[] = {"1", "2", "3", "7", "16"};

/* How many of n large cases there is time for. */
static size_t some(size_t n)
{
    return test_under_valgrind() ? 2 : n;
}

static int uncaught;
static sharedmem_error last;

static void note_uncaught(const sharedmem_error *error)
{
    uncaught++;
    last = *error;
}

/* ---- What is right ---- */

/* An element as any dtype's values fit in; is_whole says which of them counts. */
struct value {
    bool is_signed;
    bool is_whole;
    int64_t whole;
    uint64_t natural;
    double real;
    double imaginary;
};

static struct value real_value(double real, double imaginary)
{
    return (struct value){.real = real, .imaginary = imaginary};
}

static struct value signed_value(int64_t whole)
{
    return (struct value){.is_whole = true, .is_signed = true, .whole = whole, .natural = (uint64_t)whole};
}

static struct value natural_value(uint64_t natural)
{
    return (struct value){.is_whole = true, .natural = natural};
}

static struct value value_at(const void *data, size_t i, int32_t dtype)
{
    switch (dtype) {
    case SHAREDMEM_BOOL:
        return natural_value(((const bool *)data)[i]);
    case SHAREDMEM_INT8:
        return signed_value(((const int8_t *)data)[i]);
    case SHAREDMEM_INT16:
        return signed_value(((const int16_t *)data)[i]);
    case SHAREDMEM_INT32:
        return signed_value(((const int32_t *)data)[i]);
    case SHAREDMEM_INT64:
        return signed_value(((const int64_t *)data)[i]);
    case SHAREDMEM_UINT8:
        return natural_value(((const uint8_t *)data)[i]);
    case SHAREDMEM_UINT16:
        return natural_value(((const uint16_t *)data)[i]);
    case SHAREDMEM_UINT32:
        return natural_value(((const uint32_t *)data)[i]);
    case SHAREDMEM_UINT64:
        return natural_value(((const uint64_t *)data)[i]);
    case SHAREDMEM_FLOAT32:
        return real_value((double)((const float *)data)[i], 0);
    case SHAREDMEM_FLOAT64:
        return real_value(((const double *)data)[i], 0);
    case SHAREDMEM_COMPLEX64:
        return real_value((double)((const float *)data)[2 * i], (double)((const float *)data)[2 * i + 1]);
    default:
        return real_value(((const double *)data)[2 * i], ((const double *)data)[2 * i + 1]);
    }
}

static int compare_reals(double a, double b)
{
    if (isnan(a) || isnan(b))
        return (isnan(a) != 0) - (isnan(b) != 0);
    return (a > b) - (a < b);
}

/* NumPy's order, as its manual has it: R + I i, R + nan i, nan + I i, nan + nan i. */
static int compare_values(struct value a, struct value b)
{
    int group_a = 2 * (isnan(a.real) != 0) + (isnan(a.imaginary) != 0);
    int group_b = 2 * (isnan(b.real) != 0) + (isnan(b.imaginary) != 0);
    int order;

    if (a.is_whole)
        return a.is_signed ? (a.whole > b.whole) - (a.whole < b.whole)
                           : (a.natural > b.natural) - (a.natural < b.natural);
    if (group_a != group_b)
        return group_a - group_b;
    order = compare_reals(a.real, b.real);
    return order != 0 ? order : compare_reals(a.imaginary, b.imaginary);
}

/* What qsort() sorts: indices, so that it is stable. */
static const void *sorted_data;
static int32_t sorted_dtype;

static int compare_indices(const void *a, const void *b)
{
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    int order = compare_values(value_at(sorted_data, (size_t)i, sorted_dtype),
                               value_at(sorted_data, (size_t)j, sorted_dtype));

    return order != 0 ? order : (i > j) - (i < j);
}

static int64_t *right_order(const void *data, size_t n, int32_t dtype)
{
    int64_t *order = malloc((n + 1) * sizeof *order);

    for (size_t i = 0; i < n; i++)
        order[i] = (int64_t)i;
    sorted_data = data;
    sorted_dtype = dtype;
    qsort(order, n, sizeof *order, compare_indices);
    return order;
}

/* ---- Elements ---- */

/* What real numbers may be, with bits of their own each. */
static double special(uint64_t random)
{
    static const double values[] = {0.0,   -0.0,   1,     -1,     5e-324, -5e-324,
                                    1e-45, -1e-45, 1e300, -1e300, 3.5,    -3.5};

    switch (random % 16) {
    case 0:
        return NAN;
    case 1:
        return -NAN;
    case 2:
        return INFINITY;
    case 3:
        return -INFINITY;
    default:
        return values[random % 16 - 4];
    }
}

static uint64_t next_random(uint64_t *seed)
{
    uint64_t x = *seed += 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

enum fill { ANY, FEW, SPECIAL, EQUAL, RISING, FALLING, N_FILLS };

static double real_element(size_t i, size_t n, enum fill fill, uint64_t *seed)
{
    uint64_t random = next_random(seed);

    switch (fill) {
    case ANY:
        return (double)(int64_t)random * 0x1p-50;
    case FEW:
        return (double)(random % 5) - 2;
    case SPECIAL:
        return special(random);
    case EQUAL:
        return random % 2 == 0 ? 0.0 : -0.0;
    case RISING:
        return (double)i / 3;
    default:
        return (double)(n - i) / 3;
    }
}

static uint64_t whole_element(size_t i, size_t n, enum fill fill, uint64_t *seed)
{
    uint64_t random = next_random(seed);

    switch (fill) {
    case ANY:
        return random;
    case FEW:
        return random % 5 - 2;
    case SPECIAL:
        return random % 2 == 0 ? 0 : random % 4 == 1 ? UINT64_MAX : (uint64_t)1 << random % 64;
    case EQUAL:
        return 7;
    case RISING:
        return i;
    default:
        return n - i;
    }
}

/* n elements at data, which has room for them. */
static void fill_array(void *data, size_t n, int32_t dtype, enum fill fill, uint64_t seed)
{
    size_t size = sharedmem_itemsize(dtype);

    for (size_t i = 0; i < n; i++) {
        double reals[] = {real_element(i, n, fill, &seed), real_element(i, n, fill, &seed)};
        float singles[] = {(float)reals[0], (float)reals[1]};
        uint64_t whole = whole_element(i, n, fill, &seed);
        bool flag = whole % 2 != 0;
        const void *from = dtype == SHAREDMEM_BOOL                                       ? (void *)&flag
                           : dtype == SHAREDMEM_FLOAT32 || dtype == SHAREDMEM_COMPLEX64  ? (void *)singles
                           : dtype == SHAREDMEM_FLOAT64 || dtype == SHAREDMEM_COMPLEX128 ? (void *)reals
                                                                                         : (void *)&whole;

        memcpy((char *)data + i * size, from, size);
    }
}

static sharedmem_array make_row(int32_t dtype, size_t n, enum fill fill, bool is_shared)
{
    size_t bytes = n * sharedmem_itemsize(dtype) + 1;
    int64_t shape = (int64_t)n;
    sharedmem_array a = sharedmem_wrap(is_shared ? sharedmem_malloc(bytes) : malloc(bytes), dtype, 1, &shape);

    fill_array(a.data, n, dtype, fill, n + fill);
    return a;
}

static void drop(void *data)
{
    if (sharedmem_is_shared(data))
        sharedmem_free(data);
    else
        free(data);
}

/* ---- Sorting ---- */

/* All three calls on one array, whose right order is known by qsort(). */
static bool sorts(sharedmem_array a, const int64_t *order, bool is_shared)
{
    size_t n = sharedmem_array_size(a), size = sharedmem_itemsize(a.dtype);
    char *before = malloc(n * size + 1);
    int64_t *index = is_shared ? sharedmem_malloc((n + 1) * sizeof *index) : malloc((n + 1) * sizeof *index);
    bool good;

    memcpy(before, a.data, n * size);
    index[n] = 42;
    good = sharedmem_argsort(a, index) == 0 && memcmp(index, order, n * sizeof *index) == 0 && index[n] == 42;
    good &= memcmp(before, a.data, n * size) == 0;
    ((char *)a.data)[n * size] = 42;
    good &= sharedmem_sort(a) == 0 && ((char *)a.data)[n * size] == 42;
    for (size_t i = 0; i < n && good; i++)
        good = memcmp((char *)a.data + i * size, before + (size_t)order[i] * size, size) == 0;
    memcpy(a.data, before, n * size);
    free(before);
    drop(index);
    return good;
}

/* The same array with every number of ranks. */
static bool sorts_with_all(sharedmem_array a, bool is_shared)
{
    size_t n = sharedmem_array_size(a);
    int64_t *order = right_order(a.data, n, a.dtype);
    bool good = true;

    for (size_t i = 0; i < (n > 262144 ? some(COUNT_OF(counts)) : 1); i++) {
        setenv("SHAREDMEM_NP", counts[i], 1);
        good &= sorts(a, order, is_shared);
    }
    free(order);
    return good;
}

static void test_sort_small(void)
{
    static const size_t sizes[] = {0, 1, 2, 3, 4, 7, 8, 9, 31, 100, 255, 256, 257, 1000};

    for (size_t i = 0; i < COUNT_OF(dtypes); i++) {
        for (int fill = ANY; fill < N_FILLS; fill++) {
            bool good = true;

            for (size_t k = 0; k < COUNT_OF(sizes); k++) {
                sharedmem_array a = make_row(dtypes[i], sizes[k], (enum fill)fill, k % 2 == 0);

                good &= sorts_with_all(a, k % 4 < 2);
                drop(a.data);
            }
            test_ok(good, "small arrays of %s, filled by rule %d, are sorted", names[i], fill);
        }
    }
}

/* More than SORT_SMALL of src/run/numeric_sort.c: ranks share the work. */
static void test_sort_large(void)
{
    for (size_t i = 0; i < some(COUNT_OF(dtypes)); i++) {
        sharedmem_array a = make_row(dtypes[i], 262144 + i, (enum fill)(i % N_FILLS), i % 2 == 0);

        test_ok(sorts_with_all(a, i % 4 < 2), "an array of %s is sorted by 1 to 16 ranks", names[i]);
        drop(a.data);
    }
}

/* The last run of a merge may be alone, and so may its slices. */
static void test_sort_fills(void)
{
    for (int fill = ANY; fill < (int)some(N_FILLS); fill++) {
        sharedmem_array a = make_row(SHAREDMEM_FLOAT32, 300007, (enum fill)fill, fill % 2 != 0);

        test_ok(sorts_with_all(a, fill % 3 == 0), "filled by rule %d too", fill);
        drop(a.data);
    }
}

static void test_sort_scalar(void)
{
    double value = 1.5;
    int64_t index = -1;
    sharedmem_array a = sharedmem_wrap(&value, SHAREDMEM_FLOAT64, 0, NULL);

    test_int(0, sharedmem_sort(a), "a scalar is sorted");
    test_int(0, sharedmem_argsort(a, &index), "and has an order");
    test_ok(value == 1.5 && index == 0, "of itself");
}

/* ---- Searching ---- */

static bool finds(sharedmem_array sorted, sharedmem_array values, int32_t side, bool is_shared)
{
    size_t n = sharedmem_array_size(values), n_sorted = sharedmem_array_size(sorted);
    int64_t *index = is_shared ? sharedmem_malloc((n + 1) * sizeof *index) : malloc((n + 1) * sizeof *index);
    bool good = sharedmem_searchsorted(sorted, values, side, index) == 0;

    for (size_t i = 0; i < n && good; i++) {
        struct value value = value_at(values.data, i, values.dtype);
        size_t at = (size_t)index[i];

        /* All before it are less, or equal; what is behind is not. */
        good = at <= n_sorted &&
               (at == 0 || compare_values(value_at(sorted.data, at - 1, sorted.dtype), value) < side) &&
               (at == n_sorted || compare_values(value_at(sorted.data, at, sorted.dtype), value) >= side);
    }
    drop(index);
    return good;
}

static void test_search(void)
{
    static const size_t sizes[] = {0, 1, 2, 3, 100, 1000, 16384, 16385};

    for (size_t i = 0; i < COUNT_OF(dtypes); i++) {
        bool good = true;

        for (size_t k = 0; k < COUNT_OF(sizes) * 4; k++) {
            enum fill fill = (enum fill)((i + k) % 3);
            sharedmem_array sorted = make_row(dtypes[i], sizes[k % 7], fill, k % 2 == 0);
            sharedmem_array values = make_row(dtypes[i], sizes[k / 4], fill, k % 3 == 0);

            setenv("SHAREDMEM_NP", counts[k % COUNT_OF(counts)], 1);
            sharedmem_sort(sorted);
            good &= finds(sorted, values, SHAREDMEM_LEFT, k % 2 == 0);
            good &= finds(sorted, values, SHAREDMEM_RIGHT, k % 2 != 0);
            drop(sorted.data);
            drop(values.data);
        }
        test_ok(good, "values of %s are found", names[i]);
    }
}

static void test_search_shape(void)
{
    int32_t sorted[] = {1, 3, 3, 5}, values[] = {0, 1, 3, 4, 5, 6};
    int64_t index[6];
    sharedmem_array a = sharedmem_wrap(sorted, SHAREDMEM_INT32, 1, (const int64_t[]){4});
    sharedmem_array v = sharedmem_wrap(values, SHAREDMEM_INT32, 2, (const int64_t[]){2, 3});

    test_int(0, sharedmem_searchsorted(a, v, SHAREDMEM_LEFT, index), "values of two dimensions");
    test_ok(memcmp(index, (int64_t[]){0, 0, 1, 3, 3, 4}, sizeof index) == 0, "on the left");
    sharedmem_searchsorted(a, v, SHAREDMEM_RIGHT, index);
    test_ok(memcmp(index, (int64_t[]){0, 1, 3, 3, 4, 4}, sizeof index) == 0, "and on the right");
    v.shape[0] = 0;
    test_int(0, sharedmem_searchsorted(a, v, SHAREDMEM_LEFT, NULL), "no values need no index");
}

/* ---- Sums ---- */

/* More than SMALL of src/run/numeric.c, and no multiple of anything. */
#define MANY ((size_t)(8 << 20) + 4321)

/* That many take time to fill: they repeat after a while, which is not a whole number of pieces either. */
static sharedmem_array make_many(int32_t dtype, enum fill fill, bool is_shared)
{
    size_t size = sharedmem_itemsize(dtype), period = 100003, n = MANY;
    sharedmem_array a = make_row(dtype, 0, fill, is_shared);

    drop(a.data);
    a.data = is_shared ? sharedmem_malloc(n * size) : malloc(n * size);
    a.shape[0] = (int64_t)n;
    fill_array(a.data, period, dtype, fill, 1);
    for (size_t i = period; i < n; i += period)
        memcpy((char *)a.data + i * size, a.data, (n - i < period ? n - i : period) * size);
    return a;
}

static const int32_t many_dtypes[] = {SHAREDMEM_UINT8, SHAREDMEM_INT32, SHAREDMEM_FLOAT32, SHAREDMEM_FLOAT64,
                                      SHAREDMEM_COMPLEX64};

static size_t sum_bytes(int32_t dtype)
{
    return dtype < SHAREDMEM_FLOAT32 ? sizeof(int64_t) : sharedmem_itemsize(dtype);
}

/* Sums of whole numbers are exact; of others they are near enough, by the sum of what was added. */
static bool is_sum(const void *sum, const void *data, size_t n, int32_t dtype)
{
    long double real = 0, imaginary = 0, size = 0;
    double epsilon = dtype == SHAREDMEM_FLOAT32 || dtype == SHAREDMEM_COMPLEX64 ? 0x1p-24 : 0x1p-52;
    uint64_t whole = 0;
    struct value got;

    for (size_t i = 0; i < n; i++) {
        struct value value = value_at(data, i, dtype);

        whole += value.natural;
        real += (long double)value.real;
        imaginary += (long double)value.imaginary;
        size += fabsl((long double)value.real) + fabsl((long double)value.imaginary);
    }
    if (dtype < SHAREDMEM_FLOAT32)
        return memcmp(sum, &whole, sizeof whole) == 0;
    got = value_at(sum, 0, dtype);
    return fabsl((long double)got.real - real) <= fabsl(real) * (long double)epsilon + size * 0x1p-50L &&
           fabsl((long double)got.imaginary - imaginary) <=
               fabsl(imaginary) * (long double)epsilon + size * 0x1p-50L;
}

static bool sums(int32_t dtype, size_t n, enum fill fill, bool is_shared)
{
    sharedmem_array a = make_row(dtype, n, fill, is_shared);
    size_t size = sum_bytes(dtype);
    char sum[17];
    bool good;

    sum[size] = 42;
    good = sharedmem_sum(a, sum) == 0 && is_sum(sum, a.data, n, dtype) && sum[size] == 42;
    drop(a.data);
    return good;
}

static void test_sum(void)
{
    static const size_t sizes[] = {0,    1,     2,     3,     7,     8,      9,      15,
                                   16,   17,    511,   512,   513,   1023,   1024,   1025,
                                   1536, 65535, 65536, 65537, 66048, 131071, 131072, 131073};

    for (size_t i = 0; i < COUNT_OF(dtypes); i++) {
        bool good = true;

        for (size_t k = 0; k < COUNT_OF(sizes); k++)
            good &= sums(dtypes[i], sizes[k], ANY, false) && sums(dtypes[i], sizes[k], FEW, true);
        test_ok(good, "sums of %s", names[i]);
    }
}

/* One array, as many ranks as there may be, debug mode: not a bit differs. */
static bool sums_alike(sharedmem_array a)
{
    char first[16] = {0}, sum[16];
    bool good = sharedmem_sum(a, first) == 0 && is_sum(first, a.data, sharedmem_array_size(a), a.dtype);

    for (size_t i = 0; i <= COUNT_OF(counts); i++) {
        bool is_debug = i == COUNT_OF(counts);

        setenv("SHAREDMEM_NP", counts[is_debug ? 3 : i], 1);
        sharedmem_set_debug(is_debug);
        memset(sum, 0, sizeof sum);
        good &= sharedmem_sum(a, sum) == 0 && memcmp(first, sum, sizeof sum) == 0;
    }
    sharedmem_set_debug(false);
    return good;
}

static void test_sum_parallel(void)
{
    for (size_t i = 0; i < some(COUNT_OF(many_dtypes)); i++) {
        sharedmem_array a = make_many(many_dtypes[i], ANY, i % 2 == 0);

        setenv("SHAREDMEM_NP", "2", 1);
        test_ok(sums_alike(a), "the sum of many of dtype %d has the same bits for every number of ranks",
                many_dtypes[i]);
        drop(a.data);
    }
}

static void test_sum_values(void)
{
    double minus[] = {-0.0, -0.0}, lost[] = {1e308, 1e308, -1e308}, sum, complexes[2];
    float singles[3] = {16777216, 1, 1}, single;
    int8_t bytes[] = {-128, -128, 127};
    bool flags[] = {true, false, true};
    uint64_t wrapped[] = {UINT64_MAX, 2}, natural;
    int64_t whole;

    sharedmem_sum(sharedmem_wrap(minus, SHAREDMEM_FLOAT64, 1, (const int64_t[]){0}), &sum);
    test_ok(sum == 0 && !signbit(sum), "the sum of nothing is 0");
    sharedmem_sum(sharedmem_wrap(lost, SHAREDMEM_FLOAT64, 1, (const int64_t[]){3}), &sum);
    test_ok(isinf(sum) || sum == 1e308, "an overflow is infinite, or none");
    lost[1] = NAN;
    sharedmem_sum(sharedmem_wrap(lost, SHAREDMEM_FLOAT64, 1, (const int64_t[]){3}), &sum);
    test_ok(isnan(sum), "a sum with NaN is NaN");
    sharedmem_sum(sharedmem_wrap(singles, SHAREDMEM_FLOAT32, 1, (const int64_t[]){3}), &single);
    test_ok(single == 16777218.0f, "float32 is rounded once: %.1f", (double)single);
    sharedmem_sum(sharedmem_wrap(bytes, SHAREDMEM_INT8, 1, (const int64_t[]){3}), &whole);
    test_int(-129, whole, "int8 is added as int64");
    sharedmem_sum(sharedmem_wrap(flags, SHAREDMEM_BOOL, 1, (const int64_t[]){3}), &whole);
    test_int(2, whole, "bool is counted");
    sharedmem_sum(sharedmem_wrap(wrapped, SHAREDMEM_UINT64, 1, (const int64_t[]){2}), &natural);
    test_ok(natural == 1, "uint64 wraps");
    lost[1] = 2;
    sharedmem_sum(sharedmem_wrap(lost, SHAREDMEM_COMPLEX128, 0, NULL), complexes);
    test_ok(complexes[0] == 1e308 && complexes[1] == 2, "of a complex scalar, itself");
    sharedmem_sum(sharedmem_wrap((int16_t[]){1, 2, 3, 4, 5, 6}, SHAREDMEM_INT16, 2, (const int64_t[]){2, 3}),
                  &whole);
    test_int(21, whole, "of two dimensions, all");
}

/* Each 0.1 is a little more than that; added one by one they would be off by much more. */
static void test_sum_error(void)
{
    double tenth = 0.1, sum;
    sharedmem_array a = sharedmem_full(SHAREDMEM_FLOAT64, 1, (const int64_t[]){1000000}, &tenth);

    sharedmem_sum(a, &sum);
    test_ok(fabs(sum - 100000) < 2e-10, "a million tenths: off by %g", sum - 100000);
    sharedmem_free(a.data);
}

/* ---- Min and max ---- */

static bool is_nan(struct value value)
{
    return !value.is_whole && (isnan(value.real) || isnan(value.imaginary));
}

/* The first of the best, or a NaN. */
static bool is_extreme(const void *got, sharedmem_array a, int sign)
{
    size_t n = sharedmem_array_size(a), size = sharedmem_itemsize(a.dtype), best = 0;

    for (size_t i = 0; i < n; i++) {
        struct value value = value_at(a.data, i, a.dtype);

        if (is_nan(value))
            return is_nan(value_at(got, 0, a.dtype));
        if (sign * compare_values(value, value_at(a.data, best, a.dtype)) > 0)
            best = i;
    }
    return memcmp(got, (char *)a.data + best * size, size) == 0;
}

static bool has_extremes(sharedmem_array a)
{
    size_t size = sharedmem_itemsize(a.dtype);
    char min[17], max[17];

    min[size] = max[size] = 42;
    return sharedmem_min(a, min) == 0 && is_extreme(min, a, -1) && min[size] == 42 &&
           sharedmem_max(a, max) == 0 && is_extreme(max, a, 1) && max[size] == 42;
}

static void test_extremes(void)
{
    static const size_t sizes[] = {1, 2, 3, 17, 1000, 65535, 65536, 65537, 131073};

    for (size_t i = 0; i < COUNT_OF(dtypes); i++) {
        bool good = true;

        for (int fill = ANY; fill < N_FILLS; fill++) {
            for (size_t k = 0; k < COUNT_OF(sizes); k++) {
                sharedmem_array a = make_row(dtypes[i], sizes[k], (enum fill)fill, k % 2 == 0);

                good &= has_extremes(a);
                drop(a.data);
            }
        }
        test_ok(good, "min and max of %s", names[i]);
    }
}

/* Where only the last element is a NaN, its piece has to be seen. */
static void test_extremes_parallel(void)
{
    for (size_t i = 0; i < some(COUNT_OF(many_dtypes)); i++) {
        sharedmem_array a = make_many(many_dtypes[i], i % 2 == 0 ? ANY : EQUAL, i % 2 != 0);
        char min[16] = {0}, max[16] = {0};
        bool good = true;

        for (size_t k = 0; k < some(COUNT_OF(counts)) && good; k++) {
            char same_min[16] = {0}, same_max[16] = {0};

            setenv("SHAREDMEM_NP", counts[k], 1);
            good = sharedmem_min(a, same_min) == 0 && sharedmem_max(a, same_max) == 0;
            if (k == 0) {
                memcpy(min, same_min, sizeof min);
                memcpy(max, same_max, sizeof max);
                good &= is_extreme(min, a, -1) && is_extreme(max, a, 1);
            }
            good &= memcmp(min, same_min, sizeof min) == 0 && memcmp(max, same_max, sizeof max) == 0;
        }
        test_ok(good, "min and max of many of dtype %d, by 1 to 16 ranks", many_dtypes[i]);
        if (a.dtype == SHAREDMEM_FLOAT64) {
            ((double *)a.data)[MANY - 1] = NAN;
            test_ok(sharedmem_min(a, min) == 0 && is_nan(value_at(min, 0, a.dtype)), "or NaN, the last one");
        }
        drop(a.data);
    }
}

/* A NaN at the ends of blocks and of the whole. */
static void test_nan(void)
{
    static const size_t places[] = {0, 1, 65535, 65536, 99999};
    double *data = calloc(100000, sizeof *data), min, max;
    sharedmem_array a = sharedmem_wrap(data, SHAREDMEM_FLOAT64, 1, (const int64_t[]){100000});
    bool good = true;

    for (size_t i = 0; i < COUNT_OF(places); i++) {
        data[places[i]] = i % 2 == 0 ? NAN : -NAN;
        good &= sharedmem_min(a, &min) == 0 && sharedmem_max(a, &max) == 0 && isnan(min) && isnan(max);
        data[places[i]] = 0;
    }
    test_ok(good, "one NaN is enough, wherever it is");
    free(data);
}

/* ---- Refused ---- */

static double room[16];
static int64_t place;

/* By number, as all but searchsorted are called. */
static int call_one(int call, sharedmem_array a, void *output)
{
    switch (call) {
    case 0:
        return sharedmem_sum(a, output);
    case 1:
        return sharedmem_min(a, output);
    case 2:
        return sharedmem_max(a, output);
    case 3:
        return sharedmem_sort(a);
    case 4:
        return sharedmem_argsort(a, output);
    case 5:
        return sharedmem_searchsorted(a, a, SHAREDMEM_LEFT, output);
    default:
        return sharedmem_searchsorted(sharedmem_wrap(room, SHAREDMEM_FLOAT64, 0, NULL), a, SHAREDMEM_LEFT,
                                      output);
    }
}

static const char *const call_names[] = {
    "sharedmem_sum: ",     "sharedmem_min: ",          "sharedmem_max: ",         "sharedmem_sort: ",
    "sharedmem_argsort: ", "sharedmem_searchsorted: ", "sharedmem_searchsorted: "};

static void test_refused(int got, const char *call, const char *says)
{
    int code = errno;

    test_ok(got == -1 && code == EINVAL && uncaught == 1 && last.kind == SHAREDMEM_ERROR_USAGE, "%s",
            last.message);
    test_ok(strncmp(last.message, call, strlen(call)) == 0, "it names the call");
    test_has(says, last.message, "and says what");
    uncaught = 0;
    last.message[0] = '\0';
    errno = 0;
}

static void test_bad_arrays(void)
{
    sharedmem_array none = {.data = NULL}, good = sharedmem_wrap(room, SHAREDMEM_FLOAT64, 1, (int64_t[]){16});
    sharedmem_array transposed = sharedmem_wrap(room, SHAREDMEM_FLOAT64, 2, (int64_t[]){3, 4}), other = good;

    transposed.strides[0] = 8;
    transposed.strides[1] = 24;
    other.dtype = 99;
    for (int call = 0; call < 7; call++) {
        sharedmem_array every_other = good;

        test_refused(call_one(call, none, &place), call_names[call], "the array is none");
        test_refused(call_one(call, other, &place), call_names[call], "the array is none");
        every_other.shape[0] = 8;
        every_other.strides[0] = 16;
        test_refused(call_one(call, every_other, &place), call_names[call], "sharedmem_copy(a)");
        every_other.strides[0] = -8;
        test_refused(call_one(call, every_other, &place), call_names[call], "sharedmem_copy(a)");
        test_refused(call_one(call, transposed, &place), call_names[call], "sharedmem_copy(a)");
        if (call != 3)
            test_refused(call_one(call, good, NULL), call_names[call], " is NULL");
    }
    test_ok(room[0] == 0 && place == 0, "nothing was written");
}

static void test_bad_calls(void)
{
    sharedmem_array square = sharedmem_wrap(room, SHAREDMEM_FLOAT64, 2, (int64_t[]){2, 8});
    sharedmem_array row = sharedmem_wrap(room, SHAREDMEM_FLOAT64, 1, (int64_t[]){16});
    sharedmem_array single = sharedmem_wrap(room, SHAREDMEM_FLOAT32, 1, (int64_t[]){1});

    for (int call = 3; call < 6; call++) {
        test_refused(call_one(call, square, &place), call_names[call], "2 dimensions");
        test_refused(call_one(call, square, &place), call_names[call],
                     "sharedmem_wrap(a.data, a.dtype, 1, (int64_t[]){16})");
    }
    row.shape[0] = 0;
    test_refused(sharedmem_min(row, room), "sharedmem_min: ", "empty");
    test_refused(sharedmem_max(row, room), "sharedmem_max: ", "empty");
    test_refused(sharedmem_searchsorted(row, single, 0, &place),
                 "sharedmem_searchsorted: ", "sorted is of float64 and values are of float32");
    test_refused(sharedmem_searchsorted(row, row, 2, &place), "sharedmem_searchsorted: ", "side is 2");
    test_refused(sharedmem_searchsorted(row, row, -1, &place), "sharedmem_searchsorted: ", "side is -1");
}

/* Strides that do not matter: of a dimension of one, and of no elements. */
static void test_odd_strides(void)
{
    double data[] = {3, 1, 2}, sum = 0;
    sharedmem_array a = {data, SHAREDMEM_FLOAT64, 3, {1, 3, 1}, {7, 8, -1}};
    sharedmem_array empty = {data, SHAREDMEM_FLOAT64, 1, {0}, {3}};
    sharedmem_array odd = {(char *)room + 1, SHAREDMEM_FLOAT64, 1, {3}, {8}};

    test_int(0, sharedmem_sum(a, &sum), "the stride of one element is any");
    test_ok(sum == 6, "the sum is right");
    test_int(0, sharedmem_sort(empty), "that of none too");
    memcpy(odd.data, data, sizeof data);
    test_ok(sharedmem_sort(odd) == 0 && sharedmem_sum(odd, &sum) == 0 && sum == 6, "elements at any address");
    memcpy(data, odd.data, sizeof data);
    test_ok(data[0] == 1 && data[1] == 2 && data[2] == 3, "are sorted");
}

static void test_no_memory(void)
{
    sharedmem_array large = {room, SHAREDMEM_INT8, 1, {(int64_t)1 << 61}, {1}};
    int64_t index;

    setenv("SHAREDMEM_NP", "2", 1);
    test_int(-1, sharedmem_argsort(large, &index), "more than any memory");
    test_ok(errno == ENOMEM && uncaught == 1 && last.kind == SHAREDMEM_ERROR_NO_MEMORY, "%s", last.message);
    large.shape[0] = 1 << 28;
    test_int(-1, sharedmem_argsort(large, &index), "more than the heap");
    test_ok(errno == ENOMEM && uncaught == 2 && last.kind == SHAREDMEM_ERROR_NO_MEMORY, "%s", last.message);
    test_has("sharedmem_argsort: ", last.message, "it names the call");
    uncaught = 0;
}

/* ---- Within other calls ---- */

#define WITHIN ((size_t)270000)

/* All that needs other ranks, from wherever it is called. */
static int use_all(size_t i, void *result, void *context)
{
    sharedmem_array a = make_row(SHAREDMEM_INT32, WITHIN, ANY, i % 2 == 0);
    int64_t *order = right_order(a.data, WITHIN, a.dtype), sum = 0;
    bool good = sorts(a, order, i % 2 == 0);

    (void)result;
    good &= sharedmem_sum(*(sharedmem_array *)context, &sum) == 0 && sum == (int64_t)MANY;
    good &= finds(sharedmem_wrap(a.data, a.dtype, 0, NULL), a, SHAREDMEM_LEFT, true);
    free(order);
    drop(a.data);
    return good ? 0 : sharedmem_fail(1, "wrong");
}

static void test_within(void)
{
    bool yes = true;
    sharedmem_array flags = sharedmem_full(SHAREDMEM_BOOL, 1, (const int64_t[]){(int64_t)MANY}, &yes);
    sharedmem_error error;

    setenv("SHAREDMEM_NP", "3", 1);
    test_int(0, sharedmem_map(4, use_all, &flags, .error = &error, .np = 2), "in the workers of a map");
    test_int(0, sharedmem_map(2, use_all, &flags, .backend = SHAREDMEM_SERIAL), "in a map without workers");
    test_int(0, sharedmem_parallel(2, use_all, &flags, .error = &error), "in a parallel call");
    sharedmem_set_debug(true);
    test_int(0, use_all(0, NULL, &flags), "in debug mode");
    test_int(0, use_all(1, NULL, &flags), "with private memory too");
    sharedmem_set_debug(false);
    SHAREDMEM_CRITICAL
    {
        test_int(0, use_all(0, NULL, &flags), "in a critical region");
    }
    sharedmem_free(flags.data);
}

/* ---- Failures ---- */

/* A worker's uncaught error fails its item. */
static int sort_none(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    sharedmem_sort(*(sharedmem_array *)context);
    return 0;
}

/* Memory that is not there ends a rank by SIGSEGV, or the caller: so the caller is a worker. */
static void test_failures(void)
{
    sharedmem_array none = {.data = NULL};
    sharedmem_error error;

    sharedmem_set_uncaught(sharedmem_uncaught);
    test_int(-1, sharedmem_map(1, sort_none, &none, .error = &error), "a bad array fails the item");
    test_int(SHAREDMEM_ERROR_USAGE, error.kind, "as wrong usage");
    test_has("sharedmem_sort: the array is none", error.message, "that is named");
    none = sharedmem_wrap((void *)(uintptr_t)4096, SHAREDMEM_FLOAT64, 1, (const int64_t[]){1 << 24});
    setenv("SHAREDMEM_NP", "2", 1);
    if (test_address_sanitized() || test_thread_sanitized() || test_under_valgrind())
        test_skip("a sanitizer takes the signal");
    else if (test_int(-1, sharedmem_map(1, sort_none, &none, .error = &error),
                      "so does one that is not there"))
        test_int(SIGSEGV, error.code, "%s", error.message);
    sharedmem_set_uncaught(note_uncaught);
}

int main(void)
{
    sharedmem_error error;
    int fds;

    test_begin(300);
    setenv("SHAREDMEM_HEAP", "512M", 1);
    sharedmem_set_uncaught(note_uncaught);
    test_sum_values();
    test_sum_error();
    test_sum();
    fds = test_fds();
    test_sum_parallel();
    test_extremes();
    test_extremes_parallel();
    test_nan();
    test_sort_small();
    test_sort_large();
    test_sort_fills();
    test_sort_scalar();
    test_search();
    test_search_shape();
    test_int(0, uncaught, "nothing was refused");
    test_bad_arrays();
    test_bad_calls();
    test_odd_strides();
    test_no_memory();
    test_within();
    test_failures();
    test_int(0, test_children(), "no child is left");
    test_int(fds, test_fds(), "and no descriptor");
    test_int(0, sharedmem_heap_check(&error), "the heap is whole");
    return test_end();
}
