/* The program as a rank of its job: init, finalize, abort. Joining itself is memory_enter(), see memory.h. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/flush.h"
#include "memory/claim.h"
#include "memory/memory.h"
#include "team/barrier.h"
#include "team/collective.h"
#include "team/job.h"

int sharedmem_init_at(const char *where)
{
    sharedmem_error error;

    error_clear(&error);
    if (memory_enter_at(where, &error) == 0)
        return 0;
    return error_end_call(&error, false, where);
}

int sharedmem_finalize_at(const char *where)
{
    const struct collective_call call = {"finalize", where, 0, -1, -1, -1, 0};
    struct team_place *place = job_place();

    if (place == NULL)
        return 0;
    /* Another thread may have joined; this one is to be seen as it waits. Where that fails the rank has ended. */
    memory_enter_at(where, NULL);
    if (place->has_arrived)
        return barrier_refuse("finalize", where);
    return place->team->is_checked ? collective_check(&call, place) : barrier_meet(place, where);
}

/* What the job is told as the reason for its end. */
static void say_abort(struct team_place *place, int code)
{
    sharedmem_error error;

    atomic_store_explicit(&place->team->abort_status, (uint32_t)code, memory_order_relaxed);
    error_set(&error, SHAREDMEM_ERROR_RETURNED, code, "sharedmem_abort(%d) was called", code);
    error.rank = (int32_t)place->rank;
    error.pid = getpid();
    team_fail(place->team, place->rank, &error);
    member_wake_sleepers();
}

void sharedmem_abort(int code)
{
    int status = code != 0 ? code & 0xff : EXIT_FAILURE;

    if (status == 0)
        status = EXIT_FAILURE;
    /* A worker's own place goes before that of the rank that forked it. */
    if (job_place() != NULL && team_here() != NULL && team_root_place(team_here()) == job_place()) {
        say_abort(job_place(), status);
        job_leave_failed(status);
    }
    flush_to_leave();
    _exit(status);
}
