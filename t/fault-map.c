/*
 * Three hundred maps of which each loses a worker: killed at its own steps between two stores, in work,
 * malloc, free and while it stores its result, and from outside at any moment. Each map must say so, name the
 * item, leave the heap whole and no process, and the next map must be right.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "host/clock.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "sharedmem.h"
#include "tap.h"

#define N_ITEMS  64
#define N_DEATHS 200
#define N_KILLS  100

struct plan {
    size_t bad_item;
    unsigned long step;
    bool slow;
    _Atomic uint64_t died_ns; /* in shared memory: when the victim was last seen alive */
    _Atomic int n_deaths;     /* that are to come */
};

static struct plan *plan;

/* Takes and gives blocks of all kinds. */
static void churn(size_t i)
{
    void *small = sharedmem_malloc(100 + i), *large = sharedmem_malloc(100000);

    sharedmem_free(small);
    small = sharedmem_realloc(NULL, 5000);
    sharedmem_free(large);
    small = sharedmem_realloc(small, 9000);
    atomic_store(&plan->died_ns, clock_monotonic_ns());
    sharedmem_free(small);
}

static int work(size_t i, void *result, void *context)
{
    (void)context;
    if (i == plan->bad_item)
        fault_arm(plan->step);
    churn(i);
    if (plan->slow)
        usleep(500);
    *(size_t *)result = 3 * i;
    return 0;
}

static int check_result(size_t i, void *result, void *context)
{
    (void)context;
    return *(size_t *)result == 3 * i ? 0 : 1;
}

static size_t results[N_ITEMS];

/* Alternately with results in a ring, reduced, and in place. */
static int map(bool reduce, size_t *in_place, sharedmem_error *error)
{
    if (reduce)
        return sharedmem_map(N_ITEMS, work, NULL, .np = 3, .results = results, .result_size = sizeof *results,
                             .reduce = check_result, .error = error, .schedule = SHAREDMEM_DYNAMIC);
    return sharedmem_map(N_ITEMS, work, NULL, .np = 3, .results = in_place, .result_size = sizeof *in_place,
                         .error = error);
}

static bool next_is_right(size_t *in_place)
{
    bool good;

    plan->bad_item = SIZE_MAX;
    plan->slow = false;
    good = map(false, in_place, NULL) == 0 && map(true, NULL, NULL) == 0;
    for (size_t i = 0; i < N_ITEMS; i++)
        good &= in_place[i] == 3 * i && results[i] == 3 * i;
    return good && heap_check(NULL) == 0 && test_children() == 0;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void note_times(uint64_t *ns, int n)
{
    qsort(ns, (size_t)n, sizeof *ns, compare);
    if (n > 0)
        test_note("from the last sign of life to the error: median %.2f ms, longest %.2f ms",
                  (double)ns[n / 2] / 1e6, (double)ns[n - 1] / 1e6);
}

static void test_deaths(size_t *in_place, int n)
{
    static uint64_t ns[N_DEATHS];
    int right = 0, died = 0;
    unsigned seed = 1;

    for (int k = 0; k < n; k++) {
        sharedmem_error error;
        int result;

        plan->bad_item = (size_t)rand_r(&seed) % N_ITEMS;
        plan->step = 1 + (unsigned long)rand_r(&seed) % 250;
        plan->slow = k % 4 == 0;
        result = map(k % 2 == 0, in_place, &error);
        /* Steps beyond the item's own hit its worker in a later one, or never. */
        if (result == 0) {
            right += next_is_right(in_place);
            continue;
        }
        ns[died++] = clock_monotonic_ns() - atomic_load(&plan->died_ns);
        right += errno == ECANCELED && error.kind == SHAREDMEM_ERROR_SIGNAL && error.code == SIGKILL &&
                 (error.item < N_ITEMS || error.item == SHAREDMEM_NO_ITEM) &&
                 (plan->step > 40 || error.item == plan->bad_item) && next_is_right(in_place);
    }
    test_int(n, right, "deaths between two stores are told right, and harm nothing");
    test_ok(died >= n / 2, "%d of %d maps lost a worker", died, n);
    note_times(ns, died);
}

/* Kills one child of this process's parent, whichever it finds, after some microseconds. */
static pid_t start_killer(unsigned after_us)
{
    pid_t master = getpid(), pid = fork();
    char path[64], text[256];
    FILE *children;

    if (pid != 0)
        return pid;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)master, (int)master);
    usleep(after_us);
    for (;;) {
        children = fopen(path, "r");
        if (children == NULL)
            test_child_exit(1);
        text[0] = '\0';
        if (fgets(text, sizeof text, children) != NULL) {
            for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
                if (atoi(word) != getpid()) {
                    kill(atoi(word), SIGKILL);
                    test_child_exit(0);
                }
            }
        }
        fclose(children);
    }
}

static bool is_right(int result, const sharedmem_error *error)
{
    /* The victim may have been done already, or have been killed before its first item. */
    return result == 0 ||
           (errno == ECANCELED && error->kind == SHAREDMEM_ERROR_SIGNAL && error->code == SIGKILL &&
            (error->item < N_ITEMS || error->item == SHAREDMEM_NO_ITEM));
}

static void test_kills(size_t *in_place, int n)
{
    int right = 0, failed = 0;
    unsigned seed = 2;

    for (int k = 0; k < n; k++) {
        pid_t killer = start_killer((unsigned)rand_r(&seed) % 3000);
        sharedmem_error error;
        int result;
        bool good;

        plan->bad_item = SIZE_MAX;
        plan->slow = true;
        result = map(k % 2 == 0, in_place, &error);
        good = is_right(result, &error);
        failed += result != 0;
        test_kill(killer, SIGKILL);
        waitpid(killer, NULL, 0);
        right += good && next_is_right(in_place);
    }
    test_int(n, right, "so are kills from outside");
    test_ok(failed >= n / 2, "%d of %d maps lost a worker", failed, n);
}

/* ---- With .retries nothing is lost: also where workers die while they take a chunk, two at once ---- */

static int die_and_work(size_t i, void *result, void *context)
{
    static pid_t armed_in;

    (void)context;
    if (armed_in != getpid() && atomic_fetch_sub(&plan->n_deaths, 1) > 0)
        fault_arm(plan->step);
    armed_in = getpid();
    *(size_t *)result = 3 * i;
    return 0;
}

static size_t n_reduced;

static int count_reduced(size_t i, void *result, void *context)
{
    (void)context;
    return i == n_reduced++ && *(size_t *)result == 3 * i ? 0 : 1;
}

static bool mends(unsigned long step, int schedule, size_t chunk, bool reduce, size_t *in_place)
{
    size_t *to = reduce ? results : in_place;
    bool good;

    plan->step = step;
    atomic_store(&plan->n_deaths, 2);
    n_reduced = 0;
    memset(to, 0, N_ITEMS * sizeof *to);
    good = sharedmem_map(N_ITEMS, die_and_work, NULL, .np = 3, .schedule = schedule, .chunk = chunk,
                         .results = to, .result_size = sizeof *to, .reduce = reduce ? count_reduced : NULL,
                         .retries = 4) == 0;
    for (size_t i = 0; i < N_ITEMS; i++)
        good &= to[i] == 3 * i;
    return good && (!reduce || n_reduced == N_ITEMS);
}

static void test_mended(size_t *in_place, unsigned long n_steps)
{
    for (int schedule = SHAREDMEM_GUIDED; schedule <= SHAREDMEM_STATIC; schedule++) {
        unsigned long right = 0;

        for (unsigned long step = 1; step <= n_steps; step++)
            right += mends(step, schedule, step % 3, step % 2 == 0, in_place) &&
                     mends(step, schedule, (step + 1) % 3, step % 2 != 0, in_place);
        test_int((long long)n_steps, (long long)right, "with retries, dying at each step, schedule %d",
                 schedule);
    }
    test_int(0, test_children(), "nobody is left");
}

int main(void)
{
    size_t *in_place;

    test_begin(180);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    plan = sharedmem_calloc(1, sizeof *plan);
    in_place = sharedmem_calloc(N_ITEMS, sizeof *in_place);
    if (plan == NULL || in_place == NULL)
        test_skip_all("no shared memory here");
    test_deaths(in_place, test_under_valgrind() ? 20 : N_DEATHS);
    test_mended(in_place, test_under_valgrind() ? 10 : 60);
    if (access("/proc/self/task/1/children", F_OK) != 0 && access("/proc/thread-self/children", F_OK) != 0)
        test_skip("this kernel does not list children");
    else
        test_kills(in_place, test_under_valgrind() ? 10 : N_KILLS);
    return test_end();
}
