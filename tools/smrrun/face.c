#include "smrrun/face.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/text.h"
#include "host/descendants.h"
#include "smrrun/channel.h"

/* What a keeper that was killed left behind has this long to end. */
#define END_NS 10000000000u

/* Passed to the keeper, as long as the launcher was not started with them ignored; SIGQUIT always. */
static const int passed[] = {SIGHUP,   SIGINT,  SIGQUIT,   SIGTERM, SIGUSR1, SIGUSR2,
                             SIGWINCH, SIGALRM, SIGVTALRM, SIGPROF, SIGCONT, SIGTSTP};
#define N_PASSED (sizeof passed / sizeof *passed)

/* For the handler. */
static int handler_channel = -1;

/* Whether what is written now would have to wait. */
static bool output_is_stuck(void)
{
    struct pollfd polled[2] = {{.fd = STDOUT_FILENO, .events = POLLOUT},
                               {.fd = STDERR_FILENO, .events = POLLOUT}};

    return poll(polled, 2, 0) >= 0 && (polled[0].revents == 0 || polled[1].revents == 0);
}

/*
 * Where the keeper is gone it has ended all. This process is about to hear how, unless its output keeps it,
 * which nobody reads: then it ends by the signal.
 */
static void pass_on(int signal, siginfo_t *info, void *unused)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    int saved_errno = errno;
    bool is_heard = channel_send(handler_channel, CHANNEL_SIGNAL, signal,
                                 info->si_code == SI_USER ? (int32_t)info->si_pid : 0);

    (void)unused;
    if (is_heard || !output_is_stuck()) {
        errno = saved_errno;
        return;
    }
    sigaction(signal, &standard, NULL);
    raise(signal);
}

/*
 * The shell is to see this process stop, once the keeper knows. A SIGCONT that came meanwhile would be lost by
 * the stop, and nobody would send another. In an orphaned process group the system stops nobody, ranks neither.
 */
static void stop(int signal, siginfo_t *info, void *unused)
{
    struct sigaction standard = {.sa_handler = SIG_DFL}, ours;
    int saved_errno = errno;
    sigset_t one, pending, before;

    pass_on(signal, info, unused);
    sigemptyset(&one);
    sigaddset(&one, signal);
    if (sigpending(&pending) == 0 && !sigismember(&pending, SIGCONT)) {
        sigaction(signal, &standard, &ours);
        (void)!raise(signal);
        sigprocmask(SIG_UNBLOCK, &one, &before);
        sigprocmask(SIG_SETMASK, &before, NULL);
        sigaction(signal, &ours, NULL);
    }
    errno = saved_errno;
}

/* All of it, also where somebody has made stderr non-blocking; but not for ever. */
static void write_error(const char *text, size_t length)
{
    struct pollfd polled = {.fd = STDERR_FILENO, .events = POLLOUT};

    while (length > 0) {
        ssize_t n = write(STDERR_FILENO, text, length);

        if (n < 0 && errno != EINTR && (errno != EAGAIN || poll(&polled, 1, 1000) <= 0))
            return;
        if (n > 0) {
            text += n;
            length -= (size_t)n;
        }
    }
}

void face_say(const char *format, ...)
{
    char text[CHANNEL_TEXT_BYTES];
    size_t length = (size_t)snprintf(text, sizeof text, "smrrun: ");
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + length, sizeof text - length - 1, format, arguments);
    va_end(arguments);
    text_one_line(text);
    length = strlen(text);
    text[length] = '\n';
    write_error(text, length + 1);
}

/* Handlers without SA_RESTART would be seen by who writes output; with it nothing but the keeper is told. */
static void install_handlers(const struct face *face)
{
    struct sigaction action = {.sa_flags = SA_RESTART | SA_SIGINFO};
    sigset_t mask = face->mask;

    handler_channel = face->channel;
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < N_PASSED; i++) {
        struct sigaction before;

        sigaction(passed[i], NULL, &before);
        action.sa_sigaction = passed[i] == SIGTSTP ? stop : pass_on;
        if (before.sa_handler != SIG_IGN || passed[i] == SIGQUIT)
            sigaction(passed[i], &action, NULL);
    }
    /* What cannot be written is told as an error. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    /* While a debugger has the terminal this process prints from the background. */
    if (face->debugged->is_on)
        sigaddset(&mask, SIGTTOU);
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* As if the signal had hit this process itself: the shell then knows, and stops a loop around it. */
static void end_by(int signal)
{
    struct rlimit no_core = {0, 0};
    sigset_t one;

    setrlimit(RLIMIT_CORE, &no_core);
    if (signal != SIGPIPE) {
        sigemptyset(&one);
        sigaddset(&one, signal);
        sigprocmask(SIG_UNBLOCK, &one, NULL);
    }
    (void)!raise(signal);
}

/* It has said all, and ends: nobody shall find it as a zombie later. */
static void await_keeper(struct face *face)
{
    struct pollfd polled = {.fd = face->keeper.end_fd, .events = POLLIN};
    struct process_end ended;

    while (process_reap(&face->keeper, &ended) == PROCESS_RUNS)
        poll(&polled, 1, polled.fd >= 0 ? 1000 : 1);
}

static int end(struct face *face, const struct channel_message *message)
{
    if (face->output != NULL)
        output_finish(face->output);
    await_keeper(face);
    debugged_end(face->debugged);
    if (message->detail != 0) {
        signal(message->detail, SIG_DFL);
        end_by(message->detail);
    }
    return message->value;
}

/* The keeper was killed: ranks die with it, and what they left behind has become this process's to end. */
static int end_without_keeper(struct face *face)
{
    int left = descendants_end(END_NS);

    debugged_end(face->debugged);
    if (face->output != NULL)
        output_finish(face->output);
    face_say("the keeper (pid %d) was killed; all ranks are ended", (int)face->keeper.pid);
    if (left > 0)
        face_say("%d processes could not be ended", left);
    return 125;
}

/* Tells the keeper, once, that what ranks print cannot be passed on. */
static void note_output(struct face *face, enum output_state state, bool *is_told)
{
    int code = output_errno(face->output);

    if (state == OUTPUT_OPEN || *is_told)
        return;
    *is_told = true;
    if (state == OUTPUT_BROKEN)
        face_say("cannot write to standard %s: %s",
                 output_failed_stream(face->output) == 0 ? "output" : "error", strerror(code));
    channel_send(face->channel, CHANNEL_UNHEARD, state == OUTPUT_CLOSED ? EPIPE : code, 0);
}

static int wait_for_events(const struct face *face)
{
    struct pollfd polled[2] = {{.fd = face->channel, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    uint64_t timeout_ns = UINT64_MAX;
    int timeout_ms = -1;

    if (face->output != NULL && output_n_open(face->output) > 0) {
        polled[1].fd = output_poll_fd(face->output);
        timeout_ns = output_timeout_ns(face->output);
    }
    if (timeout_ns != UINT64_MAX)
        timeout_ms = (int)((timeout_ns + 999999) / 1000000);
    return poll(polled, 2, timeout_ms);
}

int face_run(struct face *face)
{
    struct channel_message message;
    bool is_told = false;

    descendants_adopt();
    install_handlers(face);
    for (;;) {
        int answer;

        wait_for_events(face);
        /* What ranks printed before something was to be said of them comes before that. */
        if (face->output != NULL)
            note_output(face, output_run(face->output), &is_told);
        while ((answer = channel_receive(face->channel, &message)) == 1) {
            if (message.kind == CHANNEL_END)
                return end(face, &message);
            if (message.kind == CHANNEL_TEXT)
                write_error(message.text, strlen(message.text));
        }
        if (answer < 0)
            return end_without_keeper(face);
    }
}
