/*
 * heat: how heat spreads over a plate, by Jacobi's method: in each step every point becomes the mean of its
 * four neighbours. The edges keep their temperature. It ends when no point changes by more than TOLERANCE.
 *
 *     heat [-c] [N [STEPS]]        N x N points, 1000 by default; at most STEPS steps, 1000 by default
 *
 *     ./heat                       alone
 *     smrrun -n 4 ./heat           the same with four ranks
 *     smrrun -n 4 ./heat -c        and checked: rank 0 does it all again, alone
 *
 * Each rank runs the whole program. The plate is there once, in shared memory, at one address for all ranks:
 * each computes its part of the rows, and reads the rows next to them where they are. Nothing is sent.
 *
 * A point is made of points of the step before, whoever computes it, and the largest of many numbers does not
 * depend on their order. So every bit of the result is the same for any number of ranks.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#define TOLERANCE     1e-6
#define N_DEFAULT     1000
#define N_MAX         100000
#define STEPS_DEFAULT 1000
#define STEPS_MAX     1000000000

struct end {
    size_t steps;
    double change; /* the largest in the last step */
};

/* The temperature at the start: at the edges 100 at the top to 0 at the bottom, inside something uneven. */
static double start(size_t n, size_t i, size_t j)
{
    if (i == 0 || i == n - 1 || j == 0 || j == n - 1)
        return 100 * (double)(n - 1 - i) / (double)(n - 1);
    return (double)((31 * i + 17 * j) % 101);
}

/* One grid is read while the other is written. Both begin alike, since no step writes the edges. */
static void fill(size_t n, double (*u)[n], double (*v)[n], sharedmem_range rows)
{
    for (size_t i = rows.begin; i < rows.end; i++) {
        for (size_t j = 0; j < n; j++)
            u[i][j] = v[i][j] = start(n, i, j);
    }
}

/* One step of some rows, none of them an edge. Returns the largest change. */
static double step(size_t n, double (*from)[n], double (*to)[n], sharedmem_range rows)
{
    double largest = 0;

    for (size_t i = rows.begin; i < rows.end; i++) {
        for (size_t j = 1; j < n - 1; j++) {
            double mean = 0.25 * (from[i - 1][j] + from[i + 1][j] + from[i][j - 1] + from[i][j + 1]);
            double change = fabs(mean - from[i][j]);

            to[i][j] = mean;
            largest = change > largest ? change : largest;
        }
    }
    return largest;
}

/*
 * Together with all other ranks. u holds the start; the end is in u after an even number of steps, else in v.
 *
 * No rank may begin a step before all have ended the one before, and a barrier would see to that. But to know
 * the largest change all ranks have to wait for each other anyway: sharedmem_all_double() is the barrier.
 */
static struct end solve(size_t n, double (*u)[n], double (*v)[n], size_t max_steps)
{
    sharedmem_range mine = sharedmem_my_part(n - 2);
    sharedmem_range rows = {mine.begin + 1, mine.end + 1};
    struct end end = {0};

    do {
        double change = end.steps % 2 == 0 ? step(n, u, v, rows) : step(n, v, u, rows);

        end.change = sharedmem_all_double(change, SHAREDMEM_MAX);
        end.steps++;
    } while (end.change > TOLERANCE && end.steps < max_steps);
    return end;
}

/* The same without any other rank. */
static struct end solve_serial(size_t n, double (*u)[n], double (*v)[n], size_t max_steps)
{
    sharedmem_range rows = {1, n - 1};
    struct end end = {0};

    do {
        end.change = end.steps % 2 == 0 ? step(n, u, v, rows) : step(n, v, u, rows);
        end.steps++;
    } while (end.change > TOLERANCE && end.steps < max_steps);
    return end;
}

/* Whether a serial run has the same end, bit for bit. */
static bool check(size_t n, double (*plate)[n], struct end end, size_t max_steps)
{
    double (*u)[n] = malloc(n * sizeof *u);
    double (*v)[n] = malloc(n * sizeof *v);
    bool right = false;

    if (u == NULL || v == NULL) {
        perror("heat: no memory for the check");
    } else {
        struct end serial;

        fill(n, u, v, (sharedmem_range){0, n});
        serial = solve_serial(n, u, v, max_steps);
        right = serial.steps == end.steps && serial.change == end.change &&
                memcmp(plate, serial.steps % 2 == 0 ? u : v, n * sizeof *u) == 0;
        puts(right ? "right: a serial run gives the same bits" : "WRONG: a serial run gives something else");
    }
    free(u);
    free(v);
    return right;
}

/* FNV-1a, of the bytes of the plate: who compares two runs has one number to look at. */
static uint64_t checksum(size_t n, double (*plate)[n])
{
    const unsigned char *bytes = (const unsigned char *)plate;
    uint64_t sum = 0xcbf29ce484222325;

    for (size_t i = 0; i < n * sizeof *plate; i++)
        sum = (sum ^ bytes[i]) * 0x100000001b3;
    return sum;
}

static void report(size_t n, double (*plate)[n], struct end end, double seconds)
{
    printf("%zu x %zu points, ranks: %d, %s after %zu steps\n", n, n, sharedmem_size(),
           end.change > TOLERANCE ? "stopped" : "at rest", end.steps);
    printf("change    %.17g\n", end.change);
    printf("checksum  %016" PRIx64 "\n", checksum(n, plate));
    printf("seconds   %.4f\n", seconds);
}

/* Returns whether all is right. */
static bool run(size_t n, size_t max_steps, bool is_checked)
{
    double (*u)[n] = sharedmem_team_calloc(n, sizeof *u);
    double (*v)[n] = sharedmem_team_calloc(n, sizeof *v);
    double (*plate)[n], begin;
    struct end end;
    bool right = true;

    if (u == NULL || v == NULL) {
        if (sharedmem_rank() == 0)
            fprintf(stderr, "heat: no shared memory for %zu x %zu points: %s\n", n, n, strerror(errno));
        sharedmem_barrier(); /* as in usage() */
        return false;
    }
    fill(n, u, v, sharedmem_my_part(n));
    sharedmem_barrier();
    begin = sharedmem_wtime();
    end = solve(n, u, v, max_steps);
    if (sharedmem_rank() == 0) {
        plate = end.steps % 2 == 0 ? u : v;
        report(n, plate, end, sharedmem_wtime() - begin);
        right = !is_checked || check(n, plate, end, max_steps);
        /* Nobody else needs the grids any more: all have said so in the last step. */
        sharedmem_free(u);
        sharedmem_free(v);
    }
    return right;
}

/* All ranks come here. One of them prints, and none ends, which would end the job, before it has. */
static int usage(void)
{
    if (sharedmem_rank() == 0)
        fprintf(stderr,
                "usage: heat [-c] [N [STEPS]]    N 3 to %d, by default %d; STEPS 1 to %d, by default %d\n",
                N_MAX, N_DEFAULT, STEPS_MAX, STEPS_DEFAULT);
    sharedmem_barrier();
    return 2;
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
    bool is_checked = argc > 1 && strcmp(argv[1], "-c") == 0;
    int first = is_checked ? 2 : 1;
    size_t n = argc > first ? parse(argv[first], 3, N_MAX) : N_DEFAULT;
    size_t steps = argc > first + 1 ? parse(argv[first + 1], 1, STEPS_MAX) : STEPS_DEFAULT;

    if (argc > first + 2 || n == 0 || steps == 0)
        return usage();
    return run(n, steps, is_checked) && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
