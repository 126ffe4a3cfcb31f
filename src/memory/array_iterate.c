/* sharedmem_fromiter(): an array of what a function makes, one element after the other. */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "memory/array_shape.h"

static const char call[] = "sharedmem_fromiter";

/* Elements that an array of unknown length begins with room for. */
#define FIRST_ROOM ((size_t)64)

/* An array as it grows. */
struct growth {
    char *data; /* NULL: there is none, or it belongs to the caller now */
    size_t n;
    size_t room;
    size_t itemsize;
};

/* Also where an exception of C++ leaves next. Keeps errno, and may be called again. */
static void drop(struct growth *growth)
{
    sharedmem_free(growth->data);
    growth->data = NULL;
}

static bool resize(struct growth *growth, size_t room)
{
    size_t bytes;
    char *data;

    if (__builtin_mul_overflow(room, growth->itemsize, &bytes) || bytes > INT64_MAX) {
        errno = ENOMEM;
        return false;
    }
    data = sharedmem_realloc(growth->data, bytes);
    if (data == NULL)
        return false;
    growth->data = data;
    growth->room = room;
    return true;
}

/* As in a map: positive where next has made the element, 0 at the end, negative where it failed. */
static int make_one(const struct growth *growth, sharedmem_function *next, void *context)
{
    char *element = growth->data + growth->n * growth->itemsize;

    memset(element, 0, growth->itemsize);
    return next(growth->n, element, context);
}

static int fail_by_next(size_t i, int code, sharedmem_error *error)
{
    error_set(error, SHAREDMEM_ERROR_RETURNED, ECANCELED,
              "%s: next failed with code %d instead of element %zu", call, code, i);
    error_take_fail_message(error);
    error->code = code;
    error->item = i;
    return -1;
}

/*
 * Makes elements until there are count, or next ends. Returns 0, or -1 with errno; error's kind is NONE where
 * memory has run out.
 */
static int grow(struct growth *growth, sharedmem_function *next, void *context, int64_t count,
                sharedmem_error *error)
{
    int code = 1;

    for (; count < 0 || growth->n < (size_t)count; growth->n++) {
        if (growth->n == growth->room && !resize(growth, 2 * growth->room))
            return -1;
        code = make_one(growth, next, context);
        if (code < 0)
            return fail_by_next(growth->n, code, error);
        error_drop_fail_message();
        if (code == 0)
            break;
    }
    if (code == 0 && count >= 0)
        return error_set(
            error, SHAREDMEM_ERROR_USAGE, EINVAL,
            "%s: next ended after %zu elements, and count is %lld; give -1 for as many as there are", call,
            growth->n, (long long)count);
    return resize(growth, growth->n) ? 0 : -1;
}

static int check_arguments(int32_t dtype, sharedmem_function *next, int64_t count, sharedmem_error *error)
{
    if (array_check_shape(call, dtype, 0, NULL, error) != 0)
        return -1;
    if (next == NULL)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s: next is NULL; give the function that makes the elements", call);
    if (count < -1)
        return error_set(
            error, SHAREDMEM_ERROR_USAGE, EINVAL,
            "%s: count is %lld; give how many elements there are, or -1 for as many as next makes", call,
            (long long)count);
    return 0;
}

sharedmem_array sharedmem_fromiter(int32_t dtype, sharedmem_function *next, void *context, int64_t count)
{
    __attribute__((__cleanup__(drop))) struct growth growth = {.itemsize = sharedmem_itemsize(dtype)};
    sharedmem_array a = {.dtype = dtype, .ndim = 1};
    sharedmem_error error;

    if (check_arguments(dtype, next, count, &error) != 0)
        return array_refuse(&error);
    if (!resize(&growth, count >= 0 ? (size_t)count : FIRST_ROOM))
        return (sharedmem_array){.data = NULL};
    error_clear(&error);
    if (grow(&growth, next, context, count, &error) != 0) {
        /* Before the error is told: that may not return. */
        drop(&growth);
        return error.kind != SHAREDMEM_ERROR_NONE ? array_refuse(&error) : (sharedmem_array){.data = NULL};
    }
    a.data = growth.data;
    a.shape[0] = (int64_t)growth.n;
    a.strides[0] = (int64_t)growth.itemsize;
    growth.data = NULL;
    return a;
}
