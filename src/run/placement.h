/*
 * placement.h: where workers of this process run: its share of cores, dealt to them by the same plan as
 * ranks.
 */
#ifndef RUN_PLACEMENT_H
#define RUN_PLACEMENT_H

#include <stdint.h>

#include "host/binding.h"

/*
 * The plan for np workers of the calling thread, inside of the processors that it may use itself.
 *
 * NULL where workers are not to be bound: SHAREDMEM_BIND=none, a batch system that granted fewer cores than
 * the thread may use (other jobs have the rest), more workers than processors, or no topology.
 * Owner: the caller, binding_plan_destroy(). The last topology is kept, so that only the first call, and one
 * after a change of the thread's affinity, takes about a millisecond.
 */
struct binding_plan *placement_plan(uint32_t np);

#endif
