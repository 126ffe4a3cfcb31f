/*
 * process.h: starting a child by fork or exec, seeing its end, and asking whether some process still lives.
 * The only place that forks. Nothing here waits for children that it did not start.
 */
#ifndef HOST_PROCESS_H
#define HOST_PROCESS_H

#include <signal.h>
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
    uint64_t end_inode; /* of end_fd: another file may have its number by now */
    bool is_certain; /* a pidfd: readable at the end and not before, whatever the child left behind */
    bool is_unwatched; /* it is to get a pidfd by process_watch() */
};

enum process_how {
    PROCESS_RUNS,
    PROCESS_EXITED,    /* code is the exit status */
    PROCESS_SIGNALLED, /* code is the signal */
    PROCESS_VANISHED   /* ended, but the program took the status: SIGCHLD ignored, or a wait for any child */
};

/* What the child used, and all those that it started and waited for. 0: the system does not tell. */
struct process_use {
    uint64_t user_ns, system_ns; /* processor time */
    uint64_t peak_bytes;         /* of memory, shared pages too: of the one that had most */
};

struct process_end {
    enum process_how how;
    int code;
    bool dumped_core;
    struct process_use use;
};

/* Whether the kernel has pidfds: without, an end is seen as end_fd says. Asked once. */
bool process_has_pidfd(void);

/*
 * Forks a child that runs body(argument) and then leaves by _exit(0). It gets SIGKILL when the calling thread
 * ends.
 * stdio should be flushed before, or both will write what is pending.
 * Returns 0, or -1 with errno as fork(2); then process is untouched.
 */
int process_fork(struct process *process, void (*body)(void *argument), void *argument);

/*
 * As process_fork(), for one of several children that are forked in a row: its pidfd is opened by
 * process_watch(), so that the next children do not inherit it and have it to close.
 */
int process_fork_unwatched(struct process *process, void (*body)(void *argument), void *argument);

/* Opens the end_fd of a child that was forked so. Soon: where SIGCHLD is ignored its pid comes free. */
void process_watch(struct process *process);

/*
 * As process_fork(), but the child gets SIGKILL only when the whole calling process ends: the thread may end
 * before. The last real-time signal but two is taken for that in the child, and is not blocked there.
 */
int process_fork_staying(struct process *process, void (*body)(void *argument), void *argument);

/*
 * Runs body(argument) in a copy of the process, which is gone when it returns: killed after limit_ns, where a lock
 * that another thread had keeps it. For a signal handler of a process that ends: whatever body does, and may crash
 * over, only what it stores in shared memory is left of it. No hook of the program runs.
 * Returns whether there was a copy.
 */
bool process_twin(void (*body)(void *argument), void *argument, uint64_t limit_ns);

/* As process_fork(), but the child outlives the caller: it has to see by itself when that is gone. */
int process_fork_apart(struct process *process, void (*body)(void *argument), void *argument);

/*
 * What a child that runs another program gets. Signals that the caller handles are at their default;
 * everything else that is not said here is the caller's: folder, limits, affinity, fds that are not closed
 * on exec.
 */
struct process_spec {
    const char *path;  /* what to execute; not searched for. Relative to wdir, where that is given */
    char *const *argv; /* NULL at the end */
    char *const *envp; /* all of its environment */
    int stdio[3];      /* what it gets as 0, 1 and 2: any fds, those three too; each -1: the caller's */
    int keep_fd;       /* one more fd, above 2, that it inherits under its number; -1: none */
    const char *wdir;  /* the folder to start in; NULL: the caller's */
    const sigset_t *signal_mask; /* the signals it starts with blocked; NULL: the caller's */
    const sigset_t *ignored;     /* signals it starts with ignored; NULL: none more than the caller */
    const sigset_t *defaulted;   /* signals it starts with at their default, unless ignored; NULL: none */
    const sigset_t
        *handled; /* the signals that the caller handles, where it knows; NULL: they are looked for */
    /*
     * Called in the child last before the exec, with all signals blocked and stdio in place; or NULL. It
     * may only make system calls, and what it stores the caller may see or not.
     *
     * Not for binding the program to processors: the caller would wait until the child has its turn there.
     * A caller that binds itself before each, and back after the last, starts 64 on two busy cores in half to
     * two thirds of the time.
     */
    void (*prepare)(void *argument);
    void *argument;
};

/*
 * Starts a child that runs another program. It gets SIGKILL when the calling thread ends.
 * On kernels without pidfds the program inherits one fd more, its end of end_fd's pipe.
 * Blocks until the program has begun, or could not: about as long as fork(2).
 * Returns 0, or -1 with errno; there is then no child, and process is untouched. what: set then to the step
 * that failed, "stdio" (EBADF: one of the fds is not open), "fork" (errno as fork(2), or EMFILE and
 * ENFILE), "chdir" or "exec" (errno as execve(2)).
 */
int process_spawn(struct process *process, const struct process_spec *spec, const char **what);

/*
 * Collects the child where it has ended; never blocks.
 * Returns end->how; from the first answer other than PROCESS_RUNS on the process must not be used again.
 */
enum process_how process_reap(struct process *process, struct process_end *end);

/*
 * Whether the child, which has not been reaped, was stopped (Ctrl-Z) since this was asked last. Never blocks.
 */
bool process_has_stopped(const struct process *process);

/* Sends signal to the child, which has not been reaped; by its pidfd where it has one, so that no later
 * process with its pid gets it. */
void process_signal(const struct process *process, int signal);

/*
 * Sends signal to any process, if is_meant(pid, argument) says so: asked when no later process with this
 * pid can get the signal any more (without pidfds: right before).
 * Returns whether it was sent. Keeps errno.
 */
bool process_signal_meant(pid_t pid, int signal, bool (*is_meant)(pid_t pid, void *argument), void *argument);

/*
 * Told by poll(2) that end_fd is readable, but process_reap() still says PROCESS_RUNS: the pipe was closed by
 * the program or the child is about to end. Gives up end_fd, so that the child is asked now and then instead.
 * Also for a forked copy of the process, where the child is none of its own. What the program has closed, and
 * opened anew for itself, stays open.
 */
void process_forget_end_fd(struct process *process);

/* What the system tells of a process or thread. */
struct process_look {
    char state; /* as in proc(5): 'Z' is a zombie, 'X' is dead */
    pid_t parent;
    int n_threads;        /* of its process */
    uint64_t start_ticks; /* since boot */
};

/* Fills look for thread tid. Returns 1, 0 where it is gone, -1 where /proc has nothing of it. */
int process_look(pid_t tid, struct process_look *look);

/*
 * Whether thread tid (a pid is that of its first thread) of any process lives and is the one that lived at
 * since_boot_ns (clock_boot_ns() at any moment of its life). A zombie does not live: it stores nothing any
 * more.
 * Where /proc cannot be read, a thread that exists is taken for the one.
 */
bool process_lives(pid_t tid, uint64_t since_boot_ns);

/* The same for a process: it lives as long as any of its threads does, the first may have ended. */
bool process_lives_at_all(pid_t pid, uint64_t since_boot_ns);

/* Whether the caller is the only thread of its process, and that has no child, not even an ended one. */
bool process_is_single(void);

/* How much memory this process has for itself, which a fork copies when it is written; 0 where that is unknown. */
uint64_t process_private_bytes(void);

/* "SIGKILL" for 9; "signal 70" for what has no name. The text is the caller's buffer. */
const char *process_signal_name(int signal, char *text, int size);

#endif
