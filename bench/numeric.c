/* What sums and sorts of large arrays take, beside one process, OpenMP and qsort(). */
#include <sharedmem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gang.h"

#define SUM_ITEMS  ((uint64_t)1 << 27)
#define SORT_ITEMS ((uint64_t)10000000)

static double *numbers;  /* shared, and touched: what is summed; what sorts begin with */
static double *unsorted; /* shared: what is sorted */

static sharedmem_array array_of(double *data, uint64_t n)
{
    return sharedmem_wrap(data, SHAREDMEM_FLOAT64, 1, (const int64_t[]){(int64_t)n});
}

static void set_np(int np)
{
    char text[16];

    snprintf(text, sizeof text, "%d", np);
    setenv("SHAREDMEM_NP", text, 1);
}

static double *allocate(uint64_t n)
{
    double *data = sharedmem_malloc(n * sizeof *data);

    if (data == NULL) {
        perror("sharedmem_malloc");
        exit(EXIT_FAILURE);
    }
    return data;
}

/* ---- Sum ---- */

static double sum_ours(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);
    double sum = 0;

    set_np(contender->np);
    gate_open(&gang->gate);
    sharedmem_sum(array_of(numbers, ops), &sum);
    gate_leave(&gang->gate);
    gang_check(gang, sum == (double)ops);
    return gang_end(gang);
}

/* Four sums beside each other, since one would wait for each addition. */
static double sum_of(const double *data, uint64_t n)
{
    double sums[4] = {0};

    for (uint64_t i = 0; i < n; i += 4) {
        sums[0] += data[i];
        sums[1] += data[i + 1];
        sums[2] += data[i + 2];
        sums[3] += data[i + 3];
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

static double *sums_of(struct gang *gang)
{
    return (double *)(void *)gang->shared;
}

static void sum_member(struct gang *gang, int rank)
{
    const uint64_t each = gang->ops / (uint64_t)gang->np;

    sums_of(gang)[8 * rank] = sum_of(numbers + (uint64_t)rank * each, each);
}

/* The start and the end of the members count, as in ours. */
static double sum_forked(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);
    double sum = 0;

    gate_open(&gang->gate);
    gang_fork(gang, sum_member);
    for (int rank = 0; rank < gang->np; rank++)
        sum += sums_of(gang)[8 * rank];
    gate_leave(&gang->gate);
    gang_check(gang, sum == (double)ops);
    return gang_end(gang);
}

static double sum_loop(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    gate_open(&gang->gate);
    gang_check(gang, sum_of(numbers, ops) == (double)ops);
    gate_leave(&gang->gate);
    return gang_end(gang);
}

/* As a user writes it: a piece is an item, and its sum the result. */
#define PIECE ((uint64_t)1 << 16)

static int sum_piece(size_t i, void *result, void *context)
{
    (void)context;
    *(double *)result = sum_of(numbers + i * PIECE, PIECE);
    return 0;
}

static int add(size_t i, void *result, void *context)
{
    (void)i;
    *(double *)context += *(const double *)result;
    return 0;
}

static double sum_mapped(const struct bench_contender *contender, uint64_t ops, sharedmem_pool *pool)
{
    double *sum = sharedmem_new(double, 1);
    struct gang *gang = gang_create(contender, ops);

    gate_open(&gang->gate);
    sharedmem_map(ops / PIECE, sum_piece, sum, .np = contender->np, .result_size = sizeof(double),
                  .reduce = add, .pool = pool);
    gate_leave(&gang->gate);
    gang_check(gang, *sum == (double)ops);
    sharedmem_free(sum);
    return gang_end(gang);
}

static double sum_by_map(const struct bench_contender *contender, uint64_t ops)
{
    return sum_mapped(contender, ops, NULL);
}

/* The pool's first map, whose workers get the pages into their tables, is over when the rounds count. */
static double sum_by_pool(const struct bench_contender *contender, uint64_t ops)
{
    static sharedmem_pool *pool;

    if (pool == NULL)
        pool = sharedmem_pool_create(contender->np, NULL);
    return sum_mapped(contender, ops, pool);
}

static void compare_sums(void)
{
    static const struct bench_contender contenders[] = {
        {.name = "1: sharedmem_sum", .run = sum_ours, .np = 1, .ops = SUM_ITEMS},
        {.name = "1: floor: a loop", .run = sum_loop, .np = 1, .ops = SUM_ITEMS},
        {.name = "2: sharedmem_sum", .run = sum_ours, .np = 2, .ops = SUM_ITEMS},
        {.name = "2: sharedmem_map", .run = sum_by_map, .np = 2, .ops = SUM_ITEMS},
        {.name = "2: sharedmem_map, pool", .run = sum_by_pool, .np = 2, .ops = SUM_ITEMS},
        {.name = "2: floor: fork, loops", .run = sum_forked, .np = 2, .ops = SUM_ITEMS},
        {.name = "2: OpenMP", .run = gang_openmp, .np = 2, .ops = SUM_ITEMS, .question = "sum"},
        {.name = NULL},
    };
    static const struct bench_goal goals[] = {
        {1.1, "2: sharedmem_sum", {"2: floor: fork, loops"}, 0},
        {1.1, "2: sharedmem_map", {"2: floor: fork, loops"}, 0},
        {1.15, "2: sharedmem_map, pool", {"2: OpenMP"}, 0},
        {1.1, "1: sharedmem_sum", {"1: floor: a loop"}, 0},
        {0, NULL, {NULL}, 0},
    };

    for (uint64_t i = 0; i < SUM_ITEMS; i++)
        numbers[i] = 1;
    bench_table(&(struct bench_table){"sum of 2^27 doubles", "element", contenders, goals});
}

/* ---- Sort ---- */

static double sort_ours(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    memcpy(unsorted, numbers, ops * sizeof *numbers);
    set_np(contender->np);
    gate_open(&gang->gate);
    sharedmem_sort(array_of(unsorted, ops));
    gate_leave(&gang->gate);
    return gang_end(gang);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double sort_qsort(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    memcpy(unsorted, numbers, ops * sizeof *numbers);
    gate_open(&gang->gate);
    qsort(unsorted, ops, sizeof *unsorted, compare);
    gate_leave(&gang->gate);
    return gang_end(gang);
}

static void compare_sorts(void)
{
    static const struct bench_contender contenders[] = {
        {.name = "1: sharedmem_sort", .run = sort_ours, .np = 1, .ops = SORT_ITEMS},
        {.name = "1: qsort", .run = sort_qsort, .np = 1, .ops = SORT_ITEMS},
        {.name = "2: sharedmem_sort", .run = sort_ours, .np = 2, .ops = SORT_ITEMS},
        {.name = NULL},
    };
    static const struct bench_goal goals[] = {
        {0.5, "1: sharedmem_sort", {"1: qsort"}, 0},
        {1.0, "2: sharedmem_sort", {"1: sharedmem_sort"}, 0},
        {0, NULL, {NULL}, 0},
    };

    srand48(1);
    for (uint64_t i = 0; i < SORT_ITEMS; i++)
        numbers[i] = drand48() - 0.5;
    memset(unsorted, 1, SORT_ITEMS * sizeof *unsorted);
    bench_table(&(struct bench_table){"sort of 10^7 doubles", "element", contenders, goals});
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    numbers = allocate(SUM_ITEMS);
    unsorted = allocate(SORT_ITEMS);
    compare_sums();
    compare_sorts();
    return bench_end();
}
