#include "team/supervise.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/each_fork.h"
#include "host/clock.h"
#include "host/openmp.h"
#include "memory/member.h"
#include "memory/recover.h"
#include "memory/wait.h"

/*
 * How often children are asked whether they have ended, where that cannot be polled; and where it can, but
 * only by a pipe: whatever the child started and left behind may hold the other end open.
 */
#define ASK_NS         5000000u
#define ASK_BY_PIPE_NS 20000000u

int supervise_init(struct supervise *set, uint32_t n, int wake_fd)
{
    *set = (struct supervise){.wake_fd = wake_fd, .n_room = n};
    /* One block: each page that the parent writes to after a fork is copied first. */
    set->children = calloc(1, n * sizeof *set->children + ((size_t)n + 1) * sizeof *set->polled);
    if (set->children == NULL)
        return -1;
    set->polled = (struct pollfd *)(set->children + n);
    return 0;
}

static bool runs(const struct supervise_child *child)
{
    return child->end.how == PROCESS_RUNS;
}

/* A place for one more child; the caller has seen to it that there is one. */
static struct supervise_child *free_place(struct supervise *set)
{
    struct supervise_child *child = set->children;

    if (set->n_started < set->n_room)
        return &set->children[set->n_started];
    while (runs(child))
        child++;
    return child;
}

static void add(struct supervise *set, const struct process *process, uint32_t rank, uint32_t member)
{
    struct supervise_child *child = free_place(set);

    if (set->n_started < set->n_room)
        set->n_started++;
    *child = (struct supervise_child){.process = *process, .rank = rank, .member = member};
    set->newest = process->pid;
    set->n_running++;
}

int supervise_fork(struct supervise *set, uint32_t rank, uint32_t member, void (*body)(void *argument),
                   void *argument)
{
    struct process process;

    if ((set->stays ? process_fork_staying : process_fork)(&process, body, argument) != 0)
        return -1;
    add(set, &process, rank, member);
    return 0;
}

int supervise_fork_next(struct supervise *set, uint32_t rank, uint32_t member, void (*body)(void *argument),
                        void *argument)
{
    struct process process;

    if (set->stays)
        return supervise_fork(set, rank, member, body, argument);
    if (process_fork_unwatched(&process, body, argument) != 0)
        return -1;
    add(set, &process, rank, member);
    set->n_unwatched++;
    return 0;
}

int supervise_spawn(struct supervise *set, uint32_t rank, const struct process_spec *spec, const char **what)
{
    struct process process;

    if (process_spawn(&process, spec, what) != 0)
        return -1;
    add(set, &process, rank, 0);
    return 0;
}

/* Whatever waits for the member has to learn of its end, and what it held has to come free. */
static void end_membership(const struct supervise_child *child)
{
    bool left = child->end.how == PROCESS_EXITED && child->end.code == 0;

    if (child->member == 0)
        return;
    if (left && !member_holds_any(child->member))
        member_release(child->member);
    else
        recover_member(child->member);
}

/* Asks child whether it has ended. */
static void reap(struct supervise *set, struct supervise_child *child,
                 void (*ended)(const struct supervise_child *child, void *argument), void *argument)
{
    if (process_reap(&child->process, &child->end) == PROCESS_RUNS) {
        if (child->ready)
            process_forget_end_fd(&child->process);
        return;
    }
    set->n_running--;
    wait_acts();
    end_membership(child);
    openmp_clear_after(child->process.pid);
    ended(child, argument);
}

/*
 * Those that have ended by now, as the first of many short ones have, need no end_fd: to open and close one
 * takes ten times as long as to ask. Returns whether any has ended.
 */
static bool watch_new(struct supervise *set,
                      void (*ended)(const struct supervise_child *child, void *argument), void *argument)
{
    uint32_t n_running = set->n_running;

    for (uint32_t i = 0; i < set->n_started; i++) {
        struct supervise_child *child = &set->children[i];

        if (!runs(child) || !child->process.is_unwatched)
            continue;
        reap(set, child, ended, argument);
        if (runs(child))
            process_watch(&child->process);
    }
    set->n_unwatched = 0;
    return set->n_running < n_running;
}

/*
 * The running children that can be polled, then wake_fd. No entry for others: poll(2) refuses more
 * entries than files may be open, even if they ask for nothing.
 */
static nfds_t fill_polled(struct supervise *set)
{
    nfds_t n = 0;

    for (uint32_t i = 0; i < set->n_started; i++) {
        if (runs(&set->children[i]) && set->children[i].process.end_fd >= 0)
            set->polled[n++] = (struct pollfd){.fd = set->children[i].process.end_fd, .events = POLLIN};
    }
    if (set->wake_fd >= 0)
        set->polled[n++] = (struct pollfd){.fd = set->wake_fd, .events = POLLIN};
    return n;
}

/* Takes poll(2)'s answers, in the order of fill_polled(). Returns whether wake_fd is readable. */
static bool note_ready(struct supervise *set)
{
    nfds_t n = 0;

    for (uint32_t i = 0; i < set->n_started; i++) {
        if (runs(&set->children[i]) && set->children[i].process.end_fd >= 0)
            set->children[i].ready = set->polled[n++].revents != 0;
    }
    return set->wake_fd >= 0 && set->polled[n].revents != 0;
}

static void forget_ready(struct supervise *set)
{
    for (uint32_t i = 0; i < set->n_started; i++)
        set->children[i].ready = false;
}

/* The longest that may be slept without asking those whose end poll(2) might not tell. */
static uint64_t longest_sleep(const struct supervise *set)
{
    uint64_t longest = UINT64_MAX;

    for (uint32_t i = 0; i < set->n_started; i++) {
        if (!runs(&set->children[i]) || set->children[i].process.is_certain)
            continue;
        if (set->children[i].process.end_fd < 0)
            return ASK_NS;
        longest = ASK_BY_PIPE_NS;
    }
    return longest;
}

static bool wait_for_events(struct supervise *set, uint64_t timeout_ns)
{
    uint64_t longest = longest_sleep(set);
    struct timespec timeout = clock_timespec(timeout_ns < longest ? timeout_ns : longest);
    nfds_t n = fill_polled(set);
    int n_ready;

    wait_sleeps_outside();
    n_ready = ppoll(set->polled, n, &timeout, NULL);
    if (n_ready != 0)
        wait_acts();
    if (n_ready >= 0)
        return note_ready(set);
    forget_ready(set);
    /* A signal is as good as an early wake-up. Else, no memory or RLIMIT_NOFILE lowered meanwhile: without a
     * rest the caller would spin. */
    if (errno == EINTR)
        return false;
    timeout = clock_timespec(timeout_ns < ASK_NS ? timeout_ns : ASK_NS);
    nanosleep(&timeout, NULL);
    for (uint32_t i = 0; i < set->n_started; i++)
        set->children[i].process.is_certain = false;
    return false;
}

bool supervise_wait(struct supervise *set, uint64_t timeout_ns,
                    void (*ended)(const struct supervise_child *child, void *argument), void *argument)
{
    bool woken;

    if (set->n_unwatched > 0 && watch_new(set, ended, argument))
        return false;
    woken = wait_for_events(set, timeout_ns);

    for (uint32_t i = 0; i < set->n_started; i++) {
        struct supervise_child *child = &set->children[i];

        if (runs(child) && (child->ready || !child->process.is_certain))
            reap(set, child, ended, argument);
    }
    return woken;
}

void supervise_signal(struct supervise *set, int signal)
{
    for (uint32_t i = 0; i < set->n_started; i++) {
        if (runs(&set->children[i]))
            process_signal(&set->children[i].process, signal);
    }
}

EACH_FORK void supervise_forget(struct supervise *set)
{
    for (uint32_t i = 0; i < set->n_started; i++) {
        /* What has none is not written to: the page would be copied for that. */
        if (runs(&set->children[i]) && set->children[i].process.end_fd >= 0)
            process_forget_end_fd(&set->children[i].process);
    }
}

void supervise_fini(struct supervise *set)
{
    int saved_errno = errno;

    if (set->children != NULL)
        supervise_forget(set);
    free(set->children);
    set->children = NULL;
    set->polled = NULL;
    errno = saved_errno;
}
