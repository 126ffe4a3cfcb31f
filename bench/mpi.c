/*
 * mpi: MPI's side of bench/rank, built by the compilers of MPICH and Open MPI where they are there. By hand:
 *
 *     mpiexec -n 4 bench/mpi-mpich join                  joins and leaves
 *     mpiexec -n 4 bench/mpi-mpich barrier 100000        rank 0 prints the nanoseconds of one barrier
 *     mpiexec -n 4 bench/mpi-mpich all_double 100000     and of one MPI_Allreduce() of a double
 *     mpiexec -n 2 bench/mpi-mpich send_8 100000         of one message of 8 bytes; send_1M: of 1 MiB
 *     mpiexec -n 8 bench/mpi-mpich ring 100000           of one MPI_Sendrecv() of 8 bytes in a ring
 *     mpiexec -n 4 bench/mpi-mpich allreduce:1000 100    of 1,000; shared:1000 and common:1000 are the same here
 */
#include <mpi.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_UPS 10

static double ns_each(double begin, unsigned long ops)
{
    return (MPI_Wtime() - begin) * 1e9 / (double)ops;
}

/* As in rank.c the first ones are not counted. */
static double time_barrier(unsigned long ops)
{
    double begin = 0;

    for (unsigned long i = 0; i < ops + WARM_UPS; i++) {
        if (i == WARM_UPS)
            begin = MPI_Wtime();
        MPI_Barrier(MPI_COMM_WORLD);
    }
    return ns_each(begin, ops);
}

static double time_all_double(unsigned long ops, int rank, int size)
{
    const double ranks = size * (size - 1) / 2.0;
    double begin = 0, mine, sum;

    for (unsigned long i = 0; i < ops + WARM_UPS; i++) {
        if (i == WARM_UPS)
            begin = MPI_Wtime();
        mine = (double)i + rank;
        MPI_Allreduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
        if (sum != (double)i * size + ranks)
            return -1;
    }
    return ns_each(begin, ops);
}

static int move(const char *name, char *in, char *out, int bytes)
{
    if (strcmp(name, "bcast") == 0)
        return MPI_Bcast(in, bytes, MPI_CHAR, 0, MPI_COMM_WORLD);
    if (strcmp(name, "gather") == 0)
        return MPI_Gather(in, bytes, MPI_CHAR, out, bytes, MPI_CHAR, 0, MPI_COMM_WORLD);
    if (strcmp(name, "scatter") == 0)
        return MPI_Scatter(in, bytes, MPI_CHAR, out, bytes, MPI_CHAR, 0, MPI_COMM_WORLD);
    if (strcmp(name, "allgather") == 0)
        return MPI_Allgather(in, bytes, MPI_CHAR, out, bytes, MPI_CHAR, MPI_COMM_WORLD);
    return strcmp(name, "alltoall") == 0
               ? MPI_Alltoall(in, bytes, MPI_CHAR, out, bytes, MPI_CHAR, MPI_COMM_WORLD)
               : MPI_ERR_OTHER;
}

/*
 * As in rank.c: "NAME:BYTES"; what rank.c knows behind that MPI has no other way for. What of bcast, gather
 * and scatter is under way when rank 0 has done its part is not counted; ours waits for more.
 */
static double time_move(const char *question, unsigned long ops, int size)
{
    char name[16];
    char *in, *out;
    double begin = 0;
    size_t whole;
    int bytes;

    if (sscanf(question, "%15[^:]:%d", name, &bytes) != 2)
        return -1;
    whole = (size_t)bytes * (size_t)size;
    in = calloc(1, whole);
    out = calloc(1, whole);
    memset(in, 1, whole);
    memset(out, 1, whole);
    for (unsigned long i = 0; i < ops + WARM_UPS; i++) {
        if (i == WARM_UPS)
            begin = MPI_Wtime();
        if (move(name, in, out, bytes) != MPI_SUCCESS)
            return -1;
    }
    return ns_each(begin, ops);
}

/* As in rank.c. */
static double time_send(unsigned long ops, int bytes, int rank)
{
    char *out = calloc(1, (size_t)bytes), *in = calloc(1, (size_t)bytes);
    bool is_right = out != NULL && in != NULL;
    double begin = 0;

    for (unsigned long i = 0; is_right && rank < 2 && i < ops + WARM_UPS; i++) {
        if (i == WARM_UPS)
            begin = MPI_Wtime();
        out[0] = out[bytes - 1] = (char)i;
        if (rank == 0)
            MPI_Send(out, bytes, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
        MPI_Recv(in, bytes, MPI_BYTE, 1 - rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (rank == 1)
            MPI_Send(out, bytes, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
        is_right = in[0] == (char)i && in[bytes - 1] == (char)i;
    }
    return is_right ? ns_each(begin, 2 * ops) : -1;
}

static double time_ring(unsigned long ops, int rank, int size)
{
    double begin = 0;
    long out, in;

    for (unsigned long i = 0; i < ops + WARM_UPS; i++) {
        if (i == WARM_UPS)
            begin = MPI_Wtime();
        out = (long)i + rank;
        MPI_Sendrecv(&out, 1, MPI_LONG, (rank + 1) % size, 0, &in, 1, MPI_LONG, (rank + size - 1) % size, 0,
                     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (in != (long)i + (rank + size - 1) % size)
            return -1;
    }
    return ns_each(begin, ops);
}

/* Whether each has what the others have given, as in rank.c. */
static int is_right(const double *sum, size_t count, double first, int size)
{
    for (size_t i = 0; i < count; i++) {
        if (sum[i] != first + (double)i * size)
            return 0;
    }
    return 1;
}

static double time_allreduce(size_t count, unsigned long ops, int rank, int size)
{
    double *in = malloc(count * sizeof *in), *sum = malloc(count * sizeof *sum), begin = 0, ns;

    if (in == NULL || sum == NULL)
        return -1;
    memset(sum, 0, count * sizeof *sum);
    for (size_t i = 0; i < count; i++)
        in[i] = (double)i + rank;
    for (unsigned long i = 0; i < ops + WARM_UPS; i++) {
        if (i == WARM_UPS)
            begin = MPI_Wtime();
        MPI_Allreduce(in, sum, (int)count, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    }
    ns = ns_each(begin, ops);
    ns = is_right(sum, count, size * (size - 1) / 2.0, size) ? ns : -1;
    free(in);
    free(sum);
    return ns;
}

/* "allreduce:1000"; shared and common are the same here. */
static bool is_allreduce(const char *question, size_t *count)
{
    return sscanf(question, "allreduce:%zu", count) == 1 || sscanf(question, "shared:%zu", count) == 1 ||
           sscanf(question, "common:%zu", count) == 1;
}

static int answer(const char *question, unsigned long ops)
{
    double ns = 1;
    int rank, size;
    size_t count;

    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (strcmp(question, "barrier") == 0)
        ns = time_barrier(ops);
    else if (strcmp(question, "all_double") == 0)
        ns = time_all_double(ops, rank, size);
    else if (is_allreduce(question, &count))
        ns = time_allreduce(count, ops, rank, size);
    else if (strchr(question, ':') != NULL)
        ns = time_move(question, ops, size);
    else if (strcmp(question, "send_8") == 0)
        ns = time_send(ops, 8, rank);
    else if (strcmp(question, "send_4K") == 0)
        ns = time_send(ops, 4 << 10, rank);
    else if (strcmp(question, "send_1M") == 0 || strcmp(question, "send_1M_shared") == 0)
        ns = time_send(ops, 1 << 20, rank);
    else if (strcmp(question, "ring") == 0)
        ns = time_ring(ops, rank, size);
    if (rank == 0 && strcmp(question, "join") != 0)
        printf("%.17g\n", ns);
    return ns > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    int status;

    MPI_Init(&argc, &argv);
    status = answer(argc > 1 ? argv[1] : "join", argc > 2 ? strtoul(argv[2], NULL, 10) : 0);
    MPI_Finalize();
    return status;
}
