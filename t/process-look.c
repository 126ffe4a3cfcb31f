/* Who still lives: processes and threads by pid and start, as /proc tells of them. */
#include "config.h"

#include "host/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/clock.h"
#include "in_child.h"
#include "tap.h"

#define SECOND_NS UINT64_C(1000000000)

static void hold_still(void *argument)
{
    (void)argument;
    for (;;)
        pause();
}

static void end_process(struct process *process)
{
    struct process_end end;

    test_kill(process->pid, SIGKILL);
    while (process_reap(process, &end) == PROCESS_RUNS)
        sched_yield();
}

static void say_and_hold_still(void *argument)
{
    const int *pipe_ends = argument;

    if (write(pipe_ends[1], "!", 1) == 1)
        hold_still(NULL);
}

static void test_self_lives(void)
{
    uint64_t now = clock_boot_ns();

    errno = EDOM;
    test_ok(process_lives(getpid(), now), "this process lives");
    test_ok(process_lives(1, now), "so does the first of the system");
    test_ok(!process_lives(getpid(), 0), "one of this pid that lived at boot does not");
    test_ok(!process_lives(0x7ffffffe, now), "nor does a pid beyond all");
    test_int(EDOM, errno, "errno is kept");
}

/* The start is known in ticks only: a process that notes the time at once must not seem to be a later one. */
static void note_time(void *argument)
{
    uint64_t now = clock_boot_ns();

    if (write(*(const int *)argument, &now, sizeof now) == sizeof now)
        hold_still(NULL);
}

static void test_newborn_lives(void)
{
    int pipe_ends[2], alive = 0, rounds = 50;

    test_int(0, pipe2(pipe_ends, O_CLOEXEC), "a pipe is made");
    for (int i = 0; i < rounds; i++) {
        struct process process;
        uint64_t born;

        process_fork(&process, note_time, &pipe_ends[1]);
        alive += read(pipe_ends[0], &born, sizeof born) == sizeof born && process_lives(process.pid, born);
        end_process(&process);
    }
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    test_int(rounds, alive, "children live from their first moment on");
}

static void test_dead_children(void)
{
    uint64_t before = clock_boot_ns();
    struct process process;
    struct process_end end;
    siginfo_t info;

    process_fork(&process, hold_still, NULL);
    test_ok(process_lives(process.pid, clock_boot_ns()), "a child lives");
    test_ok(before < SECOND_NS || !process_lives(process.pid, before - SECOND_NS),
            "it is not one that lived a second before it was born");
    test_kill(process.pid, SIGKILL);
    waitid(P_PID, (id_t)process.pid, &info, WEXITED | WNOWAIT);
    test_ok(!process_lives(process.pid, clock_boot_ns()), "a zombie does not live");
    await_end(&process, &end);
    test_ok(!process_lives(process.pid, clock_boot_ns()), "nor one that was reaped");
}

static void take_odd_name(void *argument)
{
    prctl(PR_SET_NAME, ") Z 1 (2) Z 3");
    say_and_hold_still(argument);
}

static void test_odd_name(void)
{
    struct process process;
    int pipe_ends[2];
    char byte;

    test_int(0, pipe2(pipe_ends, O_CLOEXEC), "a pipe is made");
    process_fork(&process, take_odd_name, pipe_ends);
    test_int(1, read(pipe_ends[0], &byte, 1), "a child takes a name like a line of /proc");
    test_ok(process_lives(process.pid, clock_boot_ns()), "it lives all the same");
    end_process(&process);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

struct thread_life {
    pthread_barrier_t known, asked;
    pid_t tid;
};

static void *live_a_while(void *argument)
{
    struct thread_life *life = argument;

    life->tid = (pid_t)syscall(SYS_gettid);
    pthread_barrier_wait(&life->known);
    pthread_barrier_wait(&life->asked);
    return NULL;
}

static void test_thread_lives(void)
{
    struct thread_life life;
    pthread_t thread;

    pthread_barrier_init(&life.known, NULL, 2);
    pthread_barrier_init(&life.asked, NULL, 2);
    pthread_create(&thread, NULL, live_a_while, &life);
    pthread_barrier_wait(&life.known);
    test_ok(process_lives(life.tid, clock_boot_ns()), "a thread lives");
    test_ok(!process_lives(life.tid, 0), "one of this tid that lived at boot does not");
    pthread_barrier_wait(&life.asked);
    pthread_join(thread, NULL);
    /* Who joins may be a moment ahead of the thread's very end. */
    while (process_lives(life.tid, clock_boot_ns()))
        sched_yield();
    test_ok(true, "a thread that was joined does not live");
    pthread_barrier_destroy(&life.known);
    pthread_barrier_destroy(&life.asked);
}

int main(void)
{
    int fds;

    test_begin(60);
    fds = test_fds();
    test_self_lives();
    test_newborn_lives();
    test_dead_children();
    test_odd_name();
    test_thread_lives();
    test_int(fds, test_fds(), "no fd is left open");
    return test_end();
}
