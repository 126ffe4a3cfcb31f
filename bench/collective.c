/* Barriers and sums over all ranks, 2, 4 and 8 of them under smrrun, beside those of MPI. */
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

static const struct bench_goal goals[] = {
    {1, "smrrun", {"MPICH", "Open MPI"}, 0},
    {0, NULL, {NULL}, 0},
};

static void compare(int np, const char *question)
{
    const struct bench_contender contenders[] = {
        {.name = "smrrun", .run = smrrun, .np = np, .question = question},
        {.name = "MPICH", .run = mpich, .np = np, .question = question},
        {.name = "Open MPI", .run = openmpi, .np = np, .question = question},
        {.name = NULL},
    };
    char title[64];

    snprintf(title, sizeof title, "%s of %d ranks in a job", question, np);
    bench_table(&(struct bench_table){title, question, contenders, goals});
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    for (int np = 2; np <= 8; np *= 2) {
        compare(np, "barrier");
        compare(np, "all_double");
    }
    return bench_end();
}
