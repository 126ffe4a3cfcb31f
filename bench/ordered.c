/* The ordered region of a map, empty and after 10 us of work, beside OpenMP's and a turn that is spun for. */
#include <sharedmem.h>

#include <stdio.h>

#include "gang.h"

/* What lies in gang->shared. */
struct turn {
    _Alignas(64) _Atomic uint64_t next; /* the floor's */
    _Alignas(64) uint64_t sum;          /* items that came in order */
};

static struct turn *turn_of(struct gang *gang)
{
    return (struct turn *)gang->shared;
}

static double end(struct gang *gang)
{
    gang_check(gang, turn_of(gang)->sum == gang->ops);
    return gang_end(gang);
}

/* ---- Ours ---- */

/* The first np items wait for each other: else one worker would be through before the others are born. */
static int item(size_t i, void *result, void *context)
{
    struct gang *gang = context;
    struct turn *turn = turn_of(gang);

    (void)result;
    if (i < (size_t)gang->np)
        gate_enter(&gang->gate, gang->np);
    spin_work(gang->work);
    SHAREDMEM_ORDERED
    {
        turn->sum += turn->sum == i;
    }
    if (i == gang->ops - 1)
        gate_leave(&gang->gate);
    return 0;
}

static double ours(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    sharedmem_map(ops, item, gang, .np = contender->np, .schedule = SHAREDMEM_DYNAMIC, .chunk = 1);
    return end(gang);
}

/* ---- Floors ---- */

static void turn_member(struct gang *gang, int rank)
{
    struct turn *turn = turn_of(gang);

    for (uint64_t i = (uint64_t)rank; i < gang->ops; i += (uint64_t)gang->np) {
        unsigned steps = 0;

        spin_work(gang->work);
        /* acquire: pairs with the release of the one before. */
        while (atomic_load_explicit(&turn->next, memory_order_acquire) != i)
            spin_step(&steps);
        turn->sum += turn->sum == i;
        atomic_store_explicit(&turn->next, i + 1, memory_order_release);
    }
}

static double spun_turn(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    gang_fork(gang, turn_member);
    return end(gang);
}

/* The ideal: the work alone, in no order. */
static void work_member(struct gang *gang, int rank)
{
    for (uint64_t i = (uint64_t)rank; i < gang->ops; i += (uint64_t)gang->np)
        spin_work(gang->work);
}

static double work_alone(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    gang_fork(gang, work_member);
    return gang_end(gang);
}

/* ---- The tables ---- */

/* The goals are for 8 workers, more than processors on a small machine. */
static const struct bench_goal empty_goals[] = {
    {1.3, "SHAREDMEM_ORDERED", {"floor: turn, spin then yield"}, 0},
    {0, NULL, {NULL}, 0},
};

static const struct bench_goal work_goals[] = {
    {2.0, "SHAREDMEM_ORDERED", {"ideal: the work alone"}, 0},
    {0, NULL, {NULL}, 0},
};

static void compare(int np, uint64_t work)
{
    const struct bench_contender contenders[] = {
        {.name = "SHAREDMEM_ORDERED", .run = ours, .np = np, .work = work},
        {.name = "floor: turn, spin then yield", .run = spun_turn, .np = np, .work = work},
        {.name = "OpenMP", .run = gang_openmp, .np = np, .work = work, .question = "ordered"},
        {.name = "OpenMP, passive",
         .run = gang_openmp_passive,
         .np = np,
         .work = work,
         .question = "ordered"},
        {.name = work > 0 ? "ideal: the work alone" : NULL, .run = work_alone, .np = np, .work = work},
        {.name = NULL},
    };
    const struct bench_goal *goals = work > 0 ? work_goals : empty_goals;
    char title[64];

    snprintf(title, sizeof title, "ordered region, %d workers, %s", np,
             work > 0 ? "10 us of work an item" : "empty");
    bench_table(&(struct bench_table){title, "item", contenders, np == 8 ? goals : NULL});
}

int main(int argc, char **argv)
{
    uint64_t work;

    bench_begin(argc, argv);
    work = bench_work_loops(10000);
    compare(2, 0);
    compare(8, 0);
    compare(2, work);
    compare(8, work);
    return bench_end();
}
