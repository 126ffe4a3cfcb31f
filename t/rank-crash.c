/*
 * Ranks that crash, for t/smrrun-crash.t: t/rank-crash HOW [WHO]. Made of the public header alone, as programs of
 * users are. WHO: all; else rank 2 alone, while the others wait for it in a barrier.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sharedmem.h>

#define WHO 2

/* Found in tracebacks by their names; what they do wrong is none of UBSan's business. */
#define NAMED __attribute__((noinline, no_sanitize("undefined")))

static int *volatile null_pointer;
static volatile int after, ends;

NAMED static void crash_here(void)
{
    *null_pointer = 1;
    after++;
}

NAMED static void crash_abort(void)
{
    abort();
}

NAMED static int recurse(int depth)
{
    volatile char frame[256];

    frame[depth & 255] = 1;
    if (ends)
        return 0;
    return recurse(depth + 1) + frame[depth & 255];
}

NAMED static void crash_overflow(void)
{
    after += recurse(0);
}

/* It joins the job as a thread of its own, and overflows its stack. */
static void *overflow_in_thread(void *unused)
{
    sharedmem_free(sharedmem_malloc(1));
    crash_overflow();
    return unused;
}

static void crash_thread(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, overflow_in_thread, NULL) == 0)
        pthread_join(thread, NULL);
}

/* Many threads join, and end before: what they were given for their crashes goes with them. */
static void *join_and_end(void *unused)
{
    sharedmem_free(sharedmem_malloc(1));
    return unused;
}

static void crash_after_threads(void)
{
    pthread_t thread;

    for (int i = 0; i < 20; i++) {
        if (pthread_create(&thread, NULL, join_and_end, NULL) == 0)
            pthread_join(thread, NULL);
    }
    crash_here();
}

static void handle(int signal)
{
    (void)signal;
    _exit(9);
}

/* Its own memory is broken, and the unwinder needs some. */
static void crash_in_malloc(void)
{
    char *block = malloc(100000);

    memset(block + 99980, 0xff, 4096);
    after += malloc(200000) != NULL;
    crash_here();
}

static char **arguments;

static void crash_after_exec(void)
{
    execl(arguments[0], arguments[0], "null", arguments[2], (char *)NULL);
}

/* A child of its own, whose end is none of the rank's. */
static void crash_child(void)
{
    fflush(stdout);
    if (fork() == 0) {
        crash_here();
        _exit(0);
    }
    pause();
}

static const struct {
    const char *name;
    void (*crash)(void);
} ways[] = {{"null", crash_here},         {"abort", crash_abort},
            {"overflow", crash_overflow}, {"thread-overflow", crash_thread},
            {"own", crash_here},          {"child", crash_child},
            {"exec", crash_after_exec},   {"threads", crash_after_threads},
            {"malloc", crash_in_malloc}};

int main(int argc, char **argv)
{
    bool all = argc > 2 && strcmp(argv[2], "all") == 0;

    arguments = argv;
    if (argc > 1 && strcmp(argv[1], "own") == 0)
        signal(SIGSEGV, handle);
    sharedmem_barrier();
    for (size_t i = 0; argc > 1 && (all || sharedmem_rank() == WHO) && i < sizeof ways / sizeof *ways; i++) {
        if (strcmp(argv[1], ways[i].name) == 0)
            ways[i].crash();
    }
    sharedmem_barrier();
    return 0;
}
