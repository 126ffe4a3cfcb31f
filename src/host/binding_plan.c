#include "host/binding.h"

#include <errno.h>
#include <stdlib.h>

/*
 * A share is a run of units: whole cores, or single processing units where ranks outnumber the cores. Domains
 * are runs of units too, because hwloc's order keeps what belongs together together. A level is what one kind
 * of domain splits; the levels below are split inside of it.
 */
enum kind { KIND_PACKAGE, KIND_NUMA, KIND_L3, KIND_CORE, N_KINDS };

struct layout {
    const struct topology *topology;
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
    each = even_share(layout, begin, end, level, deepest, n);
    /* What is over goes to the first domains that have more room. */
    extra = n - taken(layout, begin, end, level, deepest, each);
    while (begin < end) {
        int next = domain_end(layout, begin, end, level);
        int room = capacity(layout, begin, next, level + 1, deepest);
        int count = room < each ? room : each;

        if (room > each && extra > 0) {
            count++;
            extra--;
        }
        place(layout, begin, next, level + 1, count);
        begin = next;
    }
}

/* Makes the units: cores, or processing units. */
static void layout_units(struct layout *layout, bool by_core)
{
    const struct topology *topology = layout->topology;

    for (int i = 0; i < topology->n_pus; i++) {
        if (!by_core || i == 0 || topology->pus[i].core != topology->pus[i - 1].core)
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

static int share_pus(const struct layout *layout, int rank)
{
    int start = layout->share_start[rank];

    return layout->first_pu[start + layout->share_units] - layout->first_pu[start];
}

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

static void fill_row(const struct layout *layout, int rank, int *row, int width)
{
    int n = share_pus(layout, rank);
    const struct topology_pu *pus = &layout->topology->pus[layout->first_pu[layout->share_start[rank]]];

    for (int i = 0; i < width; i++)
        row[i] = i < n ? pus[i].os_index : -1;
    qsort(row, (size_t)n, sizeof *row, compare_ints);
}

static int fill_plan(struct binding_plan *plan, const struct layout *layout)
{
    for (int rank = 0; rank < plan->n_ranks; rank++) {
        if (share_pus(layout, rank) > plan->width)
            plan->width = share_pus(layout, rank);
    }
    plan->pus = calloc((size_t)plan->n_ranks * (size_t)plan->width, sizeof *plan->pus);
    if (plan->pus == NULL)
        return -1;
    for (int rank = 0; rank < plan->n_ranks; rank++)
        fill_row(layout, rank, plan->pus + (size_t)rank * (size_t)plan->width, plan->width);
    return 0;
}

static int plan_shares(struct binding_plan *plan, const struct topology *topology)
{
    bool by_core = plan->n_ranks <= topology->n_cores;
    struct layout layout = {.topology = topology,
                            .n_levels = by_core ? KIND_L3 + 1 : KIND_CORE + 1,
                            .levels = {KIND_PACKAGE, KIND_NUMA, KIND_L3, KIND_CORE}};
    int status = -1;

    layout.first_pu = calloc((size_t)topology->n_pus + 1, sizeof *layout.first_pu);
    layout.share_start = calloc((size_t)plan->n_ranks, sizeof *layout.share_start);
    if (layout.first_pu != NULL && layout.share_start != NULL) {
        layout_units(&layout, by_core);
        layout.share_units = by_core ? layout.n_units / plan->n_ranks : 1;
        plan->cores_per_rank = by_core ? layout.share_units : 0;
        order_levels(&layout);
        place(&layout, 0, layout.n_units, 0, plan->n_ranks);
        status = fill_plan(plan, &layout);
    }
    free(layout.share_start);
    free(layout.first_pu);
    return status;
}

struct binding_plan *binding_plan_create(const struct topology *topology, int n_ranks,
                                         enum binding_policy policy)
{
    struct binding_plan *plan;

    if (n_ranks < 1) {
        errno = EINVAL;
        return NULL;
    }
    plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return NULL;
    plan->n_ranks = n_ranks;
    if (policy == BINDING_NONE || n_ranks > topology->n_pus)
        return plan;
    plan->is_this_machine = topology->is_this_machine;
    if (plan_shares(plan, topology) != 0) {
        binding_plan_destroy(plan);
        return NULL;
    }
    return plan;
}

void binding_plan_destroy(struct binding_plan *plan)
{
    int saved_errno = errno;

    if (plan != NULL)
        free(plan->pus);
    free(plan);
    errno = saved_errno;
}
