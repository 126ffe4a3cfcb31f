/*
 * nbody: stars that attract each other, in a box of unit size, by the leapfrog method.
 *
 *     nbody [N [STEPS]]            N stars, 1000 by default; STEPS of them, 20 by default
 *
 *     ./nbody                      alone
 *     smrrun -n 4 ./nbody          the same with four ranks
 *
 * All ranks have all stars, once, in shared memory. Each moves its part of them, and reads the others where
 * they are: where programs of MPI gather all positions in each step, here is a barrier.
 *
 * What a star feels is added up in the order of the others, whoever does it, so all positions have the same
 * bits for any number of ranks. The energy is a sum over ranks, and differs in the last digits.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#define N_DEFAULT     1000
#define N_MAX         1000000
#define STEPS_DEFAULT 20
#define STEPS_MAX     1000000
#define TIME_STEP     1e-3
#define SOFTENING     0.05 /* nobody comes nearer than that */
#define DRIFT_MAX     1e-3 /* of the energy, relative */

struct star {
    double x[3];
    double v[3];
};

struct energy {
    double kinetic;
    double potential;
};

/* Numbers from 0 to 1 that depend on i alone: whoever makes a star makes the same one. */
static double random_of(uint64_t i)
{
    i = (i + 1) * 0x9e3779b97f4a7c15;
    i = (i ^ i >> 32) * 0xd6e8feb86659fd93;
    i = (i ^ i >> 32) * 0xd6e8feb86659fd93;
    return (double)((i ^ i >> 32) >> 11) * 0x1p-53;
}

static void make_stars(struct star *stars, sharedmem_range mine)
{
    for (size_t i = mine.begin; i < mine.end; i++) {
        for (size_t d = 0; d < 3; d++)
            stars[i].x[d] = random_of(3 * i + d);
    }
}

/* Adds to the velocity of star i what n stars, all of mass 1 / n, do to it in a time of dt. */
static void kick(struct star *stars, size_t n, size_t i, double dt)
{
    double pull[3] = {0, 0, 0};

    for (size_t j = 0; j < n; j++) {
        double r2 = SOFTENING * SOFTENING, r[3];

        for (int d = 0; d < 3; d++) {
            r[d] = stars[j].x[d] - stars[i].x[d];
            r2 += r[d] * r[d];
        }
        for (int d = 0; d < 3; d++)
            pull[d] += r[d] / (r2 * sqrt(r2));
    }
    for (int d = 0; d < 3; d++)
        stars[i].v[d] += dt * pull[d] / (double)n;
}

/* Together with all other ranks. Nobody moves a star while somebody may still look where it is. */
static void step(struct star *stars, size_t n, sharedmem_range mine)
{
    for (size_t i = mine.begin; i < mine.end; i++)
        kick(stars, n, i, TIME_STEP);
    sharedmem_barrier();
    for (size_t i = mine.begin; i < mine.end; i++) {
        for (int d = 0; d < 3; d++)
            stars[i].x[d] += TIME_STEP * stars[i].v[d];
    }
    sharedmem_barrier();
}

/* Of this rank's stars; half of what each has with the others. */
static struct energy energy_of(const struct star *stars, size_t n, sharedmem_range mine)
{
    struct energy energy = {0, 0};

    for (size_t i = mine.begin; i < mine.end; i++) {
        for (int d = 0; d < 3; d++)
            energy.kinetic += 0.5 * stars[i].v[d] * stars[i].v[d] / (double)n;
        for (size_t j = 0; j < n; j++) {
            double r2 = SOFTENING * SOFTENING;

            for (int d = 0; d < 3; d++)
                r2 += (stars[j].x[d] - stars[i].x[d]) * (stars[j].x[d] - stars[i].x[d]);
            energy.potential -= j != i ? 0.5 / sqrt(r2) / (double)n / (double)n : 0;
        }
    }
    return energy;
}

/* Of all. It is a barrier too. */
static double total_energy(const struct star *stars, size_t n, sharedmem_range mine)
{
    struct energy energy = energy_of(stars, n, mine);

    return sharedmem_all_double(energy.kinetic + energy.potential, SHAREDMEM_SUM);
}

/* FNV-1a, of the bytes of all stars. */
static uint64_t checksum(const struct star *stars, size_t n)
{
    const unsigned char *bytes = (const unsigned char *)stars;
    uint64_t sum = 0xcbf29ce484222325;

    for (size_t i = 0; i < n * sizeof *stars; i++)
        sum = (sum ^ bytes[i]) * 0x100000001b3;
    return sum;
}

/* Rank 0 prints. Returns whether the energy has stayed what it was, in all ranks alike. */
static bool report(const struct star *stars, size_t n, size_t steps, double before, double after)
{
    bool right = fabs(after - before) <= DRIFT_MAX * fabs(before);

    if (sharedmem_rank() == 0) {
        printf("%zu stars, ranks: %d, %zu steps\n", n, sharedmem_size(), steps);
        printf("energy    %.9f, at the beginning %.9f\n", after, before);
        printf("checksum  %016" PRIx64 "\n", checksum(stars, n));
        puts(right ? "right: the energy is kept" : "WRONG: the energy is not kept");
    }
    return right;
}

static bool run(size_t n, size_t steps)
{
    struct star *stars = sharedmem_team_calloc(n, sizeof *stars);
    sharedmem_range mine = sharedmem_my_part(n);
    double before, after;
    bool right;

    if (stars == NULL) {
        if (sharedmem_rank() == 0)
            fprintf(stderr, "nbody: no shared memory for %zu stars: %s\n", n, strerror(errno));
        sharedmem_barrier(); /* nobody ends, which would end the job, before that is printed */
        return false;
    }
    make_stars(stars, mine);
    sharedmem_barrier();
    before = total_energy(stars, n, mine);
    for (size_t k = 0; k < steps; k++)
        step(stars, n, mine);
    after = total_energy(stars, n, mine);
    right = report(stars, n, steps, before, after);
    sharedmem_barrier();
    if (sharedmem_rank() == 0)
        sharedmem_free(stars);
    return right;
}

/* A number from 1 to max, or 0 where text is none. */
static size_t parse(const char *text, size_t max)
{
    /* No blanks, no sign. What is too large for a long is LONG_MAX. */
    bool is_number = *text != '\0' && text[strspn(text, "0123456789")] == '\0';
    size_t number = is_number ? (size_t)strtol(text, NULL, 10) : 0;

    return number <= max ? number : 0;
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? parse(argv[1], N_MAX) : N_DEFAULT;
    size_t steps = argc > 2 ? parse(argv[2], STEPS_MAX) : STEPS_DEFAULT;

    if (argc > 3 || n == 0 || steps == 0) {
        if (sharedmem_rank() == 0)
            fprintf(stderr,
                    "usage: nbody [N [STEPS]]    N 1 to %d, by default %d; STEPS 1 to %d, by default %d\n",
                    N_MAX, N_DEFAULT, STEPS_MAX, STEPS_DEFAULT);
        sharedmem_barrier();
        return 2;
    }
    return run(n, steps) && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
