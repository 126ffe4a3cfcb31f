#include "host/binding.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/*
 * A share is a run of units: whole cores, or single processing units where ranks outnumber the cores. Domains
 * are runs of units too, because hwloc's order keeps what belongs together together. A level is what one kind
 * of domain splits; the levels below are split inside of it.
 */
enum kind { KIND_PACKAGE, KIND_NUMA, KIND_L3, KIND_CORE, N_KINDS };

struct layout {
    const struct topology *topology;
    const struct binding_request *request;
    bool by_core;  /* units are cores */
    bool is_close; /* domains are filled one after the other */
    int n_units;
    int *first_pu;   /* of each unit, and behind the last one n_pus */
    int share_units; /* in each share */
    int n_levels;    /* without that of cores where the units are cores */
    enum kind levels[N_KINDS];
    int n_placed;
    int *share_start; /* of each rank placed so far: its first unit */
};

static int domain_id(const struct layout *layout, int unit, int level)
{
    const struct topology_pu *pu = &layout->topology->pus[layout->first_pu[unit]];

    switch (layout->levels[level]) {
    case KIND_PACKAGE:
        return pu->package;
    case KIND_NUMA:
        return pu->numa;
    case KIND_L3:
        return pu->l3;
    default:
        return pu->core;
    }
}

/* The end, end at most, of the domain that unit begin lies in. */
static int domain_end(const struct layout *layout, int begin, int end, int level)
{
    int id = domain_id(layout, begin, level);

    do
        begin++;
    while (begin < end && domain_id(layout, begin, level) == id);
    return begin;
}

/* How many shares units begin to end - 1 hold, none crossing a domain of levels level to deepest - 1. */
static int capacity(const struct layout *layout, int begin, int end, int level, int deepest)
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
static int deepest_uncrossed(const struct layout *layout, int begin, int end, int level, int n)
{
    int deepest = layout->n_levels;

    while (deepest > level && capacity(layout, begin, end, level, deepest) < n)
        deepest--;
    return deepest;
}

/* How many shares the domains of this level take if none gets more than most. */
static int taken(const struct layout *layout, int begin, int end, int level, int deepest, int most)
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

static int count_domains(const struct layout *layout, int begin, int end, int level)
{
    int n = 0;

    for (; begin < end; begin = domain_end(layout, begin, end, level))
        n++;
    return n;
}

/* When n shares are dealt in turn: how many each domain of this level gets, if it has room for so many. */
static int even_share(const struct layout *layout, int begin, int end, int level, int deepest, int n)
{
    int each = n / count_domains(layout, begin, end, level);

    while (taken(layout, begin, end, level, deepest, each) < n &&
           taken(layout, begin, end, level, deepest, each + 1) <= n)
        each++;
    return each;
}

/* Shares side by side, or, where they cross domains anyway, at even distances over all of them. */
static void place_in_row(struct layout *layout, int begin, int end, int n, bool is_spaced)
{
    for (int i = 0; i < n; i++) {
        int offset = is_spaced ? (int)((long)i * (end - begin) / n) : i * layout->share_units;

        layout->share_start[layout->n_placed++] = begin + offset;
    }
}

/* Places the next n ranks in units begin to end - 1, which lie in one domain of the level above. */
static void place(struct layout *layout, int begin, int end, int level, int n)
{
    int deepest = deepest_uncrossed(layout, begin, end, level, n);
    int each, extra;

    if (deepest == level) {
        place_in_row(layout, begin, end, n, level < layout->n_levels);
        return;
    }
    each = layout->is_close ? 0 : even_share(layout, begin, end, level, deepest, n);
    /* What is over goes to the first domains that have more room. */
    extra = n - taken(layout, begin, end, level, deepest, each);
    while (begin < end) {
        int next = domain_end(layout, begin, end, level);
        int room = capacity(layout, begin, next, level + 1, deepest);
        int count = room < each ? room : each;
        int more = room - count < extra ? room - count : extra;

        /* One more each; or as many as there is room for. */
        if (more > 1 && !layout->is_close)
            more = 1;
        extra -= more;
        place(layout, begin, next, level + 1, count + more);
        begin = next;
    }
}

/* Makes the units: cores, or processing units. */
static void layout_units(struct layout *layout)
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
static void order_levels(struct layout *layout)
{
    for (int i = 1; i < layout->n_levels; i++) {
        for (int j = i; j > 0; j--) {
            enum kind kind = layout->levels[j];

            if (count_domains(layout, 0, layout->n_units, j) >=
                count_domains(layout, 0, layout->n_units, j - 1))
                break;
            layout->levels[j] = layout->levels[j - 1];
            layout->levels[j - 1] = kind;
        }
    }
}

/* ---- Ranks in turn to objects ---- */

/* The level of the objects that ranks are dealt to; -1: to none. */
static int object_level(const struct layout *layout)
{
    static const enum kind kinds[] = {
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
static int room_in_objects(const struct layout *layout, int level, int most)
{
    return taken(layout, 0, layout->n_units, level, level + 1, most);
}

/* The most that an object gets when n are dealt in turn. */
static int most_in_object(const struct layout *layout, int level)
{
    int most = layout->request->per_object;

    if (most > 0)
        return most;
    for (most = 1; room_in_objects(layout, level, most) < layout->request->n_ranks; most++)
        ;
    return most;
}

/* Ranks as they lie, object by object, become ranks in turn: the first of each, then the second of each. */
static int deal_in_turn(struct layout *layout, int level)
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

static int place_by_object(struct layout *layout, int level)
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
static int largest_in_objects(struct layout *layout, int level)
{
    const struct binding_request *request = layout->request;

    for (layout->share_units = layout->n_units / request->n_ranks; layout->share_units > 0;
         layout->share_units--) {
        if (room_in_objects(layout, level, most_or_all(request)) >= request->n_ranks)
            break;
    }
    return layout->share_units;
}

/* Returns 0, or -1 with errno ENOSPC. */
static int choose_size(struct layout *layout, int level)
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
        layout->share_units = layout->n_units / request->n_ranks;
    errno = ENOSPC;
    if (layout->share_units == 0 || layout->share_units > layout->n_units / request->n_ranks)
        return -1;
    if (level < 0)
        return 0;
    return room_in_objects(layout, level, most_or_all(request)) >= request->n_ranks ? 0 : -1;
}

/* ---- From shares to processing units ---- */

/* The processing units of rank's row: first to before end. */
static void bound_pus(const struct layout *layout, int rank, int *first, int *end)
{
    const struct topology_pu *pus = layout->topology->pus;
    const struct binding_request *request = layout->request;
    int start = layout->share_start[rank], units = layout->share_units;
    size_t id;

    if (request->policy == BINDING_CORE || request->policy >= BINDING_L3)
        units = request->cores > 0 ? units : 1;
    *first = layout->first_pu[start];
    *end = request->policy == BINDING_PU ? *first + 1 : layout->first_pu[start + units];
    if (request->policy < BINDING_L3)
        return;
    id = request->policy == BINDING_L3     ? offsetof(struct topology_pu, l3)
         : request->policy == BINDING_NUMA ? offsetof(struct topology_pu, numa)
                                           : offsetof(struct topology_pu, package);
#define ID(pu) (*(const int *)((const char *)&pus[pu] + id))
    while (*first > 0 && ID(*first - 1) == ID(*first))
        --*first;
    while (*end < layout->topology->n_pus && ID(*end) == ID(*end - 1))
        ++*end;
#undef ID
}

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

static void fill_row(const struct layout *layout, int rank, int *row, int width)
{
    int first, end;

    bound_pus(layout, rank, &first, &end);
    for (int i = 0; i < width; i++)
        row[i] = first + i < end ? layout->topology->pus[first + i].os_index : -1;
    qsort(row, (size_t)(end - first), sizeof *row, compare_ints);
}

static int fill_plan(struct binding_plan *plan, const struct layout *layout)
{
    for (int rank = 0; rank < plan->n_ranks; rank++) {
        int first, end;

        bound_pus(layout, rank, &first, &end);
        plan->width = end - first > plan->width ? end - first : plan->width;
    }
    plan->pus = calloc((size_t)plan->n_ranks * (size_t)plan->width, sizeof *plan->pus);
    if (plan->pus == NULL)
        return -1;
    for (int rank = 0; rank < plan->n_ranks; rank++)
        fill_row(layout, rank, plan->pus + (size_t)rank * (size_t)plan->width, plan->width);
    return 0;
}

/* Whole cores in each share: only where the ranks have them for themselves. */
static int own_cores(const struct layout *layout)
{
    if (!layout->by_core || layout->request->policy >= BINDING_L3 || layout->request->policy == BINDING_PU)
        return 0;
    return layout->request->policy == BINDING_CORE && layout->request->cores == 0 ? 1 : layout->share_units;
}

static int plan_layout(struct binding_plan *plan, struct layout *layout)
{
    int level;

    layout_units(layout);
    order_levels(layout);
    level = object_level(layout);
    if (choose_size(layout, level) != 0)
        return -1;
    plan->cores_per_rank = own_cores(layout);
    layout->is_close = layout->request->map == BINDING_CLOSE;
    if (level < 0)
        place(layout, 0, layout->n_units, 0, plan->n_ranks);
    else if (place_by_object(layout, level) != 0)
        return -1;
    return fill_plan(plan, layout);
}

static int plan_shares(struct binding_plan *plan, const struct topology *topology,
                       const struct binding_request *request)
{
    bool by_core = plan->n_ranks <= topology->n_cores && !request->use_smt;
    struct layout layout = {.topology = topology,
                            .request = request,
                            .by_core = by_core,
                            .n_levels = by_core ? KIND_L3 + 1 : KIND_CORE + 1,
                            .levels = {KIND_PACKAGE, KIND_NUMA, KIND_L3, KIND_CORE}};
    int status = -1;

    layout.first_pu = calloc((size_t)topology->n_pus + 1, sizeof *layout.first_pu);
    layout.share_start = calloc((size_t)plan->n_ranks, sizeof *layout.share_start);
    if (layout.first_pu != NULL && layout.share_start != NULL)
        status = plan_layout(plan, &layout);
    free(layout.share_start);
    free(layout.first_pu);
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
