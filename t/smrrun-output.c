/* What ranks print: whole lines, in order, to files, pipes and terminals that are slow, full or gone. */
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
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* ---- Files, ranks, and the loop of the owner ---- */

static int memory_file(void)
{
    return memfd_create("output", MFD_CLOEXEC);
}

static size_t size_of(int fd)
{
    struct stat status = {0};

    fstat(fd, &status);
    return (size_t)status.st_size;
}

/* All that a memory file has, with a 0 behind it; to be freed. */
static char *contents(int fd)
{
    size_t size = size_of(fd);
    char *text = calloc(1, size + 1);

    if (pread(fd, text, size, 0) != (ssize_t)size)
        abort();
    return text;
}

static bool test_contents(const char *expected, int fd, const char *name)
{
    char *text = contents(fd);
    bool held = test_str(expected, text, "%s", name);

    free(text);
    return held;
}

static void put(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, text, n);

        if (written < 0)
            _exit(99);
        text += written;
        n -= (size_t)written;
    }
}

static void say(int fd, const char *text)
{
    put(fd, text, strlen(text));
}

/* Forks rank, which runs body with its stdout and stderr and has no other end of a pipe. */
static pid_t start_rank(struct output *output, int rank, void (*body)(int rank, int out, int err))
{
    pid_t pid = fork();

    if (pid == 0) {
        int out = dup(output_stdout_fd(output, rank));
        int err = dup(output_stderr_fd(output, rank));

        output_close_reads(output);
        output_close_writes(output);
        body(rank, out, err);
        test_child_exit(0);
    }
    return pid;
}

/* Sleeps as the launcher does, until there is something to do, and does it. */
static enum output_state run_when_ready(struct output *output)
{
    struct pollfd polled = {.fd = output_poll_fd(output), .events = POLLIN};
    uint64_t timeout_ns = output_timeout_ns(output);

    poll(&polled, 1, timeout_ns == UINT64_MAX ? -1 : (int)(timeout_ns / 1000000) + 1);
    return output_run(output);
}

/* Runs until all ranks have ended. Returns whether all was well. */
static bool run_to_end(struct output *output)
{
    bool is_well = true;

    while (output_n_open(output) > 0)
        is_well &= run_when_ready(output) == OUTPUT_OPEN;
    return output_finish(output) == OUTPUT_OPEN && is_well;
}

static bool wait_for(int n_children)
{
    bool is_well = true;
    int status;

    while (n_children-- > 0)
        is_well &= wait(&status) > 0 && status == 0;
    return is_well;
}

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

/* ---- Between ranks ---- */

/* A rank that printed more than a turn takes does not keep another one from printing in that turn. */
static void test_fairness(void)
{
    static char flood[262144];
    int file = memory_file(), to[] = {file, file};
    struct output *output = output_create(2, to, false);
    char *text;

    if (fcntl(output_stdout_fd(output, 0), F_SETPIPE_SZ, sizeof flood) < (int)sizeof flood) {
        test_skip("pipes cannot be made larger");
    } else {
        memset(flood, '\n', sizeof flood);
        put(output_stdout_fd(output, 0), flood, sizeof flood);
        say(output_stdout_fd(output, 1), "a line\n");
        output_run(output);
        text = contents(file);
        test_ok(strstr(text, "a line\n") != NULL, "a flood does not keep a line back");
        test_ok(size_of(file) < sizeof flood, "it takes its turns");
        free(text);
        output_finish(output);
        test_int((long long)sizeof flood + 7, (long long)size_of(file), "and passes");
    }
    output_destroy(output);
    close(file);
}

static void print_for_ever(int rank, int out, int err)
{
    (void)rank;
    (void)err;
    for (;;)
        say(out, "a line\n");
}

/* What lives on after the ranks were ended, somewhere, cannot keep the launcher from ending. */
static void test_finish_ends(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), to[] = {null, null};
    struct output *output = output_create(1, to, false);
    pid_t child = start_rank(output, 0, print_for_ever);

    test_int(OUTPUT_OPEN, output_finish(output), "finishing ends though a rank goes on");
    test_kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    output_destroy(output);
    close(null);
}

/* The packets of a socket show the single writes. */
static void test_writes(void)
{
    static char line[10000], packet[262144];
    int ends[2], larger = 1 << 20, n_writes = 0, n_torn = 0, to[2];
    struct output *output;
    ssize_t n, taken = 0;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        abort();
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &larger, sizeof larger);
    to[0] = to[1] = ends[1];
    output = output_create(20, to, true);
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    for (int rank = 0; rank < 20; rank++)
        put(output_stdout_fd(output, rank), line, sizeof line);
    test_int(OUTPUT_OPEN, output_run(output), "lines of many ranks are taken in a turn");
    while ((n = recv(ends[0], packet, sizeof packet, MSG_DONTWAIT)) > 0) {
        taken += n;
        n_writes++;
        n_torn += packet[n - 1] != '\n';
    }
    test_int(20 * (long long)sizeof line + 10 * 4 + 10 * 5, taken, "all of them, with their labels");
    test_int(2, n_writes, "in few writes");
    test_int(0, n_torn, "of whole lines");
    output_destroy(output);
    close(ends[0]), close(ends[1]);
}

/* The process that starts ranks may keep the read ends: a pipe's end is seen all the same. */
static void test_two_processes(void)
{
    int file = memory_file(), to[] = {file, file}, wake[2];
    struct output *output = output_create(2, to, false);
    struct pollfd polled = {.fd = output_poll_fd(output), .events = POLLIN};
    char byte;
    pid_t keeper;

    if (pipe2(wake, O_CLOEXEC) != 0)
        abort();
    keeper = fork();
    if (keeper == 0) {
        close(wake[1]);
        say(output_stdout_fd(output, 1), "kept\n");
        output_close_writes(output);
        test_child_exit((int)read(wake[0], &byte, 1));
    }
    close(wake[0]);
    output_close_writes(output);
    output_close_writes(output);
    test_int(-1, output_stdout_fd(output, 0), "a closed end is none");
    test_ok(run_to_end(output), "ends are seen though another process has the pipes");
    test_contents("kept\n", file, "with all that was printed");
    test_int(0, poll(&polled, 1, 0), "and then there is nothing more to do");
    output_close_reads(output);
    test_int(-1, output_poll_fd(output), "nor to poll");
    output_destroy(output);
    close(wake[1]);
    test_ok(wait_for(1), "the other process ends");
    close(file);
}

/* ---- Many ranks that print all at once ---- */

#define LOAD_RANKS 8
#define LOAD_LINES 1500
#define LOAD_LONG  20000

/* Line number i of rank: mostly short, every 30th long. Returns its length with the newline. */
static int make_line(char *text, int rank, int i)
{
    int length = i % 30 == 29 ? LOAD_LONG : i % 2 ? 300 : 70;
    int head = sprintf(text, "%d %d ", rank, i);

    memset(text + head, 'a' + (rank + i) % 26, (size_t)(length - head));
    text[length - 1] = '\n';
    return length;
}

static void print_load(int rank, int out, int err)
{
    static char text[LOAD_LONG + 1];

    for (int i = 0; i < LOAD_LINES; i++) {
        int fd = i % 5 == 0 ? err : out;
        size_t length = (size_t)make_line(text, rank, i), first = i % 3 == 0 ? length / 3 : length;

        put(fd, text, first);
        if (first < length)
            sched_yield();
        put(fd, text + first, length - first);
    }
}

/* The number at *text, which is moved behind it and the character after. */
static int take_number(const char **text)
{
    char *end;
    long number = strtol(*text, &end, 10);

    *text = end + (*end != '\0');
    return (int)number;
}

/* Whether the line is as some rank printed it, and comes behind that rank's lines before next[rank]. */
static bool is_whole(const char *line, const char *end, bool label, int next[LOAD_RANKS])
{
    static char expected[LOAD_LONG + 1];
    char prefix[16];
    const char *begin = line + (label ? strcspn(line, " \n") + 1 : 0), *at = begin;
    int rank, i;

    rank = take_number(&at);
    i = take_number(&at);
    if (rank < 0 || rank >= LOAD_RANKS || i < next[rank] || i >= LOAD_LINES)
        return false;
    next[rank] = i + 1;
    snprintf(prefix, sizeof prefix, "[%d] ", rank);
    if (label && strncmp(line, prefix, strlen(prefix)) != 0)
        return false;
    return make_line(expected, rank, i) == end - begin && memcmp(begin, expected, (size_t)(end - begin)) == 0;
}

/* Counts the lines in text, and those that are whole. */
static int count_whole(const char *text, bool label, int *n_lines)
{
    int next[LOAD_RANKS] = {0}, n_whole = 0;

    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        ++*n_lines;
        n_whole += is_whole(text, end + 1, label, next);
    }
    return n_whole;
}

static void check_load(int out, int err, bool label, const char *name)
{
    int to[] = {out, err}, n_lines = 0, n_whole = 0;
    struct output *output = output_create(LOAD_RANKS, to, label);

    for (int rank = 0; rank < LOAD_RANKS; rank++)
        start_rank(output, rank, print_load);
    output_close_writes(output);
    test_ok(run_to_end(output), "%s: all is written", name);
    test_ok(wait_for(LOAD_RANKS), "%s: the ranks end well", name);
    for (int i = 0; i < (out == err ? 1 : 2); i++) {
        char *text = contents(to[i]);

        n_whole += count_whole(text, label, &n_lines);
        free(text);
    }
    test_int(LOAD_RANKS * LOAD_LINES, n_lines, "%s: lines", name);
    test_int(LOAD_RANKS * LOAD_LINES, n_whole, "%s: whole, and in each rank's order", name);
    output_destroy(output);
}

static void test_load(void)
{
    int file = memory_file(), labelled = memory_file(), out = memory_file(), err = memory_file();

    check_load(file, file, false, "one file");
    check_load(out, err, false, "two files");
    check_load(labelled, labelled, true, "labels");
    close(file), close(labelled), close(out), close(err);
}

/* ---- What a rank prints after it was told that another one's text was taken comes after that ---- */

#define ORDER_RANKS  4
#define ORDER_ROUNDS 200

static int ring[ORDER_RANKS][2];

static int make_turn(char *text, int round, int rank)
{
    int length = rank == round % ORDER_RANKS ? 9000 : 40;
    int head = sprintf(text, "round %d rank %d ", round, rank);

    memset(text + head, '.', (size_t)(length - head));
    text[length - 1] = '\n';
    return length;
}

static void wait_until_taken(int fd)
{
    int n = 1;

    while (ioctl(fd, FIONREAD, &n) == 0 && n > 0)
        sched_yield();
}

static void print_in_turn(int rank, int out, int err)
{
    char text[9001], token;

    (void)err;
    for (int round = 0; round < ORDER_ROUNDS; round++) {
        if (read(ring[rank][0], &token, 1) != 1)
            _exit(98);
        put(out, text, (size_t)make_turn(text, round, rank));
        wait_until_taken(out);
        put(ring[(rank + 1) % ORDER_RANKS][1], "", 1);
    }
}

static void test_order(void)
{
    int file = memory_file(), to[] = {file, file}, in_order = 0;
    struct output *output = output_create(ORDER_RANKS, to, false);
    char *text, *at, expected[9001];

    for (int rank = 0; rank < ORDER_RANKS; rank++) {
        if (pipe2(ring[rank], O_CLOEXEC) != 0)
            abort();
    }
    for (int rank = 0; rank < ORDER_RANKS; rank++)
        start_rank(output, rank, print_in_turn);
    output_close_writes(output);
    put(ring[0][1], "", 1);
    test_ok(run_to_end(output), "all is written");
    test_ok(wait_for(ORDER_RANKS), "ranks that take turns end well");
    at = text = contents(file);
    for (int i = 0; i < ORDER_ROUNDS * ORDER_RANKS; i++) {
        int length = make_turn(expected, i / ORDER_RANKS, i % ORDER_RANKS);

        if (strncmp(at, expected, (size_t)length) != 0)
            break;
        in_order++;
        at += length;
    }
    test_int(ORDER_ROUNDS * ORDER_RANKS, in_order, "all lines are in the order of the turns");
    free(text);
    for (int rank = 0; rank < ORDER_RANKS; rank++)
        close(ring[rank][0]), close(ring[rank][1]);
    output_destroy(output);
    close(file);
}

/* ---- A slow reader ---- */

#define SLOW_RANKS 4
#define SLOW_BYTES 1000000 /* of each rank */

static _Atomic long *n_printed; /* by all ranks, in bytes */

static void print_slow(int rank, int out, int err)
{
    char text[80];

    (void)rank;
    (void)err;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\n';
    for (int i = 0; i < SLOW_BYTES / (int)sizeof text; i++) {
        put(out, text, sizeof text);
        atomic_fetch_add(n_printed, (long)sizeof text);
    }
}

static void ignore_alarm(int signal)
{
    (void)signal;
}

/* The owner: its writes block, and a timer interrupts them. */
static void own_slow(int fd)
{
    struct sigaction action = {.sa_handler = ignore_alarm};
    struct itimerval every_ms = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    int to[] = {fd, fd};
    struct output *output = output_create(SLOW_RANKS, to, false);
    bool is_well;

    for (int rank = 0; rank < SLOW_RANKS; rank++)
        start_rank(output, rank, print_slow);
    output_close_writes(output);
    sigaction(SIGVTALRM, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every_ms, NULL);
    is_well = run_to_end(output);
    setitimer(ITIMER_REAL, &never, NULL);
    output_destroy(output);
    test_child_exit(!(wait_for(SLOW_RANKS) && is_well));
}

/* Until ranks do not get on any more, as long as nobody reads. */
static void wait_until_stuck(void)
{
    long before = -1;

    while (before != atomic_load(n_printed)) {
        struct timespec rest = {.tv_nsec = 100000000};

        before = atomic_load(n_printed);
        nanosleep(&rest, NULL);
    }
}

/* Pipes of 64 KiB for each rank and to the reader, and what the owner has. */
#define SLOW_BOUND ((SLOW_RANKS + 1) * 65536 + 400 * 1024)

static void check_slow(int flags, const char *name)
{
    static char text[8192];
    long taken = 0, most = 0;
    int ends[2];
    ssize_t n;

    if (pipe2(ends, O_CLOEXEC) != 0)
        abort();
    fcntl(ends[1], F_SETFL, O_WRONLY | flags);
    atomic_store(n_printed, 0);
    if (fork() == 0) {
        close(ends[0]);
        own_slow(ends[1]);
    }
    wait_until_stuck();
    test_int(flags, fcntl(ends[1], F_GETFL) & O_NONBLOCK, "%s: its flags are left alone", name);
    close(ends[1]);
    while ((n = read(ends[0], text, sizeof text)) > 0) {
        long ahead = atomic_load(n_printed) - taken;

        most = ahead > most ? ahead : most;
        taken += n;
    }
    test_int(SLOW_RANKS * (long)SLOW_BYTES, taken, "%s: everything comes", name);
    test_ok(most <= SLOW_BOUND, "%s: ranks wait for the reader (%ld bytes ahead)", name, most);
    test_ok(wait_for(1), "%s: owner and ranks end well", name);
    close(ends[0]);
}

static void test_slow_reader(void)
{
    n_printed = mmap(NULL, sizeof *n_printed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check_slow(0, "a slow reader");
    check_slow(O_NONBLOCK, "a slow reader, without blocking");
    munmap(n_printed, sizeof *n_printed);
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
    test_fairness();
    test_finish_ends();
    test_writes();
    test_two_processes();
    test_load();
    test_order();
    test_slow_reader();
    test_int(fds, test_fds(), "no file descriptor is left");
    return test_end();
}
