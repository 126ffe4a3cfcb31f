/* affinity.h: the processors that the calling thread may run on, on machines of any size. */
#ifndef HOST_AFFINITY_H
#define HOST_AFFINITY_H

#include <sched.h>
#include <stdbool.h>
#include <sys/types.h>

/* The most processors that a mask is made for; Linux is built for 8,192 at most. */
#define AFFINITY_MAX 65536

/*
 * Reads the affinity mask of the calling thread. bytes: set to its size, for the CPU_..._S macros.
 * Owner: the caller, CPU_FREE().
 * Returns NULL with errno.
 */
cpu_set_t *affinity_read(size_t *bytes);

/* The same of thread tid; a pid is its first thread's. */
cpu_set_t *affinity_read_of(pid_t tid, size_t *bytes);

/*
 * Keeps of mask what a list like "0-3,8,10-20:2" names, every second one with :2; or, is_excluded, what it does
 * not. Processors that mask does not have may be named. Returns 0, or -1 where text is no such list.
 */
int affinity_restrict(cpu_set_t *mask, size_t bytes, const char *text, bool is_excluded);

/* Sets the calling thread's mask. Returns 0, or -1 with errno. */
int affinity_write(const cpu_set_t *mask, size_t bytes);

#endif
