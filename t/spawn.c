/* Children that run another program: what they are given, how a failure is told, and how they end. */
#include "config.h"

#include "host/process.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spawn.h"
#include "tap.h"

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

static void test_refused_fork(void)
{
    const char *argv[] = {"/bin/true", NULL};
    struct process_spec spec = spec_of(argv);

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
    test_prepare();
    test_killed_with_caller();
    test_many_in_turn();
    test_many_at_once();
    test_signalled();
}

static void test_without_pidfds(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    test_everywhere();
}

int main(void)
{
    int fds = begin_spawning(120, test_without_pidfds);

    test_everywhere();
    test_refused(refuse_fork, test_refused_fork, "without forks");
    test_threads();
    return end_spawning(fds);
}
