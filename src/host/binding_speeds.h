/*
 * binding_speeds.h: what a plan uses of a machine with fast and slow cores. Pure; part of binding_plan_make().
 *
 * Ranks wait for each other, so a job is as fast as its slowest rank. They stay on the fastest cores as long as
 * these hold them all, with as many cores for each as its threads need; else all cores are used. A share of
 * different cores is avoided where a smaller one of equal cores does.
 */
#ifndef HOST_BINDING_SPEEDS_H
#define HOST_BINDING_SPEEDS_H

#include <stdbool.h>

#include "host/binding.h"

/* Whether there are cores of different speeds, as far as that is known. */
bool binding_has_speeds(const struct topology *topology);

/* How many cores each rank needs at least, by what was asked for. */
int binding_cores_needed(const struct binding_request *request);

/*
 * The part of topology that the ranks of request are planned on: fast cores before slow ones, of the whole machine
 * or, with BY_..., of each cache. Without slow cores where the fast ones do; with all of them where one rank is alone
 * and says nothing of cores or threads, where so many ranks are to be on each object, and where ranks share cores.
 * Owner: the caller, topology_destroy(). Returns NULL with ENOMEM.
 */
struct topology *binding_view(const struct topology *topology, const struct binding_request *request);

#endif
