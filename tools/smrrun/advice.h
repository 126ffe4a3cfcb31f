/*
 * advice.h: what does not fit together in what the batch system granted, what the machine allows and how smrrun was
 * started, and what to type instead. Nothing is refused for it.
 */
#ifndef SMRRUN_ADVICE_H
#define SMRRUN_ADVICE_H

#include "smrrun/plan.h"

#define ADVICE_MAX 3

struct advice {
    int n;
    char lines[ADVICE_MAX][384]; /* without "smrrun:" */
};

/*
 * Pure. At most a line each for: the job has other hosts, which this smrrun does not use; several of smrrun were
 * started on this host, and each starts ranks of a job of its own (said by the first of them only); fewer processors
 * may be used here than the job was granted.
 */
void advice_make(struct advice *advice, const struct options *options, const struct batch *batch,
                 const struct plan_machine *machine, const struct plan *plan);

#endif
