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

static const struct {
    const char *name;
    void (*ask)(struct question *);
    bool has_results;
} questions[] = {
    {"barrier", ask_barrier, false}, {"critical", ask_critical, false}, {"ordered", ask_ordered, false},
    {"dynamic", ask_dynamic, true},  {"guided", ask_guided, true},      {"region", ask_region, false},
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
    fprintf(stderr, "usage: openmp barrier|critical|ordered|dynamic|guided|region MEMBERS OPERATIONS WORK\n");
    return 2;
}
