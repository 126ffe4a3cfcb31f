/* Calls that run beside their caller: a crew of one worker, which outlives the call that started it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/debug.h"
#include "base/error.h"
#include "base/options.h"
#include "host/clock.h"
#include "memory/budget.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/wait.h"
#include "run/calls.h"
#include "run/crew.h"
#include "run/crew_errors.h"
#include "run/escape.h"
#include "run/solo.h"
#include "run/worker.h"

struct sharedmem_background {
    struct crew crew; /* the first: its work gets it as the call */
    sharedmem_background_options options;
    void *block;  /* in the segment: a head (calls.h), the team, the result */
    void *result; /* where work writes it; NULL: there is none */
    struct doorbell doorbell;
    pid_t owner;
    bool is_started; /* by workers */
    int code;        /* of a serial one, or one that could not be watched any more */
    sharedmem_error error;
};

/* ---- In the worker ---- */

static void work(struct crew *crew)
{
    struct sharedmem_background *call = (struct sharedmem_background *)crew;
    sharedmem_error error;
    int code;

    worker_get_ready(crew);
    code = call->options.work(0, call->result, call->options.context);
    crew_check_self(crew);
    if (code == 0) {
        error_drop_fail_message();
        return;
    }
    crew_call_error(&error, code);
    crew_fail(crew, &error);
}

/* ---- Start ---- */

static int allocate(struct sharedmem_background *call)
{
    size_t head = sizeof(struct call_shared), team = team_bytes(1);

    call->block = heap_alloc(head + team + bits_round_up(call->options.result_size, 64), HEAP_ALIGNMENT);
    if (call->block == NULL)
        return error_set(call->crew.error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM,
                         "background: no shared memory for a result of %zu bytes: %s",
                         call->options.result_size, budget_reason());
    call->crew.team = (struct team_shared *)(void *)((char *)call->block + head);
    team_init(call->crew.team, 1, false);
    calls_begin(call->block, call->crew.team);
    if (call->options.result_size == 0)
        return 0;
    call->result = memcpy((char *)call->block + head + team, call->options.result, call->options.result_size);
    return 0;
}

static int start_worker(struct sharedmem_background *call, sharedmem_error *error)
{
    struct crew *crew = &call->crew;

    crew->error = error;
    if (memory_enter(error) != 0 || allocate(call) != 0)
        return -1;
    if (!crew->kind->is_process && crew_open_doorbell(crew, &call->doorbell) != 0)
        return -1;
    if (crew_open(crew, &call->doorbell) != 0)
        return -1;
    /* It stays when this thread ends. */
    crew->children.stays = true;
    if (crew_start(crew, 0) != 0)
        return -1;
    crew->error = &call->error;
    call->is_started = true;
    return 0;
}

static void call_work(void *argument)
{
    struct sharedmem_background *call = argument;

    call->code = call->options.work(0, call->options.result, call->options.context);
}

/* All at once, by the caller: SERIAL, and debug mode. */
static void do_serially(struct sharedmem_background *call)
{
    SOLO_TEAM(solo);

    solo_enter(&solo, false);
    solo.place.leave = escape_cancelled;
    switch (escape_run(call_work, call, &call->error)) {
    case ESCAPE_CAME_BACK:
        if (call->code == 0)
            error_drop_fail_message();
        else
            crew_call_error(&call->error, call->code);
        break;
    default:
        call->code = -1;
    }
    /* What fails because it was stopped is no failure. */
    if (team_is_stopped(solo.place.team))
        call->code = SHAREDMEM_STOPPED;
    else if (call->code != 0)
        call->code = -1;
}

static int check(const sharedmem_background_options *options, sharedmem_error *error)
{
    if (options->reserved != 0)
        return options_refused(E2BIG, "background", error);
    if (options->work == NULL)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "background: work is NULL; give the function to be called");
    if (crew_check_backend("background", options->backend, error) != 0)
        return -1;
    if ((options->result != NULL) != (options->result_size > 0) || options->result_size > PTRDIFF_MAX / 4)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "background: .result and .result_size, its bytes, go together");
    return 0;
}

/* Frees it; its worker has ended. */
static void free_call(struct sharedmem_background *call)
{
    int saved_errno = errno;

    crew_close(&call->crew);
    doorbell_close(&call->doorbell);
    calls_end(call->block);
    if (call->block != NULL)
        heap_free(call->block);
    free(call);
    errno = saved_errno;
}

static sharedmem_background *start(const sharedmem_background_options *options, sharedmem_error *error)
{
    struct sharedmem_background *call = calloc(1, sizeof *call);

    if (call == NULL) {
        error_set(error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM, "background: no memory");
        return NULL;
    }
    call->options = *options;
    call->owner = getpid();
    call->doorbell = DOORBELL_NONE;
    call->crew = (struct crew){
        .call = "background",
        .where = options->where,
        .bytes = sizeof *call,
        .kind = options->backend == SHAREDMEM_THREADS ? &worker_threads : &worker_forked,
        .work = work,
        .is_apart = true,
    };
    if (options->backend == SHAREDMEM_SERIAL || debug_is_on()) {
        do_serially(call);
        return call;
    }
    if (start_worker(call, error) == 0)
        return call;
    free_call(call);
    return NULL;
}

sharedmem_background *sharedmem_background_start_with(const sharedmem_background_options *given,
                                                      size_t sizeof_options)
{
    sharedmem_background_options options;
    int code = options_read(&options, sizeof options, given, sizeof_options);
    sharedmem_error own, *error = options.error != NULL ? options.error : &own;
    sharedmem_background *call = NULL;

    error_clear(error);
    if (options_refused(code, "background", error) == 0 && check(&options, error) == 0)
        call = start(&options, error);
    if (call == NULL)
        error_end_call(error, options.error != NULL, options.where);
    return call;
}

/* ---- Test, cancel, wait ---- */

/* Whether this process may ask: its forked copy is no parent of the worker. */
static bool is_ours(const struct sharedmem_background *call)
{
    return call->owner == getpid();
}

/* Waits for the end, up to deadline_ns. */
static bool wait_until(struct sharedmem_background *call, uint64_t deadline_ns)
{
    struct wait wait;

    if (!call->is_started || !is_ours(call))
        return true;
    wait_begin(&wait, WAIT_WORKERS, call->options.where, 0);
    if (deadline_ns != UINT64_MAX)
        wait_limit(&wait, deadline_ns);
    wait_publish(&wait);
    for (;;) {
        uint64_t now = clock_monotonic_ns();
        uint64_t left = deadline_ns > now ? deadline_ns - now : 0;

        crew_watch(&call->crew, left < WAIT_PARK_NS ? left : WAIT_PARK_NS);
        if (!crew_runs(&call->crew) || left == 0)
            break;
    }
    wait_end(&wait);
    return !crew_runs(&call->crew);
}

int sharedmem_background_test(sharedmem_background *call, double seconds)
{
    uint64_t now = clock_monotonic_ns();

    if (call == NULL)
        return 1;
    /* Longer than any program runs, and nothing overflows; no number is none. */
    if (seconds > 1e9)
        seconds = 1e9;
    return wait_until(call, seconds > 0 ? now + (uint64_t)(seconds * 1e9) : now);
}

void sharedmem_background_cancel(sharedmem_background *call)
{
    if (call == NULL || !call->is_started || !is_ours(call))
        return;
    team_stop_quietly(call->crew.team);
    /* The first look sees that it is stopped; the second one ends it, without the grace of maps. */
    crew_watch(&call->crew, 0);
    call->crew.kill_at_ns = 0;
    crew_watch(&call->crew, 0);
}

/* What has become of it: as sharedmem_background_wait(). */
static int outcome(struct sharedmem_background *call, sharedmem_error *error)
{
    int code = call->code;

    if (!is_ours(call))
        return error_set(error, SHAREDMEM_ERROR_USAGE, EPERM,
                         "background: process %d started the call, and only that one can wait for it",
                         call->owner);
    if (call->is_started) {
        crew_check_end(&call->crew);
        code = crew_result(&call->crew);
    }
    if (code == 0 && call->result != NULL)
        memcpy(call->options.result, call->result, call->options.result_size);
    if (code < 0) {
        *error = call->error;
        errno = ECANCELED;
    }
    return code;
}

/* A forked copy of the program has a copy of the call, whose worker is not its child. */
static void forget(struct sharedmem_background *call)
{
    call->crew.n_running = 0;
    call->block = NULL;
}

int sharedmem_background_wait(sharedmem_background *call, sharedmem_error *given)
{
    sharedmem_error own, *error = given != NULL ? given : &own;
    const char *where;
    int code;

    error_clear(error);
    if (call == NULL)
        return 0;
    where = call->options.where;
    wait_until(call, UINT64_MAX);
    code = outcome(call, error);
    if (!is_ours(call))
        forget(call);
    free_call(call);
    return code < 0 ? error_end_call(error, given != NULL, where) : code;
}
