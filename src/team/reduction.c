/*
 * Few elements: each rank puts its own before one barrier, and combines what it needs of all others' behind
 * it. collective.c says why what is put is not overwritten too early.
 *
 * In a large team the last one to come does it for all, where all get the same: N ranks that read N lines each
 * would be at it longer than at the barrier. One place is enough for what it makes: the next is made when all
 * have come to a later barrier, and so have read this one. What the ranks have put stays as it is: where the
 * last one died at it, they do it themselves.
 *
 * Where several ranks mean the same shared memory the first of them writes it for all, and another barrier says that
 * it has: a slow rank's result would else undo what a fast one has done with it.
 */
#include "team/reduction.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/fault.h"
#include "memory/segment.h"
#include "team/barrier.h"
#include "team/collective.h"

/* The last word says where a shared result goes. */
#define OUT_WORD    (TEAM_WORDS - 1)
#define WORDS_BYTES (OUT_WORD * sizeof(uint64_t))

/* From so many bytes of all ranks on another barrier is cheaper than that one rank combines all of them. */
#define BOARD_BYTES ((size_t)32 << 10)

void reduction_combine(const struct reduction *reduction, void *to, const void *left, const void *right,
                       size_t n)
{
    if (reduction->kernel != NULL) {
        reduction->kernel(to, left, right, n);
        return;
    }
    if (to != left)
        memcpy(to, left, n * reduction->bytes);
    for (size_t i = 0; i < n; i++)
        reduction->combine((char *)to + i * reduction->bytes, (const char *)right + i * reduction->bytes,
                           reduction->context);
}

void reduction_combine_one(const struct reduction *reduction, void *to, const void *from, size_t n)
{
    if (to != from)
        memmove(to, from, n * reduction->bytes);
    if (reduction->alone != NULL)
        reduction->alone(to, to, to, n);
}

/* Of how many ranks, 0 and those behind it, the elements make up what this rank gets. */
static uint32_t n_mine(const struct reduction *reduction)
{
    const struct team_place *place = reduction->place;

    if (!reduction_is_scan(reduction))
        return reduction_wants(reduction, place->rank) ? place->team->size : 0;
    return place->rank + (reduction->kind == REDUCTION_SCAN);
}

/* One barrier, after which finish, which may be NULL, has been called or not, as by barrier_meet_and(). */
static int meet(const struct reduction *reduction, barrier_finish *finish)
{
    if (reduction_is_scan(reduction))
        return barrier_meet(reduction->place, reduction->where);
    return barrier_meet_and(reduction->place, reduction->where, finish, reduction);
}

/* ---- A result that ranks share ---- */

static uint64_t out_of(const struct reduction *reduction, uint32_t rank)
{
    return collective_get(&collective_words(reduction->place->team, rank, reduction->barrier)[OUT_WORD]);
}

/* Of a filter that tells 8,192 places apart. */
#define FILTER_WORDS 128u

/*
 * Whether any two ranks may mean the same shared memory. All that ask get the same answer. A yes that is wrong,
 * as happens in teams of a hundred ranks and more, costs a barrier.
 */
static bool is_common(const struct reduction *reduction)
{
    uint64_t filter[FILTER_WORDS];
    bool is_clear = false;

    for (uint32_t rank = 0; rank < reduction->place->team->size; rank++) {
        const uint64_t out = out_of(reduction, rank);
        /* Of what differs anywhere in the product the upper bits differ. */
        const uint64_t bit = out * UINT64_C(0x9e3779b97f4a7c15) >> 51;

        if (out == 0)
            continue;
        if (!is_clear)
            memset(filter, 0, sizeof filter);
        is_clear = true;
        if ((filter[bit / 64] >> bit % 64 & 1) != 0)
            return true;
        filter[bit / 64] |= UINT64_C(1) << bit % 64;
    }
    return false;
}

/* Whether this rank writes its own result: the first one of those that mean that memory does. */
static bool is_writer(const struct reduction *reduction, bool common)
{
    const uint64_t mine = common ? out_of(reduction, reduction->place->rank) : 0;

    for (uint32_t rank = 0; mine != 0 && rank < reduction->place->rank; rank++) {
        if (out_of(reduction, rank) == mine)
            return false;
    }
    return true;
}

static void put_out(const struct reduction *reduction)
{
    struct team_place *place = reduction->place;
    bool is_shared = reduction->kind == REDUCTION_AT_ALL && segment_contains(reduction->out);

    collective_put(&collective_words(place->team, place->rank, reduction->barrier)[OUT_WORD],
                   is_shared ? segment_offset(reduction->out) : 0);
}

/* What the last one to come says to those behind the barrier. */
static void put_common_for_all(struct team_shared *team, const struct reduction *reduction)
{
    collective_put(&team->result[OUT_WORD], is_common(reduction));
}

/* met: as barrier_meet_and() said. */
static bool get_common(const struct reduction *reduction, int met)
{
    return met == 1 ? collective_get(&reduction->place->team->result[OUT_WORD]) != 0 : is_common(reduction);
}

/* ---- By words ---- */

/* Aligned as what users' functions get is. */
struct words {
    _Alignas(HEAP_ALIGNMENT) uint64_t word[TEAM_WORDS];
};

static inline size_t n_words(const struct reduction *reduction)
{
    return (reduction->count * reduction->bytes + sizeof(uint64_t) - 1) / sizeof(uint64_t);
}

static inline void get_words(const struct reduction *reduction, const _Atomic uint64_t *from, struct words *to)
{
    for (size_t i = 0; i < n_words(reduction); i++)
        to->word[i] = collective_get(&from[i]);
}

static inline void put_words(const struct reduction *reduction, _Atomic uint64_t *to, const struct words *from)
{
    for (size_t i = 0; i < n_words(reduction); i++)
        collective_put(&to[i], from->word[i]);
}

/* What the first n ranks have put. */
static void combine_words(const struct reduction *reduction, uint32_t n, struct words *result)
{
    struct team_shared *team = reduction->place->team;
    struct words other;

    get_words(reduction, collective_words(team, 0, reduction->barrier), result);
    if (n == 1)
        reduction_combine_one(reduction, result, result, reduction->count);
    for (uint32_t rank = 1; rank < n; rank++) {
        get_words(reduction, collective_words(team, rank, reduction->barrier), &other);
        reduction_combine(reduction, result, result, &other, reduction->count);
    }
}

static void combine_words_for_all(struct team_shared *team, const void *argument)
{
    struct words result;

    combine_words(argument, team->size, &result);
    put_words(argument, team->result, &result);
    put_common_for_all(team, argument);
}

static int by_words(struct reduction *reduction)
{
    struct team_shared *team = reduction->place->team;
    const size_t bytes = reduction->count * reduction->bytes;
    struct words words = {{0}};
    bool common;
    int met;

    memcpy(words.word, reduction->in, bytes);
    put_words(reduction, collective_words(team, reduction->place->rank, reduction->barrier), &words);
    put_out(reduction);
    met = meet(reduction, combine_words_for_all);
    if (met < 0)
        return -1;
    common = get_common(reduction, met);
    if (n_mine(reduction) > 0 && is_writer(reduction, common)) {
        if (met == 1)
            get_words(reduction, team->result, &words);
        else
            combine_words(reduction, n_mine(reduction), &words);
        memcpy(reduction->out, words.word, bytes);
    }
    return common ? barrier_meet(reduction->place, reduction->where) : 0;
}

/* ---- By the board ---- */

/* Slots share no cache line. The one behind those of the ranks is for the last one to come. */
static size_t slot_bytes(const struct reduction *reduction)
{
    return bits_round_up(reduction->count * reduction->bytes, HEAP_ALIGNMENT);
}

static char *slot_of(const struct reduction *reduction, uint32_t rank)
{
    return collective_half(reduction->place->team, reduction->barrier) + rank * slot_bytes(reduction);
}

static void combine_slots(const struct reduction *reduction, uint32_t n, char *result)
{
    if (n == 1)
        reduction_combine_one(reduction, result, slot_of(reduction, 0), reduction->count);
    for (uint32_t rank = 1; rank < n; rank++)
        reduction_combine(reduction, result, rank == 1 ? slot_of(reduction, 0) : result,
                          slot_of(reduction, rank), reduction->count);
}

static void combine_slots_for_all(struct team_shared *team, const void *argument)
{
    const struct reduction *reduction = argument;
    int code = collective_first_errno(team, reduction->barrier);

    if (code == 0)
        combine_slots(reduction, team->size, slot_of(reduction, team->size));
    collective_put(team->result, (uint64_t)code);
    put_common_for_all(team, reduction);
}

/* Puts this rank's elements, or says why not. */
static void put_slot(const struct reduction *reduction)
{
    struct team_place *place = reduction->place;
    int code = collective_put_up_board(place->team);

    if (code == 0)
        memcpy(slot_of(reduction, place->rank), reduction->in, reduction->count * reduction->bytes);
    FAULT_POINT();
    collective_put(collective_words(place->team, place->rank, reduction->barrier), (uint64_t)code);
    put_out(reduction);
}

static int by_board(const struct reduction *reduction)
{
    struct team_shared *team = reduction->place->team;
    bool common;
    int code, met;

    put_slot(reduction);
    met = meet(reduction, combine_slots_for_all);
    if (met < 0)
        return -1;
    code = met == 1 ? (int)collective_get(team->result) : collective_first_errno(team, reduction->barrier);
    if (code != 0) {
        errno = code;
        return -1;
    }
    common = get_common(reduction, met);
    if (is_writer(reduction, common)) {
        if (met != 1)
            combine_slots(reduction, n_mine(reduction), reduction->out);
        else if (n_mine(reduction) > 0)
            memcpy(reduction->out, slot_of(reduction, team->size), reduction->count * reduction->bytes);
    }
    return common ? barrier_meet(reduction->place, reduction->where) : 0;
}

/* ---- By size ---- */

static bool fits_board(const struct reduction *reduction)
{
    size_t n_slots = (size_t)reduction->place->team->size + 1;

    /* Else what is rounded up may overflow. */
    return reduction->count * reduction->bytes <= BOARD_BYTES && slot_bytes(reduction) <= BOARD_BYTES / n_slots;
}

int reduction_run(struct reduction *reduction)
{
    reduction->barrier = barrier_next(reduction->place);
    if (reduction->count == 0 || reduction->bytes == 0)
        return barrier_meet(reduction->place, reduction->where);
    if (reduction->count * reduction->bytes <= WORDS_BYTES)
        return by_words(reduction);
    return fits_board(reduction) ? by_board(reduction) : reduction_large(reduction);
}
