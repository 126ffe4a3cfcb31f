/* The topology, of this machine and of described ones. */
#include "host/topology.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/affinity.h"
#include "host/clock.h"
#include "tap.h"

/* How many there are by their ids; -1 where these do not count from 0 without gaps. */
struct counts {
    int packages, nodes, l3s, cores, pus;
};

/* Counts an id that is either the one before, or one seen, or the next. Returns whether it is one of them. */
static bool count_id(int id, int *n)
{
    if (id < 0 || id > *n)
        return false;
    *n += id == *n;
    return true;
}

static struct counts count_all(const struct topology *topology)
{
    struct counts counts = {0};

    for (int i = 0; i < topology->n_pus; i++) {
        const struct topology_pu *pu = &topology->pus[i];
        bool good = count_id(pu->package, &counts.packages) && count_id(pu->numa, &counts.nodes);

        good = good && count_id(pu->l3, &counts.l3s) && count_id(pu->core, &counts.cores);
        if (!good)
            return (struct counts){-1, -1, -1, -1, -1};
    }
    counts.pus = topology->n_pus;
    return counts;
}

static const struct {
    const char *description;
    struct counts counts;
} machines[] = {
    {"package:2 numa:2 l3:2 core:3 pu:2", {2, 4, 8, 24, 48}},
    {"package:2 l3:4 core:8 pu:1", {2, 1, 8, 64, 64}},
    /* Without an L3 the package stands for it, without a package the machine. */
    {"package:2 core:4 pu:2", {2, 1, 2, 8, 16}},
    {"numa:2 core:4 pu:1", {1, 2, 1, 8, 8}},
    {"core:4 pu:2", {1, 1, 1, 4, 8}},
    {"pu:4", {1, 1, 1, 4, 4}},
    /* Nodes inside of a package, as sub-NUMA clustering makes them. */
    {"package:2 numa:2 core:4 pu:1", {2, 4, 2, 8 * 2, 16}},
    {"package:1 l3:1 numa:2 core:4 pu:1", {1, 2, 1, 8, 8}},
    /* A node of slow memory for all, as a memory card makes it: nobody's nearest. */
    {"[numa] package:2 [numa] core:2 pu:2", {2, 2, 2, 4, 8}},
    /* Two kinds of memory for the same cores: the first is the nearest. */
    {"package:2 [numa] [numa] core:2 pu:1", {2, 2, 2, 4, 4}},
};

static void test_described(void)
{
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        const char *description = machines[i].description;
        const struct counts *expected = &machines[i].counts;
        struct topology *topology = topology_load_synthetic(description, NULL);
        struct counts got;

        if (!test_ok(topology != NULL, "%s is loaded", description))
            continue;
        got = count_all(topology);
        test_int(expected->packages, got.packages, "%s: packages", description);
        test_int(expected->nodes, got.nodes, "%s: NUMA nodes", description);
        test_int(expected->l3s, got.l3s, "%s: L3 caches", description);
        test_int(expected->cores, got.cores, "%s: cores", description);
        test_int(expected->pus, got.pus, "%s: processing units", description);
        test_int(expected->cores, topology->n_cores, "%s: n_cores", description);
        test_ok(!topology->is_this_machine, "%s is not this machine", description);
        topology_destroy(topology);
    }
}

static void test_failures(void)
{
    static sharedmem_error error;

    errno = 0;
    test_ok(topology_load_synthetic("castle:3", &error) == NULL && errno != 0,
            "a bad description is refused");
    test_int(SHAREDMEM_ERROR_SYSTEM, error.kind, "its kind");
    test_has("hwloc", error.message, "its message");
    errno = 0;
    test_ok(topology_load_xml("/no/such/file.xml", &error) == NULL && errno != 0,
            "a file that is not there is refused");
    errno = ERANGE;
    topology_destroy(NULL);
    test_int(ERANGE, errno, "destroying nothing keeps errno");
}

/* A processor with two kinds of cores: two big ones with two processing units, four small ones with one. */
static void test_xml(void)
{
    const char *srcdir = getenv("srcdir");
    struct topology *topology;
    struct counts counts;
    char path[4096];

    snprintf(path, sizeof path, "%s/t/topologies/hybrid.xml", srcdir != NULL ? srcdir : ".");
    topology = topology_load_xml(path, NULL);
    if (!test_ok(topology != NULL, "XML is loaded"))
        return;
    counts = count_all(topology);
    test_int(6, counts.cores, "two big cores and four small ones");
    test_int(8, counts.pus, "with two and one processing units");
    test_int(1, topology->pus[1].os_index, "os_index of a big core's second one");
    test_int(0, topology->pus[1].core, "which is of the first core");
    topology_destroy(topology);
}

/* What loads of this machine are limited to, and without it. */
static void test_this_machine(void)
{
    size_t bytes = 0;
    cpu_set_t *allowed = affinity_read(&bytes);
    struct topology *whole, *mine, *first;
    uint64_t start = clock_monotonic_ns();

    whole = topology_load(NULL, 0, NULL);
    test_note("the first load took %.2f ms", (double)(clock_monotonic_ns() - start) / 1e6);
    start = clock_monotonic_ns();
    mine = topology_load(allowed, bytes, NULL);
    test_note("the second load took %.2f ms", (double)(clock_monotonic_ns() - start) / 1e6);
    if (!test_ok(whole != NULL && mine != NULL && allowed != NULL, "this machine is loaded"))
        return;
    test_ok(whole->is_this_machine, "it is this machine");
    test_ok(mine->n_pus <= whole->n_pus, "the mask does not add processors");
    test_int(CPU_COUNT_S(bytes, allowed), mine->n_pus, "all allowed processors are there");
    test_int(mine->n_pus, count_all(mine).pus, "its ids have no gaps");

    CPU_ZERO_S(bytes, allowed);
    CPU_SET_S((size_t)mine->pus[mine->n_pus - 1].os_index, bytes, allowed);
    first = topology_load(allowed, bytes, NULL);
    if (test_ok(first != NULL, "it is loaded with one processor")) {
        test_int(1, first->n_pus, "one is left");
        test_int(1, first->n_cores, "on one core");
        test_int(mine->pus[mine->n_pus - 1].os_index, first->pus[0].os_index, "the one that was allowed");
        test_int(0, first->pus[0].core, "its core is the first of what is allowed");
    }
    topology_destroy(first);
    topology_destroy(mine);
    topology_destroy(whole);
    CPU_FREE(allowed);
}

static void test_nothing_allowed(void)
{
    static sharedmem_error error;
    struct topology *other;
    cpu_set_t none;

    CPU_ZERO(&none);
    test_ok(topology_load(&none, sizeof none, &error) == NULL, "no processor allowed: no topology");
    test_int(ENODEV, errno, "errno");
    test_int(ENODEV, error.code, "the error's code");
    setenv("HWLOC_SYNTHETIC", "package:1 core:3 pu:1", 1);
    other = topology_load(&none, sizeof none, NULL);
    unsetenv("HWLOC_SYNTHETIC");
    if (test_ok(other != NULL, "HWLOC_SYNTHETIC is honoured"))
        test_int(3, other->n_pus, "and the mask says nothing of that machine");
    topology_destroy(other);
}

int main(void)
{
    test_begin(60);
    unsetenv("HWLOC_SYNTHETIC");
    unsetenv("HWLOC_XMLFILE");
    test_described();
    test_failures();
    test_xml();
    test_this_machine();
    test_nothing_allowed();
    return test_end();
}
