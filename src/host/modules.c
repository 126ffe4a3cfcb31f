#include "host/modules.h"

#include <link.h>
#include <stddef.h>

/* All objects are told the same: the first is enough. */
static int read_count(struct dl_phdr_info *object, size_t size, void *count)
{
    (void)size;
    *(unsigned long long *)count = object->dlpi_adds;
    return 1;
}

unsigned long long modules_loaded(void)
{
    unsigned long long count = 0;

    dl_iterate_phdr(read_count, &count);
    return count;
}
