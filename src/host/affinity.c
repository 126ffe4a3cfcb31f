#include "host/affinity.h"

#include <errno.h>

cpu_set_t *affinity_read(size_t *bytes)
{
    return affinity_read_of(0, bytes);
}

cpu_set_t *affinity_read_of(pid_t tid, size_t *bytes)
{
    /* The kernel refuses with EINVAL a mask that is shorter than its own. */
    for (int n = CPU_SETSIZE; n <= AFFINITY_MAX; n *= 2) {
        cpu_set_t *mask = CPU_ALLOC(n);

        if (mask == NULL)
            return NULL;
        *bytes = CPU_ALLOC_SIZE(n);
        CPU_ZERO_S(*bytes, mask);
        if (sched_getaffinity(tid, *bytes, mask) == 0)
            return mask;
        CPU_FREE(mask);
        if (errno != EINVAL)
            return NULL;
    }
    return NULL;
}

int affinity_write(const cpu_set_t *mask, size_t bytes)
{
    return sched_setaffinity(0, bytes, mask);
}
