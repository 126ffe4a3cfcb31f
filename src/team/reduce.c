/*
 * sharedmem_all(): a value of any size of each rank, combined by a function of the user.
 *
 * Values go through slots, one a rank. Where all fit into a half of the team's board, one barrier is enough:
 * each rank has put its value before it, and then combines all of them by itself; in a large team the last
 * one to come does it for all, into one slot more, as with the sums (collective.c). More goes through a block
 * of its own, in which rank 0 combines them in place.
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/fault.h"
#include "memory/heap.h"
#include "memory/segment.h"
#include "team/barrier.h"
#include "team/collective.h"

struct reduction {
    struct team_place *place;
    sharedmem_combine_function *combine;
    void *context;
    const char *where;
    size_t bytes;
    size_t slot_bytes; /* ranks share no cache line */
    uint32_t barrier;  /* the values are put for this one */
};

static void combine_slots(const struct reduction *reduction, const char *slots, void *into)
{
    if (into != slots)
        memcpy(into, slots, reduction->bytes);
    for (uint32_t rank = 1; rank < reduction->place->team->size; rank++)
        reduction->combine(into, slots + rank * reduction->slot_bytes, reduction->context);
}

/* ---- By the board ---- */

/* The slot behind those of the ranks: what the last one to come has made of them. */
static char *result_slot(const struct reduction *reduction)
{
    const struct team_shared *team = reduction->place->team;

    return collective_half(team, reduction->barrier) + team->size * reduction->slot_bytes;
}

/* The errno of the first rank that had no board to put its value on; 0: all had. */
static uint64_t first_errno(const struct reduction *reduction)
{
    struct team_shared *team = reduction->place->team;
    uint64_t code = 0;

    for (uint32_t rank = 0; rank < team->size && code == 0; rank++)
        code = collective_get(collective_words(team, rank, reduction->barrier));
    return code;
}

static uint64_t combine_board(const struct reduction *reduction, void *into)
{
    uint64_t code = first_errno(reduction);

    if (code == 0)
        combine_slots(reduction, collective_half(reduction->place->team, reduction->barrier), into);
    return code;
}

/* One place is enough for the errno: the next one is made when all have come to a later barrier. */
static void combine_for_all(struct team_shared *team, const void *argument)
{
    const struct reduction *reduction = argument;
    uint64_t code = first_errno(reduction);

    if (code == 0)
        combine_board(reduction, result_slot(reduction));
    collective_put(&team->result, code);
}

/* Puts the value on the board, or says why not. */
static void put_value(const struct reduction *reduction, const void *value)
{
    struct team_place *place = reduction->place;
    int code = collective_put_up_board(place->team);

    if (code == 0)
        memcpy(collective_half(place->team, reduction->barrier) + place->rank * reduction->slot_bytes, value,
               reduction->bytes);
    FAULT_POINT();
    collective_put(collective_words(place->team, place->rank, reduction->barrier), (uint64_t)code);
}

static int all_by_board(struct reduction *reduction, void *value)
{
    struct team_shared *team = reduction->place->team;
    uint64_t code;
    int met;

    reduction->barrier = barrier_next(reduction->place);
    put_value(reduction, value);
    met = barrier_meet_and(reduction->place, reduction->where, combine_for_all, reduction);
    if (met < 0)
        return -1;
    code = met == 1 ? collective_get(&team->result) : combine_board(reduction, value);
    if (code != 0) {
        errno = (int)code;
        return -1;
    }
    if (met == 1)
        memcpy(value, result_slot(reduction), reduction->bytes);
    return 0;
}

/* ---- By a block ---- */

/* The slots are there, pending, and rank 0's has the result in the end. */
static int all_by_slots(const struct reduction *reduction, char *slots, void *value)
{
    struct team_place *place = reduction->place;

    memcpy(slots + place->rank * reduction->slot_bytes, value, reduction->bytes);
    if (barrier_meet(place, reduction->where) != 0)
        return -1;
    if (place->rank == 0)
        combine_slots(reduction, slots, slots);
    if (barrier_meet(place, reduction->where) != 0)
        return -1;
    memcpy(value, slots, reduction->bytes);
    /* Rank 0 frees when all have read. */
    return barrier_meet(place, reduction->where);
}

static int all_by_block(const struct reduction *reduction, void *value)
{
    struct team_place *place = reduction->place;
    char *slots = collective_allocate(place, place->team->size, reduction->slot_bytes, reduction->where);

    if (slots == NULL || all_by_slots(reduction, slots, value) != 0)
        return -1;
    if (place->rank == 0) {
        collective_set_pending(place->team, 0);
        FAULT_POINT();
        heap_free(slots);
    }
    return 0;
}

/* ---- The call ---- */

/* Bytes of a slot. What is too much to be had stays so, and no sum of it overflows. */
static size_t slot_bytes(size_t bytes)
{
    return bytes < SIZE_MAX / 2 ? bits_round_up(bytes, HEAP_ALIGNMENT) : SIZE_MAX / 2;
}

static int combine_all(struct reduction *reduction, void *value)
{
    size_t n_slots = (size_t)reduction->place->team->size + 1;

    if (reduction->bytes == 0)
        return barrier_meet(reduction->place, reduction->where);
    reduction->slot_bytes = slot_bytes(reduction->bytes);
    return reduction->slot_bytes <= COLLECTIVE_HALF_BYTES / n_slots ? all_by_board(reduction, value)
                                                                    : all_by_block(reduction, value);
}

int sharedmem_all_at(void *value, size_t bytes, sharedmem_combine_function *combine, void *context,
                     const char *where)
{
    struct reduction reduction = {.combine = combine, .context = context, .where = where, .bytes = bytes};
    const struct collective_call call = {"all", where, bytes, -1, -1, -1};
    sharedmem_error error;

    if (collective_begin(&call, &reduction.place) != 0)
        return -1;
    if (combine == NULL) {
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "all: combine is NULL; give the function that combines two values");
        return error_end_call(&error, false, where);
    }
    if (value == NULL && bytes > 0) {
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "all: value is NULL; give the %zu bytes of this rank, which the result will replace",
                  bytes);
        return error_end_call(&error, false, where);
    }
    return collective_is_alone(reduction.place) ? 0 : combine_all(&reduction, value);
}
