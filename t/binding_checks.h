/*
 * binding_checks.h: what must hold of every plan for a machine where all cores are alike, and all requests for one;
 * for tests of binding by request on many machines. binding_test_cases() is what they call.
 */
#ifndef T_BINDING_CHECKS_H
#define T_BINDING_CHECKS_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "host/binding.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* A plan, what it was made from, and which rank has which processing unit of the topology. */
struct subject {
    const struct topology *topology;
    struct binding_request request;
    const struct binding_plan *plan;
    const struct binding_plan *shares; /* of the same request by SHARE */
};

static const char *const policy_names[] = {"none", "share", "core", "pu", "l3", "numa", "package"};
static const char *const map_names[] = {"spread", "close", "l3", "numa", "package"};

/* ---- Looking at rows ---- */

/* Where os_index stands in the topology; looked for once. */
static int place_of(const struct topology *topology, int os_index)
{
    static int places[1024];
    int i = places[os_index];

    if (i >= topology->n_pus || topology->pus[i].os_index != os_index)
        i = 0;
    while (topology->pus[i].os_index != os_index)
        i++;
    return places[os_index] = i;
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

static bool has(const struct binding_plan *plan, int rank, const struct topology_pu *wanted)
{
    const int *row = plan->pus + rank * plan->width;

    for (int i = 0; i < plan->width; i++) {
        if (row[i] == wanted->os_index)
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
            owners += has(subject->plan, rank, pu);
        if (owners > 1)
            return "no processing unit is two ranks'";
    }
    return NULL;
}

static int count_cores(const struct subject *subject, int rank)
{
    bool is_seen[1024] = {false};
    const struct topology_pu *pu;
    int n = 0;

    for (int i = 0; (pu = pu_of(subject, subject->plan, rank, i)) != NULL; i++) {
        n += !is_seen[pu->core];
        is_seen[pu->core] = true;
    }
    return n;
}

static const char *check_equal(const struct subject *subject)
{
    const struct binding_request *request = &subject->request;
    bool by_core = request->n_ranks <= subject->topology->n_cores && !request->use_smt;
    int first = by_core ? count_cores(subject, 0) : 0;

    for (int rank = 0; rank < subject->plan->n_ranks && by_core; rank++) {
        int cores = count_cores(subject, rank);

        if (request->policy == BINDING_SHARE && cores != first)
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

/* Other policies bind to part of the share, or to what is around its first core, or around the cores asked for. */
static const char *check_around(const struct subject *subject)
{
    bool is_inside = subject->request.policy < BINDING_L3;
    const struct binding_plan *inner = is_inside ? subject->plan : subject->shares;
    const struct binding_plan *outer = is_inside ? subject->shares : subject->plan;
    const struct topology_pu *pu;

    for (int rank = 0; rank < subject->plan->n_ranks; rank++) {
        int n = 0, n_inside = 0;

        for (; (pu = pu_of(subject, inner, rank, n)) != NULL; n++)
            n_inside += has(outer, rank, pu);
        if (n_inside < (is_inside || subject->request.cores > 0 ? n : 1))
            return "a rank is bound to its share, a part of it, or what is around it";
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

            if (domain_of(pu, kind) == domain_of(mine, kind) && !has(subject->plan, rank, pu))
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
static void binding_test_cases(const char *machine, const struct topology *topology,
                               enum binding_policy policy, enum binding_map map)
{
    const char *wrong = NULL;
    bool is_slow = (test_under_valgrind() || test_address_sanitized() || test_thread_sanitized()) &&
                   topology->n_pus > 64;
    int n_cases = 0, step = topology->n_pus <= 64 ? 5 : topology->n_pus / (is_slow ? 2 : 10);
    /* It is reckoning only, of which valgrind sees enough in every third. */
    int stride = test_under_valgrind() ? 3 : 1;

    for (int n = 1; n <= topology->n_pus + 1 && wrong == NULL; n += stride * (n < 9 && !is_slow ? 1 : step)) {
        for (int cores = 0; cores <= 3 && wrong == NULL; cores++) {
            for (int each = 0; each <= (map >= BINDING_BY_L3 ? 3 : 0) && wrong == NULL; each++) {
                wrong =
                    check_request(topology, (struct binding_request){n, policy, map, cores, each, false, 0});
                n_cases++;
            }
        }
        if (wrong == NULL)
            wrong = check_request(topology, (struct binding_request){n, policy, map, 0, 0, true, 0});
        if (wrong != NULL)
            printf("# %d ranks\n", n);
    }
    test_str(NULL, wrong, "%s: %s by %s, %d cases", machine, policy_names[policy], map_names[map], n_cases);
}

#endif
