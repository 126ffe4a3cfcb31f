/*
 * histogram: how a large array of random values is distributed; each rank makes and counts its part.
 *
 *     ./histogram [N]              alone, N values, by default 4000000
 *     smrrun -n 4 ./histogram      four ranks: the same counts
 *
 * The values lie in shared memory, and each rank works on its own part of them. The counts are private, and
 * what all have counted comes together in each rank by sharedmem_all(). How much each has counted is
 * gathered by rank 0, which then counts all once more.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#define N_MAX     1000000000
#define N_DEFAULT 4000000
#define N_BINS    16
#define BAR       60 /* characters for the highest one */

struct counts {
    uint64_t in_bin[N_BINS];
};

/*
 * The i-th random number, which only depends on i: the same values whoever makes them, and in whatever
 * order.
 */
static uint64_t random_number(uint64_t i)
{
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* The mean of three random numbers between 0 and 1. */
static double random_value(size_t i)
{
    double sum = 0;

    for (uint64_t k = 0; k < 3; k++)
        sum += (double)(random_number(3 * i + k) >> 11) / 9007199254740992.0;
    return sum / 3;
}

static void count(const double *values, sharedmem_range range, struct counts *counts)
{
    memset(counts, 0, sizeof *counts);
    for (size_t i = range.begin; i < range.end; i++)
        counts->in_bin[(int)(values[i] * N_BINS)]++;
}

static void add_counts(void *into, const void *from, void *context)
{
    struct counts *sum = into;
    const struct counts *counts = from;

    (void)context;
    for (int bin = 0; bin < N_BINS; bin++)
        sum->in_bin[bin] += counts->in_bin[bin];
}

static void print_bars(const struct counts *counts)
{
    uint64_t most = 1;

    for (int bin = 0; bin < N_BINS; bin++)
        most = counts->in_bin[bin] > most ? counts->in_bin[bin] : most;
    for (int bin = 0; bin < N_BINS; bin++) {
        printf("%.4f %10" PRIu64 " ", (double)bin / N_BINS, counts->in_bin[bin]);
        for (uint64_t k = 0; k < counts->in_bin[bin] * BAR / most; k++)
            putchar('#');
        putchar('\n');
    }
}

/* In rank 0: whether counting all at once gives the same, and no part was left out. */
static bool check(const double *values, size_t n, const struct counts *counts, const size_t *of_ranks)
{
    struct counts again;
    size_t total = 0;

    count(values, (sharedmem_range){0, n}, &again);
    for (int rank = 0; rank < sharedmem_size(); rank++)
        total += of_ranks[rank];
    return total == n && memcmp(&again, counts, sizeof again) == 0;
}

/* In rank 0. */
static bool report(const double *values, size_t n, const struct counts *counts, const size_t *of_ranks)
{
    bool right = check(values, n, counts, of_ranks);

    printf("%zu values, ranks: %d, of which one has counted %zu or %zu\n", n, sharedmem_size(), of_ranks[0],
           of_ranks[sharedmem_size() - 1]);
    print_bars(counts);
    puts(right ? "right: rank 0 alone counts the same" : "WRONG: rank 0 alone counts otherwise");
    return right;
}

/* Returns whether all went well, in all ranks alike. */
static bool run(double *values, size_t n)
{
    sharedmem_range mine = sharedmem_my_part(n);
    size_t n_mine = mine.end - mine.begin, *of_ranks = calloc((size_t)sharedmem_size(), sizeof *of_ranks);
    struct counts counts;
    bool right;

    for (size_t i = mine.begin; i < mine.end; i++)
        values[i] = random_value(i);
    count(values, mine, &counts);
    /* A barrier too: behind it all values are there. */
    right = of_ranks != NULL && sharedmem_all(&counts, sizeof counts, add_counts, NULL) == 0 &&
            sharedmem_gather(&n_mine, of_ranks, sizeof n_mine, 0) == 0;
    if (right && sharedmem_rank() == 0)
        right = report(values, n, &counts, of_ranks);
    free(of_ranks);
    return sharedmem_all_int64(right, SHAREDMEM_MIN) == 1;
}

/* A number from 1 to N_MAX, or 0 where text is none. */
static size_t parse(const char *text)
{
    /* No blanks, no sign. What is too large for a long is LONG_MAX. */
    bool is_number = *text != '\0' && text[strspn(text, "0123456789")] == '\0';
    size_t number = is_number ? (size_t)strtol(text, NULL, 10) : 0;

    return number <= N_MAX ? number : 0;
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? parse(argv[1]) : N_DEFAULT;
    double *values = NULL;
    bool right;

    if (argc > 2 || n == 0) {
        if (sharedmem_rank() == 0)
            fprintf(stderr, "usage: histogram [N]    N 1 to %d, by default %d\n", N_MAX, N_DEFAULT);
        sharedmem_barrier(); /* nobody ends, which would end the job, before that is printed */
        return 2;
    }
    values = sharedmem_team_calloc(n, sizeof *values);
    if (values == NULL) {
        if (sharedmem_rank() == 0)
            fprintf(stderr, "histogram: no shared memory for %zu values: %s\n", n, strerror(errno));
        sharedmem_barrier();
        return EXIT_FAILURE;
    }
    right = run(values, n);
    if (sharedmem_rank() == 0)
        sharedmem_free(values);
    return right && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
