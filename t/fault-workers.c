/*
 * Hundreds of maps of each kind, of which each loses a worker at a random moment: in work, critical, ordered,
 * malloc, free, while it stores its result or takes its items. By forked workers, a pool, with items that are
 * made or reduced as they are done: each map must say so, and which item. With .retries all items are done
 * in the end. After each the heap is whole, nothing is left, and the next map is right.
 *
 * TEST_ROUNDS sets how many of each kind.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "host/clock.h"
#include "memory/heap.h"
#include "sharedmem.h"
#include "tap.h"

#define N_ITEMS  48
#define N_ROUNDS 300
#define NP       3

/* Where results go, and where items come from. */
enum shape { IN_PLACE, PRIVATE, REDUCED, AS_DONE, MADE, N_SHAPES };

struct plan {
    size_t bad_item;     /* whose worker dies; SIZE_MAX: nobody */
    unsigned long steps; /* so many steps on; 0: at the next instruction */
    bool both;           /* a second worker dies as well */
    _Atomic int n_armed;
    _Atomic uint64_t seen_ns; /* when it was last seen alive */
    size_t sum, in_place[N_ITEMS];
};

static struct plan *plan;
static size_t private[N_ITEMS];
static unsigned char n_seen[N_ITEMS];
static sharedmem_pool *pool;
static unsigned seed = 1;

/* Once a map, though the item may be tried again; where both die, another worker right after it. */
static void arm(size_t i)
{
    int armed = plan->n_armed;

    if (i != plan->bad_item && (armed != 1 || !plan->both))
        return;
    if (!atomic_compare_exchange_strong(&plan->n_armed, &armed, armed + 1) || armed > plan->both)
        return;
    if (plan->steps == 0)
        kill(getpid(), SIGKILL);
    fault_arm(plan->steps);
}

static void note_alive(void)
{
    plan->seen_ns = clock_monotonic_ns();
}

static int work(size_t i, void *result, void *context)
{
    char *block;

    (void)context;
    arm(i);
    block = sharedmem_malloc(100 + 64 * i);
    note_alive();
    SHAREDMEM_CRITICAL
    {
        plan->sum += i;
    }
    block = sharedmem_realloc(block, 20000);
    if (i % 3 == 0) {
        SHAREDMEM_ORDERED
        {
            note_alive();
        }
    }
    sharedmem_free(block);
    *(size_t *)result = 3 * i + 1;
    note_alive();
    return 0;
}

static int take(size_t i, void *result, void *context)
{
    (void)context;
    if (*(size_t *)result != 3 * i + 1)
        return 1;
    return ++n_seen[i] == 1 ? 0 : 2;
}

static int make(size_t i, void *result, void *context)
{
    (void)context;
    *(size_t *)result = i;
    return i < N_ITEMS;
}

struct kind {
    const char *name;
    bool is_pool;
    int retries;
};

static int map(const struct kind *kind, enum shape shape, int schedule, sharedmem_error *error)
{
    sharedmem_map_options options = {.n = N_ITEMS,
                                     .work = work,
                                     .np = NP,
                                     .schedule = schedule,
                                     .chunk = schedule == SHAREDMEM_STATIC ? (size_t)rand_r(&seed) % 4 : 0,
                                     .result_size = sizeof(size_t),
                                     .retries = kind->retries,
                                     .pool = kind->is_pool ? pool : NULL,
                                     .error = error,
                                     .where = SHAREDMEM_HERE};

    if (shape == IN_PLACE || shape == PRIVATE)
        options.results = shape == IN_PLACE ? plan->in_place : private;
    else
        options.reduce = take;
    if (shape == AS_DONE)
        options.reduce_order = SHAREDMEM_AS_DONE;
    if (shape == MADE) {
        options.n = SIZE_MAX;
        options.next = make;
        options.item_size = sizeof(size_t);
        options.look_ahead = 1 + (size_t)rand_r(&seed) % 20;
    }
    return sharedmem_map_with(&options, sizeof options);
}

static void reset(void)
{
    memset(plan->in_place, 0, sizeof plan->in_place);
    memset(private, 0, sizeof private);
    memset(n_seen, 0, sizeof n_seen);
    plan->n_armed = 0;
}

static bool has_all(enum shape shape)
{
    const size_t *results = shape == IN_PLACE ? plan->in_place : private;

    for (size_t i = 0; i < N_ITEMS; i++) {
        if (shape == IN_PLACE || shape == PRIVATE ? results[i] != 3 * i + 1 : n_seen[i] != 1)
            return false;
    }
    return true;
}

static int disarm(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    fault_arm(0);
    return 0;
}

/* A parked worker that did not come so far in its map shall not die in the next one. */
static void disarm_pool(void)
{
    sharedmem_error error;

    while (sharedmem_map(NP, disarm, NULL, .pool = pool, .schedule = SHAREDMEM_STATIC, .error = &error) != 0)
        ;
}

/* Processes of a pool are no leftover. */
static int count_left(const struct kind *kind)
{
    return test_children() - (kind->is_pool ? NP : 0);
}

static bool next_is_right(const struct kind *kind, enum shape shape, int schedule)
{
    sharedmem_error error;

    if (kind->is_pool)
        disarm_pool();
    reset();
    plan->bad_item = SIZE_MAX;
    if (map(kind, shape, schedule, &error) != 0) {
        test_note("the next map: %s", error.message);
        return false;
    }
    return has_all(shape) && heap_check(NULL) == 0 && count_left(kind) == 0;
}

/* Many steps on, the worker may have come to another item, or be between two. */
static bool is_told_right(const sharedmem_error *error)
{
    if (errno != ECANCELED || error->kind != SHAREDMEM_ERROR_SIGNAL || error->code != SIGKILL ||
        error->pid <= 0 || error->rank < 0 || error->rank >= NP)
        return false;
    if (plan->both)
        return true;
    if (plan->steps < 10)
        return error->item == plan->bad_item;
    return error->item < N_ITEMS || error->item == SHAREDMEM_NO_ITEM;
}

static void choose(int round)
{
    reset();
    plan->bad_item = (size_t)rand_r(&seed) % N_ITEMS;
    plan->steps = round % 8 == 0 ? 0 : 1 + (unsigned long)rand_r(&seed) % 120;
    plan->both = round % 5 == 4;
}

static bool is_right(const struct kind *kind, enum shape shape, int result, const sharedmem_error *error)
{
    bool good = result == 0 ? has_all(shape) : kind->retries == 0 && is_told_right(error);

    if (!good)
        test_note("shape %d, item %zu, %lu steps%s: %d, %s", (int)shape, plan->bad_item, plan->steps,
                  plan->both ? ", two workers" : "", result,
                  result < 0 ? error->message : "results are wrong");
    return good;
}

/* ---- Both at once ---- */

/* Both workers have done an item, and die some steps on: while they take the next one, mostly. */
static int die_together(size_t i, void *result, void *context)
{
    (void)context;
    if (i < 2) {
        plan->n_armed++;
        while (plan->n_armed < 2)
            ;
        if (plan->n_armed <= 3)
            fault_arm(plan->steps);
        plan->n_armed++;
    }
    *(size_t *)result = 3 * i + 1;
    return 0;
}

/* Neither is there to say what it had taken, or that it was just taking. */
static void test_together(bool is_pool, int rounds)
{
    int right = 0;

    pool = is_pool ? sharedmem_pool_create(2, NULL) : NULL;
    for (int round = 0; round < rounds; round++) {
        sharedmem_error error;

        reset();
        plan->steps = 1 + (unsigned long)round % 10;
        if (sharedmem_map(N_ITEMS, die_together, NULL, .np = 2, .schedule = SHAREDMEM_DYNAMIC, .retries = 4,
                          .results = private, .result_size = sizeof *private, .pool = pool,
                          .error = &error) != 0)
            test_note("%lu steps: %s", plan->steps, error.message);
        else
            right += has_all(PRIVATE) && heap_check(NULL) == 0;
    }
    sharedmem_pool_destroy(pool);
    test_int(rounds, right, "%s: two workers die at once, all items are done", is_pool ? "pool" : "forked");
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

static void test_kind(const struct kind *kind, int rounds)
{
    uint64_t *ns = calloc((size_t)rounds, sizeof *ns);
    int right = 0, failed = 0, died = 0, fds = test_fds();

    plan->bad_item = SIZE_MAX;
    pool = kind->is_pool ? sharedmem_pool_create(NP, NULL) : NULL;
    for (int round = 0; round < rounds; round++) {
        enum shape shape = (enum shape)(round % N_SHAPES);
        int schedule = rand_r(&seed) % 3, result;
        sharedmem_error error;
        bool good;

        choose(round);
        result = map(kind, shape, schedule, &error);
        if (result != 0)
            ns[failed++] = clock_monotonic_ns() - plan->seen_ns;
        died += plan->n_armed > 0;
        good = is_right(kind, shape, result, &error);
        right += good && next_is_right(kind, shape, schedule);
    }
    test_int(rounds, right, "%s: deaths are told right, and harm nothing", kind->name);
    test_ok(died == rounds && (kind->retries > 0 || failed >= rounds / 2), "%d of %d maps failed", failed,
            rounds);
    sharedmem_pool_destroy(pool);
    test_int(0, test_children(), "no process is left");
    test_int(fds, test_fds(), "no file is left open");
    note_times(ns, failed);
    free(ns);
}

static int count_rounds(void)
{
    const char *text = getenv("TEST_ROUNDS");

    if (text != NULL && atoi(text) > 0)
        return atoi(text);
    return test_under_valgrind() ? 10 : test_address_sanitized() ? N_ROUNDS / 3 : N_ROUNDS;
}

int main(void)
{
    static const struct kind kinds[] = {
        {"forked", false, 0},
        {"pool", true, 0},
        /* Two may die with one item, or with none in hand. */
        {"forked, tried again", false, 4},
        {"pool, tried again", true, 4},
    };

    char heap[32];

    test_begin(240 + (unsigned)count_rounds() / 5);
    /* A block that work has taken is lost with its worker, which is twice a round for each kind at most. */
    snprintf(heap, sizeof heap, "%dM", 64 + count_rounds() / 5);
    setenv("SHAREDMEM_HEAP", heap, 1);
    plan = sharedmem_calloc(1, sizeof *plan);
    if (plan == NULL)
        test_skip_all("no shared memory here");
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        test_kind(&kinds[k], count_rounds());
    test_together(false, count_rounds());
    test_together(true, count_rounds());
    test_int(0, heap_check(NULL), "the heap is whole");
    return test_end();
}
