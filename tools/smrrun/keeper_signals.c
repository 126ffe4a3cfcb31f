/* The signals of a job: each reaches each rank once; see keeper.h. */
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "host/clock.h"
#include "smrrun/keeper_state.h"
#include "smrrun/report.h"

/* A signal to the group reaches face and keeper this close to each other; a person's next one does not. */
#define SAME_SIGNAL_NS (50 * KEEPER_MS)
/* Where the machine is busy, only this close. */
#define LATE_SIGNAL_NS (1 * KEEPER_S)
/* How long the keeper waits for its own copy before it takes the face's for the only one. */
#define WITNESS_NS (10 * KEEPER_MS)
/* A second Ctrl-\ within this ends the job. */
#define QUIT_AGAIN_NS (2 * KEEPER_S)

static void signal_ranks(struct keeper *keeper, int signal)
{
    supervise_signal(&keeper->ranks, signal);
}

/* Ranks have, or get now, a signal that should end them. */
static void end_by_signal(struct keeper *keeper, int signal)
{
    keeper->ends_debugger = true;
    if (keeper->phase != PHASE_RUNS) {
        /* A second one: whoever sends it does not want to wait. */
        keeper_kill_all(keeper);
        return;
    }
    keeper->phase = PHASE_SIGNALLED;
    keeper->raise = signal;
    keeper->kill_at_ns = clock_monotonic_ns() + keeper->job->options->grace_ns;
    if (signal == SIGINT && keeper->job->options->grace_ns > 2 * KEEPER_HINT_NS)
        keeper->hint_at_ns = clock_monotonic_ns() + KEEPER_HINT_NS;
    /*
     * A batch system that ends a session by SIGTERM kills it a moment later: in a session of its own the
     * keeper outlives that, and nothing else of the job does.
     */
    if (signal == SIGTERM)
        setsid();
}

/* Whether the launcher was started with it ignored, as a shell does for what it puts in the background. */
static bool was_ignored(int signal)
{
    struct sigaction action;

    return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* In the background it only reports: Ctrl-\ is then meant for another. */
static void report_or_quit(struct keeper *keeper)
{
    bool ends = !was_ignored(SIGQUIT);
    uint64_t now = clock_monotonic_ns();

    if (ends && keeper->quit_ns != 0 && now - keeper->quit_ns < QUIT_AGAIN_NS) {
        keeper->ends_debugger = true;
        keeper_end_all(keeper, 128 + SIGQUIT);
        return;
    }
    keeper->quit_ns = now;
    keeper_say(keeper, "after %.1f s%s:", (double)(now - keeper->begun_ns) * 1e-9,
               ends ? "; once more within 2 s ends the job" : "");
    report_states(keeper->job->channel, &keeper->ranks, keeper->has_memory);
}

/* has_reached: the ranks have got it already. */
static void take_signal(struct keeper *keeper, int signal, bool has_reached)
{
    switch (signal) {
    case SIGQUIT:
        report_or_quit(keeper);
        return;
    case SIGINT:
    case SIGTERM:
    case SIGHUP:
        if (!has_reached)
            signal_ranks(keeper, signal);
        end_by_signal(keeper, signal);
        return;
    default:
        if (!has_reached)
            signal_ranks(keeper, signal);
        if (signal == SIGTSTP)
            keeper->has_stopped = !has_reached;
        else if (signal == SIGCONT)
            keeper->has_stopped = false;
    }
}

/*
 * Whether it is the signal that was taken last. One that was sent to the group comes twice, and on a busy
 * machine the face may be late with its own; then who sent it tells. So it does where timeout(1) sends it to
 * the face first and then to the group.
 */
static bool is_taken(const struct keeper *keeper, int signal, pid_t sender, bool is_own, uint64_t now)
{
    const struct keeper_signal *last = &keeper->taken[signal];

    if (last->ns == 0)
        return false;
    return now - last->ns < SAME_SIGNAL_NS ||
           (now - last->ns < LATE_SIGNAL_NS && is_own != last->is_own && sender == last->sender);
}

/* Takes the next signal that has come to the keeper itself. Returns it, or 0. */
static int next_signal(const struct keeper *keeper, pid_t *sender)
{
    struct signalfd_siginfo info;

    while (read(keeper->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == 0 || info.ssi_signo >= NSIG || info.ssi_signo == SIGCHLD)
            continue;
        *sender = info.ssi_code == SI_USER ? (pid_t)info.ssi_pid : 0;
        return (int)info.ssi_signo;
    }
    return 0;
}

/* The keeper itself got it: so it was sent to the whole group. Returns whether it is one more. */
static bool witness(struct keeper *keeper, int signal, pid_t sender)
{
    uint64_t now = clock_monotonic_ns();
    bool is_same = is_taken(keeper, signal, sender, true, now);

    keeper->taken[signal] = (struct keeper_signal){.ns = now, .sender = sender, .is_own = true};
    keeper->forward_ns[signal] = 0;
    return !is_same;
}

void keeper_read_signals(struct keeper *keeper)
{
    pid_t sender;

    for (int signal; (signal = next_signal(keeper, &sender)) != 0;) {
        if (witness(keeper, signal, sender))
            take_signal(keeper, signal, true);
    }
}

bool keeper_note_early_signals(struct keeper *keeper)
{
    pid_t sender;

    for (int signal; (signal = next_signal(keeper, &sender)) != 0;) {
        if (witness(keeper, signal, sender) && keeper->early[signal] == 0)
            keeper->early[signal] = keeper->ranks.n_started + 1;
        /* Of these two the last one counts. */
        if (signal == SIGTSTP || signal == SIGCONT)
            keeper->early[signal == SIGTSTP ? SIGCONT : SIGTSTP] = 0;
    }
    return keeper->early[SIGINT] == 0 && keeper->early[SIGTERM] == 0 && keeper->early[SIGHUP] == 0;
}

void keeper_forward_early_signals(struct keeper *keeper)
{
    for (int signal = 1; signal < NSIG; signal++) {
        if (keeper->early[signal] == 0)
            continue;
        for (uint32_t i = keeper->early[signal] - 1; signal != SIGQUIT && i < keeper->ranks.n_started; i++)
            process_signal(&keeper->ranks.children[i].process, signal);
        take_signal(keeper, signal, true);
    }
}

/*
 * The face goes on: it stops nobody any more, and its next SIGTSTP is another one. Whom only we have stopped we
 * let go on, be there a SIGCONT that all have got before that.
 */
static void note_going_on(struct keeper *keeper)
{
    keeper->forward_ns[SIGTSTP] = 0;
    keeper->taken[SIGTSTP].ns = 0;
    if (keeper->has_stopped)
        keeper->taken[SIGCONT].ns = 0;
}

/* The face got it, and whether others did is not known yet. */
void keeper_hear_of_signal(struct keeper *keeper, int signal, pid_t sender)
{
    uint64_t now = clock_monotonic_ns();

    if (signal == SIGCONT)
        note_going_on(keeper);
    if (signal <= 0 || signal >= NSIG || is_taken(keeper, signal, sender, false, now) ||
        keeper->forward_ns[signal] != 0)
        return;
    keeper->forward_ns[signal] = now + WITNESS_NS;
    keeper->forward_sender[signal] = sender;
}

void keeper_forward_signals(struct keeper *keeper, uint64_t now)
{
    for (int signal = 1; signal < NSIG; signal++) {
        if (keeper->forward_ns[signal] == 0 || keeper->forward_ns[signal] > now)
            continue;
        keeper->forward_ns[signal] = 0;
        /* The same from the face once more is one signal too. */
        keeper->taken[signal] = (struct keeper_signal){.ns = now, .sender = keeper->forward_sender[signal]};
        take_signal(keeper, signal, false);
    }
}

/*
 * All but what the terminal stops readers and writers by, and what the launcher was started with ignored (nohup):
 * a blocked signal comes even so. SIGTSTP and SIGCONT are heard of, and being blocked stop nobody here. SIGQUIT is
 * heard in any case, for a report.
 */
void keeper_choose_signals(sigset_t *heard)
{
    static const int never[] = {SIGTTIN, SIGTTOU, SIGPIPE};

    sigfillset(heard);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        sigdelset(heard, never[i]);
    for (int signal = 1; signal < NSIG; signal++) {
        if (signal != SIGCHLD && signal != SIGQUIT && was_ignored(signal))
            sigdelset(heard, signal);
    }
}
