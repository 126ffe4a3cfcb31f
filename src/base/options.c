#include "base/options.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"

int options_read(void *options, size_t size, const void *from, size_t from_size)
{
    const unsigned char *bytes = from;

    memset(options, 0, size);
    memcpy(options, from, from_size < size ? from_size : size);
    for (size_t i = size; i < from_size; i++) {
        if (bytes[i] != 0)
            return -1;
    }
    return 0;
}

int options_unknown(sharedmem_error *error, const char *call)
{
    return error_set(error, SHAREDMEM_ERROR_USAGE, E2BIG,
                     "%s: the options hold something that version %s of the library does not know", call,
                     sharedmem_version());
}
