#include "host/binding_layout.h"

#include <stddef.h>
#include <stdlib.h>

/* The processing units of rank's row: first to before end. */
static void bound_pus(const struct binding_layout *layout, int rank, int *first, int *end)
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

static void fill_row(const struct binding_layout *layout, int rank, int *row, int width)
{
    int first, end;

    bound_pus(layout, rank, &first, &end);
    for (int i = 0; i < width; i++)
        row[i] = first + i < end ? layout->topology->pus[first + i].os_index : -1;
    qsort(row, (size_t)(end - first), sizeof *row, compare_ints);
}

/* Whole cores in each share: only where the ranks have them for themselves. */
static int own_cores(const struct binding_layout *layout)
{
    if (!layout->by_core || layout->request->policy >= BINDING_L3 || layout->request->policy == BINDING_PU)
        return 0;
    return layout->request->policy == BINDING_CORE && layout->request->cores == 0 ? 1 : layout->share_units;
}

int binding_layout_fill(const struct binding_layout *layout, struct binding_plan *plan)
{
    plan->cores_per_rank = own_cores(layout);
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
