/*
 * Views: arrays of elements that another array has. They are values computed from values: nothing is
 * allocated, and no element is touched. A view that has no elements keeps the address of its array, which is
 * never NULL.
 */
#include <errno.h>

#include "base/error.h"
#include "memory/array_shape.h"

/* ---- Dimensions and indices ---- */

/* Makes *dim count from the first dimension. */
static int check_dim(const char *call, const sharedmem_array *a, int32_t *dim, sharedmem_error *error)
{
    int32_t given = *dim;

    if (a->ndim == 0)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s: dim is %d; the array is a scalar, which has no dimensions", call, (int)given);
    if (given < -a->ndim || given >= a->ndim)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s: dim is %d; it must be 0 to %d, or from the last one -1 to -%d", call,
                         (int)given, (int)a->ndim - 1, (int)a->ndim);
    *dim = given < 0 ? given + a->ndim : given;
    return 0;
}

/* Makes *i count from the first element along dim, which is checked. */
static int check_index(const char *call, const sharedmem_array *a, int32_t dim, int64_t *i,
                       sharedmem_error *error)
{
    int64_t given = *i, n = a->shape[dim];

    if (n == 0)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s: index %lld is out of range: dimension %d has 0 elements", call,
                         (long long)given, (int)dim);
    if (given < -n || given >= n)
        return error_set(
            error, SHAREDMEM_ERROR_USAGE, EINVAL,
            "%s: index %lld is out of range: dimension %d has %lld elements, which are 0 to %lld, or "
            "from the last one -1 to -%lld",
            call, (long long)given, (int)dim, (long long)n, (long long)n - 1, (long long)n);
    *i = given < 0 ? given + n : given;
    return 0;
}

/* ---- Slice and index ---- */

/* Element i along dim becomes the first one; where there are elements at all, it is one of them. */
static void *move_data(const sharedmem_array *a, int32_t dim, int64_t i)
{
    return array_is_empty(a) ? a->data : (char *)a->data + i * a->strides[dim];
}

/* A start or stop becomes one of low to high, the ends of what there is in a step's direction. */
static int64_t clip(int64_t at, int64_t n, int64_t low, int64_t high)
{
    if (at < 0)
        at += n;
    return at < low ? low : at > high ? high : at;
}

/* How many elements there are from start until stop, in steps. */
static int64_t count_steps(int64_t start, int64_t stop, int64_t step)
{
    if (step > 0)
        return start < stop ? (stop - start - 1) / step + 1 : 0;
    /* The least number has no negative. */
    step = step < -INT64_MAX ? -INT64_MAX : step;
    return stop < start ? (start - stop - 1) / -step + 1 : 0;
}

static void slice(sharedmem_array *a, int32_t dim, int64_t start, int64_t stop, int64_t step)
{
    int64_t n = a->shape[dim], first = step > 0 ? 0 : n - 1, behind = step > 0 ? n : -1;
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1, count, stride;

    start = start == SHAREDMEM_END ? first : clip(start, n, low, high);
    stop = stop == SHAREDMEM_END ? behind : clip(stop, n, low, high);
    count = count_steps(start, stop, step);
    if (count > 0)
        a->data = move_data(a, dim, start);
    a->shape[dim] = count;
    /* Of two elements or more the step is less than what there is; of one or none a stride means nothing. */
    if (!__builtin_mul_overflow(a->strides[dim], step, &stride))
        a->strides[dim] = stride;
}

/* A program that made the array by hand may have left something behind its dimensions. */
static void clear_rest(sharedmem_array *a)
{
    for (int32_t k = a->ndim; k < SHAREDMEM_NDIM_MAX; k++)
        a->shape[k] = a->strides[k] = 0;
}

sharedmem_array sharedmem_slice(sharedmem_array a, int32_t dim, int64_t start, int64_t stop, int64_t step)
{
    static const char call[] = "sharedmem_slice";
    sharedmem_error error;

    if (array_check(call, &a, &error) != 0 || check_dim(call, &a, &dim, &error) != 0)
        return array_refuse(&error);
    if (step == 0) {
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: step is 0; give 1 for each element, 2 for every other one, -1 for all backwards",
                  call);
        return array_refuse(&error);
    }
    slice(&a, dim, start, stop, step);
    clear_rest(&a);
    return a;
}

static void remove_dimension(sharedmem_array *a, int32_t dim)
{
    a->ndim--;
    for (int32_t k = dim; k < a->ndim; k++) {
        a->shape[k] = a->shape[k + 1];
        a->strides[k] = a->strides[k + 1];
    }
}

sharedmem_array sharedmem_index(sharedmem_array a, int32_t dim, int64_t i)
{
    static const char call[] = "sharedmem_index";
    sharedmem_error error;

    if (array_check(call, &a, &error) != 0 || check_dim(call, &a, &dim, &error) != 0 ||
        check_index(call, &a, dim, &i, &error) != 0)
        return array_refuse(&error);
    a.data = move_data(&a, dim, i);
    remove_dimension(&a, dim);
    clear_rest(&a);
    return a;
}

static void *find_element(const sharedmem_array *a, const int64_t *index, sharedmem_error *error)
{
    static const char call[] = "sharedmem_element";
    char *address = a->data;

    if (array_check(call, a, error) != 0)
        return NULL;
    if (index == NULL && a->ndim > 0) {
        error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: index is NULL; give %d numbers", call,
                  (int)a->ndim);
        return NULL;
    }
    for (int32_t k = 0; k < a->ndim; k++) {
        int64_t i = index[k];

        if (check_index(call, a, k, &i, error) != 0)
            return NULL;
        /* What is no element is found in a later dimension; until then it must not count. */
        address += array_is_empty(a) ? 0 : i * a->strides[k];
    }
    return address;
}

void *sharedmem_element(sharedmem_array a, const int64_t *index)
{
    sharedmem_error error;
    void *element = find_element(&a, index, &error);

    if (element == NULL)
        error_uncaught(&error);
    return element;
}

/* ---- Transpose ---- */

static int check_axes(const char *call, const sharedmem_array *a, const int32_t *axes, int32_t *dims,
                      sharedmem_error *error)
{
    unsigned seen = 0;

    for (int32_t k = 0; k < a->ndim; k++) {
        dims[k] = axes != NULL ? axes[k] : a->ndim - 1 - k;
        if (check_dim(call, a, &dims[k], error) != 0)
            return -1;
        if (seen >> dims[k] & 1)
            return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                             "%s: axes has dimension %d twice; each of the %d must be there once", call,
                             (int)dims[k], (int)a->ndim);
        seen |= 1u << dims[k];
    }
    return 0;
}

sharedmem_array sharedmem_transpose(sharedmem_array a, const int32_t *axes)
{
    static const char call[] = "sharedmem_transpose";
    sharedmem_array turned = {.data = a.data, .dtype = a.dtype, .ndim = a.ndim};
    int32_t dims[SHAREDMEM_NDIM_MAX];
    sharedmem_error error;

    if (array_check(call, &a, &error) != 0 || check_axes(call, &a, axes, dims, &error) != 0)
        return array_refuse(&error);
    for (int32_t k = 0; k < a.ndim; k++) {
        turned.shape[k] = a.shape[dims[k]];
        turned.strides[k] = a.strides[dims[k]];
    }
    return turned;
}

/* ---- Reshape ---- */

static const char reshape[] = "sharedmem_reshape";

/* How many elements a shape has. Returns false where they are more than can be counted. */
static bool count_elements(int32_t ndim, const int64_t *shape, int64_t *n)
{
    bool is_countable = true;

    *n = 1;
    for (int32_t k = 0; k < ndim; k++) {
        if (shape[k] == 0) {
            *n = 0;
            return true;
        }
        is_countable &= !__builtin_mul_overflow(*n, shape[k], n);
    }
    return is_countable;
}

/* Copies shape to full, but for the one -1 in it, if any: that becomes what the n elements make of it. */
static int complete_shape(int64_t n, int32_t ndim, const int64_t *shape, int64_t *full,
                          sharedmem_error *error)
{
    int32_t open = -1;
    int64_t others;

    for (int32_t k = 0; k < ndim; k++) {
        full[k] = shape[k];
        if (shape[k] != -1)
            continue;
        if (open >= 0)
            return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                             "%s: shape[%d] and shape[%d] are -1; only one can be left open", reshape,
                             (int)open, (int)k);
        open = k;
        full[k] = 1;
    }
    if (open < 0)
        return 0;
    if (array_check_shape(reshape, SHAREDMEM_BOOL, ndim, full, error) != 0)
        return -1;
    if (!count_elements(ndim, full, &others) || others == 0 || n % others != 0)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s: no number in place of shape[%d] makes that %lld elements, which the array has",
                         reshape, (int)open, (long long)n);
    full[open] = n / others;
    return 0;
}

static int check_reshape(const sharedmem_array *a, int32_t ndim, const int64_t *shape, int64_t *full,
                         sharedmem_error *error)
{
    char old_text[ARRAY_TEXT_BYTES], new_text[ARRAY_TEXT_BYTES];
    int64_t n, new_n;

    /* An ndim or shape that is none is found before shape is read. */
    if (array_check(reshape, a, error) != 0 || array_check_shape(reshape, a->dtype, ndim, full, error) != 0)
        return -1;
    if (ndim > 0 && shape == NULL)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: shape is NULL", reshape);
    if (!count_elements(a->ndim, a->shape, &n))
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s: the array has more than 2^63 - 1 elements", reshape);
    if (complete_shape(n, ndim, shape, full, error) != 0 ||
        array_check_shape(reshape, a->dtype, ndim, full, error) != 0)
        return -1;
    if (!count_elements(ndim, full, &new_n) || new_n != n)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s: the array is %s, %lld elements, and cannot become %s", reshape,
                         array_shape_text(old_text, a->ndim, a->shape), (long long)n,
                         array_shape_text(new_text, ndim, full));
    return 0;
}

/* Runs of elements, evenly spaced each: what the dimensions of an array are without those that only go on. */
struct runs {
    int32_t last;
    int64_t shape[SHAREDMEM_NDIM_MAX];
    int64_t strides[SHAREDMEM_NDIM_MAX];
};

static struct runs find_runs(const sharedmem_array *a)
{
    struct runs runs = {.shape = {1}, .strides = {(int64_t)sharedmem_itemsize(a->dtype)}};
    int64_t span;

    for (int32_t k = 0; k < a->ndim; k++) {
        if (a->shape[k] == 1)
            continue;
        if (runs.shape[runs.last] == 1)
            runs.shape[runs.last] = a->shape[k];
        else if (!__builtin_mul_overflow(a->strides[k], a->shape[k], &span) &&
                 runs.strides[runs.last] == span)
            runs.shape[runs.last] *= a->shape[k];
        else
            runs.shape[++runs.last] = a->shape[k];
        runs.strides[runs.last] = a->strides[k];
    }
    return runs;
}

/*
 * Gives to, which has its shape, strides by which its elements are those of a, not empty, in the same order.
 * Each run must be cut into whole dimensions, the last ones first. Returns false where that cannot be.
 */
static bool find_strides(const sharedmem_array *a, sharedmem_array *to)
{
    struct runs runs = find_runs(a);
    int64_t left = runs.shape[runs.last], stride = runs.strides[runs.last];

    for (int32_t k = to->ndim - 1; k >= 0; k--) {
        if (left == 1 && to->shape[k] != 1 && runs.last > 0) {
            runs.last--;
            left = runs.shape[runs.last];
            stride = runs.strides[runs.last];
        }
        to->strides[k] = stride;
        if (left % to->shape[k] != 0)
            return false;
        left /= to->shape[k];
        /* Behind the first element of the array it may be too much, and is not needed any more. */
        if (__builtin_mul_overflow(stride, to->shape[k], &stride))
            stride = to->strides[k];
    }
    return true;
}

sharedmem_array sharedmem_reshape(sharedmem_array a, int32_t ndim, const int64_t *shape)
{
    int64_t full[SHAREDMEM_NDIM_MAX] = {0};
    sharedmem_array shaped = {.ndim = 0};
    sharedmem_error error;
    size_t bytes;

    if (check_reshape(&a, ndim, shape, full, &error) != 0)
        return array_refuse(&error);
    /* Its strides are those of an array without elements; with some they are found now. */
    if (!array_lay_out(&shaped, a.dtype, ndim, full, &bytes) && array_is_empty(&a)) {
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: no memory is as large as shape", reshape);
        return array_refuse(&error);
    }
    shaped.data = a.data;
    if (array_is_empty(&a) || find_strides(&a, &shaped))
        return shaped;
    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
              "%s: the elements do not lie so that a view could have this shape; copy the array first: "
              "sharedmem_reshape(sharedmem_copy(a), %d, shape)",
              reshape, (int)ndim);
    return array_refuse(&error);
}
