/* heap_lock.h: taking the heap's lock; who gets it finds the heap whole, also after a death. */
#ifndef MEMORY_HEAP_LOCK_H
#define MEMORY_HEAP_LOCK_H

#include "memory/heap_layout.h"

/* Returns 0, or -1 with errno EDEADLK: this thread has it (a signal handler called the library). */
int heap_lock(struct heap_shared *heap);

void heap_unlock(struct heap_shared *heap);

#endif
