/* sharedmem_place(): which NUMA nodes a block's pages come from. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "host/affinity.h"
#include "memory/member.h"
#include "memory/placed.h"
#include "memory/segment.h"
#include "run/place_plan.h"
#include "run/placement.h"
#include "team/slice.h"
#include "team/team.h"

/* ---- Where the ranks are ---- */

/* The thread that rank of a team is; 0: it is none at present, or is gone. */
static pid_t thread_of(const struct team_shared *team, uint32_t rank)
{
    uint32_t member = team_member(team, rank);

    if (member == 0 || member_is_gone(member))
        return 0;
    /* acquire: the slot's owner has said who it is. */
    return (pid_t)(uint32_t)atomic_load_explicit(&member_slot(member)->owner, memory_order_acquire);
}

/* The processors of topology that the thread may run on, as a row of a binding plan. */
static void read_row(const struct topology *topology, pid_t thread, int *row)
{
    size_t bytes;
    cpu_set_t *mask = affinity_read_of(thread, &bytes);
    int n = 0;

    for (int i = 0; i < topology->n_pus && mask != NULL; i++) {
        if (CPU_ISSET_S((size_t)topology->pus[i].os_index, bytes, mask))
            row[n++] = topology->pus[i].os_index;
    }
    if (n < topology->n_pus)
        row[n] = -1;
    if (mask != NULL)
        CPU_FREE(mask);
}

/*
 * What the kernel says of the ranks of team; NULL: of the caller alone, who is not bound. NULL with ENOMEM.
 */
static struct binding_plan *read_binding(const struct topology *topology, const struct team_shared *team)
{
    int n = team != NULL ? (int)team->size : 1;
    struct binding_plan *binding = calloc(1, sizeof *binding);
    int *pus = calloc((size_t)n * (size_t)topology->n_pus, sizeof *pus);

    if (binding == NULL || pus == NULL) {
        free(pus);
        free(binding);
        return NULL;
    }
    *binding = (struct binding_plan){.n_ranks = n, .width = topology->n_pus, .pus = pus};
    for (int rank = 0; rank < n; rank++) {
        pid_t thread = team != NULL ? thread_of(team, (uint32_t)rank) : gettid();

        if (thread != 0)
            read_row(topology, thread, pus + (size_t)rank * (size_t)topology->n_pus);
        else
            pus[(size_t)rank * (size_t)topology->n_pus] = -1;
    }
    return binding;
}

/* Of the team that the caller works for, or of the workers that its next map will have. */
static struct binding_plan *find_binding(const struct topology *topology, const struct team_shared *team,
                                         int *n_ranks)
{
    struct binding_plan *binding;

    if (team != NULL) {
        *n_ranks = (int)team->size;
        return read_binding(topology, team);
    }
    *n_ranks = (int)placement_default_np();
    binding = placement_plan((uint32_t)*n_ranks);
    return binding != NULL ? binding : read_binding(topology, NULL);
}

/* ---- Placing ---- */

/* What is placed: whole pages of the heap. */
struct request {
    char *begin;
    size_t bytes;
    enum sharedmem_placement how;
};

static int set_areas(const struct request *request, const struct place_plan *plan, sharedmem_error *error)
{
    struct topology_area *areas = calloc((size_t)plan->n_areas, sizeof *areas);
    int status;

    if (areas == NULL)
        return error_system(error, "place: no memory for a plan");
    for (int i = 0; i < plan->n_areas; i++) {
        const struct place_area *area = &plan->areas[i];

        areas[i] = (struct topology_area){.begin = request->begin + area->begin,
                                          .bytes = area->end - area->begin,
                                          .source = area->n_nodes > 0 ? TOPOLOGY_NODES : TOPOLOGY_FIRST_TOUCH,
                                          .n_nodes = area->n_nodes,
                                          .nodes = plan->nodes + area->first_node};
    }
    status = placed_set(areas, plan->n_areas, error);
    free(areas);
    return status;
}

static int place_on(const struct request *request, const struct topology *topology, sharedmem_error *error)
{
    const struct team_place *place = team_here();
    int n_ranks = 1, n = -1;
    struct binding_plan *binding = find_binding(topology, place != NULL ? place->team : NULL, &n_ranks);
    struct place_plan *plan = NULL;

    if (binding != NULL)
        plan = place_plan_create(topology, binding, n_ranks, request->how, request->bytes, slice_unit());
    if (plan == NULL)
        error_system(error, "place: no memory for a plan");
    else if (plan->n_areas == 0 || !topology->is_this_machine || set_areas(request, plan, error) == 0)
        n = plan->n_spread;
    place_plan_destroy(plan);
    binding_plan_destroy(binding);
    return n;
}

/* Other ranks may be where this one may not, so that all of the machine is looked at. */
static int place(const struct request *request, sharedmem_error *error)
{
    struct topology *topology = topology_load(NULL, 0, error);
    int n;

    if (topology == NULL)
        return -1;
    n = topology->n_nodes > 1 ? place_on(request, topology, error) : 1;
    topology_destroy(topology);
    return n;
}

static int check(const void *memory, size_t size, int32_t how, sharedmem_error *error)
{
    if (how < SHAREDMEM_FIRST_TOUCH || how > SHAREDMEM_BY_RANK)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "place: how is %d; give SHAREDMEM_FIRST_TOUCH, SHAREDMEM_INTERLEAVE or "
                         "SHAREDMEM_BY_RANK",
                         (int)how);
    if (!sharedmem_is_shared(memory) || size > segment_size - (size_t)((const char *)memory - segment_base))
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "place: this is not memory of the shared heap; give what sharedmem_malloc() or an "
                         "array has, and its size in bytes");
    return 0;
}

static struct request whole_pages(char *memory, size_t size, int32_t how)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t front = (size_t)(-(uintptr_t)memory % page);
    size_t bytes = size > front ? (size - front) / page * page : 0;

    return (struct request){memory + front, bytes, (enum sharedmem_placement)how};
}

int sharedmem_place(void *memory, size_t size, int32_t how, sharedmem_error *error)
{
    static atomic_flag warned = ATOMIC_FLAG_INIT;
    sharedmem_error own, *told = error != NULL ? error : &own;
    struct request request;
    int n;

    error_clear(told);
    if (check(memory, size, how, told) != 0)
        return error != NULL ? -1 : error_uncaught(told);
    request = whole_pages(memory, size, how);
    n = request.bytes > 0 ? place(&request, told) : 1;
    if (n < 0 && error == NULL && !atomic_flag_test_and_set(&warned))
        log_warn("sharedmem_place is ignored: %s", own.message);
    return n;
}
