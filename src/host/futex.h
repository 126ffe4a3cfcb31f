/* futex.h: sleeping on a word of shared memory and waking its sleepers, in any process that maps it. */
#ifndef HOST_FUTEX_H
#define HOST_FUTEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Sleeps while *word is seen, until woken, for at most timeout_ns. May return early for no reason.
 * Returns false where the whole time passed. Keeps errno.
 */
bool futex_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ns);

/* Wakes up to count sleepers. Keeps errno. */
void futex_wake(_Atomic uint32_t *word, int count);

#endif
