/*
 * openmp.h: the OpenMP runtimes that are loaded in this process, beside forks. They are found by their
 * symbols in all loaded objects, plug-ins too, and never linked; where there is none all of this is nothing.
 * A runtime that was linked statically shows no symbols, and is not found.
 *
 * A forked child has the calling thread only. libgomp (gcc) does not know that: its next parallel region
 * waits for ever for the threads of its pool. So the pool is ended before the fork, by
 * omp_pause_resource_all(); the next region makes a new one. libomp (LLVM, Intel) sees to forks by itself,
 * and must not be paused: what comes then, in the child or at the next region, is an assertion that fails, a
 * crash or a hang.
 */
#ifndef HOST_OPENMP_H
#define HOST_OPENMP_H

#include <stdbool.h>
#include <sys/types.h>

#include "sharedmem.h"

/* More runtimes than any one process was seen with. */
#define OPENMP_MAX 4

/* A number of threads for each runtime, in the order in which they were found; 0: none. */
struct openmp_threads {
    int of[OPENMP_MAX];
};

/*
 * Makes the calling thread ready to fork: libgomp's pool of it is ended. A libgomp older than that of gcc 9
 * cannot be paused, and its children must not use OpenMP if the caller has.
 *
 * Caller: any thread, before what it forks for is begun; not under slow_lock(). Waits for the pool's idle
 * threads to end, about 100 us. Without OpenMP it takes less than 0.1 us, but for the first call, and one
 * after a dlopen(3): some tens of us. Warns once where OpenMP binds the program's threads to places.
 * Returns 0, or -1 with errno EPERM and error, kind USAGE: the thread is in a parallel region of more than
 * one thread. There are locks then that the others may hold, and barriers that they will never come to; so
 * that is refused for libomp too, which could fork. call: "map", for the message.
 */
int openmp_before_fork(const char *call, sharedmem_error *error);

/* Whether there is any runtime. */
bool openmp_is_loaded(void);

/*
 * How many threads a worker gets whose share is so many cores: what regions of the calling thread would have,
 * but cores at most. Who asked for fewer, by OMP_NUM_THREADS or omp_set_num_threads(), gets no more.
 * In the master: libomp's children forget what was asked for but in the environment. 0 without a runtime.
 */
int openmp_share(int cores);

/*
 * Sets how many threads regions of the calling thread have, in all runtimes; 0 leaves it.
 * Returns what was before, for openmp_restore_threads().
 */
struct openmp_threads openmp_set_threads(int n);

/*
 * A child of this process has ended: removes what libomp leaves in /dev/shm for each process that does not end by
 * exit(), by which name it is found. Nothing where libomp is not loaded. Keeps errno.
 */
void openmp_clear_after(pid_t pid);

/*
 * The calling thread is itself again. libgomp's pool of it is ended, whose threads may be bound to what it
 * was bound to meanwhile. Nothing but zeros in before does nothing.
 */
void openmp_restore_threads(const struct openmp_threads *before);

#endif
