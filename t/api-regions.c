/*
 * Critical and ordered regions, in maps and in parallel calls: who is in when, leaving early, misuse, deaths
 * inside.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sharedmem.h>

#include "shared_block.h"
#include "tap.h"

struct shared {
    size_t counter; /* not atomic: lost additions show */
    size_t other;
    size_t n_log;
    size_t log[20000];
};

static struct shared *shared;

static void reset(void)
{
    memset(shared, 0, sizeof *shared);
}

/* ---- Critical ---- */

static int add_in_critical(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    SHAREDMEM_CRITICAL
    {
        shared->counter++;
    }
    SHAREDMEM_CRITICAL_NAMED("other")
    {
        shared->other++;
    }
    return 0;
}

static void test_critical_in_maps(void)
{
    static const int nps[] = {1, 2, 8, 32};
    size_t n = test_under_valgrind() ? 500 : 20000;

    for (size_t p = 0; p < sizeof nps / sizeof *nps; p++) {
        reset();
        test_int(0, sharedmem_map(n, add_in_critical, NULL, .np = nps[p], .schedule = SHAREDMEM_DYNAMIC),
                 "%d workers", nps[p]);
        test_ok(shared->counter == n && shared->other == n, "lose no addition");
    }
}

static void *map_in_thread(void *n)
{
    sharedmem_map(*(size_t *)n, add_in_critical, NULL, .np = 2);
    return NULL;
}

/* One lock for the program, not one a map. */
static void test_critical_over_maps(void)
{
    size_t n = test_under_valgrind() ? 100 : 5000;
    pthread_t threads[3];

    reset();
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, map_in_thread, &n);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    test_ok(shared->counter == 3 * n && shared->other == 3 * n, "maps from three threads exclude each other");
}

static int leave_early(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    for (int k = 0; k < 3; k++) {
        SHAREDMEM_CRITICAL
        {
            if (i % 4 == 0)
                break;
            if (i % 4 == 1)
                continue;
            if (i % 4 == 2)
                return 0;
            goto out;
        }
        /* break and continue led here, and the loop goes on. */
        SHAREDMEM_CRITICAL
        {
            shared->counter++;
        }
    }
out:
    return 0;
}

static void test_leaving(void)
{
    reset();
    test_int(0, sharedmem_map(400, leave_early, NULL, .np = 3),
             "break, continue, return and goto leave a region");
    test_int(600, (long long)shared->counter, "break and continue leave only it");
    SHAREDMEM_CRITICAL
    SHAREDMEM_CRITICAL_NAMED("inner")
    {
        shared->counter = 1;
    }
    test_int(1, (long long)shared->counter, "regions nest");
}

/* ---- Ordered ---- */

static int log_in_order(size_t i, void *result, void *context)
{
    size_t skip = *(size_t *)context;

    (void)result;
    if (skip != 0 && i % skip == 0)
        return 0;
    SHAREDMEM_ORDERED
    {
        shared->log[shared->n_log++] = i;
    }
    return 0;
}

static bool logged_in_order(size_t n, size_t skip)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        if (skip != 0 && i % skip == 0)
            continue;
        if (at >= shared->n_log || shared->log[at++] != i)
            return false;
    }
    return at == shared->n_log;
}

static void test_ordered(void)
{
    static const int nps[] = {1, 2, 3, 8, 32};
    size_t n = test_under_valgrind() ? 300 : 3000, step = test_under_valgrind() ? 3 : 1;

    for (size_t p = 0; p < sizeof nps / sizeof *nps; p += step) {
        bool good = true;

        for (int schedule = SHAREDMEM_GUIDED; schedule <= SHAREDMEM_STATIC; schedule++) {
            for (size_t skip = 0; skip < 5; skip += 2) {
                reset();
                good &= sharedmem_map(n, log_in_order, &skip, .np = nps[p], .schedule = schedule,
                                      .chunk = p) == 0;
                good &= logged_in_order(n, skip);
            }
        }
        test_ok(good, "%d workers: by item, also where items skip it", nps[p]);
    }
    reset();
    test_ok(sharedmem_map(100, log_in_order, &(size_t){3}, .backend = SHAREDMEM_SERIAL) == 0 &&
                logged_in_order(100, 3),
            "SERIAL too");
}

static int print_in_order(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    SHAREDMEM_ORDERED
    {
        printf("begin %zu\n", i);
        printf("end %zu\n", i);
    }
    return 0;
}

static bool printed_in_order(FILE *file, size_t n)
{
    size_t begin, end;

    rewind(file);
    for (size_t i = 0; i < n; i++) {
        if (fscanf(file, "begin %zu end %zu ", &begin, &end) != 2 || begin != i || end != i)
            return false;
    }
    return true;
}

/* stdout is a file, and so has a buffer. */
static void test_ordered_output(void)
{
    FILE *file = tmpfile();
    pid_t pid = fork();

    if (pid == 0) {
        dup2(fileno(file), STDOUT_FILENO);
        setvbuf(stdout, NULL, _IOFBF, 65536);
        sharedmem_map(200, print_in_order, NULL, .np = 4, .schedule = SHAREDMEM_DYNAMIC);
        test_child_exit(0);
    }
    waitpid(pid, NULL, 0);
    test_ok(printed_in_order(file, 200), "what is printed in it comes out in order and in one piece");
    fclose(file);
}

static int take_turns(size_t rank, void *result, void *context)
{
    (void)result;
    for (size_t round = 0; round < *(size_t *)context; round++) {
        SHAREDMEM_ORDERED
        {
            shared->log[shared->n_log++] = rank;
        }
    }
    return 0;
}

static void test_ordered_ranks(void)
{
    size_t rounds = 50;
    bool good = true;

    reset();
    test_int(0, sharedmem_parallel(4, take_turns, &rounds), "in a parallel call");
    for (size_t i = 0; i < 4 * rounds; i++)
        good &= shared->log[i] == i % 4;
    test_ok(good && shared->n_log == 4 * rounds, "ranks take turns");
}

static int take_fewer_turns(size_t rank, void *result, void *context)
{
    size_t rounds = rank == 1 ? 2 : 5;

    (void)context;
    return take_turns(rank, result, &rounds);
}

static void test_ordered_ended_rank(void)
{
    reset();
    test_int(0, sharedmem_parallel(3, take_fewer_turns, NULL), "a rank that has ended");
    test_int(12, (long long)shared->n_log, "is skipped");
}

/* ---- Misuse ---- */

static int enter_critical_twice(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    SHAREDMEM_CRITICAL
    SHAREDMEM_CRITICAL
    {
        shared->counter++;
    }
    return 0;
}

static int enter_ordered_twice(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    SHAREDMEM_ORDERED
    {
    }
    SHAREDMEM_ORDERED
    {
        shared->counter++;
    }
    return 0;
}

static int meet_in_map(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return sharedmem_barrier();
}

static int end_nothing(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    sharedmem_critical_end("never begun");
    return 0;
}

static int make_up_names(size_t i, void *result, void *context)
{
    char name[32];

    (void)i;
    (void)result;
    (void)context;
    for (int k = 0; k < 300; k++) {
        snprintf(name, sizeof name, "made up %d", k);
        SHAREDMEM_CRITICAL_NAMED(name)
        {
        }
    }
    return 0;
}

static int use_long_name(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    SHAREDMEM_CRITICAL_NAMED("a name that goes on and on and on and on for much too long")
    {
    }
    return 0;
}

static int begin_without_end(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return sharedmem_ordered_begin(SHAREDMEM_HERE);
}

static void test_misuse(void)
{
    static const struct {
        sharedmem_function *work;
        int code;
        const char *message;
    } rows[] = {
        {enter_critical_twice, EDEADLK, "it would wait for itself"},
        {enter_ordered_twice, EPERM, "put both blocks into one"},
        {meet_in_map, EPERM, "sharedmem_parallel()"},
        {begin_without_end, EPERM, "did not end it"},
        {end_nothing, EPERM, "its end without its begin"},
        {use_long_name, ENAMETOOLONG, "47 bytes"},
        {make_up_names, ENOSPC, "255 names"},
    };

    reset();
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        sharedmem_error error;
        int result = sharedmem_map(20, rows[r].work, NULL, .np = 2, .error = &error);

        test_ok(result == -1 && error.kind == SHAREDMEM_ERROR_USAGE, "misuse fails the item: %s",
                error.message);
        test_int(rows[r].code, error.code, "its code");
        test_has(rows[r].message, error.message, "its message");
        test_has("api-regions.c:", error.where, "its place");
    }
    test_int(0, (long long)shared->counter, "and the block is not run");
    /* As in test_uncaught_within() of t/api-within.c. */
    test_reap_orphans();
}

/* ---- Failure inside ---- */

enum way { FAIL, EXIT, KILL };

static int go_wrong(enum way way)
{
    if (way == EXIT)
        _exit(4);
    if (way == KILL)
        kill(getpid(), SIGKILL);
    return sharedmem_fail(8, "inside");
}

static int die_in_critical(size_t i, void *result, void *context)
{
    (void)result;
    SHAREDMEM_CRITICAL
    {
        shared->counter++;
        if (i == 30)
            return go_wrong(*(enum way *)context);
    }
    return 0;
}

static int die_in_ordered(size_t i, void *result, void *context)
{
    (void)result;
    SHAREDMEM_ORDERED
    {
        shared->counter++;
        if (i == 30)
            return go_wrong(*(enum way *)context);
    }
    return 0;
}

static bool regions_are_free(void)
{
    size_t skip = 0;

    reset();
    return sharedmem_map(200, add_in_critical, NULL, .np = 4) == 0 && shared->counter == 200 &&
           sharedmem_map(200, log_in_order, &skip, .np = 4) == 0 && logged_in_order(200, 0);
}

static void test_failure_inside(void)
{
    static const int kinds[] = {SHAREDMEM_ERROR_RETURNED, SHAREDMEM_ERROR_EXITED, SHAREDMEM_ERROR_SIGNAL};
    sharedmem_function *works[] = {die_in_critical, die_in_ordered};

    for (enum way way = FAIL; way <= KILL; way++) {
        for (int k = 0; k < 2; k++) {
            sharedmem_error error;
            int result =
                sharedmem_map(100, works[k], &way, .np = 4, .schedule = SHAREDMEM_DYNAMIC, .error = &error);

            test_ok(result == -1 && error.kind == kinds[way] && error.item == 30, "%s: %s",
                    k == 0 ? "in critical" : "in ordered", error.message);
            test_ok(regions_are_free(), "both are free afterwards");
        }
    }
    test_int(0, test_children(), "no process is left");
}

static int fork_inside(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    SHAREDMEM_CRITICAL
    {
        if (i == 5 && fork() == 0)
            return 1;
        shared->counter++;
    }
    SHAREDMEM_ORDERED
    {
        if (i == 7 && fork() == 0)
            return 1;
        shared->other++;
    }
    return 0;
}

/* The region is the worker's: its copy neither ends it nor fails the item. */
static void test_copy_inside(void)
{
    reset();
    test_int(0, sharedmem_map(50, fork_inside, NULL, .np = 3), "a copy of a worker forked inside a region");
    test_ok(shared->counter == 50 && shared->other == 50, "ends without harm");
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

static void test_alone(void)
{
    bool entered = false;

    SHAREDMEM_ORDERED
    {
        entered = true;
    }
    test_ok(entered, "outside of all ordered is entered at once");
    test_int(0, sharedmem_barrier(), "and a barrier is passed");
}

int main(void)
{
    test_begin(180);
    shared = shared_block("64M", sizeof *shared);
    test_alone();
    test_critical_in_maps();
    test_critical_over_maps();
    test_leaving();
    test_ordered();
    test_ordered_output();
    test_ordered_ranks();
    test_ordered_ended_rank();
    test_misuse();
    test_failure_inside();
    test_copy_inside();
    return test_end();
}
