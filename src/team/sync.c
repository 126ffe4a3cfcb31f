#include "team/sync.h"

#include <errno.h>

#include "base/error.h"
#include "host/clock.h"

/* Thirty years. */
#define FOR_EVER_S 1e9

int sync_misused(const char *where, int code, const char *call, const char *why)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_USAGE, code, "%s: %s", call, why);
    return error_end_call(&error, false, where);
}

int sync_misplaced(const char *where, const char *call, const void *object, const char *type)
{
    sharedmem_error error;

    if (object == NULL)
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: it is NULL; sharedmem_new(%s, 1) makes one",
                  call, type);
    else if (segment_contains(object))
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: %p is no multiple of 8; give it a variable or member of type %s", call, object, type);
    else
        error_set(
            &error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: %p does not lie in the shared heap, and private memory is another one in each "
                  "process; sharedmem_new(%s, 1) makes one",
                  call, object, type);
    return error_end_call(&error, false, where);
}

uint64_t sync_until(double seconds)
{
    if (seconds >= FOR_EVER_S)
        return 0;
    return clock_monotonic_ns() + (uint64_t)(seconds * 1e9);
}
