/*
 * halo: one computation in two ways, with messages and without. Points of a grid become the mean of their
 * four neighbours, step after step; each rank has a block of rows, and needs the rows next to it in each
 * step.
 *
 *     halo [N [STEPS]]             N x N points, 500 by default; 200 steps by default
 *
 *     ./halo                       alone
 *     smrrun -n 4 ./halo           the same with four ranks
 *
 * With messages, as in a program of MPI: a rank has its rows in memory of its own, with one more row on each
 * side, the halo, into which it gets its neighbours' rows by sharedmem_sendrecv(). Without: the grid is there
 * once, in shared memory, and a rank reads its neighbours' rows where they are; a barrier sees to it that
 * these are done.
 *
 * Both do the same arithmetic, and must come to the same bits.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#define N_DEFAULT     500
#define N_MAX         100000
#define STEPS_DEFAULT 200
#define STEPS_MAX     1000000000

/* At the start. The edges stay so. */
static double start(size_t i, size_t j)
{
    return (double)((31 * i + 17 * j) % 101);
}

/* Rows begin to end of to, made of those of from. */
static void step(size_t n, double (*from)[n], double (*to)[n], size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        for (size_t j = 1; j < n - 1; j++)
            to[i][j] = 0.25 * (from[i - 1][j] + from[i + 1][j] + from[i][j - 1] + from[i][j + 1]);
    }
}

/* Row 0 of u and v is row first of the grid. */
static void fill(size_t n, double (*u)[n], double (*v)[n], size_t first, size_t rows)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < n; j++)
            u[i][j] = v[i][j] = start(first + i, j);
    }
}

/* ---- Without messages ---- */

/* u is read and v is written, and the other way round in each other step. Returns the one with the result. */
static double *solve_shared(size_t n, double (*u)[n], double (*v)[n], sharedmem_range rows, size_t steps)
{
    for (size_t k = 0; k < steps; k++) {
        step(n, k % 2 == 0 ? u : v, k % 2 == 0 ? v : u, rows.begin + 1, rows.end + 1);
        sharedmem_barrier();
    }
    return steps % 2 == 0 ? u[0] : v[0];
}

/* ---- With messages ---- */

/*
 * The first row goes up, the last one down, and the neighbours' rows come into the halo. At the ends is
 * nobody.
 */
static void exchange(size_t n, double (*u)[n], size_t rows)
{
    int rank = sharedmem_rank();
    int up = rank > 0 ? rank - 1 : SHAREDMEM_NOBODY;
    int down = rank < sharedmem_size() - 1 ? rank + 1 : SHAREDMEM_NOBODY;

    sharedmem_sendrecv(u[1], sizeof *u, up, 0, u[rows + 1], sizeof *u, down, 0, NULL);
    sharedmem_sendrecv(u[rows], sizeof *u, down, 1, u[0], sizeof *u, up, 1, NULL);
}

/* u and v have two rows more than this rank. */
static double *solve_by_messages(size_t n, double (*u)[n], double (*v)[n], size_t rows, size_t steps)
{
    for (size_t k = 0; k < steps; k++) {
        exchange(n, k % 2 == 0 ? u : v, rows);
        step(n, k % 2 == 0 ? u : v, k % 2 == 0 ? v : u, 1, rows + 1);
    }
    return steps % 2 == 0 ? u[0] : v[0];
}

/* ---- Both ---- */

static void report(size_t n, size_t steps, bool is_right, double shared, double messages)
{
    printf("%zu x %zu points, ranks: %d, %zu steps\n", n, n, sharedmem_size(), steps);
    printf("seconds   %.4f without messages, %.4f with\n", shared, messages);
    puts(is_right ? "right: both give the same bits" : "WRONG: they give different bits");
}

/* Four grids: u and v for all, mine and next for this rank. Returns whether all is right. */
static bool compare(size_t n, size_t steps, double (*u)[n], double (*v)[n], double (*mine)[n],
                    double (*next)[n])
{
    sharedmem_range rows = sharedmem_my_part(n - 2);
    size_t n_rows = rows.end - rows.begin;
    double begin, shared, messages, *one, *other;
    bool is_right;

    fill(n, u + rows.begin, v + rows.begin, rows.begin, n_rows + 2);
    fill(n, mine, next, rows.begin, n_rows + 2);
    sharedmem_barrier();
    begin = sharedmem_wtime();
    one = solve_shared(n, u, v, rows, steps);
    shared = sharedmem_wtime() - begin;
    other = solve_by_messages(n, mine, next, n_rows, steps);
    messages = sharedmem_wtime() - begin - shared;
    is_right = memcmp(one + (rows.begin + 1) * n, other + n, n_rows * n * sizeof *one) == 0;
    is_right = sharedmem_all_int64(is_right, SHAREDMEM_MIN) == 1;
    if (sharedmem_rank() == 0)
        report(n, steps, is_right, shared, messages);
    return is_right;
}

/* All ranks come here. One of them prints, and none ends, which would end the job, before it has. */
static bool fail(const char *message)
{
    if (sharedmem_rank() == 0)
        fprintf(stderr, "%s\n", message);
    sharedmem_barrier();
    return false;
}

static bool run(size_t n, size_t steps)
{
    sharedmem_range rows = sharedmem_my_part(n - 2);
    double(*u)[n] = sharedmem_team_calloc(n, sizeof *u);
    double(*v)[n] = sharedmem_team_calloc(n, sizeof *v);
    double(*mine)[n] = malloc((rows.end - rows.begin + 2) * sizeof *mine);
    double(*next)[n] = malloc((rows.end - rows.begin + 2) * sizeof *next);
    bool has_memory = u != NULL && v != NULL && mine != NULL && next != NULL;
    bool is_right = false;

    if (sharedmem_all_int64(has_memory, SHAREDMEM_MIN) == 1)
        is_right = compare(n, steps, u, v, mine, next);
    else
        fail("halo: no memory for so many points");
    free(mine);
    free(next);
    if (sharedmem_rank() == 0) {
        sharedmem_free(u);
        sharedmem_free(v);
    }
    return is_right;
}

/* A number, or 0 where text is none that can be used. */
static size_t parse(const char *text, size_t min, size_t max)
{
    unsigned long long number;
    char *end;

    /* strtoull() would take blanks and a sign. */
    if (!isdigit((unsigned char)*text))
        return 0;
    errno = 0;
    number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && number >= min && number <= max ? (size_t)number : 0;
}

int main(int argc, char **argv)
{
    /* Each rank has a row at least, and the edges are nobody's. */
    size_t min = (size_t)sharedmem_size() + 2;
    size_t n = argc > 1 ? parse(argv[1], min, N_MAX) : min > N_DEFAULT ? min : N_DEFAULT;
    size_t steps = argc > 2 ? parse(argv[2], 1, STEPS_MAX) : STEPS_DEFAULT;

    if (argc > 3 || n == 0 || steps == 0) {
        fail("usage: halo [N [STEPS]]    N at least 2 more than the ranks, by default 500; STEPS by default "
             "200");
        return 2;
    }
    return run(n, steps) && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
