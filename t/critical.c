/* Critical regions, between threads: exclusion by name, what is refused, and the table of names. */
#include "team/critical.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory/memory.h"
#include "memory/recover.h"
#include "memory/segment.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MAX_THREADS     32
#define ENTRIES         200u /* of each thread into each region */
#define NEW_NAMES       50u

/* As long as names can be, and different in the last byte only: the last two. */
static const char *const names[] = {NULL, "", "log", "a name of 47 bytes, which differs in the last 1",
                                    "a name of 47 bytes, which differs in the last 2"};

static const unsigned thread_counts[] = {1, 2, 8, MAX_THREADS};

/* Not atomic: the regions guard them. */
static unsigned counters[NEW_NAMES];
static unsigned n_threads;
static _Atomic unsigned n_come; /* to all meetings of a run */

/* Forgets all names. Nobody is in a region. */
static void clear_table(void)
{
    memset(segment_part(SEGMENT_CRITICALS), 0, SEGMENT_CRITICALS_BYTES);
    memset(counters, 0, sizeof counters);
}

static void count_in(const char *name, unsigned *counter)
{
    if (critical_enter(name, "t/critical.c:1") != 0)
        return;
    ++*counter;
    critical_leave(name);
}

static void *enter_each(void *unused)
{
    (void)unused;
    if (memory_enter(NULL) != 0)
        return NULL;
    for (unsigned i = 0; i < ENTRIES; i++) {
        for (size_t at = 0; at < COUNT_OF(names); at++)
            count_in(names[at], &counters[at]);
    }
    return NULL;
}

static const char *new_name(unsigned i, char name[CRITICAL_NAME_BYTES])
{
    snprintf(name, CRITICAL_NAME_BYTES, "new %u", i);
    return name;
}

/* Waits for the others by looking, not asleep: then all go on at nearly the same moment. */
static void meet(unsigned number)
{
    atomic_fetch_add(&n_come, 1);
    while (atomic_load(&n_come) < number * n_threads)
        sched_yield();
}

static void *add_each(void *unused)
{
    char name[CRITICAL_NAME_BYTES];

    (void)unused;
    if (memory_enter(NULL) != 0)
        return NULL;
    for (unsigned i = 0; i < NEW_NAMES; i++) {
        meet(i + 1);
        count_in(new_name(i, name), &counters[i]);
    }
    return NULL;
}

/* Runs body in n threads, with an empty table. Whether the first n_counters counters then are at expected. */
static bool run(unsigned n, void *(*body)(void *), unsigned n_counters, unsigned expected)
{
    pthread_t threads[MAX_THREADS];
    bool good = true;

    clear_table();
    n_threads = n;
    atomic_store(&n_come, 0);
    for (unsigned i = 0; i < n; i++)
        pthread_create(&threads[i], NULL, body, NULL);
    for (unsigned i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < n_counters; i++)
        good &= counters[i] == expected;
    return good;
}

/* How many names the table still takes; then it is full. */
static unsigned fill_table(void)
{
    char name[CRITICAL_NAME_BYTES];
    unsigned n;

    for (n = 0; n <= CRITICAL_MAX; n++) {
        snprintf(name, sizeof name, "fill %u", n);
        if (critical_enter(name, NULL) != 0)
            break;
        critical_leave(name);
    }
    return n;
}

static void test_threads(unsigned n, unsigned rounds)
{
    bool excludes = true, adds = true;
    unsigned left = CRITICAL_MAX - 1 - NEW_NAMES;

    for (unsigned round = 0; round < rounds && excludes && adds; round++) {
        excludes = run(n, enter_each, COUNT_OF(names), n * ENTRIES);
        adds = run(n, add_each, NEW_NAMES, n);
        /* A name that two threads added each for itself has taken two places. */
        left = fill_table();
        adds &= left == CRITICAL_MAX - 1 - NEW_NAMES;
    }
    test_ok(excludes, "%u threads exclude each other by name", n);
    test_ok(adds, "%u threads that add a name at once get one region (room for %u more)", n, left);
}

static void test_misuse(void)
{
    clear_table();
    test_int(-1, critical_leave(NULL), "nobody leaves what it has not entered");
    test_int(EPERM, errno, "which is EPERM");
    for (size_t at = 0; at < COUNT_OF(names); at++)
        test_int(0, critical_enter(names[at], NULL), "enters region %zu within others", at);
    for (size_t at = 0; at < COUNT_OF(names); at++) {
        test_int(-1, critical_enter(names[at], NULL), "but not twice");
        test_int(EDEADLK, errno, "which is EDEADLK");
    }
    for (size_t at = 0; at < COUNT_OF(names); at++)
        test_int(0, critical_leave(names[at]), "leaves region %zu", at);
    test_int(-1, critical_leave("log"), "and not twice either");
    test_int(EPERM, errno, "which is EPERM too");
}

static void *leave_named(void *name)
{
    static int code;

    code = memory_enter(NULL) == 0 && critical_leave(name) != 0 ? errno : 0;
    return &code;
}

static void *end_within(void *name)
{
    if (memory_enter(NULL) == 0)
        critical_enter(name, NULL);
    return NULL;
}

static void test_others(void)
{
    char name[] = "log";
    pthread_t thread;
    void *code;

    critical_enter(name, NULL);
    pthread_create(&thread, NULL, leave_named, name);
    pthread_join(thread, &code);
    test_int(EPERM, *(int *)code, "another thread does not leave it either");
    critical_leave(name);
    pthread_create(&thread, NULL, end_within, name);
    pthread_join(thread, NULL);
    test_int(0, critical_enter(name, NULL), "a thread that ended within does not keep others out");
    critical_leave(name);
    recover_all_dead();
}

static void test_names(void)
{
    static const char long_name[] = "a name of 48 bytes, which is one more than fits ";

    clear_table();
    test_int(-1, critical_enter(long_name, NULL), "a name of %zu bytes", strlen(long_name));
    test_int(ENAMETOOLONG, errno, "is ENAMETOOLONG");
    test_int(CRITICAL_MAX - 1, fill_table(), "there are 255 names");
    test_int(-1, critical_enter("one more", NULL), "and not one more");
    test_int(ENOSPC, errno, "which is ENOSPC");
    test_int(0, critical_enter("fill 254", NULL), "those that there are can still be entered");
    test_int(0, critical_leave("fill 254"), "and left");
    test_int(0, critical_enter(NULL, NULL), "as can the unnamed one");
    test_int(0, critical_leave(NULL), "and left");
}

int main(void)
{
    const char *text = getenv("TEST_ROUNDS");
    unsigned rounds = text != NULL ? (unsigned)atoi(text) : 1;

    test_begin(60 + 2 * rounds);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    if (memory_enter(NULL) != 0)
        test_skip_all("no shared memory here");
    test_misuse();
    test_others();
    test_names();
    for (size_t i = 0; i < COUNT_OF(thread_counts); i++)
        test_threads(thread_counts[i], rounds);
    return test_end();
}
