/*
 * placement.h: where workers of this process run: its share of cores, dealt to them by the same plan as
 * ranks.
 */
#ifndef RUN_PLACEMENT_H
#define RUN_PLACEMENT_H

#include <stdint.h>
#include <sys/types.h>

#include "host/binding.h"

/*
 * How many workers a call of this thread starts where it does not say: sharedmem_cpu_count(), but a worker's own
 * no more than its share of the cores, so that maps within maps don't multiply.
 */
uint32_t placement_default_np(void);

/*
 * The plan for np workers of the calling thread, inside of the processors that it may use itself. Where there
 * are more workers than processors it is for as many as there are, and the workers share them evenly, rank r
 * with rank r + n:
 * hand-offs between workers that the system moves about cost twice as much.
 *
 * NULL where workers are not to be bound: SHAREDMEM_BIND=none, a batch system that granted fewer cores than
 * the thread may use (other jobs have the rest), or no topology.
 * Owner: the caller, binding_plan_destroy(). The last topology is kept, so that only the first call, and one
 * after a change of the thread's affinity, takes about a millisecond.
 */
struct binding_plan *placement_plan(uint32_t np);

/* How many cores of its own each worker has by the plan; 0: none, or plan is NULL. */
static inline uint32_t placement_cores(const struct binding_plan *plan)
{
    return plan != NULL ? (uint32_t)plan->cores_per_rank : 0;
}

/*
 * How many threads of OpenMP each of np workers gets: the cores that it has to itself by the plan, or without
 * one by an equal share of what this process may use; at most what a cpu quota gives it and what the calling
 * thread has itself, at least 1. 0: OpenMP is not loaded.
 * Without a plan the first call of a process loads the topology.
 */
int placement_threads(const struct binding_plan *plan, uint32_t np);

/* How many of np workers share a processor by the plan; 0: none do. */
static inline uint32_t placement_crowd(const struct binding_plan *plan, uint32_t np)
{
    uint32_t n = plan != NULL ? (uint32_t)plan->n_ranks : np;

    return np > n ? (np + n - 1) / n : 0;
}

/*
 * The rank, of first to first + n - 1, whose place is the processor that the calling thread runs on now; -1:
 * none, or workers are not bound.
 */
int64_t placement_rank_here(const struct binding_plan *plan, uint32_t first, uint32_t n);

/*
 * Binds the calling thread as rank. NULL leaves it. Not being bound costs speed, not results: it cannot fail.
 */
void placement_apply(const struct binding_plan *plan, uint32_t rank);

/*
 * The same for a worker's process that has just been forked, by its master, where that takes no wait: of two places the
 * other is the only one where it might be by mistake, and there it does not run, for the master does. The worker binds
 * itself all the same; it may be first.
 */
void placement_hurry(const struct binding_plan *plan, uint32_t rank, pid_t pid);

/*
 * Keeps the calling thread's mask, for a thread that is bound for a while only. Before the first fork: what
 * is allocated between two lies in pages that the system then has to copy. NULL: plan is, or there was no
 * memory. placement_forget() frees it, or NULL.
 */
struct placement_mask *placement_keep(const struct binding_plan *plan);
void placement_forget(struct placement_mask *mask);

/*
 * Binds the calling thread as rank, until placement_restore(before). Returns whether it did: not where before
 * is NULL.
 */
bool placement_apply_for_now(const struct binding_plan *plan, uint32_t rank,
                             const struct placement_mask *before);
void placement_restore(const struct placement_mask *before);

#endif
