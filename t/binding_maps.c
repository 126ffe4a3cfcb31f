/*
 * Binding by request: every policy and order on many machines with every number of ranks, by what must hold; and
 * plans that were thought out by hand.
 */
#include "host/binding.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* A plan, what it was made from, and which rank has which processing unit of the topology. */
struct subject {
    const struct topology *topology;
    struct binding_request request;
    const struct binding_plan *plan;
    const struct binding_plan *shares; /* of the same request by SHARE */
};

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

static const char *const policy_names[] = {"none", "share", "core", "pu", "l3", "numa", "package"};
static const char *const map_names[] = {"spread", "close", "l3", "numa", "package"};

/* ---- Looking at rows ---- */

/* Where os_index stands in the topology. */
static int place_of(const struct topology *topology, int os_index)
{
    int i = 0;

    while (topology->pus[i].os_index != os_index)
        i++;
    return i;
}

static const struct topology_pu *pu_of(const struct subject *subject, const struct binding_plan *plan,
                                       int rank, int i)
{
    int os_index = i < plan->width ? plan->pus[rank * plan->width + i] : -1;

    return os_index >= 0 ? &subject->topology->pus[place_of(subject->topology, os_index)] : NULL;
}

static int domain_of(const struct topology_pu *pu, int kind)
{
    return kind == BINDING_BY_L3 ? pu->l3 : kind == BINDING_BY_NUMA ? pu->numa : pu->package;
}

static bool has(const struct subject *subject, const struct binding_plan *plan, int rank,
                const struct topology_pu *wanted)
{
    const struct topology_pu *pu;

    for (int i = 0; (pu = pu_of(subject, plan, rank, i)) != NULL; i++) {
        if (pu == wanted)
            return true;
    }
    return false;
}

/* ---- What must hold. Each returns NULL, or what does not ---- */

static const char *check_rows(const struct subject *subject)
{
    for (int rank = 0; rank < subject->plan->n_ranks; rank++) {
        const int *row = subject->plan->pus + rank * subject->plan->width;

        if (row[0] < 0)
            return "no row is empty";
        for (int i = 1; i < subject->plan->width && row[i] >= 0; i++) {
            if (row[i] <= row[i - 1])
                return "rows rise";
        }
    }
    return NULL;
}

/* Shares, cores and processing units are each rank's own. */
static const char *check_apart(const struct subject *subject)
{
    const struct topology_pu *pu;

    if (subject->request.policy >= BINDING_L3)
        return NULL;
    for (int i = 0; i < subject->topology->n_pus; i++) {
        int owners = 0;

        pu = &subject->topology->pus[i];
        for (int rank = 0; rank < subject->plan->n_ranks; rank++)
            owners += has(subject, subject->plan, rank, pu);
        if (owners > 1)
            return "no processing unit is two ranks'";
    }
    return NULL;
}

static int count_cores(const struct subject *subject, int rank)
{
    const struct topology_pu *pu;
    int n = 0, last = -1;

    for (int core = 0; core < subject->topology->n_cores; core++) {
        for (int i = 0; (pu = pu_of(subject, subject->plan, rank, i)) != NULL; i++) {
            if (pu->core == core && last != core) {
                n++;
                last = core;
            }
        }
    }
    return n;
}

static const char *check_equal(const struct subject *subject)
{
    const struct binding_request *request = &subject->request;
    bool by_core = request->n_ranks <= subject->topology->n_cores && !request->use_smt;

    for (int rank = 0; rank < subject->plan->n_ranks && by_core; rank++) {
        int cores = count_cores(subject, rank);

        if (request->policy == BINDING_SHARE && cores != count_cores(subject, 0))
            return "shares are equally large";
        if (request->policy == BINDING_SHARE && request->cores > 0 && cores != request->cores)
            return "shares are as large as was asked for";
        if (request->policy == BINDING_CORE && cores != (request->cores > 0 ? request->cores : 1))
            return "a core is one core";
        if (request->policy == BINDING_PU && cores != 1)
            return "a processing unit is of one core";
    }
    return NULL;
}

/* Other policies bind to part of the share, or to what is around its first core, or the cores asked for. */
static const char *check_around(const struct subject *subject)
{
    bool is_inside = subject->request.policy < BINDING_L3;
    const struct binding_plan *inner = is_inside ? subject->plan : subject->shares;
    const struct binding_plan *outer = is_inside ? subject->shares : subject->plan;
    const struct topology_pu *pu;

    for (int rank = 0; rank < subject->plan->n_ranks; rank++) {
        for (int i = 0; (pu = pu_of(subject, inner, rank, i)) != NULL; i++) {
            if (!is_inside && subject->request.cores == 0 && i > 0)
                break;
            if (!has(subject, outer, rank, pu))
                return "a rank is bound to its share, a part of it, or what is around it";
        }
    }
    return NULL;
}

/* Who is bound to a cache, node or package has all of it. */
static const char *check_whole(const struct subject *subject)
{
    static const int kinds[] = {[BINDING_L3] = BINDING_BY_L3,
                                [BINDING_NUMA] = BINDING_BY_NUMA,
                                [BINDING_PACKAGE] = BINDING_BY_PACKAGE};
    const struct topology_pu *mine;

    if (subject->request.policy < BINDING_L3)
        return NULL;
    for (int rank = 0; rank < subject->plan->n_ranks; rank++) {
        mine = pu_of(subject, subject->plan, rank, 0);
        for (int i = 0; i < subject->topology->n_pus; i++) {
            const struct topology_pu *pu = &subject->topology->pus[i];
            int kind = kinds[subject->request.policy];

            if (domain_of(pu, kind) == domain_of(mine, kind) && !has(subject, subject->plan, rank, pu))
                return "all of a cache, node or package";
        }
    }
    return NULL;
}

/* By objects: no share crosses one; they are used evenly, or one after the other; in turn. */
static const char *check_objects(const struct subject *subject)
{
    int kind = subject->request.map, counts[64] = {0}, least = subject->plan->n_ranks, most = 0, before = -1;
    int n_objects;
    const struct topology_pu *pu;

    if (kind < BINDING_BY_L3 || subject->request.policy != BINDING_SHARE)
        return NULL;
    n_objects = binding_count_objects(subject->topology, (enum binding_map)kind);
    for (int rank = 0; rank < subject->plan->n_ranks; rank++) {
        int object = domain_of(pu_of(subject, subject->plan, rank, 0), kind);

        for (int i = 0; (pu = pu_of(subject, subject->plan, rank, i)) != NULL; i++) {
            if (domain_of(pu, kind) != object)
                return "no share crosses an object";
        }
        counts[object]++;
        if (subject->request.per_object > 0 ? object < before : object != (before + 1) % n_objects)
            return "objects follow each other";
        before = object;
    }
    for (int object = 0; object < n_objects; object++) {
        least = counts[object] < least ? counts[object] : least;
        most = counts[object] > most ? counts[object] : most;
    }
    if (subject->request.per_object > 0)
        return most <= subject->request.per_object ? NULL : "no object has more than it may";
    return most - least <= 1 ? NULL : "objects are used evenly";
}

/* Close: side by side in the order of the machine. */
static const char *check_close(const struct subject *subject)
{
    int last = -1;

    if (subject->request.map != BINDING_CLOSE || subject->request.policy != BINDING_SHARE)
        return NULL;
    for (int rank = 0; rank < subject->plan->n_ranks; rank++) {
        int place = (int)(pu_of(subject, subject->plan, rank, 0) - subject->topology->pus);

        if (place <= last)
            return "ranks follow each other as processing units do";
        last = place;
    }
    return NULL;
}

static const char *check(const struct subject *subject)
{
    static const char *(*const checks[])(const struct subject *subject) = {
        check_rows, check_apart, check_equal, check_around, check_whole, check_objects, check_close};
    const char *wrong = NULL;

    for (size_t i = 0; i < COUNT_OF(checks) && wrong == NULL; i++)
        wrong = checks[i](subject);
    return wrong;
}

/* What may be refused: more cores than there are, or more ranks than the objects have room for. */
static const char *check_refusal(const struct topology *topology, const struct binding_request *request,
                                 int code)
{
    int cores = request->cores > 0 ? request->cores : 1, room = 0;

    if (code != ENOSPC)
        return "the reason is ENOSPC";
    if (request->cores * request->n_ranks > topology->n_cores)
        return NULL;
    for (int i = 0, own = 0; i < topology->n_pus && request->map >= BINDING_BY_L3; i++) {
        const struct topology_pu *pu = &topology->pus[i];
        bool is_last = i == topology->n_pus - 1 ||
                       domain_of(pu, (int)request->map) != domain_of(pu + 1, (int)request->map);

        own += i == 0 || pu->core != topology->pus[i - 1].core;
        if (!is_last)
            continue;
        own /= cores;
        room += request->per_object > 0 && own > request->per_object ? request->per_object : own;
        own = 0;
    }
    return request->map >= BINDING_BY_L3 && room < request->n_ranks ? NULL : "nothing else is refused";
}

/* ---- All of them ---- */

static const char *check_request(const struct topology *topology, struct binding_request request)
{
    struct binding_plan *plan = binding_plan_make(topology, &request), *shares;
    struct subject subject = {topology, request, plan, NULL};
    const char *wrong;

    if (plan == NULL)
        return check_refusal(topology, &request, errno);
    request.policy = BINDING_SHARE;
    shares = binding_plan_make(topology, &request);
    subject.shares = shares;
    wrong = plan->width == 0 ? (request.n_ranks > topology->n_pus ? NULL : "it is bound") : check(&subject);
    binding_plan_destroy(shares);
    binding_plan_destroy(plan);
    return wrong;
}

/* One line for a machine, policy and order: all numbers of ranks, cores and ranks an object. */
static void test_cases(const char *machine, const struct topology *topology, enum binding_policy policy,
                       enum binding_map map)
{
    const char *wrong = NULL;
    int n_cases = 0;

    for (int n = 1; n <= topology->n_pus + 1 && wrong == NULL; n += n < 9 ? 1 : 5) {
        for (int cores = 0; cores <= 3 && wrong == NULL; cores++) {
            for (int each = 0; each <= (map >= BINDING_BY_L3 ? 3 : 0) && wrong == NULL; each++) {
                wrong = check_request(topology, (struct binding_request){n, policy, map, cores, each, false});
                n_cases++;
            }
        }
        if (wrong == NULL)
            wrong = check_request(topology, (struct binding_request){n, policy, map, 0, 0, true});
        if (wrong != NULL)
            printf("# %d ranks\n", n);
    }
    test_str(NULL, wrong, "%s: %s by %s, %d cases", machine, policy_names[policy], map_names[map], n_cases);
}

static void test_machines(void)
{
    for (size_t i = 0; i < COUNT_OF(machines); i++) {
        struct topology *topology = topology_load_synthetic(machines[i], NULL);

        for (enum binding_policy policy = BINDING_SHARE; policy <= BINDING_PACKAGE; policy++) {
            for (enum binding_map map = BINDING_SPREAD; map <= BINDING_BY_PACKAGE; map++)
                test_cases(machines[i], topology, policy, map);
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
    {"package:2 core:4 pu:1", {3, BINDING_SHARE, BINDING_CLOSE, 0, 0, false}, "0 1 2"},
    {"package:2 core:4 pu:1", {3, BINDING_SHARE, BINDING_CLOSE, 2, 0, false}, "0-1 2-3 4-5"},
    /* A share of three that would cross goes to the next package. */
    {"package:2 core:4 pu:1", {2, BINDING_SHARE, BINDING_CLOSE, 3, 0, false}, "0-2 4-6"},
    {"package:2 core:4 pu:1", {4, BINDING_SHARE, BINDING_BY_PACKAGE, 0, 0, false}, "0-1 4-5 2-3 6-7"},
    {"package:2 core:4 pu:1", {3, BINDING_SHARE, BINDING_BY_PACKAGE, 1, 0, false}, "0 4 1"},
    {"package:2 core:3 pu:1", {3, BINDING_SHARE, BINDING_BY_PACKAGE, 0, 0, false}, "0 3 1"},
    {"package:2 core:4 pu:1", {4, BINDING_SHARE, BINDING_BY_PACKAGE, 0, 2, false}, "0-1 2-3 4-5 6-7"},
    {"package:2 core:4 pu:1", {3, BINDING_SHARE, BINDING_BY_PACKAGE, 1, 2, false}, "0 1 4"},
    {"package:2 core:4 pu:1", {4, BINDING_PACKAGE, BINDING_SPREAD, 0, 0, false}, "0-3 0-3 4-7 4-7"},
    {"package:2 core:4 pu:1", {2, BINDING_CORE, BINDING_SPREAD, 0, 0, false}, "0 4"},
    {"package:2 core:4 pu:1", {2, BINDING_CORE, BINDING_SPREAD, 2, 0, false}, "0-1 4-5"},
    {"package:2 core:2 pu:2", {4, BINDING_PU, BINDING_SPREAD, 0, 0, false}, "0 2 4 6"},
    {"package:2 core:2 pu:2", {4, BINDING_SHARE, BINDING_SPREAD, 0, 0, true}, "0-1 2-3 4-5 6-7"},
    {"package:2 core:2 pu:2", {3, BINDING_SHARE, BINDING_CLOSE, 0, 0, true}, "0 1 2"},
    {"package:2 l3:2 core:4 pu:1", {4, BINDING_L3, BINDING_BY_L3, 0, 0, false}, "0-3 4-7 8-11 12-15"},
    {"package:2 l3:2 core:4 pu:1",
     {6, BINDING_SHARE, BINDING_BY_L3, 2, 0, false},
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
