/* The public calls of critical and ordered regions, and of the barrier. */
#include <errno.h>
#include <string.h>

#include "base/checking.h"
#include "base/error.h"
#include "base/text.h"
#include "memory/lock.h"
#include "memory/memory.h"
#include "memory/segment.h"
#include "team/barrier.h"
#include "team/check.h"
#include "team/collective.h"
#include "team/critical.h"
#include "team/deadlock.h"
#include "team/job.h"
#include "team/ordered.h"
#include "team/printed.h"
#include "team/regions.h"
#include "team/team.h"

/* These calls have no sharedmem_error: what was used wrongly is uncaught. */
static int misused(const char *where, int code, const char *call, const char *why)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_USAGE, code, "%s: %s", call, why);
    text_copy_end(error.where, sizeof error.where, where);
    return error_uncaught(&error);
}

static int no_memory(const char *where, sharedmem_error *error)
{
    text_copy_end(error->where, sizeof error->where, where);
    return error_uncaught(error);
}

/* Not inlined, and nor is the end's: the way of who finds the region free shall be short. */
__attribute__((noinline)) static int critical_begin(const char *name, const char *where)
{
    sharedmem_error error;

    if (memory_enter_at(where, &error) != 0)
        return no_memory(where, &error);
    if (critical_enter(name, where) == 0) {
        printed_begin();
        if (!printed_is_told() && !checking_is_on())
            critical_open_short_way();
        return 0;
    }
    switch (errno) {
    case EDEADLK:
        return misused(where, EDEADLK, "critical",
                       "this member is in it already; it would wait for itself for ever");
    case ELOOP:
        return misused(where, EDEADLK, "critical",
                       "the caller of this map or parallel call is in it, and waits for its workers; call it "
                       "outside of the region, or give the region another name");
    case ECANCELED:
        return deadlock_end_lock(where);
    case ENOSPC:
        return misused(where, ENOSPC, "critical",
                       "there are 255 names already; names are not meant to be made up at run time");
    default:
        return misused(where, errno, "critical", "the name is longer than 47 bytes");
    }
}

__attribute__((aligned(64))) int sharedmem_critical_begin(const char *name, const char *where)
{
    if (__builtin_expect(name != NULL || !critical_try_enter(), 0))
        return critical_begin(name, where);
    return 0;
}

__attribute__((noinline)) static void critical_end(const char *name)
{
    /* A copy that the program forked inside the region: that is its parent's. */
    if (member_me == NULL || critical_is_originals(name))
        return;
    printed_settle();
    if (critical_leave(name) != 0)
        misused(NULL, EPERM, "critical", "its end without its begin, in this thread and with this name");
}

__attribute__((aligned(64))) void sharedmem_critical_end(const char *name)
{
    if (__builtin_expect(name != NULL || printed_is_pending() || !critical_try_leave(), 0))
        critical_end(name);
}

static const char *why_not_ordered(const struct team_place *place)
{
    if (place->loop != NULL && place->loop->end == 0)
        return "the loop has dealt this rank no item yet; take one first, by sharedmem_loop_next()";
    if (place->team->is_map || place->loop != NULL)
        return "this item was in an ordered region already; put both blocks into one";
    return "this rank is in it already";
}

int sharedmem_ordered_begin(const char *where)
{
    struct team_place *place = job_current(where);

    if (place == NULL)
        return 0;
    if (ordered_enter(place, where) == 0) {
        printed_begin();
        return 0;
    }
    if (errno != EPERM)
        return -1;
    return misused(where, EPERM, "ordered", why_not_ordered(place));
}

void sharedmem_ordered_end(void)
{
    struct team_place *place = team_here();

    if (place == NULL)
        return;
    printed_settle();
    if (place->in_ordered)
        ordered_leave(place);
    else
        misused(NULL, EPERM, "ordered", "its end without its begin");
}

sharedmem_region sharedmem_region_begin(int is_ordered, const char *name, const char *where)
{
    int result = is_ordered ? sharedmem_ordered_begin(where) : sharedmem_critical_begin(name, where);

    return (sharedmem_region){.name = name, .is_ordered = is_ordered, .is_open = result == 0};
}

/*
 * Called by the end of the block, and once more when the variable goes out of scope, which break and return
 * lead to.
 */
void sharedmem_region_end(sharedmem_region *region)
{
    if (!region->is_open)
        return;
    region->is_open = 0;
    if (region->is_ordered)
        sharedmem_ordered_end();
    else
        sharedmem_critical_end(region->name);
}

void regions_mark(struct regions_mark *mark)
{
    const struct team_place *place = team_here();

    memset(mark, 0, sizeof *mark);
    mark->member = member_my_id;
    mark->in_ordered = place != NULL && place->in_ordered;
    if (member_me == NULL)
        return;
    for (unsigned i = 0; i < MEMBER_HELD_MAX; i++)
        mark->held[i] = atomic_load_explicit(&member_me->held[i], memory_order_relaxed);
}

static bool was_held(const struct regions_mark *mark, uint64_t lock)
{
    for (unsigned i = 0; i < MEMBER_HELD_MAX && mark->member == member_my_id; i++) {
        if (mark->held[i] == lock)
            return true;
    }
    return false;
}

static void leave_locks_since(const struct regions_mark *mark)
{
    for (unsigned i = 0; i < MEMBER_HELD_MAX; i++) {
        uint64_t lock = atomic_load_explicit(&member_me->held[i], memory_order_relaxed);

        /* What is noted may not be taken yet, or given back already: somebody else may have it. */
        if (lock == 0 || was_held(mark, lock) || !lock_is_mine(segment_at(lock)))
            continue;
        if (critical_is_region(lock)) {
            printed_settle();
            lock_release(segment_at(lock));
        } else {
            lock_abandon(segment_at(lock));
        }
    }
}

void regions_leave_since(const struct regions_mark *mark)
{
    struct team_place *place = team_here();

    if (member_me != NULL)
        leave_locks_since(mark);
    if (place == NULL || !place->in_ordered || mark->in_ordered)
        return;
    printed_settle();
    place->in_ordered = false;
}

/* The long way of a barrier, or half of one. */
__attribute__((noinline)) static int begin(const char *name, const char *where)
{
    struct team_place *place;

    return collective_begin(&(struct collective_call){name, where, 0, -1, -1, -1, 0}, &place);
}

int sharedmem_barrier_at(const char *where)
{
    struct team_place *place = job_current(where);

    /* Alone; refused; or in checking mode, where they have met when the call has begun. */
    if (place == NULL || (place->team->is_map | place->team->is_checked) != 0 || place->has_arrived)
        return begin("barrier", where);
    return barrier_meet(place, where);
}

int sharedmem_barrier_arrive_at(const char *where)
{
    struct team_place *place = job_current(where);

    if (place == NULL)
        return 0;
    if (place->team->is_map || place->has_arrived)
        return begin("barrier_arrive", where);
    if (place->team->is_checked)
        check_tell(place, &(struct collective_call){"barrier", where, 0, -1, -1, -1, 0});
    barrier_arrive(place);
    return 0;
}

int sharedmem_barrier_wait_at(const char *where)
{
    struct team_place *place = job_current(where);

    if (place == NULL)
        return 0;
    if (place->team->is_map)
        return begin("barrier_wait", where);
    if (!place->has_arrived)
        return misused(where, EPERM, "barrier_wait",
                       "this rank has not arrived; call sharedmem_barrier_arrive() before");
    if (barrier_wait(place, where) != 0)
        return -1;
    return place->team->is_checked ? check_compare(place, barrier_next(place) - 1) : 0;
}
