/*
 * By the board each rank has its part of each half for itself, and passes a stream there: first what it has
 * for one partner, then what it has for the next. In its turn k rank r's partner is k - r, modulo the size
 * of the team, whose partner is r then: so both pass the same place of what they exchange with the same
 * barrier, and in place each has put what the other's takes the place of.
 */
#include "team/exchange.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/copy.h"
#include "base/error.h"
#include "base/fault.h"
#include "team/announce.h"
#include "team/barrier.h"
#include "team/collective.h"
#include "team/windows.h"

struct exchanging {
    const struct exchange *exchange;
    struct team_shared *team;
    uint32_t me;
    uint32_t barrier; /* the one behind what the ranks announce */
    size_t lane;      /* a rank's part of a half, in bytes */
    struct announce_ranks sources, intos;
};

enum { OTHER_BYTES = ANNOUNCE_ERRNO + 1 };

/* With the bytes that a rank announces: it exchanges in place. */
#define IN_PLACE ((uint64_t)1 << 63)

static const char *for_rank(const struct exchanging *exchanging, uint32_t rank)
{
    return exchanging->exchange->in + rank * exchanging->exchange->bytes;
}

static char *from_rank(const struct exchanging *exchanging, uint32_t rank)
{
    return exchanging->exchange->out + rank * exchanging->exchange->bytes;
}

static bool is_in_place(const struct exchanging *exchanging)
{
    return exchanging->exchange->in == exchanging->exchange->out;
}

static void copy_own(const struct exchanging *exchanging)
{
    if (!is_in_place(exchanging) && exchanging->exchange->bytes > 0)
        copy_far(from_rank(exchanging, exchanging->me), for_rank(exchanging, exchanging->me),
                 exchanging->exchange->bytes);
}

/* ---- Few bytes: all that a rank has is in its slot ---- */

/* Of all parts of a rank. */
static size_t total_of(const struct exchanging *exchanging)
{
    return exchanging->team->size * exchanging->exchange->bytes;
}

static bool is_small(const struct exchanging *exchanging)
{
    return total_of(exchanging) <= COLLECTIVE_SLOT_BYTES;
}

static char *slot_of(const struct exchanging *exchanging, uint32_t rank)
{
    size_t bytes = bits_round_up(total_of(exchanging), 64);

    return collective_half(exchanging->team, exchanging->barrier) + rank * bytes;
}

static void put_slot(const struct exchanging *exchanging)
{
    if (total_of(exchanging) > 0)
        copy_far(slot_of(exchanging, exchanging->me), for_rank(exchanging, 0), total_of(exchanging));
}

static void take_slots(const struct exchanging *exchanging)
{
    size_t bytes = exchanging->exchange->bytes;

    for (uint32_t rank = 0; rank < exchanging->team->size && bytes > 0; rank++)
        copy_far(from_rank(exchanging, rank), slot_of(exchanging, rank) + exchanging->me * bytes, bytes);
}

/* ---- Straight from one's memory to the other's ---- */

static uint64_t bytes_of(const struct exchanging *exchanging, uint32_t rank)
{
    return announce_bytes(exchanging->team, rank, exchanging->barrier) & ~IN_PLACE;
}

/*
 * Where anybody takes and anybody gives what is private there may be two who do so. Where anybody exchanges
 * in place all goes by the board: what he has is overwritten as soon as what he gets is there.
 */
static struct announce_verdict judge(struct team_shared *team, const void *what)
{
    const struct exchanging *exchanging = what;
    bool gives_private = false, takes_private = false, in_place = false;

    for (uint32_t rank = 0; rank < team->size; rank++) {
        if (bytes_of(exchanging, rank) != bytes_of(exchanging, 0))
            return (struct announce_verdict){.is_refused = OTHER_BYTES, .value = rank};
        in_place |= announce_bytes(team, rank, exchanging->barrier) != bytes_of(exchanging, rank);
        gives_private |= announce_source(team, rank, exchanging->barrier) == NULL;
        takes_private |= announce_into(team, rank, exchanging->barrier) == NULL;
    }
    return (struct announce_verdict){.by_board = in_place || (gives_private && takes_private),
                                     .is_common = in_place};
}

static void copy_directly(const struct exchanging *exchanging)
{
    size_t bytes = exchanging->exchange->bytes;
    uint32_t me = exchanging->me, barrier = exchanging->barrier, size = exchanging->team->size;

    for (uint32_t i = 1; i < size; i++) {
        uint32_t rank = (me + i) % size; /* each begins with another */
        const char *source = announce_source(exchanging->team, rank, barrier);
        char *into = announce_into(exchanging->team, rank, barrier);

        if (into != NULL && !announce_has(&exchanging->sources, me))
            copy_far(into + me * bytes, for_rank(exchanging, rank), bytes);
        if (source != NULL)
            copy_far(from_rank(exchanging, rank), source + me * bytes, bytes);
    }
    FAULT_POINT();
}

/* ---- By the board ---- */

/* The piece of the stream that begins at `at`: whose it is, where in the part, and how much before `to`. */
struct piece {
    uint32_t partner;
    size_t begin;
    size_t bytes;
};

static struct piece piece_at(const struct exchanging *exchanging, size_t at, size_t to)
{
    size_t bytes = exchanging->exchange->bytes, size = exchanging->team->size;
    uint32_t partner = (uint32_t)((at / bytes + size - exchanging->me) % size);

    return (struct piece){partner, at % bytes, bits_smaller(to - at, bytes - at % bytes)};
}

static bool is_by_board(const struct exchanging *exchanging, uint32_t from, uint32_t to)
{
    return from != to && !announce_has(&exchanging->sources, from) && !announce_has(&exchanging->intos, to);
}

static void put_window(const void *what, char *half, size_t from, size_t to)
{
    const struct exchanging *exchanging = what;
    char *lane = half + exchanging->me * exchanging->lane;
    struct piece piece;

    for (size_t at = from; at < to; at += piece.bytes) {
        piece = piece_at(exchanging, at, to);
        if (is_by_board(exchanging, exchanging->me, piece.partner))
            copy_far(lane + (at - from), for_rank(exchanging, piece.partner) + piece.begin, piece.bytes);
    }
}

static void take_window(const void *what, char *half, size_t from, size_t to)
{
    const struct exchanging *exchanging = what;
    struct piece piece;

    for (size_t at = from; at < to; at += piece.bytes) {
        piece = piece_at(exchanging, at, to);
        if (is_by_board(exchanging, piece.partner, exchanging->me))
            copy_far(from_rank(exchanging, piece.partner) + piece.begin,
                     half + piece.partner * exchanging->lane + (at - from), piece.bytes);
    }
}

static int exchange_large(struct exchanging *exchanging, const struct announce_verdict *verdict)
{
    const struct exchange *exchange = exchanging->exchange;
    struct windows windows = {.place = exchange->place,
                              .where = exchange->where,
                              .bytes = total_of(exchanging),
                              .put = put_window,
                              .take = take_window,
                              .what = exchanging};

    exchanging->lane = collective_half_bytes(exchanging->team) / exchanging->team->size / 64 * 64;
    windows.window = exchanging->lane;
    memset(&exchanging->sources, 0, sizeof exchanging->sources);
    memset(&exchanging->intos, 0, sizeof exchanging->intos);
    copy_own(exchanging);
    if (!verdict->is_common) {
        announce_note(exchanging->team, exchanging->barrier, 0, exchanging->team->size, &exchanging->sources,
                      &exchanging->intos);
        copy_directly(exchanging);
    }
    return verdict->by_board ? windows_pass(&windows, 0) : barrier_meet(exchange->place, exchange->where);
}

/* ---- The call ---- */

static int refuse_bytes(const struct exchanging *exchanging, uint32_t rank)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
              "%s: bytes is %llu in rank %u, and %llu in rank 0; give the same in all ranks",
              exchanging->exchange->name, (unsigned long long)bytes_of(exchanging, rank), rank,
              (unsigned long long)bytes_of(exchanging, 0));
    return error_end_call(&error, false, exchanging->exchange->where);
}

static int exchange_among(struct exchanging *exchanging)
{
    const struct exchange *exchange = exchanging->exchange;
    struct announcement mine = {exchange->in, exchange->out,
                                exchange->bytes | (is_in_place(exchanging) ? IN_PLACE : 0)};
    struct announce_verdict verdict;

    if (announce_put(exchange->place, &mine) && is_small(exchanging))
        put_slot(exchanging);
    if (announce_meet(exchange->place, exchange->where, judge, exchanging, &verdict) != 0)
        return -1;
    if (verdict.is_refused != 0)
        return refuse_bytes(exchanging, verdict.value);
    if (!is_small(exchanging))
        return exchange_large(exchanging, &verdict);
    take_slots(exchanging);
    return 0;
}

int exchange_parts(const struct exchange *exchange)
{
    struct exchanging exchanging; /* large, and of no use but for large parts */

    exchanging.exchange = exchange;
    if (collective_is_alone(exchange->place)) {
        exchanging.me = 0;
        copy_own(&exchanging);
        return 0;
    }
    exchanging.team = exchange->place->team;
    exchanging.me = exchange->place->rank;
    exchanging.barrier = barrier_next(exchange->place);
    return exchange_among(&exchanging);
}
