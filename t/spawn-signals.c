/* Children that run another program: the signals that are blocked or ignored there, or come meanwhile. */
#include "config.h"

#include "host/process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spawn.h"
#include "tap.h"

/* Valgrind has the last one for itself. */
#define LAST_SIGNAL 63

static unsigned long long bits_of(const sigset_t *signals)
{
    unsigned long long bits = 0;

    for (int signal = 1; signal <= LAST_SIGNAL; signal++)
        bits |= (unsigned long long)(sigismember(signals, signal) == 1) << (signal - 1);
    return bits;
}

static unsigned long long bit_of(int signal)
{
    return 1ull << (signal - 1);
}

static unsigned long long ignored_here(void)
{
    unsigned long long bits = 0;
    struct sigaction action;

    for (int signal = 1; signal <= LAST_SIGNAL; signal++) {
        if (sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
            bits |= bit_of(signal);
    }
    return bits;
}

static void do_nothing(int signal)
{
    (void)signal;
}

static void expect_signals(const struct process_spec *spec, const char *name, unsigned long long blocked,
                           unsigned long long ignored)
{
    struct process_end end;
    const char *status = output_of(*spec, &end);
    unsigned long long got[3] = {1, 1, 1};

    if (status != NULL && strstr(status, "SigBlk:") != NULL)
        sscanf(strstr(status, "SigBlk:"), "SigBlk: %llx SigIgn: %llx SigCgt: %llx", &got[0], &got[1],
               &got[2]);
    held(test_int((long long)blocked, (long long)got[0], "%s: blocked", name));
    /* The C library keeps signals 32 and 33 for itself: whoever started this test may have them ignored. */
    held(test_int((long long)ignored, (long long)(got[1] & ~0x180000000ull), "%s: ignored", name));
    held(test_int(0, (long long)got[2], "%s: nothing is handled", name));
}

/* SIGUSR1 is handled in the caller, SIGUSR2 ignored, SIGHUP blocked. */
static void test_signals(void)
{
    const char *argv[] = {"/bin/cat", "/proc/self/status", NULL};
    struct process_spec spec = spec_of(argv);
    sigset_t mask, ignored, defaulted, before;
    unsigned long long ignored_before;

    signal(SIGUSR1, do_nothing);
    signal(SIGUSR2, SIG_IGN);
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &mask, &before);
    ignored_before = ignored_here();
    expect_signals(&spec, "as the caller", bits_of(&before) | bit_of(SIGHUP), ignored_before);
    sigaddset(&mask, SIGTERM);
    sigdelset(&mask, SIGHUP);
    sigemptyset(&ignored);
    sigaddset(&ignored, SIGUSR1);
    sigaddset(&ignored, SIGQUIT);
    sigemptyset(&defaulted);
    sigaddset(&defaulted, SIGUSR2);
    sigaddset(&defaulted, SIGQUIT);
    spec.signal_mask = &mask;
    spec.ignored = &ignored;
    spec.defaulted = &defaulted;
    expect_signals(&spec, "as said", bit_of(SIGTERM),
                   (ignored_before & ~bit_of(SIGUSR2)) | bit_of(SIGUSR1) | bit_of(SIGQUIT));
    held(test_ok((ignored_here() == ignored_before), "the caller's own are as before"));
    pthread_sigmask(SIG_SETMASK, &before, &mask);
    held(test_ok(bits_of(&mask) == (bits_of(&before) | bit_of(SIGHUP)), "its mask too"));
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
}

static volatile sig_atomic_t handled, handled_in_child;
static pid_t handler_of;

static void note_process(int signal)
{
    (void)signal;
    if (getpid() == handler_of)
        handled++;
    else
        handled_in_child++;
}

static _Noreturn void shoot_at_group(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGUSR1, SIG_IGN);
    for (;;) {
        kill(0, SIGUSR1);
        usleep(20);
    }
}

/* How many of so many children ended well, or by SIGUSR1 where it may hit them. */
static int spawn_in_rain(const struct process_spec *spec, int rounds)
{
    struct process_end end;
    int good = 0;

    for (int i = 0; i < rounds; i++) {
        good += spawn_and_await(spec, &end) &&
                ((end.how == PROCESS_EXITED && end.code == 0) ||
                 (spec->ignored == NULL && end.how == PROCESS_SIGNALLED && end.code == SIGUSR1));
    }
    return good;
}

/* Signals rain on all of the caller's process group while it starts children. */
static void test_signal_rain(void)
{
    const char *argv[] = {"/bin/true", NULL};
    struct process_spec ignoring = spec_of(argv), knowing = spec_of(argv);
    int rounds = test_under_valgrind() ? 20 : 200, n_ignoring, n_knowing;
    sigset_t usr1;
    pid_t shooter;

    if (setpgid(0, 0) != 0)
        test_child_exit(NOT_HERE);
    handler_of = getpid();
    signal(SIGUSR1, note_process);
    shooter = fork_surely();
    if (shooter == 0)
        shoot_at_group();
    /* The thread sanitizer runs handlers in calls that block. */
    while (handled == 0)
        usleep(100);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    ignoring.ignored = knowing.handled = &usr1;
    n_ignoring = spawn_in_rain(&ignoring, rounds);
    n_knowing = spawn_in_rain(&knowing, rounds);
    test_kill(shooter, SIGKILL);
    while (waitpid(shooter, NULL, 0) < 0)
        ;
    held(test_int(rounds, n_ignoring, "children start"));
    held(test_int(rounds, n_knowing, "also where the caller says what it handles"));
    held(test_int(0, handled_in_child, "the caller's handler does not run in any"));
}

static void test_without_pidfds(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    test_signals();
}

int main(void)
{
    int fds = begin_spawning(60, test_without_pidfds);

    test_signals();
    test_in_child(test_signal_rain, "signals while children are started");
    return end_spawning(fds);
}
