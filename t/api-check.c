/*
 * Checking mode (SHAREDMEM_CHECK=1): each mistake is told with both places, whatever the ranks are; programs that
 * are right run as without it, and nothing is told.
 *
 * Each program runs in a process of its own, which may end in it; what it prints is looked at.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sharedmem.h>

#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define FIRST           "first.c:10"
#define SECOND          "second.c:20"

static const int nps[] = {2, 3, 7, 16};

struct shared {
    sharedmem_mutex a, b, c;
    int64_t sum;
};
static struct shared *shared;

static void note_wrong(bool is_wrong)
{
    if (is_wrong)
        shared->sum = 1;
}

static void nothing(void)
{
}

/* The last rank is the one that does something else. */
static bool is_last(size_t rank)
{
    return (int)rank == sharedmem_size() - 1;
}

/* ---- Ranks that differ ---- */

static void other_call(size_t rank)
{
    if (is_last(rank))
        sharedmem_barrier_at(FIRST);
    else
        sharedmem_all_int64_at(1, SHAREDMEM_SUM, SECOND);
}

static void other_root(size_t rank)
{
    int value = 0;

    sharedmem_bcast_at(&value, sizeof value, is_last(rank) ? 1 : 0, is_last(rank) ? FIRST : SECOND);
}

static void other_size(size_t rank)
{
    char data[100] = {0};

    sharedmem_bcast_at(data, is_last(rank) ? 100 : 50, 0, is_last(rank) ? FIRST : SECOND);
}

static void other_op(size_t rank)
{
    sharedmem_all_double_at(1, is_last(rank) ? SHAREDMEM_SUM : SHAREDMEM_MAX, is_last(rank) ? FIRST : SECOND);
}

static void other_level(size_t rank)
{
    sharedmem_team_free(sharedmem_team_split_by_at(is_last(rank) ? SHAREDMEM_BY_L3 : SHAREDMEM_BY_PACKAGE,
                                                   is_last(rank) ? FIRST : SECOND));
}

static void other_dtype(size_t rank)
{
    sharedmem_team_empty_at(is_last(rank) ? SHAREDMEM_FLOAT64 : SHAREDMEM_INT32, 1, (int64_t[]){10},
                            is_last(rank) ? FIRST : SECOND);
}

static void other_room(size_t rank)
{
    sharedmem_team_calloc_at(10, is_last(rank) ? 8 : 4, is_last(rank) ? FIRST : SECOND);
}

/* One barrier is forgotten, and nothing is wrong until the next call. */
static void forgotten(size_t rank)
{
    sharedmem_barrier();
    if (!is_last(rank))
        sharedmem_barrier_at(SECOND);
    sharedmem_all_double_at(1, SHAREDMEM_SUM, FIRST);
    sharedmem_barrier();
}

static void one_loop(size_t n, int schedule, size_t chunk, const char *where)
{
    sharedmem_loop_options options = {.n = n, .schedule = schedule, .chunk = chunk, .where = where};
    sharedmem_loop loop;
    size_t i;

    if (sharedmem_loop_begin_with(&loop, &options, sizeof options) == 0) {
        while (sharedmem_loop_next(&loop, &i))
            ;
    }
}

static void other_loop(size_t rank)
{
    for (int k = 0; k < 50; k++)
        one_loop(7, SHAREDMEM_DYNAMIC, 1, "same.c:1");
    one_loop(is_last(rank) ? 10 : 20, SHAREDMEM_STATIC, 0, is_last(rank) ? FIRST : SECOND);
    sharedmem_barrier();
}

static void other_schedule(size_t rank)
{
    one_loop(10, is_last(rank) ? SHAREDMEM_DYNAMIC : SHAREDMEM_STATIC, 0, is_last(rank) ? FIRST : SECOND);
    sharedmem_barrier();
}

static void leaves(size_t rank)
{
    if (!is_last(rank))
        sharedmem_barrier_at(FIRST);
}

/* ---- Meeting in a region ---- */

static void barrier_in_critical(size_t rank)
{
    (void)rank;
    sharedmem_critical_begin(NULL, FIRST);
    sharedmem_barrier_at(SECOND);
    sharedmem_critical_end(NULL);
}

static void sum_in_named(size_t rank)
{
    (void)rank;
    sharedmem_critical_begin("other", "inner.c:1");
    sharedmem_critical_end("other");
    sharedmem_critical_begin("log", FIRST);
    sharedmem_all_double_at(1, SHAREDMEM_SUM, SECOND);
    sharedmem_critical_end("log");
}

static void allocate_with_mutex(size_t rank)
{
    (void)rank;
    /* Who comes later finds that it was left locked, by one that failed. */
    if (sharedmem_mutex_lock_at(&shared->a, FIRST) != 0)
        return;
    sharedmem_team_calloc_at(1, 1, SECOND);
    sharedmem_mutex_unlock(&shared->a);
}

static void bcast_in_ordered(size_t rank)
{
    sharedmem_ordered_begin(FIRST);
    sharedmem_bcast_at(&rank, sizeof rank, 0, SECOND);
    sharedmem_ordered_end();
}

/* ---- Locks in different orders, one rank after the other, so that nobody waits ---- */

static void lock_both(sharedmem_mutex *one, const char *where, sharedmem_mutex *two, const char *second)
{
    sharedmem_mutex_lock_at(one, where);
    sharedmem_mutex_lock_at(two, second);
    sharedmem_mutex_unlock(two);
    sharedmem_mutex_unlock(one);
}

static void two_criticals(size_t rank)
{
    for (int k = 0; k < 3; k++) {
        if (rank == 0)
            SHAREDMEM_CRITICAL_NAMED("a")
            {
                sharedmem_critical_begin("b", FIRST);
                sharedmem_critical_end("b");
            }
        sharedmem_barrier();
        if (rank == 1)
            SHAREDMEM_CRITICAL_NAMED("b")
            {
                sharedmem_critical_begin("a", SECOND);
                sharedmem_critical_end("a");
            }
        sharedmem_barrier();
    }
}

static void critical_and_mutex(size_t rank)
{
    if (rank == 0)
        SHAREDMEM_LOCKED (&shared->a) {
            sharedmem_critical_begin(NULL, FIRST);
            sharedmem_critical_end(NULL);
        }
    sharedmem_barrier();
    if (rank == 1)
        SHAREDMEM_CRITICAL
        {
            sharedmem_mutex_lock_at(&shared->a, SECOND);
            sharedmem_mutex_unlock(&shared->a);
        }
}

static void three_mutexes(size_t rank)
{
    if (rank == 0) {
        lock_both(&shared->a, FIRST, &shared->b, SECOND);
        lock_both(&shared->b, "third.c:30", &shared->c, "fourth.c:40");
    }
    sharedmem_barrier();
    if (rank == 1)
        lock_both(&shared->c, "fifth.c:50", &shared->a, "sixth.c:60");
    sharedmem_barrier();
}

/* ---- Messages ---- */

/* Small and larger ones, behind others that are received. */
static void unreceived(size_t rank)
{
    char data[3000] = {0};

    for (int k = 0; k < 30 && rank == 1; k++)
        sharedmem_send(data, k < 29 ? 8 : 3000, 0, 1);
    if (rank == 1)
        sharedmem_send_at(data, 3000, 0, 3, FIRST);
    for (int k = 0; k < 30 && rank == 0; k++)
        sharedmem_recv(data, sizeof data, 1, 1, NULL);
    sharedmem_barrier();
}

static void right_messages(size_t rank)
{
    int size = sharedmem_size(), right = ((int)rank + 1) % size, left = ((int)rank + size - 1) % size;
    char out[2000] = {(char)rank}, in[2000];

    for (int k = 0; k < 100; k++) {
        sharedmem_send(out, (size_t)k * 20, right, k);
        sharedmem_recv(in, sizeof in, SHAREDMEM_ANY_SOURCE, SHAREDMEM_ANY_TAG, NULL);
        note_wrong(k > 0 && in[0] != (char)left);
    }
}

static const struct {
    void (*body)(size_t rank);
    const char *name;
    const char *says[7]; /* all of these */
    bool is_warning;     /* the program goes on */
} mistakes[] = {
    {other_call, "another call", {"calls barrier at " FIRST, "rank 0 calls all_int64 at " SECOND, "same order"}, 0},
    {other_root, "another root", {"root 1 at " FIRST, "root 0 at " SECOND, "the same root"}, 0},
    {other_size, "another size", {"100 bytes at " FIRST, "50 bytes at " SECOND, "the same size"}, 0},
    {other_op, "another op", {"(SUM) at " FIRST, "(MAX) at " SECOND, "the same op"}, 0},
    {other_level,
     "another level",
     {"level 2 (BY_L3) at " FIRST, "level 3 (BY_PACKAGE) at " SECOND, "the same level"},
     0},
    {other_dtype, "another dtype", {"(float64) at " FIRST, "(int32) at " SECOND, "the same dtype"}, 0},
    {other_room, "another size of a block", {"80 bytes at " FIRST, "40 bytes at " SECOND}, 0},
    {forgotten, "a forgotten barrier", {"all_double at " FIRST, "barrier at " SECOND}, 0},
    {other_loop, "another loop", {"10 items", FIRST, "20 items", SECOND, "the same loops"}, 0},
    {other_schedule, "another schedule", {"dynamic by 0, at " FIRST, "static by 0, at " SECOND}, 0},
    {leaves, "a rank that leaves", {"is gone while", "in the barrier or collective at " FIRST}, 0},
    {barrier_in_critical, "barrier in critical", {SECOND ": barrier", "the unnamed critical since " FIRST}, 0},
    {sum_in_named, "a sum in a named one", {SECOND ": all_double", "critical \"log\" since " FIRST}, 0},
    {allocate_with_mutex, "team_calloc with a mutex", {SECOND ": team_calloc", "mutex 0x", "since " FIRST}, 0},
    {bcast_in_ordered, "bcast in ordered", {SECOND ": bcast", "ordered region that it began at " FIRST}, 0},
    {unreceived,
     "a message that nobody receives",
     {"rank 1 sent 3000 bytes with tag 3 to rank 0 at " FIRST ", which nobody has received"},
     true},
    {two_criticals,
     "two criticals in both orders",
     {"critical \"b\" at " FIRST, "critical \"a\" at " SECOND, "rank 0", "rank 1", "different orders"},
     true},
    {critical_and_mutex,
     "critical and mutex in both orders",
     {"the unnamed critical at " FIRST, " at " SECOND, "mutex 0x"},
     true},
    {three_mutexes,
     "three mutexes round in a circle",
     {FIRST, SECOND, "third.c:30", "fourth.c:40", "fifth.c:50", "sixth.c:60"},
     true},
};

/* ---- Programs that are right ---- */

static void right_collectives(size_t rank)
{
    char data[5000];
    int size = sharedmem_size();

    for (int k = 0; k < 60; k++) {
        memset(data, (int)rank, sizeof data);
        sharedmem_barrier();
        sharedmem_bcast(data, (size_t)k * 80, k % size);
        note_wrong(k > 0 && data[0] != k % size);
        note_wrong(sharedmem_all_int64(1, SHAREDMEM_SUM) != size);
        sharedmem_bcast(NULL, 0, 0);
        if (k % 7 == 0 && rank == 0)
            sharedmem_barrier();
        else if (k % 7 == 0)
            sharedmem_barrier();
    }
    data[0] = *(char *)sharedmem_team_calloc(1, 10);
}

static void right_loops(size_t rank)
{
    (void)rank;
    for (size_t n = 0; n < 70; n++)
        SHAREDMEM_FOR (i, n, .schedule = (int)n % 3, .chunk = n % 4)
            SHAREDMEM_CRITICAL_NAMED("sum")
            {
                nothing();
            }
    sharedmem_barrier();
}

static void right_order(size_t rank)
{
    for (int k = 0; k < 20; k++) {
        SHAREDMEM_CRITICAL_NAMED("outer")
        SHAREDMEM_CRITICAL
        SHAREDMEM_LOCKED (&shared->a)
            lock_both(&shared->b, FIRST, &shared->c, SECOND);
        SHAREDMEM_CRITICAL
        SHAREDMEM_LOCKED (&shared->c)
            nothing();
        if (rank == 1)
            SHAREDMEM_ORDERED
            {
                nothing();
            }
    }
}

/* Who only tries does not wait. */
static void right_try(size_t rank)
{
    (void)rank;
    for (int k = 0; k < 20; k++) {
        lock_both(&shared->a, FIRST, &shared->b, SECOND);
        SHAREDMEM_LOCKED (&shared->b) {
            if (sharedmem_mutex_trylock(&shared->a) == 0)
                sharedmem_mutex_unlock(&shared->a);
            if (sharedmem_mutex_timedlock(&shared->a, 1e-5) == 0)
                sharedmem_mutex_unlock(&shared->a);
        }
    }
}

/* Two others come to lie where two were, and are taken the other way round. */
static void right_reuse(size_t rank)
{
    if (rank != 0)
        return;
    for (int k = 0; k < 100; k++) {
        size_t bytes = k % 2 == 0 ? 2 * sizeof(sharedmem_mutex) : 5 << 20;
        sharedmem_mutex *pair = sharedmem_calloc(1, bytes);
        int first = k / 2 % 2;

        lock_both(&pair[first], FIRST, &pair[!first], SECOND);
        if (k % 3 == 0)
            pair = sharedmem_realloc(pair, bytes * 3);
        sharedmem_free(pair);
    }
}

static int meet(size_t rank, void *result, void *context)
{
    (void)result;
    (void)context;
    return sharedmem_all_int64((int64_t)rank, SHAREDMEM_MAX) == 1 ? 0 : 1;
}

/* What the caller holds is no matter for those who meet below it. */
static void right_nested(size_t rank)
{
    SHAREDMEM_CRITICAL_NAMED("parallel")
    {
        note_wrong(sharedmem_parallel(2, meet, NULL, .backend = rank % 2 ? SHAREDMEM_THREADS : 0));
    }
    sharedmem_barrier();
}

static int one_item(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    SHAREDMEM_CRITICAL_NAMED("items") SHAREDMEM_LOCKED (&shared->c) nothing();
    SHAREDMEM_ORDERED nothing();
    return 0;
}

static void right_map(size_t rank)
{
    note_wrong(sharedmem_map(20, one_item, NULL, .np = 2));
    sharedmem_all_double((double)rank, SHAREDMEM_MIN);
}

static void *be_thread(void *argument)
{
    right_collectives(*(size_t *)argument);
    return NULL;
}

/* More pairs than there is room for are told of, and do no harm. */
static void *many_pairs(void *argument)
{
    enum { N = 60 };
    static sharedmem_mutex *all;

    all = sharedmem_calloc(N, sizeof *all);
    for (int i = 0; i < N; i++) {
        for (int j = i + 1; j < N; j++)
            lock_both(&all[i], FIRST, &all[j], SECOND);
    }
    sharedmem_free(all);
    return argument;
}

static const struct {
    void (*body)(size_t rank);
    const char *name;
} right[] = {
    {right_collectives, "collectives"}, {right_loops, "loops"},         {right_order, "locks in one order"},
    {right_try, "tries in the other"},  {right_reuse, "others' memory"}, {right_nested, "parallel in critical"},
    {right_map, "maps in ranks"},       {right_messages, "messages"},
};

/* ---- Running them ---- */

static int run_body(size_t rank, void *result, void *context)
{
    (void)result;
    (*(void (**)(size_t))context)(rank);
    return shared->sum == 0 ? 0 : 1;
}

static int run_parallel(void (*body)(size_t rank), int np, int backend)
{
    if (np > 0)
        return sharedmem_parallel(np, run_body, &body, .backend = backend);
    body(0);
    return shared->sum == 0 ? 0 : 1;
}

/* What body writes to stderr goes to text. Returns the status of its process. */
static int run(void (*body)(size_t rank), int np, int backend, char *text, size_t size)
{
    size_t n = 0;
    ssize_t got;
    int ends[2], status;
    pid_t child;

    if (pipe(ends) != 0 || (child = fork()) < 0)
        return -1;
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        shared = sharedmem_new(struct shared, 1);
        exit(shared == NULL || run_parallel(body, np, backend) != 0);
    }
    close(ends[1]);
    while ((got = read(ends[0], text + n, size - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    close(ends[0]);
    waitpid(child, &status, 0);
    /* Its workers, where it has ended before them. */
    while (waitpid(-1, NULL, 0) > 0)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *backend_name(int backend)
{
    return backend == SHAREDMEM_THREADS ? "threads" : "processes";
}

static void test_mistake(size_t k, int np, int backend)
{
    static char text[65536];
    int status = run(mistakes[k].body, np, backend, text, sizeof text);
    bool says = true;

    for (size_t i = 0; i < COUNT_OF(mistakes[k].says) && mistakes[k].says[i] != NULL; i++)
        says &= strstr(text, mistakes[k].says[i]) != NULL;
    test_ok(says, "%s, %d %s: %.300s", mistakes[k].name, np, backend_name(backend), text);
    test_int(mistakes[k].is_warning ? 0 : 1, status, "%s, %d %s: the end", mistakes[k].name, np,
             backend_name(backend));
    test_ok(text[0] != '\0' && strchr(text, '\n') == text + strlen(text) - 1, "%s: one line",
            mistakes[k].name);
}

static void test_right(void (*body)(size_t rank), const char *name, int np, int backend)
{
    static char text[65536];

    test_int(0, run(body, np, backend, text, sizeof text), "%s, %d %s", name, np, backend_name(backend));
    test_str("", text, "%s, %d %s: nothing is told", name, np, backend_name(backend));
}

static void in_thread(size_t rank)
{
    pthread_t thread;

    pthread_create(&thread, NULL, be_thread, &rank);
    pthread_join(thread, NULL);
}

static void alone_in_critical(size_t rank)
{
    (void)rank;
    barrier_in_critical(0);
}

static void fill_table(size_t rank)
{
    (void)rank;
    many_pairs(NULL);
    many_pairs(NULL);
}

static void test_alone(void)
{
    static char text[4096];

    for (size_t k = 0; k < COUNT_OF(right); k++)
        test_right(right[k].body, right[k].name, 0, 0);
    test_int(1, run(alone_in_critical, 0, 0, text, sizeof text), "alone too, a barrier in critical is wrong");
    test_has("since " FIRST, text, "and told");
    test_int(0, run(fill_table, 0, 0, text, sizeof text), "more pairs of locks than there is room for");
    test_has("notes no more", text, "that is told");
    test_ok(strchr(text, '\n') == text + strlen(text) - 1, "once");
}

int main(void)
{
    static const int backends[] = {SHAREDMEM_PROCESSES, SHAREDMEM_THREADS};
    size_t n_nps = COUNT_OF(nps) - test_under_valgrind(), step = test_under_valgrind() ? 2 : 1;

    test_begin(120);
    setenv("SHAREDMEM_CHECK", "1", 1);
    /* A program that ends by an error of its rank 0 does not wait for its threads. */
    if (test_thread_sanitized() && getenv("TSAN_OPTIONS") == NULL) {
        setenv("TSAN_OPTIONS", "report_thread_leaks=0", 1);
        execl("/proc/self/exe", "api-check.t", (char *)NULL);
    }
    setenv("SHAREDMEM_HEAP", "64M", 1);
    for (size_t b = 0; b < COUNT_OF(backends); b++) {
        /* Under valgrind, where each takes a second, in turn by the one or the other. */
        for (size_t k = test_under_valgrind() ? b : 0; k < COUNT_OF(mistakes); k += step)
            test_mistake(k, nps[(k + b) % n_nps], backends[b]);
        for (size_t i = 0; i < n_nps; i += step) {
            test_mistake(0, nps[i], backends[b]);
            for (size_t k = 0; k < COUNT_OF(right); k++) {
                /* Threads of a forked process are more than the thread sanitizer knows. */
                if (right[k].body != right_nested ||
                    (nps[i] <= 3 && (backends[b] == SHAREDMEM_THREADS || !test_thread_sanitized())))
                    test_right(right[k].body, right[k].name, nps[i], backends[b]);
            }
        }
        test_right(in_thread, "calls by another thread, alone", 1, backends[b]);
    }
    test_alone();
    return test_end();
}
