/*
 * crew.h: the workers of one call, from their start to the last one's end: what maps, parallel and background
 * calls have in common. The master starts them and watches; each worker does the call's work and leaves.
 * Whether they are forked, threads, or parked processes of a pool, only worker.h knows.
 *
 * The first failure, whether a worker said so or was seen dead, ends all: nothing new is begun, and who is
 * still at work after CREW_GRACE_NS is killed, where that is possible.
 */
#ifndef RUN_CREW_H
#define RUN_CREW_H

#include <stdbool.h>
#include <stdint.h>

#include "host/binding.h"
#include "host/doorbell.h"
#include "memory/member.h"
#include "sharedmem.h"
#include "team/critical.h"
#include "team/supervise.h"
#include "team/team.h"

/* What a step may still take after the call failed, before its worker is ended in the middle of it. */
#define CREW_GRACE_NS ((uint64_t)10000000)

/* Each worker takes a slot of the member table, as does the master. */
#define CREW_MAX_WORKERS ((int)MEMBER_SLOTS - 2)

struct worker_ops;
struct worker_thread;

/*
 * Each worker has its own copy, of the whole struct that begins with this one (bytes): a forked one by the
 * fork, others by memcpy. So what workers use holds no pointer to itself.
 */
struct crew {
    const char *call;  /* "map" or "parallel", for messages */
    const char *where; /* the caller's place */
    struct team_shared *team;
    struct team_place place;         /* a worker's own */
    bool is_ready;                   /* a worker's own: it was in worker_get_ready() */
    uint32_t self;                   /* this process's or thread's member id */
    size_t bytes;                    /* of the struct that begins here */
    const struct worker_ops *kind;   /* how workers come to life */
    struct critical_held held;       /* what the masters hold: workers would wait for it for ever */
    const struct team_place *within; /* where the call was made; NULL: nowhere, or workers cannot see that */

    /* What a worker does: all of it, or until it fails by crew_fail() or the team stops. */
    void (*work)(struct crew *crew);

    /*
     * On the master: rank's worker has ended before it was done, for the reason in error. Returns whether
     * another one shall take its rank. NULL: the call fails.
     */
    bool (*lost)(struct crew *crew, uint32_t rank, const sharedmem_error *error);

    /* The master's alone. */
    struct binding_plan *plan;       /* NULL: workers are not bound */
    struct placement_mask *unbound;  /* where the caller may run; NULL: that is not changed */
    bool is_in_place;                /* the worker that is being forked is bound from its birth on */
    bool binds_late;                 /* workers share processors, and are bound by worker_settle() */
    int n_threads;                   /* of OpenMP, in each worker; 0: OpenMP is not there */
    struct supervise children;       /* forked */
    struct worker_thread *threads;   /* threads */
    struct sharedmem_pool *pool;     /* parked */
    struct crew *call_copy;          /* parked: room for a copy of the whole in shared memory */
    const struct doorbell *doorbell; /* wakes crew_watch(); NULL: none */
    sharedmem_error *error;          /* filled once, by the first failure */
    uint32_t n_running;
    uint32_t n_lost;         /* ranks that another worker is to be started for */
    bool is_apart;           /* it goes on beside its caller: a stop around it is not meant for it */
    bool failed;             /* error says why */
    bool ending;             /* it has failed, or was stopped: no end of a worker is a failure any more */
    uint64_t kill_at_ns;     /* ending: when those that still run are ended */
    uint32_t stops_at_start; /* sharedmem_stop() calls of the process until then */
    uint32_t next_rank;      /* the one that is being started */
    uint32_t next_member;
};

/*
 * Opens a doorbell for crew_open(): threads need one, to tell of their end. It is the caller's to close.
 * Returns 0, or -1 with errno and error.
 */
int crew_open_doorbell(const struct crew *crew, struct doorbell *doorbell);

/*
 * Prepares for workers; call, where, team, bytes, kind, work and error are set, the rest is zero. doorbell:
 * wakes crew_watch(); or it is DOORBELL_NONE.
 * Returns 0, or -1 with errno and error. crew_close() in either case.
 */
int crew_open(struct crew *crew, const struct doorbell *doorbell);

/* Workers are to be bound to shares of the caller's cores; before crew_start(). */
void crew_bind(struct crew *crew);

/*
 * Starts workers for ranks first to team->size - 1. Where it forks it flushes stdio, and ends OpenMP's pool of
 * threads.
 * Returns 0, or -1 with errno and error: those started are ended, and have ended. EPERM: the caller is inside
 * an OpenMP parallel region.
 */
int crew_start(struct crew *crew, uint32_t first);

/* Whether any worker runs. */
bool crew_runs(const struct crew *crew);

/*
 * Sleeps until a worker ends or the doorbell rings, at most timeout_ns; sees to what has ended, to failures,
 * and to sharedmem_stop().
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

/*
 * What the call returns: 0, SHAREDMEM_STOPPED, or -1 with errno ECANCELED. All workers have ended.
 */
int crew_result(const struct crew *crew);

/* Ends what still runs, and frees what crew_open() took. Nothing where it did not. Keeps errno. */
void crew_close(struct crew *crew);

/* For worker.h: rank's worker has ended. child: its process; NULL: it was a thread or is parked. */
void crew_worker_ended(struct crew *crew, uint32_t rank, const struct supervise_child *child);

/* In a worker: fails with error, whose rank and pid are filled in; it should leave then. */
void crew_fail(struct crew *crew, sharedmem_error *error);

/*
 * After a function of the user, in the master too: ends a forked copy of this process that came back from it,
 * mostly because an exec failed. It must not do the call's work once more.
 */
_Noreturn void crew_end_copy(void);
static inline void crew_check_self(const struct crew *crew)
{
    /* A fork drops membership (member.c), so that who it is tells. */
    if (member_my_id != crew->self)
        crew_end_copy();
}

/*
 * Calls a function of the user on the master: reduce, next. An uncaught error in it comes back as error and -1:
 * it is the call's, whoever does the work. Else error is untouched.
 */
int crew_call(sharedmem_function *function, size_t i, void *result, void *context, sharedmem_error *error);

#endif
