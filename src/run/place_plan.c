#include "run/place_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "team/slice.h"

/* What a plan is made from, and the nodes of one rank or of all: is_near[i] of the topology's node i. */
struct planning {
    const struct topology *topology;
    const struct binding_plan *binding;
    struct place_plan *plan;
    int n_nodes_used; /* of plan->nodes */
    bool *is_near;
    int n_ids;    /* processors are counted up to here by the kernel */
    int *node_of; /* of each: the topology's node that it is near to, or -1 */
};

static void add_all_nodes(struct planning *planning)
{
    for (int i = 0; i < planning->topology->n_nodes; i++)
        planning->is_near[i] = true;
}

/* Adds the nodes that rank is near to. */
static void add_nodes_of(struct planning *planning, int rank)
{
    const struct binding_plan *binding = planning->binding;
    bool has_any = false;

    if (binding != NULL && binding->width > 0) {
        const int *row = binding->pus + (size_t)(rank % binding->n_ranks) * (size_t)binding->width;
        for (int i = 0; i < binding->width && row[i] >= 0; i++) {
            if (row[i] < planning->n_ids && planning->node_of[row[i]] >= 0)
                planning->is_near[planning->node_of[row[i]]] = has_any = true;
        }
    }
    if (!has_any)
        add_all_nodes(planning);
}

static void clear_nodes(struct planning *planning)
{
    memset(planning->is_near, 0, (size_t)planning->topology->n_nodes * sizeof *planning->is_near);
}

static int count_nodes(const struct planning *planning)
{
    int n = 0;

    for (int i = 0; i < planning->topology->n_nodes; i++)
        n += planning->is_near[i];
    return n;
}

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

/* Puts the nodes that are near behind those of the areas before. Returns how many. */
static int write_nodes(struct planning *planning)
{
    int *nodes = planning->plan->nodes + planning->n_nodes_used;
    int n = 0;

    for (int i = 0; i < planning->topology->n_nodes; i++) {
        if (planning->is_near[i])
            nodes[n++] = planning->topology->nodes[i];
    }
    qsort(nodes, (size_t)n, sizeof *nodes, compare_ints);
    return n;
}

/* The next area, which the one before becomes where its nodes are the same. */
static void add_area(struct planning *planning, size_t begin, size_t end, int n_nodes)
{
    struct place_plan *plan = planning->plan;
    struct place_area *last = plan->n_areas > 0 ? &plan->areas[plan->n_areas - 1] : NULL;
    const int *nodes = plan->nodes + planning->n_nodes_used;

    if (begin == end)
        return;
    if (last != NULL && last->n_nodes == n_nodes &&
        memcmp(plan->nodes + last->first_node, nodes, (size_t)n_nodes * sizeof *nodes) == 0) {
        last->end = end;
        return;
    }
    plan->areas[plan->n_areas++] = (struct place_area){begin, end, planning->n_nodes_used, n_nodes};
    planning->n_nodes_used += n_nodes;
}

/* The nodes of all ranks are near. */
static void plan_whole(struct planning *planning, enum sharedmem_placement how, size_t bytes)
{
    add_area(planning, 0, bytes, how == SHAREDMEM_INTERLEAVE ? write_nodes(planning) : 0);
}

static void plan_slices(struct planning *planning, int n_ranks, size_t bytes, size_t unit)
{
    for (int rank = 0; rank < n_ranks; rank++) {
        sharedmem_range slice = slice_of(bytes, unit, rank, n_ranks);

        clear_nodes(planning);
        add_nodes_of(planning, rank);
        add_area(planning, slice.begin, slice.end, write_nodes(planning));
    }
}

static int count_ids(const struct topology *topology)
{
    int n = 0;

    for (int i = 0; i < topology->n_pus; i++) {
        if (topology->pus[i].os_index >= n)
            n = topology->pus[i].os_index + 1;
    }
    return n;
}

static void list_nodes(struct planning *planning)
{
    const struct topology *topology = planning->topology;

    for (int id = 0; id < planning->n_ids; id++)
        planning->node_of[id] = -1;
    for (int i = 0; i < topology->n_pus; i++)
        planning->node_of[topology->pus[i].os_index] = topology->pus[i].numa;
}

static void end_planning(struct planning *planning)
{
    free(planning->node_of);
    free(planning->is_near);
}

/* Room for an area a rank, each with all nodes. */
static int begin_planning(struct planning *planning, int n_ranks)
{
    size_t n_nodes = (size_t)planning->topology->n_nodes;
    struct place_plan *plan = planning->plan = calloc(1, sizeof *plan);

    planning->n_ids = count_ids(planning->topology);
    planning->node_of = calloc((size_t)planning->n_ids, sizeof *planning->node_of);
    planning->is_near = calloc(n_nodes, sizeof *planning->is_near);
    if (plan == NULL || planning->node_of == NULL || planning->is_near == NULL)
        return -1;
    plan->areas = calloc((size_t)n_ranks, sizeof *plan->areas);
    plan->nodes = calloc(((size_t)n_ranks + 1) * n_nodes, sizeof *plan->nodes);
    if (plan->areas == NULL || plan->nodes == NULL)
        return -1;
    list_nodes(planning);
    return 0;
}

struct place_plan *place_plan_create(const struct topology *topology, const struct binding_plan *binding,
                                     int n_ranks, enum sharedmem_placement how, size_t bytes, size_t unit)
{
    struct planning planning = {.topology = topology, .binding = binding};

    if (begin_planning(&planning, n_ranks) != 0) {
        place_plan_destroy(planning.plan);
        end_planning(&planning);
        errno = ENOMEM;
        return NULL;
    }
    for (int rank = 0; rank < n_ranks; rank++)
        add_nodes_of(&planning, rank);
    planning.plan->n_spread = count_nodes(&planning);
    if (planning.plan->n_spread > 1 && how == SHAREDMEM_BY_RANK)
        plan_slices(&planning, n_ranks, bytes, unit);
    else if (planning.plan->n_spread > 1)
        plan_whole(&planning, how, bytes);
    end_planning(&planning);
    return planning.plan;
}

void place_plan_destroy(struct place_plan *plan)
{
    int saved_errno = errno;

    if (plan != NULL) {
        free(plan->areas);
        free(plan->nodes);
    }
    free(plan);
    errno = saved_errno;
}
