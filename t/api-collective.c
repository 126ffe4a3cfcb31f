/* Collectives, parts and the clock, forked ranks: the same bits in all, and what fails where a rank fails. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sharedmem.h>

#include "shared_block.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MAX_RANKS       32
#define N_ROWS          12
#define N_CALLS         6

static const int nps[] = {1, 2, 3, 4, 5, 8, 17, MAX_RANKS};
static const int32_t ops[] = {SHAREDMEM_SUM, SHAREDMEM_PROD, SHAREDMEM_MIN, SHAREDMEM_MAX};

struct shared {
    double got[MAX_RANKS][N_ROWS][COUNT_OF(ops)];
    double *block[MAX_RANKS];
    char wrong[100]; /* what was found first */
    int code;        /* rank 0's errno, where a call failed */
};

static struct shared *shared;

static void check(bool held, const char *what)
{
    if (!held)
        note_wrong(shared->wrong, what);
}

static void run(int np, sharedmem_function *body, void *context, const char *name)
{
    memset(shared, 0, sizeof *shared);
    test_int(0, sharedmem_parallel(np, body, context), "%d ranks: %s", np, name);
    test_str("", shared->wrong, "%d ranks: %s, right", np, name);
}

static bool same_bits(const void *left, const void *right)
{
    return memcmp(left, right, 8) == 0;
}

static unsigned below(unsigned *seed, unsigned n)
{
    return (unsigned)rand_r(seed) % n;
}

/* ---- Values ---- */

static double double_of_rank(size_t row, int rank)
{
    static const double specials[] = {0.0, -0.0, 1.0, -1.0, INFINITY, -INFINITY, 1e308, -1e-308};
    unsigned seed = (unsigned)row * 1000 + (unsigned)rank;

    switch (row) {
    case 0:
        return 0.1 * (rank + 1);
    case 1:
    case 2:
        return (rank + (int)row) % 2 == 0 ? 0.0 : -0.0;
    case 3:
        return rank == 2 ? NAN : (double)rank;
    case 4:
        return rank == 0 ? -NAN : -1.0 * rank;
    case 5:
        return -0.0;
    default:
        return specials[below(&seed, COUNT_OF(specials))];
    }
}

static double expected_double(size_t row, int n, int32_t op)
{
    double result = double_of_rank(row, 0);

    for (int rank = 1; rank < n; rank++) {
        double next = double_of_rank(row, rank);

        if (op == SHAREDMEM_SUM)
            result += next;
        else if (op == SHAREDMEM_PROD)
            result *= next;
        else if (isnan(result) || isnan(next))
            result = isnan(result) ? result : next;
        else if (op == SHAREDMEM_MIN ? next < result : next > result)
            result = next;
        else if (next == result && signbit(op == SHAREDMEM_MIN ? next : result))
            result = next;
    }
    return result;
}

static int64_t integer_of_rank(size_t row, int rank)
{
    static const int64_t specials[] = {INT64_MAX, INT64_MIN, -1, 0, 1, 3037000500, INT64_C(1) << 62, -7};
    unsigned seed = (unsigned)row * 1000 + (unsigned)rank;

    return row == 0 ? (int64_t)rank + 1 : specials[below(&seed, COUNT_OF(specials))];
}

static int64_t expected_integer(size_t row, int n, int32_t op)
{
    int64_t result = integer_of_rank(row, 0), next;

    for (int rank = 1; rank < n; rank++) {
        next = integer_of_rank(row, rank);
        if (op == SHAREDMEM_SUM)
            __builtin_add_overflow(result, next, &result);
        else if (op == SHAREDMEM_PROD)
            __builtin_mul_overflow(result, next, &result);
        else if (op == SHAREDMEM_MIN ? next < result : next > result)
            result = next;
    }
    return result;
}

static int reduce_rows(size_t rank, void *result, void *context)
{
    int n = sharedmem_size(), self = (int)rank;

    (void)result;
    (void)context;
    for (size_t row = 0; row < N_ROWS; row++) {
        for (size_t o = 0; o < COUNT_OF(ops); o++) {
            double d = sharedmem_all_double(double_of_rank(row, self), ops[o]);
            double expected = expected_double(row, n, ops[o]);

            /* Which NaN a sum or product has, the processor may choose; it is one in all ranks. */
            check(same_bits(&d, &expected) || (isnan(d) && isnan(expected) && o < 2), "another double");
            check(sharedmem_all_int64(integer_of_rank(row, self), ops[o]) == expected_integer(row, n, ops[o]),
                  "another integer");
            shared->got[rank][row][o] = d;
        }
    }
    return 0;
}

static void test_values(int np)
{
    bool same = true;

    run(np, reduce_rows, NULL, "sums, products, minima, maxima");
    for (int rank = 1; rank < np; rank++)
        same &= memcmp(shared->got[rank], shared->got[0], sizeof shared->got[0]) == 0;
    test_ok(same, "%d ranks: the same bits in all", np);
}

/* ---- Rounds of all kinds ---- */

static int mix(size_t rank, void *result, void *context)
{
    unsigned n = *(unsigned *)context, common = 1, seed = (unsigned)rank;
    int size = sharedmem_size();

    (void)result;
    for (unsigned k = 0; k < n; k++) {
        unsigned what = below(&common, 6), root = below(&common, (unsigned)size);
        double value = rank == root ? k + 0.1 : 0, sum = k, got;

        if (below(&seed, 100) == 0)
            usleep(100);
        if (what == 0)
            sharedmem_barrier();
        if (what == 1)
            SHAREDMEM_ORDERED
            {
                shared->block[0] = NULL;
            }
        if (what == 2)
            check(sharedmem_bcast(&value, sizeof value, (int)root) == 0 && value == k + 0.1, "another value");
        for (int other = 1; other < size; other++)
            sum += k + 0.1 * other;
        got = sharedmem_all_double(k + 0.1 * (int)rank, SHAREDMEM_SUM);
        check(same_bits(&got, &sum), "another sum");
    }
    return 0;
}

static void test_mix(int np)
{
    unsigned n = test_under_valgrind() ? 20 : np > 8 || test_address_sanitized() ? 300 : 3000;

    run(np, mix, &n, "thousands of calls in turn");
}

/* ---- Broadcast and allocation ---- */

static unsigned char byte_of(size_t i, unsigned salt)
{
    return (unsigned char)(i * 31 + i / 251 + salt * 17);
}

/* Root changes its data at once afterwards: what others got must not depend on that. */
static void bcast_once(unsigned rank, unsigned char *data, size_t bytes, unsigned root)
{
    size_t n_wrong = 0;

    for (size_t i = 0; i < bytes; i++)
        data[i] = rank == root ? byte_of(i, root) : 0;
    check(sharedmem_bcast(data, bytes, (int)root) == 0, "a broadcast failed");
    for (size_t i = 0; i < bytes; i++) {
        n_wrong += data[i] != byte_of(i, root);
        data[i] = 1;
    }
    check(n_wrong == 0, "other bytes than root's");
}

static int bcast_sizes(size_t rank, void *result, void *context)
{
    static const size_t sizes[] = {0, 1, 8, 31, 4096, (1 << 20) + 1};
    bool few = test_under_valgrind();
    unsigned size = (unsigned)sharedmem_size(), step = size > (few ? 2u : 8u) ? size / 3 : 1;
    size_t most = few ? (1 << 20) + 1 : (size_t)10 << 20;
    unsigned char *private = malloc(most), *own = sharedmem_malloc(most);

    (void)result;
    (void)context;
    for (size_t s = 0; s < COUNT_OF(sizes) - few; s++) {
        for (unsigned root = 0; root < size; root += step) {
            bcast_once((unsigned)rank, private, sizes[s], root);
            bcast_once((unsigned)rank, own, sizes[s], root);
            bcast_once((unsigned)rank, root % 2 == rank % 2 ? private : own, sizes[s], root);
        }
    }
    bcast_once((unsigned)rank, private, most, size - 1);
    bcast_once((unsigned)rank, own, most, 0);
    check(sharedmem_bcast(NULL, 0, 0) == 0, "nothing to send, nowhere");
    free(private);
    sharedmem_free(own);
    return 0;
}

static int allocate(size_t rank, void *result, void *context)
{
    int size = sharedmem_size();
    double(*rows)[1000];

    (void)result;
    (void)context;
    for (int k = 0; k < 20; k++) {
        rows = sharedmem_team_calloc((size_t)size, sizeof *rows);
        check(rows != NULL && rows[rank][0] == 0 && rows[rank][999] == 0, "no block, or not zero");
        if (rows == NULL)
            return 1;
        rows[rank][k] = (double)rank + 1;
        shared->block[rank] = rows[rank];
        sharedmem_barrier();
        for (int other = 0; other < size; other++)
            check(shared->block[other] == rows[other] && rows[other][k] == other + 1, "not the same block");
        sharedmem_barrier();
        if ((int)rank == k % size)
            sharedmem_free(rows);
    }
    errno = 0;
    check(sharedmem_team_calloc(SIZE_MAX / 2, 3) == NULL && errno == ENOMEM, "a product that overflows");
    errno = 0;
    check(sharedmem_team_calloc((size_t)1 << 40, 1) == NULL && errno == ENOMEM, "more than there is");
    return 0;
}

/* ---- Failure ---- */

enum way { RETURN, EXIT, KILL, LEAVE };

struct plan {
    enum way way;
    size_t bad_rank;
    int call;
};

/* Makes one call. Whether it failed. */
static bool fails(int call, char *data)
{
    int last = sharedmem_size() - 1;
    void *block;

    switch (call) {
    case 0:
        return isnan(sharedmem_all_double(1.0, SHAREDMEM_SUM));
    case 1:
        return sharedmem_all_int64(1, SHAREDMEM_SUM) == 0;
    case 2:
        return sharedmem_bcast(data, 8, last) != 0;
    case 3:
        return sharedmem_bcast(data, 4000, 0) != 0;
    case 4:
        return sharedmem_bcast(data, 600000, last) != 0;
    default:
        block = sharedmem_team_calloc(1, 10);
        if (sharedmem_rank() == 0)
            sharedmem_free(block);
        return block == NULL;
    }
}

static int fail_among_calls(size_t rank, void *result, void *context)
{
    const struct plan *plan = context;
    char *data = calloc(1, 600000);

    (void)result;
    for (int step = 0; step < 10; step++) {
        if (step == 5 && rank == plan->bad_rank) {
            free(data);
            if (plan->way == RETURN)
                return sharedmem_fail(6, "rank %zu had enough", rank);
            if (plan->way == EXIT)
                _exit(9);
            if (plan->way == KILL)
                kill(getpid(), SIGKILL);
            return 0;
        }
        errno = 0;
        if (fails(plan->call, data)) {
            if (rank == 0)
                shared->code = errno;
            free(data);
            return 2;
        }
    }
    return 0;
}

static void test_failure(int np, struct plan plan, int kind, int code)
{
    sharedmem_error error;

    shared->code = 0;
    test_ok(sharedmem_parallel(np, fail_among_calls, &plan, .error = &error) == -1 && errno == ECANCELED &&
                error.kind == kind && error.code == code && error.rank == (int32_t)plan.bad_rank,
            "%d ranks, call %d: %s", np, plan.call, error.message);
    test_int(plan.bad_rank == 0 ? 0 : ECANCELED, shared->code, "rank 0 is told in its call");
    test_ok(test_children() == 0 && sharedmem_heap_check(NULL) == 0, "no process is left, the heap is whole");
}

static void test_failures(int np)
{
    for (int call = 0; call < N_CALLS; call++) {
        test_failure(np, (struct plan){RETURN, 1, call}, SHAREDMEM_ERROR_RETURNED, 6);
        test_failure(np, (struct plan){RETURN, 0, call}, SHAREDMEM_ERROR_RETURNED, 6);
        test_failure(np, (struct plan){EXIT, (size_t)np - 1, call}, SHAREDMEM_ERROR_EXITED, 9);
        test_failure(np, (struct plan){KILL, 1, call}, SHAREDMEM_ERROR_SIGNAL, SIGKILL);
        test_failure(np, (struct plan){LEAVE, 1, call}, SHAREDMEM_ERROR_DEADLOCK, EDEADLK);
    }
}

/* ---- Misuse, and alone ---- */

static sharedmem_error told;

static void note(const sharedmem_error *error)
{
    told = *error;
}

/* The last call failed with this code and was told of with these words. */
static void check_told(int code, const char *words)
{
    test_ok(errno == code && told.kind == SHAREDMEM_ERROR_USAGE && told.code == code, "a usage error: %s",
            words);
    test_has(words, told.message, "which says so");
    test_has("api-collective.c:", told.where, "and where");
    memset(&told, 0, sizeof told);
    errno = 0;
}

static void test_bad_arguments(void)
{
    static const int32_t bad_ops[] = {INT32_MIN, -1, 0, SHAREDMEM_MINLOC, 13, INT32_MAX};
    int x = 3;

    for (size_t i = 0; i < COUNT_OF(bad_ops); i++) {
        test_ok(isnan(sharedmem_all_double(1.0, bad_ops[i])), "op %d", (int)bad_ops[i]);
        check_told(EINVAL, "all_double: op is");
        test_int(0, sharedmem_all_int64(1, bad_ops[i]), "op %d", (int)bad_ops[i]);
        check_told(EINVAL, "all_int64: op is");
    }
    test_int(-1, sharedmem_bcast(&x, sizeof x, -1), "root -1");
    check_told(EINVAL, "bcast: root is -1; it can be 0 to 0");
    test_int(-1, sharedmem_bcast(&x, sizeof x, 1), "root 1");
    check_told(EINVAL, "bcast: root is 1; it can be 0 to 0");
    test_int(-1, sharedmem_bcast(NULL, 8, 0), "data NULL");
    check_told(EINVAL, "bcast: data is NULL; give the 8 bytes");
}

static void test_alone(void)
{
    double zero = -0.0, got = sharedmem_all_double(zero, SHAREDMEM_SUM);
    int x = 3;
    char *block = sharedmem_team_calloc(10, 1);

    test_ok(same_bits(&zero, &got) && sharedmem_all_int64(INT64_MIN, SHAREDMEM_PROD) == INT64_MIN,
            "alone a value stays what it is");
    test_ok(sharedmem_bcast(&x, sizeof x, 0) == 0 && x == 3, "alone a broadcast does nothing");
    test_ok(block != NULL && block[0] == 0 && block[9] == 0, "alone a block is one's own");
    sharedmem_free(block);
}

static int be_alone(size_t rank, void *result, void *context)
{
    (void)rank;
    (void)result;
    (void)context;
    test_bad_arguments();
    test_alone();
    return 0;
}

static int call_in_map(size_t i, void *result, void *context)
{
    char data[8];

    (void)i;
    (void)result;
    return fails(*(const int *)context, data) ? 1 : 0;
}

static void test_misuse(void)
{
    static int calls[] = {0, 1, 2, 5};

    sharedmem_set_uncaught(note);
    test_bad_arguments();
    test_alone();
    test_int(0, sharedmem_parallel(1, be_alone, NULL), "a team of one");
    sharedmem_set_debug(true);
    test_int(0, sharedmem_parallel(4, be_alone, NULL), "debug mode");
    sharedmem_set_debug(false);
    sharedmem_set_uncaught(sharedmem_uncaught);
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        sharedmem_error error;

        test_int(-1, sharedmem_map(2, call_in_map, &calls[i], .np = 2, .error = &error), "in a map");
        errno = error.code;
        note(&error);
        check_told(EPERM, "items of a map may run one after the other");
        test_has("sharedmem_parallel()", error.message, "which names what to use");
    }
}

/* Every rank is wrong in the same way: nobody waits for anybody, and the next call is as good as any. */
static int be_wrong(size_t rank, void *result, void *context)
{
    int size = sharedmem_size(), x = (int)rank;

    (void)result;
    (void)context;
    check(sharedmem_bcast(&x, sizeof x, size) == -1 && errno == EINVAL, "root is no rank");
    check(sharedmem_bcast(NULL, sizeof x, 0) == -1 && errno == EINVAL, "data is NULL");
    check(isnan(sharedmem_all_double(1, 9)) && errno == EINVAL, "op is none");
    check(sharedmem_all_int64(x, SHAREDMEM_MAX) == size - 1, "a good call after bad ones");
    return 0;
}

static int take_part(size_t rank, void *result, void *context)
{
    sharedmem_range mine = sharedmem_my_part(1000), part = sharedmem_part(1000, (int)rank, sharedmem_size());
    double before = sharedmem_wtime(), first, last;

    (void)result;
    (void)context;
    check(mine.begin == part.begin && mine.end == part.end, "another part than this rank's");
    check(sharedmem_all_int64((int64_t)(mine.end - mine.begin), SHAREDMEM_SUM) == 1000, "not all items");
    /* Whoever came last saw the clock before anybody went on. */
    last = sharedmem_all_double(before, SHAREDMEM_MAX);
    first = sharedmem_all_double(sharedmem_wtime(), SHAREDMEM_MIN);
    check(last <= first && first < last + 60, "clocks that differ");
    return 0;
}

int main(void)
{
    test_begin(240);
    shared = shared_block("1G", sizeof *shared);
    test_misuse();
    for (size_t i = 0; i < COUNT_OF(nps); i++) {
        test_values(nps[i]);
        test_mix(nps[i]);
        run(nps[i], bcast_sizes, NULL, "broadcasts of all sizes, from all ranks");
        run(nps[i], allocate, NULL, "allocation");
        run(nps[i], take_part, NULL, "parts, and a clock");
    }
    test_failures(3);
    test_failures(6);
    sharedmem_set_uncaught(NULL);
    run(3, be_wrong, NULL, "wrong calls");
    return test_end();
}
