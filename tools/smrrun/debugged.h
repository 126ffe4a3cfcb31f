/*
 * debugged.h: the one rank that runs under a debugger, --gdb R, and the terminal that it has meanwhile.
 *
 * The debugger leads a process group of its own, which is the terminal's foreground: Ctrl-C is for it, and not for
 * the job. It is not ended because other ranks fail, for there may be something to look at; only with the launcher,
 * or by a signal to it. In order:
 *
 *   1. The launcher opens the terminal, before anything starts (debugged_open).
 *   2. The child that will be the debugger takes it (debugged_begin).
 *   3. When the debugger is stopped, by Ctrl-Z at its prompt, the launcher's group gets the terminal back and is
 *      stopped as well, for the user's shell to see. When that brings it to the foreground again the debugger gets
 *      the terminal, and goes on (debugged_look).
 *   4. When the debugger has ended, the launcher or its keeper takes the terminal back (debugged_end): both do, as
 *      either may be killed.
 *
 * Face and keeper each have a copy from the fork on.
 */
#ifndef SMRRUN_DEBUGGED_H
#define SMRRUN_DEBUGGED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/process.h"
#include "host/terminal.h"

struct debugged {
    bool is_on; /* there is one; all else has no meaning where not */
    int rank;
    struct terminal terminal;
    struct process process; /* the debugger, in the keeper once it runs; pid 0: not yet, or no more */
    bool tells;             /* its exit status is the program's, or 255 */
    bool is_stopped;        /* and does not have the terminal */
    struct termios modes;   /* its own, while it is stopped */
    int n_asked;            /* how often debugged_end() has found the terminal elsewhere */
    uint64_t look_at_ns; /* when to look again, clock_monotonic_ns(); UINT64_MAX: only when a child stops */
};

/* Opens the terminal for rank's debugger. Returns 0, or -1 with a line in message. */
int debugged_open(struct debugged *debugged, int rank, bool tells, char *message, size_t size);

/* In the child, before the exec: it leads a group that has the terminal. Async-signal-safe. */
void debugged_begin(const struct debugged *debugged);

/* Whether a process is the debugger, or was started by it. */
bool debugged_has(const struct debugged *debugged, pid_t pid);

/* Looks whether the debugger has stopped, or can go on. */
void debugged_look(struct debugged *debugged, uint64_t now);

/*
 * The debugger has ended, or all of the job has: the terminal is as it was; or debugged_look() sees to it, where what
 * ran under the debugger is about to end. Can be called again, and where there is none.
 */
void debugged_end(struct debugged *debugged);

#endif
