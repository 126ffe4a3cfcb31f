/* Descendants: how they are found, signalled, collected and ended, whatever they do against it. */
#include "config.h"

#include "host/descendants.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/clock.h"
#include "tap.h"

#define SECOND_NS UINT64_C(1000000000)

/*
 * What the processes of one test hold: each says by a byte that it is there, and nothing comes any more
 * when the last has ended.
 */
static int there[2];

/*
 * What forks for ever must end with the test, whatever becomes of that: it would use up the machine's pids,
 * and those that others remember would be somebody else's. Only the test holds the end for writing.
 */
static int goes_on[2];
static uint64_t give_up_ns;

static void begin_family(void)
{
    if (pipe2(there, O_CLOEXEC) != 0)
        test_ok(false, "a pipe is made");
    give_up_ns = clock_monotonic_ns() + 30 * SECOND_NS;
}

static bool test_goes_on(void)
{
    struct pollfd polled = {.fd = goes_on[0]};

    return poll(&polled, 1, 0) == 0 && clock_monotonic_ns() < give_up_ns;
}

static void say_there(void)
{
    (void)!write(there[1], "!", 1);
}

static _Noreturn void hold_still(void)
{
    say_there();
    for (;;)
        pause();
}

/* Waits until n processes have said that they are there. */
static void await_there(int n)
{
    char byte;

    while (n > 0 && read(there[0], &byte, 1) == 1)
        n--;
}

/* Whether all have ended: nobody holds the pipe. No more bytes are written by those that were awaited. */
static bool all_have_ended(void)
{
    char bytes[4096];
    ssize_t length;

    close(there[1]);
    while ((length = read(there[0], bytes, sizeof bytes)) > 0)
        ;
    close(there[0]);
    return length == 0;
}

static void expect_ended(const char *name)
{
    test_int(0, descendants_end(20 * SECOND_NS), "%s: none is left", name);
    test_ok(!descendants_any(), "%s: no child is left", name);
    test_ok(all_have_ended(), "%s: all have ended", name);
}

static pid_t child_that(void (*body)(void))
{
    pid_t child = fork();

    if (child == 0) {
        close(goes_on[1]);
        body();
        test_child_exit(0);
    }
    /* A later kill(-1) would end everything. */
    if (child < 0) {
        test_ok(false, "a process is forked");
        exit(test_end());
    }
    return child;
}

static void leave(void)
{
}

static void hold(void)
{
    hold_still();
}

/* Waits until pid has ended, and leaves it a zombie. */
static void await_zombie(pid_t pid)
{
    siginfo_t info;

    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0)
        ;
}

/* ---- Finding and signalling ---- */

static void test_none(void)
{
    test_ok(!descendants_any(), "there is no child at first");
    test_int(0, descendants_signal(SIGKILL, NULL, NULL), "a signal reaches nobody");
    test_int(0, descendants_collect(NULL, NULL), "none is collected");
    test_int(0, descendants_end(0), "none is left, at once");
}

static void hold_with_two(void)
{
    child_that(hold);
    child_that(hold);
    hold_still();
}

static void hold_tree(void)
{
    child_that(hold_with_two);
    hold_still();
}

static bool is_pid(pid_t pid, void *argument)
{
    return pid == *(const pid_t *)argument;
}

static void test_tree(void)
{
    pid_t spared, zombie;

    begin_family();
    child_that(hold_tree);
    spared = child_that(hold_with_two);
    await_there(4 + 3);
    zombie = child_that(leave);
    await_zombie(zombie);
    test_int(7, descendants_signal(0, NULL, NULL), "all that live are counted, and no zombie");
    test_int(6, descendants_signal(0, is_pid, &spared), "but for one that is spared");
    test_int(zombie, descendants_collect(NULL, NULL), "the zombie is collected");
    test_int(6, descendants_signal(SIGTERM, is_pid, &spared), "a signal goes to the others");
    while (descendants_signal(0, NULL, NULL) > 1)
        sched_yield();
    test_int(0, waitpid(spared, NULL, WNOHANG), "which leaves the one that was spared");
    expect_ended("a tree");
}

static void *fork_in_thread(void *unused)
{
    child_that(hold);
    hold_still();
    return unused;
}

static void hold_with_thread(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, fork_in_thread, NULL);
    hold_still();
}

static void test_thread(void)
{
    begin_family();
    child_that(hold_with_thread);
    await_there(3);
    test_int(2, descendants_signal(0, NULL, NULL), "a thread's child is found");
    expect_ended("a thread's child");
}

/* ---- Those that defend themselves ---- */

static void daemonise(void)
{
    if (fork() != 0)
        return;
    setsid();
    if (fork() != 0)
        return;
    signal(SIGHUP, SIG_IGN);
    hold_still();
}

static void daemonise_deeper(void)
{
    child_that(daemonise);
    hold_still();
}

static void test_daemons(void)
{
    begin_family();
    child_that(daemonise);
    child_that(daemonise_deeper);
    await_there(3);
    /* Those between end; the daemons come to us, at the latest when the last of them has. */
    while (descendants_signal(0, NULL, NULL) != 3)
        sched_yield();
    test_ok(true, "daemons are found");
    expect_ended("daemons");
}

static void ignore_all(void)
{
    for (int signal_number = 1; signal_number < NSIG; signal_number++)
        signal(signal_number, SIG_IGN);
    hold_still();
}

static void test_ignored(void)
{
    pid_t child;

    begin_family();
    child = child_that(ignore_all);
    await_there(1);
    test_int(1, descendants_signal(SIGTERM, NULL, NULL), "a signal is sent that is ignored");
    test_int(0, waitpid(child, NULL, WNOHANG), "its process lives");
    expect_ended("one that ignores signals");
}

static void stop(void)
{
    say_there();
    raise(SIGSTOP);
    hold_still();
}

static void test_stopped(void)
{
    siginfo_t info;
    pid_t child;

    begin_family();
    child = child_that(stop);
    while (waitid(P_PID, (id_t)child, &info, WSTOPPED) != 0)
        ;
    test_int(1, descendants_signal(0, NULL, NULL), "a stopped process lives");
    expect_ended("a stopped one");
}

/* Takes the orphans below it for itself. */
static void adopt_daemon(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    daemonise();
    hold_still();
}

static void test_other_reaper(void)
{
    begin_family();
    child_that(adopt_daemon);
    await_there(2);
    expect_ended("one that adopts others");
}

/* For ever a new process that does the same, and this one ends. */
static void fork_on(void)
{
    say_there();
    while (test_goes_on()) {
        if (fork() > 0)
            return;
    }
}

static void fork_on_deeper(void)
{
    child_that(fork_on);
    hold_still();
}

static void fork_beside(void)
{
    say_there();
    while (test_goes_on()) {
        pid_t child = fork();

        if (child == 0)
            return;
        waitpid(child, NULL, 0);
    }
}

static void test_many(void (*body)(void), int n, int n_each, const char *name)
{
    uint64_t begin;

    begin_family();
    for (int i = 0; i < n; i++)
        child_that(body);
    await_there(n * n_each);
    begin = clock_monotonic_ns();
    expect_ended(name);
    test_note("%s: %d in %.1f ms", name, n * n_each, (double)(clock_monotonic_ns() - begin) / 1e6);
}

/* ---- Those that cannot be ended ---- */

#define NOBODY 65534

static void become_nobody(void)
{
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        test_child_exit(1);
}

static void hold_as_nobody(void)
{
    become_nobody();
    hold_still();
}

/* Root, with a child that is nobody. */
static void hold_as_root(void)
{
    child_that(hold_as_nobody);
    hold_still();
}

/* Nobody tries to end root and its child. */
static void end_as_nobody(void)
{
    uint64_t begin = clock_monotonic_ns(), timeout = 100 * SECOND_NS / 1000;
    pid_t root;
    bool good;

    descendants_adopt();
    root = child_that(hold_as_root);
    await_there(2);
    become_nobody();
    good = test_int(1, descendants_signal(0, NULL, NULL), "another user's process is not counted");
    good &= test_int(1, descendants_end(timeout), "and is left");
    good &= test_ok(clock_monotonic_ns() - begin >= timeout, "after the time that was given");
    good &= test_ok(waitpid(root, NULL, WNOHANG) == 0, "it lives");
    test_child_exit(good ? 0 : 1);
}

static void test_other_user(void)
{
    pid_t nobody;
    int status;

    if (getuid() != 0) {
        test_skip("only root can be another user");
        return;
    }
    begin_family();
    nobody = child_that(end_as_nobody);
    waitpid(nobody, &status, 0);
    test_int(0, status, "what is another user's is left, and what it started is ended");
    expect_ended("another user's");
}

static void test_no_time(void)
{
    int left;

    begin_family();
    child_that(hold);
    await_there(1);
    left = descendants_end(0);
    test_ok(left == 0 || left == 1, "without time it may be left");
    expect_ended("one that was given no time");
}

/* ---- Collecting ---- */

static bool is_one_of_two(pid_t pid, void *argument)
{
    const pid_t *pids = argument;

    return pid == pids[0] || pid == pids[1];
}

static void test_collect(void)
{
    pid_t spared[2], other, later;

    begin_family();
    spared[0] = child_that(leave);
    await_zombie(spared[0]);
    other = child_that(leave);
    await_zombie(other);
    spared[1] = child_that(leave);
    await_zombie(spared[1]);
    later = child_that(hold);
    await_there(1);
    test_int(other, descendants_collect(is_one_of_two, spared), "one that has ended is collected");
    test_int(0, descendants_collect(is_one_of_two, spared), "but none that is spared");
    test_kill(later, SIGKILL);
    await_zombie(later);
    test_int(later, descendants_collect(is_one_of_two, spared), "the next that ends is");
    test_ok(descendants_any(), "those that are spared are children still");
    test_ok(descendants_collect(NULL, NULL) > 0 && descendants_collect(NULL, NULL) > 0,
            "until they are collected");
    test_ok(!descendants_any(), "then there is none");
    test_int(0, descendants_collect(NULL, NULL), "nor any to collect");
    test_ok(all_have_ended(), "all have ended");
}

static void test_orphan_collected(void)
{
    pid_t child, orphan = 0;

    begin_family();
    child = child_that(daemonise);
    await_there(1);
    while (descendants_signal(0, is_pid, &child) != 1)
        sched_yield();
    descendants_signal(SIGKILL, is_pid, &child);
    await_zombie(child);
    while (orphan == 0)
        orphan = descendants_collect(is_pid, &child);
    test_ok(orphan != child, "an orphan is collected, though a child ended before that is spared");
    expect_ended("an orphan");
}

/* n: how many fork at once. */
static void test_all(int n)
{
    test_none();
    test_tree();
    test_thread();
    test_daemons();
    test_ignored();
    test_stopped();
    test_other_reaper();
    test_many(hold, 100, 1, "plain ones");
    test_many(hold_with_two, 20, 3, "trees");
    test_many(fork_on, n, 1, "those that fork on and on");
    test_many(fork_on_deeper, n, 2, "those that fork below another");
    test_many(fork_beside, n, 1, "those that have a new child for ever");
    test_other_user();
    test_no_time();
    test_collect();
    test_orphan_collected();
}

int main(void)
{
    bool slowly = test_under_valgrind() || test_address_sanitized() || test_thread_sanitized();
    int fds;

    test_begin(120);
    fds = test_fds();
    descendants_adopt();
    if (pipe2(goes_on, O_CLOEXEC) != 0)
        test_skip_all("no pipe");
    test_all(slowly ? 5 : 20);
    descendants_only_scan(true);
    test_note("by looking at every process");
    test_all(4);
    close(goes_on[0]);
    close(goes_on[1]);
    test_int(fds, test_fds(), "no fd is left open");
    return test_end();
}
