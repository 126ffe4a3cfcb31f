#include "memory/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/checking.h"
#include "base/error.h"
#include "base/flush.h"
#include "base/slow.h"
#include "host/process.h"
#include "memory/attach.h"
#include "memory/claim.h"
#include "memory/heap.h"
#include "memory/placed.h"
#include "memory/segment.h"

void (*memory_joined)(void);
void (*memory_leaving)(void);
memory_freeing_function *_Atomic memory_freeing;
memory_freeing_function *memory_forget;

/* The job has ended before it began, and the launcher says why: one line for all ranks is enough. */
static void leave_quietly(const sharedmem_error *error)
{
    (void)error;
    flush_to_leave();
    _exit(EXIT_FAILURE);
}

static int join(const char *where, sharedmem_error *error)
{
    sharedmem_error own, *told = error != NULL ? error : &own;

    if (attach_join(where, told) == 0)
        return 0;
    if (errno == ECANCELED)
        error_set_leave(leave_quietly);
    return error_end_call(told, false, where);
}

/* The process that made the segment for itself; 0: none, it is a job's. */
static pid_t creator;

static int create(sharedmem_error *error)
{
    if (segment_create(error) != 0)
        return -1;
    creator = getpid();
    heap_init();
    placed_begin();
    return 0;
}

static int enter(const char *where, sharedmem_error *error)
{
    if (segment_base == NULL && (claim_rank() >= 0 ? join(where, error) : create(error)) != 0)
        return -1;
    if (member_join() != 0)
        return error_system(
            error, "the job has no room for one more process or thread: its %u member slots are taken",
            MEMBER_SLOTS - 1);
    /* Once: who leaves reads it without the lock that this is under. */
    if (member_leaving == NULL)
        member_leaving = heap_leave;
    if (checking_is_on())
        atomic_store_explicit(&memory_freeing, memory_forget, memory_order_relaxed);
    if (memory_joined != NULL && claim_is_mine())
        memory_joined();
    return 0;
}

/* Under the lock to its end: who comes second must find this process in its place in the job. */
int memory_enter_first(const char *where, sharedmem_error *error)
{
    int result;

    slow_lock();
    result = enter(where, error);
    slow_unlock();
    return result;
}

static _Thread_local bool found_another;

static void look_at(uint32_t id, enum member_state state)
{
    found_another |= id != member_my_id && state != MEMBER_DEAD && !member_look(id);
}

bool memory_is_alone(void)
{
    if (creator != getpid() || !process_is_single())
        return false;
    found_another = false;
    member_for_each(look_at);
    return !found_another;
}

/* The program ends by exit(), and its exit handlers are through: the rank's next program may come. */
__attribute__((destructor)) static void leave_at_exit(void)
{
    if (!claim_is_mine())
        return;
    if (memory_leaving != NULL)
        memory_leaving();
    member_leave();
    claim_leave(CLAIM_LEFT);
}
