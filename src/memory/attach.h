/*
 * attach.h: how processes born by exec get the segment of their job, all at one address. The protocol, in
 * order:
 *
 *   1. The launcher makes the segment for n_ranks processes (attach_create) and leaves in their environment
 *      where it is:
 *      SHAREDMEM_JOB=pid:fd:cookie.
 *   2. Each process opens it: through /proc/pid/fd, which works where a wrapper closed inherited files, else
 *      as the inherited fd. It checks owner, seals, size and header.
 *   3. It maps the beginning of the segment anywhere, just to vote.
 *   4. For each candidate address in order: it tries to map the whole there, compares what it got, and
 *      publishes yes or no; then it waits until all n_ranks have voted. The first candidate with all yes is
 *      the address.
 *
 * What can go wrong, by the errno that attach_join() fails with:
 *   ENOENT     SHAREDMEM_JOB is not set: the process belongs to no job
 *   EINVAL     SHAREDMEM_JOB is malformed
 *   ESRCH      the launcher is gone, and the fd was not inherited
 *   EPERM      the memory is another user's
 *   EPROTO     it is no segment, one of another layout or job, or damaged
 *   EADDRNOTAVAIL  no candidate was free in all processes
 *   ECANCELED  the job was given up meanwhile (attach_give_up)
 */
#ifndef MEMORY_ATTACH_H
#define MEMORY_ATTACH_H

#include <stddef.h>
#include <stdint.h>

#include "memory/segment.h"

/* Room for the value of SHAREDMEM_JOB. */
#define ATTACH_JOB_BYTES 64

/*
 * For the launcher: makes a segment of size bytes for n_ranks processes and lays out the heap in it. This
 * process maps it anywhere, as its own segment. job: gets the value of SHAREDMEM_JOB; it holds while the
 * returned fd is open.
 * The fd is closed on exec: a launcher that wants it inherited clears FD_CLOEXEC in the child.
 * Returns the fd, or -1 with errno and error.
 */
int attach_create(uint64_t size, uint32_t n_ranks, char job[ATTACH_JOB_BYTES], sharedmem_error *error);

/*
 * Carries out steps 2 to 4; blocks until all n_ranks processes have come, or the job is given up. Afterwards
 * this is the process's segment, and memory_enter() makes the caller a member.
 * Returns 0, or -1 with errno and error as above.
 */
int attach_join(sharedmem_error *error);

/* For the launcher: the processes that wait for the others to come shall not wait any longer. */
void attach_give_up(void);

/* Candidate c for the segment's address; NULL from the last one on. */
void *attach_candidate(unsigned c);

#endif
