/*
 * Binding by request: every policy and order on many machines with every number of ranks, by what must hold; and
 * plans that were thought out by hand.
 */
#include <stdlib.h>

#include "binding_checks.h"

static const char *const machines[] = {
    "pu:1",
    "core:4 pu:1",
    "package:1 core:7 pu:4",
    "package:2 core:3 pu:1",
    "package:2 l3:2 core:4 pu:2",
    "package:2 l3:5 core:3 pu:2",
    "package:1 numa:4 l3:2 core:4 pu:2",
    "package:2 numa:2 l3:4 core:4 pu:1",
    "numa:2 package:2 core:3 pu:2",
    "package:1 l3:1 core:16 pu:1",
};

static void test_machines(void)
{
    for (size_t i = 0; i < COUNT_OF(machines); i++) {
        struct topology *topology = topology_load_synthetic(machines[i], NULL);

        for (enum binding_policy policy = BINDING_SHARE; policy <= BINDING_PACKAGE; policy++) {
            for (enum binding_map map = BINDING_SPREAD; map <= BINDING_BY_PACKAGE; map++)
                binding_test_cases(machines[i], topology, policy, map);
        }
        topology_destroy(topology);
    }
}

/* ---- By hand ---- */

static const struct {
    const char *machine;
    struct binding_request request;
    const char *plan;
} plans[] = {
    {"package:2 core:4 pu:1", {3, BINDING_SHARE, BINDING_CLOSE, 0, 0, false, 0}, "0 1 2"},
    {"package:2 core:4 pu:1", {3, BINDING_SHARE, BINDING_CLOSE, 2, 0, false, 0}, "0-1 2-3 4-5"},
    /* A share of three that would cross goes to the next package. */
    {"package:2 core:4 pu:1", {2, BINDING_SHARE, BINDING_CLOSE, 3, 0, false, 0}, "0-2 4-6"},
    {"package:2 core:4 pu:1", {4, BINDING_SHARE, BINDING_BY_PACKAGE, 0, 0, false, 0}, "0-1 4-5 2-3 6-7"},
    {"package:2 core:4 pu:1", {3, BINDING_SHARE, BINDING_BY_PACKAGE, 1, 0, false, 0}, "0 4 1"},
    {"package:2 core:3 pu:1", {3, BINDING_SHARE, BINDING_BY_PACKAGE, 0, 0, false, 0}, "0 3 1"},
    {"package:2 core:4 pu:1", {4, BINDING_SHARE, BINDING_BY_PACKAGE, 0, 2, false, 0}, "0-1 2-3 4-5 6-7"},
    {"package:2 core:4 pu:1", {3, BINDING_SHARE, BINDING_BY_PACKAGE, 1, 2, false, 0}, "0 1 4"},
    {"package:2 core:4 pu:1", {4, BINDING_PACKAGE, BINDING_SPREAD, 0, 0, false, 0}, "0-3 0-3 4-7 4-7"},
    {"package:2 core:4 pu:1", {2, BINDING_CORE, BINDING_SPREAD, 0, 0, false, 0}, "0 4"},
    {"package:2 core:4 pu:1", {2, BINDING_CORE, BINDING_SPREAD, 2, 0, false, 0}, "0-1 4-5"},
    {"package:2 core:2 pu:2", {4, BINDING_PU, BINDING_SPREAD, 0, 0, false, 0}, "0 2 4 6"},
    {"package:2 core:2 pu:2", {4, BINDING_SHARE, BINDING_SPREAD, 0, 0, true, 0}, "0-1 2-3 4-5 6-7"},
    {"package:2 core:2 pu:2", {3, BINDING_SHARE, BINDING_CLOSE, 0, 0, true, 0}, "0 1 2"},
    {"package:2 l3:2 core:4 pu:1", {4, BINDING_L3, BINDING_BY_L3, 0, 0, false, 0}, "0-3 4-7 8-11 12-15"},
    {"package:2 l3:2 core:4 pu:1",
     {6, BINDING_SHARE, BINDING_BY_L3, 2, 0, false, 0},
     "0-1 4-5 8-9 12-13 2-3 6-7"},
};

static void test_plans(void)
{
    for (size_t i = 0; i < COUNT_OF(plans); i++) {
        struct topology *topology = topology_load_synthetic(plans[i].machine, NULL);
        struct binding_plan *plan = binding_plan_make(topology, &plans[i].request);
        char text[256] = "";
        size_t length = 0;

        for (int rank = 0; plan != NULL && rank < plan->n_ranks; rank++) {
            if (rank > 0)
                text[length++] = ' ';
            length += (size_t)binding_format(plan, rank, text + length, sizeof text - length);
        }
        test_str(plans[i].plan, text, "%s: %d ranks, %s by %s", plans[i].machine, plans[i].request.n_ranks,
                 policy_names[plans[i].request.policy], map_names[plans[i].request.map]);
        binding_plan_destroy(plan);
        topology_destroy(topology);
    }
}

int main(void)
{
    test_begin(60);
    test_plans();
    test_machines();
    return test_end();
}
