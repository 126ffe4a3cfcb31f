/*
 * Messages between 2 ranks under smrrun, one way, and a ring of 8, beside those of MPI. Of 1 MiB that lies in
 * the segment ours is copied once; MPI has private memory only.
 */
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

static void compare(int np, const char *question, const char *title)
{
    const struct bench_contender contenders[] = {
        {.name = "smrrun", .run = smrrun, .np = np, .question = question},
        {.name = "MPICH", .run = mpich, .np = np, .question = question},
        {.name = "Open MPI", .run = openmpi, .np = np, .question = question},
        {.name = NULL},
    };

    bench_table(&(struct bench_table){title, question, contenders, goals});
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    compare(2, "send_8", "message of 8 bytes between 2 ranks");
    compare(2, "send_4K", "message of 4 KiB between 2 ranks");
    compare(2, "send_1M", "message of 1 MiB between 2 ranks");
    compare(2, "send_1M_shared", "message of 1 MiB in the segment between 2 ranks");
    compare(8, "ring", "sendrecv of 8 bytes in a ring of 8 ranks");
    return bench_end();
}
