/*
 * worker.h: how the workers of a crew come to life, and end: one contract, and a body for each kind. The crew's
 * own files use it.
 */
#ifndef RUN_WORKER_H
#define RUN_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "run/crew.h"

struct worker_ops {
    /* Room for all ranks. Returns 0, or -1 with errno ENOMEM. */
    int (*open)(struct crew *crew);

    /* Starts the worker of crew->next_rank. Returns 0, or -1 with errno. */
    int (*start)(struct crew *crew);

    /* Sleeps until one has ended or the doorbell rings; crew_worker_ended() for each that has. */
    void (*wait)(struct crew *crew, uint64_t timeout_ns);

    /* Ends all that run, in the middle of what they do; NULL: that cannot be done. */
    void (*kill)(struct crew *crew);

    /* Frees what open() took: none runs. */
    void (*close)(struct crew *crew);

    bool is_process; /* a worker is a process of its own */
    bool forks;      /* to start one, stdio must be flushed */
};

extern const struct worker_ops worker_forked;
extern const struct worker_ops worker_threads;
extern const struct worker_ops worker_parked; /* pool.c */

/* ---- In a worker ---- */

/*
 * A forked process becomes the member that was reserved for it, and a worker. Does not return where that is
 * gone.
 */
void worker_be_born(struct crew *crew, uint32_t member);

/*
 * Fills crew->place, rank's, as workers of all kinds have it. leave: how it ends where it cannot go on, see
 * team.h.
 */
void worker_take_place(struct crew *crew, uint32_t rank, void (*leave)(void));

/*
 * As rank of its team does the crew's work, in a process that is a worker: all of its life, or one call of many.
 */
void worker_do(struct crew *crew, uint32_t rank);

/*
 * Before the first call of the work function: prepares a process for crashes in it, and OpenMP for its share. A
 * worker that comes too late for the items of a short map ends without.
 */
void worker_get_ready(struct crew *crew);

/*
 * Between two chunks of items: where workers share processors they bind themselves now, and not at their birth,
 * but not before all have been started. The system starts most of them on one processor; to move one takes half
 * as long as to fork it, and where it is moved to it waits for the master, who is forking there. A short map is
 * over before that.
 */
void worker_settle(struct crew *crew);

/* What is printed is flushed, its rank is left, and the process ends. */
_Noreturn void worker_leave(struct crew *crew, int status);

/*
 * It fails in a way that another worker may mend: error is kept for the master, the rank stays open.
 * Returns in a thread, which should end then; a process ends.
 */
void worker_give_up(struct crew *crew, sharedmem_error *error);

/*
 * An uncaught error within the user's code: what it works on fails with it. Returns as
 * worker_give_up().
 */
void worker_fail_uncaught(struct crew *crew, sharedmem_error *error);

#endif
