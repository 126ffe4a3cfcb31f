#include "smrrun/debugged.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/descendants.h"

/* How often it is looked whether a debugger that is stopped can go on: what a person does not notice. */
#define LOOK_NS 100000000u

/* How often the terminal is asked for that something else has: it may be a shell. */
#define ASKED_MAX 20

/* More generations than a debugger has below it. */
#define GENERATIONS 64

int debugged_open(struct debugged *debugged, int rank, bool tells, char *message, size_t size)
{
    *debugged = (struct debugged){.is_on = true, .rank = rank, .tells = tells, .look_at_ns = UINT64_MAX};
    if (terminal_open(&debugged->terminal) == 0)
        return 0;
    debugged->is_on = false;
    if (errno == EIO)
        snprintf(
            message, size,
            "--gdb %d: smrrun is in the background, and the debugger needs the terminal; start it without &",
            rank);
    else
        snprintf(
            message, size,
            "--gdb %d: there is no terminal for the debugger, as in batch jobs; use its batch mode: smrrun "
            "--wrap '%d:gdb -batch -ex run -ex bt --args' ./prog",
            rank, rank);
    return -1;
}

void debugged_begin(const struct debugged *debugged)
{
    if (setpgid(0, 0) == 0)
        terminal_lend(&debugged->terminal, getpid());
}

bool debugged_has(const struct debugged *debugged, pid_t pid)
{
    struct process_look look;

    if (!debugged->is_on || debugged->process.pid == 0)
        return false;
    for (int i = 0; i < GENERATIONS && pid > 1; i++) {
        if (pid == debugged->process.pid)
            return true;
        if (process_look(pid, &look) != 1)
            return false;
        pid = look.parent;
    }
    return false;
}

/* For descendants_signal(): whether a process has the terminal's foreground group. */
struct search {
    const struct debugged *debugged;
    pid_t group;
    bool is_found;
};

static bool note_group(pid_t pid, void *argument)
{
    struct search *search = argument;

    search->is_found = search->is_found || getpgid(pid) == search->group;
    return true;
}

/*
 * Whether the foreground is the debugger's or its program's. Else the user's shell has taken it, and waits for keys:
 * to take it from there would leave the user without a prompt.
 */
static bool has_terminal(const struct debugged *debugged)
{
    struct search search = {.group = terminal_group(&debugged->terminal)};

    if (search.group == debugged->terminal.group)
        return false;
    if (terminal_is_lent(&debugged->terminal, debugged->process.pid))
        return true;
    descendants_signal(0, note_group, &search);
    return search.is_found;
}

/* The debugger was stopped. With the launcher's group stopped too the user has a prompt of the shell's. */
static void stop(struct debugged *debugged, uint64_t now)
{
    debugged->is_stopped = true;
    debugged->look_at_ns = now + LOOK_NS;
    if (!terminal_modes(&debugged->terminal, &debugged->modes))
        debugged->modes = debugged->terminal.modes;
    if (!has_terminal(debugged))
        return;
    terminal_take_back(&debugged->terminal);
    /*
     * What the key does where no debugger is: all of the group, a pipeline around the launcher too, or the shell
     * would wait for the rest of it. The keeper itself has it blocked.
     */
    kill(0, SIGTSTP);
}

/* The parent's parent is looked at by its state: the face, which the user's shell continues by fg. */
static bool is_stopped(pid_t pid)
{
    struct process_look look;

    return process_look(pid, &look) == 1 && look.state == 'T';
}

/* In the foreground again, or nothing has ever stopped there: a group that no shell minds cannot be. */
static void try_to_continue(struct debugged *debugged, uint64_t now)
{
    debugged->look_at_ns = now + LOOK_NS;
    if (terminal_group(&debugged->terminal) != debugged->terminal.group || is_stopped(getppid()))
        return;
    terminal_set_modes(&debugged->terminal, &debugged->modes);
    if (!terminal_lend(&debugged->terminal, debugged->process.pid))
        return;
    debugged->is_stopped = false;
    debugged->look_at_ns = UINT64_MAX;
    process_signal(&debugged->process, SIGCONT);
}

void debugged_look(struct debugged *debugged, uint64_t now)
{
    if (!debugged->is_on)
        return;
    if (debugged->process.pid == 0) {
        if (now >= debugged->look_at_ns)
            debugged_end(debugged);
    } else if (process_has_stopped(&debugged->process))
        stop(debugged, now);
    else if (debugged->is_stopped && now >= debugged->look_at_ns)
        try_to_continue(debugged, now);
}

void debugged_end(struct debugged *debugged)
{
    if (!debugged->is_on)
        return;
    debugged->look_at_ns = UINT64_MAX;
    if (has_terminal(debugged))
        terminal_take_back(&debugged->terminal);
    else if (terminal_group(&debugged->terminal) != debugged->terminal.group &&
             debugged->n_asked++ < ASKED_MAX)
        debugged->look_at_ns = clock_monotonic_ns() + LOOK_NS;
    debugged->process.pid = 0;
}
