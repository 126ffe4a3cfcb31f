/*
 * Views of arrays: slice, index, transpose, reshape and element, step by step beside a model (array_model.h);
 * and what is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "array_model.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

#define END SHAREDMEM_END

/* ---- Slices of one dimension, all there are ---- */

static const int64_t ends[] = {END, INT64_MIN + 1, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7,
                               8,   INT64_MAX};
static const int64_t steps[] = {1, 2, 3, 4, 5, 6, 7, INT64_MAX, -1, -2, -3, -4, -5, -6, -7, INT64_MIN};

static bool slices_of(int64_t n, int64_t step)
{
    static struct model model;
    sharedmem_array a = sharedmem_wrap(room, SHAREDMEM_INT16, 1, &n);
    bool good = true;
    /* The model counts on; a step that leaves the array at once is as good. */
    int64_t walkable = step == INT64_MIN ? -1000 : step == INT64_MAX ? 1000 : step;

    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        for (size_t k = 0; k < COUNT_OF(ends); k++) {
            model_begin(&model, 1, &n);
            model_slice(&model, 0, ends[i], ends[k], walkable);
            good &= is_modelled(sharedmem_slice(a, i % 2 == 0 ? 0 : -1, ends[i], ends[k], step), &model);
        }
    }
    return good;
}

/* What Python says, so that the model is not believed alone. */
static const struct {
    int64_t n, start, stop, step;
    const char *elements;
} python[] = {
    {5, END, END, 1, "01234"}, {5, END, END, -1, "43210"}, {5, 1, END, 2, "13"},     {5, END, -1, 1, "0123"},
    {5, -2, END, 1, "34"},     {5, -100, 3, 2, "02"},      {5, 100, END, -2, "420"}, {5, 3, END, -2, "31"},
    {5, 3, 0, -1, "321"},      {5, END, 1, -1, "432"},     {5, 3, 3, 1, ""},         {5, 4, 1, 1, ""},
    {5, 1, 4, -1, ""},         {5, -1, -6, -1, "43210"},   {5, -1, -5, -1, "4321"},  {5, 2, 100, 9, "2"},
    {0, END, END, -1, ""},     {1, END, END, -3, "0"},     {5, 0, -1, 3, "03"},      {6, -1, END, -3, "52"},
};

static void test_slices(void)
{
    for (size_t row = 0; row < COUNT_OF(python); row++) {
        char digits[] = "012345", got[10] = "";
        sharedmem_array a = sharedmem_wrap(digits, SHAREDMEM_INT8, 1, &python[row].n);

        a = sharedmem_slice(a, 0, python[row].start, python[row].stop, python[row].step);
        for (int64_t i = 0; i < a.shape[0]; i++)
            got[i] = *(char *)sharedmem_element(a, &i);
        test_str(python[row].elements, got, "slice %zu as Python has it", row);
    }
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        bool good = true;

        for (int64_t n = 0; n < 8; n++)
            good &= slices_of(n, steps[i]);
        test_ok(good, "slices by %lld, of 0 to 7 elements", (long long)steps[i]);
    }
}

/* ---- Chains of views ---- */

static void test_chains(void)
{
    int n_chains = test_under_valgrind() ? 5 : 120;
    static struct model model;
    unsigned seed = 1;

    for (int32_t ndim = 0; ndim <= SHAREDMEM_NDIM_MAX; ndim++) {
        bool good = true;

        for (int32_t dtype = SHAREDMEM_BOOL; dtype <= SHAREDMEM_COMPLEX128; dtype++) {
            for (int k = 0; k < n_chains && good; k++) {
                sharedmem_array a = random_array(&model, dtype, ndim, &seed);

                good = take_steps(&a, &model, 6, &seed);
            }
        }
        test_ok(good, "chains of views of %d dimensions, of all dtypes", (int)ndim);
    }
    test_ok(n_views > 100 && n_refused > 100, "%u reshapes were views, %u could not be", n_views, n_refused);
    test_int(0, uncaught, "nothing else was refused");
}

/* ---- Refused ---- */

static void test_bad_slices(void)
{
    sharedmem_array a = sharedmem_wrap(room, SHAREDMEM_INT32, 2, (int64_t[]){3, 4}), never = {.data = NULL};
    sharedmem_array scalar = sharedmem_wrap(room, SHAREDMEM_INT32, 0, NULL),
                    none = sharedmem_slice(a, 1, 2, 2, 1);

    test_array_refused(sharedmem_slice(a, 0, 0, 1, 0), "sharedmem_slice", "step is 0");
    test_array_refused(sharedmem_slice(a, 2, 0, 1, 1), "sharedmem_slice", "dim is 2; it must be 0 to 1");
    test_array_refused(sharedmem_slice(a, -3, 0, 1, 1), "sharedmem_slice", "dim is -3");
    test_array_refused(sharedmem_slice(a, INT32_MIN, 0, 1, 1), "sharedmem_slice", "dim is -2147483648");
    test_array_refused(sharedmem_slice(scalar, 0, 0, 1, 1), "sharedmem_slice", "the array is a scalar");
    test_array_refused(sharedmem_slice(never, 0, 0, 1, 1), "sharedmem_slice", "never made");
    test_array_refused(
        sharedmem_index(a, 1, 4), "sharedmem_index",
        "index 4 is out of range: dimension 1 has 4 elements, which are 0 to 3, or from the last "
        "one -1 to -4");
    test_array_refused(sharedmem_index(a, -1, -5), "sharedmem_index",
                       "index -5 is out of range: dimension 1");
    test_array_refused(sharedmem_index(a, 0, INT64_MIN), "sharedmem_index", "-9223372036854775808");
    test_array_refused(sharedmem_index(none, 1, 0), "sharedmem_index", "dimension 1 has 0 elements");
    test_array_refused(sharedmem_index(scalar, 0, 0), "sharedmem_index", "the array is a scalar");
    test_array_refused(sharedmem_index(a, 7, 0), "sharedmem_index", "dim is 7");
    test_call_refused(sharedmem_element(a, (int64_t[]){2, 4}) == NULL, "sharedmem_element",
                      "index 4 is out of range");
    test_call_refused(sharedmem_element(a, (int64_t[]){-4, 0}) == NULL, "sharedmem_element",
                      "dimension 0 has 3");
    test_call_refused(sharedmem_element(none, (int64_t[]){0, 0}) == NULL, "sharedmem_element",
                      "dimension 1 has 0");
    test_call_refused(sharedmem_element(a, NULL) == NULL, "sharedmem_element",
                      "index is NULL; give 2 numbers");
    test_call_refused(sharedmem_element(never, NULL) == NULL, "sharedmem_element", "never made");
    test_ok(sharedmem_element(scalar, NULL) == room, "a scalar needs no index");
}

static void test_bad_axes(void)
{
    sharedmem_array a = sharedmem_wrap(room, SHAREDMEM_INT32, 3, (int64_t[]){2, 3, 4}),
                    never = {.data = NULL};
    static const char call[] = "sharedmem_transpose";

    test_array_refused(sharedmem_transpose(a, (int32_t[]){0, 1, 3}), call, "dim is 3");
    test_array_refused(sharedmem_transpose(a, (int32_t[]){0, 1, 0}), call, "axes has dimension 0 twice");
    test_array_refused(sharedmem_transpose(a, (int32_t[]){0, 2, -1}), call, "axes has dimension 2 twice");
    test_array_refused(sharedmem_transpose(a, (int32_t[]){0, INT32_MAX, 1}), call, "dim is 2147483647");
    test_array_refused(sharedmem_transpose(never, NULL), call, "never made");
}

static const struct {
    int32_t ndim;
    const int64_t *shape;
    const char *says;
} bad_shapes[] = {
    {2, (const int64_t[]){5, 5}, "the array is 3 x 4, 12 elements, and cannot become 5 x 5"},
    {0, NULL, "cannot become scalar"},
    {2, (const int64_t[]){-1, 5}, "no number in place of shape[0] makes that 12 elements"},
    {2, (const int64_t[]){0, -1}, "no number in place of shape[1]"},
    {3, (const int64_t[]){-1, 2, -1}, "shape[0] and shape[2] are -1"},
    {2, (const int64_t[]){-1, -2}, "shape[1] is -2"},
    {2, (const int64_t[]){-3, 4}, "shape[0] is -3"},
    {2, (const int64_t[]){INT64_MAX, INT64_MAX}, "cannot become"},
    {2, (const int64_t[]){0, 12}, "cannot become 0 x 12"},
    {1, NULL, "shape is NULL"},
    {9, (const int64_t[]){12}, "ndim is 9"},
    {-1, (const int64_t[]){12}, "ndim is -1"},
};

static void test_bad_shapes(void)
{
    sharedmem_array a = sharedmem_wrap(room, SHAREDMEM_INT32, 2, (int64_t[]){3, 4}), none;
    static const char call[] = "sharedmem_reshape";

    for (size_t row = 0; row < COUNT_OF(bad_shapes); row++)
        test_array_refused(sharedmem_reshape(a, bad_shapes[row].ndim, bad_shapes[row].shape), call,
                           bad_shapes[row].says);
    test_array_refused(sharedmem_reshape(sharedmem_transpose(a, NULL), 1, (int64_t[]){12}), call,
                       "copy the array first: sharedmem_reshape(sharedmem_copy(a), 1, shape)");
    test_array_refused(sharedmem_reshape((sharedmem_array){.data = NULL}, 0, NULL), call, "never made");
    none = sharedmem_slice(a, 0, 3, END, 1);
    test_array_refused(sharedmem_reshape(none, 2, (int64_t[]){-1, 0}), call,
                       "no number in place of shape[0]");
    test_array_refused(sharedmem_reshape(none, 3, (int64_t[]){INT64_MAX, 0, INT64_MAX}), call,
                       "no memory is as large");
    none = sharedmem_reshape(none, 3, (int64_t[]){7, -1, 2});
    test_ok(none.data != NULL && none.shape[0] == 7 && none.shape[1] == 0, "nothing has many shapes");
}

/* Arrays made by hand, that no memory could hold. */
static void test_far_strides(void)
{
    static const struct {
        int64_t shape[2], strides[2];
    } far[] = {{{2, 2}, {INT64_MAX, 8}},
               {{3, 2}, {INT64_MAX / 2, INT64_MAX}},
               {{2, 2}, {INT64_MIN, 8}},
               {{INT64_MAX, 2}, {8, 8}},
               {{2, INT64_MAX}, {-8, -8}}};
    static const char *const says = "strides of the array reach farther";

    for (size_t i = 0; i < COUNT_OF(far); i++) {
        sharedmem_array a = {.data = room, .dtype = SHAREDMEM_FLOAT64, .ndim = 2};

        memcpy(a.shape, far[i].shape, sizeof far[i].shape);
        memcpy(a.strides, far[i].strides, sizeof far[i].strides);
        test_array_refused(sharedmem_slice(a, 0, 1, 2, 1), "sharedmem_slice", says);
        test_array_refused(sharedmem_index(a, 0, 1), "sharedmem_index", says);
        test_array_refused(sharedmem_transpose(a, NULL), "sharedmem_transpose", says);
        test_array_refused(sharedmem_copy(a), "sharedmem_copy", says);
        test_call_refused(sharedmem_element(a, (int64_t[]){1, 1}) == NULL, "sharedmem_element", says);
        test_call_refused(sharedmem_copy_into(a, a) == -1, "sharedmem_copy_into", says);
        test_ok(!sharedmem_is_contiguous(a) && errno == EINVAL, "and is not contiguous");
    }
}

/* ---- Elsewhere ---- */

static bool is_row(const int32_t *row, int n, const int32_t *expected)
{
    return memcmp(row, expected, (size_t)n * sizeof *row) == 0;
}

/* What is computed over whole arrays wants them in a row, and says what to do. */
static void test_numeric(void)
{
    int32_t x[] = {5, 9, 3, 9, 1, 9};
    sharedmem_array a = sharedmem_wrap(x, SHAREDMEM_INT32, 1, (int64_t[]){6}), even, copy;
    int64_t sum = 0;

    even = sharedmem_slice(a, 0, END, END, 2);
    test_call_refused(sharedmem_sum(even, &sum) == -1, "sharedmem_sum",
                      "copy the array first: sharedmem_copy(a)");
    test_call_refused(sharedmem_sort(even) == -1, "sharedmem_sort",
                      "copy the array first: sharedmem_copy(a)");
    copy = sharedmem_copy(even);
    test_ok(sharedmem_sum(copy, &sum) == 0 && sum == 9 && sharedmem_sort(copy) == 0 &&
                sharedmem_copy_into(even, copy) == 0,
            "which works, and goes back");
    test_ok(is_row(x, 6, (int32_t[]){1, 9, 3, 9, 5, 9}), "every other element is sorted");
    sharedmem_free(copy.data);
    a = sharedmem_reshape(a, 2, (int64_t[]){2, 3});
    test_call_refused(sharedmem_sort(a) == -1, "sharedmem_sort", "sharedmem_reshape(a, 1, (int64_t[]){-1})");
    test_int(0, sharedmem_sort(sharedmem_reshape(a, 1, (int64_t[]){-1})), "all of it in one row");
    test_ok(is_row(x, 6, (int32_t[]){1, 3, 5, 9, 9, 9}), "is sorted");
}

/* Each worker has a column of one shared array, backwards. */
static int set_column(size_t i, void *result, void *context)
{
    sharedmem_array column = sharedmem_index(*(sharedmem_array *)context, 1, (int64_t)i);

    (void)result;
    column = sharedmem_slice(column, 0, END, END, -1);
    for (int64_t k = 0; k < column.shape[0]; k++)
        *(double *)sharedmem_element(column, &k) = (double)i * 100 + (double)k;
    return 0;
}

static void test_workers(void)
{
    sharedmem_array a = sharedmem_empty(SHAREDMEM_FLOAT64, 2, (int64_t[]){10, 8});
    bool good = sharedmem_map(8, set_column, &a, .np = 3) == 0;

    for (int64_t i = 0; i < 10; i++)
        for (int64_t k = 0; k < 8; k++)
            good &= ((double *)a.data)[i * 8 + k] == (double)(k * 100 + 9 - i);
    test_ok(good, "workers write to views");
    sharedmem_free(a.data);
}

/* A worker's item fails by a usage error as by any other. */
static int go_too_far(size_t i, void *result, void *context)
{
    (void)result;
    *(double *)sharedmem_element(*(sharedmem_array *)context, (int64_t[]){(int64_t)i}) = 1;
    return 0;
}

static void test_item_fails(void)
{
    sharedmem_array a = sharedmem_empty(SHAREDMEM_FLOAT64, 1, (int64_t[]){10});
    sharedmem_uncaught_handler *before = sharedmem_set_uncaught(sharedmem_uncaught);
    sharedmem_error error;

    test_int(-1, sharedmem_map(11, go_too_far, &a, .np = 2, .error = &error),
             "an index that is out of range");
    test_ok(error.item == 10, "fails the item");
    test_has("index 10 is out of range: dimension 0 has 10 elements", error.message, "and says so");
    sharedmem_set_uncaught(before);
    sharedmem_free(a.data);
}

int main(void)
{
    test_begin(120);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    room = malloc(ROOM_BYTES);
    sharedmem_set_uncaught(note_uncaught);
    test_slices();
    test_chains();
    test_bad_slices();
    test_bad_axes();
    test_bad_shapes();
    test_far_strides();
    test_numeric();
    test_workers();
    test_item_fails();
    test_int(0, uncaught, "nothing was refused that is good");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
    free(room);
    return test_end();
}
