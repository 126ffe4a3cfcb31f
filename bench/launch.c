/*
 * How long it takes to start 2, 16 and 64 ranks and to see them end, beside MPI's launchers, and the floor:
 * processes of the same program, started one after the other, that meet twice. Whether that goes on linearly up to
 * 1,024. And how long a job takes from a rank's failure to its end, when nothing of it is left.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job.h"
#include "spin.h"

#define MAX_RANKS 1024
/* The others' launchers take a minute for more. */
#define MAX_PEER_RANKS 64

/* ---- Launchers ---- */

/* The mean of so many jobs, each as time says. */
static double mean_of(const struct bench_contender *contender, uint64_t ops, enum job_launcher launcher,
                      double (*time)(enum job_launcher launcher, int np, const char *question))
{
    double sum = 0, ns;

    for (uint64_t i = 0; i < ops; i++) {
        ns = time(launcher, contender->np, contender->question);
        if (ns < 0)
            return ns;
        sum += ns;
    }
    return sum / (double)ops;
}

static double launch(const struct bench_contender *contender, uint64_t ops, enum job_launcher launcher)
{
    return mean_of(contender, ops, launcher, job_time);
}

static double smrrun(const struct bench_contender *contender, uint64_t ops)
{
    return launch(contender, ops, JOB_SMRRUN);
}

static double smrrun_blind(const struct bench_contender *contender, uint64_t ops)
{
    return launch(contender, ops, JOB_SMRRUN_BLIND);
}

static double mpich(const struct bench_contender *contender, uint64_t ops)
{
    return launch(contender, ops, JOB_MPICH);
}

static double openmpi(const struct bench_contender *contender, uint64_t ops)
{
    return launch(contender, ops, JOB_OPENMPI);
}

/* ---- Floors ---- */

/* The processor that the rank-th process is put on. */
static int processor_of(int rank)
{
    cpu_set_t cpus;
    int cpu = 0;

    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0)
        return -1;
    rank %= CPU_COUNT(&cpus);
    for (; !CPU_ISSET(cpu, &cpus) || rank-- > 0; cpu++)
        ;
    return cpu;
}

/* Starts and ends so many. Returns whether all ended well. */
static bool run_all(const char *const *argv, int np, bool is_bound)
{
    pid_t pids[MAX_RANKS];
    bool right = true;

    for (int rank = 0; rank < np; rank++)
        pids[rank] = job_spawn(argv, JOB_NOWHERE, is_bound ? processor_of(rank) : -1);
    for (int rank = 0; rank < np; rank++)
        right = job_wait(pids[rank]) == 0 && right;
    return right;
}

/* Processes that meet twice in memory that they inherit. */
static bool run_members(int np, bool is_bound)
{
    const char *argv[] = {job_path("bench/rank"), "floor", NULL, NULL, NULL};
    char fd_text[16], np_text[16];
    int fd = memfd_create("meeting", 0);
    bool right;

    if (fd < 0 || ftruncate(fd, 4096) != 0) {
        perror("memfd");
        exit(EXIT_FAILURE);
    }
    snprintf(fd_text, sizeof fd_text, "%d", fd);
    snprintf(np_text, sizeof np_text, "%d", np);
    argv[2] = fd_text;
    argv[3] = np_text;
    right = run_all(argv, np, is_bound);
    close(fd);
    return right;
}

static double spawn(const struct bench_contender *contender, uint64_t ops, bool is_bound)
{
    const char *argv[] = {contender->question, NULL};
    uint64_t begin, sum = 0;
    bool right;

    for (uint64_t i = 0; i < ops; i++) {
        job_pause();
        begin = spin_now_ns();
        right = *contender->question == '/' ? run_all(argv, contender->np, is_bound)
                                            : run_members(contender->np, is_bound);
        if (!right)
            return BENCH_FAILED;
        sum += spin_now_ns() - begin;
    }
    return (double)sum / (double)ops;
}

static double spawn_bound(const struct bench_contender *contender, uint64_t ops)
{
    return spawn(contender, ops, true);
}

static double spawn_unbound(const struct bench_contender *contender, uint64_t ops)
{
    return spawn(contender, ops, false);
}

/* Whoever pins ranks must know the machine, and is a program that has been started itself. */
static double spawn_knowing(const struct bench_contender *contender, uint64_t ops)
{
    const char *argv[] = {NULL, "cores", NULL};
    char path[4096];
    uint64_t begin, sum = 0;

    if (contender->question == NULL)
        return BENCH_ABSENT;

    snprintf(path, sizeof path, "%s", job_path("bench/rank"));
    argv[0] = path;
    for (uint64_t i = 0; i < ops; i++) {
        const char *rank[] = {contender->question, NULL};
        bool right;

        job_pause();
        begin = spin_now_ns();
        right = run_all(argv, 1, false) && run_all(rank, contender->np, true);
        if (!right)
            return BENCH_FAILED;
        sum += spin_now_ns() - begin;
    }
    return (double)sum / (double)ops;
}

/* As many ranks in several jobs, one after the other. */
static double smrrun_split(const struct bench_contender *contender, uint64_t ops)
{
    const struct bench_contender part = {.np = contender->np / 8, .question = contender->question};
    double ns = smrrun(&part, 8 * ops);

    return ns < 0 ? ns : 8 * ns;
}

/* ---- Ends ---- */

static double end_of_smrrun(const struct bench_contender *contender, uint64_t ops)
{
    return mean_of(contender, ops, JOB_SMRRUN, job_end);
}

/* One of so many that sleep is killed; whoever sees that ends the others by SIGTERM. */
static double end_of_sleepers(const struct bench_contender *contender, uint64_t ops)
{
    const char *argv[] = {"sleep", "100", NULL};
    uint64_t begin, sum = 0;
    pid_t pids[MAX_RANKS];

    for (uint64_t i = 0; i < ops; i++) {
        for (int rank = 0; rank < contender->np; rank++)
            pids[rank] = job_spawn(argv, JOB_NOWHERE, -1);
        job_pause();
        begin = spin_now_ns();
        kill(pids[1], SIGKILL);
        waitpid(pids[1], NULL, 0);
        for (int rank = 0; rank < contender->np; rank++) {
            if (rank != 1)
                kill(pids[rank], SIGTERM);
        }
        for (int rank = 0; rank < contender->np; rank++) {
            if (rank != 1)
                waitpid(pids[rank], NULL, 0);
        }
        sum += spin_now_ns() - begin;
    }
    return (double)sum / (double)ops;
}

/* ---- The tables ---- */

/* Of 16 ranks that know nothing of the library. */
static const struct bench_goal plain_goals[] = {
    {1.3, "smrrun", {"floor: hwloc's load, spawn, bound"}, 0},
    {1, "smrrun", {"MPICH", "Open MPI"}, 0},
    {0, NULL, {NULL}, 0},
};

/* Of 16 ranks that join and leave. What hwloc takes to load, where smrrun needs it, is in no floor. */
static const struct bench_goal goals[] = {
    {1.5, "smrrun --bind-to none -t 1", {"floor: spawn, bound", "floor: spawn, unbound"}, 0},
    {1 / 40., "smrrun", {"MPICH", "Open MPI"}, 0},
    {0, NULL, {NULL}, 0},
};

static void compare(int np, const char *question)
{
    bool joins = *question != '/';
    /* Some at a time where one is over so soon that any other program's turn shows in it. */
    const uint64_t ops = np < 16 ? 8 : 1;
    const struct bench_contender contenders[] = {
        {.name = "smrrun", .run = smrrun, .np = np, .ops = ops, .question = question},
        {.name = "smrrun --bind-to none -t 1",
         .run = smrrun_blind,
         .np = np,
         .ops = ops,
         .question = question},
        {.name = "floor: spawn, bound", .run = spawn_bound, .np = np, .ops = ops, .question = question},
        {.name = "floor: spawn, unbound", .run = spawn_unbound, .np = np, .ops = ops, .question = question},
        {.name = "floor: hwloc's load, spawn, bound",
         .run = spawn_knowing,
         .np = np,
         .ops = ops,
         .question = joins ? NULL : question},
        {.name = "MPICH", .run = mpich, .np = np, .ops = 1, .question = question},
        {.name = "Open MPI", .run = openmpi, .np = np, .ops = 1, .question = question},
        {.name = NULL},
    };
    char title[64];

    snprintf(title, sizeof title, "launch of %d ranks, %s", np, joins ? "join and leave" : question);
    bench_table(&(struct bench_table){title, "job", contenders, np != 16 ? NULL : joins ? goals : plain_goals});
}

/* That a rank costs no more where there are many. */
static const struct bench_goal linear_goals[] = {
    {1.3, "smrrun", {"smrrun, in 8 jobs"}, 0},
    {0, NULL, {NULL}, 0},
};

static void compare_many(const char *question)
{
    const struct bench_contender contenders[] = {
        {.name = "smrrun", .run = smrrun, .np = MAX_RANKS, .ops = 1, .question = question},
        {.name = "smrrun, in 8 jobs", .run = smrrun_split, .np = MAX_RANKS, .ops = 1, .question = question},
        {.name = "floor: spawn, bound", .run = spawn_bound, .np = MAX_RANKS, .ops = 1, .question = question},
        {.name = NULL},
    };
    char title[64];

    snprintf(title, sizeof title, "launch of %d ranks, %s", MAX_RANKS,
             *question == '/' ? question : "join and leave");
    bench_table(&(struct bench_table){title, "job", contenders, linear_goals});
}

/* From the failure of one of 16 to the end of all, where they obey SIGTERM. */
static const struct bench_goal end_goals[] = {
    {2, "smrrun", {"floor: kill(2) and wait(2)"}, 50e6},
    {0, NULL, {NULL}, 0},
};

static void compare_ends(int np)
{
    const struct bench_contender contenders[] = {
        {.name = "smrrun", .run = end_of_smrrun, .np = np, .ops = 1, .question = "fail"},
        {.name = "floor: kill(2) and wait(2)", .run = end_of_sleepers, .np = np, .ops = 1},
        {.name = NULL},
    };
    char title[64];

    snprintf(title, sizeof title, "end of %d ranks of which one fails", np);
    bench_table(&(struct bench_table){title, "job", contenders, end_goals});
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    for (int np = 2; np <= MAX_PEER_RANKS; np = np == 2 ? 16 : 4 * np) {
        compare(np, "join");
        compare(np, "/bin/true");
    }
    compare_many("/bin/true");
    compare_many("join");
    compare_ends(16);
    compare_ends(64);
    return bench_end();
}
