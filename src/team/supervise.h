/*
 * supervise.h: a set of children, from their start to the last one's end: who waits for them sees their
 * deaths at once, and can end them all. The same for a map's workers and the launcher's ranks.
 */
#ifndef TEAM_SUPERVISE_H
#define TEAM_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/process.h"

struct supervise_child {
    struct process process;
    uint32_t rank;
    uint32_t member;        /* its member id; 0: none */
    struct process_end end; /* PROCESS_RUNS until it has ended */
    bool ready;             /* it may have ended: poll(2) said so */
};

struct supervise {
    struct supervise_child *children; /* n_started of them */
    struct pollfd *polled;            /* room for all and wake_fd */
    uint32_t n_room;
    uint32_t n_started; /* places that have been used */
    pid_t newest;       /* the child that was started last */
    uint32_t n_running;
    int wake_fd; /* supervise_wait() returns when it is readable; -1: none */
    uint32_t n_unwatched; /* forked since the last supervise_wait(), without an end_fd yet */
    bool stays;  /* forked children end with this process, not already with the thread that forks them */
};

/* Makes room for up to n children at once. Returns 0, or -1 with errno ENOMEM. */
int supervise_init(struct supervise *set, uint32_t n, int wake_fd);

/*
 * Forks the next child, see process_fork(). member is its reserved slot. It takes the place of one that has
 * ended where there is no other; not from within supervise_wait().
 * Returns 0, or -1 with errno; the set is then as it was.
 */
int supervise_fork(struct supervise *set, uint32_t rank, uint32_t member, void (*body)(void *argument),
                   void *argument);

/*
 * The same for several in a row: their end_fds are opened by the next supervise_wait(), so that none inherits
 * those of its elder siblings. In a set that stays it is no different.
 */
int supervise_fork_next(struct supervise *set, uint32_t rank, uint32_t member, void (*body)(void *argument),
                        void *argument);

/*
 * Starts the next child with a program of its own, see process_spawn(); it is no member. Returns as that
 * does.
 */
int supervise_spawn(struct supervise *set, uint32_t rank, const struct process_spec *spec, const char **what);

/*
 * Waits until a child ends or wake_fd is readable, at most timeout_ns; 0 only looks.
 * Calls ended for each child that ended: its member is by then given back, or recovered where it died.
 * Returns whether wake_fd was readable.
 */
bool supervise_wait(struct supervise *set, uint64_t timeout_ns,
                    void (*ended)(const struct supervise_child *child, void *argument), void *argument);

/* Sends signal to all that run. */
void supervise_signal(struct supervise *set, int signal);

/* In a forked child: its elder siblings are not its own, and their files are closed. */
void supervise_forget(struct supervise *set);

/*
 * Frees the set; children must not run any more, or are not its own: in a forked copy of their parent. Keeps
 * errno.
 */
void supervise_fini(struct supervise *set);

#endif
