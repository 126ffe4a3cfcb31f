#include "host/binding.h"

#include <errno.h>
#include <stdlib.h>

#include "host/binding_layout.h"
#include "host/binding_speeds.h"

static int domain_id(const struct binding_layout *layout, int unit, int level)
{
    const struct topology_pu *pu = &layout->topology->pus[layout->first_pu[unit]];

    switch (layout->levels[level]) {
    case KIND_PACKAGE:
        return pu->package;
    case KIND_NUMA:
        return pu->numa;
    case KIND_L3:
        return pu->l3;
    case KIND_SPEED:
        return pu->speed;
    default:
        return pu->core;
    }
}

/* The end, end at most, of the domain that unit begin lies in. */
static int domain_end(const struct binding_layout *layout, int begin, int end, int level)
{
    int id = domain_id(layout, begin, level);

    do
        begin++;
    while (begin < end && domain_id(layout, begin, level) == id);
    return begin;
}

/* How many shares units begin to end - 1 hold, none crossing a domain of levels level to deepest - 1. */
static int capacity(const struct binding_layout *layout, int begin, int end, int level, int deepest)
{
    int sum = 0;

    if (level == deepest)
        return (end - begin) / layout->share_units;
    while (begin < end) {
        int next = domain_end(layout, begin, end, level);

        sum += capacity(layout, begin, next, level + 1, deepest);
        begin = next;
    }
    return sum;
}

/* The deepest for which capacity() is n or more; level where that is only so if shares cross its domains. */
static int deepest_uncrossed(const struct binding_layout *layout, int begin, int end, int level, int n)
{
    int deepest = layout->n_levels;

    while (deepest > level && capacity(layout, begin, end, level, deepest) < n)
        deepest--;
    return deepest;
}

/* How many shares the domains of this level take if none gets more than most. */
static int taken(const struct binding_layout *layout, int begin, int end, int level, int deepest, int most)
{
    int sum = 0;

    while (begin < end) {
        int next = domain_end(layout, begin, end, level);
        int room = capacity(layout, begin, next, level + 1, deepest);

        sum += room < most ? room : most;
        begin = next;
    }
    return sum;
}

static int count_domains(const struct binding_layout *layout, int begin, int end, int level)
{
    int n = 0;

    for (; begin < end; begin = domain_end(layout, begin, end, level))
        n++;
    return n;
}

/* When n shares are dealt in turn: how many each domain of this level gets, if it has room for so many. */
static int even_share(const struct binding_layout *layout, int begin, int end, int level, int deepest, int n)
{
    int each = n / count_domains(layout, begin, end, level);

    while (taken(layout, begin, end, level, deepest, each) < n &&
           taken(layout, begin, end, level, deepest, each + 1) <= n)
        each++;
    return each;
}

/* Shares side by side, or, where they cross domains anyway, at even distances over all of them. */
static void place_in_row(struct binding_layout *layout, int begin, int end, int n, bool is_spaced)
{
    for (int i = 0; i < n; i++) {
        int offset = is_spaced ? (int)((long)i * (end - begin) / n) : i * layout->share_units;

        layout->share_start[layout->n_placed++] = begin + offset;
    }
}

/* Whether its domains are filled one after the other: side by side, or the fast cores before the slow ones. */
static bool is_filled(const struct binding_layout *layout, int level)
{
    return layout->is_close || layout->levels[level] == KIND_SPEED;
}

/* Places the next n ranks in units begin to end - 1, which lie in one domain of the level above. */
static void place(struct binding_layout *layout, int begin, int end, int level, int n)
{
    int deepest = deepest_uncrossed(layout, begin, end, level, n);
    int each, extra;

    if (deepest == level) {
        place_in_row(layout, begin, end, n, level < layout->n_levels && layout->levels[level] != KIND_SPEED);
        return;
    }
    each = is_filled(layout, level) ? 0 : even_share(layout, begin, end, level, deepest, n);
    /* What is over goes to the first domains that have more room. */
    extra = n - taken(layout, begin, end, level, deepest, each);
    while (begin < end) {
        int next = domain_end(layout, begin, end, level);
        int room = capacity(layout, begin, next, level + 1, deepest);
        int count = room < each ? room : each;
        int more = room - count < extra ? room - count : extra;

        /* One more each; or as many as there is room for. */
        if (more > 1 && !is_filled(layout, level))
            more = 1;
        extra -= more;
        place(layout, begin, next, level + 1, count + more);
        begin = next;
    }
}

/* Makes the units: cores, or processing units. */
static void layout_units(struct binding_layout *layout)
{
    const struct topology *topology = layout->topology;

    for (int i = 0; i < topology->n_pus; i++) {
        if (!layout->by_core || i == 0 || topology->pus[i].core != topology->pus[i - 1].core)
            layout->first_pu[layout->n_units++] = i;
    }
    layout->first_pu[layout->n_units] = topology->n_pus;
}

/*
 * Puts the larger domains above the smaller ones: most machines have NUMA nodes in packages and L3s in nodes,
 * but firmware can make a node of two packages, or two nodes below one L3.
 */
static void order_levels(struct binding_layout *layout, int first)
{
    for (int i = first + 1; i < layout->n_levels; i++) {
        for (int j = i; j > first; j--) {
            enum binding_kind kind = layout->levels[j];

            if (count_domains(layout, 0, layout->n_units, j) >=
                count_domains(layout, 0, layout->n_units, j - 1))
                break;
            layout->levels[j] = layout->levels[j - 1];
            layout->levels[j - 1] = kind;
        }
    }
}

/* Where cores differ the fast ones are used first, of the whole machine or, with BY_..., of each object. */
static void layout_levels(struct binding_layout *layout)
{
    bool is_by_object = layout->request->map >= BINDING_BY_L3;

    if (layout->has_speeds && !is_by_object)
        layout->levels[layout->n_levels++] = KIND_SPEED;
    layout->levels[layout->n_levels++] = KIND_PACKAGE;
    layout->levels[layout->n_levels++] = KIND_NUMA;
    layout->levels[layout->n_levels++] = KIND_L3;
    if (layout->has_speeds && is_by_object)
        layout->levels[layout->n_levels++] = KIND_SPEED;
    if (!layout->by_core)
        layout->levels[layout->n_levels++] = KIND_CORE;
    order_levels(layout, layout->levels[0] == KIND_SPEED);
}

/* ---- Ranks in turn to objects ---- */

/* The level of the objects that ranks are dealt to; -1: to none. */
static int object_level(const struct binding_layout *layout)
{
    static const enum binding_kind kinds[] = {
        [BINDING_BY_L3] = KIND_L3, [BINDING_BY_NUMA] = KIND_NUMA, [BINDING_BY_PACKAGE] = KIND_PACKAGE};

    if (layout->request->map < BINDING_BY_L3)
        return -1;
    for (int level = 0; level < layout->n_levels; level++) {
        if (layout->levels[level] == kinds[layout->request->map])
            return level;
    }
    return -1;
}

/* How many shares the objects hold together, none crossing one, and none with more than most. */
static int room_in_objects(const struct binding_layout *layout, int level, int most)
{
    return taken(layout, 0, layout->n_units, level, level + 1, most);
}

/* The most that an object gets when n are dealt in turn. */
static int most_in_object(const struct binding_layout *layout, int level)
{
    int most = layout->request->per_object;

    if (most > 0)
        return most;
    for (most = 1; room_in_objects(layout, level, most) < layout->request->n_ranks; most++)
        ;
    return most;
}

/* Ranks as they lie, object by object, become ranks in turn: the first of each, then the second of each. */
static int deal_in_turn(struct binding_layout *layout, int level)
{
    int n = layout->n_placed, *starts = calloc((size_t)n, sizeof *starts), rank = 0;

    if (starts == NULL)
        return -1;
    for (int turn = 0; rank < n; turn++) {
        for (int i = 0, nth = 0; i < n; i++) {
            int start = layout->share_start[i];
            bool is_same = i > 0 && domain_id(layout, start, level) ==
                                        domain_id(layout, layout->share_start[i - 1], level);

            nth = is_same ? nth + 1 : 0;
            if (nth == turn)
                starts[rank++] = start;
        }
    }
    free(layout->share_start);
    layout->share_start = starts;
    return 0;
}

static int place_by_object(struct binding_layout *layout, int level)
{
    int most = most_in_object(layout, level), left = layout->request->n_ranks;
    /* When dealt in turn, so many objects have one more than the others. */
    int less = layout->request->per_object > 0 ? most : most - 1;
    int extra = left - room_in_objects(layout, level, less);

    layout->is_close = true;
    for (int begin = 0, end; begin < layout->n_units; begin = end) {
        int room, count;

        end = domain_end(layout, begin, layout->n_units, level);
        room = capacity(layout, begin, end, level + 1, level + 1);
        count = room < less ? room : less;
        if (room > count && extra > 0) {
            count++;
            extra--;
        }
        count = count < left ? count : left;
        left -= count;
        place(layout, begin, end, level + 1, count);
    }
    return layout->request->per_object > 0 ? 0 : deal_in_turn(layout, level);
}

/* ---- How large shares are ---- */

static int most_or_all(const struct binding_request *request)
{
    return request->per_object > 0 ? request->per_object : request->n_ranks;
}

/* The largest of which all fit into the objects; 0: none does. */
static int largest_in_objects(struct binding_layout *layout, int level)
{
    const struct binding_request *request = layout->request;

    for (layout->share_units = layout->n_units / request->n_ranks; layout->share_units > 0;
         layout->share_units--) {
        if (room_in_objects(layout, level, most_or_all(request)) >= request->n_ranks)
            break;
    }
    return layout->share_units;
}

/* Whether a share fits in before the first border to slower units. */
static bool is_fast_used(const struct binding_layout *layout)
{
    const struct topology_pu *pus = layout->topology->pus;
    int unit = 0;

    while (unit < layout->n_units && pus[layout->first_pu[unit]].speed == pus[0].speed)
        unit++;
    return layout->share_units <= unit;
}

/*
 * An equal share of all units; where these differ, the largest of which all fit in without mixing them, if it has
 * what ranks need and does not leave the fastest unused. One rank has all.
 */
static int equal_share(struct binding_layout *layout)
{
    const struct binding_request *request = layout->request;
    int largest = layout->n_units / request->n_ranks, least = binding_cores_needed(request);

    if (request->n_ranks == 1 || !layout->has_speeds)
        return largest;
    for (layout->share_units = largest; layout->share_units >= least; layout->share_units--) {
        if (is_fast_used(layout) &&
            capacity(layout, 0, layout->n_units, 0, layout->n_levels) >= request->n_ranks)
            return layout->share_units;
    }
    return largest;
}

/* Returns 0, or -1 with errno ENOSPC. */
static int choose_size(struct binding_layout *layout, int level)
{
    const struct binding_request *request = layout->request;
    /* Else ranks outnumber cores, and have no choice. */
    bool is_free = layout->by_core || request->use_smt;

    if (request->cores > 0 && is_free)
        layout->share_units = request->cores;
    else if (level >= 0 && is_free)
        layout->share_units = largest_in_objects(layout, level);
    else if (request->map == BINDING_CLOSE || !is_free)
        layout->share_units = 1;
    else
        layout->share_units = equal_share(layout);
    errno = ENOSPC;
    if (layout->share_units == 0 || layout->share_units > layout->n_units / request->n_ranks)
        return -1;
    if (level < 0)
        return 0;
    return room_in_objects(layout, level, most_or_all(request)) >= request->n_ranks ? 0 : -1;
}

/* ---- All of it ---- */

static int plan_layout(struct binding_plan *plan, struct binding_layout *layout)
{
    int level;

    layout_units(layout);
    layout_levels(layout);
    level = object_level(layout);
    if (choose_size(layout, level) != 0)
        return -1;
    layout->is_close = layout->request->map == BINDING_CLOSE;
    if (level < 0)
        place(layout, 0, layout->n_units, 0, plan->n_ranks);
    else if (place_by_object(layout, level) != 0)
        return -1;
    return binding_layout_fill(layout, plan);
}

static int plan_on(struct binding_plan *plan, const struct topology *topology,
                   const struct binding_request *request, bool has_speeds)
{
    struct binding_layout layout = {.topology = topology,
                                    .request = request,
                                    .by_core = plan->n_ranks <= topology->n_cores && !request->use_smt,
                                    .has_speeds = has_speeds};
    int status = -1;

    layout.first_pu = calloc((size_t)topology->n_pus + 1, sizeof *layout.first_pu);
    layout.share_start = calloc((size_t)plan->n_ranks, sizeof *layout.share_start);
    if (layout.first_pu != NULL && layout.share_start != NULL)
        status = plan_layout(plan, &layout);
    free(layout.share_start);
    free(layout.first_pu);
    return status;
}

static int plan_shares(struct binding_plan *plan, const struct topology *topology,
                       const struct binding_request *request)
{
    struct topology *view;
    int status;

    /* Who is bound to all of a cache, node or package has its slow cores, too. */
    if (!binding_has_speeds(topology) || request->policy >= BINDING_L3)
        return plan_on(plan, topology, request, false);
    view = binding_view(topology, request);
    status = view != NULL ? plan_on(plan, view, request, binding_has_speeds(view)) : -1;
    topology_destroy(view);
    return status;
}

/* ---- The calls ---- */

struct binding_plan *binding_plan_make(const struct topology *topology, const struct binding_request *request)
{
    struct binding_plan *plan;

    if (request->n_ranks < 1) {
        errno = EINVAL;
        return NULL;
    }
    plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return NULL;
    plan->n_ranks = request->n_ranks;
    if (request->policy == BINDING_NONE || request->n_ranks > topology->n_pus)
        return plan;
    plan->is_this_machine = topology->is_this_machine;
    if (plan_shares(plan, topology, request) != 0) {
        binding_plan_destroy(plan);
        return NULL;
    }
    return plan;
}

struct binding_plan *binding_plan_create(const struct topology *topology, int n_ranks,
                                         enum binding_policy policy)
{
    return binding_plan_make(topology, &(struct binding_request){.n_ranks = n_ranks, .policy = policy});
}

int binding_count_objects(const struct topology *topology, enum binding_map map)
{
    int most = 0;

    for (int i = 0; i < topology->n_pus; i++) {
        const struct topology_pu *pu = &topology->pus[i];
        int id = map == BINDING_BY_L3 ? pu->l3 : map == BINDING_BY_NUMA ? pu->numa : pu->package;

        most = id + 1 > most ? id + 1 : most;
    }
    return most;
}

void binding_plan_destroy(struct binding_plan *plan)
{
    int saved_errno = errno;

    if (plan != NULL)
        free(plan->pus);
    free(plan);
    errno = saved_errno;
}
