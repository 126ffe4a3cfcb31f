/*
 * openmp QUESTION MEMBERS OPERATIONS WORK: OpenMP's side of all questions. Prints the nanoseconds of one
 * operation. The benchmarks run it; it is of use by hand too: OMP_WAIT_POLICY=passive bench/openmp
 * barrier 8 1000 0
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate.h"

struct question {
    int np;
    uint64_t ops;
    uint64_t work;
    uint64_t *results; /* ops of them */
    uint64_t sum;      /* ops, in the end, where the question counts */
    struct gate gate;
};

static void ask_barrier(struct question *q)
{
#pragma omp parallel num_threads(q->np)
    {
        gate_enter(&q->gate, q->np);
        for (uint64_t i = 0; i < q->ops; i++) {
#pragma omp barrier
        }
        gate_leave(&q->gate);
    }
    q->sum = q->ops;
}

static void ask_critical(struct question *q)
{
    const uint64_t each = q->ops / (uint64_t)q->np;

#pragma omp parallel num_threads(q->np)
    {
        gate_enter(&q->gate, q->np);
        for (uint64_t i = 0; i < each; i++) {
#pragma omp critical
            q->sum++;
        }
        gate_leave(&q->gate);
    }
}

static void ask_ordered(struct question *q)
{
#pragma omp parallel num_threads(q->np)
    {
#pragma omp for ordered schedule(dynamic, 1) nowait
        for (uint64_t i = 0; i < q->ops; i++) {
            if (i < (uint64_t)q->np)
                gate_enter(&q->gate, q->np);
            spin_work(q->work);
#pragma omp ordered
            q->sum += q->sum == i;
        }
        gate_leave(&q->gate);
    }
}

static void ask_dynamic(struct question *q)
{
    gate_open(&q->gate);
#pragma omp parallel for num_threads(q->np) schedule(dynamic, 1)
    for (uint64_t i = 0; i < q->ops; i++)
        q->results[i] = i;
    gate_leave(&q->gate);
    q->sum = q->ops;
}

/* As loops of ranks: the threads are there already, and go through all loops without a barrier between. */
static void ask_loops(struct question *q, uint64_t n_loops, bool is_static)
{
    const uint64_t each = q->ops / n_loops;

#pragma omp parallel num_threads(q->np)
    {
        gate_enter(&q->gate, q->np);
        for (uint64_t k = 0; k < n_loops; k++) {
            if (is_static) {
#pragma omp for schedule(static) nowait
                for (uint64_t i = 0; i < each; i++)
                    q->results[k * each + i] = i;
            } else {
#pragma omp for schedule(dynamic, 1) nowait
                for (uint64_t i = 0; i < each; i++)
                    q->results[k * each + i] = i;
            }
        }
        gate_leave(&q->gate);
    }
    q->sum = q->ops;
}

static void ask_loop(struct question *q)
{
    ask_loops(q, 1, false);
}

/* An operation is a whole loop, of an item a thread. */
static void ask_short_loops(struct question *q)
{
    ask_loops(q, q->ops / (uint64_t)q->np, false);
}

static void ask_short_static_loops(struct question *q)
{
    ask_loops(q, q->ops / (uint64_t)q->np, true);
}

static void ask_guided(struct question *q)
{
    gate_open(&q->gate);
#pragma omp parallel for num_threads(q->np) schedule(guided)
    for (uint64_t i = 0; i < q->ops; i++)
        q->results[i] = i;
    gate_leave(&q->gate);
    q->sum = q->ops;
}

static void ask_region(struct question *q)
{
    gate_open(&q->gate);
    for (uint64_t i = 0; i < q->ops; i++) {
#pragma omp parallel num_threads(q->np)
        __asm__ volatile("" ::: "memory");
    }
    gate_leave(&q->gate);
    q->sum = q->ops;
}

/* The results are what is summed, as doubles: all the same one. */
static void ask_sum(struct question *q)
{
    const double *numbers = (const double *)(const void *)q->results;
    double sum = 0;

    gate_open(&q->gate);
#pragma omp parallel for num_threads(q->np) reduction(+ : sum)
    for (uint64_t i = 0; i < q->ops; i++)
        sum += numbers[i];
    gate_leave(&q->gate);
    q->sum = sum > 0 ? q->ops : 0;
}

static const struct {
    const char *name;
    void (*ask)(struct question *);
    bool has_results;
} questions[] = {
    {"barrier", ask_barrier, false},
    {"critical", ask_critical, false},
    {"ordered", ask_ordered, false},
    {"dynamic", ask_dynamic, true},
    {"guided", ask_guided, true},
    {"region", ask_region, false},
    {"loop", ask_loop, true},
    {"loops", ask_short_loops, true},
    {"static-loops", ask_short_static_loops, true},
    {"sum", ask_sum, true},
};

/* Results are touched before: a program's arrays usually are. */
static uint64_t *make_results(uint64_t n)
{
    uint64_t *results = malloc(n * sizeof *results);

    if (results == NULL) {
        perror("openmp");
        exit(EXIT_FAILURE);
    }
    memset(results, 1, n * sizeof *results);
    return results;
}

static int answer(size_t which, int np, uint64_t ops, uint64_t work)
{
    struct question warm_up = {.np = np, .ops = (uint64_t)np, .work = work};
    struct question question = {.np = np, .ops = ops, .work = work};

    if (questions[which].has_results)
        warm_up.results = question.results = make_results(ops);
    questions[which].ask(&warm_up);
    questions[which].ask(&question);
    free(question.results);
    if (question.sum != ops) {
        fprintf(stderr, "openmp: %s: %" PRIu64 " of %" PRIu64 " operations\n", questions[which].name,
                question.sum, ops);
        return EXIT_FAILURE;
    }
    printf("%.17g\n", (double)gate_ns(&question.gate) / (double)ops);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 5 && i < sizeof questions / sizeof *questions; i++)
        if (strcmp(argv[1], questions[i].name) == 0)
            return answer(i, atoi(argv[2]), strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
    fprintf(stderr, "usage: openmp QUESTION MEMBERS OPERATIONS WORK\n");
    return 2;
}
