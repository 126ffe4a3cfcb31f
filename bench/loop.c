/* What a loop over ranks costs: an item of one with chunk 1, and an item of loops that have one a rank. */
#include <sharedmem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gang.h"

#define MAX_ITEMS ((uint64_t)1 << 20)

/* Shared memory, for ours and the floors alike. */
static uint64_t *results;

/* ---- Ours ---- */

/* Loops in one parallel call, without a barrier between. */
struct plan {
    struct gang *gang;
    uint64_t n_loops;
    int schedule;
};

static int body(size_t rank, void *result, void *context)
{
    const struct plan *plan = context;
    const uint64_t each = plan->gang->ops / plan->n_loops;

    (void)rank;
    (void)result;
    gate_enter(&plan->gang->gate, plan->gang->np);
    for (uint64_t k = 0; k < plan->n_loops; k++) {
        SHAREDMEM_FOR(i, each, .schedule = plan->schedule, .chunk = plan->schedule == SHAREDMEM_DYNAMIC)
        {
            results[k * each + i] = i;
        }
    }
    gate_leave(&plan->gang->gate);
    return 0;
}

static double loops(const struct bench_contender *contender, uint64_t ops, uint64_t n_loops, int schedule)
{
    struct plan plan = {gang_create(contender, ops), n_loops, schedule};

    sharedmem_parallel(contender->np, body, &plan);
    return gang_end(plan.gang);
}

static double one_dynamic(const struct bench_contender *contender, uint64_t ops)
{
    return loops(contender, ops, 1, SHAREDMEM_DYNAMIC);
}

static double many_dynamic(const struct bench_contender *contender, uint64_t ops)
{
    return loops(contender, ops, ops / (uint64_t)contender->np, SHAREDMEM_DYNAMIC);
}

static double many_static(const struct bench_contender *contender, uint64_t ops)
{
    return loops(contender, ops, ops / (uint64_t)contender->np, SHAREDMEM_STATIC);
}

/* ---- The floor ---- */

static void counter_member(struct gang *gang, int rank)
{
    _Atomic uint64_t *next = (_Atomic uint64_t *)gang->shared;
    uint64_t i;

    (void)rank;
    while ((i = atomic_fetch_add_explicit(next, 1, memory_order_relaxed)) < gang->ops)
        results[i] = i;
}

static double shared_counter(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    gang_fork(gang, counter_member);
    return gang_end(gang);
}

/* ---- The tables ---- */

static void compare_items(int np)
{
    const uint64_t n = MAX_ITEMS;
    const struct bench_contender contenders[] = {
        {.name = "SHAREDMEM_FOR", .run = one_dynamic, .np = np, .ops = n},
        {.name = "floor: fetch_add and store", .run = shared_counter, .np = np, .ops = n},
        {.name = "OpenMP dynamic,1", .run = gang_openmp, .np = np, .ops = n, .question = "loop"},
        {.name = "OpenMP dynamic,1, passive",
         .run = gang_openmp_passive,
         .np = np,
         .ops = n,
         .question = "loop"},
        {.name = NULL},
    };
    static const struct bench_goal goals[] = {
        {2.0, "SHAREDMEM_FOR", {"OpenMP dynamic,1", "OpenMP dynamic,1, passive"}, 0},
        {0, NULL, {NULL}, 0},
    };
    char title[64];

    snprintf(title, sizeof title, "loop, %d ranks, chunk 1", np);
    bench_table(&(struct bench_table){title, "item", contenders, goals});
}

/* Per item; a loop has one a rank. */
static void compare_loops(const char *name, bench_function *ours, const char *question)
{
    const uint64_t n = MAX_ITEMS / 8;
    const struct bench_contender contenders[] = {
        {.name = "SHAREDMEM_FOR", .run = ours, .np = 2, .ops = n},
        {.name = "OpenMP nowait", .run = gang_openmp, .np = 2, .ops = n, .question = question},
        {.name = "OpenMP nowait, passive",
         .run = gang_openmp_passive,
         .np = 2,
         .ops = n,
         .question = question},
        {.name = NULL},
    };

    bench_table(&(struct bench_table){name, "item", contenders, NULL});
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
    compare_items(2);
    compare_items(8);
    compare_loops("loops of 2 items, 2 ranks, dynamic", many_dynamic, "loops");
    compare_loops("loops of 2 items, 2 ranks, static", many_static, "static-loops");
    return bench_end();
}
