/* keeper_state.h: what the keeper knows of its job, shared by the files keeper*.c and by no others. */
#ifndef SMRRUN_KEEPER_STATE_H
#define SMRRUN_KEEPER_STATE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "smrrun/keeper.h"
#include "smrrun/verdict.h"
#include "team/supervise.h"

#define KEEPER_MS ((uint64_t)1000000)
#define KEEPER_S  (1000 * KEEPER_MS)

/* After this a person who pressed Ctrl-C is told what else can be done. */
#define KEEPER_HINT_NS (1 * KEEPER_S)
/* What the kernel may take to end a process that was killed. */
#define KEEPER_END_NS (10 * KEEPER_S)

#define KEEPER_NEVER UINT64_MAX

enum phase {
    PHASE_RUNS,
    PHASE_SIGNALLED, /* ranks have a signal that should end them: they may save first */
    PHASE_ENDS,      /* the job has failed or timed out: all have had SIGTERM */
    PHASE_KILLS
};

/* A signal that was taken for one of the job's. */
struct keeper_signal {
    uint64_t ns;  /* when; 0: never */
    pid_t sender; /* 0: the system, for keys of the terminal */
    bool is_own;  /* the keeper itself got it, and so the whole group; else the face alone, as it seemed */
};

struct keeper {
    const struct keeper_job *job;
    struct supervise ranks;
    bool has_memory;
    int signal_fd;
    uint64_t begun_ns;

    enum phase phase;
    uint64_t kill_at_ns;
    uint64_t timeout_at_ns;
    uint64_t hint_at_ns;
    struct verdict verdict;
    uint32_t n_others; /* that were told to end because of it, and did not fail of the same */
    int status;                                   /* of the job; meaningful once it is not 0 */
    bool ends_debugger;                           /* a signal asked for the end: --gdb's ends too */
    int raise;                                    /* the signal that ended it, for the face to end by */

    struct keeper_signal taken[NSIG];
    uint32_t early[NSIG];      /* 1 + how many ranks had been started when it came; 0: it did not, or later */
    uint64_t forward_ns[NSIG]; /* when the face's is to be forwarded; 0: not */
    pid_t forward_sender[NSIG];
    uint64_t quit_ns; /* the last report for a SIGQUIT */
    bool has_stopped; /* the ranks were stopped by a SIGTSTP that only the face got */
};

/* ---- keeper.c ---- */

/* Prints "smrrun: ..." by the face. */
void keeper_say(const struct keeper *keeper, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- keeper_ends.c ---- */

/* SIGKILL to all, now and again until none is left. */
void keeper_kill_all(struct keeper *keeper);

/* The job is over, with this exit status unless it has one: SIGTERM to all, and after the grace SIGKILL. */
void keeper_end_all(struct keeper *keeper, int status);

/* The grace is over, or it is time for another round of SIGKILL. */
void keeper_grace_is_over(struct keeper *keeper);

/* Says which ranks still run; nothing where none does, or quiet is asked for. */
void keeper_say_running(const struct keeper *keeper, const char *when, double seconds, const char *what);

/* The debugger of --gdb runs: from then on it is looked after. */
void keeper_note_debugger(struct keeper *keeper);

/*
 * Ends the job by the first of the causes of failure that were collected; and tells it, the next time or when no
 * rank is left. With --keep-going it tells all at once, and the job goes on.
 */
void keeper_tell(struct keeper *keeper);

/* For supervise_wait(): argument is the keeper. */
void keeper_rank_ended(const struct supervise_child *child, void *argument);

/* ---- keeper_signals.c ---- */

/* The signals that the keeper itself shall hear of. */
void keeper_choose_signals(sigset_t *heard);

/* Takes what has come to the keeper itself; and a signal that the face got. */
void keeper_read_signals(struct keeper *keeper);
void keeper_hear_of_signal(struct keeper *keeper, int signal, pid_t sender);

/* Forwards what only the face got, when it is time. */
void keeper_forward_signals(struct keeper *keeper, uint64_t now);

/*
 * While the ranks are started, before each of them: a signal that is there now has reached those that are
 * started, and no others. When all are started, the others get it too. Returns false where it ends the job: then
 * no more need be started.
 */
bool keeper_note_early_signals(struct keeper *keeper);
void keeper_forward_early_signals(struct keeper *keeper);

#endif
