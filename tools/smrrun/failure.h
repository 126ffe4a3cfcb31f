/* failure.h: a cause of failure in words, for a person. */
#ifndef SMRRUN_FAILURE_H
#define SMRRUN_FAILURE_H

#include <stddef.h>

#include "smrrun/keeper.h"
#include "smrrun/verdict.h"

/*
 * Writes one line without its newline: "rank 2 (pid 77, cpus 4-5) was ended by SIGSEGV (core dumped:
 * /tmp/core) after 0.12 s", "ranks 0-3, 7 exited with status 3 after 0.01 s", "ranks 0-15: cannot open a.nml".
 */
void failure_say(const struct keeper_job *job, const struct verdict_cause *cause, char *text, size_t size);

#endif
