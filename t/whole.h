/* whole.h: whether the heap is whole, for tests of what the heap refuses. */
#ifndef T_WHOLE_H
#define T_WHOLE_H

#include <sharedmem.h>

#include <stdbool.h>
#include <stdio.h>

/* Says on stderr what is wrong with it. */
static inline bool is_whole(const char *when)
{
    sharedmem_error error = {.message = ""};

    if (sharedmem_heap_check(&error) == 0)
        return true;
    fprintf(stderr, "# after %s: %s\n", when, error.message);
    return false;
}

#endif
