/* Futexes: when a wait returns, and that wakes reach sleepers in other processes. */
#include "host/futex.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/clock.h"
#include "tap.h"

#define SECOND_NS UINT64_C(1000000000)

/* Longer than the test may take: who sleeps as long was not woken. */
#define FOREVER_NS (3600 * SECOND_NS)

static _Atomic uint32_t *word; /* in memory that children share */

static void test_changed(void)
{
    atomic_store(word, 1);
    errno = EDOM;
    test_ok(futex_wait(word, 0, FOREVER_NS), "a wait for what has changed already returns at once");
    test_int(EDOM, errno, "it keeps errno");
    futex_wake(word, 1);
    test_int(EDOM, errno, "a wake without sleepers keeps errno");
}

static void test_timeout(uint64_t timeout_ns)
{
    uint64_t begin, slept;

    atomic_store(word, 0);
    errno = EDOM;
    /* It may wake up early for no reason; then the time begins anew. */
    do
        begin = clock_monotonic_ns();
    while (futex_wait(word, 0, timeout_ns));
    slept = clock_monotonic_ns() - begin;
    test_ok(slept >= timeout_ns, "a wait of %llu ns ends when its time has passed",
            (unsigned long long)timeout_ns);
    test_int(EDOM, errno, "it keeps errno");
}

/* ---- Sleepers in other processes ---- */

static pid_t start_sleeper(void)
{
    pid_t child = fork();

    if (child == 0) {
        while (atomic_load(word) == 0) {
            if (!futex_wait(word, 0, FOREVER_NS))
                test_child_exit(1);
        }
        test_child_exit(0);
    }
    return child;
}

static bool is_asleep(pid_t pid)
{
    char path[32], state = '?';
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = '?';
    fclose(file);
    return state == 'S';
}

static void await_sleep(pid_t pid)
{
    while (!is_asleep(pid))
        sched_yield();
}

static bool ended_well(void)
{
    int status;

    return wait(&status) > 0 && status == 0;
}

static void test_wake_across_fork(void)
{
    pid_t sleeper;

    atomic_store(word, 0);
    sleeper = start_sleeper();
    await_sleep(sleeper);
    atomic_store(word, 1);
    futex_wake(word, 1);
    test_ok(ended_well(), "a sleeper in another process is woken");
}

static void test_wake_counts(void)
{
    pid_t sleepers[3];

    atomic_store(word, 0);
    for (int i = 0; i < 3; i++)
        sleepers[i] = start_sleeper();
    for (int i = 0; i < 3; i++)
        await_sleep(sleepers[i]);
    atomic_store(word, 1);
    futex_wake(word, 1);
    test_ok(ended_well(), "one of three sleepers is woken");
    futex_wake(word, INT_MAX);
    test_ok(ended_well() && ended_well(), "all that are left are woken");
}

int main(void)
{
    test_begin(30);
    word = mmap(NULL, sizeof *word, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    test_changed();
    test_timeout(0);
    test_timeout(1);
    test_timeout(2000000);
    test_timeout(SECOND_NS + 1);
    for (int i = 0; i < 50; i++)
        test_wake_across_fork();
    test_wake_counts();
    munmap((void *)word, sizeof *word);
    return test_end();
}
