#include "host/affinity.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

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

/* Reads a number and goes behind it. Returns false where there is none that a processor could have. */
static bool take_number(const char **text, long *number)
{
    char *end;

    if (!isdigit((unsigned char)**text))
        return false;
    *number = strtol(*text, &end, 10);
    *text = end;
    return *number < AFFINITY_MAX;
}

/* Reads "3", "0-7" or "0-7:2" and goes behind it. */
static bool take_range(const char **text, long *first, long *last, long *step)
{
    *step = 1;
    if (!take_number(text, first))
        return false;
    *last = *first;
    if (**text == '-' && (++*text, !take_number(text, last)))
        return false;
    if (**text == ':' && (++*text, !take_number(text, step)))
        return false;
    return *last >= *first && *step > 0;
}

int affinity_restrict(cpu_set_t *mask, size_t bytes, const char *text, bool is_excluded)
{
    cpu_set_t *named = CPU_ALLOC(AFFINITY_MAX);
    size_t n_bits = bytes * 8;
    long first, last, step;
    bool is_good = false;

    if (named == NULL)
        return -1;
    CPU_ZERO_S(CPU_ALLOC_SIZE(AFFINITY_MAX), named);
    while ((is_good = take_range(&text, &first, &last, &step))) {
        for (long cpu = first; cpu <= last; cpu += step)
            CPU_SET_S((size_t)cpu, CPU_ALLOC_SIZE(AFFINITY_MAX), named);
        if (*text != ',')
            break;
        text++;
    }
    is_good = is_good && *text == '\0';
    for (size_t cpu = 0; cpu < n_bits && is_good; cpu++) {
        if ((CPU_ISSET_S(cpu, CPU_ALLOC_SIZE(AFFINITY_MAX), named) != 0) == is_excluded)
            CPU_CLR_S(cpu, bytes, mask);
    }
    CPU_FREE(named);
    return is_good ? 0 : -1;
}
