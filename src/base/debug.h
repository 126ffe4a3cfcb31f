/* debug.h: whether debug mode is on: by sharedmem_set_debug(), else by SHAREDMEM_DEBUG. */
#ifndef BASE_DEBUG_H
#define BASE_DEBUG_H

#include <stdbool.h>

bool debug_is_on(void);

#endif
