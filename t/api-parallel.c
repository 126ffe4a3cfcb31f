/* sharedmem_parallel() and its barrier: ranks meet, fail, die, leave; the caller is rank 0. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sharedmem.h>

#include "tap.h"

#define MAX_RANKS 64

struct shared {
    size_t steps[MAX_RANKS];
    _Atomic int bad;
    _Atomic int n_at_barrier;
};

static struct shared *shared;
static pid_t master;

static int note_rank(size_t rank, void *result, void *context)
{
    shared->steps[rank] =
        rank == (size_t)sharedmem_rank() && sharedmem_size() == *(int *)context && result == NULL
            ? 1 + (getpid() == master)
            : 0;
    return 0;
}

static void test_ranks(void)
{
    bool good = true;
    int np = 5;

    test_int(0, sharedmem_parallel(np, note_rank, &np), "a parallel call");
    for (int rank = 1; rank < np; rank++)
        good &= shared->steps[rank] == 1;
    test_ok(good && shared->steps[0] == 2, "has ranks, of which 0 is the caller");
    test_ok(sharedmem_rank() == 0 && sharedmem_size() == 1, "who is alone again afterwards");
}

/* After each barrier all must have made the same number of steps. */
static int march(size_t rank, void *result, void *context)
{
    size_t n = *(size_t *)context;
    int size = sharedmem_size();

    (void)result;
    for (size_t step = 1; step <= n; step++) {
        shared->steps[rank] = step;
        if (sharedmem_barrier() != 0)
            return 1;
        for (int other = 0; other < size; other++)
            shared->bad += shared->steps[other] < step || shared->steps[other] > step + 1;
        if (sharedmem_barrier() != 0)
            return 1;
    }
    return 0;
}

static void test_barrier(void)
{
    static const int nps[] = {1, 2, 3, 4, 5, 8, 32};

    for (size_t p = 0; p < sizeof nps / sizeof *nps; p++) {
        size_t n = test_under_valgrind() ? 20 : nps[p] > 8 ? 200 : 2000;

        memset(shared, 0, sizeof *shared);
        test_int(0, sharedmem_parallel(nps[p], march, &n), "%d ranks", nps[p]);
        test_int(0, shared->bad, "meet in %zu barriers", 2 * n);
    }
}

/* LEAVE_SUMS: as LEAVE, and the ranks meet in a collective. */
enum way { RETURN, EXIT, KILL, LEAVE, LEAVE_SUMS };

struct plan {
    enum way way;
    size_t bad_rank;
};

static int meet(const struct plan *plan)
{
    if (plan->way != LEAVE_SUMS)
        return sharedmem_barrier();
    errno = 0;
    sharedmem_all_int64(1, SHAREDMEM_SUM);
    return errno;
}

static int fail_among_barriers(size_t rank, void *result, void *context)
{
    const struct plan *plan = context;

    (void)result;
    for (int step = 0; step < 10; step++) {
        if (step == 5 && rank == plan->bad_rank) {
            if (plan->way == RETURN)
                return sharedmem_fail(6, "rank %zu had enough", rank);
            if (plan->way == EXIT)
                _exit(9);
            if (plan->way == KILL)
                kill(getpid(), SIGKILL);
            return 0;
        }
        /* As programs do; that is no cause, and what was is told. */
        if (meet(plan) != 0)
            return 2;
    }
    return 0;
}

static void test_failure(int np)
{
    static const struct {
        struct plan plan;
        int kind, code;
        const char *message;
    } rows[] = {
        {{RETURN, 1}, SHAREDMEM_ERROR_RETURNED, 6, "rank 1 had enough"},
        {{RETURN, 0}, SHAREDMEM_ERROR_RETURNED, 6, "rank 0 had enough"},
        {{EXIT, 1}, SHAREDMEM_ERROR_EXITED, 9, "exit(9)"},
        {{KILL, 1}, SHAREDMEM_ERROR_SIGNAL, SIGKILL, "SIGKILL"},
        {{LEAVE, 1}, SHAREDMEM_ERROR_DEADLOCK, EDEADLK, "rank 1 is gone while rank"},
        {{LEAVE, 0}, SHAREDMEM_ERROR_DEADLOCK, EDEADLK, "rank 0 is gone while rank"},
        {{LEAVE, 1}, SHAREDMEM_ERROR_DEADLOCK, EDEADLK, " in the barrier or collective at "},
        {{LEAVE_SUMS, 1}, SHAREDMEM_ERROR_DEADLOCK, EDEADLK, "rank 1 is gone while rank"},
        {{LEAVE_SUMS, 1}, SHAREDMEM_ERROR_DEADLOCK, EDEADLK, " in the barrier or collective at "},
    };

    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        struct plan plan = rows[r].plan;
        sharedmem_error error;
        int result = sharedmem_parallel(np, fail_among_barriers, &plan, .error = &error);

        test_ok(result == -1 && errno == ECANCELED, "%d ranks, of which one fails: %s", np, error.message);
        test_int(rows[r].kind, error.kind, "its kind");
        test_int(rows[r].code, error.code, "its code");
        test_int((long long)plan.bad_rank, error.rank, "its rank");
        test_has(rows[r].message, error.message, "its message");
        test_has("api-parallel.c:", error.where, "its place");
        test_int(0, test_children(), "no process is left");
    }
}

static int fork_in_body(size_t rank, void *result, void *context)
{
    (void)result;
    (void)context;
    if (fork() == 0) {
        sharedmem_barrier();
        return 1;
    }
    usleep(rank == 1 ? 100000 : 0);
    shared->steps[rank] = 1;
    if (sharedmem_barrier() != 0)
        return 1;
    return shared->steps[1] == 1 ? 0 : 1;
}

/* Copies of ranks, of the caller too, are no ranks: their barriers do not count, and they end when they return. */
static void test_copies(void)
{
    memset(shared, 0, sizeof *shared);
    test_int(0, sharedmem_parallel(3, fork_in_body, NULL), "ranks that fork");
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

static void test_bad_input(void)
{
    static const struct {
        int64_t np;
        sharedmem_function *body;
        const char *message;
    } rows[] = {{-1, march, "np is -1"}, {16383, march, "1 to 16382"}, {2, NULL, "body is NULL"}};
    sharedmem_error error;

    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        test_ok(sharedmem_parallel(rows[r].np, rows[r].body, NULL, .error = &error) == -1 && errno == EINVAL,
                "bad");
        test_has(rows[r].message, error.message, "its message");
    }
    test_ok(sharedmem_parallel_with(NULL, 0) == -1 && errno == EINVAL, "no options at all");
}

static void ignore(const sharedmem_error *error)
{
    (void)error;
}

static void test_debug(void)
{
    size_t n = 3;
    bool was = sharedmem_set_debug(true);
    int np = 1;

    memset(shared, 0, sizeof *shared);
    test_int(0, sharedmem_parallel(4, note_rank, &np), "debug mode: one rank");
    test_int(2, (long long)shared->steps[0], "which is the caller");
    test_int(0, sharedmem_parallel(4, march, &n), "barriers are passed");
    test_ok(!was && sharedmem_set_debug(false), "and can be switched off");
}

int main(void)
{
    test_begin(180);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    master = getpid();
    shared = sharedmem_calloc(1, sizeof *shared);
    if (shared == NULL)
        test_skip_all("no shared memory here");
    sharedmem_set_uncaught(ignore);
    test_ranks();
    test_barrier();
    test_failure(3);
    test_failure(8);
    test_copies();
    test_bad_input();
    test_debug();
    return test_end();
}
