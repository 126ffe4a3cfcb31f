/*
 * in_child.h: checks in a forked child, which may do to itself what it wants, for tests of how children are
 * started and watched: it may lower its limits, close its files, and have system calls refused.
 */
#ifndef T_IN_CHILD_H
#define T_IN_CHILD_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/process.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* A child ends with this where it cannot be made what it is to be. */
#define NOT_HERE 77

/* For what runs in a child, whose checks count nowhere: they end in its exit status. */
static bool all_held = true;

static inline void held(bool is)
{
    all_held &= is;
}

/* A fork that failed must end the test: a later kill(-1) would end everything. */
static inline pid_t fork_surely(void)
{
    pid_t child = fork();

    if (child >= 0)
        return child;
    test_ok(false, "a process is forked");
    exit(test_end());
}

/* One result: whether all checks held in a child that is refused something first; or a skip. */
static inline void test_refused(bool (*refuse)(void), void (*checks)(void), const char *name)
{
    pid_t child = fork_surely();
    int status;

    if (child == 0) {
        if (refuse != NULL && !refuse())
            test_child_exit(NOT_HERE);
        checks();
        test_child_exit(all_held && test_children() == 0 ? 0 : 1);
    }
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_HERE)
        test_skip("%s: not here", name);
    else
        test_int(0, status, "%s: all is as it should be", name);
}

static inline void test_in_child(void (*checks)(void), const char *name)
{
    test_refused(NULL, checks, name);
}

static inline void await_end(struct process *process, struct process_end *end)
{
    struct pollfd polled = {.fd = process->end_fd, .events = POLLIN};

    while (process->end_fd >= 0 && poll(&polled, 1, -1) < 0)
        ;
    while (process_reap(process, end) == PROCESS_RUNS)
        sched_yield();
}

/* ---- Kernels that lack something, or refuse it ---- */

/* From now on the kernel answers this call with this errno. Cannot be taken back: for children only. */
static inline bool refuse_syscall(int number, int code)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = COUNT_OF(rules), .filter = rules};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static inline bool refuse_fork(void)
{
    bool refused = refuse_syscall(SYS_clone, EAGAIN);

#ifdef SYS_clone3
    refused &= refuse_syscall(SYS_clone3, EAGAIN);
#endif
#ifdef SYS_fork
    refused &= refuse_syscall(SYS_fork, EAGAIN);
#endif
#ifdef SYS_vfork
    refused &= refuse_syscall(SYS_vfork, EAGAIN);
#endif
    return refused;
}

/* Valgrind has none. */
static inline bool refuse_pidfd(void)
{
    return test_under_valgrind() || refuse_syscall(SYS_pidfd_open, ENOSYS);
}

#endif
