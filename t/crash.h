/* crash.h: children that crash and leave a traceback in a slot, for tests of that. */
#ifndef T_CRASH_H
#define T_CRASH_H

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/crash.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* Exported, so that dladdr() knows its name; and what it does wrong is none of UBSan's business. */
#define NAMED __attribute__((visibility("default"), noinline, no_sanitize("undefined")))

static struct crash_shared *slot;

/* After the fault, so that no call is the last one of its function: a jump would leave no frame. */
static volatile int after;
static int *volatile null_pointer;

NAMED void crash_null(void);
NAMED void crash_abort(void);
NAMED void crash_outer(void (*crash)(void));

void crash_null(void)
{
    *null_pointer = 1;
    after++;
}

void crash_abort(void)
{
    abort();
}

void crash_outer(void (*crash)(void))
{
    crash();
    after++;
}

static inline bool is_default(int signal)
{
    struct sigaction action;

    return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_DFL;
}

static inline _Noreturn void run_and_exit(void (*crash)(void))
{
    crash_outer(crash);
    test_child_exit(99);
}

/* Forks a child with a cleared slot that crashes so. */
static inline pid_t fork_crash(void (*crash)(void))
{
    pid_t child;

    memset(slot, 0, sizeof *slot);
    child = fork();
    if (child == 0) {
        crash_install(slot);
        run_and_exit(crash);
    }
    return child;
}

/* Collects the child; what stopped gets a SIGSEGV from here. */
static inline int await(pid_t child)
{
    int status = -1;

    while (waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status)) {
        test_kill(child, SIGSEGV);
        test_kill(child, SIGCONT);
    }
    return status;
}

static inline const char *text_of(const struct crash_shared *from)
{
    static char text[3072];

    crash_format(from, text, sizeof text);
    return text;
}

/* Runs the body, that installs itself. Returns the status. */
static inline int run(void (*body)(void))
{
    pid_t child;

    memset(slot, 0, 2 * sizeof *slot);
    child = fork();
    if (child == 0)
        run_and_exit(body);
    return await(child);
}

static inline bool left_by(int status, int code)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

/* The whole test begins: no core files are left, there is a slot, and the handlers are ready. Returns test_fds(). */
static inline int begin_crashes(void)
{
    const struct rlimit no_core = {0, 0};
    int fds;

    test_begin(60);
    setrlimit(RLIMIT_CORE, &no_core);
    slot = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fds = test_fds();
    crash_prepare();
    return fds;
}

/* And ends; the result is main's. */
static inline int end_crashes(int fds)
{
    test_int(fds, test_fds(), "no fd is left open");
    return test_end();
}

#endif
