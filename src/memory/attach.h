/*
 * attach.h: how the ranks of a job, born by exec, get its segment, all at one address. In order:
 *
 *   1. The launcher makes the segment for n_ranks processes (attach_create) and leaves in their environment
 *      where it is: SHAREDMEM_JOB=pid:fd:cookie.
 *   2. Each process claims its rank (claim.h), which maps the segment's beginning.
 *   3. For each candidate address in order: it tries to map the whole there, compares what it got, and
 *      publishes yes or no; then it waits until all n_ranks have voted. The first candidate with all yes is
 *      the address. A rank's later program finds it decided.
 *
 * What can go wrong, by the errno that attach_join() fails with:
 *   ENOENT     SHAREDMEM_JOB is not set: the process belongs to no job; or it is not its rank (claim.h)
 *   EINVAL     SHAREDMEM_JOB is malformed
 *   ESRCH      the launcher is gone and the fd was not inherited, or it is another job's
 *   EPERM      the memory is another user's
 *   EPROTO     it is of another layout, or damaged
 *   EADDRNOTAVAIL  no candidate was free in all processes
 *   ECANCELED  the job was given up meanwhile (attach_give_up)
 *   EOWNERDEAD  that, without a launcher, of who was the first to see which rank is gone
 */
#ifndef MEMORY_ATTACH_H
#define MEMORY_ATTACH_H

#include <stddef.h>
#include <stdint.h>

#include "memory/segment.h"

/* Room for the value of SHAREDMEM_JOB. */
#define ATTACH_JOB_BYTES 64

/*
 * For the launcher: makes a segment for n_ranks processes and lays out the heap in it; its size is as
 * segment_create_for() says. This process maps it anywhere, as its own segment. job: gets the value of
 * SHAREDMEM_JOB; it holds while the returned fd is open.
 * The fd is closed on exec: a launcher that wants it inherited clears FD_CLOEXEC in the child.
 * Returns the fd, or -1 with errno and error.
 */
int attach_create(uint32_t n_ranks, uint64_t heap_bytes, char job[ATTACH_JOB_BYTES], sharedmem_error *error);

/*
 * Carries out steps 2 and 3; blocks until all n_ranks processes have come, or the job is given up. Afterwards
 * this is the process's segment, and memory_enter() makes the caller a member.
 * where: the call that joins, "file:line", for reports; or NULL.
 * Returns 0, or -1 with errno and error as above.
 */
int attach_join(const char *where, sharedmem_error *error);

/* For the launcher: nobody shall wait any longer for rank, which will never come. */
void attach_give_up(uint32_t rank);

/* Candidate c for the segment's address; NULL from the last one on. */
void *attach_candidate(unsigned c);

#endif
