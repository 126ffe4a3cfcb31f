/*
 * Barriers and sums over all ranks, 2, 4 and 8 of them under smrrun, beside those of MPI: of one number each, and
 * of arrays in private memory, in shared memory, and there with one result for all.
 */
#include <stdbool.h>
#include <stdio.h>

#include "job.h"

static double smrrun(const struct bench_contender *contender, uint64_t ops)
{
    return job_ask(JOB_SMRRUN, contender->np, contender->question, ops);
}

static double mpich(const struct bench_contender *contender, uint64_t ops)
{
    return job_ask(JOB_MPICH, contender->np, contender->question, ops);
}

static double openmpi(const struct bench_contender *contender, uint64_t ops)
{
    return job_ask(JOB_OPENMPI, contender->np, contender->question, ops);
}

/* limit: of the better MPI; is_openmpi: of Open MPI alone, which is what the goal says. */
struct comparison {
    const char *question;
    int np;
    double limit;
    bool is_openmpi;
    uint64_t ops; /* 0: what takes some 20 ms */
};

static void compare(const struct comparison *comparison)
{
    const int np = comparison->np;
    const char *question = comparison->question;
    const uint64_t ops = comparison->ops;
    const struct bench_contender contenders[] = {
        {.name = "smrrun", .run = smrrun, .np = np, .question = question, .ops = ops},
        {.name = "MPICH", .run = mpich, .np = np, .question = question, .ops = ops},
        {.name = "Open MPI", .run = openmpi, .np = np, .question = question, .ops = ops},
        {.name = NULL},
    };
    const struct bench_goal goals[] = {
        {comparison->limit, "smrrun", {"Open MPI", comparison->is_openmpi ? NULL : "MPICH"}, 0},
        {0, NULL, {NULL}, 0},
    };
    char title[64];

    snprintf(title, sizeof title, "%s of %d ranks in a job", question, np);
    bench_table(&(struct bench_table){title, question, contenders, goals});
}

static const struct comparison comparisons[] = {
    {"barrier", 2, 1, false, 0},
    {"barrier", 4, 1, false, 0},
    {"barrier", 8, 1, false, 0},
    {"all_double", 2, 0.6, true, 0},
    {"all_double", 4, 1, false, 0},
    {"all_double", 8, 0.8, true, 0},
    {"allreduce:1", 2, 0.6, true, 0},
    {"allreduce:1", 8, 0.8, true, 0},
    {"allreduce:1000000", 2, 0.9, true, 20},
    {"allreduce:1000000", 8, 1, true, 5},
    {"allreduce:16000000", 2, 0.5, true, 3},
    {"shared:1000000", 2, 0.2, true, 20},
    {"common:1000000", 2, 0.2, true, 20},
    {"common:16000000", 2, 0.2, true, 3},
};

/* ---- Moves ---- */

static const struct bench_goal move_goals[] = {
    {1, "smrrun", {"MPICH", "Open MPI"}, 0},
    {0, NULL, {NULL}, 0},
};

/* MPI's memory is private; ours is too, and then shared. */
static void compare_move(int np, const char *name, size_t bytes)
{
    char title[64], question[2][48];
    const struct bench_contender contenders[] = {
        {.name = "smrrun", .run = smrrun, .np = np, .question = question[0]},
        {.name = "smrrun, shared", .run = smrrun, .np = np, .question = question[1]},
        {.name = "MPICH", .run = mpich, .np = np, .question = question[0]},
        {.name = "Open MPI", .run = openmpi, .np = np, .question = question[0]},
        {.name = NULL},
    };

    snprintf(question[0], sizeof question[0], "%s:%zu", name, bytes);
    snprintf(question[1], sizeof question[1], "%s:%zu:shared", name, bytes);
    snprintf(title, sizeof title, "%s of %zu bytes, %d ranks in a job", name, bytes, np);
    bench_table(&(struct bench_table){title, name, contenders, move_goals});
}

static void compare_moves(int np)
{
    static const char *const names[] = {"bcast", "gather", "allgather", "alltoall"};
    static const size_t sizes[] = {8, 16384, 1 << 20};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            compare_move(np, names[i], sizes[k]);
    }
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    for (size_t i = 0; i < sizeof comparisons / sizeof *comparisons; i++)
        compare(&comparisons[i]);
    compare_moves(2);
    compare_moves(8);
    return bench_end();
}
