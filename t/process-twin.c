/* A copy of the process for one call: what happens to it is seen in shared memory only. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/process.h"

#include "tap.h"

#define LONG_NS  10000000000u
#define SHORT_NS 20000000u

static _Atomic int *told;
static int mine = 1;
static atomic_int n_children, n_hooks;

static void count_child(int signal)
{
    (void)signal;
    n_children++;
}

static void count_hook(void)
{
    n_hooks++;
}

static void tell(void *argument)
{
    mine = 2;
    *told = *(int *)argument;
}

static void tell_and_abort(void *argument)
{
    tell(argument);
    abort();
}

static void tell_and_fault(void *argument)
{
    tell(argument);
    *(int *volatile *)mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) = NULL;
    *told = -1;
}

static void tell_and_hang(void *argument)
{
    tell(argument);
    for (;;)
        pause();
}

static void tell_signals(void *argument)
{
    sigset_t blocked;

    (void)argument;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    *told = sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGCHLD);
}

static void test_ends(void)
{
    static const struct {
        const char *name;
        void (*body)(void *argument);
        uint64_t limit_ns;
    } rows[] = {
        {"returns", tell, LONG_NS},
        {"aborts", tell_and_abort, LONG_NS},
        {"faults", tell_and_fault, LONG_NS},
        {"hangs", tell_and_hang, SHORT_NS},
    };

    for (int i = 0; i < (int)(sizeof rows / sizeof *rows); i++) {
        int number = 10 + i;

        *told = 0;
        test_ok(process_twin(rows[i].body, &number, rows[i].limit_ns), "one that %s", rows[i].name);
        /* What hangs may not have come so far in that time. */
        test_ok(*told == number || (*told == 0 && rows[i].limit_ns == SHORT_NS), "one that %s: has told",
                rows[i].name);
        test_int(0, test_children(), "one that %s: is gone", rows[i].name);
    }
    test_int(1, mine, "it has its own memory");
}

static void test_quiet(void)
{
    process_twin(tell_signals, NULL, LONG_NS);
    test_int(1, *told, "no signal disturbs it");
    test_int(0, n_children, "the program hears of no end of a child");
    test_int(0, n_hooks, "and its hooks of forks are not called");
}

int main(void)
{
    struct sigaction action = {.sa_handler = count_child};

    test_begin(60);
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sigaction(SIGCHLD, &action, NULL);
    pthread_atfork(count_hook, count_hook, count_hook);
    test_ends();
    test_quiet();
    return test_end();
}
