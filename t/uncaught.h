/* uncaught.h: a handler that counts the errors that nobody asked for and keeps the last one. */
#ifndef T_UNCAUGHT_H
#define T_UNCAUGHT_H

#include <sharedmem.h>

static _Atomic int uncaught;
static sharedmem_error last;

static inline void note_uncaught(const sharedmem_error *error)
{
    last = *error;
    uncaught++;
}

#endif
