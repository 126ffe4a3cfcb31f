/* What a map costs: an item with an 8-byte result, and the whole map. */
#include <sharedmem.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gang.h"

#define MAX_ITEMS ((uint64_t)4 << 20)

/* MAX_ITEMS of shared memory, for ours and the floors alike: pages cost more than the items in them. */
static uint64_t *results;

/* ---- An item ---- */

static int item(size_t i, void *result, void *context)
{
    (void)context;
    *(uint64_t *)result = i;
    return 0;
}

static double map_items(const struct bench_contender *contender, uint64_t ops, int schedule)
{
    struct gang *gang = gang_create(contender, ops);

    gate_open(&gang->gate);
    sharedmem_map(ops, item, NULL, .np = contender->np, .schedule = schedule, .chunk = 1, .results = results,
                  .result_size = sizeof *results);
    gate_leave(&gang->gate);
    return gang_end(gang);
}

static double map_dynamic(const struct bench_contender *contender, uint64_t ops)
{
    return map_items(contender, ops, SHAREDMEM_DYNAMIC);
}

static double map_guided(const struct bench_contender *contender, uint64_t ops)
{
    return map_items(contender, ops, SHAREDMEM_GUIDED);
}

static void counter_member(struct gang *gang, int rank)
{
    _Atomic uint64_t *next = (_Atomic uint64_t *)gang->shared;
    uint64_t i;

    (void)rank;
    while ((i = atomic_fetch_add_explicit(next, 1, memory_order_relaxed)) < gang->ops)
        results[i] = i;
}

static void block_member(struct gang *gang, int rank)
{
    const uint64_t each = gang->ops / (uint64_t)gang->np;

    for (uint64_t i = (uint64_t)rank * each; i < ((uint64_t)rank + 1) * each; i++)
        results[i] = i;
}

/* As a map: the start and the end of the members count. */
static double whole_gang(const struct bench_contender *contender, uint64_t ops, gang_function *member)
{
    struct gang *gang = gang_create(contender, ops);

    gate_open(&gang->gate);
    gang_fork(gang, member);
    gate_leave(&gang->gate);
    return gang_end(gang);
}

static double shared_counter(const struct bench_contender *contender, uint64_t ops)
{
    return whole_gang(contender, ops, counter_member);
}

static double blocks(const struct bench_contender *contender, uint64_t ops)
{
    return whole_gang(contender, ops, block_member);
}

static void compare_dynamic(void)
{
    const uint64_t n = MAX_ITEMS / 4;
    const struct bench_contender contenders[] = {
        {.name = "sharedmem_map", .run = map_dynamic, .np = 2, .ops = n},
        {.name = "floor: fetch_add and store", .run = shared_counter, .np = 2, .ops = n},
        {.name = "OpenMP dynamic,1", .run = gang_openmp, .np = 2, .ops = n, .question = "dynamic"},
        {.name = "OpenMP dynamic,1, passive",
         .run = gang_openmp_passive,
         .np = 2,
         .ops = n,
         .question = "dynamic"},
        {.name = NULL},
    };
    static const struct bench_goal goals[] = {
        {2.0, "sharedmem_map", {"floor: fetch_add and store"}, 30},
        {0, NULL, {NULL}, 0},
    };

    bench_table(&(struct bench_table){"map, 2 workers, chunk 1, 8-byte results", "item", contenders, goals});
}

static void compare_guided(void)
{
    const uint64_t n = MAX_ITEMS;
    const struct bench_contender contenders[] = {
        {.name = "sharedmem_map", .run = map_guided, .np = 2, .ops = n},
        {.name = "floor: a block each, store", .run = blocks, .np = 2, .ops = n},
        {.name = "OpenMP guided", .run = gang_openmp, .np = 2, .ops = n, .question = "guided"},
        {.name = "OpenMP guided, passive",
         .run = gang_openmp_passive,
         .np = 2,
         .ops = n,
         .question = "guided"},
        {.name = NULL},
    };

    bench_table(&(struct bench_table){"map, 2 workers, guided, 8-byte results", "item", contenders, NULL});
}

/* ---- A whole map ---- */

static int nothing(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return 0;
}

static double map_empty(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    gate_open(&gang->gate);
    for (uint64_t i = 0; i < ops; i++)
        sharedmem_map((size_t)contender->np, nothing, NULL, .np = contender->np);
    gate_leave(&gang->gate);
    return gang_end(gang);
}

static void fork_and_wait(struct gang *gang)
{
    for (int rank = 0; rank < gang->np; rank++) {
        pid_t pid = fork();

        gang_check(gang, pid >= 0);
        if (pid == 0)
            _exit(EXIT_SUCCESS);
    }
    for (int rank = 0; rank < gang->np; rank++)
        gang_check(gang, wait(NULL) > 0);
}

static double fork_exit_wait(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    gate_open(&gang->gate);
    for (uint64_t i = 0; i < ops; i++)
        fork_and_wait(gang);
    gate_leave(&gang->gate);
    return gang_end(gang);
}

static void *thread_main(void *argument)
{
    return argument;
}

static void create_and_join(struct gang *gang, int rank)
{
    pthread_t threads[64];

    gate_open(&gang->gate);
    for (uint64_t i = 0; i < gang->ops; i++) {
        for (rank = 0; rank < gang->np; rank++)
            if (pthread_create(&threads[rank], NULL, thread_main, NULL) != 0)
                _exit(EXIT_FAILURE);
        for (rank = 0; rank < gang->np; rank++)
            pthread_join(threads[rank], NULL);
    }
    gate_leave(&gang->gate);
}

static double threads_of_pthread(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    gang_apart(gang, create_and_join);
    return gang_end(gang);
}

static void compare_empty(int np)
{
    const struct bench_contender contenders[] = {
        {.name = "sharedmem_map", .run = map_empty, .np = np},
        {.name = "floor: fork, exit, wait", .run = fork_exit_wait, .np = np},
        {.name = "pthread create, join", .run = threads_of_pthread, .np = np},
        {.name = "OpenMP region, threads kept", .run = gang_openmp, .np = np, .question = "region"},
        {.name = "OpenMP region, passive", .run = gang_openmp_passive, .np = np, .question = "region"},
        {.name = NULL},
    };
    static const struct bench_goal goals[] = {
        {1.3, "sharedmem_map", {"floor: fork, exit, wait"}, 0},
        {0, NULL, {NULL}, 0},
    };
    char title[64];

    snprintf(title, sizeof title, "empty map, %d workers", np);
    bench_table(&(struct bench_table){title, "map", contenders, goals});
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    results = sharedmem_malloc(MAX_ITEMS * sizeof *results);
    if (results == NULL) {
        perror("sharedmem_malloc");
        return EXIT_FAILURE;
    }
    memset(results, 1, MAX_ITEMS * sizeof *results);
    compare_dynamic();
    compare_guided();
    compare_empty(2);
    compare_empty(8);
    return bench_end();
}
