/* Which bytes lie on which NUMA nodes: fixed plans for a few machines, and what holds for all. */
#include "run/place_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define PAGE            ((size_t)4096)

/* ---- Plans as text: "0-8:1 8-16:0,1", begin and end in pages, then the nodes; "touch" for none ---- */

static const char *format(const struct place_plan *plan)
{
    static char text[4096];
    size_t length = 0;

    text[0] = '\0';
    for (int i = 0; i < plan->n_areas && length < sizeof text; i++) {
        const struct place_area *area = &plan->areas[i];

        length += (size_t)snprintf(text + length, sizeof text - length, "%s%zu-%zu:%s", i > 0 ? " " : "",
                                   area->begin / PAGE, area->end / PAGE, area->n_nodes == 0 ? "touch" : "");
        for (int k = 0; k < area->n_nodes && length < sizeof text; k++)
            length += (size_t)snprintf(text + length, sizeof text - length, "%s%d", k > 0 ? "," : "",
                                       plan->nodes[area->first_node + k]);
    }
    return text;
}

static const struct {
    const char *machine;
    int n_ranks;
    bool is_bound;
    enum sharedmem_placement how;
    size_t n_pages;
    int n_spread;
    const char *expected;
} plans[] = {
    /* One node, or one that all ranks are near to: there is nothing to choose. */
    {"package:2 core:4 pu:1", 4, true, SHAREDMEM_BY_RANK, 64, 1, ""},
    {"package:2 core:4 pu:1", 4, true, SHAREDMEM_INTERLEAVE, 64, 1, ""},
    {"numa:2 core:4 pu:1", 1, true, SHAREDMEM_FIRST_TOUCH, 64, 2, "0-64:touch"},
    {"numa:2 core:4 pu:1", 2, true, SHAREDMEM_FIRST_TOUCH, 64, 2, "0-64:touch"},
    {"numa:2 core:4 pu:1", 2, true, SHAREDMEM_INTERLEAVE, 64, 2, "0-64:0,1"},
    {"numa:2 core:4 pu:1", 2, true, SHAREDMEM_BY_RANK, 64, 2, "0-32:0 32-64:1"},
    /* Ranks of one node follow each other: their slices are one area. */
    {"numa:2 core:4 pu:1", 8, true, SHAREDMEM_BY_RANK, 64, 2, "0-32:0 32-64:1"},
    {"numa:2 core:4 pu:1", 3, true, SHAREDMEM_BY_RANK, 60, 2, "0-40:0 40-60:1"},
    {"package:2 numa:2 core:2 pu:2", 4, true, SHAREDMEM_BY_RANK, 64, 4, "0-16:0 16-32:1 32-48:2 48-64:3"},
    {"package:2 numa:2 core:2 pu:2", 4, true, SHAREDMEM_INTERLEAVE, 64, 4, "0-64:0,1,2,3"},
    /* A share over several nodes: their pages in turn. */
    {"package:2 numa:2 core:2 pu:2", 2, true, SHAREDMEM_BY_RANK, 64, 4, "0-32:0,1 32-64:2,3"},
    /* Nobody is bound: anybody may be anywhere. */
    {"numa:2 core:4 pu:1", 2, false, SHAREDMEM_BY_RANK, 64, 2, "0-64:0,1"},
    {"numa:2 core:4 pu:1", 2, false, SHAREDMEM_INTERLEAVE, 64, 2, "0-64:0,1"},
    /* More ranks than processors share their rows in turn. */
    {"numa:2 core:1 pu:1", 4, true, SHAREDMEM_BY_RANK, 64, 2, "0-16:0 16-32:1 32-48:0 48-64:1"},
    /* Fewer pages than ranks: a page goes to the rank that begins it. */
    {"numa:2 core:4 pu:1", 8, true, SHAREDMEM_BY_RANK, 2, 2, "0-1:0 1-2:1"},
    {"numa:2 core:4 pu:1", 8, true, SHAREDMEM_BY_RANK, 1, 2, "0-1:0"},
    {"numa:2 core:4 pu:1", 8, true, SHAREDMEM_BY_RANK, 0, 2, ""},
    /* A node of slow memory, the third as the kernel counts, is nobody's nearest. */
    {"[numa] package:2 [numa] core:2 pu:2", 2, true, SHAREDMEM_BY_RANK, 64, 2, "0-32:0 32-64:1"},
};

static struct binding_plan *bind(const struct topology *topology, int n_ranks)
{
    int n = n_ranks < topology->n_pus ? n_ranks : topology->n_pus;

    return binding_plan_create(topology, n, BINDING_SHARE);
}

static void test_fixed(void)
{
    for (size_t i = 0; i < COUNT_OF(plans); i++) {
        struct topology *topology = topology_load_synthetic(plans[i].machine, NULL);
        struct binding_plan *binding = plans[i].is_bound ? bind(topology, plans[i].n_ranks) : NULL;
        struct place_plan *plan = place_plan_create(topology, binding, plans[i].n_ranks, plans[i].how,
                                                    plans[i].n_pages * PAGE, PAGE);

        test_str(plans[i].expected, format(plan), "%s, %d ranks, %s, how %d: %zu pages", plans[i].machine,
                 plans[i].n_ranks, plans[i].is_bound ? "bound" : "unbound", (int)plans[i].how,
                 plans[i].n_pages);
        test_int(plans[i].n_spread, plan->n_spread, "over so many nodes");
        place_plan_destroy(plan);
        binding_plan_destroy(binding);
        topology_destroy(topology);
    }
}

/* ---- What must hold ---- */

/* The area that has a byte, or NULL where not exactly one does. */
static const struct place_area *area_of(const struct place_plan *plan, size_t byte)
{
    const struct place_area *found = NULL;

    for (int i = 0; i < plan->n_areas; i++) {
        if (byte < plan->areas[i].begin || byte >= plan->areas[i].end)
            continue;
        if (found != NULL)
            return NULL;
        found = &plan->areas[i];
    }
    return found;
}

static bool has_node(const struct place_plan *plan, const struct place_area *area, int node)
{
    for (int i = 0; i < area->n_nodes; i++) {
        if (plan->nodes[area->first_node + i] == node)
            return true;
    }
    return false;
}

/* Whether the middle of each rank's part is on the nodes of its processors, and on no others. */
static const char *check_ranks(const struct topology *topology, const struct binding_plan *binding,
                               const struct place_plan *plan, int n_ranks, size_t bytes)
{
    for (int rank = 0; rank < n_ranks; rank++) {
        sharedmem_range part = sharedmem_part(bytes, rank, n_ranks);
        const struct place_area *area = area_of(plan, (part.begin + part.end) / 2);
        const int *row = binding->pus + (size_t)(rank % binding->n_ranks) * (size_t)binding->width;
        bool is_used[64] = {false};
        int n_used = 0;

        if (area == NULL)
            return "each byte is in one area";
        for (int i = 0; i < topology->n_pus; i++) {
            const struct topology_pu *pu = &topology->pus[i];
            bool is_ranks = false;

            for (int k = 0; k < binding->width; k++)
                is_ranks |= row[k] == pu->os_index;
            if (!is_ranks)
                continue;
            if (!has_node(plan, area, topology->nodes[pu->numa]))
                return "a rank's part is on its own nodes";
            n_used += !is_used[pu->numa];
            is_used[pu->numa] = true;
        }
        if (n_used != area->n_nodes)
            return "and on no others";
    }
    return NULL;
}

static const char *check_areas(const struct place_plan *plan, size_t bytes, size_t unit)
{
    size_t at = 0;

    for (int i = 0; i < plan->n_areas; i++) {
        const struct place_area *area = &plan->areas[i];

        if (area->begin != at || area->end <= area->begin || area->begin % unit != 0)
            return "areas follow each other, in units";
        at = area->end;
    }
    return at == bytes ? NULL : "they are all bytes";
}

static void test_invariants(void)
{
    static const char *const all[] = {
        "numa:2 core:4 pu:1",           "package:2 numa:2 l3:2 core:3 pu:2",
        "package:4 [numa] core:6 pu:2", "package:1 l3:1 numa:2 core:4 pu:1",
        "package:8 numa:1 core:8 pu:2", "package:2 numa:4 core:2 pu:1",
    };
    static const size_t units[] = {PAGE, (size_t)2 << 20};
    int n_checked = 0;

    for (size_t m = 0; m < COUNT_OF(all); m++) {
        struct topology *topology = topology_load_synthetic(all[m], NULL);
        const char *broken = NULL;

        for (int n = 1; n <= topology->n_pus && broken == NULL; n++) {
            struct binding_plan *binding = bind(topology, n);

            for (size_t u = 0; u < COUNT_OF(units) && broken == NULL; u++) {
                size_t bytes = (size_t)n * 8 * units[u] + 3 * units[u];
                struct place_plan *plan =
                    place_plan_create(topology, binding, n, SHAREDMEM_BY_RANK, bytes, units[u]);

                if (plan->n_spread > 1) {
                    broken = check_areas(plan, bytes, units[u]);
                    if (broken == NULL)
                        broken = check_ranks(topology, binding, plan, n, bytes);
                    n_checked++;
                }
                place_plan_destroy(plan);
            }
            binding_plan_destroy(binding);
        }
        test_str(NULL, broken, "%s: what must hold", all[m]);
        topology_destroy(topology);
    }
    test_ok(n_checked > 200, "%d plans were looked at", n_checked);
}

int main(void)
{
    test_begin(60);
    test_fixed();
    test_invariants();
    place_plan_destroy(NULL);
    return test_end();
}
