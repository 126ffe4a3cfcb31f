/*
 * Maps with .retries: items that fail, or end their worker, are tried again and then marked, and the rest is
 * done; by every way, schedule and reduce, with generators and ordered regions; and where workers are killed
 * at any moment.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sharedmem.h>

#include "backends.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define N_ITEMS         90

enum trouble { RETURNS, SAYS, KILL, SEGV, EXIT_0, EXIT_3, QUICK_EXIT, USES_WRONGLY };

struct shared {
    enum trouble trouble;
    int n_bad; /* so many tries of a bad item fail */
    bool is_ordered;
    _Atomic int tries[N_ITEMS];  /* begun */
    _Atomic int n_done[N_ITEMS]; /* come to their end */
    size_t n_log;
    size_t log[4 * N_ITEMS];  /* in ordered regions */
    _Atomic pid_t workers[8]; /* by rank, of a map that is to be killed at */
    _Atomic bool is_over;
};

static struct shared *shared;
static sharedmem_pool *pool;

static bool is_bad(size_t i)
{
    return i % 7 == 3 || i == N_ITEMS - 1;
}

static int go_wrong(size_t i)
{
    switch (shared->trouble) {
    case SAYS:
        return sharedmem_fail(6, "item %zu is bad", i);
    case KILL:
        raise(SIGKILL);
        return 0;
    case SEGV:
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
        return 0;
    case EXIT_0:
        exit(0);
    case EXIT_3:
        exit(3);
    case QUICK_EXIT:
        _exit(4);
    case USES_WRONGLY:
        sharedmem_barrier();
        return 0;
    default:
        return 5;
    }
}

static int work(size_t i, void *result, void *context)
{
    (void)context;
    if (shared->is_ordered) {
        SHAREDMEM_ORDERED
        {
            if (shared->n_log < COUNT_OF(shared->log))
                shared->log[shared->n_log++] = i;
        }
    }
    if (is_bad(i) && atomic_fetch_add(&shared->tries[i], 1) < shared->n_bad)
        return go_wrong(i);
    *(uint64_t *)result = 3 * i;
    atomic_fetch_add(&shared->n_done[i], 1);
    return 0;
}

/* What reduce has seen. */
struct seen {
    size_t next;
    int times[N_ITEMS];
    bool is_rising, is_right;
};

static struct seen seen;

static int reduce(size_t i, void *result, void *context)
{
    (void)context;
    seen.is_rising &= i >= seen.next;
    seen.next = i + 1;
    seen.times[i]++;
    seen.is_right &= *(uint64_t *)result == 3 * i;
    return 0;
}

static int next(size_t i, void *item, void *context)
{
    (void)context;
    *(uint64_t *)item = i;
    return i < N_ITEMS;
}

static void reset(enum trouble trouble, int n_bad)
{
    memset(shared, 0, sizeof *shared);
    shared->trouble = trouble;
    shared->n_bad = n_bad;
    seen = (struct seen){.is_rising = true, .is_right = true};
}

struct kind {
    const char *name;
    int schedule;
    size_t chunk;
    int order;
    bool is_reduced, is_generated, is_ordered;
};

static const struct kind kinds[] = {
    {"guided", SHAREDMEM_GUIDED, 0, 0, false, false, false},
    {"dynamic, reduced by index", SHAREDMEM_DYNAMIC, 1, SHAREDMEM_BY_INDEX, true, false, false},
    {"dynamic by 3, reduced as done", SHAREDMEM_DYNAMIC, 3, SHAREDMEM_AS_DONE, true, false, false},
    {"static blocks, reduced by index", SHAREDMEM_STATIC, 0, SHAREDMEM_BY_INDEX, true, false, false},
    {"static by 4, reduced as done", SHAREDMEM_STATIC, 4, SHAREDMEM_AS_DONE, true, false, false},
    {"a generator, reduced by index", SHAREDMEM_GUIDED, 0, SHAREDMEM_BY_INDEX, true, true, false},
    {"a generator, reduced as done", SHAREDMEM_DYNAMIC, 2, SHAREDMEM_AS_DONE, true, true, false},
};

static int map(const struct way *way, const struct kind *kind, int retries, uint64_t *results,
               uint8_t *states, sharedmem_error *error)
{
    bool made = kind->is_generated;

    return way_map(way, pool,
                   &(sharedmem_map_options){.n = made ? SIZE_MAX : N_ITEMS,
                                            .work = work,
                                            .np = 3,
                                            .schedule = kind->schedule,
                                            .chunk = kind->chunk,
                                            .results = made ? NULL : results,
                                            .result_size = sizeof *results,
                                            .states = made ? NULL : states,
                                            .next = made ? next : NULL,
                                            .item_size = made ? sizeof(uint64_t) : 0,
                                            .look_ahead = 16,
                                            .reduce = kind->is_reduced ? reduce : NULL,
                                            .reduce_order = kind->order,
                                            .retries = retries,
                                            .error = error});
}

/* Whether all is done but for what is bad, where that stayed so. */
static bool is_right(const struct kind *kind, bool stays_bad, const uint64_t *results, const uint8_t *states)
{
    bool good = seen.is_right && (seen.is_rising || kind->order == SHAREDMEM_AS_DONE);

    for (size_t i = 0; i < N_ITEMS; i++) {
        int times = stays_bad && is_bad(i) ? 0 : 1;

        good &= atomic_load(&shared->n_done[i]) == times;
        if (kind->is_reduced)
            good &= seen.times[i] == times;
        if (!kind->is_generated)
            good &=
                states[i] == (times ? SHAREDMEM_DONE : SHAREDMEM_FAILED) && (!times || results[i] == 3 * i);
    }
    return good;
}

static const struct {
    const char *name;
    enum trouble trouble;
    bool ends_process;
    int kind, code;
} troubles[] = {
    {"a code", RETURNS, false, SHAREDMEM_ERROR_RETURNED, 5},
    {"sharedmem_fail()", SAYS, false, SHAREDMEM_ERROR_RETURNED, 6},
    {"an uncaught error", USES_WRONGLY, false, SHAREDMEM_ERROR_USAGE, EPERM},
    {"SIGKILL", KILL, true, SHAREDMEM_ERROR_SIGNAL, SIGKILL},
    {"SIGSEGV", SEGV, true, SHAREDMEM_ERROR_SIGNAL, SIGSEGV},
    {"exit(0)", EXIT_0, true, SHAREDMEM_ERROR_EXITED, 0},
    {"exit(3)", EXIT_3, true, SHAREDMEM_ERROR_EXITED, 3},
    {"_exit(4)", QUICK_EXIT, true, SHAREDMEM_ERROR_EXITED, 4},
};

/*
 * Under the address sanitizer a fork takes ten times as long. There two ways share the pairs of trouble and
 * kind: forked workers meet the even ones, a pool the others.
 */
static bool is_skipped(const struct way *way, size_t t, size_t kind)
{
    return test_address_sanitized() && way_forks(way) && (t + kind) % 2 != way->has_pool;
}

static void test_trouble(const struct way *way, size_t t)
{
    uint64_t results[N_ITEMS] = {0};
    uint8_t states[N_ITEMS];
    sharedmem_error error;

    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        if (is_skipped(way, t, k))
            continue;
        reset(troubles[t].trouble, 2);
        test_ok(map(way, &kinds[k], 2, results, states, &error) == 0 && error.kind == SHAREDMEM_ERROR_NONE &&
                    is_right(&kinds[k], false, results, states),
                "%s, %s: the third try, after %s, is good", way->name, kinds[k].name, troubles[t].name);
        reset(troubles[t].trouble, 1000);
        test_ok(map(way, &kinds[k], 1, results, states, &error) == -1 && errno == ECANCELED &&
                    error.kind == troubles[t].kind && error.code == troubles[t].code &&
                    is_bad((size_t)error.item),
                "%s, %s: always %s fails the map", way->name, kinds[k].name, troubles[t].name);
        test_ok(is_right(&kinds[k], true, results, states), "all others are done");
        test_int(2, atomic_load(&shared->tries[N_ITEMS - 1]), "the last one was tried twice");
    }
}

/* Also the slot of a result in private memory, where work does not write in place. */
static int add_and_fail(size_t i, void *result, void *context)
{
    (void)context;
    *(uint64_t *)result += 1;
    return atomic_fetch_add(&shared->tries[i], 1) == 0 && is_bad(i) ? 1 : 0;
}

static void test_fresh_result(const struct way *way)
{
    uint64_t results[N_ITEMS] = {0};
    bool good;

    if (!way_forks(way))
        return;
    reset(RETURNS, 1);
    good = way_map(way, pool,
                   &(sharedmem_map_options){.n = N_ITEMS,
                                            .work = add_and_fail,
                                            .np = 3,
                                            .results = results,
                                            .result_size = sizeof *results,
                                            .retries = 1}) == 0;
    for (size_t i = 0; i < N_ITEMS; i++)
        good &= results[i] == 1;
    test_ok(good, "%s: what a failed try wrote is not in the next one's result", way->name);
}

/* ---- Ordered regions in items that fail behind them ---- */

static void test_ordered(const struct way *way)
{
    static const enum trouble ends[] = {RETURNS, KILL};
    uint64_t results[N_ITEMS] = {0};
    uint8_t states[N_ITEMS];
    sharedmem_error error;

    for (size_t t = 0; t < (way_forks(way) ? COUNT_OF(ends) : 1); t++) {
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            bool rises = true, seen_all[N_ITEMS] = {false};

            reset(ends[t], 1);
            shared->is_ordered = true;
            test_ok(map(way, &kinds[k], 2, results, states, &error) == 0 &&
                        is_right(&kinds[k], false, results, states),
                    "%s, %s: items that fail behind an ordered region", way->name, kinds[k].name);
            for (size_t at = 0; at < shared->n_log; at++) {
                size_t i = shared->log[at];

                rises &= at == 0 || i >= shared->log[at - 1];
                seen_all[i] = true;
            }
            for (size_t i = 0; i < N_ITEMS; i++)
                rises &= seen_all[i];
            test_ok(rises, "all go through it in order, and again at once where they are tried again");
        }
    }
}

/* ---- Workers killed at any moment ---- */

static int work_for_killer(size_t i, void *result, void *context)
{
    (void)context;
    atomic_store(&shared->workers[sharedmem_rank()], getpid());
    if (shared->is_ordered && i % 3 == 0) {
        SHAREDMEM_ORDERED
        {
            shared->n_log++;
        }
    }
    *(uint64_t *)result = 3 * i;
    return 0;
}

/* So long, at most, that some items are done between two deaths: a fork is slow under the sanitizer. */
static useconds_t longest_life(void)
{
    return test_address_sanitized() ? 15000 : 1500;
}

/* A worker is killed once: its place is empty then, until the next one has begun an item. */
static void *kill_workers(void *argument)
{
    unsigned seed = *(unsigned *)argument;
    bool all_at_once = seed % 4 == 0;

    while (!atomic_load(&shared->is_over)) {
        usleep((useconds_t)rand_r(&seed) % longest_life());
        for (size_t rank = 0; rank < COUNT_OF(shared->workers); rank++) {
            pid_t pid = all_at_once || rank == (size_t)rand_r(&seed) % 3
                            ? atomic_exchange(&shared->workers[rank], 0)
                            : 0;

            if (pid > 0)
                test_kill(pid, SIGKILL);
        }
    }
    return NULL;
}

static int count_reduced(size_t i, void *result, void *context)
{
    unsigned char *times = context;

    return *(uint64_t *)result == 3 * i && times[i]++ == 0 ? 0 : 1;
}

static bool survives_kills(const struct way *way, unsigned round, uint64_t *results, size_t n,
                           sharedmem_error *error)
{
    static unsigned char times[4000];
    bool is_reduced = round % 3 != 0;
    pthread_t killer;
    int result;

    reset(KILL, 0);
    shared->is_ordered = round % 5 == 0;
    memset(times, 0, sizeof times);
    memset(results, 0xff, n * sizeof *results);
    pthread_create(&killer, NULL, kill_workers, &round);
    result = way_map(way, pool,
                     &(sharedmem_map_options){.n = n,
                                              .work = work_for_killer,
                                              .context = times,
                                              .context_size = sizeof times,
                                              .np = 3,
                                              .schedule = (int)(round % 3),
                                              .chunk = round % 2,
                                              .results = results,
                                              .result_size = sizeof *results,
                                              .reduce = is_reduced ? count_reduced : NULL,
                                              .reduce_order = (int)(round / 2 % 2),
                                              .retries = 1000000,
                                              .error = error});
    atomic_store(&shared->is_over, true);
    pthread_join(killer, NULL);
    for (size_t i = 0; i < n; i++) {
        if (results[i] != 3 * i || (is_reduced && times[i] != 1))
            result = -2;
    }
    return result == 0;
}

static void test_kills(const struct way *way)
{
    unsigned rounds = test_under_valgrind() ? 5 : test_address_sanitized() ? 25 : 250, good = 0;
    size_t n = test_address_sanitized() ? 1000 : 4000;
    uint64_t *private = malloc(n * sizeof *private), *in_place = sharedmem_malloc(n * sizeof *in_place);
    sharedmem_error error = {0};

    for (unsigned round = 0; round < rounds; round++) {
        bool is_good = survives_kills(way, round, round % 2 == 0 ? private : in_place, n, &error);

        good += is_good;
        if (!is_good)
            test_note("round %u: %s", round, error.message);
    }
    test_int(rounds, good, "%s: %u maps whose workers are killed at any moment are right", way->name, rounds);
    free(private);
    sharedmem_free(in_place);
}

int main(void)
{
    test_begin(240);
    setenv("SHAREDMEM_HEAP", "256M", 1);
    shared = sharedmem_new(struct shared, 1);
    if (!test_thread_sanitized())
        pool = sharedmem_pool_create(4, NULL);
    for (size_t w = 0; w < N_WAYS; w++) {
        if (!way_is_possible(&ways[w]))
            continue;
        for (size_t t = 0; t < COUNT_OF(troubles); t++) {
            if (way_forks(&ways[w]) || !troubles[t].ends_process)
                test_trouble(&ways[w], t);
        }
        test_fresh_result(&ways[w]);
        test_ordered(&ways[w]);
        if (way_forks(&ways[w]))
            test_kills(&ways[w]);
    }
    sharedmem_pool_destroy(pool);
    test_int(0, test_children(), "no process is left");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
    return test_end();
}
