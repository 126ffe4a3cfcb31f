#include "config.h"

#include "host/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/env.h"
#include "host/clock.h"
#include "host/process.h"
#include "host/symbols_read.h"

#ifdef HAVE_DWFL
#define CAN_READ true
#else
#define CAN_READ false
#endif

#define TIME_LIMIT_MS 3000

/* ---- The child that reads ---- */

struct work {
    const struct symbols_question *questions;
    struct symbols_answer *answers; /* shared with the child */
    int n;
};

/*
 * What a broken file does to libdw is nobody's business: no core, no message, no handler of the program.
 * Those would run here for Ctrl-C too, so signals are blocked; but abort() unblocks its own.
 */
static void be_quiet(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    struct rlimit no_core = {0, 0};
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    sigaction(SIGABRT, &action, NULL);
    setrlimit(RLIMIT_CORE, &no_core);
    if (nowhere >= 0)
        dup2(nowhere, STDERR_FILENO);
}

static void answer(void *argument)
{
    const struct work *work = argument;

    be_quiet();
    symbols_read(work->questions, work->n, work->answers);
}

/* Until it can have ended, at most for this long. */
static void sleep_until_end(struct process *child, int ms)
{
    struct pollfd end = {.fd = child->end_fd, .events = POLLIN};

    /* Without an fd this only sleeps. */
    if (poll(&end, 1, child->end_fd >= 0 ? ms : 1) > 0 && (!child->is_certain || end.revents & POLLNVAL))
        process_forget_end_fd(child);
}

/* After the kill it is still waited for: a zombie would be left. */
static void await(struct process *child)
{
    uint64_t begin = clock_monotonic_ns(), limit = (uint64_t)TIME_LIMIT_MS * 1000000;
    struct process_end end;

    while (process_reap(child, &end) == PROCESS_RUNS) {
        if (clock_monotonic_ns() - begin >= limit)
            process_signal(child, SIGKILL);
        sleep_until_end(child, 100);
    }
}

/* What the child left, it may have crashed over: so no more is believed than is safe to read. */
static void make_safe(struct symbols_answer *answers, int n)
{
    for (int i = 0; i < n; i++) {
        if (answers[i].n < 0 || answers[i].n > SYMBOLS_DEPTH)
            answers[i].n = 0;
        for (int k = 0; k < answers[i].n; k++) {
            answers[i].places[k].function[sizeof answers->places->function - 1] = '\0';
            answers[i].places[k].file[sizeof answers->places->file - 1] = '\0';
        }
    }
}

/* ---- The calls ---- */

static struct symbols_answer *map_answers(int n)
{
    void *memory = mmap(NULL, (size_t)n * sizeof(struct symbols_answer), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return memory != MAP_FAILED ? memory : NULL;
}

const struct symbols_answer *symbols_find(const struct symbols_question *questions, int n)
{
    struct work work = {.questions = questions, .n = n};
    int saved_errno = errno;
    struct process child;

    if (!CAN_READ || n <= 0 || env_is_untrusted())
        return NULL;
    work.answers = map_answers(n);
    if (work.answers != NULL && process_fork(&child, answer, &work) == 0) {
        await(&child);
        make_safe(work.answers, n);
    }
    errno = saved_errno;
    return work.answers;
}

void symbols_free(const struct symbols_answer *answers, int n)
{
    int saved_errno = errno;

    if (answers != NULL)
        munmap((void *)(uintptr_t)answers, (size_t)n * sizeof *answers);
    errno = saved_errno;
}
