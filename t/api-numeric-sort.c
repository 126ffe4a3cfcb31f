/*
 * Sort, argsort and searchsorted: every dtype, all sizes at which something changes, every number of ranks,
 * against qsort(); NaN, -0.0.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "numeric.h"
#include "tap.h"

/* ---- Sorting ---- */

/* The same array with every number of ranks. */
static bool sorts_with_all(sharedmem_array a, bool is_shared)
{
    size_t n = sharedmem_array_size(a);
    int64_t *order = right_order(a.data, n, a.dtype);
    bool good = true;

    for (size_t i = 0; i < (n > 262144 ? some(COUNT_OF(counts)) : 1); i += test_address_sanitized() ? 2 : 1) {
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

int main(void)
{
    int fds = begin_numeric();

    test_sort_small();
    test_sort_large();
    test_sort_fills();
    test_sort_scalar();
    test_search();
    test_search_shape();
    test_int(0, uncaught, "nothing was refused");
    check_nothing_left(fds);
    return test_end();
}
