/* What ranks print: whole lines, to files, pipes and terminals that are full or gone. */
#include "smrrun/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "host/clock.h"
#include "smrrun-output.h"
#include "tap.h"

/* ---- Which streams share a pipe ---- */

static int open_terminal(int *master)
{
    struct termios mode;
    int fd;

    *master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*master < 0 || grantpt(*master) != 0 || unlockpt(*master) != 0)
        return -1;
    fd = open(ptsname(*master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && tcgetattr(fd, &mode) == 0) {
        cfmakeraw(&mode);
        tcsetattr(fd, TCSANOW, &mode);
    }
    return fd;
}

static void check_shared(bool is_shared, int out, int err, const char *name)
{
    int to[] = {out, err}, fds = test_fds();
    struct output *output = output_create(3, to, false);

    if (!test_ok(output != NULL, "%s: created", name))
        return;
    test_int(is_shared, output_stdout_fd(output, 2) == output_stderr_fd(output, 2), "%s: one pipe", name);
    test_ok(output_stdout_fd(output, 1) != output_stdout_fd(output, 2), "%s: each rank has its own", name);
    test_int(is_shared ? 3 : 6, output_n_open(output), "%s: pipes that are open", name);
    test_int(fds + (is_shared ? 7 : 13), test_fds(), "%s: fds", name);
    test_ok(!(fcntl(output_stdout_fd(output, 0), F_GETFL) & O_NONBLOCK), "%s: ranks may block", name);
    test_ok(fcntl(output_stdout_fd(output, 0), F_GETFD) & FD_CLOEXEC, "%s: closed on exec", name);
    output_destroy(output);
    test_int(fds, test_fds(), "%s: no fd is left", name);
}

static void test_same_file(void)
{
    int file = memory_file(), other = memory_file(), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int null_again = open("/dev/null", O_WRONLY | O_CLOEXEC), zero = open("/dev/zero", O_WRONLY | O_CLOEXEC);
    int ends[2], other_ends[2], master, terminal = open_terminal(&master);
    int duplicate = dup(file);

    if (pipe2(ends, O_CLOEXEC) != 0 || pipe2(other_ends, O_CLOEXEC) != 0)
        abort();
    check_shared(true, file, file, "one file");
    check_shared(true, file, duplicate, "a duplicate");
    check_shared(false, file, other, "two files");
    check_shared(true, ends[1], ends[1], "one pipe");
    check_shared(false, ends[1], other_ends[1], "two pipes");
    check_shared(true, null, null_again, "/dev/null twice");
    check_shared(false, null, zero, "two devices");
    check_shared(false, file, ends[1], "a file and a pipe");
    check_shared(false, file, -1, "a file and nothing");
    if (terminal >= 0) {
        check_shared(true, terminal, terminal, "one terminal");
        check_shared(false, terminal, file, "a terminal and a file");
        close(terminal);
        close(master);
    } else {
        test_skip("no terminal to be had here");
    }
    for (size_t i = 0; i < 2; i++) {
        close(ends[i]);
        close(other_ends[i]);
    }
    close(file), close(other), close(null), close(null_again), close(zero), close(duplicate);
}

/* ---- Nothing to open pipes with ---- */

static void test_no_fds(void)
{
    int file = memory_file(), other = memory_file(), to[] = {file, other}, fds = test_fds(), failures = 0;
    struct output *output = NULL;
    struct rlimit old, low;

    getrlimit(RLIMIT_NOFILE, &old);
    for (low = old, low.rlim_cur = 3; output == NULL && low.rlim_cur < 200; low.rlim_cur++) {
        setrlimit(RLIMIT_NOFILE, &low);
        output = output_create(4, to, false);
        setrlimit(RLIMIT_NOFILE, &old);
        if (output == NULL) {
            failures++;
            if (errno != EMFILE || test_fds() != fds)
                test_ok(false, "with %d fds: EMFILE, none is left", (int)low.rlim_cur);
        }
    }
    test_ok(output != NULL, "with fds enough it works");
    test_ok(failures >= 17, "without it failed with EMFILE");
    output_destroy(output);
    test_int(fds, test_fds(), "no fd is left");
    close(file);
    close(other);
}

static int fds_below_200(void)
{
    int n = 0;

    for (int fd = 0; fd < 200; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

/* The same, but that new files get the numbers of stdin, stdout and stderr first. */
static void create_without_stdio(void)
{
    int file = fcntl(memory_file(), F_DUPFD_CLOEXEC, 10), to[] = {file, file}, fds;
    struct output *output = NULL;
    struct rlimit old, low;

    close(0), close(1), close(2);
    fds = fds_below_200();
    getrlimit(RLIMIT_NOFILE, &old);
    for (low = old, low.rlim_cur = 4; output == NULL && low.rlim_cur < 200; low.rlim_cur++) {
        setrlimit(RLIMIT_NOFILE, &low);
        output = output_create(2, to, false);
        if (output == NULL && (errno != EMFILE || fds_below_200() != fds))
            test_child_exit(1);
    }
    if (output == NULL || fds_below_200() != fds + 5 || output_stdout_fd(output, 0) < 3 ||
        output_stdout_fd(output, 1) < 3 || output_poll_fd(output) < 3)
        test_child_exit(2);
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) != -1)
            test_child_exit(3);
    }
}

/* A user started the launcher like that. */
static void test_above_stdio(void)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        create_without_stdio();
        test_child_exit(0);
    }
    waitpid(child, &status, 0);
    test_int(0, status, "all is above stdin, stdout and stderr, or fails");
}

/* As many as there may be. */
static void test_many(void)
{
    int file = memory_file(), other = memory_file(), to[] = {file, other}, n = 4096, sum = 0;
    struct output *output;
    struct rlimit limit;
    char *text, *at;

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 17000 && limit.rlim_max > limit.rlim_cur) {
        limit.rlim_cur = limit.rlim_max < 17000 ? limit.rlim_max : 17000;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < 17000)
        n = (int)(limit.rlim_cur - 100) / 4;
    output = output_create(n, to, true);
    if (!test_ok(output != NULL, "an output for %d ranks", n))
        return;
    for (int rank = 0; rank < n; rank++) {
        say(output_stdout_fd(output, rank), "out\n");
        say(output_stderr_fd(output, rank), "err");
    }
    output_close_writes(output);
    test_ok(run_to_end(output), "all pipes come to their end");
    at = text = contents(other);
    for (; *at == '['; at += strlen("] err\n"))
        sum += (int)strtol(at + 1, &at, 10);
    test_int(n * (n - 1) / 2, sum, "each has printed");
    test_int((long long)size_of(other), (long long)size_of(file), "to stdout as to stderr");
    output_destroy(output);
    free(text);
    close(file);
    close(other);
}

/* ---- What is whole, and what is not ---- */

static void test_pieces(void)
{
    int file = memory_file(), to[] = {file, file};
    struct output *output = output_create(2, to, false);
    int first = output_stdout_fd(output, 0), second = output_stdout_fd(output, 1);

    test_ok(output_timeout_ns(output) == UINT64_MAX, "nothing to wait for");
    say(first, "a piece");
    say(second, "a line\n");
    test_int(OUTPUT_OPEN, output_run(output), "a turn is well");
    test_contents("a line\n", file, "a line passes, a piece waits");
    test_ok(output_timeout_ns(output) == UINT64_MAX, "for its end, however long");
    say(first, ", its rest\n");
    say(second, "another piece");
    output_run(output);
    test_contents("a line\na piece, its rest\n", file, "until it is whole");
    say(first, "unread");
    test_int(OUTPUT_OPEN, output_finish(output), "finishing is well");
    test_ok(size_of(file) == strlen("a line\na piece, its rest\nunreadanother piece"), "it passes on all");
    test_int(2, output_n_open(output), "the pipes are still open");
    output_close_writes(output);
    test_ok(run_to_end(output), "and come to their end");
    output_destroy(output);
    close(file);
}

static void test_bytes(void)
{
    static const char text[] = "nul\0 and \xff\xfe, \xc3\n\0\n\x1b[0m\xed\xa0\x80 rest\0";
    int file = memory_file(), to[] = {file, file};
    struct output *output = output_create(1, to, false);
    char *got;

    put(output_stdout_fd(output, 0), text, sizeof text);
    output_close_writes(output);
    run_to_end(output);
    got = contents(file);
    test_ok(size_of(file) == sizeof text && memcmp(got, text, sizeof text) == 0, "all bytes pass unchanged");
    free(got);
    output_destroy(output);
    close(file);
}

/* A "\r" waits for its "\n", but not for ever, whether or not on a terminal. */
static void test_progress(void)
{
    int file = memory_file(), to[] = {file, file};
    struct output *output = output_create(1, to, true);

    say(output_stdout_fd(output, 0), "10%\r");
    output_run(output);
    test_contents("", file, "a carriage return waits for a newline");
    test_ok(output_timeout_ns(output) <= OUTPUT_PIECE_NS, "for a time");
    while (size_of(file) == 0)
        run_when_ready(output);
    test_contents("[0] 10%\r", file, "then it ends the line");
    test_ok(output_timeout_ns(output) == UINT64_MAX, "and no more is waited for");
    say(output_stdout_fd(output, 0), "20%\r30%\r\n");
    output_run(output);
    test_contents("[0] 10%\r[0] 20%\r[0] 30%\r\n", file, "both are one end");
    say(output_stdout_fd(output, 0), "40%\r");
    output_run(output);
    output_close_writes(output);
    output_run(output);
    test_contents("[0] 10%\r[0] 20%\r[0] 30%\r\n[0] 40%\r", file, "the pipe's end is an end");
    test_ok(output_timeout_ns(output) == UINT64_MAX, "behind which nothing is waited for");
    test_int(0, output_n_open(output), "nor does it come twice");
    output_destroy(output);
    close(file);
}

/* ---- Terminals ---- */

static bool has_come(int master, const char *expected, const char *name)
{
    char text[256] = "";
    size_t length = 0;

    while (length < strlen(expected)) {
        ssize_t n = read(master, text + length, sizeof text - 1 - length);

        if (n <= 0)
            break;
        length += (size_t)n;
    }
    return test_str(expected, text, "%s", name);
}

static bool is_silent(int master)
{
    struct pollfd polled = {.fd = master, .events = POLLIN};

    return poll(&polled, 1, 0) == 0;
}

static void test_prompt(void)
{
    int master, terminal = open_terminal(&master), file = memory_file(), to[] = {terminal, file};
    struct output *output = output_create(2, to, false);
    uint64_t begin_ns = clock_monotonic_ns();

    say(output_stdout_fd(output, 0), "name? ");
    say(output_stderr_fd(output, 0), "name?");
    output_run(output);
    test_ok(is_silent(master), "a prompt is not shown at once");
    test_ok(output_timeout_ns(output) <= OUTPUT_PIECE_NS, "it is known when");
    while (output_timeout_ns(output) != UINT64_MAX)
        run_when_ready(output);
    test_ok(clock_monotonic_ns() - begin_ns >= OUTPUT_PIECE_NS, "nor before its time");
    has_come(master, "name? ", "but then");
    test_int(0, (long long)size_of(file), "in a file it waits");
    say(output_stdout_fd(output, 1), "a line\n");
    output_run(output);
    has_come(master, "a line\n", "lines of others follow it");
    say(output_stdout_fd(output, 0), "more\n");
    output_run(output);
    has_come(master, "more\n", "and its own rest");
    output_destroy(output);
    close(file), close(master), close(terminal);
}

/* A row of dots is seen to grow, though there is never a rest. */
static void test_dots(void)
{
    int master, terminal = open_terminal(&master), to[] = {terminal, terminal};
    struct output *output = output_create(1, to, false);
    uint64_t begin_ns = clock_monotonic_ns();

    while (is_silent(master) && clock_monotonic_ns() - begin_ns < 20 * (uint64_t)OUTPUT_GROWING_NS) {
        struct timespec rest = {.tv_nsec = 5000000};

        say(output_stdout_fd(output, 0), ".");
        output_run(output);
        nanosleep(&rest, NULL);
    }
    test_ok(!is_silent(master), "a piece that goes on growing is shown");
    output_destroy(output);
    close(master), close(terminal);
}

/* A prompt whose rest is in the pipe when its time has come: writing blocked, or the machine was busy. */
static void test_late_rest(void)
{
    int master, terminal = open_terminal(&master), to[] = {terminal, terminal};
    struct output *output = output_create(100, to, false);

    say(output_stdout_fd(output, 99), "a slow");
    output_run(output);
    is_silent(output_poll_fd(output)); /* now the system has forgotten that this pipe was the first */
    for (int i = 0; i < 99; i++)
        say(output_stdout_fd(output, i), "-");
    say(output_stdout_fd(output, 99), " line\n");
    while (output_timeout_ns(output) > 0)
        sched_yield();
    output_run(output);
    has_come(master, "a slow line\n", "a rest that came late is still in time");
    output_destroy(output);
    close(master), close(terminal);
}

/* ---- Readers that are gone, and disks that are full ---- */

static void check_failure(int out, enum output_state state, int code, const char *name)
{
    static char lines[60000];
    int file = memory_file(), to[] = {out, file}, taken = 0;
    struct output *output = output_create(1, to, false);

    memset(lines, '\n', sizeof lines);
    test_int(-1, output_failed_stream(output), "%s: no failure yet", name);
    test_int(0, output_errno(output), "%s: nor errno", name);
    say(output_stdout_fd(output, 0), "lost\n");
    say(output_stderr_fd(output, 0), "kept\n");
    test_int(state, output_run(output), "%s is told", name);
    test_int(0, output_failed_stream(output), "%s: which stream", name);
    test_int(code, output_errno(output), "%s: why", name);
    test_contents("kept\n", file, "the other stream goes on");
    for (int i = 0; i < 10; i++) {
        put(output_stdout_fd(output, 0), lines, sizeof lines); /* would hang if nobody read */
        taken += output_run(output) == OUTPUT_OPEN;
    }
    test_int(10, taken, "%s: told once, and what comes is dropped", name);
    say(output_stderr_fd(output, 0), "kept");
    test_int(OUTPUT_OPEN, output_finish(output), "%s: finishing is well", name);
    test_contents("kept\nkept", file, "the other stream goes on to the end");
    output_destroy(output);
    close(file);
}

static void test_failures(void)
{
    int ends[2], full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    int empty = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (pipe2(ends, O_CLOEXEC) != 0)
        abort();
    close(ends[0]);
    check_failure(ends[1], OUTPUT_CLOSED, EPIPE, "a closed pipe");
    check_failure(full, OUTPUT_BROKEN, ENOSPC, "a full disk");
    check_failure(empty, OUTPUT_BROKEN, EBADF, "a file that is open for reading");
    check_failure(-1, OUTPUT_BROKEN, EBADF, "a closed stdout");
    close(ends[1]), close(full), close(empty);
}

static void test_two_failures(void)
{
    int ends[2], full = open("/dev/full", O_WRONLY | O_CLOEXEC), to[2];
    struct output *output;

    if (pipe2(ends, O_CLOEXEC) != 0)
        abort();
    close(ends[0]);
    to[0] = full;
    to[1] = ends[1];
    output = output_create(1, to, false);
    say(output_stdout_fd(output, 0), "lost");
    say(output_stderr_fd(output, 0), "lost");
    test_int(OUTPUT_BROKEN, output_finish(output), "of two failures the first is told");
    test_int(0, output_failed_stream(output), "of stdout");
    test_int(OUTPUT_CLOSED, output_finish(output), "then the second");
    test_int(1, output_failed_stream(output), "of stderr");
    test_int(OUTPUT_OPEN, output_finish(output), "then no more");
    output_destroy(output);
    close(ends[1]), close(full);
}

int main(void)
{
    int fds, master, terminal;

    test_begin(60);
    signal(SIGPIPE, SIG_IGN);
    fds = test_fds();
    output_destroy(NULL);
    test_same_file();
    test_no_fds();
    test_above_stdio();
    test_many();
    test_pieces();
    test_bytes();
    test_progress();
    terminal = open_terminal(&master);
    if (terminal >= 0) {
        close(terminal), close(master);
        test_prompt();
        test_dots();
        test_late_rest();
    } else {
        test_skip("no terminal to be had here");
    }
    test_failures();
    test_two_failures();
    test_int(fds, test_fds(), "no file descriptor is left");
    return test_end();
}
