/*
 * reduce, allreduce, scan and exscan, by ops and by functions, processes and threads as ranks: elements of any
 * number, from few to what goes in pieces, in private and shared memory and both, in place, to any root; the
 * bits are those of one rank after the other. And what is refused.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "shared_block.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

enum kind { REDUCE, ALLREDUCE, SCAN, EXSCAN, N_KINDS };
static const char *const kind_names[] = {"reduce", "allreduce", "scan", "exscan"};

/* Where a rank's in and out are. */
enum memory { PRIVATE, PRIVATE_IN_PLACE, SHARED, SHARED_IN_PLACE, MIXED, COMMON, N_MEMORIES };

/* Which ranks share an out, where some do and others have one of their own. */
enum sharing { FIRST_TWO, LAST_TWO, ODD_AND_EVEN, ALL_BUT_FIRST, N_SHARINGS };

/* What is combined: two ops, and functions on elements of several sizes. */
struct elements {
    const char *name;
    size_t bytes;
    int32_t dtype, op; /* 0: a function */
};

static const struct elements doubles = {"doubles", 8, SHAREDMEM_FLOAT64, SHAREDMEM_SUM};
static const struct elements pairs = {"pairs", 16, SHAREDMEM_FLOAT64, SHAREDMEM_MAXLOC};
static const struct elements bytes_by = {"bytes by a function", 1, 0, 0};
static const struct elements some_by = {"24 bytes by a function", 24, 0, 0};
static const struct elements odd_by = {"100 bytes by a function", 100, 0, 0};
static const struct elements large_by = {"70,000 bytes by a function", 70000, 0, 0};

struct run {
    const struct elements *elements;
    size_t count;
    enum memory memory;
    enum kind kind;
    int root;
};

static char *wrong; /* what was found first, shared */

static void check(bool held, const struct run *run, const char *what)
{
    char text[200];

    if (held)
        return;
    snprintf(text, sizeof text, "%s of %zu %s, memory %d, root %d: %s in rank %d of %d", kind_names[run->kind],
             run->count, run->elements->name, (int)run->memory, run->root, what, sharedmem_rank(), sharedmem_size());
    note_wrong(wrong, text);
}

/* ---- Elements ---- */

struct pair {
    double value;
    int64_t index;
};

/* Another order has other bits, of a sum of doubles too. */
static void combine_bytes(void *into, const void *from, void *context)
{
    const size_t bytes = *(const size_t *)context;
    const unsigned char *f = from;
    unsigned char *t = into;

    for (size_t i = 0; i < bytes; i++)
        t[i] = (unsigned char)(t[i] * 5 + (f[i] ^ 0x5a));
}

static void write_elements(const struct elements *elements, char *to, size_t count, int rank)
{
    for (size_t i = 0; i < count; i++, to += elements->bytes) {
        const struct pair pair = {(double)((i * 7 + (size_t)rank * 5) % 4), rank};
        const double value = 0.1 * (double)(i % 1000) + 1.0 / (rank + 3);

        if (elements->op == SHAREDMEM_SUM)
            memcpy(to, &value, sizeof value);
        else if (elements->op == SHAREDMEM_MAXLOC)
            memcpy(to, &pair, sizeof pair);
        else
            for (size_t k = 0; k < elements->bytes; k++)
                to[k] = (char)(i * 31 + k + (size_t)rank * 7);
    }
}

static void combine_elements(const struct elements *elements, char *into, const char *from, size_t count)
{
    size_t bytes = elements->bytes * count;

    if (elements->op == 0)
        combine_bytes(into, from, &bytes);
    for (size_t i = 0; i < count && elements->op == SHAREDMEM_SUM; i++)
        ((double *)(void *)into)[i] += ((const double *)(const void *)from)[i];
    for (size_t i = 0; i < count && elements->op == SHAREDMEM_MAXLOC; i++) {
        struct pair *to = &((struct pair *)(void *)into)[i];
        const struct pair *other = &((const struct pair *)(const void *)from)[i];

        if (other->value > to->value)
            *to = *other;
    }
}

/* What ranks 0 to n-1 make. The caller frees it. */
static char *expected(const struct run *run, int n)
{
    const size_t bytes = run->elements->bytes * run->count;
    char *result = malloc(bytes + 1), *next = malloc(bytes + 1);

    write_elements(run->elements, result, run->count, 0);
    for (int rank = 1; rank < n; rank++) {
        write_elements(run->elements, next, run->count, rank);
        combine_elements(run->elements, result, next, run->count);
    }
    free(next);
    return result;
}

/* ---- Memory ---- */

static bool is_in_shared(const struct run *run)
{
    return run->memory == MIXED ? sharedmem_rank() % 2 == 0 : run->memory >= SHARED;
}

static bool is_out_shared(const struct run *run)
{
    return run->memory == MIXED ? sharedmem_rank() / 2 % 2 == 0 : run->memory >= SHARED;
}

static bool is_in_place(const struct run *run)
{
    return run->memory == PRIVATE_IN_PLACE || run->memory == SHARED_IN_PLACE ||
           (run->memory == MIXED && sharedmem_rank() % 3 == 1);
}

static char *get(bool is_shared, size_t bytes)
{
    char *block = is_shared ? sharedmem_malloc(bytes + 1) : malloc(bytes + 1);

    memset(block, 0x33, bytes + 1);
    return block;
}

static void put_back(char *block, bool is_shared)
{
    if (is_shared)
        sharedmem_free(block);
    else
        free(block);
}

/* ---- One call ---- */

static int call(const struct run *run, const char *in, char *out)
{
    const struct elements *e = run->elements;
    size_t bytes = e->bytes;

    switch (run->kind) {
    case REDUCE:
        return e->op != 0 ? sharedmem_reduce(in, out, run->count, e->dtype, e->op, run->root)
                          : sharedmem_reduce_by(in, out, run->count, bytes, combine_bytes, &bytes, run->root);
    case ALLREDUCE:
        return e->op != 0 ? sharedmem_allreduce(in, out, run->count, e->dtype, e->op)
                          : sharedmem_allreduce_by(in, out, run->count, bytes, combine_bytes, &bytes);
    case SCAN:
        return e->op != 0 ? sharedmem_scan(in, out, run->count, e->dtype, e->op)
                          : sharedmem_scan_by(in, out, run->count, bytes, combine_bytes, &bytes);
    default:
        return e->op != 0 ? sharedmem_exscan(in, out, run->count, e->dtype, e->op)
                          : sharedmem_exscan_by(in, out, run->count, bytes, combine_bytes, &bytes);
    }
}

/* How many ranks' elements are in this rank's result; 0: it has none. */
static int n_combined(const struct run *run)
{
    const int rank = sharedmem_rank(), size = sharedmem_size();

    switch (run->kind) {
    case REDUCE:
        return rank == run->root ? size : 0;
    case ALLREDUCE:
        return size;
    default:
        return run->kind == SCAN ? rank + 1 : rank;
    }
}

static void check_result(const struct run *run, const char *out)
{
    const size_t bytes = run->elements->bytes * run->count;
    char *right;

    check(out[bytes] == 0x33, run, "a byte too many");
    if (n_combined(run) == 0) {
        for (size_t i = 0; i < bytes && !is_in_place(run); i++)
            check(out[i] == 0x33, run, "a result that nobody asked for");
        return;
    }
    right = expected(run, n_combined(run));
    check(memcmp(out, right, bytes) == 0, run, "another result");
    free(right);
}

/* As soon as its call has returned a rank may change what it gave. */
static void reduce_once(const struct run *run)
{
    const size_t bytes = run->elements->bytes * run->count;
    const bool has_own = run->memory != COMMON;
    char *in = get(is_in_shared(run), bytes), *out = in;

    if (!has_own) {
        out = sharedmem_team_calloc(1, bytes + 1);
        if (sharedmem_rank() == 0)
            memset(out, 0x33, bytes + 1);
        sharedmem_barrier();
    } else if (!is_in_place(run)) {
        out = get(is_out_shared(run), bytes);
    }
    write_elements(run->elements, in, run->count, sharedmem_rank());
    check(call(run, in, run->kind == REDUCE && run->root != sharedmem_rank() && !is_in_place(run) ? NULL : out) == 0,
          run, "a failure");
    if (in != out)
        memset(in, 0x44, bytes + 1);
    if (has_own || run->kind == ALLREDUCE)
        check_result(run, out);
    if (!has_own) {
        sharedmem_barrier();
        if (sharedmem_rank() == 0)
            sharedmem_free(out);
    } else if (in != out) {
        put_back(out, is_out_shared(run));
    }
    put_back(in, is_in_shared(run));
}

/* ---- Outs that some share ---- */

/* The first rank of those that have rank's out; itself: it has its own. */
static int first_with_same(enum sharing sharing, int rank)
{
    switch (sharing) {
    case FIRST_TWO:
        return rank < 2 ? 0 : rank;
    case LAST_TWO:
        return rank == sharedmem_size() - 1 && rank > 0 ? rank - 1 : rank;
    case ODD_AND_EVEN:
        return rank % 2;
    default:
        return rank > 0 ? 1 : 0;
    }
}

/*
 * Each group's first rank adds to what it gets, as soon as it has it; another one that wrote the result later would
 * undo that. Those with an out of their own have it in private memory by turns.
 */
static void share_once(enum sharing sharing, size_t count, int64_t **outs)
{
    const int rank = sharedmem_rank(), size = sharedmem_size(), first = first_with_same(sharing, rank);
    int64_t *in = malloc(count * sizeof *in), *own = malloc(count * sizeof *own);
    bool is_alone = first == rank;
    int64_t *out = outs[first];
    char text[100];

    for (int other = 0; other < size; other++)
        is_alone &= other == rank || first_with_same(sharing, other) != rank;
    if (is_alone && rank % 2 == 0)
        out = own;
    for (size_t i = 0; i < count; i++)
        in[i] = rank + (int64_t)i;
    memset(own, 0, count * sizeof *own);
    if (first == rank)
        memset(outs[rank], 0, count * sizeof *in);
    sharedmem_barrier();
    sharedmem_allreduce(in, out, count, SHAREDMEM_INT64, SHAREDMEM_SUM);
    if (first == rank)
        out[0] += 1000000;
    sharedmem_barrier();
    snprintf(text, sizeof text, "%zu numbers, sharing %d: not its result in rank %d of %d", count, (int)sharing, rank,
             size);
    for (size_t i = 0; i < count; i++) {
        if (out[i] != size * (size - 1) / 2 + size * (int64_t)i + (i == 0 ? 1000000 : 0))
            note_wrong(wrong, text);
    }
    sharedmem_barrier();
    free(in);
    free(own);
}

static int share_some(size_t self, void *result, void *context)
{
    static const size_t counts[] = {1, 2, 100, 30000};
    int64_t **outs = sharedmem_team_calloc((size_t)sharedmem_size(), sizeof *outs);

    (void)result;
    (void)context;
    outs[self] = sharedmem_malloc(counts[COUNT_OF(counts) - 1] * sizeof **outs);
    sharedmem_barrier();
    for (int k = 0; k < (test_under_valgrind() ? 1 : 10); k++) {
        for (size_t i = 0; i < COUNT_OF(counts) - (k > 0); i++) {
            for (int sharing = FIRST_TWO; sharing < N_SHARINGS; sharing++)
                share_once((enum sharing)sharing, counts[i], outs);
        }
    }
    sharedmem_free(outs[self]);
    sharedmem_barrier();
    if (self == 0)
        sharedmem_free(outs);
    return 0;
}

static void test_shared_outs(int backend, const char *name)
{
    static const int nps[] = {2, 3, 5, 9};

    for (size_t i = 0; i < COUNT_OF(nps); i++) {
        wrong[0] = '\0';
        test_int(0, sharedmem_parallel(nps[i], share_some, NULL, .backend = backend), "%d %s: outs that some share",
                 nps[i], name);
        test_str("", wrong, "%d %s: outs that some share, right", nps[i], name);
    }
}

/* ---- Many calls ---- */

static void reduce_all_ways(const struct elements *elements, size_t count)
{
    const bool is_short = count * elements->bytes > 100000 || sharedmem_size() > 5;
    struct run run = {.elements = elements, .count = count};

    for (int memory = PRIVATE; memory < N_MEMORIES; memory++) {
        for (int kind = REDUCE; kind < N_KINDS; kind++) {
            run.memory = (enum memory)memory;
            run.kind = (enum kind)kind;
            /* By turns. */
            if (is_short && (size_t)(memory + kind) % 3 != count % 3)
                continue;
            run.root = (memory + kind) % sharedmem_size();
            /* One place for all is for a result that all share. */
            if (memory != COMMON || kind == ALLREDUCE || kind == REDUCE)
                reduce_once(&run);
        }
    }
}

/* Around all sizes from which on another way is gone, for teams of these sizes. */
static int all_sizes(size_t rank, void *result, void *context)
{
    const size_t size = (size_t)sharedmem_size(), board = 32768 / (size + 1) / 64 * 8;
    const size_t counts[] = {0, 1, 2, 3, 65, board, board + 1, 8192, 8193, 50001};
    const size_t few[] = {1, 2, 300};

    (void)rank;
    (void)result;
    (void)context;
    for (size_t i = 0; i < COUNT_OF(counts) - (test_under_valgrind() || size > 5 ? 2 : 0); i++)
        reduce_all_ways(&doubles, counts[i]);
    for (size_t i = 0; i < COUNT_OF(few); i++) {
        reduce_all_ways(&pairs, few[i]);
        reduce_all_ways(&bytes_by, few[i]);
        reduce_all_ways(&some_by, few[i]);
        reduce_all_ways(&odd_by, few[i]);
    }
    reduce_all_ways(&odd_by, 1000);
    for (size_t count = 1; count < (size > 5 || test_under_valgrind() ? 2 : 5); count++)
        reduce_all_ways(&large_by, count);
    return 0;
}

static uint64_t blocks(void)
{
    sharedmem_heap_statistics statistics;

    sharedmem_heap_statistics_read(&statistics);
    return statistics.n_blocks;
}

static void test_teams(int backend, const char *name)
{
    /* Up to four meet by flags, more by a count. */
    static const int all_nps[][5] = {{1, 2, 4, 7, 16}, {2, 3, 4, 5, 16}};
    const int *nps = all_nps[backend == SHAREDMEM_THREADS];
    size_t few = test_under_valgrind();

    for (size_t i = few; i < COUNT_OF(all_nps[0]); i += 1 + few) {
        const uint64_t before = blocks();

        wrong[0] = '\0';
        test_int(0, sharedmem_parallel(nps[i], all_sizes, NULL, .backend = backend), "%d %s: all sizes", nps[i], name);
        test_str("", wrong, "%d %s: right", nps[i], name);
        test_int((long long)before, (long long)blocks(), "%d %s: no block is left", nps[i], name);
    }
}

/* ---- One rank's elements alone ---- */

/* A number as an element of dtype. Returns how many bytes that has. */
static size_t put_number(void *to, int32_t dtype, int number)
{
    const int64_t whole = number;
    const float single = (float)number;
    const double real = number;

    memset(to, 0, 16);
    if (dtype == SHAREDMEM_FLOAT32 || dtype == SHAREDMEM_COMPLEX64)
        memcpy(to, &single, sizeof single);
    else if (dtype == SHAREDMEM_FLOAT64 || dtype == SHAREDMEM_COMPLEX128)
        memcpy(to, &real, sizeof real);
    else
        memcpy(to, &whole, sharedmem_itemsize(dtype)); /* of a little-endian machine, and 5 or -1 */
    return sharedmem_itemsize(dtype);
}

/* What changes no element by op, which 5 is one of. */
static int neutral(int32_t op)
{
    switch (op) {
    case SHAREDMEM_PROD:
    case SHAREDMEM_AND:
        return 1;
    case SHAREDMEM_MIN:
    case SHAREDMEM_MAX:
        return 5;
    case SHAREDMEM_BAND:
        return -1;
    default:
        return 0;
    }
}

static bool has_op(int32_t dtype, int32_t op)
{
    if (dtype >= SHAREDMEM_COMPLEX64)
        return op <= SHAREDMEM_PROD;
    return dtype < SHAREDMEM_FLOAT32 || op < SHAREDMEM_BAND;
}

static void check_same(const char *result, const char *one, size_t bytes, int32_t dtype, int32_t op, const char *call)
{
    char text[120];

    snprintf(text, sizeof text, "%s of dtype %d by op %d, %zu bytes: not what one rank alone gets", call, (int)dtype,
             (int)op, bytes);
    if (memcmp(result, one, bytes) != 0)
        note_wrong(wrong, text);
}

/* Of 5 alone, and of 5 with a rank whose elements change nothing. */
static void reduce_one_and_two(sharedmem_team *alone, size_t count, int32_t dtype, int32_t op)
{
    char *in = malloc((count + 1) * 16), *one = malloc((count + 1) * 16), *two = malloc((count + 1) * 16);
    const size_t bytes = count * sharedmem_itemsize(dtype);

    for (size_t i = 0, at = 0; i < count; i++)
        at += put_number(in + at, dtype, 5);
    SHAREDMEM_TEAM (alone) {
        sharedmem_allreduce(in, one, count, dtype, op);
        sharedmem_reduce(in, two, count, dtype, op, 0);
        check_same(two, one, bytes, dtype, op, "reduce alone");
        sharedmem_scan(in, two, count, dtype, op);
        check_same(two, one, bytes, dtype, op, "scan alone");
    }
    sharedmem_exscan(in, two, count, dtype, op);
    if (sharedmem_rank() == 1)
        check_same(two, one, bytes, dtype, op, "exscan");
    for (size_t i = 0, at = 0; i < count && sharedmem_rank() == 1; i++)
        at += put_number(in + at, dtype, neutral(op));
    sharedmem_scan(in, two, count, dtype, op);
    check_same(two, one, bytes, dtype, op, "scan");
    sharedmem_allreduce(in, two, count, dtype, op);
    check_same(two, one, bytes, dtype, op, "allreduce");
    free(in);
    free(one);
    free(two);
}

static int one_and_two(size_t rank, void *result, void *context)
{
    static const size_t counts[] = {1, 100, 40000};
    sharedmem_team *alone = sharedmem_team_split((int)rank, 0);

    (void)result;
    (void)context;
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        for (int32_t dtype = SHAREDMEM_BOOL; dtype <= SHAREDMEM_COMPLEX128; dtype++) {
            for (int32_t op = SHAREDMEM_SUM; op <= SHAREDMEM_BXOR; op++) {
                if (has_op(dtype, op))
                    reduce_one_and_two(alone, counts[i], dtype, op);
            }
        }
    }
    sharedmem_team_free(alone);
    return 0;
}

static void test_one_and_two(int backend, const char *name)
{
    int value = 5;

    wrong[0] = '\0';
    test_int(0, sharedmem_parallel(2, one_and_two, NULL, .backend = backend), "2 %s: all ops, alone and not", name);
    test_str("", wrong, "2 %s: the same alone", name);
    test_ok(sharedmem_allreduce(&value, &value, 1, SHAREDMEM_INT32, SHAREDMEM_AND) == 0 && value == 1,
            "5 by AND is 1, of a program alone");
}

/* ---- What is refused ---- */

static sharedmem_error told;

static void note_error(const sharedmem_error *error)
{
    told = *error;
}

static void check_told(int result, const char *words)
{
    test_ok(result == -1 && errno == EINVAL && told.kind == SHAREDMEM_ERROR_USAGE, "refused: %s", words);
    test_has(words, told.message, "which says so");
    test_has("api-reduce.c:", told.where, "and where");
    memset(&told, 0, sizeof told);
    errno = 0;
}

static void test_refused(void)
{
    sharedmem_uncaught_handler *before = sharedmem_set_uncaught(note_error);
    double x[2] = {3, 4}, y[2] = {0, 0};
    size_t bytes = 8;

    check_told(sharedmem_reduce(x, y, 2, 99, SHAREDMEM_SUM, 0), "reduce: dtype is 99");
    check_told(sharedmem_allreduce(x, y, 2, SHAREDMEM_FLOAT64, 99), "allreduce: op is 99");
    check_told(sharedmem_scan(x, y, 2, SHAREDMEM_FLOAT64, SHAREDMEM_BAND), "scan: op is 8, of bits");
    check_told(sharedmem_exscan(x, y, 2, SHAREDMEM_COMPLEX64, SHAREDMEM_MIN), "exscan: op is 3; of complex");
    check_told(sharedmem_reduce(x, y, 2, SHAREDMEM_FLOAT64, SHAREDMEM_SUM, 1), "reduce: root is 1; it can be 0 to 0");
    check_told(sharedmem_reduce_by(x, y, 2, 8, combine_bytes, &bytes, -1), "reduce_by: root is -1");
    check_told(sharedmem_reduce(NULL, y, 2, SHAREDMEM_FLOAT64, SHAREDMEM_SUM, 0), "reduce: in is NULL");
    check_told(sharedmem_reduce(x, NULL, 2, SHAREDMEM_FLOAT64, SHAREDMEM_SUM, 0), "reduce: out is NULL");
    check_told(sharedmem_scan(x, NULL, 2, SHAREDMEM_FLOAT64, SHAREDMEM_SUM), "scan: out is NULL");
    check_told(sharedmem_allreduce(x, y, SIZE_MAX, SHAREDMEM_FLOAT64, SHAREDMEM_SUM), "allreduce: count is");
    check_told(sharedmem_allreduce_by(x, y, 2, 8, NULL, NULL), "allreduce_by: combine is NULL");
    check_told(sharedmem_exscan_by(NULL, y, 2, 8, combine_bytes, &bytes), "exscan_by: in is NULL");
    test_ok(y[0] == 0 && y[1] == 0, "and nothing is written");
    test_ok(sharedmem_exscan(x, NULL, 2, SHAREDMEM_FLOAT64, SHAREDMEM_SUM) == 0, "rank 0 of an exscan needs no out");
    test_ok(sharedmem_allreduce(NULL, NULL, 0, SHAREDMEM_FLOAT64, SHAREDMEM_SUM) == 0, "nothing, nowhere");
    test_ok(sharedmem_scan_by(NULL, NULL, 7, 0, combine_bytes, &bytes) == 0, "of no bytes");
    sharedmem_set_uncaught(before);
}

static int reduce_in_map(size_t i, void *result, void *context)
{
    double x = (double)i;

    (void)result;
    (void)context;
    return sharedmem_allreduce(&x, &x, 1, SHAREDMEM_FLOAT64, SHAREDMEM_SUM);
}

static void test_map(void)
{
    sharedmem_error error;

    test_int(-1, sharedmem_map(2, reduce_in_map, NULL, .np = 2, .error = &error), "in a map");
    test_int(EPERM, error.code, "it is refused");
    test_has("allreduce: items of a map", error.message, "with a sentence");
}

int main(void)
{
    test_begin(90);
    wrong = shared_block("512M", 4096);
    if (!test_thread_sanitized())
        test_teams(SHAREDMEM_PROCESSES, "processes");
    test_teams(SHAREDMEM_THREADS, "threads");
    if (!test_thread_sanitized())
        test_one_and_two(SHAREDMEM_PROCESSES, "processes");
    test_one_and_two(SHAREDMEM_THREADS, "threads");
    if (!test_thread_sanitized())
        test_shared_outs(SHAREDMEM_PROCESSES, "processes");
    test_shared_outs(SHAREDMEM_THREADS, "threads");
    test_refused();
    if (!test_thread_sanitized())
        test_map();
    return test_end();
}
