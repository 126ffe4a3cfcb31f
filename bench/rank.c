/*
 * rank: what the ranks of a job do in the benchmarks; bench/mpi.c is the same for MPI. By hand:
 *
 *     smrrun -n 4 bench/rank join                  joins and leaves
 *     smrrun -n 4 bench/rank barrier 100000        rank 0 prints the nanoseconds of one barrier
 *     smrrun -n 4 bench/rank all_double 100000     and of one sharedmem_all_double()
 *     smrrun -n 2 bench/rank send_8 100000         of one message of 8 bytes between ranks 0 and 1, one way
 *     smrrun -n 2 bench/rank send_1M 1000          of 1 MiB; send_1M_shared: that lie in the segment
 *     smrrun -n 8 bench/rank ring 100000           of one sharedmem_sendrecv() of 8 bytes, from each rank to the
 *                                                  next one
 *
 *     smrrun -n 4 bench/rank allgather:8 1000      of one sharedmem_allgather() of 8 bytes a rank; or of
 *     smrrun -n 4 bench/rank bcast:4096:shared 10  gather, scatter, alltoall, bcast; of shared memory
 *     smrrun -n 4 bench/rank allreduce:1000 100    of one sharedmem_allreduce() of 1,000 doubles, private
 *     smrrun -n 4 bench/rank shared:1000 100       where they and the results are shared, of each rank its own
 *     smrrun -n 4 bench/rank common:1000 100       where all mean the same shared results
 *
 *     smrrun -n 16 bench/rank fail                 once all have met rank 1 prints what its clock says, and fails
 *     bench/rank cores                             looks what the machine has, as smrrun must
 *     bench/rank floor FD RANKS                    one of RANKS that bench/launch starts without smrrun: they
 *                                                  meet twice, in the memory behind FD
 */
#include <sharedmem.h>

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
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

/* The others wait for it, and would for ever. */
static int fail(void)
{
    sharedmem_barrier();
    if (sharedmem_rank() == 1) {
        printf("%.17g\n", (double)spin_now_ns());
        fflush(stdout);
        _exit(3);
    }
    sharedmem_barrier();
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

/* There and back between ranks 0 and 1; what comes is looked at by its ends. */
static double time_send(unsigned long ops, size_t bytes, bool is_shared)
{
    const int rank = sharedmem_rank();
    char *out = is_shared ? sharedmem_calloc(1, bytes) : calloc(1, bytes);
    char *in = is_shared ? sharedmem_calloc(1, bytes) : calloc(1, bytes);
    bool is_right = out != NULL && in != NULL;
    double begin = 0;

    for (unsigned long i = 0; is_right && rank < 2 && i < ops + WARM_UPS; i++) {
        if (i == WARM_UPS)
            begin = sharedmem_wtime();
        out[0] = out[bytes - 1] = (char)i;
        if (rank == 0)
            sharedmem_send(out, bytes, 1, 0);
        sharedmem_recv(in, bytes, 1 - rank, 0, NULL);
        if (rank == 1)
            sharedmem_send(out, bytes, 0, 0);
        is_right = in[0] == (char)i && in[bytes - 1] == (char)i;
    }
    return is_right ? ns_each(begin, 2 * ops) : -1;
}

static double time_ring(unsigned long ops)
{
    const int rank = sharedmem_rank(), size = sharedmem_size();
    double begin = 0;
    long out, in;

    for (unsigned long i = 0; i < ops + WARM_UPS; i++) {
        if (i == WARM_UPS)
            begin = sharedmem_wtime();
        out = (long)i + rank;
        sharedmem_sendrecv(&out, sizeof out, (rank + 1) % size, 0, &in, sizeof in, (rank + size - 1) % size, 0,
                           NULL);
        if (in != (long)i + (rank + size - 1) % size)
            return -1;
    }
    return ns_each(begin, ops);
}

/* Whether each has what the others have given: count numbers that begin with first, and differ by one. */
static bool is_right(const double *sum, size_t count, double first, int size)
{
    for (size_t i = 0; i < count; i++) {
        if (sum[i] != first + (double)i * size)
            return false;
    }
    return true;
}

static double *new_doubles(const char *kind, size_t count)
{
    double *data = kind[0] == 'a' ? malloc(count * sizeof *data) : sharedmem_malloc(count * sizeof *data);

    if (data == NULL)
        exit(EXIT_FAILURE);
    memset(data, 0, count * sizeof *data);
    return data;
}

static double time_allreduce(const char *kind, size_t count, unsigned long ops)
{
    const int rank = sharedmem_rank(), size = sharedmem_size();
    double *in = new_doubles(kind, count), begin = 0, ns;
    double *sum = kind[0] == 'c' ? sharedmem_team_calloc(count, sizeof *sum) : new_doubles(kind, count);

    for (size_t i = 0; i < count; i++)
        in[i] = (double)i + rank;
    for (unsigned long i = 0; i < ops + WARM_UPS; i++) {
        if (i == WARM_UPS)
            begin = sharedmem_wtime();
        if (sharedmem_allreduce(in, sum, count, SHAREDMEM_FLOAT64, SHAREDMEM_SUM) != 0)
            return -1;
    }
    ns = ns_each(begin, ops);
    return is_right(sum, count, size * (size - 1) / 2.0, size) ? ns : -1;
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

/* ---- Moves ---- */

static int move(const char *name, char *in, char *out, size_t bytes)
{
    if (strcmp(name, "bcast") == 0)
        return sharedmem_bcast(in, bytes, 0);
    if (strcmp(name, "gather") == 0)
        return sharedmem_gather(in, out, bytes, 0);
    if (strcmp(name, "scatter") == 0)
        return sharedmem_scatter(in, out, bytes, 0);
    if (strcmp(name, "allgather") == 0)
        return sharedmem_allgather(in, out, bytes);
    return strcmp(name, "alltoall") == 0 ? sharedmem_alltoall(in, out, bytes) : -1;
}

/* question: "NAME:BYTES" or "NAME:BYTES:shared". Each rank's memory is its own in both. */
static double time_move(const char *question, unsigned long ops)
{
    size_t bytes, whole;
    char name[16], kind[16] = "";
    char *in, *out;
    double begin = 0;

    if (sscanf(question, "%15[^:]:%zu:%15s", name, &bytes, kind) < 2)
        return -1;
    whole = bytes * (size_t)sharedmem_size();
    in = strcmp(kind, "shared") == 0 ? sharedmem_calloc(1, whole) : calloc(1, whole);
    out = strcmp(kind, "shared") == 0 ? sharedmem_calloc(1, whole) : calloc(1, whole);
    memset(in, 1, whole);
    memset(out, 1, whole);
    for (unsigned long i = 0; i < ops + WARM_UPS; i++) {
        if (i == WARM_UPS)
            begin = sharedmem_wtime();
        if (move(name, in, out, bytes) != 0)
            return -1;
    }
    return ns_each(begin, ops);
}

int main(int argc, char **argv)
{
    const char *question = argc > 1 ? argv[1] : "";
    size_t count;

    if (argc == 3 && (sscanf(question, "allreduce:%zu", &count) == 1 || sscanf(question, "shared:%zu", &count) == 1 ||
                      sscanf(question, "common:%zu", &count) == 1))
        return answer(time_allreduce(question, count, strtoul(argv[2], NULL, 10)));
    if (argc == 2 && strcmp(question, "join") == 0)
        return join();
    if (argc == 2 && strcmp(question, "fail") == 0)
        return fail();
    if (argc == 2 && strcmp(question, "cores") == 0)
        return sharedmem_cpu_count() < 1;
    if (argc == 3 && strcmp(question, "barrier") == 0)
        return answer(time_barrier(strtoul(argv[2], NULL, 10)));
    if (argc == 3 && strcmp(question, "all_double") == 0)
        return answer(time_all_double(strtoul(argv[2], NULL, 10)));
    if (argc == 3 && strcmp(question, "send_8") == 0)
        return answer(time_send(strtoul(argv[2], NULL, 10), 8, false));
    if (argc == 3 && strcmp(question, "send_4K") == 0)
        return answer(time_send(strtoul(argv[2], NULL, 10), (size_t)4 << 10, false));
    if (argc == 3 && strcmp(question, "send_1M") == 0)
        return answer(time_send(strtoul(argv[2], NULL, 10), (size_t)1 << 20, false));
    if (argc == 3 && strcmp(question, "send_1M_shared") == 0)
        return answer(time_send(strtoul(argv[2], NULL, 10), (size_t)1 << 20, true));
    if (argc == 3 && strcmp(question, "ring") == 0)
        return answer(time_ring(strtoul(argv[2], NULL, 10)));
    if (argc == 3 && strchr(question, ':') != NULL)
        return answer(time_move(question, strtoul(argv[2], NULL, 10)));
    if (argc == 4 && strcmp(question, "floor") == 0)
        return floor_member(atoi(argv[2]), (uint32_t)strtoul(argv[3], NULL, 10));
    fprintf(stderr, "usage: rank join | fail | cores | QUESTION OPERATIONS | floor FD RANKS\n");
    return 2;
}
