/*
 * A master that waits: it uses no processor while its workers are slow, and when it is killed none of them
 * outlives it, whatever it did: a map with workers of its own or of a pool, background calls, or nothing,
 * with a pool that sleeps. The Python original burns a core, and leaves all workers alive for ever.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sharedmem.h>

#include "tap.h"
#include "ways.h"

#define N_ITEMS 60
#define NAP_MS  500

/* ---- While it waits ---- */

static int nap(size_t i, void *result, void *context)
{
    (void)context;
    if (i == 0)
        usleep(NAP_MS * 1000);
    if (result != NULL)
        *(int *)result = 1;
    return 0;
}

static int do_nothing(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return 0;
}

static long cpu_ms(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* Three naps, and nothing else that takes time: who looks all the while uses as much. */
static void test_idle(const struct way *way)
{
    long before = cpu_ms(), used;
    bool good;

    /* How items are dealt is all the same here, and alone nobody waits. */
    if (way->schedule != SHAREDMEM_GUIDED || way->is_alone)
        return;
    good = MAP(way, N_ITEMS, nap, .np = 3) == 0;

    good &= MAP(way, N_ITEMS, nap, .np = 3, .result_size = sizeof(int), .reduce = do_nothing) == 0;
    good &=
        sharedmem_background_wait(sharedmem_background_start(nap, NULL, .backend = way->backend), NULL) == 0;
    used = cpu_ms() - before;
    if (test_under_valgrind())
        test_skip("valgrind uses more itself");
    else
        test_ok(good && used < 3 * NAP_MS / 2, "%s: the join uses no processor (%ld of %d ms)", way->name,
                used, 3 * NAP_MS);
}

/* ---- When it is killed ---- */

/* Its workers hold the other end of a pipe, which closes when the last has ended. */
static int ends[2];

static int hold_pipe(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    if (write(ends[1], "x", 1) == 1)
        for (;;)
            pause();
    return 0;
}

static void map_for_ever(void)
{
    sharedmem_map(3, hold_pipe, NULL, .np = 3, .schedule = SHAREDMEM_STATIC);
}

static void map_by_pool_for_ever(void)
{
    sharedmem_map(3, hold_pipe, NULL, .pool = sharedmem_pool_create(3, NULL), .schedule = SHAREDMEM_STATIC);
}

static void wait_for_ever(void)
{
    sharedmem_background *calls[3];

    for (int k = 0; k < 3; k++)
        calls[k] = sharedmem_background_start(hold_pipe, NULL);
    sharedmem_background_wait(calls[0], NULL);
}

/* Its workers have done a map, and sleep. */
static void keep_pool(void)
{
    sharedmem_pool *pool = sharedmem_pool_create(3, NULL);

    sharedmem_map(3, do_nothing, NULL, .pool = pool);
    if (write(ends[1], "xxx", 3) == 3)
        for (;;)
            pause();
}

/* Its workers have not come to sleep yet, or just do. */
static void make_pool(void)
{
    sharedmem_pool_create(3, NULL);
    if (write(ends[1], "xxx", 3) == 3)
        for (;;)
            pause();
}

static pid_t start_master(void (*act)(void))
{
    pid_t pid;

    if (pipe(ends) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        act();
        test_child_exit(0);
    }
    close(ends[1]);
    return pid;
}

static bool are_all_gone(int timeout_ms)
{
    struct pollfd polled = {.fd = ends[0], .events = POLLIN};
    char byte;

    return poll(&polled, 1, timeout_ms) == 1 && read(ends[0], &byte, 1) == 0;
}

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Returns how long the last of its workers lived on, in ms; negative: far too long. */
static double outlived(void (*act)(void))
{
    pid_t pid = start_master(act);
    double start;
    char byte;
    int got = 0;
    bool gone;

    while (got < 3 && read(ends[0], &byte, 1) == 1)
        got++;
    start = now_ms();
    test_kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    /* Much less than the minute that a parked worker may sleep for, and enough for any machine. */
    gone = are_all_gone(5000);
    start = gone && got == 3 ? now_ms() - start : -1;
    close(ends[0]);
    /* The harness made this process the one that orphans come to. */
    while (waitpid(-1, NULL, gone ? 0 : WNOHANG) > 0)
        ;
    return start;
}

static void test_killed(void (*act)(void), const char *doing)
{
    int rounds = test_under_valgrind() ? 3 : 20, right = 0;
    double worst = 0;

    for (int k = 0; k < rounds; k++) {
        double ms = outlived(act);

        right += ms >= 0;
        worst = ms > worst ? ms : worst;
    }
    test_int(rounds, right, "killed %s: none outlives it (the last was gone after %.1f ms)", doing, worst);
}

int main(void)
{
    test_begin(180);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    ways_test(test_idle, 3);
    test_killed(map_for_ever, "while it maps");
    test_killed(map_by_pool_for_ever, "while its pool maps");
    test_killed(wait_for_ever, "while it waits for background calls");
    test_killed(keep_pool, "with an idle pool");
    test_killed(make_pool, "with a new pool");
    return test_end();
}
