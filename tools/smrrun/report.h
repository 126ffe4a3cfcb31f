/* report.h: what the launcher tells of a running job: who waits where, who runs where. */
#ifndef SMRRUN_REPORT_H
#define SMRRUN_REPORT_H

#include <stdbool.h>

#include "smrrun/keeper.h"
#include "team/supervise.h"

/*
 * Sends a line for each group of ranks that do the same: "ranks 0-2: waiting in the barrier or collective at
 * heat.c:88 (rank 3 is missing), for 12.3 s", "rank 3: running in own code"; and where a rank waits for workers
 * of its own, for each group of those: "worker of rank 1, pids 4711, 4712: asleep in own code". has_memory: the job
 * has shared memory, where they say so.
 */
void report_states(int channel, const struct supervise *ranks, bool has_memory);

/* Sends a line for each rank: where it may run, read back from the kernel. */
void report_bindings(const struct keeper_job *job, const struct supervise *ranks);

#endif
