/*
 * Pools: what becomes of one when a worker dies, or whoever made it; who may use it; and that an idle one costs
 * nothing.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sharedmem.h>

#include "pool.h"
#include "tap.h"

#define NP 3

static int give_pid(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    *(pid_t *)result = getpid();
    return 0;
}

static int get_pids(sharedmem_pool *pool, pid_t pids[NP])
{
    return sharedmem_map(NP, give_pid, NULL, .pool = pool, .np = NP, .schedule = SHAREDMEM_STATIC,
                         .results = pids, .result_size = sizeof *pids);
}

/* ---- Deaths ---- */

static int global = 1;

static int see_global(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    *(int *)result = global;
    return 0;
}

static int global_of(sharedmem_pool *pool)
{
    int seen[NP] = {0};

    sharedmem_map(NP, see_global, NULL, .pool = pool, .results = seen, .result_size = sizeof *seen,
                  .schedule = SHAREDMEM_STATIC);
    return seen[0] == seen[1] && seen[1] == seen[2] ? seen[0] : -1;
}

static int die_at_5(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    if (i == 5)
        raise(SIGKILL);
    return 0;
}

static void test_deaths(void)
{
    sharedmem_pool *pool = sharedmem_pool_create(NP, NULL);
    pid_t before[NP] = {0}, after[NP] = {0};
    sharedmem_error error;

    test_ok(get_pids(pool, before) == 0 && get_pids(pool, after) == 0 &&
                memcmp(before, after, sizeof before) == 0,
            "its workers stay");
    for (int k = 0; k < 10; k++) {
        global = 10 + k;
        test_ok(sharedmem_map(20, die_at_5, NULL, .pool = pool, .error = &error) == -1 &&
                    errno == ECANCELED && error.kind == SHAREDMEM_ERROR_SIGNAL && error.code == SIGKILL &&
                    error.item == 5,
                "a worker that dies fails the map");
        test_int(global, global_of(pool), "the next one's workers see memory as of then");
        get_pids(pool, before);
        test_kill(before[k % NP], SIGKILL);
        /* It is dead when it is a zombie. */
        waitid(P_PID, (id_t)before[k % NP], &(siginfo_t){0}, WEXITED | WNOWAIT);
        test_ok(map_is_right(pool, 0, 100), "one killed while idle harms no map");
    }
    global = 1;
    sharedmem_pool_destroy(pool);
    test_int(0, test_children(), "nobody is left");
}

/* ---- Who may use it ---- */

struct meeting {
    sharedmem_pool *pool;
    _Atomic int *stage; /* shared: 1: the first map is under way; 2: it may end; 3: it loses a worker */
};

static int wait_for_stage(size_t i, void *result, void *context)
{
    _Atomic int *stage = context;

    (void)i;
    (void)result;
    atomic_store(stage, 1);
    while (atomic_load(stage) == 1)
        usleep(500);
    if (atomic_load(stage) == 3)
        raise(SIGKILL);
    return 0;
}

static void *map_until_told(void *argument)
{
    struct meeting *meeting = argument;
    sharedmem_error error;

    return (void *)(intptr_t)sharedmem_map(1, wait_for_stage, (void *)meeting->stage, .pool = meeting->pool,
                                           .error = &error);
}

static void meet(int end, int result_of_first)
{
    struct meeting meeting = {.pool = sharedmem_pool_create(NP, NULL),
                              .stage = sharedmem_calloc(1, sizeof(int))};
    pthread_t thread;
    sharedmem_error error;
    void *result;

    pthread_create(&thread, NULL, map_until_told, &meeting);
    while (atomic_load(meeting.stage) != 1)
        usleep(500);
    test_ok(sharedmem_map(4, die_at_5, NULL, .pool = meeting.pool, .error = &error) == -1 && errno == EBUSY &&
                error.kind == SHAREDMEM_ERROR_USAGE,
            "two maps at once: EBUSY");
    atomic_store(meeting.stage, end);
    pthread_join(thread, &result);
    test_int(result_of_first, (intptr_t)result, "the first one is not disturbed");
    test_ok(map_is_right(meeting.pool, 0, 100), "one after the other works, in any thread");
    sharedmem_pool_destroy(meeting.pool);
    sharedmem_free((void *)meeting.stage);
}

/* As a daemon begins: all files are closed, and others opened under their numbers. */
static bool own_files_stay(sharedmem_pool *pool)
{
    int last = 3 + 2 * NP + 8, open_before, open_after;

    for (int fd = 3; fd < last; fd++)
        dup2(STDERR_FILENO, fd);
    open_before = test_fds();
    sharedmem_pool_destroy(pool);
    open_after = test_fds();
    return open_after == open_before;
}

static void test_forked_child(void)
{
    int status, fds = test_fds();
    sharedmem_pool *pool = sharedmem_pool_create(NP, NULL);
    sharedmem_error error;
    pid_t pid = fork();

    if (pid == 0) {
        bool good = sharedmem_map(4, die_at_5, NULL, .pool = pool, .error = &error) == -1 && errno == EPERM &&
                    error.kind == SHAREDMEM_ERROR_USAGE;

        sharedmem_pool_destroy(pool);
        test_child_exit(!good ? 1 : test_fds() > fds ? 2 : 0);
    }
    waitpid(pid, &status, 0);
    test_int(0, status, "a copy of the program may not use it: EPERM; and keeps no file of it");
    pid = fork();
    if (pid == 0)
        test_child_exit(own_files_stay(pool) ? 0 : 1);
    waitpid(pid, &status, 0);
    test_int(0, status, "nor does it lose one of its own there");
    test_ok(map_is_right(pool, 0, 100), "and takes nothing with it");
    sharedmem_pool_destroy(pool);
}

static void *create_pool(void *unused)
{
    (void)unused;
    return sharedmem_pool_create(NP, NULL);
}

static void test_creator_ends(void)
{
    pid_t before[NP] = {0}, after[NP] = {0};
    bool good = true;

    for (int k = 0; k < 10; k++) {
        pthread_t thread;
        void *pool;

        pthread_create(&thread, NULL, create_pool, NULL);
        pthread_join(thread, &pool);
        good &= map_is_right(pool, 0, 100) && get_pids(pool, before) == 0 && map_is_right(pool, 0, 100) &&
                get_pids(pool, after) == 0 && memcmp(before, after, sizeof before) == 0;
        sharedmem_pool_destroy(pool);
    }
    test_ok(good, "a pool outlives the thread that made it");
}

/* ---- The master is killed ---- */

static int say_and_wait(size_t i, void *result, void *context)
{
    const int *ends = context;

    (void)i;
    (void)result;
    for (bool said = write(ends[1], "x", 1) == 1; said;)
        pause();
    return 0;
}

static void be_master(int *ends, bool in_map)
{
    sharedmem_pool *pool = sharedmem_pool_create(NP, NULL);

    if (in_map)
        sharedmem_map(NP, say_and_wait, ends, .pool = pool, .context_size = 2 * sizeof *ends,
                      .schedule = SHAREDMEM_STATIC);
    map_is_right(pool, 0, 10);
    say_and_wait(0, NULL, ends);
}

/* Its workers hold the other end of a pipe, which closes when the last has ended. */
static void test_master_killed(bool in_map)
{
    int ends[2], got = 0, want = in_map ? NP : 1;
    char byte;
    struct timespec began, ended;
    pid_t pid;

    if (pipe(ends) != 0)
        return;
    pid = fork();
    if (pid == 0) {
        be_master(ends, in_map);
        test_child_exit(0);
    }
    close(ends[1]);
    while (got < want && read(ends[0], &byte, 1) == 1)
        got++;
    test_kill(pid, SIGKILL);
    clock_gettime(CLOCK_MONOTONIC, &began);
    test_int(0, read(ends[0], &byte, 1), "the master is killed %s: no worker outlives it",
             in_map ? "in a map" : "with an idle pool");
    clock_gettime(CLOCK_MONOTONIC, &ended);
    test_note("after %.1f ms",
              (double)(ended.tv_sec - began.tv_sec) * 1e3 + (double)(ended.tv_nsec - began.tv_nsec) / 1e6);
    close(ends[0]);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

/* ---- Cost ---- */

/* What a process has used: its context switches, and clock ticks. */
static long used_by(pid_t pid)
{
    char path[64], line[200];
    long used = 0, n;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1 ||
            sscanf(line, "nonvoluntary_ctxt_switches: %ld", &n) == 1)
            used += n;
    }
    if (file != NULL)
        fclose(file);
    return used;
}

/* They are asleep once their counts stand still; from then on nothing may wake them. */
static void test_idle(void)
{
    sharedmem_pool *pool = sharedmem_pool_create(NP, NULL);
    pid_t pids[NP] = {0};
    long before[NP], rose = 0;

    get_pids(pool, pids);
    for (int k = 0; k < NP; k++) {
        do {
            before[k] = used_by(pids[k]);
            usleep(100000);
        } while (used_by(pids[k]) != before[k]);
    }
    usleep(600000);
    for (int k = 0; k < NP; k++)
        rose += used_by(pids[k]) - before[k];
    test_int(0, rose, "idle workers sleep, and are never woken");
    sharedmem_pool_destroy(pool);
}

int main(void)
{
    test_begin(120);
    setenv("SHAREDMEM_HEAP", "128M", 1);
    /* Each before this process has shared memory of its own. */
    test_master_killed(false);
    test_master_killed(true);
    test_deaths();
    meet(2, 0);
    meet(3, -1);
    test_forked_child();
    test_creator_ends();
    test_idle();
    test_int(0, test_children(), "no process is left");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
    return test_end();
}
