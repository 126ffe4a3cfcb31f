/* next_map.h: whether a map is right that comes after one that failed, for tests of failures. */
#ifndef T_NEXT_MAP_H
#define T_NEXT_MAP_H

#include "pool.h"

static inline bool next_map_is_right(void)
{
    return map_is_right(NULL, 3, 64) && sharedmem_heap_check(NULL) == 0;
}

#endif
