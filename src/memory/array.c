/* The public calls for arrays, and for shared copies of plain memory. */
#include <errno.h>
#include <string.h>

#include "base/error.h"

_Static_assert(sizeof(sharedmem_array) == 16 + 16 * SHAREDMEM_NDIM_MAX, "programs have it by value");

/* Fills by copies of this much: they stay in the first cache. A multiple of every item. */
#define FILL_BYTES ((size_t)16 << 10)

/* What a call that fails returns. */
static const sharedmem_array no_array = {.data = NULL};

/* ---- Shapes ---- */

size_t sharedmem_itemsize(int32_t dtype)
{
    static const uint8_t sizes[] = {
        [SHAREDMEM_BOOL] = 1,       [SHAREDMEM_INT8] = 1,    [SHAREDMEM_INT16] = 2,
        [SHAREDMEM_INT32] = 4,      [SHAREDMEM_INT64] = 8,   [SHAREDMEM_UINT8] = 1,
        [SHAREDMEM_UINT16] = 2,     [SHAREDMEM_UINT32] = 4,  [SHAREDMEM_UINT64] = 8,
        [SHAREDMEM_FLOAT32] = 4,    [SHAREDMEM_FLOAT64] = 8, [SHAREDMEM_COMPLEX64] = 8,
        [SHAREDMEM_COMPLEX128] = 16};

    return dtype >= 0 && (size_t)dtype < sizeof sizes ? sizes[dtype] : 0;
}

static int check_shape(const char *call, int32_t dtype, int32_t ndim, const int64_t *shape,
                       sharedmem_error *error)
{
    if (sharedmem_itemsize(dtype) == 0)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: there is no dtype %d", call, (int)dtype);
    if (ndim < 0 || ndim > SHAREDMEM_NDIM_MAX)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: ndim is %d; it must be 0 to %d", call,
                         (int)ndim, SHAREDMEM_NDIM_MAX);
    if (ndim > 0 && shape == NULL)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: shape is NULL", call);
    for (int32_t k = 0; k < ndim; k++) {
        if (shape[k] < 0)
            return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: shape[%d] is %lld", call, (int)k,
                             (long long)shape[k]);
    }
    return 0;
}

/* A program may have made the array by hand, or not looked whether it got one. */
static int check_array(const char *call, const sharedmem_array *a, sharedmem_error *error)
{
    if (a->data == NULL)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s: the array has no data: it was never made, or that failed", call);
    return check_shape(call, a->dtype, a->ndim, a->shape, error);
}

static sharedmem_array refuse(const sharedmem_error *error)
{
    error_uncaught(error);
    return no_array;
}

/*
 * Makes *a an array of this shape, which is checked, in C order and without data yet; *bytes is what its
 * elements take. Returns false where that is more than any memory has. A dimension of 0 counts as 1 in this,
 * as in NumPy, since strides must not overflow either.
 */
static bool lay_out(sharedmem_array *a, int32_t dtype, int32_t ndim, const int64_t *shape, size_t *bytes)
{
    int64_t stride = (int64_t)sharedmem_itemsize(dtype);
    bool is_empty = false;

    *a = (sharedmem_array){.dtype = dtype, .ndim = ndim};
    for (int32_t k = ndim - 1; k >= 0; k--) {
        a->shape[k] = shape[k];
        a->strides[k] = stride;
        is_empty |= shape[k] == 0;
        if (__builtin_mul_overflow(stride, shape[k] > 0 ? shape[k] : 1, &stride))
            return false;
    }
    *bytes = is_empty ? 0 : (size_t)stride;
    return true;
}

size_t sharedmem_array_nbytes(sharedmem_array a)
{
    sharedmem_array same;
    size_t bytes;

    if (check_array("sharedmem_array_nbytes", &a, NULL) == 0 &&
        lay_out(&same, a.dtype, a.ndim, a.shape, &bytes))
        return bytes;
    errno = EINVAL;
    return 0;
}

size_t sharedmem_array_size(sharedmem_array a)
{
    size_t bytes = sharedmem_array_nbytes(a);

    return bytes > 0 ? bytes / sharedmem_itemsize(a.dtype) : 0;
}

/* ---- New arrays ---- */

/* What all new arrays begin with. */
static sharedmem_array create(const char *call, int32_t dtype, int32_t ndim, const int64_t *shape,
                              bool is_zeroed)
{
    sharedmem_error error;
    sharedmem_array a;
    size_t bytes;

    if (check_shape(call, dtype, ndim, shape, &error) != 0)
        return refuse(&error);
    if (!lay_out(&a, dtype, ndim, shape, &bytes)) {
        errno = ENOMEM;
        return no_array;
    }
    a.data = is_zeroed ? sharedmem_calloc(1, bytes) : sharedmem_malloc(bytes);
    return a.data != NULL ? a : no_array;
}

/* Each copy doubles what is there, until it is a piece that is worth repeating. */
static void fill(char *to, size_t bytes, const void *value, size_t itemsize)
{
    size_t step;

    if (bytes == 0)
        return;
    memcpy(to, value, itemsize);
    for (size_t done = itemsize; done < bytes; done += step) {
        step = done < FILL_BYTES ? done : FILL_BYTES;
        if (step > bytes - done)
            step = bytes - done;
        memcpy(to + done, to, step);
    }
}

/* Zero, by far the usual value, is what fresh pages hold: they need not be touched. -0.0 is not that zero. */
static bool is_all_zero(const void *value, size_t itemsize)
{
    static const char zero[16];

    return memcmp(value, zero, itemsize) == 0;
}

static sharedmem_array create_full(const char *call, int32_t dtype, int32_t ndim, const int64_t *shape,
                                   const void *value)
{
    size_t itemsize = sharedmem_itemsize(dtype);
    sharedmem_error error;
    sharedmem_array a;
    bool is_zero;

    if (value == NULL) {
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: value is NULL", call);
        return refuse(&error);
    }
    is_zero = is_all_zero(value, itemsize);
    a = create(call, dtype, ndim, shape, is_zero);
    if (a.data != NULL && !is_zero)
        fill(a.data, sharedmem_array_nbytes(a), value, itemsize);
    return a;
}

sharedmem_array sharedmem_empty(int32_t dtype, int32_t ndim, const int64_t *shape)
{
    return create("sharedmem_empty", dtype, ndim, shape, false);
}

sharedmem_array sharedmem_empty_like(sharedmem_array a)
{
    sharedmem_error error;

    if (check_array("sharedmem_empty_like", &a, &error) != 0)
        return refuse(&error);
    return create("sharedmem_empty_like", a.dtype, a.ndim, a.shape, false);
}

sharedmem_array sharedmem_full(int32_t dtype, int32_t ndim, const int64_t *shape, const void *value)
{
    return create_full("sharedmem_full", dtype, ndim, shape, value);
}

sharedmem_array sharedmem_full_like(sharedmem_array a, const void *value)
{
    sharedmem_error error;

    if (check_array("sharedmem_full_like", &a, &error) != 0)
        return refuse(&error);
    return create_full("sharedmem_full_like", a.dtype, a.ndim, a.shape, value);
}

sharedmem_array sharedmem_wrap(void *data, int32_t dtype, int32_t ndim, const int64_t *shape)
{
    sharedmem_error error;
    sharedmem_array a;
    size_t bytes;

    if (check_shape("sharedmem_wrap", dtype, ndim, shape, &error) != 0)
        return refuse(&error);
    if (data == NULL) {
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "sharedmem_wrap: data is NULL");
        return refuse(&error);
    }
    if (!lay_out(&a, dtype, ndim, shape, &bytes)) {
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "sharedmem_wrap: no memory is as large as shape");
        return refuse(&error);
    }
    a.data = data;
    return a;
}

/* ---- Copies ---- */

/*
 * The same elements in the same order, in as few dimensions as can be, at least one: what is contiguous
 * becomes one row, and the last dimension is the longest row that there is. Not for an empty array.
 */
static sharedmem_array merge_dimensions(const sharedmem_array *a)
{
    sharedmem_array merged = {.data = a->data, .dtype = a->dtype, .ndim = 1, .shape = {1}};
    int32_t last = 0;
    int64_t span;

    for (int32_t k = 0; k < a->ndim; k++) {
        if (a->shape[k] == 1)
            continue;
        if (merged.shape[last] == 1) {
            merged.shape[last] = a->shape[k];
        } else if (!__builtin_mul_overflow(a->strides[k], a->shape[k], &span) &&
                   merged.strides[last] == span) {
            merged.shape[last] *= a->shape[k];
        } else {
            merged.shape[++last] = a->shape[k];
        }
        merged.strides[last] = a->strides[k];
    }
    merged.ndim = last + 1;
    return merged;
}

/* Elements may lie at any address: the copies of a constant size are single moves all the same. */
static inline void copy_items(char *to, const char *from, int64_t n, int64_t stride, size_t itemsize)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(to + (size_t)i * itemsize, from + i * stride, itemsize);
}

static void copy_row(char *to, const char *from, int64_t n, int64_t stride, size_t itemsize)
{
    if (n == 1 || stride == (int64_t)itemsize) {
        memcpy(to, from, (size_t)n * itemsize);
        return;
    }
    switch (itemsize) {
    case 1:
        copy_items(to, from, n, stride, 1);
        break;
    case 2:
        copy_items(to, from, n, stride, 2);
        break;
    case 4:
        copy_items(to, from, n, stride, 4);
        break;
    case 8:
        copy_items(to, from, n, stride, 8);
        break;
    default:
        copy_items(to, from, n, stride, 16);
    }
}

/* Moves *row to the next one; index is where it is in all dimensions but the last. False after the last. */
static bool next_row(const sharedmem_array *a, int64_t *index, const char **row)
{
    for (int32_t k = a->ndim - 2; k >= 0; k--) {
        if (++index[k] < a->shape[k]) {
            *row += a->strides[k];
            return true;
        }
        index[k] = 0;
        *row -= a->strides[k] * (a->shape[k] - 1);
    }
    return false;
}

/* Copies all elements of a, which is not empty, to where they shall lie in C order. */
static void copy_elements(char *to, const sharedmem_array *a)
{
    sharedmem_array rows = merge_dimensions(a);
    size_t itemsize = sharedmem_itemsize(a->dtype);
    int64_t n = rows.shape[rows.ndim - 1], stride = rows.strides[rows.ndim - 1];
    int64_t index[SHAREDMEM_NDIM_MAX] = {0};
    const char *row = rows.data;

    do {
        copy_row(to, row, n, stride, itemsize);
        to += (size_t)n * itemsize;
    } while (next_row(&rows, index, &row));
}

sharedmem_array sharedmem_copy(sharedmem_array a)
{
    sharedmem_error error;
    sharedmem_array copy;

    if (check_array("sharedmem_copy", &a, &error) != 0)
        return refuse(&error);
    copy = create("sharedmem_copy", a.dtype, a.ndim, a.shape, false);
    if (copy.data != NULL && sharedmem_array_nbytes(a) > 0)
        copy_elements(copy.data, &a);
    return copy;
}

static void *refuse_null(const char *call)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: the memory to copy is NULL", call);
    error_uncaught(&error);
    return NULL;
}

void *sharedmem_memdup(const void *memory, size_t size)
{
    void *copy;

    if (memory == NULL && size > 0)
        return refuse_null("sharedmem_memdup");
    copy = sharedmem_malloc(size);
    if (copy != NULL && size > 0)
        memcpy(copy, memory, size);
    return copy;
}

char *sharedmem_strdup(const char *text)
{
    if (text == NULL)
        return refuse_null("sharedmem_strdup");
    return sharedmem_memdup(text, strlen(text) + 1);
}
