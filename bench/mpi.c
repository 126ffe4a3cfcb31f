/*
 * mpi: MPI's side of bench/rank, built by the compilers of MPICH and Open MPI where they are there. By hand:
 *
 *     mpiexec -n 4 bench/mpi-mpich join                  joins and leaves
 *     mpiexec -n 4 bench/mpi-mpich barrier 100000        rank 0 prints the nanoseconds of one barrier
 *     mpiexec -n 4 bench/mpi-mpich all_double 100000     and of one MPI_Allreduce() of a double
 */
#include <mpi.h>

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

static int answer(const char *question, unsigned long ops)
{
    double ns = 1;
    int rank, size;

    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (strcmp(question, "barrier") == 0)
        ns = time_barrier(ops);
    else if (strcmp(question, "all_double") == 0)
        ns = time_all_double(ops, rank, size);
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
