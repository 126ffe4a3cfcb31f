/*
 * face.h: the launcher's first process, the one that the user's shell knows: it passes on what ranks print,
 * tells the keeper of signals, and ends as the job did.
 */
#ifndef SMRRUN_FACE_H
#define SMRRUN_FACE_H

#include <signal.h>
#include <stdbool.h>

#include "host/process.h"
#include "smrrun/debugged.h"
#include "smrrun/output.h"

struct face {
    int channel; /* to the keeper */
    struct process keeper;
    struct output *output; /* NULL: ranks print by themselves */
    struct debugged *debugged; /* as in keeper.h */
    sigset_t mask;         /* the one the launcher was started with */
    bool quiet;
};

/* Lives as long as the job. Returns its exit status; where a signal is to be raised it does not return. */
int face_run(struct face *face);

/* Prints "smrrun: ..." to stderr. */
void face_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
