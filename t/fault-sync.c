/*
 * Death in mutexes and counters, between any two of their stores, and at random: nobody hangs, no half change of
 * what a mutex guards goes untold, no addition is half done, and the next call is right.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "memory/heap.h"
#include "memory/recover.h"
#include "sharedmem.h"
#include "shared_block.h"
#include "tap.h"

#define N_ITEMS 48
#define N_STEPS 12

struct shared {
    sharedmem_mutex mutex;
    size_t first, second; /* guarded: they differ only within */
    sharedmem_counter counter, done;
    size_t bad; /* the item that is to die, once */
    unsigned long step;
    _Atomic uint32_t n_died, n_untold;
};

static struct shared *shared;

static void reset(size_t bad, unsigned long step)
{
    memset(shared, 0, sizeof *shared);
    shared->bad = bad;
    shared->step = step;
}

static void arm(size_t i)
{
    if (i == shared->bad && shared->n_died++ == 0)
        fault_arm(shared->step);
}

static void check_told(bool owner_died)
{
    if (!owner_died && shared->first != shared->second)
        shared->n_untold++;
    if (owner_died)
        shared->second = shared->first;
}

static void change(void)
{
    shared->first++;
    FAULT_POINT();
    shared->second++;
}

/* ---- Mutexes ---- */

typedef int locker(void);

static int lock(void)
{
    int result = sharedmem_mutex_lock(&shared->mutex);

    if (result == 0)
        check_told(false);
    return result;
}

static int lock_robust(void)
{
    bool owner_died = false;
    int result = sharedmem_mutex_lock_robust(&shared->mutex, &owner_died);

    if (result == 0)
        check_told(owner_died);
    return result;
}

static int lock_by_trying(void)
{
    int result;

    while ((result = sharedmem_mutex_trylock(&shared->mutex)) != 0 && errno == EBUSY)
        sched_yield();
    if (result == 0)
        check_told(false);
    return result;
}

static int lock_for_a_time(void)
{
    int result;

    while ((result = sharedmem_mutex_timedlock(&shared->mutex, 1e-5)) != 0 && errno == ETIMEDOUT)
        ;
    if (result == 0)
        check_told(false);
    return result;
}

static locker *locks;

static int do_item(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    arm(i);
    if (locks() != 0)
        return 1;
    change();
    sharedmem_mutex_unlock(&shared->mutex);
    fault_arm(0);
    return 0;
}

/* Each step with 2, 4 and 8 workers; under valgrind, with one of these in turn. */
static int first_np(unsigned long step)
{
    return test_under_valgrind() ? 2 << step % 3 : 2;
}

static int next_np(int np)
{
    return test_under_valgrind() ? 16 : 2 * np;
}

/* Everybody else has gone. Returns whether the mutex can be had, and tells of what is half changed. */
static bool is_left_right(void)
{
    return lock_robust() == 0 && sharedmem_mutex_unlock(&shared->mutex) == 0 && lock() == 0 &&
           sharedmem_mutex_unlock(&shared->mutex) == 0 && shared->n_untold == 0 && heap_check(NULL) == 0;
}

/* Without retries the map fails by the death, whatever others have found of it. */
static void test_failing(locker *how, const char *name)
{
    int right = 0, died = 0, n = 0;

    locks = how;
    for (unsigned long step = 1; step <= N_STEPS; step++) {
        for (int np = first_np(step); np <= 8; np = next_np(np), n++) {
            sharedmem_error error;
            bool good;

            reset(step * 5 % N_ITEMS, step);
            good = sharedmem_map(N_ITEMS, do_item, NULL, .np = np, .schedule = SHAREDMEM_DYNAMIC,
                                 .error = &error) == 0;
            if (!good) {
                died++;
                good = error.kind == SHAREDMEM_ERROR_SIGNAL && error.code == SIGKILL;
                if (!good)
                    test_note("step %lu, %d workers: %s", step, np, error.message);
            }
            right += good && is_left_right();
        }
    }
    test_int(n, right, "%s: deaths are told right, and nothing half changed goes untold", name);
    test_ok(died > n / 6, "%d of %d calls lost a worker", died, n);
}

/* With retries others go on, and mend. */
static void test_mended(void)
{
    int right = 0, n = 0;

    locks = lock_robust;
    for (unsigned long step = 1; step <= N_STEPS; step++) {
        for (int np = first_np(step); np <= 8; np = next_np(np), n++) {
            reset(step * 7 % N_ITEMS, step);
            right += sharedmem_map(N_ITEMS, do_item, NULL, .np = np, .schedule = SHAREDMEM_DYNAMIC,
                                   .retries = 2) == 0 &&
                     shared->first >= N_ITEMS && shared->first == shared->second && is_left_right();
        }
    }
    test_int(n, right, "retries: the others mend what is half changed, and do all");
}

/* ---- Counters ---- */

static void *wait_for_one(void *unused)
{
    sharedmem_counter_wait(&shared->counter, SHAREDMEM_GE, 1);
    sharedmem_counter_add(&shared->done, 1);
    return unused;
}

enum deed { ADD, SET, WAIT, N_DEEDS };

static void do_deed(enum deed deed)
{
    if (deed == ADD)
        sharedmem_counter_add(&shared->counter, 1);
    else if (deed == SET)
        sharedmem_counter_set(&shared->counter, 1);
    else
        wait_for_one(NULL);
}

/* A child that dies in its deed, while others wait. */
static void do_and_die(enum deed deed)
{
    pid_t pid = fork();

    if (pid == 0) {
        arm(0);
        do_deed(deed);
        fault_arm(0);
        kill(getpid(), SIGKILL);
    }
    /* Who waits and does not come to its end. */
    if (deed == WAIT && shared->step > 8)
        usleep(3000);
    if (deed == WAIT && shared->step > 8)
        test_kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    recover_all_dead();
}

/* Returns whether the counter is as if the deed was done, or not. */
static bool is_half_done(enum deed deed)
{
    int64_t value = sharedmem_counter_read(&shared->counter);

    return value != 0 && (deed == WAIT || value != 1);
}

static bool outlive(enum deed deed, unsigned long step)
{
    pthread_t threads[3];
    bool good;

    reset(0, step);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, wait_for_one, NULL);
    do_and_die(deed);
    good = !is_half_done(deed);
    /* Whatever it has left undone, the next one does. */
    if (sharedmem_counter_read(&shared->counter) == 0)
        sharedmem_counter_add(&shared->counter, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    return good && sharedmem_counter_timedwait(&shared->done, SHAREDMEM_EQ, 3, 0) == 0;
}

static void test_counter(enum deed deed, const char *name)
{
    int right = 0, n = 0;

    for (unsigned long step = 1; step <= 10; step++) {
        for (int round = 0; round < (test_under_valgrind() ? 1 : 4); round++, n++)
            right += outlive(deed, step);
    }
    test_int(n, right, "%s: a death in it leaves it done or not done, and all wait and wake as before", name);
}

static int wait_for_others(size_t rank, void *result, void *context)
{
    (void)result;
    (void)context;
    for (int64_t round = 1; round <= 6; round++) {
        if (round == 3)
            arm(rank);
        sharedmem_counter_add(&shared->counter, 1);
        if (sharedmem_counter_wait(&shared->counter, SHAREDMEM_GE, round * sharedmem_size()) != 0)
            return 1;
    }
    fault_arm(0);
    return 0;
}

static void test_ranks(void)
{
    int right = 0, died = 0, n = 0;

    for (unsigned long step = 1; step <= 16; step++) {
        for (int np = first_np(step); np <= 8; np = next_np(np), n++) {
            sharedmem_error error;

            reset(1 + step % (size_t)(np - 1), step);
            if (sharedmem_parallel(np, wait_for_others, NULL, .error = &error) == 0) {
                right++;
                continue;
            }
            died++;
            right += error.kind == SHAREDMEM_ERROR_SIGNAL && error.code == SIGKILL &&
                     error.rank == (int32_t)shared->bad && test_children() == 0;
        }
    }
    test_int(n, right, "ranks that wait for a dead one: the call fails with its death");
    test_ok(died > n / 8, "%d of %d calls lost a rank", died, n);
}

/* ---- At random ---- */

#define N_CHILDREN 5

static void work_for_ever(void)
{
    for (;;) {
        lock_robust();
        shared->first++;
        shared->second++;
        sharedmem_mutex_unlock(&shared->mutex);
        sharedmem_counter_add(&shared->counter, 1);
        sharedmem_counter_timedwait(&shared->counter, SHAREDMEM_EQ, -1, 1e-4);
    }
}

static pid_t start(void)
{
    pid_t pid = fork();

    if (pid == 0)
        work_for_ever();
    return pid;
}

/* Whether the others go on: the counter rises. */
static bool goes_on(void)
{
    int64_t value = sharedmem_counter_read(&shared->counter);

    return sharedmem_counter_timedwait(&shared->counter, SHAREDMEM_GT, value + 4, 20) == 0;
}

static void test_kills(int rounds)
{
    pid_t children[N_CHILDREN];
    int right = 0;
    unsigned seed = 3;

    reset(0, 0);
    for (int i = 0; i < N_CHILDREN; i++)
        children[i] = start();
    for (int round = 0; round < rounds; round++) {
        int who = rand_r(&seed) % N_CHILDREN;

        right += goes_on();
        test_kill(children[who], SIGKILL);
        waitpid(children[who], NULL, 0);
        recover_all_dead();
        children[who] = start();
    }
    for (int i = 0; i < N_CHILDREN; i++)
        test_kill(children[i], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    recover_all_dead();
    test_int(rounds, right, "members that are killed at random do not keep the others");
    test_ok(is_left_right(), "nor leave anything half done untold");
}

int main(void)
{
    test_begin(240);
    shared = shared_block("64M", sizeof *shared);
    test_failing(lock, "lock");
    test_failing(lock_robust, "robust");
    test_failing(lock_by_trying, "trylock");
    test_failing(lock_for_a_time, "timedlock");
    test_mended();
    test_counter(ADD, "add");
    test_counter(SET, "set");
    test_counter(WAIT, "wait");
    test_ranks();
    test_kills(test_under_valgrind() ? 10 : 300);
    return test_end();
}
