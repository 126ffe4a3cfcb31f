/* decide.h: all that is decided before anything starts: from the command line, the batch system and the machine. */
#ifndef SMRRUN_DECIDE_H
#define SMRRUN_DECIDE_H

#include "host/topology.h"
#include "smrrun/batch.h"
#include "smrrun/options.h"
#include "smrrun/plan.h"
#include "smrrun/wrap.h"

/* smrrun's own exit status where it fails. */
#define DECIDE_EXIT_OWN 125

struct launch {
    struct options options;
    struct batch batch;
    struct plan_machine machine; /* what the plan is made of */
    struct plan plan;
    struct topology *topology; /* NULL: not known, or not needed */
    char **paths;              /* what ranks execute, one for each program */
    struct wrapped *wrapped;   /* and in its place where --wrap and --gdb say so; NULL: nowhere */
};

/*
 * Decides, and says what it did where that was asked for. What is wrong is said, too.
 * Returns 0; the exit status; or -1: help or version was printed, there is nothing more to do. launch is freed by
 * decide_fini() in any case.
 */
int decide(struct launch *launch, int argc, char **argv);

/* Plans anew for another number of ranks. Returns 0, or the exit status, and has said why. */
int decide_ranks(struct launch *launch, int n_ranks);

/* Prints what would be started, and where. */
void decide_dry_run(const struct launch *launch);

void decide_fini(struct launch *launch);

#endif
