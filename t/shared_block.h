/* shared_block.h: the one block of shared memory that a test and its workers work on, and what they find wrong. */
#ifndef T_SHARED_BLOCK_H
#define T_SHARED_BLOCK_H

#include <sharedmem.h>

#include <stdlib.h>
#include <string.h>

#include "tap.h"

/* A zeroed block in a heap of this size. Before the first result: without shared memory all is skipped. */
static inline void *shared_block(const char *heap, size_t bytes)
{
    void *block;

    setenv("SHAREDMEM_HEAP", heap, 1);
    block = sharedmem_calloc(1, bytes);
    if (block == NULL)
        test_skip_all("no shared memory here");
    return block;
}

/* What is wrong goes into a text that all workers share, if it is the first. */
static inline void note_wrong(char *wrong, const char *what)
{
    SHAREDMEM_CRITICAL
    {
        if (wrong[0] == '\0')
            strcpy(wrong, what);
    }
}

#endif
