/*
 * montecarlo: how far two random points of a square are from each other, on average, by trying: the same bits for
 * any number of ranks and workers.
 *
 *     montecarlo [SAMPLES]        4194304 by default
 *
 * An item is 65,536 samples. Each item has a stream of random numbers of its own, which begins where
 * sharedmem_seed() says, so that it does not matter who does it. The items' sums are added by rising item, so that
 * each rounding is the same too. Three ways must agree in every bit:
 *
 * ranks:   a loop deals the items to the ranks, and each rank adds all of the sums.
 * workers: a map of rank 0 deals them to its workers, and reduce adds.
 * serial:  rank 0 alone.
 *
 * With the side as unit the distance is (2 + sqrt(2) + 5 asinh(1)) / 15 on average, and a single one differs from
 * that by 0.2480 in the root of the mean square. The mean of n samples is then wrong by more than 6 times 0.2480 /
 * sqrt(n) once in 500 million programs; and this one always has the same numbers.
 */
#define _POSIX_C_SOURCE 200809L

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#define SAMPLES_PER_ITEM 65536
#define SAMPLES_DEFAULT  4194304
#define SAMPLES_MAX      1000000000000
#define SEED             2024

static const double expected = 0.52140543316472067833;
static const double deviation = 0.2480;

struct job {
    size_t samples;
    size_t n_items; /* the last one may be shorter */
    double sum;     /* of "workers" */
};

/* ---- Random numbers ---- */

/* A generator of 64 bits: a counter with a large odd step, and what makes it look random. */
static uint64_t next(uint64_t *state)
{
    uint64_t bits = *state += 0x9e3779b97f4a7c15;

    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return bits ^ bits >> 31;
}

/* From 0 to below 1. */
static double uniform(uint64_t *state)
{
    return (double)(next(state) >> 11) * 0x1p-53;
}

/* ---- Items ---- */

/* The distances of item i, added up. */
static double distances(const struct job *job, size_t i)
{
    size_t begin = i * SAMPLES_PER_ITEM;
    size_t n = i + 1 < job->n_items ? SAMPLES_PER_ITEM : job->samples - begin;
    uint64_t state = sharedmem_seed(SEED, i);
    double sum = 0;

    for (size_t k = 0; k < n; k++) {
        double x = uniform(&state) - uniform(&state);
        double y = uniform(&state) - uniform(&state);

        sum += sqrt(x * x + y * y);
    }
    return sum;
}

/* In all ranks. Without shared memory the library itself tells, and ends the program. */
static double by_ranks(const struct job *job)
{
    double *sums = sharedmem_team_calloc(job->n_items, sizeof *sums), sum = 0;

    if (sums == NULL)
        return NAN;
    SHAREDMEM_FOR(i, job->n_items, .schedule = SHAREDMEM_DYNAMIC)
    {
        sums[i] = distances(job, i);
    }
    sharedmem_barrier();
    for (size_t i = 0; i < job->n_items; i++)
        sum += sums[i];
    sharedmem_barrier();
    if (sharedmem_rank() == 0)
        sharedmem_free(sums);
    return sum;
}

static int work(size_t i, void *result, void *context)
{
    *(double *)result = distances(context, i);
    return 0;
}

static int reduce(size_t i, void *result, void *context)
{
    struct job *job = context;

    (void)i;
    job->sum += *(double *)result;
    return 0;
}

static double by_workers(struct job *job)
{
    job->sum = 0;
    sharedmem_map(job->n_items, work, job, .result_size = sizeof(double), .reduce = reduce);
    return job->sum;
}

static double alone(const struct job *job)
{
    double sum = 0;

    for (size_t i = 0; i < job->n_items; i++)
        sum += distances(job, i);
    return sum;
}

/* ---- The program ---- */

static bool same_bits(double left, double right)
{
    return memcmp(&left, &right, sizeof left) == 0;
}

/* Rank 0 tells. Returns the program's exit status. */
static int judge(struct job *job, double ranks)
{
    double workers = by_workers(job), serial = alone(job);
    double mean = serial / (double)job->samples, limit = 6 * deviation / sqrt((double)job->samples);

    printf("ranks    %a\nworkers  %a\nserial   %a\n", ranks, workers, serial);
    printf("mean     %.10f, expected %.10f\n", mean, expected);
    if (!same_bits(ranks, serial) || !same_bits(workers, serial)) {
        printf("wrong: the sums differ\n");
        return 1;
    }
    if (fabs(mean - expected) > limit) {
        printf("wrong: the mean is too far off\n");
        return 1;
    }
    printf("right: all sums are the same, and the mean is no further off than %.2g\n", limit);
    return 0;
}

/* Returns 0, or -1 where text is no number of samples. */
static int parse(const char *text, size_t *samples)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || value < 1 || value > SAMPLES_MAX)
        return -1;
    *samples = (size_t)value;
    return 0;
}

int main(int argc, char **argv)
{
    struct job job = {.samples = SAMPLES_DEFAULT};
    double sum;

    if (argc > 2 || (argc == 2 && parse(argv[1], &job.samples) != 0)) {
        if (sharedmem_rank() == 0)
            fprintf(stderr, "usage: montecarlo [SAMPLES]    1 to %lld\n", (long long)SAMPLES_MAX);
        sharedmem_barrier(); /* no rank ends, which would end the job, before that is printed */
        return 2;
    }
    job.n_items = (job.samples + SAMPLES_PER_ITEM - 1) / SAMPLES_PER_ITEM;
    sum = by_ranks(&job);
    return sharedmem_rank() == 0 ? judge(&job, sum) : 0;
}
