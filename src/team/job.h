/*
 * job.h: the job of the launcher as a team: its ranks are processes born by exec, each with one place in it.
 *
 * A rank is gone for the others when the launcher has seen its process end: until then the rank's next
 * program may come (sh -c './a; ./b'), and goes on where the one before left off, in barriers and turns too.
 * A process that dies as a member is gone at once.
 */
#ifndef TEAM_JOB_H
#define TEAM_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/attach.h"
#include "team/team.h"

/* ---- In a rank ---- */

/*
 * The team that a call at where works for: team_here(), else the job, which is joined now if this process is
 * one of its ranks; NULL: the process is alone.
 */
static inline struct team_place *job_current(const char *where);

/* The place of this process as a rank, once it has one; and the rest of job_current() for it. */
extern struct team_place job_my_place __attribute__((visibility("hidden")));
struct team_place *job_current_of_rank(const char *where);

static inline struct team_place *job_current(const char *where)
{
    struct team_place *place = team_here();

    return place != NULL && place != &job_my_place ? place : job_current_of_rank(where);
}

/* The place of this process as a rank that has joined; NULL where it has not. */
struct team_place *job_place(void);

/*
 * Ends this process, with exit status, for a reason that it has given the job, or that the job gave it: the
 * launcher takes the job's error for the cause, not this end. What is printed is flushed.
 */
_Noreturn void job_leave_failed(int status);

/* ---- In the launcher ---- */

/*
 * Makes the segment of a job of n_ranks and lays its team out in it; the caller becomes a member.
 * heap_bytes: as segment_create_for(). job: gets the value of SHAREDMEM_JOB. crowd: how many ranks
 * share a processor; 0: none do.
 * Returns the segment's fd, which must stay open while ranks live, or -1 with errno and error.
 */
int job_create(uint32_t n_ranks, uint64_t heap_bytes, uint32_t crowd, char job[ATTACH_JOB_BYTES],
               sharedmem_error *error);

/*
 * The calling process, a member, is the launcher's: those who look for deadlocks need not mind it (deadlock.h).
 * Again in a forked child that became one.
 */
void job_launcher_waits(void);

/* The job's team; NULL where job_create() has not been called. */
struct team_shared *job_team(void);

/*
 * Rank's process has ended: nobody shall wait for it any more, and what it held comes free. May be called for
 * a process that never used the job.
 */
void job_rank_ended(uint32_t rank);

#endif
