#include "team/slice.h"

#include <unistd.h>

#include "host/pages.h"

size_t slice_unit(void)
{
    return pages_huge_is_wanted() ? PAGES_HUGE_BYTES : (size_t)sysconf(_SC_PAGESIZE);
}

/* A page at a border goes to the slice in which it begins. */
static size_t round_up(size_t offset, size_t unit, size_t bytes)
{
    size_t units = offset / unit + (offset % unit != 0);

    return units <= bytes / unit ? units * unit : bytes;
}

sharedmem_range slice_of(size_t bytes, size_t unit, int i, int n)
{
    sharedmem_range part = sharedmem_part(bytes, i, n);

    return (sharedmem_range){round_up(part.begin, unit, bytes), round_up(part.end, unit, bytes)};
}
