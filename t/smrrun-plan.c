/* The launcher's plan: how many ranks and threads, and where, from options, batch system and machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smrrun/plan.h"
#include "tap.h"

/* A machine, a batch job's grant, what was typed, and what comes out. */
struct row {
    const char *machine; /* as hwloc's synthetic; NULL: not known */
    int quota;
    long omp; /* OMP_NUM_THREADS; 0: not set */
    struct batch batch;
    int n, t;            /* -n, -t */
    bool is_none;        /* --bind-to none */
    bool is_share;       /* --bind-to share, in so many words */
    int ranks, threads;  /* what is planned */
    const char *source;  /* part of where the count is from */
    const char *unbound; /* part of why nobody is bound; "": not said */
    const char *warning; /* part, or "" */
};

#define BIG "package:2 core:8 pu:2"

#define GRANT(of, ranks, threads, cores, from)                                                               \
    {                                                                                                        \
        .system = of, .n_ranks = ranks, .n_threads = threads, .n_cores = cores, .n_nodes = 1,                \
        .source = from, .n_starts = 1                                                                        \
    }

static const struct row rows[] = {
    {BIG, .n = 4, .ranks = 4, .threads = 4, .source = "-n", .unbound = "", .warning = ""},
    {BIG, .ranks = 16, .threads = 1, .source = "16 cores", .unbound = "", .warning = ""},
    {BIG, .t = 4, .ranks = 4, .threads = 4, .source = "/ threads", .unbound = "", .warning = ""},
    {BIG, .t = 64, .ranks = 1, .threads = 64, .source = "core", .unbound = "", .warning = "give -t 16"},
    {BIG, .n = 4, .t = 8, .ranks = 4, .threads = 8, .source = "-n", .unbound = "", .warning = "give -t 4"},
    {BIG, .n = 4, .omp = 2, .ranks = 4, .threads = 0, .source = "-n", .unbound = "", .warning = ""},
    {BIG, .n = 4, .omp = 16, .ranks = 4, .threads = 0, .source = "-n", .unbound = "", .warning = "give -t 4"},
    {BIG, .omp = 4, .ranks = 16, .threads = 0, .source = "16 cores", .unbound = "", .warning = "more than"},
    {BIG, .n = 4, .omp = 16, .t = 2, .ranks = 4, .threads = 2, .source = "-n", .unbound = "", .warning = ""},
    {BIG, .quota = 3, .ranks = 3, .threads = 1, .source = "3 cores", .unbound = "", .warning = ""},
    {BIG, .n = 16, .ranks = 16, .threads = 1, .source = "-n", .unbound = "", .warning = ""},
    {BIG, .n = 20, .ranks = 20, .threads = 1, .source = "-n", .unbound = "", .warning = ""},
    {BIG, .n = 33, .ranks = 33, .threads = 1, .source = "-n", .unbound = "more ranks than", .warning = ""},
    {BIG, .n = 4, .is_none = true, .ranks = 4, .threads = 4, .source = "-n", .unbound = "", .warning = ""},
    {NULL, .n = 4, .t = 1, .is_none = true, .ranks = 4, .threads = 1, .source = "-n", .unbound = "",
     .warning = ""},
    /* A whole node by the batch system, and a part of one: others have the rest. */
    {BIG, .batch = GRANT("Torque", 16, 0, 16, "PBS_NODEFILE"), .ranks = 16, .threads = 1,
     .source = "PBS_NODEFILE of Torque", .unbound = "", .warning = ""},
    {BIG, .batch = GRANT("Torque", 4, 0, 4, "PBS_NODEFILE"), .ranks = 4, .threads = 1, .source = "Torque",
     .unbound = "granted fewer", .warning = ""},
    {BIG, .batch = GRANT("Torque", 4, 0, 4, "PBS_NODEFILE"), .is_share = true, .ranks = 4, .threads = 1,
     .source = "Torque", .unbound = "", .warning = ""},
    {BIG, .batch = GRANT("Torque", 4, 0, 4, "PBS_NODEFILE"), .n = 2, .ranks = 2, .threads = 2, .source = "-n",
     .unbound = "granted fewer", .warning = ""},
    /* -c 8 of one task, and -n of smrrun: the cores are shared out. */
    {BIG, .batch = GRANT("Slurm", 1, 8, 8, "SLURM_TASKS_PER_NODE"), .n = 8, .ranks = 8, .threads = 1,
     .source = "-n", .unbound = "granted fewer", .warning = ""},
    {BIG, .batch = GRANT("Slurm", 4, 4, 16, "SLURM_NTASKS"), .n = 2, .ranks = 2, .threads = 4, .source = "-n",
     .unbound = "", .warning = ""},
    /* smrrun as a task of srun. */
    {BIG, .batch = GRANT("Slurm", 0, 0, 16, ""), .ranks = 16, .threads = 1,
     .source = "16 cores granted by Slurm", .unbound = "", .warning = ""},
    {BIG, .batch = GRANT("Slurm", 0, 0, 16, ""), .t = 4, .ranks = 4, .threads = 4,
     .source = "16 cores granted by Slurm / threads", .unbound = "", .warning = ""},
    /* PBS Pro sets OMP_NUM_THREADS to NCPUS: ranks are counted without it, and who wants threads must say so. */
    {BIG, .omp = 16, .batch = GRANT("PBS Pro", 16, 0, 16, "NCPUS"), .ranks = 16, .threads = 0,
     .source = "NCPUS of PBS Pro", .unbound = "",
     .warning = "16 ranks of 16 threads each (OMP_NUM_THREADS) are more than the 16 cores here; give -t 1"},
    {BIG, .omp = 16, .batch = GRANT("PBS Pro", 16, 0, 16, "NCPUS"), .t = 1, .ranks = 16, .threads = 1,
     .source = "NCPUS of PBS Pro", .unbound = "", .warning = ""},
    {BIG, .omp = 4, .batch = GRANT("PBS Pro", 4, 0, 0, "PBS_NODEFILE"), .ranks = 4, .threads = 0,
     .source = "PBS_NODEFILE of PBS Pro", .unbound = "", .warning = ""},
    {BIG, .batch = GRANT("Slurm", 2, 8, 16, "SLURM_NTASKS"), .ranks = 2, .threads = 8, .source = "Slurm",
     .unbound = "", .warning = ""},
    {BIG, .batch = GRANT("Slurm", 0, 2, 4, ""), .ranks = 2, .threads = 2, .source = "4 cores",
     .unbound = "granted fewer", .warning = ""},
};

static void check(const struct row *row, int i)
{
    struct options options = {.n_ranks = row->n,
                              .n_threads = row->t,
                              .bind = row->is_none ? BINDING_NONE : BINDING_SHARE,
                              .is_bind_given = row->is_none || row->is_share};
    struct topology *topology = row->machine != NULL ? topology_load_synthetic(row->machine, NULL) : NULL;
    struct plan_machine machine = {
        .quota = row->quota, .has_omp_threads = row->omp > 0, .omp_threads = row->omp};
    struct plan plan;
    char message[256];

    /* As if it were here, or nobody would be bound by it. */
    if (topology != NULL)
        topology->is_this_machine = true;
    machine.topology = topology;
    test_int(0, plan_make(&plan, &options, &row->batch, &machine, message, sizeof message), "row %d", i);
    test_int(row->ranks, plan.n_ranks, "row %d: ranks", i);
    test_int(row->threads, plan.n_threads, "row %d: threads", i);
    test_has(row->source, plan.source, "row %d: the count's source", i);
    test_has(row->unbound, plan.unbound, "row %d: why not bound", i);
    test_ok((plan.unbound[0] != '\0') == (row->unbound[0] != '\0'), "row %d: said where it is so, only", i);
    test_has(row->warning, plan.warning, "row %d: the warning", i);
    test_ok((plan.warning[0] != '\0') == (row->warning[0] != '\0'), "row %d: and none else", i);
    test_ok((plan.binding != NULL) == (row->unbound[0] == '\0' && !row->is_none), "row %d: bound or not", i);
    plan_fini(&plan);
    topology_destroy(topology);
}

static void test_needs(void)
{
    struct batch none = {.n_nodes = 1}, slurm = GRANT("Slurm", 2, 8, 16, "SLURM_NTASKS");
    struct options unbound = {.n_ranks = 2, .n_threads = 1, .bind = BINDING_NONE};
    struct options uncounted = {.n_threads = 1, .bind = BINDING_NONE};
    struct options bound = {.n_ranks = 2, .n_threads = 1, .bind = BINDING_SHARE};

    struct options crowded = {.n_ranks = 5, .bind = BINDING_SHARE};
    struct plan_machine machine = {.n_pus = 4};
    struct plan plan;
    char message[256];

    test_ok(!plan_needs_topology(&unbound, &none, &machine), "ranks and threads given, unbound: no topology");
    test_ok(plan_needs_topology(&bound, &none, &machine), "to bind: yes");
    test_ok(plan_needs_topology(&uncounted, &none, &machine), "to count: yes");
    test_ok(!plan_needs_topology(&uncounted, &slurm, &machine), "counted by the batch system: no");
    test_ok(!plan_needs_topology(&crowded, &none, &machine), "more ranks than processors: no");
    plan_make(&plan, &crowded, &none, &machine, message, sizeof message);
    test_ok(plan.crowd > 0 && plan.binding == NULL && plan.n_threads == 1,
            "they have one thread each, unbound");
    plan_fini(&plan);
}

static void test_words(void)
{
    struct topology *topology = topology_load_synthetic(BIG, NULL);
    struct options options = {.n_ranks = 4, .bind = BINDING_SHARE};
    struct batch batch = {.n_nodes = 1};
    struct plan_machine machine = {.topology = topology};
    struct plan plan;
    char text[900], message[256];

    topology->is_this_machine = true;
    plan_make(&plan, &options, &batch, &machine, message, sizeof message);
    plan_describe_rank(&plan, topology, 0, text, sizeof text);
    test_str("cpus 0-7 (package 0 cores 0-3)", text, "the first rank in words");
    plan_describe_rank(&plan, topology, 3, text, sizeof text);
    test_str("cpus 24-31 (package 1 cores 4-7)", text, "the last one");
    plan_fini(&plan);
    topology_destroy(topology);
}

/* Threads by default: as many as a rank has cores, be these few by the order or since the others are slow. */
static void test_threads(void)
{
    static const struct {
        const char *machine;
        struct options options;
        int n_threads;
    } counts[] = {
        {NULL, {.n_ranks = 4, .bind = BINDING_SHARE}, 4},
        {NULL, {.n_ranks = 4, .bind = BINDING_SHARE, .map = BINDING_CLOSE}, 1},
        {NULL, {.n_ranks = 4, .bind = BINDING_SHARE, .map = BINDING_CLOSE, .cores = 2}, 2},
        {NULL, {.n_ranks = 4, .bind = BINDING_CORE}, 1},
        {NULL, {.n_ranks = 4, .bind = BINDING_PACKAGE}, 4},
        {NULL, {.n_ranks = 4, .bind = BINDING_CORE, .n_threads = 3}, 3},
        /* 16 cores, of which 6 are fast. */
        {"laptop", {.n_ranks = 3, .bind = BINDING_SHARE}, 2},
        {"laptop", {.n_ranks = 3, .bind = BINDING_SHARE, .n_threads = 5}, 5},
        {"laptop", {.n_ranks = 1, .bind = BINDING_SHARE}, 16},
    };
    const char *srcdir = getenv("srcdir");
    char path[4096], message[512];
    struct batch batch = {.n_nodes = 1};

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct plan_machine machine = {0};
        struct topology *topology;
        struct plan plan;

        snprintf(path, sizeof path, "%s/t/topologies/%s.xml", srcdir != NULL ? srcdir : ".",
                 counts[i].machine);
        topology =
            counts[i].machine != NULL ? topology_load_xml(path, NULL) : topology_load_synthetic(BIG, NULL);
        topology->is_this_machine = true;
        machine.topology = topology;
        test_int(0, plan_make(&plan, &counts[i].options, &batch, &machine, message, sizeof message),
                 "threads %zu", i);
        test_int(counts[i].n_threads, plan.n_threads, "so many");
        plan_fini(&plan);
        topology_destroy(topology);
    }
}

/* What --map-by and --smt count, and what does not fit. */
static const struct {
    struct options options;
    int n_ranks;         /* 0: refused */
    const char *message; /* a part of it */
    int cores_per_rank;
} maps[] = {
    {{.bind = BINDING_SHARE, .map = BINDING_BY_PACKAGE, .per_object = 3}, 6, NULL, 2},
    {{.bind = BINDING_SHARE, .map = BINDING_BY_PACKAGE, .per_object = 3, .cores = 1}, 6, NULL, 1},
    {{.bind = BINDING_SHARE, .map = BINDING_BY_PACKAGE, .per_object = 3, .cores = 3}, 0, "do not fit", 0},
    {{.bind = BINDING_SHARE, .map = BINDING_BY_PACKAGE, .per_object = 2, .n_ranks = 5},
     0,
     "--map-by: 5 ranks, 2 on",
     0},
    {{.bind = BINDING_SHARE, .map = BINDING_CLOSE, .cores = 5, .n_ranks = 4},
     0,
     "4 ranks of 5 cores each do not fit the 16 cores here; give PE=4, or fewer ranks",
     0},
    {{.bind = BINDING_SHARE, .map = BINDING_CLOSE, .cores = 4, .n_ranks = 4}, 4, NULL, 4},
    {{.bind = BINDING_SHARE, .use_smt = true}, 32, NULL, 0},
    {{.bind = BINDING_CORE}, 16, NULL, 1},
    {{.bind = BINDING_PACKAGE, .n_ranks = 2}, 2, NULL, 0},
    {{.bind = BINDING_SHARE, .stdin_rank = 16}, 0, "--stdin 16: there are ranks 0 to 15", 0},
};

static void test_maps(void)
{
    struct topology *topology = topology_load_synthetic(BIG, NULL);
    struct plan_machine machine = {.topology = topology, .n_pus = 32};
    struct batch batch = {.n_nodes = 1};

    topology->is_this_machine = true;
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        char message[512] = "";
        struct plan plan;
        int result = plan_make(&plan, &maps[i].options, &batch, &machine, message, sizeof message);

        test_int(maps[i].n_ranks > 0 ? 0 : -1, result, "map %zu: whether it can be made", i);
        test_has(maps[i].message != NULL ? maps[i].message : "", message, "and why not");
        if (result == 0) {
            test_int(maps[i].n_ranks, plan.n_ranks, "how many ranks");
            test_int(maps[i].cores_per_rank, plan.binding->cores_per_rank, "cores of their own");
        }
        plan_fini(&plan);
    }
    topology_destroy(topology);
}

int main(void)
{
    test_begin(30);
    test_maps();
    test_threads();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(&rows[i], (int)i);
    test_needs();
    test_words();
    return test_end();
}
