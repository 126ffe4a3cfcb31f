#include "team/move.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/copy.h"
#include "base/error.h"
#include "base/fault.h"
#include "team/announce.h"
#include "team/barrier.h"
#include "team/collective.h"
#include "team/moving.h"
#include "team/windows.h"

enum { OTHER_BYTES = ANNOUNCE_ERRNO + 1, OTHER_SIZES };

/* Not where it lies there already: others may have gone on, and changed it. */
static void copy_part(char *to, const char *from, const struct part *part)
{
    if (part->is.bytes > 0 && to != from)
        copy_far(to, from, part->is.bytes);
}

/* ---- Slots ---- */

/* In calls without large parts, or where parts differ. */
static char *slot_of(const struct moving *moving, uint32_t rank)
{
    size_t bytes = moving->move->has_sizes ? COLLECTIVE_SLOT_BYTES : bits_round_up(moving->move->bytes, 64);

    return collective_half(moving->team, moving->barrier) + rank * (COLLECTIVE_SLOT_HEAD + bytes);
}

static bool tells_sizes(const struct moving *moving)
{
    return moving->move->has_sizes && moving->has_whole && moving->move->way != MOVE_ALLGATHER;
}

/* This rank's own part is not as large as it says that it is: the call will be refused, and nothing is read. */
static bool is_too_small(const struct moving *moving, const struct part *part)
{
    return moving->move->has_sizes && part->rank == moving->me && moving->move->way != MOVE_SCATTER &&
           part->is.bytes != moving->move->bytes;
}

static void put_slots(const struct moving *moving)
{
    uint64_t total = moving->mine.is.total;

    for (struct part part = moving_first(moving); moving_has(moving, &part);
         part = moving_next(moving, &part)) {
        if (tells_sizes(moving)) {
            part.is.total = total;
            memcpy(slot_of(moving, part.rank), &part.is, sizeof part.is);
        }
        if (moving_owns(moving, &part) && !moving_is_large(&part) && part.is.bytes > 0 &&
            !is_too_small(moving, &part))
            copy_far(slot_of(moving, part.rank) + COLLECTIVE_SLOT_HEAD, moving_source(moving, &part),
                     part.is.bytes);
    }
}

static void take_slots(const struct moving *moving)
{
    for (struct part part = moving_first(moving); moving_has(moving, &part);
         part = moving_next(moving, &part)) {
        char *place = moving_place(moving, &part);

        if (!moving_wants(moving, &part) || moving_is_large(&part) || part.is.bytes == 0)
            continue;
        if (moving_owns(moving, &part))
            copy_part(place, moving_source(moving, &part), &part);
        else if (place != moving_shared_source(moving, &part))
            copy_far(place, slot_of(moving, part.rank) + COLLECTIVE_SLOT_HEAD, part.is.bytes);
    }
}

/* ---- What all ranks say, and make of it ---- */

/* What stands for the sizes that all ranks give alike; bit 0 is set where rank's own agrees with them. */
static uint64_t digest(const struct move *move, uint32_t rank, uint32_t size)
{
    uint64_t sum = size;

    for (uint32_t i = 0; i < size; i++)
        sum = (sum ^ move->sizes[i]) * 0x9E3779B97F4A7C15u + (sum >> 29);
    return (sum & ~(uint64_t)1) | (move->sizes[rank] == move->bytes);
}

static bool digests_sizes(const struct move *move)
{
    return move->has_sizes && move->way == MOVE_ALLGATHER;
}

/* Returns whether the board is up. */
static bool announce(struct moving *moving)
{
    const struct move *move = moving->move;
    struct announcement mine = {.bytes = move->bytes};

    if (move->way == MOVE_SCATTER) {
        mine.source = moving->has_whole ? move->in : NULL;
        mine.into = moving_place(moving, &moving->mine);
    } else {
        mine.source = moving_source(moving, &moving->mine);
        mine.into = moving->has_whole ? move->out : NULL;
    }
    if (digests_sizes(move))
        mine.bytes = digest(move, moving->me, moving->team->size);
    return announce_put(move->place, &mine);
}

/* How many bytes rank's part shall have. */
static uint64_t expected_bytes(const struct moving *moving, uint32_t rank)
{
    struct slot_shared slot;

    if (!moving->move->has_sizes)
        return announce_bytes(moving->team, 0, moving->barrier);
    if (moving->move->way == MOVE_ALLGATHER)
        return moving->move->sizes[rank];
    memcpy(&slot, slot_of(moving, rank), sizeof slot);
    return slot.bytes;
}

/* The first rank that says other than it should: the verdict on that; else one that refuses nothing. */
static struct announce_verdict judge_bytes(const struct moving *moving)
{
    bool by_digest = digests_sizes(moving->move);
    uint64_t first = announce_bytes(moving->team, 0, moving->barrier);
    struct announce_verdict verdict = {0};

    for (uint32_t rank = 0; rank < moving->team->size && verdict.is_refused == 0; rank++) {
        uint64_t bytes = announce_bytes(moving->team, rank, moving->barrier);

        verdict.value = rank;
        if (by_digest ? (bytes & 1) == 0 : bytes != expected_bytes(moving, rank))
            verdict.is_refused = OTHER_BYTES;
        else if (by_digest && (bytes | 1) != (first | 1))
            verdict.is_refused = OTHER_SIZES;
    }
    return verdict;
}

/* Whether rank's part has to go by the board, if it is large: from private memory into private memory. */
static bool is_private(const struct moving *moving, uint32_t rank)
{
    const struct move *move = moving->move;
    bool is_dealt = move->way == MOVE_SCATTER;

    if (move->way == MOVE_ALLGATHER)
        return announce_source(moving->team, rank, moving->barrier) == NULL;
    return rank != move->root &&
           announce_source(moving->team, is_dealt ? move->root : rank, moving->barrier) == NULL &&
           announce_into(moving->team, is_dealt ? rank : move->root, moving->barrier) == NULL;
}

/* Whether all gather into the same shared memory. */
static bool is_common(const struct moving *moving)
{
    char *into = announce_into(moving->team, 0, moving->barrier);
    bool is_same = into != NULL && moving->move->way == MOVE_ALLGATHER;

    for (uint32_t rank = 1; rank < moving->team->size && is_same; rank++)
        is_same = announce_into(moving->team, rank, moving->barrier) == into;
    return is_same;
}

static struct announce_verdict judge(struct team_shared *team, const void *what)
{
    const struct moving *moving = what;
    struct announce_verdict verdict = judge_bytes(moving);

    if (verdict.is_refused != 0)
        return verdict;
    verdict.is_common = is_common(moving);
    for (uint32_t rank = 0; rank < team->size && !verdict.by_board; rank++) {
        bool large = expected_bytes(moving, rank) > COLLECTIVE_SLOT_BYTES;

        verdict.by_board = large && is_private(moving, rank);
    }
    return verdict;
}

/* ---- What is wrong ---- */

static int refuse_bytes(const struct move *move, uint32_t rank, uint64_t bytes, uint64_t expected)
{
    sharedmem_error error;

    if (!move->has_sizes)
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: bytes is %llu in rank %u, and %llu in rank 0; give the same in all ranks", move->name,
                  (unsigned long long)bytes, rank, (unsigned long long)expected);
    else
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: bytes is %llu in rank %u, and sizes[%u] %llu; make them the same", move->name,
                  (unsigned long long)bytes, rank, rank, (unsigned long long)expected);
    return error_end_call(&error, false, move->where);
}

static int refuse_sizes(const struct move *move, uint32_t rank)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
              "%s: rank %u gives other sizes than rank 0; give the same in all ranks", move->name, rank);
    return error_end_call(&error, false, move->where);
}

/* Where sizes were digested, both numbers have to be said once more. */
static int refuse_digest(const struct moving *moving, uint32_t rank)
{
    struct team_place *place = moving->move->place;
    uint32_t barrier = barrier_next(place);
    _Atomic uint64_t *words = collective_words(moving->team, moving->me, barrier);

    collective_put(&words[0], moving->move->bytes);
    collective_put(&words[1], moving->move->sizes[moving->me]);
    if (barrier_meet(place, moving->move->where) != 0)
        return -1;
    words = collective_words(moving->team, rank, barrier);
    return refuse_bytes(moving->move, rank, collective_get(&words[0]), collective_get(&words[1]));
}

static int refuse(const struct moving *moving, const struct announce_verdict *verdict)
{
    uint32_t rank = verdict->value;

    if (verdict->is_refused == OTHER_SIZES)
        return refuse_sizes(moving->move, rank);
    if (digests_sizes(moving->move))
        return refuse_digest(moving, rank);
    return refuse_bytes(moving->move, rank, announce_bytes(moving->team, rank, moving->barrier),
                        expected_bytes(moving, rank));
}

/* ---- Large parts ---- */

enum route { STAYS, PUSHED, PULLED, STAGED };

/*
 * How a large part goes. Where both its memory and its place are shared, those copy it who are many: then
 * each copies one.
 */
static enum route route_of(const struct moving *moving, const struct part *part)
{
    const struct move *move = moving->move;

    if (moving_owns(moving, part) && moving_wants(moving, part) && move->way != MOVE_ALLGATHER)
        return STAYS;
    switch (move->way) {
    case MOVE_ALLGATHER:
        return announce_has(&moving->sources, part->rank) ? PULLED : STAGED;
    case MOVE_GATHER:
        if (announce_has(&moving->intos, move->root))
            return PUSHED;
        return announce_has(&moving->sources, part->rank) ? PULLED : STAGED;
    default:
        if (announce_has(&moving->sources, move->root))
            return PULLED;
        return announce_has(&moving->intos, part->rank) ? PUSHED : STAGED;
    }
}

static void note_ranks(struct moving *moving)
{
    uint32_t me = moving->me, root = moving->move->root;

    memset(&moving->sources, 0, sizeof moving->sources);
    memset(&moving->intos, 0, sizeof moving->intos);
    if (moving->has_whole) {
        announce_note(moving->team, moving->barrier, 0, moving->team->size, &moving->sources, &moving->intos);
    } else {
        announce_note(moving->team, moving->barrier, me, me + 1, &moving->sources, &moving->intos);
        announce_note(moving->team, moving->barrier, root, root + 1, &moving->sources, &moving->intos);
    }
}

/* What this rank copies straight to where it belongs: from its own memory, or between it and another's. */
static void copy_directly(const struct moving *moving)
{
    for (struct part part = moving_first(moving); moving_has(moving, &part);
         part = moving_next(moving, &part)) {
        enum route route = route_of(moving, &part);

        if (!moving_is_large(&part))
            continue;
        if (moving_owns(moving, &part) && moving_wants(moving, &part))
            copy_part(moving_place(moving, &part), moving_source(moving, &part), &part);
        else if (route == PULLED && moving_wants(moving, &part))
            copy_part(moving_place(moving, &part), moving_shared_source(moving, &part), &part);
        else if (route == PUSHED && moving_owns(moving, &part))
            copy_part(moving_shared_place(moving, &part), moving_source(moving, &part), &part);
    }
    FAULT_POINT();
}

/* What a part has of the window from `from` to `to` of the stream: begin to end - 1 of its bytes. */
static bool is_in_window(const struct part *part, size_t from, size_t to, size_t *begin, size_t *end)
{
    size_t start = part->is.start, stop = start + part->is.bytes;

    *begin = bits_difference(from, start);
    *end = bits_smaller(stop, to) - start;
    return moving_is_large(part) && start < to && stop > from;
}

static void put_window(const void *what, char *half, size_t from, size_t to)
{
    const struct moving *moving = what;
    size_t begin, end;

    for (struct part part = moving_first(moving); moving_has(moving, &part);
         part = moving_next(moving, &part)) {
        if (!is_in_window(&part, from, to, &begin, &end) || !moving_owns(moving, &part) ||
            route_of(moving, &part) != STAGED)
            continue;
        copy_far(half + (part.is.start + begin - from), moving_source(moving, &part) + begin, end - begin);
    }
}

static void take_window(const void *what, char *half, size_t from, size_t to)
{
    const struct moving *moving = what;
    size_t begin, end;

    for (struct part part = moving_first(moving); moving_has(moving, &part);
         part = moving_next(moving, &part)) {
        if (!is_in_window(&part, from, to, &begin, &end) || !moving_wants(moving, &part) ||
            moving_owns(moving, &part) || route_of(moving, &part) != STAGED)
            continue;
        copy_far(moving_place(moving, &part) + begin, half + (part.is.start + begin - from), end - begin);
    }
}

/*
 * What is copied directly is copied before the next barrier, behind which its owner may change it, and others
 * use it. The stream has the place of each large part, also of those that do not go by it: so nobody needs to
 * know of others how they go.
 */
static int move_large(struct moving *moving, bool by_board)
{
    const struct move *move = moving->move;
    struct windows windows = {
        move->place, move->where, moving->mine.is.total, collective_half_bytes(moving->team), put_window,
        take_window, moving};

    note_ranks(moving);
    copy_directly(moving);
    return by_board ? windows_pass(&windows, 0) : barrier_meet(move->place, move->where);
}

/* ---- The call ---- */

/* All gather into the same memory: each rank puts its own part there. */
static int fill_common(const struct moving *moving)
{
    copy_part(moving_place(moving, &moving->mine), moving_source(moving, &moving->mine), &moving->mine);
    FAULT_POINT();
    return barrier_meet(moving->move->place, moving->move->where);
}

/* Where parts differ, a rank without the whole has read of its own what root says. */
static void learn_mine(struct moving *moving)
{
    if (moving->move->has_sizes && !moving->has_whole)
        memcpy(&moving->mine.is, slot_of(moving, moving->me), sizeof moving->mine.is);
}

static int move_among(struct moving *moving)
{
    const struct move *move = moving->move;
    struct announce_verdict verdict;

    if (announce(moving) && (move->has_sizes || !moving_is_large(&moving->mine)))
        put_slots(moving);
    if (announce_meet(move->place, move->where, judge, moving, &verdict) != 0)
        return -1;
    if (verdict.is_refused != 0)
        return refuse(moving, &verdict);
    if (verdict.is_common)
        return fill_common(moving);
    learn_mine(moving);
    if (move->has_sizes || !moving_is_large(&moving->mine))
        take_slots(moving);
    return moving->mine.is.total > 0 ? move_large(moving, verdict.by_board) : 0;
}

static int move_alone(const struct move *move)
{
    size_t offset = move->has_sizes && move->offsets != NULL ? move->offsets[0] : 0;
    size_t from = move->way == MOVE_SCATTER ? offset : 0, to = move->way == MOVE_SCATTER ? 0 : offset;

    if (move->has_sizes && move->sizes[0] != move->bytes)
        return refuse_bytes(move, 0, move->bytes, move->sizes[0]);
    if (move->in != move->out && move->bytes > 0 && move->out + to != move->in + from)
        memmove(move->out + to, move->in + from, move->bytes);
    return 0;
}

int move_parts(const struct move *move)
{
    struct moving moving; /* large, and of no use but for large parts */

    if (collective_is_alone(move->place))
        return move_alone(move);
    moving.move = move;
    moving.team = move->place->team;
    moving.me = move->place->rank;
    moving.barrier = barrier_next(move->place);
    moving.has_whole = move->way == MOVE_ALLGATHER || moving.me == move->root;
    moving.mine = moving_find_mine(&moving);
    return move_among(&moving);
}
