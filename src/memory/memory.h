/* memory.h: the one door to shared memory: every public call that needs it begins with memory_enter(). */
#ifndef MEMORY_MEMORY_H
#define MEMORY_MEMORY_H

#include "memory/member.h"
#include "sharedmem.h"

int memory_enter_first(sharedmem_error *error);

/*
 * Sees to it that this process has a segment with its heap, and that the calling thread is a member of it.
 * Returns 0, or -1 with errno and error; then the next call tries again.
 */
static inline int memory_enter(sharedmem_error *error)
{
    return member_me != NULL ? 0 : memory_enter_first(error);
}

#endif
