/* Child processes: how their ends are seen, and whom they outlive, or not. */
#include "config.h"

#include "host/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "in_child.h"
#include "tap.h"

static void hold_still(void *argument)
{
    (void)argument;
    for (;;)
        pause();
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    return poll(&polled, 1, timeout_ms) == 1;
}

/* ---- Ends ---- */

static void leave_with(void *argument)
{
    if (argument != NULL)
        _exit(*(const int *)argument);
}

static void raise_signal(void *argument)
{
    const struct rlimit no_core = {0, 0};

    setrlimit(RLIMIT_CORE, &no_core);
    signal(*(const int *)argument, SIG_DFL);
    raise(*(const int *)argument);
}

static const struct {
    const char *name;
    void (*body)(void *argument);
    int argument;
    bool has_argument;
    enum process_how how;
    int code;
} ends[] = {
    {"a body that returns", leave_with, 0, false, PROCESS_EXITED, 0},
    {"exit status 0", leave_with, 0, true, PROCESS_EXITED, 0},
    {"exit status 1", leave_with, 1, true, PROCESS_EXITED, 1},
    {"exit status 255", leave_with, 255, true, PROCESS_EXITED, 255},
    {"SIGTERM", raise_signal, SIGTERM, true, PROCESS_SIGNALLED, SIGTERM},
    {"SIGKILL", raise_signal, SIGKILL, true, PROCESS_SIGNALLED, SIGKILL},
    {"SIGABRT", raise_signal, SIGABRT, true, PROCESS_SIGNALLED, SIGABRT},
};

static void test_ends(void)
{
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        int argument = ends[i].argument;
        struct process process;
        struct process_end end;

        if (process_fork(&process, ends[i].body, ends[i].has_argument ? &argument : NULL) != 0) {
            held(test_ok(false, "a child is forked"));
            continue;
        }
        await_end(&process, &end);
        held(test_int(ends[i].how, end.how, "%s: how it ended", ends[i].name));
        held(test_int(ends[i].code, end.code, "%s: its code", ends[i].name));
        held(test_ok(!end.dumped_core, "%s: no core", ends[i].name));
        held(test_int(-1, process.end_fd, "%s: its end_fd is closed", ends[i].name));
    }
}

#define MUCH ((size_t)48 << 20)

/* Takes processor time and memory. */
static void use_much(void *argument)
{
    volatile char *memory = malloc(MUCH);
    struct rusage usage;

    (void)argument;
    for (size_t i = 0; memory != NULL && i < MUCH; i += 1024)
        memory[i] = 1;
    do
        getrusage(RUSAGE_SELF, &usage);
    while (usage.ru_utime.tv_sec == 0 && usage.ru_utime.tv_usec + usage.ru_stime.tv_usec < 30000);
}

static void test_use(void)
{
    struct process process;
    struct process_end end = {.how = PROCESS_RUNS};

    if (process_fork(&process, use_much, NULL) == 0)
        await_end(&process, &end);
    test_int(PROCESS_EXITED, end.how, "a child that uses much ends");
    test_ok(end.use.user_ns + end.use.system_ns >= 20000000, "its processor time is known");
    test_ok(end.use.peak_bytes >= MUCH, "and the most memory that it had");
}

static void leave_when_told(void *argument)
{
    const int *pipe_ends = argument;
    char byte;

    close(pipe_ends[1]);
    _exit(read(pipe_ends[0], &byte, 1) == 0 ? 3 : 4);
}

static void test_running(void)
{
    struct process_end end = {.how = PROCESS_VANISHED};
    struct process process;
    int ends_of_pipe[2];

    held(test_int(0, pipe2(ends_of_pipe, O_CLOEXEC), "a pipe is made"));
    process_fork(&process, leave_when_told, ends_of_pipe);
    held(test_ok(process.end_fd >= 0, "a child has an end_fd"));
    held(test_ok(fcntl(process.end_fd, F_GETFD) & FD_CLOEXEC, "programs that are executed do not get it"));
    held(test_ok(!is_readable(process.end_fd, 0), "it is not readable while the child runs"));
    errno = EDOM;
    held(test_int(PROCESS_RUNS, process_reap(&process, &end), "then reaping says that it runs"));
    held(test_int(PROCESS_RUNS, end.how, "in the end too"));
    held(test_int(EDOM, errno, "and keeps errno"));
    close(ends_of_pipe[0]);
    close(ends_of_pipe[1]);
    held(test_ok(is_readable(process.end_fd, -1), "it is readable once the child has ended"));
    await_end(&process, &end);
    held(test_int(3, end.code, "and the child is reaped"));
}

static void test_forgotten_end_fd(void)
{
    struct process_end end;
    struct process process;
    int fds = test_fds();

    process_fork(&process, hold_still, NULL);
    process_forget_end_fd(&process);
    held(test_int(-1, process.end_fd, "a forgotten end_fd is gone"));
    held(test_int(fds, test_fds(), "and closed"));
    process_forget_end_fd(&process);
    held(test_int(PROCESS_RUNS, process_reap(&process, &end), "the child still runs"));
    test_kill(process.pid, SIGTERM);
    await_end(&process, &end);
    held(test_int(SIGTERM, end.code, "and is reaped without it"));
}

/* By pid where there is no end_fd, or none that can carry a signal. */
static void test_signals(void)
{
    for (int forget = 0; forget < 2; forget++) {
        struct process_end end;
        struct process process;

        process_fork(&process, hold_still, NULL);
        if (forget)
            process_forget_end_fd(&process);
        errno = EDOM;
        process_signal(&process, 0);
        held(test_int(PROCESS_RUNS, process_reap(&process, &end), "signal 0 does nothing"));
        process_signal(&process, SIGTERM);
        await_end(&process, &end);
        held(test_int(SIGTERM, end.code, "a child %s an end_fd gets a signal", forget ? "without" : "with"));
        held(test_int(EDOM, errno, "errno is kept"));
    }
}

/* ---- Ends that somebody else took ---- */

static void test_ignored(void)
{
    int status = 5;
    struct process_end end;
    struct process process;

    signal(SIGCHLD, SIG_IGN);
    process_fork(&process, leave_with, &status);
    errno = EDOM;
    await_end(&process, &end);
    held(test_int(PROCESS_VANISHED, end.how, "where SIGCHLD is ignored a child vanishes"));
    held(test_int(EDOM, errno, "errno is kept"));
    held(test_int(-1, process.end_fd, "its end_fd is closed"));
    signal(SIGCHLD, SIG_DFL);
}

static void test_taken(void)
{
    struct process_end end;
    struct process process;

    process_fork(&process, leave_with, NULL);
    held(test_int(process.pid, waitpid(-1, NULL, 0), "the program waits for any child"));
    await_end(&process, &end);
    held(test_int(PROCESS_VANISHED, end.how, "then the child has vanished"));
}

/* ---- File descriptors ---- */

static void test_no_fd_leaks(void)
{
    int rounds = test_under_valgrind() ? 50 : 1000, fds = test_fds(), failed = 0;

    for (int i = 0; i < rounds; i++) {
        struct process_end end;
        struct process process;

        if (process_fork(&process, leave_with, NULL) == 0)
            await_end(&process, &end);
        else
            failed++;
    }
    held(test_int(0, failed, "%d children are forked one after the other", rounds));
    held(test_int(fds, test_fds(), "no fd is left open"));
}

#define FD_LIMIT 64

struct exhausted {
    struct rlimit before;
    int taken[FD_LIMIT];
    int n_taken;
};

static void exhaust_fds(struct exhausted *fds)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &fds->before);
    limit = fds->before;
    limit.rlim_cur = FD_LIMIT;
    setrlimit(RLIMIT_NOFILE, &limit);
    fds->n_taken = 0;
    while ((fds->taken[fds->n_taken] = dup(STDERR_FILENO)) >= 0)
        fds->n_taken++;
}

static void restore_fds(const struct exhausted *fds)
{
    setrlimit(RLIMIT_NOFILE, &fds->before);
    for (int i = 0; i < fds->n_taken; i++)
        close(fds->taken[i]);
}

static void test_without_fds(void)
{
    int status = 6, forked, end_fd;
    struct process_end end = {.how = PROCESS_RUNS};
    struct process process;
    struct exhausted fds;

    exhaust_fds(&fds);
    forked = process_fork(&process, leave_with, &status);
    end_fd = process.end_fd;
    if (forked == 0)
        await_end(&process, &end);
    restore_fds(&fds);
    held(test_int(0, forked, "without a free fd a child is forked"));
    held(test_int(-1, end_fd, "it has no end_fd"));
    held(test_int(PROCESS_EXITED, end.how, "it is reaped"));
    held(test_int(6, end.code, "with its code"));
}

/* ---- Kernels that lack something, or refuse it ---- */

static void test_everywhere(void)
{
    test_without_fds();
    test_ends();
    test_running();
    test_forgotten_end_fd();
    test_signals();
    test_ignored();
    test_taken();
    test_no_fd_leaks();
}

static void test_refused_fork(void)
{
    struct process process = {.pid = 4711, .end_fd = 4712};
    int fds = test_fds();

    errno = 0;
    held(test_int(-1, process_fork(&process, hold_still, NULL), "a fork that is refused is -1"));
    held(test_int(EAGAIN, errno, "with errno"));
    held(test_ok(process.pid == 4711 && process.end_fd == 4712, "the process is untouched"));
    held(test_int(fds, test_fds(), "no fd is left open"));
}

static bool refuse_pidfd_and_fork(void)
{
    struct process_end end;
    struct process process;

    /* The first fork asks for pidfds: it must not be the refused one. */
    if (!refuse_pidfd() || process_fork(&process, leave_with, NULL) != 0)
        return false;
    await_end(&process, &end);
    return refuse_fork();
}

/* ---- Who forked dies ---- */

static void say_and_hold_still(void *argument)
{
    const int *pipe_ends = argument;

    if (write(pipe_ends[1], "!", 1) == 1)
        hold_still(NULL);
}

/* It holds the pipe too, and leaves no chance to close it. */
static _Noreturn void fork_and_hold_still(int *pipe_ends)
{
    struct process process;

    process_fork(&process, say_and_hold_still, pipe_ends);
    hold_still(NULL);
    test_child_exit(1);
}

static void test_parent_is_killed(void)
{
    int pipe_ends[2], status;
    pid_t middle, sleeper;
    char byte;

    test_int(0, pipe2(pipe_ends, O_CLOEXEC), "a pipe is made");
    middle = fork();
    if (middle == 0)
        fork_and_hold_still(pipe_ends);
    close(pipe_ends[1]);
    test_int(1, read(pipe_ends[0], &byte, 1), "a child's child lives");
    test_kill(middle, SIGKILL);
    test_int(0, read(pipe_ends[0], &byte, 1), "killing the child ends its child");
    close(pipe_ends[0]);
    test_int(middle, waitpid(middle, &status, 0), "the child is reaped");
    sleeper = waitpid(-1, &status, 0);
    test_ok(sleeper > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "its child was killed");
}

struct thread_fork {
    struct process process;
    int pipe_ends[2];
    bool lived;
};

static void *fork_in_thread(void *argument)
{
    struct thread_fork *family = argument;
    char byte;

    family->lived = process_fork(&family->process, say_and_hold_still, family->pipe_ends) == 0 &&
                    read(family->pipe_ends[0], &byte, 1) == 1;
    return NULL;
}

static void test_thread_ends(void)
{
    struct thread_fork family;
    struct process_end end;
    pthread_t thread;

    test_int(0, pipe2(family.pipe_ends, O_CLOEXEC), "a pipe is made");
    pthread_create(&thread, NULL, fork_in_thread, &family);
    pthread_join(thread, NULL);
    test_ok(family.lived, "a thread's child lives");
    await_end(&family.process, &end);
    test_ok(end.how == PROCESS_SIGNALLED && end.code == SIGKILL, "it is killed when its thread ends");
    close(family.pipe_ends[0]);
    close(family.pipe_ends[1]);
}

/* ---- A fork that outlives its caller ---- */

struct apart {
    int question[2], answer[2];
};

static void answer_when_asked(void *argument)
{
    const struct apart *apart = argument;
    int signal = -1;
    char byte;

    if (read(apart->question[0], &byte, 1) == 1 && prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == 0)
        (void)!write(apart->answer[1], "!", 1);
}

static void test_fork_apart(void)
{
    struct process process;
    struct apart apart;
    pid_t middle;
    char byte;

    test_ok(pipe2(apart.question, O_CLOEXEC) == 0 && pipe2(apart.answer, O_CLOEXEC) == 0, "pipes are made");
    middle = fork_surely();
    if (middle == 0)
        test_child_exit(process_fork_apart(&process, answer_when_asked, &apart));
    test_int(middle, waitpid(middle, NULL, 0), "a child has forked apart and ended");
    close(apart.answer[1]);
    test_int(1, write(apart.question[1], "?", 1), "its child is asked");
    test_int(1, read(apart.answer[0], &byte, 1), "and answers");
    test_ok(waitpid(-1, NULL, 0) > 0, "it ends");
    close(apart.question[0]);
    close(apart.question[1]);
    close(apart.answer[0]);
}

/* ---- Names ---- */

static const struct {
    int signal;
    const char *name;
} nameless[] =
    {
        {0, "signal 0"},
        {-1, "signal -1"},
        {70, "signal 70"},
        {4711, "signal 4711"},
},
  named[] = {
      {SIGKILL, "SIGKILL"}, {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},
      {SIGTERM, "SIGTERM"}, {SIGABRT, "SIGABRT"},
};

static void test_signal_names(void)
{
    char text[32], small[4];

    for (size_t i = 0; i < COUNT_OF(nameless); i++)
        test_str(nameless[i].name, process_signal_name(nameless[i].signal, text, sizeof text),
                 "the name of %d", nameless[i].signal);
#ifdef HAVE_SIGABBREV_NP
    for (size_t i = 0; i < COUNT_OF(named); i++)
        test_str(named[i].name, process_signal_name(named[i].signal, text, sizeof text), "the name of %d",
                 named[i].signal);
#else
    (void)named;
    test_skip("this C library does not name signals");
#endif
    test_ok(process_signal_name(70, text, sizeof text) == text, "the text is the caller's");
    test_str("sig", process_signal_name(70, small, sizeof small), "and is cut where it does not fit");
}

int main(void)
{
    int fds;

    test_begin(120);
    fds = test_fds();
    test_refused(refuse_pidfd, test_everywhere, "without pidfds");
    test_refused(refuse_pidfd_and_fork, test_refused_fork, "without pidfds and forks");
    test_refused(refuse_fork, test_refused_fork, "without forks");
    test_everywhere();
    test_parent_is_killed();
    test_thread_ends();
    test_fork_apart();
    test_use();
    test_signal_names();
    test_int(fds, test_fds(), "no fd is left open");
    return test_end();
}
