#include "run/placement.h"

#include <stdlib.h>
#include <string.h>

#include "base/each_fork.h"
#include "base/env.h"
#include "base/slow.h"
#include "host/affinity.h"
#include "host/cpu_count.h"
#include "host/limits.h"
#include "host/openmp.h"
#include "team/team.h"

/* The topology of the processors in mask, kept from call to call, under slow_lock(). */
static struct {
    struct topology *topology;
    cpu_set_t *mask;
    size_t mask_bytes;
} kept;

static bool is_wanted(void)
{
    const char *text = env_text(ENV_BIND);

    if (text == NULL || strcmp(text, "share") == 0)
        return true;
    if (strcmp(text, "none") != 0)
        env_warn(ENV_BIND, "share or none");
    return strcmp(text, "none") != 0;
}

/* Whether the batch system gave this job fewer cores than its processes are confined to. */
static bool is_granted_less(const struct topology *topology)
{
    long granted;

    return env_int(ENV_PBS_NUM_PPN, 1, topology->n_pus, &granted) == ENV_GOOD && granted < topology->n_cores;
}

/* Of the calling worker, whose team has the share of its own master, and so on. */
static uint32_t share_of(uint32_t cores, const struct team_place *place)
{
    uint32_t share = cores;

    for (; place != NULL && !team_root(place->team)->is_job && place->cores == 0; place = place->within)
        share /= team_root(place->team)->size;
    if (place != NULL && !team_root(place->team)->is_job && place->cores < share)
        share = place->cores;
    return share > 0 ? share : 1;
}

uint32_t placement_default_np(void)
{
    const struct team_place *place = team_here();
    uint32_t cores = (uint32_t)sharedmem_cpu_count();

    return share_of(cores, place);
}

/* Takes ownership of mask. */
static void keep_topology_of(cpu_set_t *mask, size_t mask_bytes)
{
    if (kept.mask != NULL && kept.mask_bytes == mask_bytes && CPU_EQUAL_S(mask_bytes, kept.mask, mask)) {
        CPU_FREE(mask);
        return;
    }
    topology_destroy(kept.topology);
    if (kept.mask != NULL)
        CPU_FREE(kept.mask);
    kept.mask = mask;
    kept.mask_bytes = mask_bytes;
    kept.topology = topology_load(mask, mask_bytes, NULL);
}

static struct binding_plan *plan_in(const struct topology *topology, uint32_t np)
{
    struct binding_plan *plan;

    if (topology == NULL || is_granted_less(topology))
        return NULL;
    if (np > (uint32_t)topology->n_pus)
        np = (uint32_t)topology->n_pus;
    plan = binding_plan_create(topology, (int)np, BINDING_SHARE);
    if (plan != NULL && plan->width > 0 && plan->is_this_machine)
        return plan;
    binding_plan_destroy(plan);
    return NULL;
}

struct binding_plan *placement_plan(uint32_t np)
{
    struct binding_plan *plan = NULL;
    cpu_set_t *mask;
    size_t mask_bytes;

    if (!is_wanted())
        return NULL;
    mask = affinity_read(&mask_bytes);
    if (mask == NULL)
        return NULL;
    slow_lock();
    keep_topology_of(mask, mask_bytes);
    plan = plan_in(kept.topology, np);
    slow_unlock();
    return plan;
}

/* Of an equal share of n. */
static int cores_of(int n, uint32_t np)
{
    return (uint32_t)n > np ? n / (int)np : 1;
}

static int cores_unbound(uint32_t np)
{
    int cores = cpu_count_machine();
    long granted;

    if (env_int(ENV_PBS_NUM_PPN, 1, cores, &granted) == ENV_GOOD)
        cores = (int)granted;
    return cores_of(cores, np);
}

static int cores_bound(const struct binding_plan *plan, uint32_t np)
{
    int quota, cores;

    if (plan->cores_per_rank <= 1)
        return 1;
    quota = limits_cpu_quota("");
    cores = quota > 0 ? cores_of(quota, np) : plan->cores_per_rank;
    return cores < plan->cores_per_rank ? cores : plan->cores_per_rank;
}

int placement_threads(const struct binding_plan *plan, uint32_t np)
{
    if (!openmp_is_loaded())
        return 0;
    return openmp_share(plan != NULL ? cores_bound(plan, np) : cores_unbound(np));
}

EACH_FORK void placement_apply(const struct binding_plan *plan, uint32_t rank)
{
    if (plan != NULL)
        binding_apply(plan, (int)(rank % (uint32_t)plan->n_ranks));
}

void placement_hurry(const struct binding_plan *plan, uint32_t rank, pid_t pid)
{
    if (plan != NULL && plan->n_ranks == 2)
        binding_apply_to(plan, (int)(rank % 2), pid);
}

int64_t placement_rank_here(const struct binding_plan *plan, uint32_t first, uint32_t n)
{
    int place = plan != NULL ? binding_rank_here(plan) : -1;

    for (uint32_t rank = first; rank < first + n && place >= 0; rank++) {
        if (rank % (uint32_t)plan->n_ranks == (uint32_t)place)
            return rank;
    }
    return -1;
}

struct placement_mask {
    cpu_set_t *mask;
    size_t bytes;
};

struct placement_mask *placement_keep(const struct binding_plan *plan)
{
    struct placement_mask *mask = plan != NULL ? malloc(sizeof *mask) : NULL;

    if (mask == NULL)
        return NULL;
    mask->mask = affinity_read(&mask->bytes);
    if (mask->mask != NULL)
        return mask;
    free(mask);
    return NULL;
}

bool placement_apply_for_now(const struct binding_plan *plan, uint32_t rank,
                             const struct placement_mask *before)
{
    if (before == NULL)
        return false;
    placement_apply(plan, rank);
    return true;
}

void placement_restore(const struct placement_mask *before)
{
    affinity_write(before->mask, before->bytes);
}

void placement_forget(struct placement_mask *mask)
{
    if (mask == NULL)
        return;
    CPU_FREE(mask->mask);
    free(mask);
}
