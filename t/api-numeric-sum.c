/*
 * Sum, min and max: every dtype, all sizes at which something changes, every number of ranks, against plain
 * loops; NaN, -0.0.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "numeric.h"
#include "tap.h"

/* ---- Sums ---- */

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

int main(void)
{
    int fds = begin_numeric();

    test_sum_values();
    test_sum_error();
    test_sum();
    test_sum_parallel();
    test_extremes();
    test_extremes_parallel();
    test_nan();
    test_int(0, uncaught, "nothing was refused");
    check_nothing_left(fds);
    return test_end();
}
