/*
 * The public collectives: what all ranks of a team call together; reduce.c has those with a function of the
 * user. Each is made of barriers, and of words that ranks put beside their counts of those.
 *
 * What a rank puts before its barrier g goes to words[g % 2] of its own line. After barrier g all read it,
 * each before it comes to its next barrier. It is not overwritten before all have read it: the next that goes
 * to the same place is put for barrier g + 2 or a later one, and that only after barrier g + 1; which is not
 * complete before every rank has come to it, and so has read what was put for g. That the team fails changes
 * nothing in this: nobody passes a barrier that is not complete.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/fault.h"
#include "host/pages.h"
#include "memory/placed.h"
#include "memory/segment.h"
#include "team/barrier.h"
#include "team/collective.h"
#include "team/job.h"
#include "team/slice.h"

/* What one barrier of a broadcast can pass by a rank's words. */
#define SMALL_BYTES ((TEAM_WORDS - 1) * sizeof(uint64_t))

static int refuse_in_map(const struct collective_call *call)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_USAGE, EPERM,
              "%s: items of a map may run one after the other in one worker, and would wait for each other "
              "for ever; ranks that meet are what sharedmem_parallel() is for",
              call->name);
    return error_end_call(&error, false, call->where);
}

int collective_begin(const struct collective_call *call, struct team_place **place)
{
    *place = job_current(call->where);
    return *place != NULL && (*place)->team->is_map ? refuse_in_map(call) : 0;
}

/* ---- One value of each rank ---- */

/* Joins two values, given as their bits, by an op that is one. */
typedef uint64_t join_function(uint64_t left, uint64_t right, int32_t op);

struct reduction {
    join_function *join;
    int32_t op;
    uint32_t barrier; /* the values are put for this one */
};

static uint64_t bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The first NaN, if there is one; of two zeros the one without a sign is the greater. */
static double greater(double left, double right)
{
    if (isnan(left) || left > right)
        return left;
    if (isnan(right) || right > left)
        return right;
    return signbit(left) ? right : left;
}

static uint64_t join_doubles(uint64_t left_bits, uint64_t right_bits, int32_t op)
{
    double left = double_of(left_bits), right = double_of(right_bits);

    switch (op) {
    case SHAREDMEM_SUM:
        return bits_of(left + right);
    case SHAREDMEM_PROD:
        return bits_of(left * right);
    case SHAREDMEM_MIN:
        return bits_of(-greater(-left, -right));
    default:
        return bits_of(greater(left, right));
    }
}

/* Sums and products of unsigned numbers wrap, and have the same bits. */
static uint64_t join_integers(uint64_t left, uint64_t right, int32_t op)
{
    switch (op) {
    case SHAREDMEM_SUM:
        return left + right;
    case SHAREDMEM_PROD:
        return left * right;
    case SHAREDMEM_MIN:
        return (int64_t)left < (int64_t)right ? left : right;
    default:
        return (int64_t)left > (int64_t)right ? left : right;
    }
}

/* By rising rank, whoever does it: sums of floating-point numbers have other bits in another order. */
static uint64_t reduce(struct team_shared *team, const struct reduction *reduction)
{
    uint64_t result = collective_get(collective_words(team, 0, reduction->barrier));

    for (uint32_t rank = 1; rank < team->size; rank++)
        result = reduction->join(result, collective_get(collective_words(team, rank, reduction->barrier)),
                                 reduction->op);
    return result;
}

/*
 * In a large team the last one to come does it for all: N ranks that read N lines each would be at it longer
 * than at the barrier. One place is enough for the result: the next one is made when all have come to a later
 * barrier, and so have read this one.
 */
static void reduce_for_all(struct team_shared *team, const void *argument)
{
    collective_put(&team->result, reduce(team, argument));
}

/* Replaces *bits by what it is with those of the others. Returns 0, or -1 with errno. */
static int meet_and_reduce(struct team_place *place, join_function *join, int32_t op, uint64_t *bits,
                           const char *where)
{
    struct team_shared *team = place->team;
    struct reduction reduction = {join, op, barrier_next(place)};
    int met;

    collective_put(collective_words(team, place->rank, reduction.barrier), *bits);
    met = barrier_meet_and(place, where, reduce_for_all, &reduction);
    if (met < 0)
        return -1;
    *bits = met == 1 ? collective_get(&team->result) : reduce(team, &reduction);
    return 0;
}

static int all(const char *name, join_function *join, int32_t op, uint64_t *bits, const char *where)
{
    const struct collective_call call = {name, where, sizeof *bits, -1, op, -1};
    struct team_place *place;
    sharedmem_error error;

    if (collective_begin(&call, &place) != 0)
        return -1;
    if (op >= SHAREDMEM_SUM && op <= SHAREDMEM_MAX)
        return collective_is_alone(place) ? 0 : meet_and_reduce(place, join, op, bits, where);
    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
              "%s: op is %d; it can be SHAREDMEM_SUM, SHAREDMEM_PROD, SHAREDMEM_MIN or SHAREDMEM_MAX", name,
              (int)op);
    return error_end_call(&error, false, where);
}

double sharedmem_all_double_at(double value, int32_t op, const char *where)
{
    uint64_t bits = bits_of(value);

    return all("all_double", join_doubles, op, &bits, where) == 0 ? double_of(bits) : (double)NAN;
}

int64_t sharedmem_all_int64_at(int64_t value, int32_t op, const char *where)
{
    uint64_t bits = (uint64_t)value;

    return all("all_int64", join_integers, op, &bits, where) == 0 ? (int64_t)bits : 0;
}

/* ---- Broadcast ---- */

struct broadcast {
    struct team_place *place;
    const char *where;
    char *data;
    size_t bytes;
    uint32_t root;
};

static bool is_root(const struct broadcast *bcast)
{
    return bcast->place->rank == bcast->root;
}

/* What root puts first: where its data are, if they are shared. */
static void put_source(_Atomic uint64_t *word, const void *data)
{
    collective_put(word, segment_contains(data) ? segment_offset(data) : 0);
}

/* Where root's data are; NULL: in its private memory. */
static const char *get_source(const _Atomic uint64_t *word)
{
    uint64_t offset = collective_get(word);

    return offset != 0 ? segment_at(offset) : NULL;
}

/*
 * Whether this rank takes what root gave. Not where both mean the same shared memory: root may have gone on,
 * and changed it.
 */
static bool wants_copy(const struct broadcast *bcast, const _Atomic uint64_t *source)
{
    return !is_root(bcast) && bcast->data != get_source(source);
}

/* Up to SMALL_BYTES go by the words behind the source. */
static int bcast_small(const struct broadcast *bcast)
{
    _Atomic uint64_t *words = collective_words(bcast->place->team, bcast->root, barrier_next(bcast->place));
    uint64_t copy[TEAM_WORDS] = {0};

    if (is_root(bcast)) {
        if (bcast->bytes > 0)
            memcpy(copy, bcast->data, bcast->bytes);
        put_source(&words[0], bcast->data);
        for (size_t i = 1; i < TEAM_WORDS; i++)
            collective_put(&words[i], copy[i - 1]);
    }
    if (barrier_meet(bcast->place, bcast->where) != 0)
        return -1;
    if (bcast->bytes == 0 || !wants_copy(bcast, &words[0]))
        return 0;
    for (size_t i = 1; i < TEAM_WORDS; i++)
        copy[i - 1] = collective_get(&words[i]);
    memcpy(bcast->data, copy, bcast->bytes);
    return 0;
}

/*
 * More go by the team's board. What root writes for barrier g it writes to half g % 2, and what is said of
 * words at the top holds for halves too.
 */
int collective_put_up_board(struct team_shared *team)
{
    uint64_t none = 0;
    void *board;

    if (atomic_load_explicit(&team->board, memory_order_acquire) != 0)
        return 0;
    board = sharedmem_malloc(2 * COLLECTIVE_HALF_BYTES);
    if (board == NULL)
        return errno;
    FAULT_POINT();
    /* release: with the block, what makes it one; team_free_blocks() gives it back. acquire: another's was first. */
    if (!atomic_compare_exchange_strong_explicit(&team->board, &none, segment_offset(board),
                                                 memory_order_acq_rel, memory_order_acquire))
        sharedmem_free(board);
    return 0;
}

char *collective_half(const struct team_shared *team, uint32_t barrier)
{
    /* acquire: pairs with the release above. */
    char *board = segment_at(atomic_load_explicit(&team->board, memory_order_acquire));

    return board + barrier % 2 * COLLECTIVE_HALF_BYTES;
}

/* Passes n bytes from `at` on, at most COLLECTIVE_HALF_BYTES. */
static int bcast_half(const struct broadcast *bcast, size_t at, size_t n)
{
    struct team_shared *team = bcast->place->team;
    uint32_t barrier = barrier_next(bcast->place);
    _Atomic uint64_t *words = collective_words(team, bcast->root, barrier);

    if (is_root(bcast)) {
        int code = collective_put_up_board(team);

        put_source(&words[0], bcast->data);
        collective_put(&words[1], (uint64_t)code);
        if (code == 0)
            memcpy(collective_half(team, barrier), bcast->data + at, n);
        FAULT_POINT();
    }
    if (barrier_meet(bcast->place, bcast->where) != 0)
        return -1;
    if (collective_get(&words[1]) != 0) {
        errno = (int)collective_get(&words[1]);
        return -1;
    }
    if (wants_copy(bcast, &words[0]))
        memcpy(bcast->data + at, collective_half(team, barrier), n);
    return 0;
}

/*
 * More than COLLECTIVE_HALF_BYTES. Where root's data are shared, the others take them from there, and root
 * waits.
 */
static int bcast_large(const struct broadcast *bcast)
{
    _Atomic uint64_t *words = collective_words(bcast->place->team, bcast->root, barrier_next(bcast->place));
    const char *source;

    if (is_root(bcast))
        put_source(&words[0], bcast->data);
    if (barrier_meet(bcast->place, bcast->where) != 0)
        return -1;
    source = get_source(&words[0]);
    if (source != NULL) {
        if (wants_copy(bcast, &words[0]))
            memcpy(bcast->data, source, bcast->bytes);
        return barrier_meet(bcast->place, bcast->where);
    }
    for (size_t at = 0; at < bcast->bytes; at += COLLECTIVE_HALF_BYTES) {
        size_t left = bcast->bytes - at;

        if (bcast_half(bcast, at, left < COLLECTIVE_HALF_BYTES ? left : COLLECTIVE_HALF_BYTES) != 0)
            return -1;
    }
    return 0;
}

static int bcast_by_size(const struct broadcast *bcast)
{
    if (bcast->bytes <= SMALL_BYTES)
        return bcast_small(bcast);
    if (bcast->bytes <= COLLECTIVE_HALF_BYTES)
        return bcast_half(bcast, 0, bcast->bytes);
    return bcast_large(bcast);
}

int sharedmem_bcast_at(void *data, size_t bytes, int root, const char *where)
{
    const struct collective_call call = {"bcast", where, bytes, -1, -1, root};
    struct team_place *place;
    sharedmem_error error;
    int size;

    if (collective_begin(&call, &place) != 0)
        return -1;
    size = place != NULL ? (int)place->team->size : 1;
    if (root < 0 || root >= size) {
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "bcast: root is %d; it can be 0 to %d, a rank of the team", root, size - 1);
        return error_end_call(&error, false, where);
    }
    if (data == NULL && bytes > 0) {
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "bcast: data is NULL; give the %zu bytes that root sends, and that others receive into",
                  bytes);
        return error_end_call(&error, false, where);
    }
    if (collective_is_alone(place))
        return 0;
    return bcast_by_size(&(struct broadcast){place, where, data, bytes, (uint32_t)root});
}

/* ---- Allocation ---- */

void collective_set_pending(struct team_shared *team, uint64_t offset)
{
    /* release: with the block, what makes it one. */
    atomic_store_explicit(&team->pending, offset, memory_order_release);
}

/* Rank 0 allocates for all, and puts where, or why not. */
static void allocate(struct team_shared *team, _Atomic uint64_t *words, size_t count, size_t size)
{
    void *block = sharedmem_calloc(count, size);
    uint64_t offset = block != NULL ? segment_offset(block) : 0;

    FAULT_POINT();
    collective_set_pending(team, offset);
    collective_put(&words[0], offset);
    collective_put(&words[1], offset != 0 ? 0 : (uint64_t)errno);
}

void *collective_allocate(struct team_place *place, size_t count, size_t size, const char *where)
{
    _Atomic uint64_t *words = collective_words(place->team, 0, barrier_next(place));

    if (place->rank == 0)
        allocate(place->team, words, count, size);
    if (barrier_meet(place, where) != 0)
        return NULL;
    if (collective_get(&words[0]) != 0)
        return segment_at(collective_get(&words[0]));
    errno = (int)collective_get(&words[1]);
    return NULL;
}

/*
 * Each rank touches its own slice, so that the pages lie on its NUMA node, and all at once. Nothing is
 * written: others may use theirs, and this one, already. Where there is no memory, the program's own touch
 * tells.
 */
static void touch_slice(const struct team_place *place, void *block, size_t bytes)
{
    sharedmem_range slice = slice_of(bytes, slice_unit(), (int)place->rank, (int)place->team->size);

    if (slice.begin < slice.end)
        pages_populate((char *)block + slice.begin, slice.end - slice.begin);
}

static void *team_calloc(struct team_place *place, size_t count, size_t size, const char *where)
{
    void *block = collective_allocate(place, count, size, where);

    if (block != NULL && place->rank == 0)
        collective_set_pending(place->team, 0);
    if (block != NULL && count * size >= SLICE_LARGE_BYTES && placed_default() != PLACED_NONE)
        touch_slice(place, block, count * size);
    return block;
}

void *sharedmem_team_calloc_at(size_t count, size_t size, const char *where)
{
    const struct collective_call call = {"team_calloc", where, count * size, -1, -1, -1};
    struct team_place *place;

    if (collective_begin(&call, &place) != 0)
        return NULL;
    return collective_is_alone(place) ? sharedmem_calloc(count, size)
                                      : team_calloc(place, count, size, where);
}
