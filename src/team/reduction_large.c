/*
 * Many elements: each rank combines a slice of them, of all ranks, and has its result go where it is wanted.
 *
 * What lies in the segment is read where it lies, and written there. What is private goes through the team's
 * stage, a piece of the elements in each round, small enough for caches: in it each rank has a slot, for the
 * elements of that round that it hands to the others, and later for what they need of it. Nothing is put there
 * that only its own rank needs. Behind its first barrier a round has three steps, each rank doing in
 *
 *     step k      puts its elements of round k on the stage
 *     step k + 1  combines its slice of round k
 *     step k + 2  takes the results of round k from the stage
 *
 * with a barrier between two steps; so that each step does one thing for each of three rounds, and a round
 * costs one barrier.
 *
 * Round k of a call whose first barrier is g has the buffer (g + k) % BUFFERS of the stage. It is touched from
 * before barrier g + k to when its last rank comes to barrier g + k + 2, or to one of a later call. The next
 * round that has this buffer, in this call or another, puts something there behind barrier g + k + 3 at the
 * earliest (BUFFERS is 4, which a count of barriers that wraps is a multiple of), when all have been to the
 * one before. What a rank says of its memory it puts before barrier g, others read it until the last barrier of
 * the call, and it puts the next behind that.
 *
 * An element that is larger than a slot goes through a stage of its own, which lasts for the call.
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/fault.h"
#include "memory/segment.h"
#include "team/barrier.h"
#include "team/collective.h"
#include "team/reduction.h"
#include "team/slice.h"

#define BUFFERS 4u

/* A slot, of which two ranks' buffers fit a core's cache; in teams of hundreds less, so that all fit memory. */
#define SLOT_BYTES  ((size_t)64 << 10)
#define STAGE_BYTES ((size_t)32 << 20)
#define SLOT_MIN    ((size_t)4 << 10)

/* What is combined at a time, of all ranks, before the next of it: it stays near. */
#define BLOCK_BYTES ((size_t)8 << 10)

/* Where a rank's memory is, as an offset; 0: private, or it has none. */
struct offered {
    uint64_t in, out;
};

struct large {
    const struct reduction *reduction;
    struct offered *offered; /* of each rank */
    char *slots;             /* in each buffer one for each rank, and for exscans a spare one behind them */
    size_t slot_bytes;
    uint32_t n_slots; /* in each buffer */
    uint32_t buffer; /* of round 0 */
    uint32_t n_buffers;
    size_t per_round, n_rounds; /* elements in each round but the last, which may have less */
};

/* Elements begin to end-1, of round. */
struct piece {
    size_t round, begin, end;
};

/* ---- The stage ---- */

static size_t offered_bytes(uint32_t size)
{
    return bits_round_up(size * sizeof(struct offered), HEAP_ALIGNMENT);
}

/* Of a team's stage; the same in all its calls. */
static size_t team_slot_bytes(uint32_t size)
{
    size_t fitting = STAGE_BYTES / BUFFERS / (size + 1) / SLOT_MIN * SLOT_MIN;

    return fitting < SLOT_MIN ? SLOT_MIN : bits_smaller(fitting, SLOT_BYTES);
}

static void lay_out(struct large *large, void *stage, uint32_t size)
{
    large->offered = stage;
    large->slots = (char *)stage + offered_bytes(size);
}

static char *slot_of(const struct large *large, size_t round, uint32_t rank)
{
    size_t buffer = (large->buffer + round) % large->n_buffers;

    return large->slots + (buffer * large->n_slots + rank) * large->slot_bytes;
}

/* The place of an element of the piece's round in rank's slot. */
static char *staged(const struct large *large, const struct piece *piece, uint32_t rank)
{
    return slot_of(large, piece->round, rank) +
           (piece->begin - piece->round * large->per_round) * large->reduction->bytes;
}

/* ---- Whose memory is where ---- */

static uint32_t my_rank(const struct large *large)
{
    return large->reduction->place->rank;
}

static void offer(const struct large *large)
{
    const struct reduction *reduction = large->reduction;
    const char *out = reduction_wants(reduction, my_rank(large)) ? reduction->out : NULL;

    large->offered[my_rank(large)] =
        (struct offered){segment_contains(reduction->in) ? segment_offset(reduction->in) : 0,
                         out != NULL && segment_contains(out) ? segment_offset(out) : 0};
}

static bool stages_result(const struct large *large, uint32_t rank)
{
    return reduction_wants(large->reduction, rank) && large->offered[rank].out == 0;
}

/* Whether all can be read and written where it is. */
static bool is_all_shared(const struct large *large)
{
    for (uint32_t rank = 0; rank < large->reduction->place->team->size; rank++) {
        if (large->offered[rank].in == 0 || stages_result(large, rank))
            return false;
    }
    return true;
}

/* Where the caller reads rank's elements. */
static const char *source(const struct large *large, const struct piece *piece, uint32_t rank)
{
    const size_t at = piece->begin * large->reduction->bytes;

    if (rank == my_rank(large))
        return large->reduction->in + at;
    return large->offered[rank].in != 0 ? (char *)segment_at(large->offered[rank].in) + at
                                        : staged(large, piece, rank);
}

/* Where the caller writes rank's result, but for the one that all take from its own slot; NULL: nowhere. */
static char *target(const struct large *large, const struct piece *piece, uint32_t rank)
{
    const struct reduction *reduction = large->reduction;
    const size_t at = piece->begin * reduction->bytes;

    if (!reduction_wants(reduction, rank))
        return NULL;
    if (rank == my_rank(large))
        return reduction->out + at;
    if (large->offered[rank].out != 0)
        return (char *)segment_at(large->offered[rank].out) + at;
    return reduction_is_scan(reduction) ? staged(large, piece, rank) : NULL;
}

/* ---- The parts of a step ---- */

/* Rank's slice of elements begin to end-1; it borders on cache lines of the others'. */
static struct piece slice(const struct large *large, const struct piece *of, uint32_t rank)
{
    size_t unit = large->reduction->bytes < HEAP_ALIGNMENT ? HEAP_ALIGNMENT : 1;
    sharedmem_range range =
        slice_of(of->end - of->begin, unit, (int)rank, (int)large->reduction->place->team->size);

    return (struct piece){of->round, of->begin + range.begin, of->begin + range.end};
}

static struct piece whole(const struct large *large, size_t round)
{
    size_t begin = round * large->per_round;

    return (struct piece){round, begin, bits_smaller(begin + large->per_round, large->reduction->count)};
}

static size_t bytes_of(const struct large *large, const struct piece *piece)
{
    return (piece->end - piece->begin) * large->reduction->bytes;
}

/* Puts what the others need of a round: all but the caller's own slice. */
static void put(const struct large *large, size_t round)
{
    const struct piece all = whole(large, round), own = slice(large, &all, my_rank(large));
    const struct piece parts[] = {{round, all.begin, own.begin}, {round, own.end, all.end}};

    for (size_t i = 0; i < 2 && !segment_contains(large->reduction->in); i++)
        memcpy(staged(large, &parts[i], my_rank(large)),
               large->reduction->in + parts[i].begin * large->reduction->bytes, bytes_of(large, &parts[i]));
}

/* Takes what the others have made of a round. */
static void take(const struct large *large, size_t round)
{
    const struct piece all = whole(large, round);

    if (!stages_result(large, my_rank(large)))
        return;
    for (uint32_t rank = 0; rank < large->reduction->place->team->size; rank++) {
        const struct piece part = slice(large, &all, rank);

        if (rank != my_rank(large))
            memcpy(large->reduction->out + part.begin * large->reduction->bytes,
                   staged(large, &part, reduction_is_scan(large->reduction) ? my_rank(large) : rank),
                   bytes_of(large, &part));
    }
}

/* Whether somebody takes the caller's results from its slot. */
static bool is_slot_wanted(const struct large *large)
{
    for (uint32_t rank = 0; rank < large->reduction->place->team->size; rank++) {
        if (rank != my_rank(large) && stages_result(large, rank))
            return true;
    }
    return false;
}

/* The first target there is: combined elements can be written to it, where nobody takes them from the slot. */
static char *first_target(const struct large *large, const struct piece *block)
{
    char *first = NULL;

    for (uint32_t rank = 0; rank < large->reduction->place->team->size && first == NULL; rank++)
        first = target(large, block, rank);
    return first;
}

/* Writes what has been combined to where it is wanted besides; many may mean the same shared memory. */
static void spread(const struct large *large, const struct piece *block, const char *combined)
{
    const char *last = combined;

    for (uint32_t rank = 0; rank < large->reduction->place->team->size; rank++) {
        char *to = target(large, block, rank);

        if (to != NULL && to != combined && to != last)
            memcpy(to, combined, bytes_of(large, block));
        last = to;
    }
}

/*
 * All ranks' elements of a block into one. Only the last step writes to what may be a rank's own elements, when
 * they have been read; and not where a function of the user would, which changes the left ones to combine them.
 */
static void combine_block(const struct large *large, const struct piece *block, char *slot, bool is_kept)
{
    const struct reduction *reduction = large->reduction;
    const uint32_t size = reduction->place->team->size;
    const char *left = source(large, block, 0);
    char *to = slot;

    for (uint32_t rank = 1; rank < size; rank++) {
        if (rank == size - 1 && !is_kept && reduction->kernel != NULL)
            to = first_target(large, block);
        reduction_combine(reduction, to, left, source(large, block, rank), block->end - block->begin);
        left = to;
    }
    spread(large, block, to);
}

/* Each rank gets what the ranks up to it make; it is combined in slot, from which it goes to the rank. */
static void scan_block(const struct large *large, const struct piece *block, char *slot)
{
    const struct reduction *reduction = large->reduction;

    reduction_combine_one(reduction, slot, source(large, block, 0), block->end - block->begin);
    memcpy(target(large, block, 0), slot, bytes_of(large, block));
    for (uint32_t rank = 1; rank < reduction->place->team->size; rank++) {
        reduction_combine(reduction, slot, slot, source(large, block, rank), block->end - block->begin);
        memcpy(target(large, block, rank), slot, bytes_of(large, block));
    }
}

/* Each gets what those before it make, when its own elements, which may be there, are in what the next get. */
static void exscan_block(const struct large *large, const struct piece *block, char *slot, char *spare)
{
    const struct reduction *reduction = large->reduction;

    reduction_combine_one(reduction, slot, source(large, block, 0), block->end - block->begin);
    for (uint32_t rank = 1; rank < reduction->place->team->size; rank++) {
        char *before = rank % 2 == 1 ? slot : spare, *with = rank % 2 == 1 ? spare : slot;

        if (rank < reduction->place->team->size - 1)
            reduction_combine(reduction, with, before, source(large, block, rank), block->end - block->begin);
        memcpy(target(large, block, rank), before, bytes_of(large, block));
    }
}

/* Two places for a block that nobody else touches meanwhile; the first is where others take a result from. */
static void find_places(const struct large *large, const struct piece *block, bool is_all_shared, char *places[2])
{
    const uint32_t size = large->reduction->place->team->size;

    if (!is_all_shared) {
        /* Of its own slice a rank has put nothing; so that is free, and in the spare slot too. */
        places[0] = staged(large, block, my_rank(large));
        places[1] = staged(large, block, size);
        return;
    }
    /* There is nothing on the stage. With one buffer there is one element, and one rank that combines. */
    places[0] = slot_of(large, 0, my_rank(large));
    places[1] = large->n_buffers > 1 ? slot_of(large, 1, my_rank(large)) : slot_of(large, 0, size);
}

/* Combines the caller's slice. */
static void combine(const struct large *large, const struct piece *part, bool is_all_shared)
{
    const struct reduction *reduction = large->reduction;
    const size_t most = bits_smaller(BLOCK_BYTES, large->slot_bytes);
    const size_t step = reduction->bytes < most ? most / reduction->bytes : 1;
    const bool is_kept = is_slot_wanted(large);
    char *places[2];

    for (size_t begin = part->begin; begin < part->end; begin += step) {
        const struct piece block = {part->round, begin, bits_smaller(begin + step, part->end)};

        find_places(large, &block, is_all_shared, places);

        if (reduction->kind == REDUCTION_SCAN)
            scan_block(large, &block, places[0]);
        else if (reduction->kind == REDUCTION_EXSCAN)
            exscan_block(large, &block, places[0], places[1]);
        else
            combine_block(large, &block, places[0], is_kept);
    }
}

/* ---- The steps ---- */

static int meet(const struct large *large)
{
    return barrier_meet(large->reduction->place, large->reduction->where);
}

/* Nothing goes by the stage: one slice of all is enough. */
static int run_shared(const struct large *large)
{
    const struct piece all = {0, 0, large->reduction->count}, own = slice(large, &all, my_rank(large));

    combine(large, &own, true);
    return meet(large);
}

/* Step 0 is over, and the barrier behind it. */
static int run_rounds(const struct large *large)
{
    for (size_t k = 1; k < large->n_rounds + 2; k++) {
        if (k >= 2)
            take(large, k - 2);
        if (k <= large->n_rounds) {
            const struct piece all = whole(large, k - 1), own = slice(large, &all, my_rank(large));

            combine(large, &own, false);
        }
        if (k < large->n_rounds)
            put(large, k);
        FAULT_POINT();
        if (k <= large->n_rounds && meet(large) != 0)
            return -1;
    }
    return 0;
}

static int refuse(int code)
{
    errno = code;
    return -1;
}

/* code: why the caller has no stage; 0: it has. */
static int run(const struct large *large, int code)
{
    const struct reduction *reduction = large->reduction;
    struct team_place *place = reduction->place;
    const uint32_t barrier = barrier_next(place);

    if (code == 0) {
        offer(large);
        put(large, 0);
    }
    FAULT_POINT();
    collective_put(collective_words(place->team, place->rank, barrier), (uint64_t)code);
    if (meet(large) != 0)
        return -1;
    code = collective_first_errno(place->team, barrier);
    if (code != 0)
        return refuse(code);
    return is_all_shared(large) ? run_shared(large) : run_rounds(large);
}

/* Rounds of about the same size, of which none is larger than a slot. */
static void plan_rounds(struct large *large)
{
    const struct reduction *reduction = large->reduction;
    size_t most = large->slot_bytes / reduction->bytes;

    large->n_rounds = (reduction->count - 1) / most + 1;
    large->per_round = (reduction->count - 1) / large->n_rounds + 1;
}

static int by_stage(struct large *large)
{
    struct team_place *place = large->reduction->place;
    const uint32_t size = place->team->size;
    int code;

    large->n_slots = size + 1;
    large->n_buffers = BUFFERS;
    code = collective_put_up(place->team, &place->team->stage,
                             offered_bytes(size) + BUFFERS * large->n_slots * large->slot_bytes);
    large->buffer = barrier_next(place) % BUFFERS;
    if (code == 0)
        lay_out(large, collective_at(&place->team->stage), size);
    plan_rounds(large);
    return run(large, code);
}

/* Of few elements all have a buffer of their own. */
static int by_block(struct large *large)
{
    struct team_place *place = large->reduction->place;
    const uint32_t size = place->team->size;
    size_t n_slots;
    void *block;

    large->n_slots = size + (large->reduction->kind == REDUCTION_EXSCAN);
    large->n_buffers = (uint32_t)bits_smaller(large->reduction->count, BUFFERS - 1);
    n_slots = (size_t)large->n_buffers * large->n_slots;
    if (large->reduction->bytes < SIZE_MAX / 2 / n_slots) {
        large->slot_bytes = bits_round_up(large->reduction->bytes, HEAP_ALIGNMENT);
        block = collective_allocate(place, 1, offered_bytes(size) + n_slots * large->slot_bytes,
                                    large->reduction->where);
    } else {
        /* More than there is, which is told as such. */
        block = collective_allocate(place, n_slots, SIZE_MAX / 2, large->reduction->where);
    }
    if (block == NULL)
        return -1;
    lay_out(large, block, size);
    plan_rounds(large);
    /* Rank 0 frees it when all have taken theirs. */
    if (run(large, 0) != 0 || meet(large) != 0)
        return -1;
    if (place->rank == 0) {
        collective_set_pending(place->team, 0);
        FAULT_POINT();
        heap_free(block);
    }
    return 0;
}

int reduction_large(struct reduction *reduction)
{
    struct large large = {.reduction = reduction,
                          .slot_bytes = team_slot_bytes(reduction->place->team->size)};

    return reduction->bytes <= large.slot_bytes ? by_stage(&large) : by_block(&large);
}
