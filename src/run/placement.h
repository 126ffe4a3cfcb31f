/*
 * placement.h: where workers of this process run: its share of cores, dealt to them by the same plan as
 * ranks.
 */
#ifndef RUN_PLACEMENT_H
#define RUN_PLACEMENT_H

#include <stdint.h>

#include "host/binding.h"

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

/*
 * Binds the calling thread as rank. NULL leaves it. Not being bound costs speed, not results: it cannot fail.
 */
void placement_apply(const struct binding_plan *plan, uint32_t rank);

/*
 * The same for a thread that goes on after the call: its mask until now is kept for placement_restore(),
 * which gives it back and frees it. NULL: it was not bound.
 */
struct placement_mask *placement_apply_kept(const struct binding_plan *plan, uint32_t rank);
void placement_restore(struct placement_mask *mask);

#endif
