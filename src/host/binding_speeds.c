#include "host/binding_speeds.h"

#include <stdlib.h>
#include <string.h>

static int larger(int a, int b)
{
    return a > b ? a : b;
}

bool binding_has_speeds(const struct topology *topology)
{
    for (int i = 1; i < topology->n_pus; i++) {
        if (topology->pus[i].speed != topology->pus[0].speed)
            return true;
    }
    return false;
}

int binding_cores_needed(const struct binding_request *request)
{
    return request->cores > 0 ? request->cores : larger(request->threads, 1);
}

/* ---- Which cores ---- */

static int fastest(const struct topology *topology)
{
    int speed = 0;

    for (int i = 0; i < topology->n_pus; i++)
        speed = larger(speed, topology->pus[i].speed);
    return speed;
}

/* How many cores, or processing units with use_smt, are of this speed or faster. */
static int count_units(const struct topology *topology, int speed, bool use_smt)
{
    const struct topology_pu *pus = topology->pus;
    int n = 0;

    for (int i = 0; i < topology->n_pus; i++) {
        if (pus[i].speed >= speed && (use_smt || i == 0 || pus[i].core != pus[i - 1].core))
            n++;
    }
    return n;
}

/* The slowest that is used; 0: all. */
static int slowest_used(const struct topology *topology, const struct binding_request *request)
{
    bool shares_cores = request->n_ranks > topology->n_cores && !request->use_smt;
    bool has_all = request->n_ranks == 1 && request->policy == BINDING_SHARE && request->cores == 0 &&
                   request->threads == 0;
    int each = count_units(topology, 0, request->use_smt) / request->n_ranks, speed = fastest(topology);

    if (shares_cores || has_all || request->per_object > 0)
        return 0;
    /* More than its share nobody gets. */
    if (each > binding_cores_needed(request))
        each = binding_cores_needed(request);
    while (speed > 0 && count_units(topology, speed, request->use_smt) < request->n_ranks * each)
        speed--;
    return speed;
}

/* ---- In which order ---- */

/* Whether the order of units stays as it is between a and b, save for their speeds. */
static bool is_together(const struct topology_pu *a, const struct topology_pu *b, enum binding_map map)
{
    return map < BINDING_BY_L3 || (a->package == b->package && a->numa == b->numa && a->l3 == b->l3);
}

/* Appends those of pus begin to end - 1 that have this speed. */
static void append(struct topology *view, const struct topology_pu *pus, int begin, int end, int speed)
{
    for (int i = begin; i < end; i++) {
        if (pus[i].speed != speed)
            continue;
        if (view->n_pus == 0 || view->pus[view->n_pus - 1].core != pus[i].core)
            view->n_cores++;
        view->pus[view->n_pus++] = pus[i];
    }
}

struct topology *binding_view(const struct topology *topology, const struct binding_request *request)
{
    struct topology *view = calloc(1, sizeof *view);
    int slowest = slowest_used(topology, request), end;

    if (view != NULL)
        view->pus = calloc((size_t)topology->n_pus, sizeof *view->pus);
    if (view == NULL || view->pus == NULL) {
        free(view);
        return NULL;
    }
    view->is_this_machine = topology->is_this_machine;
    for (int begin = 0; begin < topology->n_pus; begin = end) {
        for (end = begin + 1; end < topology->n_pus; end++) {
            if (!is_together(&topology->pus[begin], &topology->pus[end], request->map))
                break;
        }
        for (int speed = fastest(topology); speed >= slowest; speed--)
            append(view, topology->pus, begin, end, speed);
    }
    return view;
}
