/*
 * The critical region with 1, 2 and 8 members that do nothing else, beside locks of others; and how evenly
 * they get in.
 */
#include <sharedmem.h>

#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gang.h"

#define MAX_MEMBERS 8

/* Long enough for each of 8 members to have the processor many times. */
#define WHILE_NS 300000000u

/* What lies in gang->shared: a lock, and on another line what it protects. */
struct protected
{
    union {
        _Atomic uint32_t word;
        pthread_mutex_t mutex;
        sharedmem_mutex *ours;
    } lock;
    _Alignas(64) uint64_t sum;

    /* How often each member came in, where all have the same time for it. */
    struct {
        _Alignas(64) uint64_t entries;
    } members[MAX_MEMBERS];
};

_Static_assert(sizeof(struct protected) <= GANG_SHARED_BYTES, "a gang has room for it");

static struct protected *protected_of(struct gang *gang)
{
    return (struct protected *)gang->shared;
}

static uint64_t each(const struct gang *gang)
{
    return gang->ops / (uint64_t)gang->np;
}

static double end(struct gang *gang)
{
    gang_check(gang, protected_of(gang)->sum == gang->ops);
    return gang_end(gang);
}

/* ---- Ours ---- */

static int body(size_t rank, void *result, void *context)
{
    struct gang *gang = context;
    uint64_t *sum = &protected_of(gang)->sum;
    const uint64_t mine = each(gang);

    (void)rank;
    (void)result;
    gate_enter(&gang->gate, gang->np);
    for (uint64_t i = 0; i < mine; i++)
        SHAREDMEM_CRITICAL
        {
            ++*sum;
        }
    gate_leave(&gang->gate);
    return 0;
}

static double ours(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    sharedmem_parallel(contender->np, body, gang);
    return end(gang);
}

/* The same lock where the program has put it. */
static int locked_body(size_t rank, void *result, void *context)
{
    struct gang *gang = context;
    struct protected *protected = protected_of(gang);
    const uint64_t mine = each(gang);

    (void)rank;
    (void)result;
    gate_enter(&gang->gate, gang->np);
    for (uint64_t i = 0; i < mine; i++)
        SHAREDMEM_LOCKED (protected->lock.ours)
            protected->sum++;
    gate_leave(&gang->gate);
    return 0;
}

static double ours_locked(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);
    sharedmem_mutex *mutex = sharedmem_new(sharedmem_mutex, 1);

    protected_of(gang)->lock.ours = mutex;
    sharedmem_parallel(contender->np, locked_body, gang);
    sharedmem_free(mutex);
    return end(gang);
}

/* ---- The floor: a futex word without owner, name, or recovery ---- */

/* The word is 0 free, 1 taken, 2 taken and waited for. */

static void word_wait(_Atomic uint32_t *word)
{
    uint32_t seen = 0;

    for (int i = 0; i < SPIN_PAUSES; i++) {
        spin_pause();
        seen = 0;
        /* acquire: pairs with the release in word_unlock(). */
        if (atomic_compare_exchange_weak_explicit(word, &seen, 1, memory_order_acquire, memory_order_relaxed))
            return;
    }
    while (atomic_exchange_explicit(word, 2, memory_order_acquire) != 0)
        syscall(SYS_futex, word, FUTEX_WAIT, 2, NULL, NULL, 0);
}

static void word_lock(_Atomic uint32_t *word)
{
    uint32_t seen = 0;

    if (!atomic_compare_exchange_strong_explicit(word, &seen, 1, memory_order_acquire, memory_order_relaxed))
        word_wait(word);
}

static void word_unlock(_Atomic uint32_t *word)
{
    if (atomic_exchange_explicit(word, 0, memory_order_release) == 2)
        syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void word_member(struct gang *gang, int rank)
{
    struct protected *protected = protected_of(gang);

    (void)rank;
    for (uint64_t i = 0; i < each(gang); i++) {
        word_lock(&protected->lock.word);
        protected->sum++;
        word_unlock(&protected->lock.word);
    }
}

static double futex_word(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    gang_fork(gang, word_member);
    return end(gang);
}

/* ---- Peers ---- */

static void mutex_member(struct gang *gang, int rank)
{
    struct protected *protected = protected_of(gang);

    (void)rank;
    for (uint64_t i = 0; i < each(gang); i++) {
        pthread_mutex_lock(&protected->lock.mutex);
        protected->sum++;
        pthread_mutex_unlock(&protected->lock.mutex);
    }
}

static double peer_pthread(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    pthread_mutex_init(&protected_of(gang)->lock.mutex, NULL);
    gang_thread(gang, mutex_member);
    return end(gang);
}

/* What a program would take that has forked processes, of which one may die. */
static void init_robust(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static double peer_robust(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    init_robust(&protected_of(gang)->lock.mutex);
    gang_fork(gang, mutex_member);
    return end(gang);
}

/* ---- How evenly ---- */

/* Of the last run, which two rows of the table are made of: nanoseconds of an entry. */
static double mean_ns;

/* Whether there is time left after i entries; the clock takes as long as some of them. */
static bool has_time(struct gang *gang, uint64_t i)
{
    uint64_t opened = atomic_load_explicit(&gang->gate.opened_ns, memory_order_relaxed);

    return i % 64 != 0 || spin_now_ns() < opened + WHILE_NS;
}

static int body_for_a_while(size_t rank, void *result, void *context)
{
    struct gang *gang = context;
    struct protected *protected = protected_of(gang);
    uint64_t i;

    (void)result;
    gate_enter(&gang->gate, gang->np);
    for (i = 0; has_time(gang, i); i++)
        SHAREDMEM_CRITICAL
        {
            protected->sum++;
        }
    protected->members[rank].entries = i;
    return 0;
}

static void mutex_for_a_while(struct gang *gang, int rank)
{
    struct protected *protected = protected_of(gang);
    uint64_t i;

    for (i = 0; has_time(gang, i); i++) {
        pthread_mutex_lock(&protected->lock.mutex);
        protected->sum++;
        pthread_mutex_unlock(&protected->lock.mutex);
    }
    protected->members[rank].entries = i;
}

/* The slowest member's nanoseconds of an entry; leaves those of the mean. Frees. */
static double slowest_ns(struct gang *gang)
{
    const struct protected *protected = protected_of(gang);
    uint64_t least = UINT64_MAX, all = 0;

    for (int rank = 0; rank < gang->np; rank++) {
        all += protected->members[rank].entries;
        if (protected->members[rank].entries < least)
            least = protected->members[rank].entries;
    }
    mean_ns = (double)WHILE_NS * gang->np / (double)all;
    gang_check(gang, protected->sum == all && least > 0);
    return gang_end(gang) == BENCH_FAILED ? BENCH_FAILED : (double)WHILE_NS / (double)least;
}

static double ours_slowest(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    sharedmem_parallel(contender->np, body_for_a_while, gang);
    gate_leave(&gang->gate);
    return slowest_ns(gang);
}

static double robust_slowest(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    init_robust(&protected_of(gang)->lock.mutex);
    gang_fork(gang, mutex_for_a_while);
    return slowest_ns(gang);
}

static double mean_of_last(const struct bench_contender *contender, uint64_t ops)
{
    (void)contender;
    (void)ops;
    return mean_ns;
}

static void compare_shares(int np)
{
    const struct bench_contender contenders[] = {
        {.name = "SHAREDMEM_CRITICAL, slowest member", .run = ours_slowest, .np = np, .ops = 1},
        {.name = "SHAREDMEM_CRITICAL, mean", .run = mean_of_last, .np = np, .ops = 1},
        {.name = "pthread, robust, slowest member", .run = robust_slowest, .np = np, .ops = 1},
        {.name = "pthread, robust, mean", .run = mean_of_last, .np = np, .ops = 1},
        {.name = NULL},
    };
    /* 0.7 of the mean's entries. */
    static const struct bench_goal goals[] = {
        {1 / 0.7, "SHAREDMEM_CRITICAL, slowest member", {"SHAREDMEM_CRITICAL, mean"}, 0},
        {0, NULL, {NULL}, 0},
    };
    char title[64];

    snprintf(title, sizeof title, "critical region, shares of %d members", np);
    bench_table(&(struct bench_table){title, "entry of one", contenders, goals});
}

/* ---- The tables ---- */

static const struct bench_contender contenders[] = {
    {.name = "1: SHAREDMEM_CRITICAL", .run = ours, .np = 1},
    {.name = "1: SHAREDMEM_LOCKED", .run = ours_locked, .np = 1},
    {.name = "1: floor: futex word", .run = futex_word, .np = 1},
    {.name = "1: pthread", .run = peer_pthread, .np = 1},
    {.name = "1: pthread, robust, of processes", .run = peer_robust, .np = 1},
    {.name = "1: OpenMP", .run = gang_openmp, .np = 1, .question = "critical"},
    {.name = "2: SHAREDMEM_CRITICAL", .run = ours, .np = 2},
    {.name = "2: SHAREDMEM_LOCKED", .run = ours_locked, .np = 2},
    {.name = "2: floor: futex word", .run = futex_word, .np = 2},
    {.name = "2: pthread", .run = peer_pthread, .np = 2},
    {.name = "2: pthread, robust, of processes", .run = peer_robust, .np = 2},
    {.name = "2: OpenMP", .run = gang_openmp, .np = 2, .question = "critical"},
    {.name = "2: OpenMP, passive", .run = gang_openmp_passive, .np = 2, .question = "critical"},
    {.name = "8: SHAREDMEM_CRITICAL", .run = ours, .np = 8},
    {.name = "8: SHAREDMEM_LOCKED", .run = ours_locked, .np = 8},
    {.name = "8: floor: futex word", .run = futex_word, .np = 8},
    {.name = "8: pthread", .run = peer_pthread, .np = 8},
    {.name = "8: pthread, robust, of processes", .run = peer_robust, .np = 8},
    {.name = "8: OpenMP", .run = gang_openmp, .np = 8, .question = "critical"},
    {.name = "8: OpenMP, passive", .run = gang_openmp_passive, .np = 8, .question = "critical"},
    {.name = NULL},
};

static const struct bench_goal goals[] = {
    {1.3, "1: SHAREDMEM_CRITICAL", {"1: floor: futex word"}, 0},
    {1.3, "1: SHAREDMEM_LOCKED", {"1: floor: futex word"}, 0},
    {0.85, "2: SHAREDMEM_CRITICAL", {"2: pthread, robust, of processes"}, 0},
    {0.85, "8: SHAREDMEM_CRITICAL", {"8: pthread, robust, of processes"}, 0},
    {1.3, "8: SHAREDMEM_CRITICAL", {"2: SHAREDMEM_CRITICAL"}, 0},
    {0, NULL, {NULL}, 0},
};

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    bench_table(&(struct bench_table){"critical region with 1, 2 and 8 members", "entry", contenders, goals});
    compare_shares(2);
    compare_shares(MAX_MEMBERS);
    return bench_end();
}
