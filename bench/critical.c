/* The critical region with 1, 2 and 8 members that do nothing else, beside locks of others. */
#include <sharedmem.h>

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gang.h"

/* What lies in gang->shared: a lock, and on another line what it protects. */
struct protected
{
    union {
        _Atomic uint32_t word;
        pthread_mutex_t mutex;
    } lock;
    _Alignas(64) uint64_t sum;
};

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
static double peer_robust(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&protected_of(gang)->lock.mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    gang_fork(gang, mutex_member);
    return end(gang);
}

/* ---- The table ---- */

static const struct bench_contender contenders[] = {
    {.name = "1: SHAREDMEM_CRITICAL", .run = ours, .np = 1},
    {.name = "1: floor: futex word", .run = futex_word, .np = 1},
    {.name = "1: pthread", .run = peer_pthread, .np = 1},
    {.name = "1: pthread, robust, of processes", .run = peer_robust, .np = 1},
    {.name = "1: OpenMP", .run = gang_openmp, .np = 1, .question = "critical"},
    {.name = "2: SHAREDMEM_CRITICAL", .run = ours, .np = 2},
    {.name = "2: floor: futex word", .run = futex_word, .np = 2},
    {.name = "2: pthread", .run = peer_pthread, .np = 2},
    {.name = "2: pthread, robust, of processes", .run = peer_robust, .np = 2},
    {.name = "2: OpenMP", .run = gang_openmp, .np = 2, .question = "critical"},
    {.name = "2: OpenMP, passive", .run = gang_openmp_passive, .np = 2, .question = "critical"},
    {.name = "8: SHAREDMEM_CRITICAL", .run = ours, .np = 8},
    {.name = "8: floor: futex word", .run = futex_word, .np = 8},
    {.name = "8: pthread", .run = peer_pthread, .np = 8},
    {.name = "8: pthread, robust, of processes", .run = peer_robust, .np = 8},
    {.name = "8: OpenMP", .run = gang_openmp, .np = 8, .question = "critical"},
    {.name = "8: OpenMP, passive", .run = gang_openmp_passive, .np = 8, .question = "critical"},
    {.name = NULL},
};

static const struct bench_goal goals[] = {
    {1.3, "8: SHAREDMEM_CRITICAL", {"2: SHAREDMEM_CRITICAL"}, 0},
    {0, NULL, {NULL}, 0},
};

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    bench_table(&(struct bench_table){"critical region with 1, 2 and 8 members", "entry", contenders, goals});
    return bench_end();
}
