/* start.h: the ranks' birth: their environment, files and processors; all of them or none. */
#ifndef SMRRUN_START_H
#define SMRRUN_START_H

#include <stdbool.h>
#include <stddef.h>

#include "smrrun/keeper.h"
#include "team/supervise.h"

/*
 * Makes the job's shared memory, in the launcher's first process: it looks there how ranks want their output
 * to pass. Where there can be none, ranks run without, and those that want it say why.
 * Returns 0, or -1 with errno and a line in message where what was asked for cannot be had.
 */
int start_memory(struct keeper_job *job, char *message, size_t size);

/* The folder that rank was started in; NULL: the launcher's. */
const char *start_folder(const struct keeper_job *job, int rank);

/*
 * Starts all ranks.
 *
 * before_each: called with argument before each of them; false: no more are to be started.
 * message: gets one line where the answer is not 0; some ranks may run then, and must be ended.
 * Returns 0, or the exit status: 125, 126 or 127.
 */
int start_ranks(const struct keeper_job *job, struct supervise *ranks, bool (*before_each)(void *argument),
                void *argument, char *message, size_t size);

#endif
