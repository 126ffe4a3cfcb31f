/*
 * process.h: starting a child by fork, seeing its end, and asking whether some process still lives. The only
 * place that forks. Nothing here waits for children that it did not start.
 */
#ifndef HOST_PROCESS_H
#define HOST_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A child. end_fd is readable once the child has ended: a pidfd, or on kernels without it (and under
 * valgrind) a pipe whose other end only the child holds. -1: neither could be had, and process_reap() must be
 * asked now and then.
 */
struct process {
    pid_t pid;
    int end_fd;
    bool is_certain; /* a pidfd: readable at the end and not before, whatever the child left behind */
};

enum process_how {
    PROCESS_RUNS,
    PROCESS_EXITED,    /* code is the exit status */
    PROCESS_SIGNALLED, /* code is the signal */
    PROCESS_VANISHED   /* ended, but the program took the status: SIGCHLD ignored, or a wait for any child */
};

struct process_end {
    enum process_how how;
    int code;
    bool dumped_core;
};

/*
 * Forks a child that runs body(argument) and then leaves by _exit(0). It gets SIGKILL when the calling thread
 * ends.
 * stdio should be flushed before, or both will write what is pending.
 * Returns 0, or -1 with errno as fork(2); then process is untouched.
 */
int process_fork(struct process *process, void (*body)(void *argument), void *argument);

/*
 * Collects the child where it has ended; never blocks.
 * Returns end->how; from the first answer other than PROCESS_RUNS on the process must not be used again.
 */
enum process_how process_reap(struct process *process, struct process_end *end);

/* Sends signal to the child, which has not been reaped; by its pidfd where it has one, so that no later
 * process with its pid gets it. */
void process_signal(const struct process *process, int signal);

/*
 * Told by poll(2) that end_fd is readable, but process_reap() still says PROCESS_RUNS: the pipe was closed by
 * the program or the child is about to end. Gives up end_fd, so that the child is asked now and then instead.
 */
void process_forget_end_fd(struct process *process);

/*
 * Whether thread tid (a pid is that of its first thread) of any process lives and is the one that lived at
 * since_boot_ns (clock_boot_ns() at any moment of its life). A zombie does not live: it stores nothing any
 * more.
 * Where /proc cannot be read, a thread that exists is taken for the one.
 */
bool process_lives(pid_t tid, uint64_t since_boot_ns);

/* "SIGKILL" for 9; "signal 70" for what has no name. The text is the caller's buffer. */
const char *process_signal_name(int signal, char *text, int size);

#endif
