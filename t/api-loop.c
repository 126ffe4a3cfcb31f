/*
 * Loops over the ranks of parallel calls: every schedule, leaving early, turns, and inside each other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sharedmem.h>

#include "shared_block.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MAX_ITEMS       1000
#define N_CASES         60 /* of schedule, n and chunk */
#define N_LOOPS         1000
#define LOOP_ITEMS      20

static const int32_t schedules[] = {SHAREDMEM_GUIDED, SHAREDMEM_DYNAMIC, SHAREDMEM_STATIC};
static const size_t ns[] = {0, 1, 2, 7, MAX_ITEMS};
static const size_t chunks[] = {0, 1, 3, 1000000};
static const int nps[] = {1, 2, 3, 8};

struct shared {
    _Atomic int done[N_CASES][MAX_ITEMS];
    _Atomic int by[N_CASES][MAX_ITEMS];
    _Atomic int looped[N_LOOPS][LOOP_ITEMS];
    _Atomic int wrong;
    _Atomic int n_entered;
    uint64_t last; /* not atomic: turns are what orders it */
    uint64_t n_turns;
};

static struct shared *shared;

static void reset(void)
{
    memset((void *)shared, 0, sizeof *shared);
}

/* ---- Each item once ---- */

static int do_cases(size_t rank, void *result, void *context)
{
    (void)result;
    (void)context;
    for (size_t k = 0; k < N_CASES; k++) {
        size_t n = ns[k / 3 % COUNT_OF(ns)];

        SHAREDMEM_FOR(i, n, .schedule = schedules[k % 3], .chunk = chunks[k / 3 / COUNT_OF(ns)])
        {
            if (i >= n)
                return 1;
            shared->done[k][i]++;
            shared->by[k][i] = (int)rank;
        }
    }
    return 0;
}

static int count_wrong_cases(void)
{
    int wrong = 0;

    for (size_t k = 0; k < N_CASES; k++) {
        for (size_t i = 0; i < MAX_ITEMS; i++)
            wrong += shared->done[k][i] != (i < ns[k / 3 % COUNT_OF(ns)]);
    }
    return wrong;
}

/* The order of the calls is that of the table. */
static void test_cases(void)
{
    static int before[N_CASES][MAX_ITEMS];

    for (size_t p = 0; p < COUNT_OF(nps); p++) {
        int others = 0;

        for (int round = 0; round < 2; round++) {
            memcpy(before, (void *)shared->by, sizeof before);
            reset();
            test_int(0, sharedmem_parallel(nps[p], do_cases, NULL),
                     "%d ranks: all schedules, sizes and chunks", nps[p]);
            test_int(0, count_wrong_cases(), "%d ranks: each item once", nps[p]);
        }
        for (size_t k = 2; k < N_CASES; k += 3) {
            for (size_t i = 0; i < MAX_ITEMS; i++)
                others += before[k][i] != shared->by[k][i];
        }
        test_int(0, others, "%d ranks: static gives the same items twice", nps[p]);
    }
}

/* ---- One behind the other, with turns ---- */

static void dawdle(unsigned *seed)
{
    int what = rand_r(seed) % 1000;

    if (what == 0)
        usleep(500);
    else
        for (volatile int i = 0; i < what; i++)
            ;
}

static void take_turn(size_t loop, size_t i)
{
    SHAREDMEM_ORDERED
    {
        uint64_t turn = (uint64_t)(loop + 1) << 32 | i;

        shared->wrong += turn <= shared->last;
        shared->last = turn;
        shared->n_turns++;
    }
}

static int do_many(size_t rank, void *result, void *context)
{
    unsigned seed = (unsigned)rank + *(unsigned *)context, common = *(unsigned *)context;

    (void)result;
    for (size_t k = 0; k < N_LOOPS; k++) {
        int what = rand_r(&common) % 9;

        if (what == 8)
            take_turn(k, rank);
        dawdle(&seed);
        SHAREDMEM_FOR(i, LOOP_ITEMS, .schedule = what % 3, .chunk = k % 4)
        {
            dawdle(&seed);
            shared->looped[k][i]++;
            /* Some skip their turn, and in some loops all. */
            if (what % 2 == 0 && i % 3 != k % 3)
                take_turn(k, i + 100);
        }
    }
    return 0;
}

static void test_many(unsigned seed)
{
    for (size_t p = 0; p < COUNT_OF(nps); p++) {
        int wrong = 0;

        reset();
        test_int(0, sharedmem_parallel(nps[p], do_many, &seed), "%d ranks: many loops, from seed %u", nps[p],
                 seed);
        for (size_t k = 0; k < N_LOOPS * LOOP_ITEMS; k++)
            wrong += shared->looped[k / LOOP_ITEMS][k % LOOP_ITEMS] != 1;
        test_int(0, wrong, "%d ranks: each item of %d loops once", nps[p], N_LOOPS);
        test_ok(shared->wrong == 0 && shared->n_turns > N_LOOPS, "%d ranks: %llu turns in order", nps[p],
                (unsigned long long)shared->n_turns);
    }
}

/* ---- Leaving ---- */

enum way { BREAK, RETURN, GOTO, CONTINUE, END, N_WAYS };

static const char *const ways[] = {"break", "return", "goto", "continue", "sharedmem_loop_end()"};

/* Leaves at its third item. */
static void leave_block(enum way way, size_t loop)
{
    int n = 0;

    SHAREDMEM_FOR(i, MAX_ITEMS, .schedule = SHAREDMEM_DYNAMIC)
    {
        shared->done[loop][i]++;
        if (++n != 3)
            continue;
        if (way == BREAK)
            break;
        if (way == RETURN)
            return;
        if (way == GOTO)
            goto out;
        continue;
    }
    shared->wrong += way == RETURN;
out:
    shared->n_entered++;
}

static void leave_calls(size_t number)
{
    sharedmem_loop loop;
    size_t i;

    sharedmem_loop_begin(&loop, MAX_ITEMS, .schedule = SHAREDMEM_DYNAMIC);
    for (int n = 0; n < 3 && sharedmem_loop_next(&loop, &i); n++)
        shared->done[number][i]++;
    sharedmem_loop_end(&loop);
    sharedmem_loop_end(&loop);
}

/* Rank 1 leaves all loops early; the others do the rest, and nobody is held up. */
static int leave_loops(size_t rank, void *result, void *context)
{
    enum way way = *(enum way *)context;

    (void)result;
    for (size_t k = 0; k < 40; k++) {
        if (rank == 1 && way == END)
            leave_calls(k);
        else if (rank == 1)
            leave_block(way, k);
        else
            SHAREDMEM_FOR(i, MAX_ITEMS, .schedule = SHAREDMEM_DYNAMIC)
            {
                shared->done[k][i]++;
                SHAREDMEM_ORDERED
                {
                    shared->n_turns++;
                }
            }
    }
    return sharedmem_barrier();
}

static void test_leaving(void)
{
    for (enum way way = BREAK; way < N_WAYS; way++) {
        int wrong = 0;

        reset();
        test_int(0, sharedmem_parallel(3, leave_loops, &way), "a rank that leaves its loops by %s",
                 ways[way]);
        for (size_t k = 0; k < 40 * MAX_ITEMS; k++)
            wrong += shared->done[k / MAX_ITEMS][k % MAX_ITEMS] != 1;
        test_int(0, wrong, "%s: each item once", ways[way]);
    }
}

/* ---- Twice, and inside each other ---- */

static void count_errors(const sharedmem_error *error)
{
    shared->n_entered += error->kind == SHAREDMEM_ERROR_USAGE && error->code == EPERM;
}

static int enter_twice(size_t rank, void *result, void *context)
{
    (void)rank;
    (void)result;
    (void)context;
    sharedmem_set_uncaught(count_errors);
    SHAREDMEM_FOR(i, 50, .schedule = SHAREDMEM_DYNAMIC)
    {
        SHAREDMEM_ORDERED
        {
            shared->n_turns++;
        }
        SHAREDMEM_ORDERED
        {
            shared->wrong++;
        }
        SHAREDMEM_FOR(k, 3)
        {
            shared->wrong++;
            (void)k;
        }
    }
    return 0;
}

static void test_twice(void)
{
    sharedmem_uncaught_handler *before = sharedmem_set_uncaught(NULL);

    reset();
    test_int(0, sharedmem_parallel(4, enter_twice, NULL), "two turns in an item, and a loop in a loop");
    test_int(50, (long long)shared->n_turns, "the first turn is had");
    test_int(100, shared->n_entered, "the rest is refused, each time");
    test_int(0, shared->wrong, "and skipped");
    sharedmem_set_uncaught(before);
}

static int add_item(size_t i, void *result, void *context)
{
    (void)result;
    shared->done[*(size_t *)context][i]++;
    return 0;
}

static int loop_inside(size_t rank, void *result, void *context)
{
    (void)rank;
    (void)result;
    SHAREDMEM_FOR(i, 10)
    {
        SHAREDMEM_ORDERED
        {
            shared->done[*(size_t *)context][i]++;
        }
    }
    return 0;
}

/* Calls with teams of their own, from within an item. */
static int call_inside(size_t rank, void *result, void *context)
{
    int status = 0;

    (void)rank;
    (void)result;
    (void)context;
    SHAREDMEM_FOR(k, 12, .schedule = SHAREDMEM_DYNAMIC)
    {
        if (k % 2 == 0)
            status |= sharedmem_map(10, add_item, &k, .np = 2);
        else
            status |= sharedmem_parallel(2, loop_inside, &k);
        SHAREDMEM_ORDERED
        {
            shared->wrong += shared->n_turns++ != k;
        }
    }
    return status;
}

static void test_inside(void)
{
    int wrong = 0;

    reset();
    test_int(0, sharedmem_parallel(3, call_inside, NULL), "maps and parallel calls within a loop");
    for (size_t k = 0; k < 120; k++)
        wrong += shared->done[k / 10][k % 10] != 1;
    test_int(0, wrong + shared->wrong, "have items and turns of their own");
}

/* A copy that the program forks has the rest of the chunk in hand, and no more. */
static int fork_inside(size_t rank, void *result, void *context)
{
    pid_t child = -1;

    (void)rank;
    (void)result;
    (void)context;
    SHAREDMEM_FOR(i, 100, .schedule = SHAREDMEM_DYNAMIC, .chunk = 5)
    {
        if (i == 50)
            child = fork();
        if (child != 0)
            shared->done[0][i]++;
        else
            shared->done[1][i]++;
    }
    if (child == 0)
        _exit(0);
    if (child > 0)
        waitpid(child, NULL, 0);
    return sharedmem_barrier();
}

static void test_fork(void)
{
    int wrong = 0;

    reset();
    test_int(0, sharedmem_parallel(3, fork_inside, NULL), "a rank that forks within a loop");
    for (size_t i = 0; i < 100; i++)
        wrong += shared->done[0][i] != 1 || shared->done[1][i] != (i >= 50 && i < 55);
    test_int(0, wrong, "its copy takes no item of the others");
}

/* ---- Alone ---- */

static void test_alone(void)
{
    bool was = sharedmem_set_debug(true);
    sharedmem_loop loop;
    size_t begin, end, next = 0;

    reset();
    test_int(0, sharedmem_parallel(4, do_cases, NULL), "debug mode");
    test_int(0, count_wrong_cases(), "the one rank does all items, once");
    sharedmem_set_debug(was);
    reset();
    test_int(0, do_cases(0, NULL, NULL), "without any call");
    test_int(0, count_wrong_cases(), "the caller does all items, once");
    sharedmem_loop_begin(&loop, 10, .schedule = SHAREDMEM_DYNAMIC, .chunk = 4);
    while (sharedmem_loop_next_chunk(&loop, &begin, &end)) {
        shared->wrong += begin != next || end != (begin + 4 < 10 ? begin + 4 : 10);
        next = end;
    }
    test_ok(shared->wrong == 0 && next == 10, "in chunks as large as they should be");
    SHAREDMEM_FOR(i, 5)
    {
        SHAREDMEM_ORDERED
        {
            shared->wrong += shared->n_turns++ != i;
        }
    }
    test_ok(shared->wrong == 0 && shared->n_turns == 5, "with turns");
}

/* ---- Reductions ---- */

struct best {
    double value;
    int64_t item;
};

static void better(void *into, const void *from, void *context)
{
    const struct best *other = from;
    struct best *best = into;

    (void)context;
    if (other->value > best->value || (other->value == best->value && other->item < best->item))
        *best = *other;
}

static int find_best(size_t rank, void *result, void *context)
{
    struct best best = {-1, -1};

    (void)rank;
    (void)result;
    (void)context;
    SHAREDMEM_FOR(i, MAX_ITEMS, .schedule = SHAREDMEM_DYNAMIC)
    {
        struct best mine = {(double)(i * 7919 % MAX_ITEMS), (int64_t)i};

        better(&best, &mine, NULL);
    }
    if (sharedmem_all(&best, sizeof best, better, NULL) != 0)
        return 1;
    shared->n_entered += best.value == MAX_ITEMS - 1 && best.item * 7919 % MAX_ITEMS == MAX_ITEMS - 1;
    return 0;
}

static void test_reduction(void)
{
    for (size_t p = 0; p < COUNT_OF(nps); p++) {
        reset();
        test_int(0, sharedmem_parallel(nps[p], find_best, NULL), "%d ranks: a loop, and a reduction", nps[p]);
        test_int(nps[p], shared->n_entered, "%d ranks: all know the best item", nps[p]);
    }
}

int main(void)
{
    const char *text = getenv("TEST_ROUNDS");
    unsigned rounds = text != NULL ? (unsigned)atoi(text) : 1;

    test_begin(180 + 10 * rounds);
    shared = shared_block("64M", sizeof *shared);
    test_cases();
    for (unsigned seed = 0; seed < rounds; seed++)
        test_many(seed);
    test_leaving();
    test_twice();
    test_inside();
    test_fork();
    test_alone();
    test_reduction();
    return test_end();
}
