/* The public calls that make arrays without filling them, and shared copies of plain memory. */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "memory/array.h"
#include "memory/array_shape.h"

/* What a call that fails returns. */
static const sharedmem_array no_array = {.data = NULL};

sharedmem_array array_create(const char *call, int32_t dtype, int32_t ndim, const int64_t *shape,
                             bool is_zeroed)
{
    sharedmem_error error;
    sharedmem_array a;
    size_t bytes;

    if (array_check_shape(call, dtype, ndim, shape, &error) != 0)
        return array_refuse(&error);
    if (!array_lay_out(&a, dtype, ndim, shape, &bytes)) {
        errno = ENOMEM;
        return no_array;
    }
    a.data = is_zeroed ? sharedmem_calloc(1, bytes) : sharedmem_malloc(bytes);
    return a.data != NULL ? a : no_array;
}

sharedmem_array sharedmem_empty(int32_t dtype, int32_t ndim, const int64_t *shape)
{
    return array_create("sharedmem_empty", dtype, ndim, shape, false);
}

sharedmem_array sharedmem_empty_like(sharedmem_array a)
{
    sharedmem_error error;

    if (array_check("sharedmem_empty_like", &a, &error) != 0)
        return array_refuse(&error);
    return array_create("sharedmem_empty_like", a.dtype, a.ndim, a.shape, false);
}

sharedmem_array sharedmem_wrap(void *data, int32_t dtype, int32_t ndim, const int64_t *shape)
{
    sharedmem_error error;
    sharedmem_array a;
    size_t bytes;

    if (array_check_shape("sharedmem_wrap", dtype, ndim, shape, &error) != 0)
        return array_refuse(&error);
    if (data == NULL) {
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "sharedmem_wrap: data is NULL");
        return array_refuse(&error);
    }
    if (!array_lay_out(&a, dtype, ndim, shape, &bytes)) {
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "sharedmem_wrap: no memory is as large as shape");
        return array_refuse(&error);
    }
    a.data = data;
    return a;
}

/* ---- Plain memory ---- */

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
