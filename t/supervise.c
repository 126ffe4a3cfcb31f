/* Sets of children: each end is told once, doorbells wake, signals reach all; with and without pidfds. */
#include "team/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/doorbell.h"
#include "in_child.h"
#include "memory/member.h"
#include "memory/memory.h"
#include "tap.h"

#define SECOND_NS    UINT64_C(1000000000)
#define MAX_CHILDREN 100

/* An end that is not told by then is lost. */
#define PATIENCE_NS (20 * SECOND_NS)

/* ---- What was told ---- */

struct told {
    int times[MAX_CHILDREN]; /* by rank */
    struct process_end ends[MAX_CHILDREN];
};

static void note_end(const struct supervise_child *child, void *argument)
{
    struct told *told = argument;

    told->times[child->rank]++;
    told->ends[child->rank] = child->end;
}

static void end_lost(struct supervise_child *child)
{
    if (child->end.how != PROCESS_RUNS)
        return;
    test_kill(child->process.pid, SIGKILL);
    waitpid(child->process.pid, NULL, 0);
    process_forget_end_fd(&child->process);
}

/* Waits until all have ended; kills those whose end is not seen. Returns how many that are. */
static uint32_t await_all(struct supervise *set, struct told *told)
{
    uint64_t until = clock_monotonic_ns() + PATIENCE_NS;
    uint32_t lost;

    while (set->n_running > 0 && clock_monotonic_ns() < until)
        supervise_wait(set, SECOND_NS, note_end, told);
    lost = set->n_running;
    for (uint32_t i = 0; lost > 0 && i < set->n_started; i++)
        end_lost(&set->children[i]);
    return lost;
}

static bool all_told_once(const struct told *told, uint32_t n)
{
    for (uint32_t rank = 0; rank < n; rank++) {
        if (told->times[rank] != 1)
            return false;
    }
    return true;
}

static void close_end_fds(const struct supervise *set)
{
    for (uint32_t i = 0; i < set->n_started; i++) {
        if (set->children[i].process.end_fd >= 0)
            close(set->children[i].process.end_fd);
    }
}

/* ---- Children ---- */

static void leave_with(void *argument)
{
    _exit(*(const int *)argument);
}

static void raise_signal(void *argument)
{
    raise(*(const int *)argument);
}

static void hold_still(void *argument)
{
    (void)argument;
    for (;;)
        pause();
}

static void ring_and_hold_still(void *argument)
{
    doorbell_ring(argument);
    hold_still(NULL);
}

/* Leaves a child of its own, that holds all it inherited, until the pipe's other end is closed. */
static void leave_child(void *argument)
{
    const int *pipe_ends = argument;
    char byte;

    if (fork() == 0) {
        close(pipe_ends[1]);
        _exit(read(pipe_ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    _exit(3);
}

static bool start(struct supervise *set, uint32_t rank, void (*body)(void *argument), void *argument)
{
    if (supervise_fork(set, rank, 0, body, argument) == 0)
        return true;
    held(test_ok(false, "a child is forked"));
    return false;
}

/* ---- Ends ---- */

static const struct {
    const char *name;
    void (*body)(void *argument);
    int argument;
    enum process_how how;
    int code;
} cases[] = {
    {"exit status 0", leave_with, 0, PROCESS_EXITED, 0},
    {"exit status 7", leave_with, 7, PROCESS_EXITED, 7},
    {"exit status 255", leave_with, 255, PROCESS_EXITED, 255},
    {"SIGKILL", raise_signal, SIGKILL, PROCESS_SIGNALLED, SIGKILL},
    {"SIGTERM", raise_signal, SIGTERM, PROCESS_SIGNALLED, SIGTERM},
    {"exit status 1", leave_with, 1, PROCESS_EXITED, 1},
};

static void test_ends(void)
{
    struct told told = {0};
    struct supervise set;

    held(test_int(0, supervise_init(&set, COUNT_OF(cases), -1), "a set is made"));
    for (uint32_t i = 0; i < COUNT_OF(cases); i++) {
        int argument = cases[i].argument;

        start(&set, i, cases[i].body, &argument);
    }
    held(test_int(COUNT_OF(cases), set.n_running, "all its children run"));
    held(test_int(0, await_all(&set, &told), "all ends are seen"));
    for (uint32_t i = 0; i < COUNT_OF(cases); i++) {
        held(test_int(1, told.times[i], "%s: its end is told once", cases[i].name));
        held(test_int(cases[i].how, told.ends[i].how, "%s: how it ended", cases[i].name));
        held(test_int(cases[i].code, told.ends[i].code, "%s: its code", cases[i].name));
    }
    supervise_wait(&set, 0, note_end, &told);
    held(test_ok(all_told_once(&told, COUNT_OF(cases)), "no end is told again"));
    supervise_fini(&set);
}

static void test_vanished(void)
{
    struct told told = {0};
    struct supervise set;
    int status = 5;

    signal(SIGCHLD, SIG_IGN);
    supervise_init(&set, 2, -1);
    for (uint32_t rank = 0; rank < 2; rank++)
        start(&set, rank, leave_with, &status);
    held(test_int(0, await_all(&set, &told), "where SIGCHLD is ignored all ends are seen"));
    held(test_ok(all_told_once(&told, 2), "once each"));
    held(test_int(PROCESS_VANISHED, told.ends[0].how, "but not how"));
    signal(SIGCHLD, SIG_DFL);
    supervise_fini(&set);
}

/* The end of a child is its own, whatever else still holds open what it inherited. */
static void test_child_that_leaves_a_child(void)
{
    struct told told = {0};
    struct supervise set;
    int pipe_ends[2];

    held(test_int(0, pipe2(pipe_ends, O_CLOEXEC), "a pipe is made"));
    supervise_init(&set, 1, -1);
    start(&set, 0, leave_child, pipe_ends);
    held(test_int(0, await_all(&set, &told), "a child's end is seen though its own child lives on"));
    held(test_int(3, told.ends[0].code, "with its code"));
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    held(test_ok(waitpid(-1, NULL, 0) > 0, "the child's child is ours, and ends"));
    supervise_fini(&set);
}

/* Some programs close every fd that they do not know. */
static void test_closed_end_fds(void)
{
    struct told told = {0};
    struct supervise set;
    int status = 9;

    supervise_init(&set, 3, -1);
    for (uint32_t rank = 0; rank < 3; rank++)
        start(&set, rank, rank == 1 ? hold_still : leave_with, &status);
    close_end_fds(&set);
    while (told.times[0] == 0 || told.times[2] == 0)
        supervise_wait(&set, SECOND_NS, note_end, &told);
    held(test_int(0, told.times[1], "whose end_fd was closed is not taken for dead"));
    supervise_signal(&set, SIGTERM);
    held(test_int(0, await_all(&set, &told), "the program closed all end_fds, and all ends are seen"));
    held(test_ok(all_told_once(&told, 3), "once each"));
    held(test_int(9, told.ends[2].code, "with their codes"));
    supervise_fini(&set);
}

/* ---- Waiting ---- */

static void test_timeouts(void)
{
    struct told told = {0};
    struct supervise set;
    uint64_t begin;

    supervise_init(&set, 2, -1);
    start(&set, 0, hold_still, NULL);
    start(&set, 1, hold_still, NULL);
    supervise_wait(&set, 0, note_end, &told);
    supervise_wait(&set, 1, note_end, &told);
    begin = clock_monotonic_ns();
    supervise_wait(&set, 3000000, note_end, &told);
    held(test_ok(clock_monotonic_ns() - begin >= 3000000, "a wait for nothing lasts its time"));
    held(test_int(2, set.n_running, "waits without an event return, and all run"));
    held(test_int(0, told.times[0] + told.times[1], "no end is told"));
    supervise_signal(&set, SIGKILL);
    held(test_int(0, await_all(&set, &told), "all ends are seen"));
    supervise_fini(&set);
}

static bool is_rung(const struct doorbell *bell)
{
    struct pollfd polled = {.fd = bell->fd, .events = POLLIN};

    return poll(&polled, 1, 0) == 1;
}

/* Whether the bell ends a wait. Where ends must be asked for, waits end by themselves too, and go on. */
static bool wakes(struct supervise *set, struct told *told)
{
    bool is_woken;

    do
        is_woken = supervise_wait(set, 3600 * SECOND_NS, note_end, told);
    while (!is_woken && told->times[0] == 0);
    return is_woken;
}

static void test_doorbell(void)
{
    struct told told = {0};
    struct supervise set;
    struct doorbell bell;

    held(test_int(0, doorbell_open(&bell), "a doorbell opens"));
    supervise_init(&set, 1, bell.fd);
    start(&set, 0, ring_and_hold_still, &bell);
    held(test_ok(wakes(&set, &told), "a child's ring ends a wait"));
    held(test_int(0, told.times[0], "and nothing else does"));
    held(test_ok(is_rung(&bell), "whoever waits clears it"));
    doorbell_clear(&bell);
    supervise_signal(&set, SIGKILL);
    held(test_ok(!supervise_wait(&set, 3600 * SECOND_NS, note_end, &told), "a child's end is no ring"));
    held(test_int(0, await_all(&set, &told), "then the child's end is seen"));
    doorbell_ring(&bell);
    held(test_ok(supervise_wait(&set, 3600 * SECOND_NS, note_end, &told), "without children it rings too"));
    supervise_fini(&set);
    doorbell_close(&bell);
}

static void test_signal(void)
{
    enum { n = 8 };
    struct told told = {0};
    struct supervise set;
    int status = 0, terminated = 0;

    supervise_init(&set, n + 1, -1);
    for (uint32_t rank = 0; rank < n; rank++)
        start(&set, rank, hold_still, NULL);
    start(&set, n, leave_with, &status);
    while (told.times[n] == 0)
        supervise_wait(&set, SECOND_NS, note_end, &told);
    supervise_signal(&set, 0);
    supervise_signal(&set, SIGTERM);
    held(test_int(0, await_all(&set, &told), "a signal ends all that run"));
    held(test_ok(all_told_once(&told, n + 1), "each end is told once"));
    for (uint32_t rank = 0; rank < n; rank++)
        terminated += told.ends[rank].how == PROCESS_SIGNALLED && told.ends[rank].code == SIGTERM;
    held(test_int(n, terminated, "by that signal"));
    held(test_int(PROCESS_EXITED, told.ends[n].how, "who had ended before keeps its end"));
    supervise_fini(&set);
}

/* ---- Few file descriptors ---- */

static void limit_fds(rlim_t n, struct rlimit *before)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, before);
    limit = *before;
    limit.rlim_cur = n;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Of many children only the first ones have an end_fd, and they are more than poll(2) takes at this limit. */
static void test_few_fds(void)
{
    struct rlimit before;
    struct told told = {0};
    struct supervise set;
    uint32_t lost, without = 0;
    int status = 4;

    supervise_init(&set, MAX_CHILDREN, -1);
    limit_fds((rlim_t)test_fds() + 16, &before);
    for (uint32_t rank = 0; rank < MAX_CHILDREN; rank++) {
        start(&set, rank, leave_with, &status);
        without += set.children[rank].process.end_fd < 0;
    }
    lost = await_all(&set, &told);
    setrlimit(RLIMIT_NOFILE, &before);
    held(test_ok(without > 0 && without < MAX_CHILDREN, "some of %d children have an end_fd", MAX_CHILDREN));
    held(test_int(0, lost, "all ends are seen"));
    held(test_ok(all_told_once(&told, MAX_CHILDREN), "once each"));
    supervise_fini(&set);
}

static void test_no_fds(void)
{
    struct rlimit before;
    struct told told = {0};
    struct supervise set;
    uint32_t without = 0;
    int status = 4;

    supervise_init(&set, 5, -1);
    limit_fds(0, &before);
    for (uint32_t rank = 0; rank < 5; rank++) {
        start(&set, rank, rank == 4 ? hold_still : leave_with, &status);
        without += set.children[rank].process.end_fd < 0;
    }
    while (set.n_running > 1)
        supervise_wait(&set, 3600 * SECOND_NS, note_end, &told);
    setrlimit(RLIMIT_NOFILE, &before);
    held(test_int(5, without, "without file descriptors no child has an end_fd"));
    held(test_int(0, told.times[4], "ends are seen nevertheless, of those that ended"));
    supervise_signal(&set, SIGTERM);
    held(test_int(0, await_all(&set, &told), "and of the last one"));
    held(test_ok(all_told_once(&told, 5), "once each"));
    held(test_int(4, told.ends[0].code, "with their codes"));
    supervise_fini(&set);
}

/* Then poll(2) refuses fds that it took before. */
static void test_lowered_limit(void)
{
    int status = 4;
    struct doorbell bell;
    struct rlimit before;
    struct told told = {0};
    struct supervise set;
    uint32_t lost;

    doorbell_open(&bell);
    supervise_init(&set, 5, bell.fd);
    for (uint32_t rank = 0; rank < 5; rank++)
        start(&set, rank, leave_with, &status);
    limit_fds(0, &before);
    lost = await_all(&set, &told);
    setrlimit(RLIMIT_NOFILE, &before);
    held(test_int(0, lost, "with a limit lowered meanwhile all ends are seen"));
    held(test_ok(all_told_once(&told, 5), "once each"));
    supervise_fini(&set);
    doorbell_close(&bell);
}

/* ---- Members ---- */

static void become_and_leave(void *argument)
{
    _exit(member_become(*(const uint32_t *)argument) == 0 ? 0 : 1);
}

static void become_and_die(void *argument)
{
    if (member_become(*(const uint32_t *)argument) == 0)
        raise(SIGKILL);
}

static void test_membership(void (*body)(void *argument), enum process_how how, const char *name)
{
    struct told told = {0};
    struct supervise set;
    uint32_t member;

    if (memory_enter(NULL) != 0 || (member = member_reserve()) == 0) {
        held(test_ok(false, "there is a segment"));
        return;
    }
    supervise_init(&set, 1, -1);
    held(test_int(0, supervise_fork(&set, 0, member, body, &member), "a member is born"));
    held(test_int(0, await_all(&set, &told), "its end is seen"));
    held(test_int(how, told.ends[0].how, "%s: how it ended", name));
    held(test_ok(member_is_gone(member), "%s: its member is gone", name));
    supervise_fini(&set);
}

/* ---- Kernels without pidfds ---- */

static void test_everywhere(void)
{
    int fds = test_fds();

    test_ends();
    test_vanished();
    test_child_that_leaves_a_child();
    test_closed_end_fds();
    test_timeouts();
    test_doorbell();
    test_signal();
    test_few_fds();
    test_no_fds();
    test_lowered_limit();
    held(test_int(fds, test_fds(), "no fd is left open"));
}

static void test_without_pidfds(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    test_everywhere();
}

int main(void)
{
    test_begin(180);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    test_refused(refuse_pidfd, test_without_pidfds, "without pidfds");
    test_everywhere();
    test_membership(become_and_leave, PROCESS_EXITED, "a member that leaves");
    test_membership(become_and_die, PROCESS_SIGNALLED, "a member that dies");
    return test_end();
}
