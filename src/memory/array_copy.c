/* Elements set and moved, and sharedmem_copy_into(). */
#include "memory/array_copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "memory/array_shape.h"

/* Fills by copies of this much: they stay in the first cache. A multiple of every item. */
#define FILL_BYTES ((size_t)16 << 10)

/* Each copy doubles what is there, until it is a piece that is worth repeating. */
void array_fill(char *to, size_t bytes, const void *value, size_t itemsize)
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

bool array_is_zero(const void *value, size_t itemsize)
{
    static const char zero[16];

    return memcmp(value, zero, itemsize) == 0;
}

/* ---- Two arrays, row by row ---- */

/*
 * The elements of two arrays in the same order, in as few dimensions as can be, at least one: what both have
 * evenly spaced becomes one row, and the last dimension is the longest row that there is.
 */
struct rows {
    int32_t last;
    int64_t shape[SHAREDMEM_NDIM_MAX];
    int64_t to_strides[SHAREDMEM_NDIM_MAX];
    int64_t from_strides[SHAREDMEM_NDIM_MAX];
};

/* Where a row begins, in both arrays; index says which it is in all dimensions but the last. */
struct row {
    char *to;
    const char *from;
    int64_t index[SHAREDMEM_NDIM_MAX];
};

/* Whether steps of outer go on where n steps of inner end. */
static bool goes_on(int64_t outer, int64_t inner, int64_t n)
{
    int64_t span;

    return !__builtin_mul_overflow(inner, n, &span) && outer == span;
}

static void merge_dimensions(struct rows *rows, const sharedmem_array *to, const sharedmem_array *from)
{
    *rows = (struct rows){.shape = {1}};
    for (int32_t k = 0; k < to->ndim; k++) {
        int32_t *last = &rows->last;

        if (to->shape[k] == 1)
            continue;
        if (rows->shape[*last] == 1)
            rows->shape[*last] = to->shape[k];
        else if (goes_on(rows->to_strides[*last], to->strides[k], to->shape[k]) &&
                 goes_on(rows->from_strides[*last], from->strides[k], to->shape[k]))
            rows->shape[*last] *= to->shape[k];
        else
            rows->shape[++*last] = to->shape[k];
        rows->to_strides[*last] = to->strides[k];
        rows->from_strides[*last] = from->strides[k];
    }
}

/* Elements may lie at any address: the copies of a constant size are single moves all the same. */
static inline void copy_items(char *to, int64_t to_stride, const char *from, int64_t from_stride, int64_t n,
                              size_t itemsize)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(to + i * to_stride, from + i * from_stride, itemsize);
}

static void copy_row(char *to, int64_t to_stride, const char *from, int64_t from_stride, int64_t n,
                     size_t itemsize)
{
    if (n == 1 || (to_stride == (int64_t)itemsize && from_stride == (int64_t)itemsize)) {
        memcpy(to, from, (size_t)n * itemsize);
        return;
    }
    switch (itemsize) {
    case 1:
        copy_items(to, to_stride, from, from_stride, n, 1);
        break;
    case 2:
        copy_items(to, to_stride, from, from_stride, n, 2);
        break;
    case 4:
        copy_items(to, to_stride, from, from_stride, n, 4);
        break;
    case 8:
        copy_items(to, to_stride, from, from_stride, n, 8);
        break;
    default:
        copy_items(to, to_stride, from, from_stride, n, 16);
    }
}

/* Moves row, which is at the first one, to the number-th. */
static void find_row(const struct rows *rows, struct row *row, size_t number)
{
    for (int32_t k = rows->last - 1; k >= 0; k--) {
        row->index[k] = (int64_t)(number % (size_t)rows->shape[k]);
        number /= (size_t)rows->shape[k];
        row->to += row->index[k] * rows->to_strides[k];
        row->from += row->index[k] * rows->from_strides[k];
    }
}

/* Moves row to the next one, and the last one to the first. */
static void next_row(const struct rows *rows, struct row *row)
{
    for (int32_t k = rows->last - 1; k >= 0; k--) {
        if (++row->index[k] < rows->shape[k]) {
            row->to += rows->to_strides[k];
            row->from += rows->from_strides[k];
            return;
        }
        row->index[k] = 0;
        row->to -= rows->to_strides[k] * (rows->shape[k] - 1);
        row->from -= rows->from_strides[k] * (rows->shape[k] - 1);
    }
}

void array_copy(const sharedmem_array *to, const sharedmem_array *from, size_t begin, size_t end)
{
    struct row row = {.to = to->data, .from = from->data};
    size_t itemsize = sharedmem_itemsize(to->dtype), length, skip;
    int64_t to_stride, from_stride;
    struct rows rows;

    if (begin >= end)
        return;
    merge_dimensions(&rows, to, from);
    length = (size_t)rows.shape[rows.last];
    to_stride = rows.to_strides[rows.last];
    from_stride = rows.from_strides[rows.last];
    find_row(&rows, &row, begin / length);
    for (skip = begin % length; begin < end; skip = 0) {
        size_t n = length - skip < end - begin ? length - skip : end - begin;

        copy_row(row.to + (int64_t)skip * to_stride, to_stride, row.from + (int64_t)skip * from_stride,
                 from_stride, (int64_t)n, itemsize);
        begin += n;
        next_row(&rows, &row);
    }
}

/* ---- Into an array that is there ---- */

static const char copy_into[] = "sharedmem_copy_into";

/* Repeats from along the dimensions that it lacks, or has one element in, so that it has to's shape. */
static bool broadcast(const sharedmem_array *to, sharedmem_array *from)
{
    sharedmem_array repeated = {.data = from->data, .dtype = from->dtype, .ndim = to->ndim};
    int32_t lacks = to->ndim - from->ndim;

    if (lacks < 0)
        return false;
    for (int32_t k = 0; k < to->ndim; k++) {
        int64_t n = k < lacks ? 1 : from->shape[k - lacks];

        if (n != to->shape[k] && n != 1)
            return false;
        repeated.shape[k] = to->shape[k];
        repeated.strides[k] = k < lacks || n != to->shape[k] ? 0 : from->strides[k - lacks];
    }
    *from = repeated;
    return true;
}

/* Where several elements have one address, nobody knows which one stays; a stride of 0 is the usual way. */
static int check_target(const sharedmem_array *to, sharedmem_error *error)
{
    for (int32_t k = 0; k < to->ndim; k++) {
        if (to->strides[k] == 0 && to->shape[k] > 1)
            return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                             "%s: the %lld elements of to along dimension %d are all at one address; give an "
                             "array that has each element by itself",
                             copy_into, (long long)to->shape[k], (int)k);
    }
    return 0;
}

static int check_both(const sharedmem_array *to, sharedmem_array *from, sharedmem_error *error)
{
    char to_text[ARRAY_TEXT_BYTES], from_text[ARRAY_TEXT_BYTES];

    if (array_check("sharedmem_copy_into: to", to, error) != 0 ||
        array_check("sharedmem_copy_into: from", from, error) != 0)
        return -1;
    if (to->dtype != from->dtype)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s: to is %s and from is %s; they must have the same dtype", copy_into,
                         array_dtype_name(to->dtype), array_dtype_name(from->dtype));
    array_shape_text(from_text, from->ndim, from->shape);
    if (!broadcast(to, from))
        return error_set(
            error, SHAREDMEM_ERROR_USAGE, EINVAL,
            "%s: to is %s and from is %s; they must have the same shape, but that from is repeated "
            "along dimensions that it lacks in front, or has one element in",
            copy_into, array_shape_text(to_text, to->ndim, to->shape), from_text);
    return array_is_empty(to) ? 0 : check_target(to, error);
}

/* Whether some byte might be in both; not so exact that every other element were apart from those between. */
static bool may_overlap(const sharedmem_array *a, const sharedmem_array *b)
{
    uintptr_t a_data = (uintptr_t)a->data, b_data = (uintptr_t)b->data;
    int64_t a_low, a_high, b_low, b_high;

    array_find_extent(a, &a_low, &a_high);
    array_find_extent(b, &b_low, &b_high);
    return a_data + (uintptr_t)a_low < b_data + (uintptr_t)b_high &&
           b_data + (uintptr_t)b_low < a_data + (uintptr_t)a_high;
}

/* By a copy of all that from has, as NumPy does. It is private: nothing is lost if this process dies. */
static int copy_overlapping(const sharedmem_array *to, const sharedmem_array *from, size_t n,
                            sharedmem_error *error)
{
    size_t bytes = n * sharedmem_itemsize(to->dtype);
    sharedmem_array copy;

    if (sharedmem_is_contiguous(*to) && sharedmem_is_contiguous(*from)) {
        memmove(to->data, from->data, bytes);
        return 0;
    }
    array_lay_out(&copy, to->dtype, to->ndim, to->shape, &bytes);
    copy.data = malloc(bytes);
    if (copy.data == NULL)
        return error_set(error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM,
                         "%s: no %zu MiB of memory for a copy; to and from overlap, and need one", copy_into,
                         (bytes >> 20) + 1);
    array_copy(&copy, from, 0, n);
    array_copy(to, &copy, 0, n);
    free(copy.data);
    return 0;
}

int sharedmem_copy_into(sharedmem_array to, sharedmem_array from)
{
    sharedmem_array same;
    sharedmem_error error;
    size_t bytes, n;

    if (check_both(&to, &from, &error) != 0)
        return error_uncaught(&error);
    if (!array_lay_out(&same, to.dtype, to.ndim, to.shape, &bytes)) {
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: no memory is as large as to", copy_into);
        return error_uncaught(&error);
    }
    n = bytes / sharedmem_itemsize(to.dtype);
    if (n == 0)
        return 0;
    if (!may_overlap(&to, &from))
        array_copy(&to, &from, 0, n);
    else if (copy_overlapping(&to, &from, n, &error) != 0)
        return error_uncaught(&error);
    return 0;
}
