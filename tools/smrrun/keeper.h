/*
 * keeper.h: the launcher's second process: it starts the ranks, watches them, and ends them all. It never
 * waits for output or a terminal, so that neither can keep it from that.
 *
 * The rules of an end:
 *   the first rank that fails by itself (verdict.h), a timeout
 *       SIGTERM to all descendants, SIGKILL after the grace
 *   SIGINT, SIGTERM, SIGHUP
 *       reach each rank once; SIGKILL after the grace, or at once on a second
 *   the face is gone
 *       SIGKILL to all at once
 *   the last rank has ended
 *       SIGKILL to whatever is left of their descendants
 * The keeper adopts orphans, so that daemons of ranks are its children in the end. Should it be killed itself,
 * ranks die with it, and the rest falls to the face, which does the same.
 *
 * A signal that was sent to the whole process group (Ctrl-C, timeout(1), a batch system's sweep) has reached
 * the ranks already. The keeper is in the group: what it got too is not forwarded again.
 *
 * A batch system that ends a job sends SIGTERM to each process of its session, and SIGKILL 0.15 s later to those that
 * are in it then. So ranks stay in that session, and at SIGTERM the keeper leaves it (setsid): it is not found by the
 * SIGKILL, sees that the face is gone, and ends what had left the session before. A SIGKILL that no SIGTERM announced
 * ends both at once; ranks die with the keeper even so, and what survives is what ranks have made daemons of.
 */
#ifndef SMRRUN_KEEPER_H
#define SMRRUN_KEEPER_H

#include <signal.h>

#include "smrrun/debugged.h"
#include "smrrun/files.h"
#include "smrrun/options.h"
#include "smrrun/output.h"
#include "smrrun/plan.h"

#define KEEPER_MEMORY_BYTES 576

struct keeper_job {
    const struct options *options;
    const struct plan *plan;
    const struct topology *topology;  /* for reports of bindings; NULL: not known */
    char **paths;                     /* what ranks execute, one for each program of options */
    const struct wrapped *wrapped;    /* and what some execute in its place; NULL: nobody does */
    struct debugged *debugged;        /* the rank that has the terminal, if one has */
    struct output *output;            /* NULL: ranks have the launcher's own stdout and stderr */
    struct files *files;              /* that ranks print into by themselves; NULL: none */
    int memory_fd;                    /* the job's shared memory, where ranks find it; -1: there is none */
    char memory[KEEPER_MEMORY_BYTES]; /* the value of SHAREDMEM_JOB */
    int channel;                      /* to the face */
    int face_channel;                 /* the face's end, to be closed here */
    bool child_was_ignored; /* the launcher was started with SIGCHLD ignored, and so shall ranks be */
    sigset_t mask;          /* of ranks */
};

/*
 * The keeper's whole life, for process_fork_apart(): argument is a struct keeper_job. All signals are
 * blocked.
 */
void keeper_run(void *argument);

#endif
