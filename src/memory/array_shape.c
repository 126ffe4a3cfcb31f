#include "memory/array_shape.h"

#include <errno.h>
#include <stdio.h>

#include "base/error.h"

_Static_assert(sizeof(sharedmem_array) == 16 + 16 * SHAREDMEM_NDIM_MAX, "programs have it by value");

/* By dtype; the first is none. */
static const struct {
    size_t size;
    const char *name;
} dtypes[] = {
    [0] = {0, "none"},
    [SHAREDMEM_BOOL] = {1, "bool"},
    [SHAREDMEM_INT8] = {1, "int8"},
    [SHAREDMEM_INT16] = {2, "int16"},
    [SHAREDMEM_INT32] = {4, "int32"},
    [SHAREDMEM_INT64] = {8, "int64"},
    [SHAREDMEM_UINT8] = {1, "uint8"},
    [SHAREDMEM_UINT16] = {2, "uint16"},
    [SHAREDMEM_UINT32] = {4, "uint32"},
    [SHAREDMEM_UINT64] = {8, "uint64"},
    [SHAREDMEM_FLOAT32] = {4, "float32"},
    [SHAREDMEM_FLOAT64] = {8, "float64"},
    [SHAREDMEM_COMPLEX64] = {8, "complex64"},
    [SHAREDMEM_COMPLEX128] = {16, "complex128"},
};

static bool is_dtype(int32_t dtype)
{
    return dtype > 0 && (size_t)dtype < sizeof dtypes / sizeof *dtypes;
}

size_t sharedmem_itemsize(int32_t dtype)
{
    return is_dtype(dtype) ? dtypes[dtype].size : 0;
}

const char *array_dtype_name(int32_t dtype)
{
    return dtypes[is_dtype(dtype) ? dtype : 0].name;
}

const char *array_shape_text(char text[ARRAY_TEXT_BYTES], int32_t ndim, const int64_t *shape)
{
    size_t length = 0;

    if (ndim == 0)
        snprintf(text, ARRAY_TEXT_BYTES, "scalar");
    for (int32_t k = 0; k < ndim; k++)
        length += (size_t)snprintf(text + length, ARRAY_TEXT_BYTES - length, "%s%lld", k > 0 ? " x " : "",
                                   (long long)shape[k]);
    return text;
}

int array_check_shape(const char *call, int32_t dtype, int32_t ndim, const int64_t *shape,
                      sharedmem_error *error)
{
    if (!is_dtype(dtype))
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

bool array_is_empty(const sharedmem_array *a)
{
    for (int32_t k = 0; k < a->ndim; k++) {
        if (a->shape[k] == 0)
            return true;
    }
    return false;
}

bool array_find_extent(const sharedmem_array *a, int64_t *low, int64_t *high)
{
    *low = *high = 0;
    if (array_is_empty(a))
        return true;
    *high = (int64_t)sharedmem_itemsize(a->dtype);
    for (int32_t k = 0; k < a->ndim; k++) {
        int64_t span, *end = a->strides[k] < 0 ? low : high;

        if (__builtin_mul_overflow(a->strides[k], a->shape[k] - 1, &span) ||
            __builtin_add_overflow(*end, span, end))
            return false;
    }
    return true;
}

/* Whether all of the array is where addresses are. */
static bool is_within_memory(const sharedmem_array *a)
{
    uintptr_t data = (uintptr_t)a->data, end;
    int64_t low, high;

    return array_find_extent(a, &low, &high) && !__builtin_add_overflow(data, low, &end) &&
           !__builtin_add_overflow(data, high, &end);
}

int array_check(const char *call, const sharedmem_array *a, sharedmem_error *error)
{
    if (a->data == NULL)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s: the array has no data: it was never made, or that failed", call);
    if (array_check_shape(call, a->dtype, a->ndim, a->shape, error) != 0)
        return -1;
    if (!is_within_memory(a))
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s: the strides of the array reach farther than any memory does", call);
    return 0;
}

sharedmem_array array_refuse(const sharedmem_error *error)
{
    error_uncaught(error);
    return (sharedmem_array){.data = NULL};
}

bool array_lay_out(sharedmem_array *a, int32_t dtype, int32_t ndim, const int64_t *shape, size_t *bytes)
{
    int64_t stride = (int64_t)sharedmem_itemsize(dtype);

    *a = (sharedmem_array){.dtype = dtype, .ndim = ndim};
    for (int32_t k = ndim - 1; k >= 0; k--) {
        a->shape[k] = shape[k];
        a->strides[k] = stride;
        if (__builtin_mul_overflow(stride, shape[k] > 0 ? shape[k] : 1, &stride))
            return false;
    }
    *bytes = array_is_empty(a) ? 0 : (size_t)stride;
    return true;
}

size_t sharedmem_array_nbytes(sharedmem_array a)
{
    sharedmem_array same;
    size_t bytes;

    if (array_check("sharedmem_array_nbytes", &a, NULL) == 0 &&
        array_lay_out(&same, a.dtype, a.ndim, a.shape, &bytes))
        return bytes;
    errno = EINVAL;
    return 0;
}

size_t sharedmem_array_size(sharedmem_array a)
{
    size_t bytes = sharedmem_array_nbytes(a);

    return bytes > 0 ? bytes / sharedmem_itemsize(a.dtype) : 0;
}

/* What a dimension of one element has as stride, or any of an empty array, does not matter. */
bool sharedmem_is_contiguous(sharedmem_array a)
{
    sharedmem_array same;
    size_t bytes;

    if (array_check("sharedmem_is_contiguous", &a, NULL) != 0 ||
        !array_lay_out(&same, a.dtype, a.ndim, a.shape, &bytes)) {
        errno = EINVAL;
        return false;
    }
    for (int32_t k = 0; k < a.ndim && bytes > 0; k++) {
        if (a.shape[k] != 1 && a.strides[k] != same.strides[k])
            return false;
    }
    return true;
}
