/*
 * Barriers of 2 to 32 ranks, beside those of pthread, OpenMP and MPI, and what two bare processes can do; and of
 * so many that others give up.
 */
#include <sharedmem.h>

#include <pthread.h>
#include <stdio.h>

#include "gang.h"
#include "job.h"

/* ---- Ours ---- */

static int body(size_t rank, void *result, void *context)
{
    struct gang *gang = context;

    (void)rank;
    (void)result;
    gate_enter(&gang->gate, gang->np);
    for (uint64_t i = 0; i < gang->ops; i++)
        sharedmem_barrier();
    gate_leave(&gang->gate);
    return 0;
}

static double ours(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    sharedmem_parallel(contender->np, body, gang);
    return gang_end(gang);
}

/* ---- Floors ---- */

/* Each member's flag is alone in its line; it says how many barriers the member has come to. */
struct flag {
    _Alignas(64) _Atomic uint64_t at;
};

static void flag_member(struct gang *gang, int rank)
{
    struct flag *flags = (struct flag *)gang->shared;

    for (uint64_t i = 1; i <= gang->ops; i++) {
        /* release, and acquire below: what each wrote before the barrier, all see after it. */
        atomic_store_explicit(&flags[rank].at, i, memory_order_release);
        for (int other = 0; other < gang->np; other++)
            while (atomic_load_explicit(&flags[other].at, memory_order_acquire) < i)
                spin_pause();
    }
}

static double flags(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang;

    /* One who spins with no core of its own waits for a whole time slice. */
    if (contender->np > gang_processors())
        return BENCH_ABSENT;
    gang = gang_create(contender, ops);
    gang_fork(gang, flag_member);
    return gang_end(gang);
}

/* The last to come opens the next round for all. */
static void counter_member(struct gang *gang, int rank)
{
    struct flag *arrived = (struct flag *)gang->shared, *round = arrived + 1;

    (void)rank;
    for (uint64_t i = 1; i <= gang->ops; i++) {
        unsigned steps = 0;

        if (atomic_fetch_add_explicit(&arrived->at, 1, memory_order_acq_rel) + 1 == i * (uint64_t)gang->np)
            atomic_store_explicit(&round->at, i, memory_order_release);
        while (atomic_load_explicit(&round->at, memory_order_acquire) < i)
            spin_step(&steps);
    }
}

static double counter(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    gang_fork(gang, counter_member);
    return gang_end(gang);
}

/* ---- Peers ---- */

static void pthread_member(struct gang *gang, int rank)
{
    (void)rank;
    for (uint64_t i = 0; i < gang->ops; i++)
        pthread_barrier_wait((pthread_barrier_t *)gang->shared);
}

static double peer_pthread(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    pthread_barrier_init((pthread_barrier_t *)gang->shared, NULL, (unsigned)contender->np);
    gang_thread(gang, pthread_member);
    return gang_end(gang);
}

/* Its ranks yield the processor where they have none of their own. */
static double openmpi(const struct bench_contender *contender, uint64_t ops)
{
    return job_ask(JOB_OPENMPI, contender->np, "barrier", ops);
}

static double mpich(const struct bench_contender *contender, uint64_t ops)
{
    return job_ask(JOB_MPICH, contender->np, "barrier", ops);
}

/* ---- The tables ---- */

static const struct bench_goal two_goals[] = {
    {1.3, "sharedmem_barrier", {"floor: a flag each, spin"}, 0},
    {0.6, "sharedmem_barrier", {"MPICH", "Open MPI"}, 0},
    {0, NULL, {NULL}, 0},
};

static const struct bench_goal four_goals[] = {
    {0.7, "sharedmem_barrier", {"pthread", "OpenMP", "OpenMP, passive", "Open MPI"}, 0},
    {0, NULL, {NULL}, 0},
};

static const struct bench_goal many_goals[] = {
    {0.9, "sharedmem_barrier", {"pthread", "OpenMP", "OpenMP, passive", "Open MPI"}, 0},
    {0, NULL, {NULL}, 0},
};

static const struct bench_goal *goals_of(int np)
{
    return np == 2 ? two_goals : np == 4 ? four_goals : many_goals;
}

static void compare(int np)
{
    /* MPICH spins whatever the machine has, and with more ranks than cores takes a thousand times as long. */
    const struct bench_contender contenders[] = {
        {.name = "sharedmem_barrier", .run = ours, .np = np},
        {.name = "floor: a flag each, spin", .run = flags, .np = np},
        {.name = "floor: a counter, spin then yield", .run = counter, .np = np},
        {.name = "pthread", .run = peer_pthread, .np = np},
        {.name = "OpenMP", .run = gang_openmp, .np = np, .question = "barrier"},
        {.name = "OpenMP, passive", .run = gang_openmp_passive, .np = np, .question = "barrier"},
        {.name = "Open MPI", .run = openmpi, .np = np},
        {.name = np <= gang_processors() ? "MPICH" : NULL, .run = mpich, .np = np},
        {.name = NULL},
    };
    char title[64];

    snprintf(title, sizeof title, "barrier of %d", np);
    bench_table(&(struct bench_table){title, "barrier", contenders, goals_of(np)});
}

/* At most 15 us a rank: no barrier may ever collapse. */
static void compare_large(int np)
{
    const struct bench_contender contenders[] = {
        {.name = "sharedmem_barrier", .run = ours, .np = np, .ops = 20},
        {.name = "floor: a counter, spin then yield", .run = counter, .np = np, .ops = 20},
        {.name = NULL},
    };
    const struct bench_goal goals[] = {
        {1, "sharedmem_barrier", {"floor: a counter, spin then yield"}, 15e3 * np},
        {0, NULL, {NULL}, 0},
    };
    char title[64];

    snprintf(title, sizeof title, "barrier of %d", np);
    bench_table(&(struct bench_table){title, "barrier", contenders, goals});
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    for (int np = 2; np <= 32; np *= 2)
        compare(np);
    compare_large(256);
    compare_large(1024);
    return bench_end();
}
