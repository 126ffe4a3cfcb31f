/* Children that run another program: what of their parent reaches it, and how a failure is told. */
#include "config.h"

#include "host/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

static char *no_environment[] = {NULL};

/* For what runs in a child, whose checks count nowhere: they end in its exit status. */
static bool all_held = true;

static void held(bool is)
{
    all_held &= is;
}

/* A fork that failed must end the test: a later kill(-1) would end everything. */
static pid_t fork_surely(void)
{
    pid_t child = fork();

    if (child >= 0)
        return child;
    test_ok(false, "a process is forked");
    exit(test_end());
}

/* Runs checks in a child, which may do to itself what it wants; with 77 it says that it could not. */
static void test_in_child(void (*checks)(void), const char *name)
{
    pid_t child = fork_surely();
    int status;

    if (child == 0) {
        checks();
        test_child_exit(all_held && test_children() == 0 ? 0 : 1);
    }
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        test_skip("%s: not here", name);
    else
        test_int(0, status, "%s: all is as it should be", name);
}

static struct process_spec spec_of(const char *const *argv)
{
    return (struct process_spec){.path = argv[0],
                                 .argv = (char *const *)argv,
                                 .envp = no_environment,
                                 .stdio = {-1, -1, -1},
                                 .keep_fd = -1};
}

static void await_end(struct process *process, struct process_end *end)
{
    struct pollfd polled = {.fd = process->end_fd, .events = POLLIN};

    while (process->end_fd >= 0 && poll(&polled, 1, -1) < 0)
        ;
    while (process_reap(process, end) == PROCESS_RUNS)
        sched_yield();
}

static bool spawn_and_await(const struct process_spec *spec, struct process_end *end)
{
    struct process process;
    const char *what;

    if (process_spawn(&process, spec, &what) != 0)
        return false;
    await_end(&process, end);
    return true;
}

/* Reads all that comes from fd, which is closed. */
static void read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    ssize_t got;

    while (length < size - 1 && (got = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    close(fd);
}

/*
 * What the program of spec writes to stdout; NULL where it is not begun. The text is good until the next
 * call.
 */
static const char *output_of(struct process_spec spec, struct process_end *end)
{
    static char text[16384];
    struct process process;
    const char *what;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return NULL;
    spec.stdio[1] = ends[1];
    if (process_spawn(&process, &spec, &what) != 0) {
        test_note("%s: %s", what, strerror(errno));
        close(ends[0]);
        close(ends[1]);
        return NULL;
    }
    close(ends[1]);
    read_all(ends[0], text, sizeof text);
    await_end(&process, end);
    return text;
}

/* ---- What a program gets ---- */

static void test_program(void)
{
    const char *argv[] = {"/bin/sh", "-c", "echo \"$0 $1 $#-$LEFT-$X\"; pwd -P; exit 7", "zero", "one", NULL};
    const char *envp[] = {"X=of spec", NULL};
    struct process_spec spec = spec_of(argv);
    struct process_end end = {.how = PROCESS_RUNS};

    setenv("LEFT", "of the caller", 1);
    spec.envp = (char *const *)envp;
    spec.wdir = "/proc";
    held(test_str("zero one 1--of spec\n/proc\n", output_of(spec, &end),
                  "a program gets its arguments, environment and folder"));
    unsetenv("LEFT");
    held(test_int(PROCESS_EXITED, end.how, "it ends"));
    held(test_int(7, end.code, "with its status"));
}

static void test_relative_path(void)
{
    const char *argv[] = {"sh", "-c", "exit 3", NULL};
    struct process_spec spec = spec_of(argv);
    struct process_end end = {.code = -1};

    spec.wdir = "/bin";
    held(test_ok(spawn_and_await(&spec, &end), "a path is relative to the folder"));
    held(test_int(3, end.code, "and the program runs"));
}

static void test_same_folder(void)
{
    const char *argv[] = {"/bin/sh", "-c", "pwd -P", NULL};
    char folder[4096], *here = getcwd(NULL, 0);
    struct process_end end;

    snprintf(folder, sizeof folder, "%s\n", here);
    free(here);
    held(test_str(folder, output_of(spec_of(argv), &end), "without a folder it is the caller's"));
}

/* ---- Failures ---- */

/* A file that can be executed by this path in the child, though it is closed by the exec. */
static void make_file(char path[32], const char *content, mode_t mode)
{
    int fd = memfd_create("program", MFD_CLOEXEC);

    (void)!write(fd, content, strlen(content));
    fchmod(fd, mode);
    snprintf(path, 32, "/proc/self/fd/%d", fd);
}

static void remove_file(const char *path)
{
    close(atoi(strrchr(path, '/') + 1));
}

static void expect_failure(const struct process_spec *spec, const char *what, int code, const char *name)
{
    struct process process = {.pid = 4711, .end_fd = 4712};
    const char *failed = NULL;
    int fds = test_fds();

    errno = 0;
    held(test_int(-1, process_spawn(&process, spec, &failed), "%s: not begun", name));
    held(test_int(code, errno, "%s: errno", name));
    held(test_str(what, failed, "%s: what failed", name));
    held(test_ok(process.pid == 4711 && process.end_fd == 4712, "%s: the process is untouched", name));
    held(test_int(fds, test_fds(), "%s: no fd is left open", name));
    held(test_ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "%s: no child is left", name));
}

static void expect_exec_failure(const char *path, int code)
{
    const char *argv[] = {path, NULL};
    struct process_spec spec = spec_of(argv);

    expect_failure(&spec, "exec", code, path);
}

static void expect_file_failure(const char *content, mode_t mode, int code)
{
    char path[32];

    make_file(path, content, mode);
    expect_exec_failure(path, code);
    remove_file(path);
}

/* Valgrind looks at the program before the exec, and cannot go on where that fails all the same. */
static bool dies_of_late_failures(void)
{
    return test_under_valgrind();
}

static void test_exec_failures(void)
{
    expect_exec_failure("", ENOENT);
    expect_exec_failure("/no/such/program", ENOENT);
    expect_exec_failure("/dev/null/program", ENOTDIR);
    expect_exec_failure("/", EACCES);
    expect_file_failure("#!/bin/sh\nexit 0\n", 0600, EACCES);
    if (!dies_of_late_failures())
        expect_file_failure("#!/no/such/program\n", 0700, ENOENT);
    expect_file_failure("no program at all\n", 0700, ENOEXEC);
}

static void test_too_long(void)
{
    size_t size = 4 << 20;
    char *text = malloc(size);
    const char *argv[] = {"/bin/true", text, NULL};
    struct process_spec spec = spec_of(argv);

    memset(text, 'x', size - 1);
    text[size - 1] = '\0';
    expect_failure(&spec, "exec", E2BIG, "an argument of 4 MiB");
    free(text);
}

static void test_other_failures(void)
{
    const char *argv[] = {"/bin/true", NULL};
    struct process_spec spec = spec_of(argv);

    spec.wdir = "/no/such/folder";
    expect_failure(&spec, "chdir", ENOENT, "no such folder");
    spec.wdir = "/bin/sh";
    expect_failure(&spec, "chdir", ENOTDIR, "no folder");
    spec.wdir = NULL;
    for (int i = 0; i < 3; i++) {
        spec = spec_of(argv);
        spec.stdio[i] = 999;
        expect_failure(&spec, "stdio", EBADF, "stdio that is not open");
    }
    spec = spec_of(argv);
    spec.keep_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    close(spec.keep_fd);
    /* The next fd that is opened gets this very number. */
    expect_failure(&spec, "stdio", EBADF, "an fd to keep that is not open");
}

static void test_without_fds(void)
{
    const char *argv[] = {"/bin/true", NULL};
    struct process_spec spec = spec_of(argv);
    const char *what = NULL;
    struct process process;
    int taken[64], n = 0, status, code;
    struct rlimit before, limit;

    getrlimit(RLIMIT_NOFILE, &before);
    limit = before;
    limit.rlim_cur = COUNT_OF(taken);
    setrlimit(RLIMIT_NOFILE, &limit);
    while ((taken[n] = dup(STDERR_FILENO)) >= 0)
        n++;
    status = process_spawn(&process, &spec, &what);
    code = errno;
    setrlimit(RLIMIT_NOFILE, &before);
    while (n > 0)
        close(taken[--n]);
    held(test_int(-1, status, "without a free fd nothing is begun"));
    held(test_int(EMFILE, code, "which errno says"));
    held(test_str("fork", what, "there is no child then"));
}

/* ---- File descriptors ---- */

/* Whatever the test itself was started with would be inherited. */
static void close_rest_on_exec(void)
{
    for (int fd = STDERR_FILENO + 1; fd < 1024; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* How many fds stand in the output of ls /proc/self/fd, without its own; has: whether fd is among them. */
static int listed_fds(const char *text, int fd, bool *has)
{
    int n = 0;

    *has = false;
    while (text != NULL && *text != '\0') {
        n++;
        *has |= atoi(text) == fd;
        text = strchr(text, '\n');
        text += text != NULL;
    }
    return n - 1;
}

/* Without pidfds a child holds one more. */
static int fds_for_its_end(void)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static void test_inherited_fds(void)
{
    const char *argv[] = {"/bin/ls", "/proc/self/fd", NULL};
    struct process_spec spec = spec_of(argv);
    int expected = 3 + fds_for_its_end();
    struct process_end end;
    bool has;

    held(test_int(expected, listed_fds(output_of(spec, &end), -1, &has), "a program gets stdio and no more"));
    spec.keep_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 40);
    held(test_int(expected + 1, listed_fds(output_of(spec, &end), spec.keep_fd, &has), "or one fd more"));
    held(test_ok(has, "under its number"));
    held(test_ok(fcntl(spec.keep_fd, F_GETFD) & FD_CLOEXEC, "it is closed on exec in the caller, as before"));
    close(spec.keep_fd);
}

static void test_callers_fds(void)
{
    const char *argv[] = {"/bin/ls", "/proc/self/fd", NULL};
    int fd = fcntl(STDERR_FILENO, F_DUPFD, 40);
    struct process_end end;
    bool has;

    listed_fds(output_of(spec_of(argv), &end), fd, &has);
    held(test_ok(has, "what is not closed on exec is inherited"));
    close(fd);
}

/* Has three files with the names a, b and c as 0, 1 and 2. */
static void take_named_stdio(int flags)
{
    static const char *const names[] = {"a", "b", "c"};

    for (int i = 0; i < 3; i++) {
        int fd = memfd_create(names[i], MFD_CLOEXEC);

        dup3(fd, i, flags);
        close(fd);
    }
}

/* The names of a program's stdio, as "abc". */
static void stdio_of(const int stdio[3], char names[4])
{
    const char *argv[] = {"/bin/sh", "-c",
                          "for i in 0 1 2; do n=$(readlink /proc/$$/fd/$i); all=\"$all ${n#/memfd:}\"; done\n"
                          "echo $all >&9",
                          NULL};
    const char *envp[] = {"PATH=/bin:/usr/bin", NULL};
    struct process_spec spec = spec_of(argv);
    struct process_end end;
    char text[256] = "";
    int ends[2];

    (void)!pipe2(ends, O_CLOEXEC);
    memcpy(spec.stdio, stdio, sizeof spec.stdio);
    spec.envp = (char *const *)envp;
    spec.keep_fd = dup3(ends[1], 9, O_CLOEXEC);
    close(ends[1]);
    if (!spawn_and_await(&spec, &end))
        test_ok(false, "a program begins");
    close(9);
    read_all(ends[0], text, sizeof text);
    memcpy(names, "???", 4);
    sscanf(text, "%c (deleted) %c (deleted) %c", &names[0], &names[1], &names[2]);
}

/* Every way to take 0, 1 and 2 from these three; and from none, which leaves them. */
static void expect_each_stdio(int flags, int from_least)
{
    int wrong = 0;

    take_named_stdio(flags);
    for (int i = 0; i < 64; i++) {
        int stdio[] = {i / 16 - 1, i / 4 % 4 - 1, i % 4 - 1};
        char expected[4] = "abc", names[4];

        if (stdio[0] < from_least || stdio[1] < from_least || stdio[2] < from_least)
            continue;
        for (int to = 0; to < 3; to++)
            expected[to] = (char)('a' + (stdio[to] < 0 ? to : stdio[to]));
        stdio_of(stdio, names);
        wrong += strcmp(expected, names) != 0;
    }
    all_held &= wrong == 0;
}

static void test_stdio_inherited(void)
{
    expect_each_stdio(0, -1);
}

static void test_stdio_closed_on_exec(void)
{
    expect_each_stdio(O_CLOEXEC, 0);
}

/* What is opened now lies at 0, 1 and 2, where the program's own shall be. */
static void test_closed_stdio(void)
{
    int stdio[3], kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    char names[4];

    for (int fd = 0; fd < 3; fd++)
        close(fd);
    stdio[0] = memfd_create("x", MFD_CLOEXEC);
    stdio[1] = memfd_create("y", MFD_CLOEXEC);
    stdio[2] = -1;
    stdio_of(stdio, names);
    dup2(kept, STDERR_FILENO);
    held(test_ok(memcmp(names, "xy", 2) == 0, "with its own files at 0 and 1"));
    close(STDERR_FILENO);
    stdio[0] = 1;
    stdio[1] = 0;
    stdio[2] = 1;
    stdio_of(stdio, names);
    dup2(kept, STDERR_FILENO);
    held(test_str("yxy", names, "and crossed over"));
}

/* Where pidfds lack, the program's end of the pipe must not lie there either. */
static void test_all_closed(void)
{
    const char *argv[] = {"/bin/sh", "-c",
                          "for fd in 0 1 2; do test -e /proc/$$/fd/$fd && exit 1; done; exit 5", NULL};
    struct process_spec spec = spec_of(argv);
    int kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    struct process_end end = {.code = -1};

    for (int fd = 0; fd < 3; fd++)
        close(fd);
    all_held &= spawn_and_await(&spec, &end);
    dup2(kept, STDERR_FILENO);
    held(test_int(5, end.code, "what the caller has closed is closed"));
}

/* ---- Signals ---- */

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
        test_child_exit(77);
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

/* ---- Preparing ---- */

static void bind_to(void *argument)
{
    sched_setaffinity(0, sizeof(cpu_set_t), argument);
}

static void test_prepare(void)
{
    const char *argv[] = {
        "/bin/sh", "-c",
        "while read a b; do test $a = Cpus_allowed_list: && echo $b; done </proc/self/status", NULL};
    struct process_spec spec = spec_of(argv);
    struct process_end end;
    char expected[32];
    cpu_set_t one;
    int last = 0;

    sched_getaffinity(0, sizeof one, &one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        last = CPU_ISSET(cpu, &one) ? cpu : last;
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    snprintf(expected, sizeof expected, "%d\n", last);
    spec.prepare = bind_to;
    spec.argument = &one;
    held(test_str(expected, output_of(spec, &end), "a child binds itself before its program begins"));
}

/* ---- Ends ---- */

static void test_killed_with_caller(void)
{
    const char *argv[] = {"/bin/sleep", "600", NULL};
    struct process_spec spec = spec_of(argv);
    struct process process;
    const char *what;
    int ends[2], status;
    pid_t middle, sleeper;
    char byte = '!';

    held(test_int(0, pipe2(ends, O_CLOEXEC), "a pipe is made"));
    spec.keep_fd = ends[1];
    middle = fork_surely();
    if (middle == 0) {
        if (process_spawn(&process, &spec, &what) == 0 && write(ends[1], &byte, 1) == 1)
            pause();
        test_child_exit(1);
    }
    close(ends[1]);
    held(test_int(1, read(ends[0], &byte, 1), "a child's program runs"));
    test_kill(middle, SIGKILL);
    held(test_int(0, read(ends[0], &byte, 1), "killing the child ends it"));
    close(ends[0]);
    waitpid(middle, &status, 0);
    sleeper = waitpid(-1, &status, 0);
    held(test_ok(sleeper > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "it was killed"));
}

static void test_many_in_turn(void)
{
    const char *good_argv[] = {"/bin/true", NULL}, *bad_argv[] = {"/no/such/program", NULL};
    struct process_spec good = spec_of(good_argv), bad = spec_of(bad_argv);
    int rounds = test_under_valgrind() ? 20 : 200, fds = test_fds(), right = 0;
    struct process_end end;

    for (int i = 0; i < rounds; i++) {
        right += spawn_and_await(&good, &end) && end.how == PROCESS_EXITED && end.code == 0;
        right += !spawn_and_await(&bad, &end);
    }
    held(test_int(2 * rounds, right, "%d programs are begun one after the other, and as many not", rounds));
    held(test_int(fds, test_fds(), "no fd is left open"));
    held(test_int(0, test_children(), "no child is left"));
}

static void test_many_at_once(void)
{
    const char *argv[] = {"/bin/cat", NULL};
    struct process_spec spec = spec_of(argv);
    struct process processes[20];
    struct process_end end;
    int ends[2], n = 0, early = 0, right = 0;
    const char *what;

    held(test_int(0, pipe2(ends, O_CLOEXEC), "a pipe is made"));
    spec.stdio[0] = ends[0];
    while (n < (int)COUNT_OF(processes) && process_spawn(&processes[n], &spec, &what) == 0)
        n++;
    close(ends[0]);
    for (int i = 0; i < n; i++) {
        struct pollfd polled = {.fd = processes[i].end_fd, .events = POLLIN};

        early += poll(&polled, 1, 0) != 0 || process_reap(&processes[i], &end) != PROCESS_RUNS;
    }
    close(ends[1]);
    for (int i = 0; i < n; i++) {
        await_end(&processes[i], &end);
        right += end.how == PROCESS_EXITED && end.code == 0;
    }
    held(test_int((int)COUNT_OF(processes), n, "many run at once"));
    held(test_int(0, early, "none seems to have ended"));
    held(test_int(n, right, "then all have"));
}

static void test_signalled(void)
{
    const char *argv[] = {"/bin/sleep", "600", NULL};
    struct process_spec spec = spec_of(argv);
    struct process process;
    struct process_end end;
    const char *what;

    if (process_spawn(&process, &spec, &what) != 0) {
        held(test_ok(false, "a program is begun"));
        return;
    }
    process_signal(&process, SIGTERM);
    await_end(&process, &end);
    held(test_ok(end.how == PROCESS_SIGNALLED && end.code == SIGTERM, "and ended by a signal"));
}

/* ---- Threads ---- */

static void hold_a_moment(void *argument)
{
    usleep(*(const useconds_t *)argument);
}

/* Forks too: such a child holds every fd that is open meanwhile, and nobody may wait for it. */
static void *start_in_thread(void *argument)
{
    const char *argv[] = {"/bin/true", NULL};
    struct process_spec spec = spec_of(argv);
    struct process_end end;
    useconds_t moment = 2000;
    int *right = argument;

    for (int i = 0; i < 10; i++) {
        struct process process;

        if (process_fork(&process, hold_a_moment, &moment) != 0)
            break;
        *right += spawn_and_await(&spec, &end) && end.code == 0;
        await_end(&process, &end);
    }
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[4];
    int right[4] = {0};

    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, start_in_thread, &right[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    held(test_int(40, right[0] + right[1] + right[2] + right[3], "threads start programs at once"));
}

/* ---- Kernels that lack something, or refuse it ---- */

/* From now on the kernel answers this call with this errno. Cannot be taken back: for children only. */
static bool refuse_syscall(int number, int code)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = COUNT_OF(rules), .filter = rules};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool refuse_fork(void)
{
    bool refused = refuse_syscall(SYS_clone, EAGAIN);

#ifdef SYS_clone3
    refused &= refuse_syscall(SYS_clone3, EAGAIN);
#endif
#ifdef SYS_fork
    refused &= refuse_syscall(SYS_fork, EAGAIN);
#endif
#ifdef SYS_vfork
    refused &= refuse_syscall(SYS_vfork, EAGAIN);
#endif
    return refused;
}

static void test_refused_fork(void)
{
    const char *argv[] = {"/bin/true", NULL};
    struct process_spec spec = spec_of(argv);

    if (!refuse_fork())
        test_child_exit(77);
    expect_failure(&spec, "fork", EAGAIN, "a fork that is refused");
}

static void test_everywhere(void)
{
    test_program();
    test_relative_path();
    test_same_folder();
    test_exec_failures();
    if (!dies_of_late_failures())
        test_too_long();
    test_other_failures();
    test_without_fds();
    test_inherited_fds();
    test_callers_fds();
    test_signals();
    test_prepare();
    test_killed_with_caller();
    test_many_in_turn();
    test_many_at_once();
    test_signalled();
}

static void test_without_pidfds(void)
{
    if (!test_under_valgrind() && !refuse_syscall(SYS_pidfd_open, ENOSYS))
        test_child_exit(77);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    test_everywhere();
    test_all_closed();
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

int main(void)
{
    int fds;

    test_begin(120);
    close_rest_on_exec();
    fds = test_fds();
    /* First, for whether there are pidfds is asked once. */
    test_in_child(test_without_pidfds, "without pidfds");
    test_everywhere();
    test_in_child(test_stdio_inherited, "stdio from stdio");
    test_in_child(test_stdio_closed_on_exec, "stdio that is closed on exec");
    test_in_child(test_closed_stdio, "closed stdio");
    test_in_child(test_all_closed, "no stdio at all");
    test_in_child(test_signal_rain, "signals while children are started");
    test_in_child(test_refused_fork, "without forks");
    test_threads();
    test_fork_apart();
    test_int(fds, test_fds(), "no fd is left open");
    return test_end();
}
