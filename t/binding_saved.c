/*
 * Binding on saved machines of real kinds: two packages of 64 cores with an L3 for each 8, sub-NUMA clusters, many
 * Arm cores beside memory without processors, and fast memory and a memory card as nodes of their own. All requests
 * by what must hold; and that no rank crosses a cache or a node when it need not.
 */
#include <stdlib.h>

#include "binding_checks.h"

static const struct {
    const char *name;
    int packages, nodes, l3s, cores, pus; /* nodes: those that a processor is near */
} machines[] = {
    {"two-by-64", 2, 2, 16, 128, 256},
    {"sub-numa", 2, 8, 2, 80, 160},
    {"arm-72", 1, 1, 1, 72, 72},
    {"memory-only", 2, 8, 2, 48, 48},
};

static struct topology *load(const char *name)
{
    const char *srcdir = getenv("srcdir");
    char path[4096];

    snprintf(path, sizeof path, "%s/t/topologies/%s.xml", srcdir != NULL ? srcdir : ".", name);
    return topology_load_xml(path, NULL);
}

static void test_shape(size_t i, const struct topology *topology)
{
    test_int(machines[i].packages, binding_count_objects(topology, BINDING_BY_PACKAGE), "%s: packages",
             machines[i].name);
    test_int(machines[i].nodes, binding_count_objects(topology, BINDING_BY_NUMA), "%s: nodes",
             machines[i].name);
    test_int(machines[i].l3s, binding_count_objects(topology, BINDING_BY_L3), "%s: caches", machines[i].name);
    test_int(machines[i].cores, topology->n_cores, "%s: cores", machines[i].name);
    test_int(machines[i].pus, topology->n_pus, "%s: processing units", machines[i].name);
}

/* ---- Crossing, siblings ---- */

/* How many shares of so many cores fit into the objects of this kind; all objects of these machines are alike. */
static int room(const struct topology *topology, int kind, int cores)
{
    int n_objects = binding_count_objects(topology, (enum binding_map)kind);

    return n_objects * (topology->n_cores / n_objects / cores);
}

/* How many ranks have processing units of more than one object of this kind. */
static int count_crossings(const struct subject *subject, int kind)
{
    const struct topology_pu *first, *pu;
    int n = 0;

    for (int rank = 0; rank < subject->plan->n_ranks; rank++) {
        bool crosses = false;

        first = pu_of(subject, subject->plan, rank, 0);
        for (int i = 1; (pu = pu_of(subject, subject->plan, rank, i)) != NULL; i++)
            crosses = crosses || domain_of(pu, kind) != domain_of(first, kind);
        n += crosses;
    }
    return n;
}

/* Whole cores: siblings stay together. */
static bool has_siblings(const struct subject *subject)
{
    for (int rank = 0; rank < subject->plan->n_ranks; rank++) {
        for (int i = 0; i < subject->topology->n_pus; i++) {
            const struct topology_pu *pu = &subject->topology->pus[i], *mine;
            bool is_of_mine = false;

            for (int k = 0; (mine = pu_of(subject, subject->plan, rank, k)) != NULL; k++)
                is_of_mine = is_of_mine || mine->core == pu->core;
            if (is_of_mine && !has(subject->plan, rank, pu))
                return false;
        }
    }
    return true;
}

/* What holds of n equal shares. NULL, or what does not. */
static const char *check_shares(const struct topology *topology, enum binding_map map, int n)
{
    static const int kinds[] = {BINDING_BY_L3, BINDING_BY_NUMA, BINDING_BY_PACKAGE};
    struct binding_request request = {.n_ranks = n, .policy = BINDING_SHARE, .map = map};
    struct binding_plan *plan = binding_plan_make(topology, &request);
    struct subject subject = {topology, request, plan, plan};
    const char *wrong = NULL;

    if (plan == NULL)
        return map >= BINDING_BY_L3 && errno == ENOSPC ? NULL : "it can be made";
    if (plan->cores_per_rank == 0 && n <= topology->n_cores)
        wrong = "ranks have cores of their own";
    for (size_t i = 0; i < COUNT_OF(kinds) && plan->cores_per_rank > 0 && wrong == NULL; i++) {
        if (room(topology, kinds[i], plan->cores_per_rank) >= n && count_crossings(&subject, kinds[i]) > 0)
            wrong = "nobody crosses a border where all fit in without";
    }
    if (wrong == NULL && n <= topology->n_cores && !has_siblings(&subject))
        wrong = "siblings stay together";
    binding_plan_destroy(plan);
    return wrong;
}

static void test_borders(const char *name, const struct topology *topology)
{
    static const enum binding_map orders[] = {BINDING_SPREAD, BINDING_CLOSE, BINDING_BY_NUMA};

    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        const char *wrong = NULL;
        int n = 0;

        while (wrong == NULL && n < topology->n_cores) {
            n += test_under_valgrind() ? 23 : n < 12 || n % 16 == 15 ? 1 : 5;
            wrong = check_shares(topology, orders[i], n);
        }
        test_str(NULL, wrong, "%s: borders by %s, to %d ranks", name, map_names[orders[i]], n);
    }
}

/* ---- By hand ---- */

static const struct {
    const char *machine;
    int n_ranks;
    enum binding_map map;
    int rank;
    const char *row;
} rows[] = {
    {"two-by-64", 16, BINDING_SPREAD, 1, "8-15,136-143"},
    {"two-by-64", 2, BINDING_SPREAD, 1, "64-127,192-255"},
    {"two-by-64", 32, BINDING_SPREAD, 31, "124-127,252-255"},
    {"two-by-64", 16, BINDING_BY_PACKAGE, 1, "64-71,192-199"},
    {"sub-numa", 8, BINDING_SPREAD, 2, "20-29,100-109"},
    {"sub-numa", 8, BINDING_BY_NUMA, 7, "70-79,150-159"},
    {"arm-72", 8, BINDING_SPREAD, 7, "63-71"},
    {"arm-72", 72, BINDING_SPREAD, 71, "71"},
    {"memory-only", 8, BINDING_BY_NUMA, 5, "30-35"},
    {"memory-only", 4, BINDING_SPREAD, 3, "36-47"},
};

static void test_rows(void)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct topology *topology = load(rows[i].machine);
        struct binding_request request = {
            .n_ranks = rows[i].n_ranks, .policy = BINDING_SHARE, .map = rows[i].map};
        struct binding_plan *plan = topology != NULL ? binding_plan_make(topology, &request) : NULL;
        char text[256] = "";

        if (plan != NULL)
            binding_format(plan, rows[i].rank, text, sizeof text);
        test_str(rows[i].row, text, "%s: rank %d of %d by %s", rows[i].machine, rows[i].rank, rows[i].n_ranks,
                 map_names[rows[i].map]);
        binding_plan_destroy(plan);
        topology_destroy(topology);
    }
}

/* The nodes near processors are those that the kernel counts first: memory alone is nobody's. */
static void test_memory_only(void)
{
    struct topology *topology = load("memory-only");

    for (int i = 0; topology != NULL && i < topology->n_nodes; i++)
        test_int(i, topology->nodes[i], "memory-only: node %d", i);
    topology_destroy(topology);
}

int main(void)
{
    test_begin(60);
    unsetenv("HWLOC_XMLFILE");
    for (size_t i = 0; i < COUNT_OF(machines); i++) {
        struct topology *topology = load(machines[i].name);

        if (!test_ok(topology != NULL, "%s is loaded", machines[i].name))
            continue;
        test_shape(i, topology);
        test_borders(machines[i].name, topology);
        for (enum binding_policy policy = BINDING_SHARE; policy <= BINDING_PACKAGE; policy++) {
            for (enum binding_map map = BINDING_SPREAD; map <= BINDING_BY_PACKAGE; map++)
                binding_test_cases(machines[i].name, topology, policy, map);
        }
        topology_destroy(topology);
    }
    test_rows();
    test_memory_only();
    return test_end();
}
