/*
 * Background calls, by processes, threads and the caller: a value or an error always comes back; asking,
 * waiting and cancelling from anywhere; and the end of whoever started them.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sharedmem.h>

#include "backends.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

struct shared {
    _Atomic int stage; /* work says 1 when it has begun, and ends at 2 */
    _Atomic int n_begun;
};

static struct shared *shared;

static void reset(void)
{
    memset(shared, 0, sizeof *shared);
}

static sharedmem_background *start(const struct way *way, sharedmem_function *work, void *context,
                                   void *result, size_t result_size)
{
    bool before = sharedmem_set_debug(way->is_debug);
    sharedmem_background *call = sharedmem_background_start(
        work, context, .result = result, .result_size = result_size, .backend = way->backend);

    sharedmem_set_debug(before);
    return call;
}

/* ---- Values ---- */

static int add_one(size_t i, void *result, void *context)
{
    *(long *)result += 1 + (long)i + *(int *)context;
    return 0;
}

static void test_values(const struct way *way)
{
    long private = 10, *in_shared = sharedmem_new(long, 1);
    int context = 5;
    sharedmem_background *call;

    *in_shared = 20;
    call = start(way, add_one, &context, &private, sizeof private);
    if (way_forks(way))
        context = 100;
    test_int(0, sharedmem_background_wait(call, NULL), "%s: a call comes back", way->name);
    test_int(16, private, "%s: its result, which began as it was, is private memory's", way->name);
    context = 5;
    test_int(0, sharedmem_background_wait(start(way, add_one, &context, in_shared, sizeof *in_shared), NULL),
             "%s: another one", way->name);
    test_int(26, *in_shared, "%s: its result is in shared memory", way->name);
    sharedmem_free(in_shared);
}

/* ---- Errors ---- */

enum trouble { RETURN, SAY, USE_WRONGLY, EXIT_0, EXIT_3, KILL, SEGV, ABORT };

static int go_wrong(size_t i, void *result, void *context)
{
    (void)i;
    *(long *)result = 77;
    switch (*(enum trouble *)context) {
    case SAY:
        return sharedmem_fail(-5, "no %s", "luck");
    case USE_WRONGLY:
        sharedmem_critical_begin("a name that is longer than forty-seven bytes, by far", SHAREDMEM_HERE);
        return 0;
    case EXIT_0:
        exit(0);
    case EXIT_3:
        exit(3);
    case KILL:
        raise(SIGKILL);
        return 0;
    case SEGV:
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
        return 0;
    case ABORT:
        signal(SIGABRT, SIG_DFL);
        abort();
    default:
        return 4;
    }
}

static const struct {
    enum trouble trouble;
    bool ends_process;
    int kind, code;
    const char *message;
} troubles[] = {
    {RETURN, false, SHAREDMEM_ERROR_RETURNED, 4, "the background call failed with code 4"},
    {SAY, false, SHAREDMEM_ERROR_RETURNED, -5, "the background call failed with code -5: no luck"},
    {USE_WRONGLY, false, SHAREDMEM_ERROR_USAGE, ENAMETOOLONG, "critical: the name is longer than 47 bytes"},
    {EXIT_0, true, SHAREDMEM_ERROR_EXITED, 0, "called exit(0)"},
    {EXIT_3, true, SHAREDMEM_ERROR_EXITED, 3, "called exit(3)"},
    {KILL, true, SHAREDMEM_ERROR_SIGNAL, SIGKILL, "was ended by SIGKILL"},
    {SEGV, true, SHAREDMEM_ERROR_SIGNAL, SIGSEGV, "was ended by SIGSEGV"},
    {ABORT, true, SHAREDMEM_ERROR_SIGNAL, SIGABRT, "was ended by SIGABRT"},
};

static void test_errors(const struct way *way)
{
    for (size_t t = 0; t < COUNT_OF(troubles); t++) {
        enum trouble trouble = troubles[t].trouble;
        long result = 3;
        sharedmem_error error;
        sharedmem_background *call;
        int code;

        if (troubles[t].ends_process && !way_forks(way))
            continue;
        call = start(way, go_wrong, &trouble, &result, sizeof result);
        code = sharedmem_background_wait(call, &error);
        test_ok(code == -1 && errno == ECANCELED, "%s: a call fails", way->name);
        test_int(troubles[t].kind, error.kind, "its kind");
        test_int(troubles[t].code, error.code, "its code");
        test_has(troubles[t].message, error.message, "its message");
        test_ok(error.item == SHAREDMEM_NO_ITEM && error.where[0] != '\0', "no item, but a place");
        test_ok(result == 3 || !way_is_parallel(way), "its result is as it was");
    }
}

static int no_work(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return 0;
}

static void test_refused(void)
{
    long result;
    sharedmem_error error;

    test_ok(sharedmem_background_start(NULL, NULL, .error = &error) == NULL && errno == EINVAL,
            "no work: EINVAL");
    test_ok(sharedmem_background_start(no_work, NULL, .error = &error, .result = &result) == NULL &&
                errno == EINVAL,
            "a result without its size");
    test_ok(sharedmem_background_start(no_work, NULL, .error = &error, .result_size = 8) == NULL &&
                errno == EINVAL,
            "a size without a result");
    test_ok(sharedmem_background_start(no_work, NULL, .error = &error, .backend = 3) == NULL &&
                errno == EINVAL,
            "an unknown backend");
    test_ok(sharedmem_background_start(no_work, NULL, .error = &error, .reserved = 1) == NULL &&
                errno == E2BIG,
            "what a later version may know");
    test_int(SHAREDMEM_ERROR_USAGE, error.kind, "all that is wrong usage");
    test_ok(sharedmem_background_wait(NULL, &error) == 0 && sharedmem_background_test(NULL, 1) == 1,
            "NULL has ended");
    sharedmem_background_cancel(NULL);
}

/* ---- Looking ---- */

static int wait_for_stage(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    atomic_store(&shared->stage, 1);
    while (atomic_load(&shared->stage) != 2)
        usleep(500);
    if (result != NULL)
        *(long *)result = 42;
    return 0;
}

static void wait_for_begin(void)
{
    while (atomic_load(&shared->stage) != 1)
        usleep(500);
}

static void test_looking(const struct way *way)
{
    static const double looks[] = {0, 0.01, -1, -INFINITY, NAN};
    long result = 0;
    sharedmem_background *call;

    reset();
    if (!way_is_parallel(way)) {
        call = start(way, no_work, NULL, NULL, 0);
        test_int(1, sharedmem_background_test(call, 0), "%s: the start does it all", way->name);
        test_int(0, sharedmem_background_wait(call, NULL), "%s: the wait is short", way->name);
        return;
    }
    call = start(way, wait_for_stage, NULL, &result, sizeof result);
    wait_for_begin();
    for (size_t k = 0; k < COUNT_OF(looks); k++)
        test_int(0, sharedmem_background_test(call, looks[k]), "%s: a look of %g seconds at what goes on",
                 way->name, looks[k]);
    atomic_store(&shared->stage, 2);
    test_int(1, sharedmem_background_test(call, 1e300), "%s: a long one", way->name);
    test_int(1, sharedmem_background_test(call, 0), "%s: it has ended", way->name);
    test_int(0, result, "its result comes with the wait");
    test_int(0, sharedmem_background_wait(call, NULL), "which is short");
    test_int(42, result, "its result is there");
}

/* ---- Cancelling ---- */

static int ignore_and_wait(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    *(long *)result = 5;
    signal(SIGTERM, SIG_IGN);
    for (atomic_store(&shared->stage, 1); atomic_load(&shared->stage) == 1;)
        pause();
    return 0;
}

static int work_item(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    atomic_store(&shared->stage, 1);
    usleep(1000);
    return 0;
}

/* A call of the library, again and again: there it may be left, as at its end. */
static int map_for_ever(size_t i, void *result, void *context)
{
    (void)i;
    *(long *)result = 5;
    for (;;) {
        if (sharedmem_map(1000, work_item, NULL, .np = 2, .backend = *(int *)context) != 0)
            return 0;
    }
}

static void test_cancel(const struct way *way, sharedmem_function *work, const char *what)
{
    long result = 3;
    int inner = way->backend;
    sharedmem_background *call;

    reset();
    call = start(way, work, &inner, &result, sizeof result);
    wait_for_begin();
    sharedmem_background_cancel(call);
    sharedmem_background_cancel(call);
    test_int(1, sharedmem_background_test(call, 1e9), "%s: %s is cancelled", way->name, what);
    test_int(SHAREDMEM_STOPPED, sharedmem_background_wait(call, NULL), "and says so");
    test_int(3, result, "its result is as it was");
    /* The harness made this process the one that orphans come to: workers of the call's own map. */
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

/* ---- Several ---- */

static int begin_and_wait(size_t i, void *result, void *context)
{
    (void)i;
    atomic_fetch_add(&shared->n_begun, 1);
    while (atomic_load(&shared->stage) != 2)
        usleep(500);
    *(long *)result = 10 * *(int *)context;
    return 0;
}

static void test_several(const struct way *way)
{
    enum { N = 6 };
    sharedmem_background *calls[N];
    long results[N] = {0};
    int contexts[N], fds = test_fds();
    bool good = true;

    reset();
    for (int k = 0; k < N; k++) {
        contexts[k] = k;
        calls[k] = start(way, begin_and_wait, &contexts[k], &results[k], sizeof results[k]);
    }
    while (atomic_load(&shared->n_begun) < N)
        usleep(500);
    atomic_store(&shared->stage, 2);
    for (int k = N - 1; k >= 0; k--)
        good &= sharedmem_background_wait(calls[k], NULL) == 0 && results[k] == 10 * k;
    test_ok(good, "%s: several at once, waited for in another order", way->name);
    test_int(fds, test_fds(), "no file stays open");
}

static void test_many(const struct way *way)
{
    int n = test_under_valgrind() ? 20 : way_forks(way) ? 300 : 1000, context = 1, fds = test_fds();
    bool good = true;

    for (int k = 0; k < n; k++) {
        long result = k;

        good &= sharedmem_background_wait(start(way, add_one, &context, &result, sizeof result), NULL) == 0 &&
                result == k + 2;
    }
    test_ok(good, "%s: %d one after the other", way->name, n);
    test_int(fds, test_fds(), "no file stays open");
}

/* ---- In threads ---- */

struct handed {
    const struct way *way;
    sharedmem_background *call;
    long result;
    int code;
};

static void *start_in_thread(void *argument)
{
    struct handed *handed = argument;

    handed->call = start(handed->way, wait_for_stage, NULL, &handed->result, sizeof handed->result);
    return NULL;
}

static void *wait_in_thread(void *argument)
{
    struct handed *handed = argument;

    handed->code = sharedmem_background_wait(handed->call, NULL);
    return NULL;
}

static void test_threads(const struct way *way)
{
    struct handed handed = {.way = way};
    pthread_t thread;

    reset();
    pthread_create(&thread, NULL, start_in_thread, &handed);
    pthread_join(thread, NULL);
    wait_for_begin();
    test_int(0, sharedmem_background_test(handed.call, 0.01),
             "%s: it goes on when the thread that started it ends", way->name);
    atomic_store(&shared->stage, 2);
    pthread_create(&thread, NULL, wait_in_thread, &handed);
    pthread_join(thread, NULL);
    test_ok(handed.code == 0 && handed.result == 42, "%s: a third one waits for it", way->name);
}

/* ---- In workers ---- */

static int call_inside(size_t i, void *result, void *context)
{
    const struct way *way = context;
    int addend = (int)i;
    long value = 100;
    sharedmem_background *call = sharedmem_background_start(
        add_one, &addend, .result = &value, .result_size = sizeof value, .backend = way->backend);

    if (sharedmem_background_wait(call, NULL) != 0)
        return 1;
    *(long *)result = value;
    return 0;
}

static void test_inside(const struct way *way)
{
    for (int backend = SHAREDMEM_PROCESSES; backend <= SHAREDMEM_SERIAL; backend++) {
        long results[20] = {0};
        bool good;

        if (test_thread_sanitized() && backend == SHAREDMEM_PROCESSES)
            continue;
        good = sharedmem_map(20, call_inside, (void *)(uintptr_t)way, .np = 3, .results = results,
                             .result_size = sizeof *results, .backend = backend) == 0;
        for (int i = 0; i < 20; i++)
            good &= results[i] == 101 + i;
        test_ok(good, "%s: from within items of a map, backend %d", way->name, backend);
    }
}

/* ---- Other processes ---- */

static void test_forked_child(const struct way *way)
{
    long result = 0;
    sharedmem_background *call;
    int status, fds = test_fds();
    pid_t pid;

    reset();
    call = start(way, wait_for_stage, NULL, &result, sizeof result);
    wait_for_begin();
    pid = fork();
    if (pid == 0) {
        sharedmem_error error;

        sharedmem_background_cancel(call);
        if (sharedmem_background_wait(call, &error) != -1 || errno != EPERM ||
            error.kind != SHAREDMEM_ERROR_USAGE)
            test_child_exit(1);
        test_child_exit(test_fds() > fds ? 2 : 0);
    }
    waitpid(pid, &status, 0);
    test_int(0, status, "%s: a copy of the program cannot wait for it: EPERM; nor has its files", way->name);
    atomic_store(&shared->stage, 2);
    test_ok(sharedmem_background_wait(call, NULL) == 0 && result == 42, "%s: and takes nothing with it",
            way->name);
}

static int say_and_wait(size_t i, void *result, void *context)
{
    const int *ends = context;

    (void)i;
    (void)result;
    for (bool said = write(ends[1], "x", 1) == 1; said;)
        pause();
    return 0;
}

/* Its worker holds the other end of a pipe, which closes when the last has ended. */
static void test_master_killed(void)
{
    int ends[2];
    char byte;
    struct timespec began, ended;
    pid_t pid;

    if (pipe(ends) != 0)
        return;
    pid = fork();
    if (pid == 0) {
        sharedmem_background_wait(sharedmem_background_start(say_and_wait, ends), NULL);
        test_child_exit(0);
    }
    close(ends[1]);
    test_int(1, read(ends[0], &byte, 1), "a process waits for a background call");
    test_kill(pid, SIGKILL);
    clock_gettime(CLOCK_MONOTONIC, &began);
    test_int(0, read(ends[0], &byte, 1), "it is killed: the worker does not outlive it");
    clock_gettime(CLOCK_MONOTONIC, &ended);
    test_note("after %.1f ms",
              (double)(ended.tv_sec - began.tv_sec) * 1e3 + (double)(ended.tv_nsec - began.tv_nsec) / 1e6);
    close(ends[0]);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

static void test_beside(const struct way *way)
{
    test_several(way);
    test_threads(way);
    if (way_forks(way))
        test_cancel(way, ignore_and_wait, "a process that ignores signals");
    test_cancel(way, map_for_ever, "what maps for ever");
    if (!test_thread_sanitized())
        test_forked_child(way);
}

int main(void)
{
    test_begin(120);
    setenv("SHAREDMEM_HEAP", "128M", 1);
    /* Before this process has shared memory of its own. */
    if (!test_thread_sanitized())
        test_master_killed();
    shared = sharedmem_new(struct shared, 1);
    test_refused();
    for (size_t w = 0; w < N_WAYS; w++) {
        if (ways[w].has_pool || !way_is_possible(&ways[w]))
            continue;
        test_values(&ways[w]);
        test_errors(&ways[w]);
        test_looking(&ways[w]);
        test_many(&ways[w]);
        test_inside(&ways[w]);
        if (way_is_parallel(&ways[w]))
            test_beside(&ways[w]);
    }
    test_int(0, test_children(), "no process is left");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
    return test_end();
}
