/*
 * What a map says when an item fails or a worker dies, each by its cause; and that nothing is left, and the
 * next is right.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sharedmem.h>

#include "next_map.h"
#include "tap.h"

#define BAD_ITEM 17

enum way { RETURN, FAIL, EXIT_3, EXIT_0, ABORT, SEGV, OVERFLOW, FPE, BUS, KILL, TERM, BAD_FREE, INNER_MAP };

static int bad_work(size_t i, void *result, void *context);

static void crash(void)
{
    /* Not NULL, which a sanitizer would see; and past its handler: what counts is how the process ends. */
    volatile int *volatile nowhere = (volatile int *)64;

    signal(SIGSEGV, SIG_DFL);
    *nowhere = 1;
    raise(SIGSEGV);
}

/* Uses up the stack. Not a tail call, and not a frame that a compiler may drop. */
static volatile bool goes_on = true;

static int overflow(volatile char *outer)
{
    volatile char frame[1000];

    frame[0] = outer[0];
    return goes_on ? overflow(frame) + frame[0] : 0;
}

/* By its own doing, where no sanitizer would tell of it first. */
static void fault(int signal_number)
{
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void go_wrong(enum way way)
{
    volatile char here = 0;
    int outside;

    switch (way) {
    case EXIT_3:
        exit(3);
    case EXIT_0:
        exit(0);
    case ABORT:
        signal(SIGABRT, SIG_DFL);
        abort();
    case SEGV:
        crash();
        break;
    case OVERFLOW:
        signal(SIGSEGV, SIG_DFL);
        overflow(&here);
        break;
    case FPE:
        fault(SIGFPE);
        break;
    case BUS:
        fault(SIGBUS);
        break;
    case KILL:
        kill(getpid(), SIGKILL);
        break;
    case TERM:
        kill(getpid(), SIGTERM);
        break;
    case BAD_FREE:
        sharedmem_free(&outside);
        break;
    case INNER_MAP:
        sharedmem_map(20, bad_work, &(enum way){RETURN}, .np = 2);
        break;
    default:
        break;
    }
}

static int bad_work(size_t i, void *result, void *context)
{
    enum way way = *(enum way *)context;

    (void)result;
    if (i != BAD_ITEM)
        return 0;
    if (way == FAIL)
        return sharedmem_fail(-7, "cannot open %s", "input.nml");
    go_wrong(way);
    return 5;
}

static const struct {
    const char *name;
    enum way way;
    int kind, code;
    const char *message; /* a part of it */
} rows[] = {
    {"returned", RETURN, SHAREDMEM_ERROR_RETURNED, 5, "item 17 failed with code 5"},
    {"sharedmem_fail", FAIL, SHAREDMEM_ERROR_RETURNED, -7, "code -7 in worker"},
    {"its message", FAIL, SHAREDMEM_ERROR_RETURNED, -7, ": cannot open input.nml"},
    {"exit(3)", EXIT_3, SHAREDMEM_ERROR_EXITED, 3, "called exit(3) while it did item 17"},
    {"exit(0)", EXIT_0, SHAREDMEM_ERROR_EXITED, 0, "called exit(0) while it did item 17"},
    {"abort()", ABORT, SHAREDMEM_ERROR_SIGNAL, SIGABRT, "while it did item 17"},
    {"a wild pointer", SEGV, SHAREDMEM_ERROR_SIGNAL, SIGSEGV, "while it did item 17"},
    {"a stack overflow", OVERFLOW, SHAREDMEM_ERROR_SIGNAL, SIGSEGV, "while it did item 17"},
    {"SIGFPE", FPE, SHAREDMEM_ERROR_SIGNAL, SIGFPE, "while it did item 17"},
    {"SIGBUS", BUS, SHAREDMEM_ERROR_SIGNAL, SIGBUS, "while it did item 17"},
    {"SIGKILL", KILL, SHAREDMEM_ERROR_SIGNAL, SIGKILL, "while it did item 17"},
    {"SIGTERM", TERM, SHAREDMEM_ERROR_SIGNAL, SIGTERM, "while it did item 17"},
    {"an uncaught error", BAD_FREE, SHAREDMEM_ERROR_USAGE, EINVAL, "not memory of the shared heap"},
    {"an uncaught map", INNER_MAP, SHAREDMEM_ERROR_RETURNED, 5, "item 17 failed with code 5"},
};

static void test_ways(void)
{
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        enum way way = rows[r].way;
        sharedmem_error error;
        int result = sharedmem_map(100, bad_work, &way, .np = 3, .error = &error);

        test_ok(result == -1 && errno == ECANCELED, "%s: the map fails", rows[r].name);
        test_int(rows[r].kind, error.kind, "its kind");
        test_int(rows[r].code, error.code, "its code");
        test_int(BAD_ITEM, (long long)error.item, "its item");
        test_has(rows[r].message, error.message, "its message");
        test_ok(error.rank >= 0 && error.rank < 3 && error.pid > 0 && error.pid != getpid(),
                "its rank and process");
        test_has("api-failure.c:", error.where, "its place");
        test_int(0, test_children(), "no process is left");
        test_ok(next_map_is_right(), "the next map is right and the heap whole");
    }
}

/* Its name is seen: -rdynamic, and nothing that hides it. */
__attribute__((visibility("default"))) int crash_by_name(size_t i, void *result, void *context);

int crash_by_name(size_t i, void *result, void *context)
{
    volatile int *volatile nowhere = (volatile int *)64;

    (void)result;
    (void)context;
    if (i == BAD_ITEM)
        *nowhere = 1;
    return 0;
}

static int overflow_by_name(size_t i, void *result, void *context)
{
    volatile char here = 0;

    (void)result;
    (void)context;
    return i == BAD_ITEM ? overflow(&here) : 0;
}

static __attribute__((noinline)) void crash_deep_inside(volatile int *line)
{
    volatile int *volatile nowhere = (volatile int *)64;

    *line = __LINE__ + 1;
    *nowhere = 1;
    *line = 0;
}

static int static_work(size_t i, void *result, void *context)
{
    (void)result;
    if (i == BAD_ITEM)
        crash_deep_inside(context);
    return 0;
}

/* Static functions are known from debug info only, and so are lines. */
static void test_lines(void)
{
    int *line = sharedmem_new(int, 1);
    sharedmem_error error;
    char text[64];

    sharedmem_map(30, static_work, line, .np = 2, .error = &error);
    if (strstr(error.traceback, " at ") == NULL) {
        test_has("  #0 ", error.traceback, "without debug info there are addresses");
    } else {
        test_has("  #0 crash_deep_inside at ", error.traceback, "a static function is known in a traceback");
        snprintf(text, sizeof text, "api-failure.c:%d (api-failure.t+0x", *line);
        test_has(text, error.traceback, "with file and line");
        test_has("  #1 static_work at ", error.traceback, "so is its caller");
    }
    sharedmem_free(line);
}

static void test_traceback(void)
{
    sharedmem_error error;

    if (test_address_sanitized() || test_thread_sanitized()) {
        test_skip("a sanitizer's own report comes instead of a traceback");
        return;
    }
    sharedmem_map(30, crash_by_name, NULL, .np = 2, .error = &error);
    test_has("#0 crash_by_name", error.traceback, "a crash has a traceback, with names");
    test_ok(strchr(error.traceback, '\n') != NULL && strchr(error.traceback, '\n')[1] != '\0',
            "of several lines");
    sharedmem_map(30, overflow_by_name, NULL, .np = 2, .error = &error);
    if (test_under_valgrind())
        test_skip("valgrind has a stack of its own");
    else
        test_has("a stack overflow", error.message, "a stack overflow is called one");
    sharedmem_map(30, bad_work, &(enum way){KILL}, .np = 2, .error = &error);
    test_str("", error.traceback, "who was killed has none");
    test_lines();
}

static void test_serial(void)
{
    sharedmem_error error;
    enum way way = FAIL;
    int result = sharedmem_map(100, bad_work, &way, .backend = SHAREDMEM_SERIAL, .error = &error);

    test_ok(result == -1 && errno == ECANCELED && error.item == BAD_ITEM && error.code == -7,
            "SERIAL says the same");
    test_has("cannot open input.nml", error.message, "with its message");
}

static int fail_to_reduce(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    return i == 30 ? sharedmem_fail(9, "too much") : 0;
}

static void test_reduce(void)
{
    sharedmem_error error;

    for (int backend = SHAREDMEM_PROCESSES; backend <= SHAREDMEM_SERIAL; backend++) {
        int result = sharedmem_map(100000, twice, NULL, .np = 3, .result_size = sizeof(size_t),
                                   .backend = backend, .reduce = fail_to_reduce, .error = &error);

        test_ok(result == -1 && errno == ECANCELED && error.kind == SHAREDMEM_ERROR_RETURNED, "reduce fails");
        test_ok(error.code == 9 && error.item == 30 && error.rank == -1, "its code, item, and no rank");
        test_has("reduce of item 30 failed with code 9: too much", error.message, "its message");
        test_int(0, test_children(), "no process is left");
    }
}

static int hang_or_die(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    if (i == 0)
        return 4;
    for (;;)
        pause();
}

static void test_others_hang(void)
{
    sharedmem_error error;
    int result = sharedmem_map(4, hang_or_die, NULL, .np = 4, .schedule = SHAREDMEM_STATIC, .error = &error);

    test_ok(result == -1 && error.item == 0 && error.code == 4, "one fails while others hang: the map ends");
    test_int(0, test_children(), "and they with it");
}

static void *collect_children(void *stop)
{
    while (!*(volatile bool *)stop) {
        if (waitpid(-1, NULL, WNOHANG) <= 0)
            usleep(100);
    }
    return NULL;
}

/*
 * A program that collects any child takes the map's statuses. What it does right is right; a death is still
 * one.
 */
static int do_nothing(size_t i, void *result, void *context)
{
    (void)i, (void)result, (void)context;
    return 0;
}

static int end_thread(size_t i, void *result, void *context)
{
    (void)i, (void)result, (void)context;
    pthread_exit(NULL);
}

static void *map_in_thread(void *unused)
{
    sharedmem_map(1000, do_nothing, NULL, .reduce = end_thread, .np = 3);
    return unused;
}

/* The end of a thread goes up through the map as an exception of C++ does, in a program that has none. */
static void test_thread_ends(void)
{
    pthread_t thread;

    test_int(0, pthread_create(&thread, NULL, map_in_thread, NULL), "a thread maps");
    pthread_join(thread, NULL);
    test_int(0, test_children(), "ended by its reduce, it leaves no process");
    test_int(0, sharedmem_map(1000, do_nothing, NULL, .np = 3), "the next map is right");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
}

static void test_statuses_taken(void)
{
    bool stop = false;
    enum way way = KILL;
    sharedmem_error error;
    pthread_t thread;
    int result;

    pthread_create(&thread, NULL, collect_children, &stop);
    test_ok(next_map_is_right(), "a program that waits for any child");
    result = sharedmem_map(100, bad_work, &way, .np = 3, .error = &error);
    test_ok(result == -1 && error.item == BAD_ITEM, "a death is an error there too");
    stop = true;
    pthread_join(thread, NULL);
    signal(SIGCHLD, SIG_IGN);
    result = sharedmem_map(100, bad_work, &way, .np = 3, .error = &error);
    test_ok(result == -1 && error.item == BAD_ITEM && error.kind == SHAREDMEM_ERROR_EXITED,
            "and where SIGCHLD is ignored");
    test_has("SIGCHLD", error.message, "which is said");
    signal(SIGCHLD, SIG_DFL);
}

/* The master is killed: its workers hold the other end of a pipe, which closes when the last has ended. */
static int hold_pipe(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    if (write(((int *)context)[1], "x", 1) == 1)
        for (;;)
            pause();
    return 0;
}

static void test_master_killed(void)
{
    int ends[2];
    char byte;
    pid_t pid;
    int got = 0;

    if (pipe(ends) != 0)
        return;
    pid = fork();
    if (pid == 0) {
        sharedmem_map(4, hold_pipe, ends, .np = 4, .schedule = SHAREDMEM_STATIC);
        test_child_exit(0);
    }
    close(ends[1]);
    while (got < 4 && read(ends[0], &byte, 1) == 1)
        got++;
    test_kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    test_int(4, got, "four workers hang");
    test_int(0, read(ends[0], &byte, 1), "none outlives its master");
    close(ends[0]);
    /* The harness made this process the one that orphans come to. */
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

int main(void)
{
    test_begin(120);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    test_ways();
    test_traceback();
    test_serial();
    test_reduce();
    test_others_hang();
    test_thread_ends();
    test_statuses_taken();
    test_master_killed();
    return test_end();
}
