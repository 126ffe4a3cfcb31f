/* What does not fit together in a job, and what smrrun says to that. */
#include "smrrun/advice.h"

#include "tap.h"

struct row {
    const char *name;
    struct batch batch;
    int n_pus, quota;     /* 0: not known, none */
    int n;                /* -n */
    int n_ranks;          /* planned */
    const char *cpus;     /* --cpus */
    const char *lines[2]; /* a part of each that is said */
};

#define GRANT(of, ranks, cores) .system = of, .n_ranks = ranks, .n_cores = cores, .n_nodes = 1, .n_starts = 1
#define NODES(of, nodes)        .system = of, .n_ranks = 4, .n_cores = 4, .n_nodes = nodes, .n_starts = 1
#define STARTS(of, cores, by, times, which)                                                                  \
    .system = of, .n_cores = cores, .n_nodes = 1, .starter = by, .n_starts = times, .start = which

static const struct row rows[] = {
    {"nothing", {.n_nodes = 1, .n_starts = 1}, .n_pus = 2, .n_ranks = 2},
    {"a job that fits", {GRANT("Torque", 4, 4)}, .n_pus = 4, .n_ranks = 4},
    {"a part of the host", {GRANT("Torque", 4, 4)}, .n_pus = 64, .n_ranks = 4},
    {"processors unknown", {GRANT("Torque", 4, 4)}, .n_ranks = 4},
    /* Other nodes. */
    {"Slurm on nodes",
     {NODES("Slurm", 3)},
     .n_pus = 4,
     .n_ranks = 4,
     .lines =
         {"the job has 3 nodes, and smrrun uses this one; srun -N 3 -n 3 smrrun ... starts a job of its own "
          "on each"}},
    {"a heterogeneous job",
     {NODES("Slurm", 2), .n_groups = 2},
     .n_pus = 4,
     .n_ranks = 4,
     .lines = {"the job has 2 nodes, and smrrun uses this one; srun --het-group=0-1 -n 1 smrrun ... "}},
    {"Torque on nodes",
     {NODES("Torque", 2)},
     .n_pus = 4,
     .n_ranks = 4,
     .lines = {"pbsdsh -u $(which smrrun) ... "}},
    {"PBS Pro on nodes",
     {NODES("PBS Pro", 2)},
     .n_pus = 4,
     .n_ranks = 4,
     .lines = {"mpiexec -n 2 --map-by ppr:1:node smrrun ... "}},
    {"LSF on nodes", {NODES("LSF", 2)}, .n_pus = 4, .n_ranks = 4, .lines = {"mpiexec -n 2"}},
    {"a list of hosts", {NODES(NULL, 2)}, .n_pus = 4, .n_ranks = 4, .lines = {"mpiexec -n 2"}},
    {"on nodes, started so", {NODES("Slurm", 3), .starter = "srun"}, .n_pus = 4, .n_ranks = 4},
    {"on nodes, by pbsdsh", {NODES("Torque", 3), .starter = "pbsdsh"}, .n_pus = 4, .n_ranks = 4},
    /* Several of smrrun. */
    {"srun -n 4 smrrun",
     {STARTS("Slurm", 1, "srun", 4, 0)},
     .n_pus = 1,
     .n_ranks = 1,
     .lines =
         {"srun has started smrrun 4 times on this host, each with 1 rank of a job of its own; one job of 4: "
          "srun -n 1 -c 4 smrrun -n 4 ..., or srun -n 4 PROGRAM without smrrun"}},
    {"another of them", {STARTS("Slurm", 1, "srun", 4, 1)}, .n_pus = 1, .n_ranks = 1},
    {"srun -n 2 smrrun -n 8",
     {STARTS("Slurm", 8, "srun", 2, 0)},
     .n_pus = 8,
     .n = 8,
     .n_ranks = 8,
     .lines = {"2 times on this host, each with 8 ranks of a job of its own; one job of 16"}},
    {"mpiexec -n 4 smrrun",
     {STARTS(NULL, 0, "mpiexec (MPICH)", 4, 0)},
     .n_pus = 2,
     .n_ranks = 2,
     .lines = {"mpiexec (MPICH) has started smrrun 4 times on this host, each with 2 ranks of a job of its "
               "own; one "
               "job of 8: smrrun -n 8 ... alone, or mpiexec -n 8 PROGRAM without smrrun"}},
    {"flux run -n 4 smrrun",
     {STARTS(NULL, 0, "flux", 4, 0)},
     .n_pus = 2,
     .n_ranks = 2,
     .lines = {"flux has started smrrun 4 times on this host", NULL}},
    /* Fewer processors than granted. */
    {"srun -n 1 bound to one",
     {STARTS("Slurm", 16, "srun", 1, 0)},
     .n_pus = 1,
     .n_ranks = 1,
     .lines = {"only 1 CPU is allowed here, of 16 of the job: srun gave no more; try srun -n 1 -c 16 smrrun "
               "..., or "
               "srun --cpu-bind=none"}},
    {"mpiexec -n 1 bound to one",
     {STARTS("Torque", 16, "mpiexec (Open MPI)", 1, 0)},
     .n_pus = 1,
     .n_ranks = 1,
     .lines =
         {"only 1 CPU is allowed here, of 16 of the job: mpiexec (Open MPI) has bound smrrun; try mpiexec "
          "--bind-to none"}},
    {"ppn=16 on a host of two",
     {GRANT("Torque", 16, 16)},
     .n_pus = 2,
     .n_ranks = 16,
     .lines = {"only 2 CPUs are allowed here (by affinity or cpuset), and Torque granted 16: the ranks share "
               "them; "
               "-n 2 starts one on each"}},
    {"a quota of one",
     {GRANT("LSF", 16, 16)},
     .n_pus = 32,
     .quota = 1,
     .n_ranks = 16,
     .lines = {"only 1 CPU is allowed here (by the cgroup's quota), and LSF granted 16: the ranks share it; "
               "-n 1"}},
    {"and as many ranks as fit", {GRANT("Torque", 16, 16)}, .n_pus = 2, .n = 2, .n_ranks = 2},
    {"and --cpus", {GRANT("Torque", 16, 16)}, .n_pus = 2, .cpus = "0-1", .n_ranks = 16},
    {"more ranks than processors, and no job",
     {.n_nodes = 1, .n_starts = 1},
     .n_pus = 2,
     .n = 64,
     .n_ranks = 64},
    {"nodes and room",
     {NODES("Torque", 2)},
     .n_pus = 1,
     .n_ranks = 4,
     .lines = {"the job has 2 nodes", "only 1 CPU is allowed"}},
};

int main(void)
{
    test_begin(10);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct options options = {.n_ranks = row->n, .cpus = row->cpus};
        struct plan_machine machine = {.n_pus = row->n_pus, .quota = row->quota};
        struct plan plan = {.n_ranks = row->n_ranks};
        struct advice advice;
        int n = 0;

        advice_make(&advice, &options, &row->batch, &machine, &plan);
        for (; n < 2 && row->lines[n] != NULL; n++)
            test_has(row->lines[n], n < advice.n ? advice.lines[n] : "", "%s: line %d", row->name, n);
        test_int(n, advice.n, "%s: and no more", row->name);
    }
    return test_end();
}
