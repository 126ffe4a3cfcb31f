/*
 * verdict.h: why a job ends, and with what status: the first rank that failed by itself.
 *
 * A rank may also end because another did: it waited for one that is gone, or was told that the job has
 * failed. It says so in its claim (CLAIM_GIVEN_UP), and its own end then counts for nothing; what it knew of
 * the cause is in the team's first error. Where that names a rank whose own end has not been seen yet, the
 * verdict waits for it, VERDICT_WAIT_NS at most: "segmentation fault" says more than "is gone".
 *
 * Often one cause fails many ranks at once, a file that none of them finds. So causes are collected until none
 * has come for VERDICT_FOLD_NS, and for VERDICT_FOLD_MAX_NS at most; whoever fails of the same meanwhile is
 * told of in the same message. The job goes on as long. Then it is ended, and those that fail of that cause all the
 * same, instead of ending as they are told, are told of too: VERDICT_LATE_NS later, or when all have ended.
 */
#ifndef SMRRUN_VERDICT_H
#define SMRRUN_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "host/crash.h"
#include "smrrun/options.h"
#include "team/supervise.h"

#define VERDICT_WAIT_NS     200000000u
#define VERDICT_FOLD_NS     2000000u
#define VERDICT_FOLD_MAX_NS 6000000u
#define VERDICT_LATE_NS     30000000u

/* What failed, and in which ranks. */
struct verdict_cause {
    enum {
        VERDICT_END,
        VERDICT_ERROR,
        VERDICT_MISSING
    } kind;                 /* its own end; its uncaught error; it is gone */
    char text[960];         /* ERROR, MISSING: a line, without the rank */
    char shortage[640];     /* END: ", very likely because memory ran out: ..."; else "" */
    char place[320];        /* END: where it crashed, the same in all ranks; "" where that is not known */
    bool is_overflow;       /* END: the stack was used up */
    struct process_end end; /* END: of the first one */
    int status;
    uint32_t rank; /* the first one that was seen */
    pid_t pid;
    double seconds; /* since the job's begin, when it was seen */
    uint32_t n;     /* how many ranks */
    uint64_t set[OPTIONS_MAX_RANKS / 64];
};

struct verdict {
    uint64_t begun_ns; /* the job's begin; set by the keeper */
    bool is_told;      /* some cause has been, and taken by verdict_drop() */
    uint64_t
        reach_at_ns; /* a cause is not known yet: then it is what is known, clock_monotonic_ns(); 0: none */
    uint64_t tell_at_ns;          /* when the causes are to be told; 0: there are none */
    uint64_t first_ns;            /* when the first of them came */
    bool has_victims;             /* ranks have given up meanwhile */
    bool is_settled;              /* the job is being ended by the one cause that is left */
    struct verdict_cause *causes; /* n_causes of them */
    uint32_t n_causes, n_room;
    uint64_t noted[OPTIONS_MAX_RANKS / 64]; /* ranks whose uncaught errors have been taken */
    char missing[960]; /* the last text of MISSING: those who give up for one rank all tell of that */
};

/* Whether the end of a rank is a failure. */
bool verdict_is_failure(const struct process_end *end);

/* As a shell says it: the code, or 128 + the signal. */
int verdict_status_of(const struct process_end *end);

/* A rank has ended, in a job that nobody has begun to end. has_job: ranks may have used shared memory. */
void verdict_rank_ended(struct verdict *verdict, const struct supervise *ranks,
                        const struct supervise_child *child, bool has_job);

/* Whether some rank has told why the job fails. Only where there is shared memory. */
bool verdict_is_told(void);

/* What rank left behind when it crashed, where that is how it, or the program of a shell, has ended; else NULL. */
const struct crash_shared *verdict_crash(uint32_t rank, const struct process_end *end);

/* It is time to name a cause with what is known. Only where there is shared memory. */
void verdict_reach(struct verdict *verdict);

/*
 * The cause that the job ends by, NULL where there is none: the first; but of uncaught errors the one that the
 * ranks took for it, and rather a rank that a signal ended, since errors may follow from that.
 */
const struct verdict_cause *verdict_first(const struct verdict *verdict);

/* The job is being ended by that cause: the others are dropped. */
void verdict_settle(struct verdict *verdict);

/* A rank has ended after that. Returns whether it failed of the cause, which then has it too. */
bool verdict_joins(struct verdict *verdict, const struct supervise_child *child, bool has_job);

/* The causes have been told. */
void verdict_drop(struct verdict *verdict);

#endif
