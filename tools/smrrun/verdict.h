/*
 * verdict.h: why a job ends, and with what status: the first rank that failed by itself.
 *
 * A rank may also end because another did: it waited for one that is gone, or was told that the job has
 * failed. It says so in its claim (CLAIM_GIVEN_UP), and its own end then counts for nothing; what it knew of
 * the cause is in the team's first error. Where that names a rank whose own end has not been seen yet, the
 * verdict waits for it, VERDICT_WAIT_NS at most: "segmentation fault" says more than "is gone".
 */
#ifndef SMRRUN_VERDICT_H
#define SMRRUN_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "team/supervise.h"

#define VERDICT_WAIT_NS 200000000u

struct verdict {
    bool is_reached;
    int status; /* of the job */
    uint64_t
        reach_at_ns; /* not reached yet: then it is what is known, clock_monotonic_ns(); 0: nothing failed */
    char text[4096]; /* what happened, for a person: a line, maybe a traceback after it */
};

/* Whether the end of a rank is a failure. */
bool verdict_is_failure(const struct process_end *end);

/* As a shell says it: the code, or 128 + the signal. */
int verdict_status_of(const struct process_end *end);

/* A rank has ended, in a job that nobody has begun to end. has_job: ranks may have used shared memory. */
void verdict_rank_ended(struct verdict *verdict, const struct supervise *ranks,
                        const struct supervise_child *child, bool has_job, uint64_t begun_ns);

/* Whether some rank has told why the job fails. Only where there is shared memory. */
bool verdict_is_told(void);

/* It is time to reach it with what is known. */
void verdict_reach(struct verdict *verdict);

#endif
