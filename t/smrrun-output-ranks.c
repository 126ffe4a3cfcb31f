/* What ranks print beside each other: fair, in order, whole, and to a reader that is slow. */
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
    int fds;

    test_begin(60);
    signal(SIGPIPE, SIG_IGN);
    fds = test_fds();
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
