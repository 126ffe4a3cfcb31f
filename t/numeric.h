/*
 * numeric.h: arrays of every dtype, filled in several ways, and what is right for them, for the tests of sums
 * and sorting.
 */
#ifndef T_NUMERIC_H
#define T_NUMERIC_H

#include <math.h>
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
static inline size_t some(size_t n)
{
    return test_under_valgrind() ? 2 : n;
}

static int uncaught;
static sharedmem_error last;

static inline void note_uncaught(const sharedmem_error *error)
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

static inline struct value real_value(double real, double imaginary)
{
    return (struct value){.real = real, .imaginary = imaginary};
}

static inline struct value signed_value(int64_t whole)
{
    return (struct value){.is_whole = true, .is_signed = true, .whole = whole, .natural = (uint64_t)whole};
}

static inline struct value natural_value(uint64_t natural)
{
    return (struct value){.is_whole = true, .natural = natural};
}

static inline struct value value_at(const void *data, size_t i, int32_t dtype)
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

static inline int compare_reals(double a, double b)
{
    if (isnan(a) || isnan(b))
        return (isnan(a) != 0) - (isnan(b) != 0);
    return (a > b) - (a < b);
}

/* NumPy's order, as its manual has it: R + I i, R + nan i, nan + I i, nan + nan i. */
static inline int compare_values(struct value a, struct value b)
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

static inline int compare_indices(const void *a, const void *b)
{
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    int order = compare_values(value_at(sorted_data, (size_t)i, sorted_dtype),
                               value_at(sorted_data, (size_t)j, sorted_dtype));

    return order != 0 ? order : (i > j) - (i < j);
}

static inline int64_t *right_order(const void *data, size_t n, int32_t dtype)
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
static inline double special(uint64_t random)
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

static inline uint64_t next_random(uint64_t *seed)
{
    uint64_t x = *seed += 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

enum fill { ANY, FEW, SPECIAL, EQUAL, RISING, FALLING, N_FILLS };

static inline double real_element(size_t i, size_t n, enum fill fill, uint64_t *seed)
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

static inline uint64_t whole_element(size_t i, size_t n, enum fill fill, uint64_t *seed)
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
static inline void fill_array(void *data, size_t n, int32_t dtype, enum fill fill, uint64_t seed)
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

static inline sharedmem_array make_row(int32_t dtype, size_t n, enum fill fill, bool is_shared)
{
    size_t bytes = n * sharedmem_itemsize(dtype) + 1;
    int64_t shape = (int64_t)n;
    sharedmem_array a = sharedmem_wrap(is_shared ? sharedmem_malloc(bytes) : malloc(bytes), dtype, 1, &shape);

    fill_array(a.data, n, dtype, fill, n + fill);
    return a;
}

static inline void drop(void *data)
{
    if (sharedmem_is_shared(data))
        sharedmem_free(data);
    else
        free(data);
}

/* More than SMALL of src/run/numeric.c, and no multiple of anything. */
#define MANY ((size_t)(8 << 20) + 4321)

/* All three calls on one array, whose right order is known by qsort(). */
static inline bool sorts(sharedmem_array a, const int64_t *order, bool is_shared)
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

/* Whether each value is found where it belongs. */
static inline bool finds(sharedmem_array sorted, sharedmem_array values, int32_t side, bool is_shared)
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

/* As all of these tests begin and end. */
static inline int begin_numeric(void)
{
    test_begin(300);
    setenv("SHAREDMEM_HEAP", "512M", 1);
    sharedmem_set_uncaught(note_uncaught);
    return test_fds();
}

static inline void check_nothing_left(int fds)
{
    sharedmem_error error;

    test_int(0, test_children(), "no child is left");
    test_int(fds, test_fds(), "and no descriptor");
    test_int(0, sharedmem_heap_check(&error), "the heap is whole");
}

#endif
