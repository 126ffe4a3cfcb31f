/*
 * foreign.h: a program that srun, mpiexec or flux has started finds the other ranks on its node, without smrrun.
 *
 * Which rank of how many it is, and of which job, the launcher's variables say (foreign_read). Then, under a lock
 * that the system takes back from who dies:
 *
 *   1. It takes the name of its rank of that job (host/rendezvous.h). Where another process has that, this one is a
 *      second process of the rank, and alone.
 *   2. It looks through the ranks for one that has the job's segment, and opens that by way of /proc.
 *   3. Where none has, it makes the segment, and lays the job's team out in it.
 *
 * From then on all is as under smrrun: claims, the vote on the address (claim.h, attach.h). But nobody is there who
 * sees how processes end. A rank that dies is seen by who waits for it; one that ends says so itself, and is gone:
 * its next program (sh -c './a; ./b') is of a new job, which begins when the last one of the old has ended.
 */
#ifndef MEMORY_FOREIGN_H
#define MEMORY_FOREIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/segment.h"

struct foreign {
    const char *launcher; /* "srun", "mpiexec (MPICH)", "mpiexec (Open MPI)", "flux"; NULL: none of them */
    int rank;             /* on this node, from 0 */
    int size;             /* on this node; 1: there is nobody to meet */
    char job[80];         /* the same for the ranks of one job on this node, and no others */
    char problem[200];    /* why the variables cannot be believed; "" where they can */
};

/*
 * Reads the variables: the first launcher of which all are there, and which started more than one process here.
 * Where they contradict each other there is a problem, and no launcher. What a step of Slurm has left in the
 * environment of a batch script that was handed in from within it is no launcher. SHAREDMEM_JOB=none: there is none either.
 */
void foreign_read(struct foreign *foreign);

/* The same, also where it started one process here, and whatever SHAREDMEM_JOB says: for smrrun itself. */
void foreign_read_any(struct foreign *foreign);

/*
 * Carries out steps 1 to 3; blocks while the lock is another's, and until an old job of these ranks has ended.
 * Returns an fd of the segment that the caller owns and copies its header, checked; or -1 with errno and error:
 * EBUSY, this is a second process of its rank; or as segment_create(). This process keeps its name, and an fd of the
 * segment for others to find.
 */
int foreign_open(const struct foreign *foreign, struct segment_header_shared *header, sharedmem_error *error);

/* After so long it is said once for whom this rank waits: 5 s. For tests. */
extern uint64_t foreign_patience_ns;

/* In a forked copy of the rank: name and segment are its parent's. */
void foreign_forget(void);

/* Whether this process has met others this way: it is a rank without smrrun. */
bool foreign_is_met(void);

/*
 * Lays the job out in a new segment, for n_ranks ranks, and forgets its mapping. Returns an fd, or -1 with error. The
 * floor above sets it (team/job.c).
 */
extern int (*foreign_create)(uint32_t n_ranks, sharedmem_error *error);

#endif
