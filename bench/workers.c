/* What it costs to have workers: parked ones, threads, one in the background, and with much shared memory. */
#include <sharedmem.h>

#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gang.h"

static int nothing(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return 0;
}

static double map_empty(const struct bench_contender *contender, uint64_t ops,
                        const sharedmem_map_options *how)
{
    struct gang *gang = gang_create(contender, ops);

    gate_open(&gang->gate);
    for (uint64_t i = 0; i < ops; i++)
        gang_check(gang, sharedmem_map_with(how, sizeof *how) == 0);
    gate_leave(&gang->gate);
    return gang_end(gang);
}

/* ---- Parked workers ---- */

static double map_parked(const struct bench_contender *contender, uint64_t ops)
{
    sharedmem_pool *pool = sharedmem_pool_create(contender->np, NULL);
    const sharedmem_map_options how = {.n = (size_t)contender->np, .work = nothing, .pool = pool};
    double ns;

    sharedmem_map_with(&how, sizeof how);
    ns = map_empty(contender, ops, &how);
    sharedmem_pool_destroy(pool);
    return ns;
}

/* A line for each worker, and one for the master. */
struct futexes {
    struct {
        _Alignas(64) _Atomic uint32_t word;
    } workers[64];
    _Alignas(64) _Atomic uint32_t n_done;
    _Alignas(64) _Atomic uint32_t all_done;
};

static void sleep_while(_Atomic uint32_t *word, uint32_t seen)
{
    while (atomic_load_explicit(word, memory_order_acquire) == seen)
        syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void wake(_Atomic uint32_t *word)
{
    atomic_fetch_add_explicit(word, 1, memory_order_release);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void master(struct gang *gang, struct futexes *futexes, uint32_t n_workers)
{
    gate_enter(&gang->gate, gang->np);
    for (uint32_t i = 0; i < gang->ops; i++) {
        for (uint32_t worker = 0; worker < n_workers; worker++)
            wake(&futexes->workers[worker].word);
        sleep_while(&futexes->all_done, i);
    }
    gate_leave(&gang->gate);
}

/* Rank np - 1 is the master. */
static void futex_member(struct gang *gang, int rank)
{
    struct futexes *futexes = (struct futexes *)gang->shared;
    uint32_t n_workers = (uint32_t)gang->np - 1;

    if ((uint32_t)rank == n_workers) {
        master(gang, futexes, n_workers);
        return;
    }
    gate_enter(&gang->gate, gang->np);
    for (uint32_t i = 0; i < gang->ops; i++) {
        sleep_while(&futexes->workers[rank].word, i);
        if (atomic_fetch_add_explicit(&futexes->n_done, 1, memory_order_acq_rel) + 1 == (i + 1) * n_workers)
            wake(&futexes->all_done);
    }
}

static double wake_by_futex(const struct bench_contender *contender, uint64_t ops)
{
    struct bench_contender with_master = *contender;
    struct gang *gang;

    with_master.np++;
    gang = gang_create(&with_master, ops);
    gang_fork(gang, futex_member);
    return gang_end(gang);
}

static void compare_parked(int np)
{
    const struct bench_contender contenders[] = {
        {.name = "sharedmem_map, pool", .run = map_parked, .np = np},
        {.name = "floor: futexes, all asleep", .run = wake_by_futex, .np = np},
        {.name = "OpenMP region", .run = gang_openmp, .np = np, .question = "region"},
        {.name = "OpenMP region, passive", .run = gang_openmp_passive, .np = np, .question = "region"},
        {.name = NULL},
    };
    static const struct bench_goal goals[] = {
        {1.3, "sharedmem_map, pool", {"floor: futexes, all asleep"}, 0},
        {0, NULL, {NULL}, 0},
    };
    char title[64];

    snprintf(title, sizeof title, "empty map, %d parked workers", np);
    bench_table(&(struct bench_table){title, "map", contenders, goals});
}

/* ---- Threads ---- */

static double map_threads(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    gate_open(&gang->gate);
    sharedmem_map(ops, nothing, NULL, .np = contender->np, .backend = SHAREDMEM_THREADS,
                  .schedule = SHAREDMEM_DYNAMIC);
    gate_leave(&gang->gate);
    return gang_end(gang);
}

static void compare_threads(void)
{
    const uint64_t n = (uint64_t)1 << 20;
    const struct bench_contender contenders[] = {
        {.name = "sharedmem_map, THREADS", .run = map_threads, .np = 2, .ops = n},
        {.name = "OpenMP dynamic,1", .run = gang_openmp, .np = 2, .ops = n, .question = "dynamic"},
        {.name = "OpenMP dynamic,1, passive",
         .run = gang_openmp_passive,
         .np = 2,
         .ops = n,
         .question = "dynamic"},
        {.name = NULL},
    };
    static const struct bench_goal goals[] = {
        {2.0, "sharedmem_map, THREADS", {"OpenMP dynamic,1", "OpenMP dynamic,1, passive"}, 0},
        {0, NULL, {NULL}, 0},
    };

    bench_table(&(struct bench_table){"map, 2 threads, chunk 1, no results", "item", contenders, goals});
}

/* ---- In the background ---- */

static int answer(size_t i, void *result, void *context)
{
    (void)i;
    *(int *)result = *(const int *)context;
    return 0;
}

static double background(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);
    int want = 42, got;

    gate_open(&gang->gate);
    for (uint64_t i = 0; i < ops; i++) {
        got = 0;
        sharedmem_background_wait(
            sharedmem_background_start(answer, &want, .result = &got, .result_size = sizeof got), NULL);
        gang_check(gang, got == want);
    }
    gate_leave(&gang->gate);
    return gang_end(gang);
}

static void fork_once(struct gang *gang)
{
    int ends[2], got = 0, want = 42;
    pid_t pid;

    gang_check(gang, pipe(ends) == 0);
    pid = fork();
    gang_check(gang, pid >= 0);
    if (pid == 0)
        _exit(write(ends[1], &want, sizeof want) == sizeof want ? EXIT_SUCCESS : EXIT_FAILURE);
    gang_check(gang, read(ends[0], &got, sizeof got) == sizeof got && got == want);
    gang_check(gang, waitpid(pid, NULL, 0) == pid);
    close(ends[0]);
    close(ends[1]);
}

static double fork_pipe_wait(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    gate_open(&gang->gate);
    for (uint64_t i = 0; i < ops; i++)
        fork_once(gang);
    gate_leave(&gang->gate);
    return gang_end(gang);
}

static void compare_background(void)
{
    const struct bench_contender contenders[] = {
        {.name = "sharedmem_background", .run = background, .np = 1},
        {.name = "floor: fork, pipe, wait", .run = fork_pipe_wait, .np = 1},
        {.name = NULL},
    };
    static const struct bench_goal goals[] = {
        {1.4, "sharedmem_background", {"floor: fork, pipe, wait"}, 0},
        {0, NULL, {NULL}, 0},
    };

    bench_table(&(struct bench_table){"background, an int as its result", "call", contenders, goals});
}

/* ---- With much shared memory ---- */

#define MUCH ((size_t)4 << 30)

static double map_forked(const struct bench_contender *contender, uint64_t ops)
{
    const sharedmem_map_options how = {.n = 2, .work = nothing, .np = 2};

    return map_empty(contender, ops, &how);
}

/* The same, in a process whose arrays have all their pages; they are made once, and are the last table's. */
static double map_forked_beside_much(const struct bench_contender *contender, uint64_t ops)
{
    static void *much;

    if (much == NULL) {
        much = sharedmem_malloc(MUCH);
        if (much == NULL)
            return BENCH_ABSENT;
        memset(much, 1, MUCH);
    }
    return map_forked(contender, ops);
}

/* Not in turn, then: the memory cannot be there and not there. The first one's rounds are over before. */
static void compare_much(void)
{
    static const struct bench_contender before[] = {
        {.name = "sharedmem_map", .run = map_forked, .np = 2},
        {.name = "floor: fork, pipe, wait", .run = fork_pipe_wait, .np = 1},
        {.name = NULL},
    };
    static const struct bench_contender after[] = {
        {.name = "sharedmem_map", .run = map_forked_beside_much, .np = 2},
        {.name = "floor: fork, pipe, wait", .run = fork_pipe_wait, .np = 1},
        {.name = NULL},
    };

    bench_table(&(struct bench_table){"empty map of 2, without arrays", "map", before, NULL});
    bench_table(&(struct bench_table){"empty map of 2, beside 4 GiB in arrays", "map", after, NULL});
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    compare_parked(2);
    compare_parked(8);
    compare_threads();
    compare_background();
    compare_much();
    return bench_end();
}
