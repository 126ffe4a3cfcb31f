#include "run/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/debug.h"
#include "base/error.h"
#include "base/flush.h"
#include "host/crash.h"
#include "host/futex.h"
#include "host/modules.h"
#include "host/openmp.h"
#include "memory/budget.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/wait.h"
#include "run/crew_errors.h"
#include "run/placement.h"
#include "run/worker.h"
#include "team/ordered.h"

/* How long a worker sleeps at most before it looks again: its master's death wakes it by a signal. */
#define IDLE_NS ((uint64_t)60 * 1000000000)

/*
 * A worker's line. Master and worker take turns: call is given when done equals it, and done set to it when all
 * is done that the call asks for.
 */
struct pool_worker_shared {
    alignas(64) _Atomic uint32_t call; /* number of the last one it was given: the futex word it sleeps on */
    _Atomic uint32_t sleeps;
    _Atomic uint32_t done; /* number of the last one it has done */
    uint32_t member;       /* 0: its worker has died */
    struct crew *crew;     /* what to do; NULL: the master has seen that it is done */
};

struct pool_shared {
    alignas(64) _Atomic uint32_t master_sleeps;
    uint32_t size;
    struct pool_worker_shared workers[];
};

struct sharedmem_pool {
    pid_t owner;
    int32_t size;
    const char *where;
    struct pool_shared *shared;
    struct supervise children;
    struct doorbell doorbell;
    struct binding_plan *plan;
    unsigned long long modules; /* loaded when the workers were forked */
    _Atomic bool is_used;
    bool is_whole;        /* all workers are there */
    bool is_quiet;        /* nothing happened in all of the master's last sleep */
    uint32_t next_worker; /* the one that is being forked */
    struct crew *crew;    /* whose deaths are told, in a call */
};

int32_t pool_size(const sharedmem_pool *pool)
{
    return pool->size;
}

const struct doorbell *pool_doorbell(const sharedmem_pool *pool)
{
    return &pool->doorbell;
}

/* ---- A worker ---- */

static bool has_call(const struct pool_worker_shared *line, uint32_t last)
{
    /* acquire: pairs with the release in give(): the call is there. */
    return atomic_load_explicit(&line->call, memory_order_acquire) != last;
}

static void wait_for_call(struct pool_worker_shared *line, const char *where)
{
    uint32_t last = atomic_load_explicit(&line->done, memory_order_relaxed);
    struct wait wait;

    wait_begin(&wait, WAIT_CALL, where, 0);
    while (!has_call(line, last)) {
        if (wait_pause(&wait))
            continue;
        atomic_store_explicit(&line->sleeps, 1, memory_order_relaxed);
        /* Pairs with the fence in wait_wake(): either that sees the sleeper, or this the call. */
        atomic_thread_fence(memory_order_seq_cst);
        wait_sleeps_on(&wait, &line->call, last);
        futex_wait(&line->call, last, IDLE_NS);
        atomic_store_explicit(&line->sleeps, 0, memory_order_relaxed);
    }
    wait_end(&wait);
}

static bool is_done(const struct pool_worker_shared *line)
{
    /* acquire: pairs with the release in say_done(): who sees it sees all that the worker did. */
    return atomic_load_explicit(&line->done, memory_order_acquire) ==
           atomic_load_explicit(&line->call, memory_order_relaxed);
}

static bool are_all_done(const struct pool_shared *shared)
{
    for (uint32_t i = 0; i < shared->size; i++) {
        if (!is_done(&shared->workers[i]))
            return false;
    }
    return true;
}

/* Nothing of the call may be touched any more once it is said that it is done. */
static void say_done(const sharedmem_pool *pool, struct pool_worker_shared *line)
{
    struct pool_shared *shared = pool->shared;

    atomic_store_explicit(&line->done, atomic_load_explicit(&line->call, memory_order_relaxed),
                          memory_order_release);
    /* Of two that end at once one sees the other's line; and either this sees the master sleep, or it sees us. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&shared->master_sleeps, memory_order_relaxed) != 0 && are_all_done(shared))
        doorbell_ring(&pool->doorbell);
}

/* The call, as this worker's own. Its memory is used again and again. */
static struct crew *copy_call(const struct crew *call)
{
    static struct crew *copy;
    static size_t room;

    if (call->bytes > room) {
        free(copy);
        copy = malloc(call->bytes);
        if (copy == NULL)
            _exit(EXIT_FAILURE);
        room = call->bytes;
    }
    return memcpy(copy, call, call->bytes);
}

/* Where a crash between two calls is told, to nobody. */
static struct crash_shared nowhere;

static void do_call(sharedmem_pool *pool, struct pool_worker_shared *line)
{
    struct crew *crew = copy_call(line->crew);

    worker_do(crew, (uint32_t)(line - pool->shared->workers));
    flush_all();
    ordered_say_left(crew->team, crew->place.rank, TEAM_LEFT);
    /* The call's memory is the master's to free: a handler of a signal that comes here must not touch it. */
    team_enter_process(NULL);
    crash_use(&nowhere);
    say_done(pool, line);
}

/* A worker's whole life. */
static void live(void *argument)
{
    sharedmem_pool *pool = argument;
    struct pool_worker_shared *line = &pool->shared->workers[pool->next_worker];

    worker_be_born(NULL, line->member);
    supervise_forget(&pool->children);
    placement_apply(pool->plan, pool->next_worker);
    for (;;) {
        wait_for_call(line, pool->where);
        do_call(pool, line);
    }
}

/* ---- The workers, as the master has them ---- */

static int fork_one(sharedmem_pool *pool, uint32_t i)
{
    struct pool_worker_shared *line = &pool->shared->workers[i];

    *line = (struct pool_worker_shared){.member = member_reserve()};
    if (line->member == 0)
        return -1;
    pool->next_worker = i;
    if (supervise_fork(&pool->children, i, line->member, live, pool) == 0)
        return 0;
    member_release(line->member);
    return -1;
}

static int fork_all(sharedmem_pool *pool)
{
    bool held = flush_before_fork();
    int result = 0;

    for (int32_t i = 0; i < pool->size && result == 0; i++)
        result = fork_one(pool, (uint32_t)i);
    flush_after_fork(held);
    pool->is_whole = result == 0;
    return result;
}

static void note_end(const struct supervise_child *child, void *argument)
{
    sharedmem_pool *pool = argument;

    struct pool_worker_shared *line = &pool->shared->workers[child->rank];

    pool->is_whole = false;
    line->member = 0;
    if (pool->crew == NULL || is_done(line))
        return;
    line->crew = NULL;
    crew_worker_ended(pool->crew, child->rank, child);
    /* So that who ends last finds all others done. */
    atomic_store_explicit(&line->done, atomic_load_explicit(&line->call, memory_order_relaxed),
                          memory_order_release);
}

static void end_all(sharedmem_pool *pool)
{
    pool->crew = NULL;
    supervise_signal(&pool->children, SIGKILL);
    while (pool->children.n_running > 0)
        supervise_wait(&pool->children, WAIT_PARK_NS, note_end, pool);
}

static int start(sharedmem_pool *pool, const char *call, sharedmem_error *error)
{
    end_all(pool);
    if (openmp_before_fork(call, error) != 0)
        return -1;
    /* Loads what tracebacks need, and is not to count. */
    crash_prepare();
    error_guard_forks();
    team_guard_forks();
    pool->modules = modules_loaded();
    return fork_all(pool) == 0
               ? 0
               : error_system(error,
                              "%s: cannot start %d workers of a pool (see ulimit -u, and the job's "
                              "limit of processes)",
                              call, pool->size);
}

/* ---- Creation ---- */

static int make_parts(sharedmem_pool *pool, sharedmem_error *error)
{
    size_t bytes = sizeof *pool->shared + (size_t)pool->size * sizeof pool->shared->workers[0];

    if (doorbell_open(&pool->doorbell) != 0 ||
        supervise_init(&pool->children, (uint32_t)pool->size, pool->doorbell.fd) != 0)
        return error_system(error, "pool: no file descriptor or memory for %d workers", pool->size);
    pool->children.stays = true;
    pool->shared = heap_alloc(bytes, HEAP_ALIGNMENT);
    if (pool->shared == NULL)
        return error_set(error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM, "pool: no shared memory for %d workers: %s",
                         pool->size, budget_reason());
    memset(pool->shared, 0, bytes);
    pool->shared->size = (uint32_t)pool->size;
    pool->plan = placement_plan((uint32_t)pool->size);
    return debug_is_on() ? 0 : start(pool, "pool", error);
}

void sharedmem_pool_destroy(sharedmem_pool *pool)
{
    int saved_errno = errno;

    if (pool == NULL)
        return;
    if (pool->owner == getpid()) {
        end_all(pool);
        if (pool->shared != NULL)
            heap_free(pool->shared);
    }
    supervise_fini(&pool->children);
    doorbell_close(&pool->doorbell);
    binding_plan_destroy(pool->plan);
    free(pool);
    errno = saved_errno;
}

static sharedmem_pool *create(int32_t np, const char *where, sharedmem_error *error)
{
    sharedmem_pool *pool;

    if (crew_check_np("pool", "np", np, error) != 0 || memory_enter(error) != 0)
        return NULL;
    pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        error_set(error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM, "pool: no memory");
        return NULL;
    }
    pool->owner = getpid();
    pool->where = where;
    pool->size = np > 0 ? np : (int32_t)placement_default_np();
    pool->doorbell = DOORBELL_NONE;
    if (make_parts(pool, error) == 0)
        return pool;
    sharedmem_pool_destroy(pool);
    return NULL;
}

sharedmem_pool *sharedmem_pool_create_at(int32_t np, sharedmem_error *given, const char *where)
{
    sharedmem_error own, *error = given != NULL ? given : &own;
    sharedmem_pool *pool;

    error_clear(error);
    pool = create(np, where, error);
    if (pool == NULL)
        error_end_call(error, given != NULL, where);
    return pool;
}

/* ---- A call ---- */

int pool_begin_call(sharedmem_pool *pool, sharedmem_error *error)
{
    if (pool->owner != getpid())
        return error_set(error, SHAREDMEM_ERROR_USAGE, EPERM,
                         "map: the pool is that of process %d, which created it; create one here",
                         pool->owner);
    /* acquire: pairs with the release in pool_end_call(). */
    if (atomic_exchange_explicit(&pool->is_used, true, memory_order_acquire))
        return error_set(error, SHAREDMEM_ERROR_USAGE, EBUSY,
                         "map: the pool does another map at the moment; each thread needs a pool of its own");
    /* Who has ended since the last call is seen now. */
    supervise_wait(&pool->children, 0, note_end, pool);
    if ((pool->is_whole && pool->modules == modules_loaded()) || start(pool, "map", error) == 0)
        return 0;
    pool_end_call(pool);
    return -1;
}

void pool_end_call(sharedmem_pool *pool)
{
    pool->crew = NULL;
    atomic_store_explicit(&pool->is_used, false, memory_order_release);
}

static int open_call(struct crew *crew)
{
    crew->pool->crew = crew;
    crew->pool->is_quiet = false;
    crew->team->crowd = placement_crowd(crew->pool->plan, crew->team->size);
    return 0;
}

/* Gives the call of the crew, which lies in shared memory as a whole, to a worker. */
static void give(struct pool_worker_shared *line, struct crew *call)
{
    line->crew = call;
    /* release: pairs with has_call(). */
    atomic_fetch_add_explicit(&line->call, 1, memory_order_release);
    wait_wake(&line->call, &line->sleeps);
}

static int start_rank(struct crew *crew)
{
    sharedmem_pool *pool = crew->pool;
    uint32_t rank = crew->next_rank;
    struct pool_worker_shared *line = &pool->shared->workers[rank];

    /* The one before has died in this very call: a fresh one does what is left of it. */
    if (line->member == 0 && fork_one(pool, rank) != 0)
        return -1;
    atomic_store_explicit(&crew->team->ranks[rank].member, line->member, memory_order_release);
    give(line, crew->call_copy);
    return 0;
}

/* Tells of those that have done their call. */
static bool tell_done(struct crew *crew)
{
    bool any = false;

    for (uint32_t rank = 0; rank < crew->team->size; rank++) {
        struct pool_worker_shared *line = &crew->pool->shared->workers[rank];

        if (line->crew == NULL || !is_done(line))
            continue;
        line->crew = NULL;
        crew_worker_ended(crew, rank, NULL);
        any = true;
    }
    return any;
}

/*
 * Looks for a while before it sleeps: short calls are done by then. Not where it slept in vain: a wait that begins
 * anew would look to others as if something moved (team/deadlock.h).
 */
static bool look_for_done(struct crew *crew)
{
    struct wait wait;
    bool any;

    wait_begin(&wait, WAIT_WORKERS, crew->where, 0);
    while (!(any = are_all_done(crew->pool->shared)) && wait_pause(&wait))
        ;
    wait_end(&wait);
    return any && tell_done(crew);
}

static void wait_for_any(struct crew *crew, uint64_t timeout_ns)
{
    sharedmem_pool *pool = crew->pool;

    if (timeout_ns > 0 && !pool->is_quiet && look_for_done(crew))
        return;
    atomic_store_explicit(&pool->shared->master_sleeps, 1, memory_order_relaxed);
    /* Pairs with the fence in say_done(). */
    atomic_thread_fence(memory_order_seq_cst);
    pool->is_quiet = !supervise_wait(&pool->children, are_all_done(pool->shared) ? 0 : timeout_ns, note_end, pool);
    if (!pool->is_quiet)
        doorbell_clear(&pool->doorbell);
    atomic_store_explicit(&pool->shared->master_sleeps, 0, memory_order_relaxed);
    tell_done(crew);
}

static void kill_all(struct crew *crew)
{
    sharedmem_pool *pool = crew->pool;

    for (uint32_t i = 0; i < pool->children.n_started; i++) {
        struct supervise_child *child = &pool->children.children[i];

        if (child->end.how == PROCESS_RUNS && !is_done(&pool->shared->workers[child->rank]))
            process_signal(&child->process, SIGKILL);
    }
}

static void close_call(struct crew *crew)
{
    crew->pool->crew = NULL;
}

const struct worker_ops worker_parked = {
    .open = open_call,
    .start = start_rank,
    .wait = wait_for_any,
    .kill = kill_all,
    .close = close_call,
    .is_process = true,
};
