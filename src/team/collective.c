/*
 * What collectives are made of, and the simplest of them; bcast.c, move.c and exchange.c have those that
 * move data, reduce.c those that reckon. Each is made of barriers, and of words that ranks put beside their counts
 * of those.
 *
 * What a rank puts before its barrier g goes to words[g % 2] of its own line. After barrier g all read it,
 * each before it comes to its next barrier. It is not overwritten before all have read it: the next that goes
 * to the same place is put for barrier g + 2 or a later one, and that only after barrier g + 1; which is not
 * complete before every rank has come to it, and so has read what was put for g. That the team fails changes
 * nothing in this: nobody passes a barrier that is not complete, and who was told so begins no other call.
 */
#include <errno.h>
#include <string.h>

#include "base/checking.h"
#include "base/error.h"
#include "base/fault.h"
#include "host/pages.h"
#include "memory/lock.h"
#include "memory/memory.h"
#include "memory/placed.h"
#include "memory/segment.h"
#include "team/barrier.h"
#include "team/check.h"
#include "team/collective.h"
#include "team/job.h"
#include "team/slice.h"

int collective_refuse_in_map(const char *name, const char *where)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_USAGE, EPERM,
              "%s: items of a map may run one after the other in one worker, and would wait for each other "
              "for ever; ranks that meet are what sharedmem_parallel() is for",
              name);
    return error_end_call(&error, false, where);
}

int collective_check(const struct collective_call *call, struct team_place *place)
{
    if (checking_is_on() && check_holds_nothing(place, call) != 0)
        return -1;
    return place != NULL && place->team->is_checked ? check_call(place, call) : 0;
}

int collective_begin(const struct collective_call *call, struct team_place **place)
{
    *place = job_current(call->where);
    if (*place == NULL)
        return collective_check(call, NULL);
    if ((*place)->team->is_map)
        return collective_refuse_in_map(call->name, call->where);
    if ((*place)->has_arrived)
        return barrier_refuse(call->name, call->where);
    /* Who has been told so, and goes on, must not write where others still read: see the top. */
    if (!collective_is_alone(*place) && team_is_stopping((*place)->team))
        return team_cancelled(*place);
    return collective_check(call, *place);
}

int collective_check_root(const struct collective_call *call, const struct team_place *place)
{
    int size = place != NULL ? (int)place->team->size : 1;
    sharedmem_error error;

    if (call->root >= 0 && call->root < size)
        return 0;
    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: root is %d; it can be 0 to %d, a rank of the team",
              call->name, (int)call->root, size - 1);
    return error_end_call(&error, false, call->where);
}

int collective_first_errno(struct team_shared *team, uint32_t barrier)
{
    uint64_t code = 0;

    for (uint32_t rank = 0; rank < team->size && code == 0; rank++)
        code = collective_get(collective_words(team, rank, barrier));
    return (int)code;
}

/* ---- The board ---- */

/*
 * What is more than words goes by the team's board: what a rank writes for barrier g it writes to half g % 2,
 * and what is said of words at the top holds for halves too.
 */
static bool is_up(const _Atomic uint64_t *block)
{
    /* acquire: pairs with the release in put_up(). */
    return atomic_load_explicit(block, memory_order_acquire) != 0;
}

static int put_up(_Atomic uint64_t *block, size_t bytes)
{
    void *made = sharedmem_malloc(bytes);

    if (made == NULL)
        return errno;
    FAULT_POINT();
    /* release: with the block, what makes it one; team_free_blocks() gives it back. */
    atomic_store_explicit(block, segment_offset(made), memory_order_release);
    return 0;
}

/* One at a time: a thousand ranks that each had allocated one would need all the memory there is. */
int collective_put_up(struct team_shared *team, _Atomic uint64_t *block, size_t bytes)
{
    int code;

    if (is_up(block))
        return 0;
    if (memory_enter(NULL) != 0)
        return errno;
    code = lock_acquire(&team->board_lock, NULL);
    /* Who died in it has left a block or none. */
    if (code == EOWNERDEAD)
        lock_mark_consistent(&team->board_lock);
    code = is_up(block) ? 0 : put_up(block, bytes);
    lock_release(&team->board_lock);
    return code;
}

int collective_put_up_board(struct team_shared *team)
{
    return collective_put_up(team, &team->board, 2 * collective_half_bytes(team));
}

char *collective_half(const struct team_shared *team, uint32_t barrier)
{
    return collective_at(&team->board) + barrier % 2 * collective_half_bytes(team);
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
    const struct collective_call call = {"team_calloc", where, count * size, -1, -1, -1, 0};
    struct team_place *place;

    if (collective_begin(&call, &place) != 0)
        return NULL;
    return collective_is_alone(place) ? sharedmem_calloc(count, size)
                                      : team_calloc(place, count, size, where);
}
