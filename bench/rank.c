/*
 * rank: what the ranks of a job do in the benchmarks; bench/mpi.c is the same for MPI. By hand:
 *
 *     smrrun -n 4 bench/rank join                  joins and leaves
 *     smrrun -n 4 bench/rank barrier 100000        rank 0 prints the nanoseconds of one barrier
 *     smrrun -n 4 bench/rank all_double 100000     and of one sharedmem_all_double()
 *
 *     bench/rank floor FD RANKS                    one of RANKS that bench/launch starts without smrrun: they
 *                                                  meet twice, in the memory behind FD
 */
#include <sharedmem.h>

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "spin.h"

#define YIELDS   50
#define WARM_UPS 10

/* ---- A rank of smrrun ---- */

static int join(void)
{
    sharedmem_init();
    sharedmem_finalize();
    return EXIT_SUCCESS;
}

static double ns_each(double begin, unsigned long ops)
{
    return (sharedmem_wtime() - begin) * 1e9 / (double)ops;
}

/* The first ones, when some have just come and pages are new, are not counted. */
static double time_barrier(unsigned long ops)
{
    double begin = 0;

    for (unsigned long i = 0; i < ops + WARM_UPS; i++) {
        if (i == WARM_UPS)
            begin = sharedmem_wtime();
        sharedmem_barrier();
    }
    return ns_each(begin, ops);
}

/* Wrong sums are no speed. Small integers: they add up without rounding. */
static double time_all_double(unsigned long ops)
{
    const int rank = sharedmem_rank(), size = sharedmem_size();
    const double ranks = size * (size - 1) / 2.0;
    double begin = 0, sum;

    for (unsigned long i = 0; i < ops + WARM_UPS; i++) {
        if (i == WARM_UPS)
            begin = sharedmem_wtime();
        sum = sharedmem_all_double((double)i + rank, SHAREDMEM_SUM);
        if (sum != (double)i * size + ranks)
            return -1;
    }
    return ns_each(begin, ops);
}

static int answer(double ns)
{
    if (sharedmem_rank() == 0)
        printf("%.17g\n", ns);
    return ns > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- The floor ---- */

/* In the memory that the processes share; zero before. */
struct meeting {
    _Atomic uint32_t arrived;
    _Atomic uint32_t rounds;
};

static void futex(_Atomic uint32_t *word, int operation, uint32_t value)
{
    syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

/* Waits as the library does: some pauses, some yields, then asleep. */
static void meet(struct meeting *meeting, uint32_t np, uint32_t round)
{
    unsigned steps = 0;
    int yields = 0;

    /* acq_rel, acquire and release: what each wrote before, all see after. */
    if (atomic_fetch_add_explicit(&meeting->arrived, 1, memory_order_acq_rel) + 1 == round * np) {
        atomic_store_explicit(&meeting->rounds, round, memory_order_release);
        futex(&meeting->rounds, FUTEX_WAKE, INT32_MAX);
        return;
    }
    while (atomic_load_explicit(&meeting->rounds, memory_order_acquire) < round) {
        if (steps < SPIN_PAUSES || yields++ < YIELDS)
            spin_step(&steps);
        else
            futex(&meeting->rounds, FUTEX_WAIT, round - 1);
    }
}

static int floor_member(int fd, uint32_t np)
{
    struct meeting *meeting = mmap(NULL, sizeof *meeting, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (meeting == MAP_FAILED) {
        perror("mmap");
        return EXIT_FAILURE;
    }
    meet(meeting, np, 1);
    meet(meeting, np, 2);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const char *question = argc > 1 ? argv[1] : "";

    if (argc == 2 && strcmp(question, "join") == 0)
        return join();
    if (argc == 3 && strcmp(question, "barrier") == 0)
        return answer(time_barrier(strtoul(argv[2], NULL, 10)));
    if (argc == 3 && strcmp(question, "all_double") == 0)
        return answer(time_all_double(strtoul(argv[2], NULL, 10)));
    if (argc == 4 && strcmp(question, "floor") == 0)
        return floor_member(atoi(argv[2]), (uint32_t)strtoul(argv[3], NULL, 10));
    fprintf(stderr, "usage: rank join | barrier OPERATIONS | all_double OPERATIONS | floor FD RANKS\n");
    return 2;
}
