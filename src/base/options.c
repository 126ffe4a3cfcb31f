#include "base/options.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"

int options_read(void *options, size_t size, const void *from, size_t from_size)
{
    const unsigned char *bytes = from;

    memset(options, 0, size);
    if (from == NULL)
        return EINVAL;
    memcpy(options, from, from_size < size ? from_size : size);
    for (size_t i = size; i < from_size; i++) {
        if (bytes[i] != 0)
            return E2BIG;
    }
    return 0;
}

int options_refused(int code, const char *call, sharedmem_error *error)
{
    if (code == EINVAL)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: the options are NULL", call);
    if (code == E2BIG)
        return error_set(error, SHAREDMEM_ERROR_USAGE, E2BIG,
                         "%s: the options hold something that version %s of the library does not know", call,
                         sharedmem_version());
    return 0;
}
