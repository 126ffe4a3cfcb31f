/*
 * Mutexes: who excludes whom in every kind of call, leaving early, trying, waiting for a time, misuse, and what is
 * told of owners that died.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sharedmem.h>

#include "backends.h"
#include "shared_block.h"
#include "tap.h"
#include "uncaught.h"

/* As in a program: mutexes between the data that they guard. */
struct shared {
    sharedmem_mutex mutex;
    size_t sum; /* not atomic: lost additions show */
    sharedmem_mutex other;
    size_t other_sum;
    _Atomic uint32_t is_locked;
    _Atomic uint32_t n_tries;
};

static struct shared *shared;

static void reset(void)
{
    memset(shared, 0, sizeof *shared);
}

/* ---- Exclusion ---- */

static int add(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    SHAREDMEM_LOCKED(&shared->mutex)
    {
        shared->sum++;
        SHAREDMEM_LOCKED(&shared->other)
        {
            shared->other_sum++;
        }
    }
    if (i % 4 != 0)
        return sharedmem_mutex_lock(&shared->other) != 0 || ++shared->other_sum == 0 ||
               sharedmem_mutex_unlock(&shared->other) != 0;
    while (sharedmem_mutex_trylock(&shared->other) != 0)
        sched_yield();
    shared->other_sum++;
    return sharedmem_mutex_unlock(&shared->other);
}

static void test_exclusion(void)
{
    static const int nps[] = {1, 2, 8, 32};
    size_t n = test_under_valgrind() ? 300 : 10000;
    sharedmem_pool *pool = test_thread_sanitized() ? NULL : sharedmem_pool_create(32, NULL);

    for (size_t w = 0; w < N_WAYS; w++) {
        for (size_t p = 0; p < sizeof nps / sizeof *nps && way_is_possible(&ways[w]); p++) {
            sharedmem_map_options options = {
                .n = n, .work = add, .np = nps[p], .schedule = SHAREDMEM_DYNAMIC, .where = SHAREDMEM_HERE};

            reset();
            test_int(0, way_map(&ways[w], pool, &options), "%s, %d workers", ways[w].name, nps[p]);
            test_ok(shared->sum == n && shared->other_sum == 2 * n, "lose no addition");
        }
    }
    sharedmem_pool_destroy(pool);
}

static int add_often(size_t rank, void *result, void *context)
{
    for (size_t i = 0; i < 500; i++) {
        if (add(rank + i, result, context) != 0)
            return 1;
    }
    return 0;
}

static void test_ranks(void)
{
    for (int backend = SHAREDMEM_PROCESSES; backend <= SHAREDMEM_THREADS; backend++) {
        if (backend == SHAREDMEM_PROCESSES && test_thread_sanitized())
            continue;
        reset();
        test_int(0, sharedmem_parallel(8, add_often, NULL, .backend = backend), "8 ranks of backend %d",
                 backend);
        test_ok(shared->sum == 4000 && shared->other_sum == 8000, "lose no addition");
    }
}

static int leave_early(size_t i)
{
    for (int k = 0; k < 3; k++) {
        SHAREDMEM_LOCKED(&shared->mutex)
        {
            if (i % 4 == 0)
                break;
            if (i % 4 == 1)
                continue;
            if (i % 4 == 2)
                return 0;
            goto out;
        }
        SHAREDMEM_LOCKED(&shared->mutex)
        {
            shared->sum++;
        }
    }
out:
    return 0;
}

static void test_leaving(void)
{
    reset();
    for (size_t i = 0; i < 40; i++)
        leave_early(i);
    test_int(60, (long long)shared->sum, "break and continue leave the block only");
    test_int(0, sharedmem_mutex_trylock(&shared->mutex), "and all ways out of it unlock");
    test_int(0, sharedmem_mutex_unlock(&shared->mutex), "as does its unlock");
}

/* ---- Trying, and waiting for a time ---- */

static void *hold(void *seconds)
{
    struct timespec pause = {.tv_nsec = 1000000};

    (void)seconds;
    sharedmem_mutex_lock(&shared->mutex);
    atomic_store(&shared->is_locked, 1);
    while (atomic_load(&shared->is_locked) == 1)
        nanosleep(&pause, NULL);
    sharedmem_mutex_unlock(&shared->mutex);
    return NULL;
}

static void *lock_for_ever(void *unused)
{
    if (sharedmem_mutex_timedlock(&shared->mutex, INFINITY) != 0)
        return NULL;
    shared->sum++;
    sharedmem_mutex_unlock(&shared->mutex);
    return unused;
}

static void test_times(void)
{
    static const double seconds[] = {0, -1, -INFINITY, 1e-9, 0.001, 0.08};
    pthread_t holder, waiters[4];

    reset();
    pthread_create(&holder, NULL, hold, NULL);
    while (atomic_load(&shared->is_locked) == 0)
        sched_yield();
    test_ok(sharedmem_mutex_trylock(&shared->mutex) == -1 && errno == EBUSY, "another's mutex is busy");
    for (size_t s = 0; s < sizeof seconds / sizeof *seconds; s++) {
        double begun = sharedmem_wtime();
        int result = sharedmem_mutex_timedlock(&shared->mutex, seconds[s]);

        test_ok(result == -1 && errno == ETIMEDOUT && sharedmem_wtime() - begun >= seconds[s],
                "and not had in %g s", seconds[s]);
    }
    for (int i = 0; i < 4; i++)
        pthread_create(&waiters[i], NULL, lock_for_ever, shared);
    test_ok(sharedmem_mutex_timedlock(&shared->mutex, 0.01) == -1 && errno == ETIMEDOUT, "nor beside others");
    atomic_store(&shared->is_locked, 2);
    for (int i = 0; i < 4; i++)
        pthread_join(waiters[i], NULL);
    pthread_join(holder, NULL);
    test_int(4, (long long)shared->sum, "infinity is for ever");
    test_ok(sharedmem_mutex_timedlock(&shared->mutex, 0) == 0 && sharedmem_mutex_unlock(&shared->mutex) == 0,
            "a free one is had in no time");
    test_int(0, uncaught, "none of this is an uncaught error");
}

/* Short limits, so that members give up while others sleep, and wake-ups meet those who have just gone. */
static int lock_impatiently(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    while (sharedmem_mutex_timedlock(&shared->mutex, (double)(i % 7) * 1e-5) != 0) {
        if (errno != ETIMEDOUT)
            return 1;
    }
    shared->sum++;
    if (i % 16 == 0)
        sched_yield();
    return sharedmem_mutex_unlock(&shared->mutex);
}

static void test_impatience(void)
{
    size_t n = test_under_valgrind() ? 200 : 20000;

    for (int np = 2; np <= 16; np *= 2) {
        int backend = test_thread_sanitized() ? SHAREDMEM_THREADS : SHAREDMEM_PROCESSES;

        reset();
        test_int(0,
                 sharedmem_map(n, lock_impatiently, NULL, .np = np, .backend = backend,
                               .schedule = SHAREDMEM_DYNAMIC),
                 "%d members that give up and come again", np);
        test_int((long long)n, (long long)shared->sum, "lose no addition");
    }
}

/* ---- Misuse ---- */

static int lock_null(void)
{
    return sharedmem_mutex_lock(NULL);
}

static int lock_private(void)
{
    static sharedmem_mutex mine;

    return sharedmem_mutex_lock(&mine);
}

static int lock_on_stack(void)
{
    sharedmem_mutex mine = {{0}};

    SHAREDMEM_LOCKED(&mine)
    {
        shared->sum++;
    }
    return -1;
}

static sharedmem_mutex *misaligned(void)
{
    uintptr_t at = (uintptr_t)&shared->mutex + 4;

    return (sharedmem_mutex *)at;
}

static int lock_misaligned(void)
{
    return sharedmem_mutex_lock(misaligned());
}

static int try_misaligned(void)
{
    return sharedmem_mutex_trylock(misaligned());
}

static int lock_twice(void)
{
    SHAREDMEM_LOCKED(&shared->mutex)
    SHAREDMEM_LOCKED(&shared->mutex)
    {
        shared->sum++;
    }
    return -1;
}

static int twice(int (*lock)(void))
{
    int result = 0, code = 0;

    SHAREDMEM_LOCKED(&shared->mutex)
    {
        result = lock();
        code = errno;
    }
    errno = code;
    return result;
}

static int try_shared(void)
{
    return sharedmem_mutex_trylock(&shared->mutex);
}

static int lock_for_a_time(void)
{
    return sharedmem_mutex_timedlock(&shared->mutex, 1);
}

static int try_twice(void)
{
    return twice(try_shared);
}

static int time_twice(void)
{
    return twice(lock_for_a_time);
}

static int unlock_free(void)
{
    return sharedmem_mutex_unlock(&shared->mutex);
}

static int unlock_twice(void)
{
    sharedmem_mutex_lock(&shared->mutex);
    sharedmem_mutex_unlock(&shared->mutex);
    return sharedmem_mutex_unlock(&shared->mutex);
}

static int unlock_null(void)
{
    return sharedmem_mutex_unlock(NULL);
}

static void *unlock_in_thread(void *result)
{
    *(int *)result = sharedmem_mutex_unlock(&shared->mutex);
    return NULL;
}

static int unlock_anothers(void)
{
    int result = 0, code = 0;
    pthread_t thread;

    SHAREDMEM_LOCKED(&shared->mutex)
    {
        pthread_create(&thread, NULL, unlock_in_thread, &result);
        pthread_join(thread, NULL);
        code = last.code;
    }
    errno = code;
    return result;
}

static int unlock_free_in_thread(void)
{
    int result = 0;
    pthread_t thread;

    pthread_create(&thread, NULL, unlock_in_thread, &result);
    pthread_join(thread, NULL);
    errno = last.code;
    return result;
}

static int ask_nowhere(void)
{
    return sharedmem_mutex_lock_robust(&shared->mutex, NULL);
}

static int lock_for_nan(void)
{
    return sharedmem_mutex_timedlock(&shared->mutex, NAN);
}

static void test_misuse(void)
{
    static const struct {
        const char *name;
        int (*call)(void);
        int code;
        const char *message;
    } rows[] = {
        {"NULL", lock_null, EINVAL, "sharedmem_new(sharedmem_mutex, 1)"},
        {"a static one", lock_private, EINVAL, "sharedmem_new(sharedmem_mutex, 1)"},
        {"one on the stack", lock_on_stack, 0, "private memory"},
        {"misaligned", lock_misaligned, EINVAL, "multiple of 8"},
        {"misaligned, tried", try_misaligned, EINVAL, "multiple of 8"},
        {"locked twice", lock_twice, 0, "locked it already"},
        {"tried twice", try_twice, EDEADLK, "locked it already"},
        {"locked twice, for a time", time_twice, EDEADLK, "locked it already"},
        {"unlocked unlocked", unlock_free, EPERM, "has not locked it, or twice"},
        {"unlocked twice", unlock_twice, EPERM, "has not locked it, or twice"},
        {"unlocked NULL", unlock_null, EINVAL, "NULL"},
        {"unlocked by another thread", unlock_anothers, EPERM, "has not locked it"},
        {"unlocked unlocked by a thread that is no member", unlock_free_in_thread, EPERM,
         "has not locked it"},
        {"robust, without owner_died", ask_nowhere, EINVAL, "sharedmem_mutex_lock()"},
        {"for so long that is no number", lock_for_nan, EINVAL, "not a number"},
    };

    reset();
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        uncaught = 0;
        errno = 0;
        test_int(-1, rows[r].call(), "misuse: %s", rows[r].name);
        if (rows[r].code != 0)
            test_int(rows[r].code, errno, "its errno");
        test_ok(uncaught == 1 && last.kind == SHAREDMEM_ERROR_USAGE, "it is an uncaught usage error");
        test_has(rows[r].message, last.message, "its message");
        test_has("api-mutex.c:", last.where, "its place");
        test_ok(sharedmem_mutex_trylock(&shared->mutex) == 0 && sharedmem_mutex_unlock(&shared->mutex) == 0,
                "the mutex is free");
    }
    test_int(0, (long long)shared->sum, "and the block is not run");
}

static int lock_masters(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return sharedmem_mutex_lock(&shared->mutex);
}

static void test_held_by_caller(void)
{
    for (size_t w = 0; w < N_WAYS; w++) {
        sharedmem_error error;
        sharedmem_map_options options = {.n = 4, .work = lock_masters, .np = 2, .error = &error};

        if (!way_is_possible(&ways[w]) || ways[w].has_pool)
            continue;
        reset();
        sharedmem_set_uncaught(sharedmem_uncaught);
        SHAREDMEM_LOCKED(&shared->mutex)
        {
            test_int(-1, way_map(&ways[w], NULL, &options), "%s: the caller has it", ways[w].name);
        }
        test_ok(error.kind == SHAREDMEM_ERROR_USAGE && error.code == EDEADLK, "is told, and no hang: %s",
                error.message);
        sharedmem_set_uncaught(note_uncaught);
    }
}

/* ---- Owners that died ---- */

static void die_holding(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        sharedmem_mutex_lock(&shared->mutex);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
}

static void *end_holding(void *unused)
{
    sharedmem_mutex_lock(&shared->mutex);
    return unused;
}

static void end_thread_holding(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, end_holding, NULL);
    pthread_join(thread, NULL);
}

static int lock_until_told(void)
{
    int result;

    /* The death has not been seen yet. */
    while ((result = sharedmem_mutex_trylock(&shared->mutex)) != 0 && errno == EBUSY)
        sched_yield();
    return result;
}

static int lock_shared(void)
{
    return sharedmem_mutex_lock(&shared->mutex);
}

static int lock_block(void)
{
    SHAREDMEM_LOCKED(&shared->mutex)
    {
        return 0;
    }
    return -1;
}

static void test_robust(const char *name)
{
    bool owner_died = false;

    test_int(0, sharedmem_mutex_lock_robust(&shared->mutex, &owner_died), "%s: who asks gets it", name);
    test_ok(owner_died, "and is told");
    test_int(0, sharedmem_mutex_unlock(&shared->mutex), "its unlock says that all is well");
    test_int(0, sharedmem_mutex_lock_robust(&shared->mutex, &owner_died), "the next one gets it");
    test_ok(!owner_died, "and is told of nothing");
    sharedmem_mutex_unlock(&shared->mutex);
    test_ok(lock_shared() == 0 && sharedmem_mutex_unlock(&shared->mutex) == 0,
            "as does one that does not ask");
}

static void test_deaths(void (*die)(void), const char *whose)
{
    static int (*const locks[])(void) = {lock_shared, lock_for_a_time, lock_until_told, lock_block};

    for (size_t k = 0; k < sizeof locks / sizeof *locks; k++) {
        reset();
        die();
        for (int time = 0; time < 2; time++) {
            uncaught = 0;
            test_int(-1, locks[k](), "%s: who does not ask, in way %zu, does not get it", whose, k);
            test_int(EOWNERDEAD, errno, "errno tells");
            test_ok(uncaught == 1 && last.code == EOWNERDEAD, "as does an uncaught error: %s", last.message);
        }
        test_robust(whose);
    }
    reset();
    die();
    memset(&shared->mutex, 0, sizeof shared->mutex);
    test_ok(lock_shared() == 0 && sharedmem_mutex_unlock(&shared->mutex) == 0, "zeroed it is new");
}

static void repair_and_die(void)
{
    pid_t pid;
    bool owner_died;

    die_holding();
    pid = fork();
    if (pid == 0) {
        sharedmem_mutex_lock_robust(&shared->mutex, &owner_died);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
}

static void test_copy(void)
{
    int status = 0;
    pid_t pid;

    reset();
    uncaught = 0;
    SHAREDMEM_LOCKED(&shared->mutex)
    {
        pid = fork();
        if (pid == 0)
            test_child_exit(sharedmem_mutex_unlock(&shared->mutex));
        waitpid(pid, &status, 0);
        shared->sum++;
    }
    test_int(0, status, "a copy that was forked with it locked unlocks nothing");
    SHAREDMEM_LOCKED(&shared->mutex)
    {
        pid = fork();
        if (pid == 0) {
            sharedmem_free(sharedmem_malloc(64));
            test_child_exit(sharedmem_mutex_unlock(&shared->mutex));
        }
        waitpid(pid, &status, 0);
        shared->sum++;
    }
    test_int(0, status, "nor does one that is a member itself by now");
    test_int(0, uncaught, "which is no misuse");
    test_ok(lock_shared() == 0 && sharedmem_mutex_unlock(&shared->mutex) == 0, "it is its owner's");
}

/* ---- Deaths and failures in calls ---- */

enum end { KILLED, EXITED, UNCAUGHT, RETURNED, N_ENDS };

static int end_by(enum end end)
{
    switch (end) {
    case KILLED:
        kill(getpid(), SIGKILL);
        return 0;
    case EXITED:
        _exit(4);
    case UNCAUGHT:
        SHAREDMEM_CRITICAL_NAMED("a name that goes on and on and on and on for much too long")
        {
        }
        return 0;
    default:
        return 8;
    }
}

/* Item 20 ends with the mutex locked, while others come for it. */
static int end_with_it(size_t i, void *result, void *context)
{
    (void)result;
    sharedmem_mutex_lock(&shared->mutex);
    shared->sum++;
    if (i == 20 && shared->n_tries++ == 0)
        return end_by(*(enum end *)context);
    sharedmem_mutex_unlock(&shared->mutex);
    return 0;
}

static bool is_the_cause(const sharedmem_error *error, enum end end)
{
    static const int kinds[] = {SHAREDMEM_ERROR_SIGNAL, SHAREDMEM_ERROR_EXITED, SHAREDMEM_ERROR_USAGE,
                                SHAREDMEM_ERROR_RETURNED};

    return error->kind == kinds[end] && error->item == 20;
}

static bool tells_once(void)
{
    bool owner_died = false;

    if (sharedmem_mutex_lock_robust(&shared->mutex, &owner_died) != 0 || !owner_died)
        return false;
    sharedmem_mutex_unlock(&shared->mutex);
    return sharedmem_mutex_lock(&shared->mutex) == 0 && sharedmem_mutex_unlock(&shared->mutex) == 0;
}

/* What others find of it must not be taken for the cause. */
static void test_ends(const struct way *way, enum end end)
{
    int rounds = test_under_valgrind() ? 4 : test_thread_sanitized() ? 10 : 60;
    int right = 0, told = 0;

    for (int round = 0; round < rounds; round++) {
        sharedmem_error error;
        sharedmem_map_options options = {.n = 60,
                                         .work = end_with_it,
                                         .context = &end,
                                         .np = 2 + round % 7,
                                         .schedule = SHAREDMEM_DYNAMIC,
                                         .error = &error};

        reset();
        sharedmem_set_uncaught(sharedmem_uncaught);
        right += way_map(way, NULL, &options) == -1 && is_the_cause(&error, end);
        if (right <= round)
            test_note("round %d: %s", round, error.message);
        sharedmem_set_uncaught(note_uncaught);
        told += tells_once();
    }
    test_int(rounds, right, "%s, end %d with it locked: the call fails with that", way->name, (int)end);
    test_int(rounds, told, "and the next owner is told");
}

static void test_ends_in_maps(void)
{
    for (size_t w = 0; w < N_WAYS; w++) {
        for (enum end end = KILLED; end < N_ENDS; end++) {
            bool is_caller = !way_forks(&ways[w]) && (end <= EXITED || way_is_parallel(&ways[w]) == false);

            if (way_is_possible(&ways[w]) && !ways[w].has_pool && (!is_caller || end == UNCAUGHT))
                test_ends(&ways[w], end);
        }
    }
}

/* With retries the map goes on, and so the death is for who comes next. */
static int mend(size_t i, void *result, void *context)
{
    bool owner_died;

    (void)result;
    (void)context;
    if (sharedmem_mutex_lock_robust(&shared->mutex, &owner_died) != 0)
        return 1;
    if (owner_died)
        shared->sum = shared->other_sum;
    shared->sum++;
    if (i % 16 == 5 && shared->n_tries++ < 4)
        kill(getpid(), SIGKILL);
    shared->other_sum++;
    return sharedmem_mutex_unlock(&shared->mutex);
}

static void test_retries(void)
{
    enum end end = KILLED;
    sharedmem_error error;
    int result;

    reset();
    test_int(0, sharedmem_map(200, mend, NULL, .np = 4, .retries = 8),
             "retries, with a mutex that is mended");
    test_ok(shared->n_tries > 4 && shared->sum == 200 && shared->other_sum == 200,
            "no half addition is left");
    reset();
    sharedmem_set_uncaught(sharedmem_uncaught);
    result = sharedmem_map(60, end_with_it, &end, .np = 4, .retries = 2, .error = &error);
    sharedmem_set_uncaught(note_uncaught);
    test_ok(result == -1 && error.code == EOWNERDEAD, "where nobody asks the map fails: %s", error.message);
}

int main(void)
{
    test_begin(240);
    sharedmem_set_uncaught(note_uncaught);
    shared = shared_block("64M", sizeof *shared);
    test_int(8, sizeof(sharedmem_mutex), "a mutex is 8 bytes, for ever");
    test_leaving();
    test_exclusion();
    test_ranks();
    test_times();
    test_impatience();
    test_misuse();
    test_held_by_caller();
    test_deaths(end_thread_holding, "a thread that ended");
    if (!test_thread_sanitized()) {
        test_deaths(die_holding, "a process that was killed");
        test_deaths(repair_and_die, "one that died mending");
        test_copy();
        test_retries();
    }
    test_ends_in_maps();
    return test_end();
}
