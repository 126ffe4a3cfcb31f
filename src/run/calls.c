#include "run/calls.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#include "base/fault.h"
#include "base/slow.h"
#include "host/clock.h"
#include "memory/heap.h"
#include "memory/member.h"
#include "memory/segment.h"

#define GONE_WITHIN_NS ((uint64_t)200000000)
#define LOOK_AGAIN_NS  200000

/* The list of the worker that the calling thread is; NULL where it is none. Other threads of it have no list. */
static _Atomic uint64_t *my_list(void)
{
    const struct team_place *place = team_here() != NULL ? team_root_place(team_here()) : NULL;
    struct team_rank_shared *mine;

    if (place == NULL || place->team->is_job || !sharedmem_is_shared(place->team))
        return NULL;
    mine = &place->team->ranks[place->rank];
    return atomic_load_explicit(&mine->member, memory_order_relaxed) == member_my_id ? &mine->calls : NULL;
}

void calls_begin(struct call_shared *call, struct team_shared *team)
{
    _Atomic uint64_t *list = my_list();

    atomic_store_explicit(&call->team, segment_offset(team), memory_order_relaxed);
    atomic_store_explicit(&call->next, 0, memory_order_relaxed);
    atomic_store_explicit(&call->list, list != NULL ? segment_offset(list) : 0, memory_order_relaxed);
    if (list == NULL)
        return;
    slow_lock();
    atomic_store_explicit(&call->next, atomic_load_explicit(list, memory_order_relaxed),
                          memory_order_relaxed);
    FAULT_POINT();
    /* release: who reads the list reads what it leads to. A death before this loses the block. */
    atomic_store_explicit(list, segment_offset(call), memory_order_release);
    slow_unlock();
}

/* Background calls end in any order. */
static void unlink_from(_Atomic uint64_t *at, const struct call_shared *call)
{
    uint64_t offset;

    while ((offset = atomic_load_explicit(at, memory_order_relaxed)) != 0) {
        struct call_shared *other = segment_at(offset);

        if (other == call) {
            atomic_store_explicit(at, atomic_load_explicit(&call->next, memory_order_relaxed),
                                  memory_order_release);
            return;
        }
        at = &other->next;
    }
}

/* In whatever thread it ends: the list is that of the one that began it. */
void calls_end(struct call_shared *call)
{
    int saved_errno = errno;
    uint64_t list;

    if (call == NULL)
        return;
    slow_lock();
    list = atomic_load_explicit(&call->list, memory_order_relaxed);
    if (list != 0)
        unlink_from(segment_at(list), call);
    slow_unlock();
    errno = saved_errno;
}

void calls_forget(struct team_shared *team, uint32_t rank)
{
    uint64_t offset;

    slow_lock();
    offset = atomic_exchange_explicit(&team->ranks[rank].calls, 0, memory_order_acquire);
    while (offset != 0) {
        struct call_shared *call = segment_at(offset);

        offset = atomic_load_explicit(&call->next, memory_order_relaxed);
        atomic_store_explicit(&call->list, 0, memory_order_relaxed);
    }
    slow_unlock();
}

static bool are_gone(const struct team_shared *team)
{
    for (uint32_t rank = 0; rank < team->size; rank++) {
        if (atomic_load_explicit(&team->ranks[rank].member, memory_order_acquire) != 0 &&
            !team_rank_is_gone(team, rank))
            return false;
    }
    return true;
}

static bool wait_until_gone(const struct team_shared *team)
{
    uint64_t deadline = clock_monotonic_ns() + GONE_WITHIN_NS;
    struct timespec pause = {.tv_nsec = LOOK_AGAIN_NS};

    while (!are_gone(team)) {
        if (clock_monotonic_ns() > deadline)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

/* As deep as there are calls within calls. */
static void free_call(struct call_shared *call)
{
    struct team_shared *team = segment_at(atomic_load_explicit(&call->team, memory_order_relaxed));

    if (!wait_until_gone(team))
        return;
    for (uint32_t rank = 0; rank < team->size; rank++)
        calls_collect(team, rank);
    team_free_blocks(team);
    heap_free(call);
}

void calls_collect(struct team_shared *team, uint32_t rank)
{
    uint64_t offset = atomic_exchange_explicit(&team->ranks[rank].calls, 0, memory_order_acquire);

    while (offset != 0) {
        struct call_shared *call = segment_at(offset);

        offset = atomic_load_explicit(&call->next, memory_order_relaxed);
        free_call(call);
    }
}
