/*
 * crew.h: the forked workers of one call, from their start to the last one's end: what maps and parallel
 * calls have in common. The master starts them and watches; each worker does the call's work and leaves.
 *
 * The first failure, whether a worker said so or was seen dead, ends all: nothing new is begun, and who is
 * still at work after CREW_GRACE_NS is killed.
 */
#ifndef RUN_CREW_H
#define RUN_CREW_H

#include <stdbool.h>
#include <stdint.h>

#include "host/binding.h"
#include "host/doorbell.h"
#include "sharedmem.h"
#include "team/supervise.h"
#include "team/team.h"

/* What a step may still take after the call failed, before its worker is ended in the middle of it. */
#define CREW_GRACE_NS ((uint64_t)10000000)

/* Private to each process: workers have the master's as of the fork. */
struct crew {
    const char *call;  /* "map" or "parallel", for messages */
    const char *where; /* the caller's place */
    struct team_shared *team;
    struct team_place place; /* a worker's own */
    uint32_t self;           /* this process's member id */

    /* What a worker does: all of it, or until it fails by crew_fail() or the team stops. */
    void (*work)(struct crew *crew);

    /* The master's alone. */
    struct binding_plan *plan; /* NULL: workers are not bound */
    struct supervise children;
    const struct doorbell *doorbell; /* wakes crew_watch(); NULL: none */
    sharedmem_error *error; /* filled once, by the first failure */
    bool failed;
    uint64_t kill_at_ns; /* failed: when those that still run are ended */
    uint32_t next_rank;  /* the one that is being forked */
    uint32_t next_member;
};

/*
 * Prepares for workers; call, where, team, work and error are set, the rest is zero. doorbell: wakes
 * crew_watch(); or NULL.
 * Returns 0, or -1 with errno and error. crew_close() in either case.
 */
int crew_open(struct crew *crew, const struct doorbell *doorbell);

/*
 * Starts workers for ranks first to team->size - 1. Flushes stdio.
 * Returns 0, or -1 with errno and error: those started are ended, and have ended.
 */
int crew_start(struct crew *crew, uint32_t first);

/* Whether any worker runs. */
bool crew_runs(const struct crew *crew);

/*
 * Sleeps until a worker ends or the doorbell rings, at most timeout_ns; sees to what has ended, and to
 * failures.
 */
void crew_watch(struct crew *crew, uint64_t timeout_ns);

/*
 * All have ended: if they did because the team was stopped, and nobody said why, the call has failed all the
 * same.
 */
void crew_check_end(struct crew *crew);

/* The call has failed, with what is in error now. */
void crew_end_early(struct crew *crew);

/* A worker's error may lie in the team: then the call has failed with that. */
void crew_notice_failure(struct crew *crew);

/* Ends what still runs, and frees what crew_open() took. Nothing where it did not. Keeps errno. */
void crew_close(struct crew *crew);

/* In a worker: fails with error, whose rank and pid are filled in; it should leave then. */
void crew_fail(struct crew *crew, sharedmem_error *error);

/*
 * After a function of the user, in the master too: ends a forked copy of this process that came back from it,
 * mostly because an exec failed. It must not do the call's work once more.
 */
void crew_check_self(const struct crew *crew);

/* In a worker: what is printed is flushed, and the process ends. */
_Noreturn void crew_leave(struct crew *crew, int status);

/* A worker's whole life, for process_fork(): argument is the crew. Does not return. */
void crew_worker(void *argument);

#endif
