/*
 * Sums and extremes of arrays, and what the calls over arrays have in common. These calls use nothing but the
 * public interface, as a program could; only for what errors say, and to say that one is uncaught, they use
 * base/error.h and memory/array_shape.h.
 *
 * sharedmem_parallel() rather than a map does the work: the caller, which has the array's pages mapped, does
 * its share, and one process less is forked.
 */
#include "run/numeric.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/error.h"
#include "base/text.h"
#include "memory/budget.h"
#include "memory/heap.h"
#include "memory/memory.h"

/*
 * What a rank takes at a time. Pieces and blocks are cut by number of elements alone, so that a sum is the
 * same for any number of ranks.
 */
#define PIECE ((size_t)1 << 16)

/* What is summed in eight lanes, before halves are added to halves. It divides PIECE. */
#define BLOCK ((size_t)512)

/*
 * The caller alone is faster up to so many elements: one core adds some 10 GB/s, forking a rank takes 0.3 ms,
 * and that has to map the array's pages.
 */
#define SMALL ((size_t)1 << 23)

/* And so many a rank should have. */
#define SHARE ((size_t)1 << 19)

/* ---- In common ---- */

int numeric_check(const char *call, const sharedmem_array *a, size_t *n, sharedmem_error *error)
{
    int saved_errno = errno;

    errno = 0;
    *n = sharedmem_array_size(*a);
    if (errno != 0)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s: the array is none: it was never made, or that failed", call);
    if (!sharedmem_is_contiguous(*a))
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s: the elements do not lie side by side in C order; copy the array first: "
                         "sharedmem_copy(a)",
                         call);
    errno = saved_errno;
    return 0;
}

int numeric_check_row(const char *call, const sharedmem_array *a, size_t *n, sharedmem_error *error)
{
    if (numeric_check(call, a, n, error) != 0)
        return -1;
    if (a->ndim <= 1)
        return 0;
    return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                     "%s: the array has %d dimensions, and must have one; for all elements in one row give "
                     "sharedmem_reshape(a, 1, (int64_t[]){-1})",
                     call, (int)a->ndim);
}

int numeric_check_output(const char *call, const char *name, const void *output, sharedmem_error *error)
{
    if (output != NULL)
        return 0;
    return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: %s is NULL", call, name);
}

int numeric_count_ranks(size_t n, size_t small, size_t share)
{
    size_t np, shares = n / share;

    if (n <= small || shares < 2)
        return 1;
    np = (size_t)sharedmem_cpu_count();
    return (int)(np < shares ? np : shares);
}

int numeric_parallel(const char *call, int np, sharedmem_function *body, void *context,
                     sharedmem_error *error)
{
    sharedmem_parallel_options options = {
        .np = np, .body = body, .context = context, .error = error, .where = call};

    return np == 1 ? body(0, NULL, context) : sharedmem_parallel_with(&options, sizeof options);
}

void *numeric_allocate(const char *call, size_t bytes, sharedmem_error *error)
{
    char size[TEXT_BYTES_SIZE];
    void *block;

    if (memory_enter(error) != 0)
        return NULL;
    block = heap_alloc(bytes, HEAP_ALIGNMENT);
    if (block == NULL)
        error_set(error, SHAREDMEM_ERROR_NO_MEMORY, errno, "%s: no %s of shared memory: %s", call,
                  text_bytes(size, bytes), budget_reason());
    return block;
}

/* ---- Pieces ---- */

/* Of integers, which wrap; or of floating point numbers. */
struct total {
    uint64_t whole;
    double real;
    double imaginary;
};

/* What comes of a piece: its sum, or the index of its best element. */
union outcome {
    struct total total;
    uint64_t best;
};

/* What the ranks share: who comes takes the next piece. */
struct pieces_shared {
    _Atomic uint64_t next;
    union outcome outcomes[];
};

/* An array in pieces. find is called once for each, by some rank; then take, by the caller and in order. */
struct pieces {
    const char *data;
    size_t n;
    int32_t dtype;
    void (*find)(const struct pieces *pieces, size_t begin, size_t end, union outcome *outcome);
    void (*take)(struct pieces *pieces, const union outcome *outcome);
    void *context; /* of these two */
    struct pieces_shared *shared;
};

static size_t count_pieces(const struct pieces *pieces)
{
    return pieces->n / PIECE + (pieces->n % PIECE != 0);
}

static void find_in_piece(const struct pieces *pieces, size_t i, union outcome *outcome)
{
    size_t begin = i * PIECE, left = pieces->n - begin;

    pieces->find(pieces, begin, begin + (left < PIECE ? left : PIECE), outcome);
}

static int do_pieces(size_t rank, void *result, void *context)
{
    const struct pieces *pieces = context;
    struct pieces_shared *shared = pieces->shared;
    uint64_t i;

    (void)rank;
    (void)result;
    /* relaxed: the ranks' end orders what they found. */
    while ((i = atomic_fetch_add_explicit(&shared->next, 1, memory_order_relaxed)) < count_pieces(pieces))
        find_in_piece(pieces, i, &shared->outcomes[i]);
    return 0;
}

static int for_pieces_in_parallel(const char *call, int np, struct pieces *pieces, sharedmem_error *error)
{
    size_t n = count_pieces(pieces);
    int code;

    pieces->shared = numeric_allocate(call, sizeof *pieces->shared + n * sizeof(union outcome), error);
    if (pieces->shared == NULL)
        return -1;
    atomic_init(&pieces->shared->next, 0);
    code = numeric_parallel(call, np, do_pieces, pieces, error);
    for (size_t i = 0; i < n && code == 0; i++)
        pieces->take(pieces, &pieces->shared->outcomes[i]);
    sharedmem_free(pieces->shared);
    return code;
}

static int for_pieces(const char *call, struct pieces *pieces, sharedmem_error *error)
{
    int np = numeric_count_ranks(pieces->n, SMALL, SHARE);

    if (np > 1)
        return for_pieces_in_parallel(call, np, pieces, error);
    for (size_t i = 0; i < count_pieces(pieces); i++) {
        union outcome outcome;

        find_in_piece(pieces, i, &outcome);
        pieces->take(pieces, &outcome);
    }
    return 0;
}

/* ---- Sum ---- */

/* Totals to come are added as the leaves of a tree: level[k] is that of 2^k of them, where n has bit k. */
struct tree {
    uint64_t n;
    struct total level[64];
};

static struct total add(struct total a, struct total b)
{
    return (struct total){a.whole + b.whole, a.real + b.real, a.imaginary + b.imaginary};
}

static void tree_add(struct tree *tree, struct total leaf)
{
    int k = 0;

    for (; tree->n >> k & 1; k++)
        leaf = add(tree->level[k], leaf);
    tree->level[k] = leaf;
    tree->n++;
}

static struct total tree_total(const struct tree *tree)
{
    struct total total = {0};
    bool is_first = true;

    for (int k = 0; k < 64; k++) {
        if (tree->n >> k & 1) {
            total = is_first ? tree->level[k] : add(tree->level[k], total);
            is_first = false;
        }
    }
    return total;
}

NUMERIC_INLINE uint64_t whole_at(const char *at, int32_t dtype)
{
    const size_t size = numeric_key_bytes(dtype);

    switch (dtype) {
    case SHAREDMEM_BOOL:
        return numeric_bits(at, size) != 0;
    case SHAREDMEM_INT8:
        return (uint64_t)(int8_t)numeric_bits(at, size);
    case SHAREDMEM_INT16:
        return (uint64_t)(int16_t)numeric_bits(at, size);
    case SHAREDMEM_INT32:
        return (uint64_t)(int32_t)numeric_bits(at, size);
    default:
        return numeric_bits(at, size);
    }
}

NUMERIC_INLINE double real_at(const char *at, size_t size)
{
    float single;
    double number;

    if (size == sizeof single) {
        memcpy(&single, at, sizeof single);
        return (double)single;
    }
    memcpy(&number, at, sizeof number);
    return number;
}

/* Two reals that are added at once: two elements, or both parts of a complex one. */
typedef double pair __attribute__((__vector_size__(16)));

NUMERIC_INLINE pair pair_at(const char *data, size_t i, size_t size)
{
    return (pair){real_at(data + i * size, size), real_at(data + (i + 1) * size, size)};
}

/* n reals. One sum alone would wait for each addition, so there are four pairs of them. */
NUMERIC_INLINE struct total sum_reals(const char *data, size_t n, size_t size, bool is_complex)
{
    pair a = {0, 0}, b = {0, 0}, c = {0, 0}, d = {0, 0};
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        a += pair_at(data, i, size);
        b += pair_at(data, i + 2, size);
        c += pair_at(data, i + 4, size);
        d += pair_at(data, i + 6, size);
    }
    for (; i + 2 <= n; i += 2)
        a += pair_at(data, i, size);
    if (i < n)
        b[0] += real_at(data + i * size, size);
    a = (a + b) + (c + d);
    return is_complex ? (struct total){0, a[0], a[1]} : (struct total){0, a[0] + a[1], 0};
}

NUMERIC_INLINE struct total sum_block(const char *data, size_t n, int32_t dtype)
{
    const size_t size = numeric_key_bytes(dtype);
    struct total total = {0};

    if (dtype == SHAREDMEM_FLOAT32 || dtype == SHAREDMEM_FLOAT64)
        return sum_reals(data, n, size, false);
    if (dtype == SHAREDMEM_COMPLEX64 || dtype == SHAREDMEM_COMPLEX128)
        return sum_reals(data, 2 * n, size / 2, true);
    for (size_t i = 0; i < n; i++)
        total.whole += whole_at(data + i * size, dtype);
    return total;
}

NUMERIC_INLINE void sum_blocks(const char *data, size_t n, int32_t dtype, struct tree *tree)
{
    for (; n > BLOCK; n -= BLOCK) {
        tree_add(tree, sum_block(data, BLOCK, dtype));
        data += BLOCK * numeric_key_bytes(dtype);
    }
    tree_add(tree, sum_block(data, n, dtype));
}

static void sum_piece(const struct pieces *pieces, size_t begin, size_t end, union outcome *outcome)
{
    const char *data = pieces->data + begin * sharedmem_itemsize(pieces->dtype);
    struct tree tree = {.n = 0};

    NUMERIC_WITH_DTYPE(D, pieces->dtype, sum_blocks(data, end - begin, D, &tree));
    outcome->total = tree_total(&tree);
}

static void add_piece(struct pieces *pieces, const union outcome *outcome)
{
    tree_add(pieces->context, outcome->total);
}

static void store(void *to, struct total total, int32_t dtype)
{
    double both[] = {total.real, total.imaginary};
    float singles[] = {(float)total.real, (float)total.imaginary};

    if (dtype == SHAREDMEM_FLOAT64 || dtype == SHAREDMEM_COMPLEX128)
        memcpy(to, both, sharedmem_itemsize(dtype));
    else if (dtype == SHAREDMEM_FLOAT32 || dtype == SHAREDMEM_COMPLEX64)
        memcpy(to, singles, sharedmem_itemsize(dtype));
    else
        memcpy(to, &total.whole, sizeof total.whole);
}

static int sum_array(const sharedmem_array *a, void *sum, sharedmem_error *error)
{
    static const char call[] = "sharedmem_sum";
    struct tree tree = {.n = 0};
    struct pieces pieces = {
        .data = a->data, .dtype = a->dtype, .find = sum_piece, .take = add_piece, .context = &tree};

    if (numeric_check(call, a, &pieces.n, error) != 0 || numeric_check_output(call, "sum", sum, error) != 0 ||
        for_pieces(call, &pieces, error) != 0)
        return -1;
    store(sum, tree_total(&tree), a->dtype);
    return 0;
}

int numeric_outcome(int code, const sharedmem_error *error)
{
    if (code == 0)
        return 0;
    if (error->kind != SHAREDMEM_ERROR_NONE)
        return error_uncaught(error);
    errno = ECANCELED;
    return -1;
}

int sharedmem_sum(sharedmem_array a, void *sum)
{
    sharedmem_error error;

    return numeric_outcome(sum_array(&a, sum, &error), &error);
}

/* ---- Min and max ---- */

struct extreme {
    bool is_max;
    uint64_t best; /* the index of the best element so far */
};

/* The higher, the better. In a minimum NaN goes round, from the largest key to the smallest. */
NUMERIC_INLINE numeric_key score(const char *data, size_t i, int32_t dtype, bool is_max)
{
    const size_t size = numeric_key_bytes(dtype);
    numeric_key key = numeric_key_of(data + i * size, dtype);

    if (is_max)
        return key;
    if (dtype == SHAREDMEM_FLOAT32 || dtype == SHAREDMEM_FLOAT64)
        return ~(numeric_key)(((uint64_t)key + 1) & numeric_all_ones(size));
    if (dtype == SHAREDMEM_COMPLEX64)
        return ~(numeric_key)((uint64_t)key + ((uint64_t)3 << 32));
    if (dtype == SHAREDMEM_COMPLEX128)
        return ~(key + ((numeric_key)3 << 64));
    return ~key;
}

/* Of elements begin to end-1, and of the one at best, which wins a draw. */
NUMERIC_INLINE size_t find_best(const char *data, size_t best, size_t begin, size_t end, int32_t dtype,
                                bool is_max)
{
    numeric_key highest = score(data, best, dtype, is_max);

    for (size_t i = begin; i < end; i++) {
        numeric_key key = score(data, i, dtype, is_max);

        if (numeric_less(highest, key, dtype)) {
            highest = key;
            best = i;
        }
    }
    return best;
}

static uint64_t best_of(const struct pieces *pieces, size_t best, size_t begin, size_t end)
{
    const struct extreme *extreme = pieces->context;

    if (extreme->is_max)
        NUMERIC_WITH_DTYPE(D, pieces->dtype, best = find_best(pieces->data, best, begin, end, D, true));
    else
        NUMERIC_WITH_DTYPE(D, pieces->dtype, best = find_best(pieces->data, best, begin, end, D, false));
    return best;
}

static void find_best_of_piece(const struct pieces *pieces, size_t begin, size_t end, union outcome *outcome)
{
    outcome->best = best_of(pieces, begin, begin, end);
}

/* Pieces come in order, so that of equal elements the first stays. */
static void take_better(struct pieces *pieces, const union outcome *outcome)
{
    struct extreme *extreme = pieces->context;

    extreme->best = best_of(pieces, extreme->best, outcome->best, outcome->best + 1);
}

static int find_extreme(const char *call, const char *name, const sharedmem_array *a, bool is_max, void *to,
                        sharedmem_error *error)
{
    struct extreme extreme = {.is_max = is_max};
    struct pieces pieces = {.data = a->data,
                            .dtype = a->dtype,
                            .find = find_best_of_piece,
                            .take = take_better,
                            .context = &extreme};
    size_t size = sharedmem_itemsize(a->dtype);

    if (numeric_check(call, a, &pieces.n, error) != 0 || numeric_check_output(call, name, to, error) != 0)
        return -1;
    if (pieces.n == 0)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: the array is empty, and has no %s", call,
                         name);
    if (for_pieces(call, &pieces, error) != 0)
        return -1;
    memcpy(to, pieces.data + extreme.best * size, size);
    return 0;
}

int sharedmem_min(sharedmem_array a, void *min)
{
    sharedmem_error error;

    return numeric_outcome(find_extreme("sharedmem_min", "min", &a, false, min, &error), &error);
}

int sharedmem_max(sharedmem_array a, void *max)
{
    sharedmem_error error;

    return numeric_outcome(find_extreme("sharedmem_max", "max", &a, true, max, &error), &error);
}
