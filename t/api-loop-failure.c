/*
 * Loops over the ranks of parallel calls, of which one dies or goes away, and a loop where none may be.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sharedmem.h>

#include "shared_block.h"
#include "tap.h"

struct shared {
    _Atomic int n_entered;
    _Atomic int n_done;
    _Atomic int told; /* errno, in rank 0 */
    _Atomic int wrong;
    uint64_t n_turns; /* not atomic: turns are what orders it */
};

static struct shared *shared;

static void reset(void)
{
    memset((void *)shared, 0, sizeof *shared);
}

enum end { KILLED, EXITS, FAILS, LEAVES, DIFFERS, N_ENDS };

static const struct {
    const char *name;
    int kind, code;
    const char *message;
} ends[] = {
    {"is killed", SHAREDMEM_ERROR_SIGNAL, SIGKILL, "SIGKILL"},
    {"exits", SHAREDMEM_ERROR_EXITED, 9, "exit(9)"},
    {"fails", SHAREDMEM_ERROR_RETURNED, 6, "rank 1 had enough"},
    {"leaves too early", SHAREDMEM_ERROR_DEADLOCK, EDEADLK,
     "waits for it to leave an earlier loop, in the loop at"},
    {"makes another loop", SHAREDMEM_ERROR_USAGE, EINVAL, "same n, .schedule and .chunk"},
};

struct plan {
    enum end end;
    size_t loop; /* in which rank 1 ends */
    bool is_ordered;
    bool is_in_item;
};

static int end_now(const struct plan *plan)
{
    if (plan->end == KILLED)
        kill(getpid(), SIGKILL);
    if (plan->end == EXITS)
        _exit(9);
    if (plan->end == FAILS)
        return sharedmem_fail(6, "rank 1 had enough");
    if (plan->end == LEAVES)
        return 0;
    /* Rank 0 first: its error would be one of the program. */
    while (shared->n_entered == 0)
        usleep(100);
    SHAREDMEM_FOR(i, 7, .schedule = SHAREDMEM_STATIC, .chunk = 1)
    {
        shared->n_done++;
    }
    return 0;
}

static int end_in_loops(size_t rank, void *result, void *context)
{
    const struct plan *plan = context;

    (void)result;
    for (size_t k = 0; k < 100; k++) {
        bool is_last = rank == 1 && k == plan->loop;

        if (is_last && !plan->is_in_item)
            return end_now(plan);
        SHAREDMEM_FOR(i, 30, .schedule = SHAREDMEM_STATIC, .chunk = 1)
        {
            if (is_last && i > 10)
                return end_now(plan);
            if (rank == 0 && k == plan->loop)
                shared->n_entered = 1;
            if (plan->is_ordered) {
                SHAREDMEM_ORDERED
                {
                    shared->n_turns++;
                }
            }
        }
    }
    return sharedmem_barrier();
}

/*
 * Rank 1 ends in some loop, while the others wait for room behind it, for its turn, or at last in a barrier.
 */
static void test_one_end(int np, struct plan plan)
{
    sharedmem_error error;
    int result;
    bool right;

    reset();
    result = sharedmem_parallel(np, end_in_loops, &plan, .error = &error);
    right = result == -1 && errno == ECANCELED && error.kind == ends[plan.end].kind &&
            error.code == ends[plan.end].code && strstr(error.message, ends[plan.end].message) != NULL &&
            (plan.end == DIFFERS || error.rank == 1) && test_children() == 0;

    test_ok(right, "%d ranks, %s in loop %zu%s%s: %s", np, ends[plan.end].name, plan.loop,
            plan.is_in_item ? ", within an item" : "", plan.is_ordered ? ", with turns" : "", error.message);
}

static void test_ends(unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++) {
        for (enum end end = KILLED; end < N_ENDS; end++) {
            for (int k = 0; k < 4; k++) {
                /*
                 * Who leaves or differs within an item has left or begun a loop in a way that nobody can
                 * tell.
                 */
                bool is_in_item = k % 2 == 0 && end < LEAVES;

                test_one_end(2 + (int)(round + (unsigned)k) % 4,
                             (struct plan){end, round * 7 % 60, k > 1, is_in_item});
            }
        }
    }
}

/* Rank 0 is told by the end of its loop, and by errno. */
static int be_told(size_t rank, void *result, void *context)
{
    sharedmem_loop loop;
    size_t i;

    (void)result;
    (void)context;
    if (rank == 1)
        return 5;
    errno = 0;
    while (sharedmem_loop_begin(&loop, 10) == 0 && errno == 0)
        while (sharedmem_loop_next(&loop, &i))
            usleep(100);
    shared->told = errno;
    return 0;
}

static void test_told(void)
{
    sharedmem_error error;

    reset();
    test_ok(sharedmem_parallel(2, be_told, NULL, .error = &error) == -1 && error.rank == 1 && error.code == 5,
            "a rank that fails while rank 0 loops");
    test_int(ECANCELED, shared->told, "rank 0's loop ends, with ECANCELED");
}

static int loop_in_item(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    SHAREDMEM_FOR(k, 10)
    {
        (void)k;
        shared->wrong++;
    }
    return 0;
}

static void test_in_map(void)
{
    sharedmem_error error;

    reset();
    test_ok(sharedmem_map(4, loop_in_item, NULL, .np = 2, .error = &error) == -1 &&
                error.kind == SHAREDMEM_ERROR_USAGE && error.code == EPERM,
            "a loop in a map is refused");
    test_has("sharedmem_parallel()", error.message, "which names what it is for");
    test_has("api-loop-failure.c:", error.where, "and its place");
    test_int(0, shared->wrong, "it has no items");
}

int main(void)
{
    const char *text = getenv("TEST_ROUNDS");
    unsigned rounds = text != NULL ? (unsigned)atoi(text) : 1;

    test_begin(120 + 5 * rounds);
    shared = shared_block("64M", sizeof *shared);
    test_ends(2 * rounds);
    test_told();
    test_in_map();
    return test_end();
}
