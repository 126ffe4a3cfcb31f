/* Workers that are threads of the caller: they share its memory, and end when they have done their items. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/openmp.h"
#include "memory/memory.h"
#include "memory/wait.h"
#include "run/escape.h"
#include "run/placement.h"
#include "run/worker.h"
#include "team/ordered.h"

enum { NOT_STARTED, RUNS, HAS_ENDED };

struct worker_thread {
    pthread_t thread;
    _Atomic uint32_t state;
    uint32_t rank;
    struct crew *crew; /* its own copy */
};

static int open_room(struct crew *crew)
{
    crew->threads = calloc(crew->team->size, sizeof *crew->threads);
    return crew->threads != NULL ? 0 : -1;
}

static void work(void *argument)
{
    struct crew *crew = argument;

    crew->work(crew);
}

/* An uncaught error in an item fails it, as in a process. */
static void fail_by_uncaught(void *argument, sharedmem_error *error)
{
    worker_fail_uncaught(argument, error);
}

/* Returns whether the rank is left: no other worker is to take it. */
static bool do_work(struct crew *crew, uint32_t rank)
{
    struct team_rank_shared *mine = &crew->team->ranks[rank];
    sharedmem_error error;

    worker_take_place(crew, rank, escape_cancelled);
    if (memory_enter(&error) != 0) {
        crew_fail(crew, &error);
        return true;
    }
    crew->self = member_my_id;
    atomic_store_explicit(&mine->member, member_my_id, memory_order_release);
    team_enter_thread(&crew->place);
    placement_apply(crew->plan, rank);
    openmp_set_threads(crew->n_threads);
    escape_run_and(work, crew, &error, fail_by_uncaught);
    team_enter_thread(NULL);
    return atomic_load_explicit(&mine->has_given_up, memory_order_relaxed) == 0;
}

/* The copy of the crew is not the thread's to free: the master may look at it until it has joined. */
static void *live(void *argument)
{
    struct worker_thread *self = argument;
    struct crew *crew = self->crew;

    if (do_work(crew, self->rank))
        ordered_say_left(crew->team, self->rank, TEAM_LEFT);
    /* Before the master goes on: what this member still noted must not outlive the call. */
    member_leave();
    /* release: pairs with wait_for_any(): the master sees all that this worker did. */
    atomic_store_explicit(&self->state, HAS_ENDED, memory_order_release);
    doorbell_ring(crew->doorbell);
    return NULL;
}

static int start(struct crew *crew)
{
    struct worker_thread *self = &crew->threads[crew->next_rank];
    int code;

    self->rank = crew->next_rank;
    if (self->crew == NULL)
        self->crew = malloc(crew->bytes);
    if (self->crew == NULL) {
        errno = ENOMEM;
        return -1;
    }
    memcpy(self->crew, crew, crew->bytes);
    atomic_store_explicit(&self->state, RUNS, memory_order_relaxed);
    code = pthread_create(&self->thread, NULL, live, self);
    if (code == 0)
        return 0;
    atomic_store_explicit(&self->state, NOT_STARTED, memory_order_relaxed);
    errno = code;
    return -1;
}

static void sleep_until_rung(const struct crew *crew, uint64_t timeout_ns)
{
    struct timespec timeout = clock_timespec(timeout_ns);
    struct pollfd polled = {.fd = crew->doorbell->fd, .events = POLLIN};

    int n_ready;

    wait_sleeps_outside();
    n_ready = ppoll(&polled, 1, &timeout, NULL);
    if (n_ready != 0)
        wait_acts();
    if (n_ready > 0)
        doorbell_clear(crew->doorbell);
}

static void wait_for_any(struct crew *crew, uint64_t timeout_ns)
{
    sleep_until_rung(crew, timeout_ns);
    for (uint32_t rank = 0; rank < crew->team->size; rank++) {
        struct worker_thread *worker = &crew->threads[rank];

        /* acquire: pairs with the release in live(). */
        if (atomic_load_explicit(&worker->state, memory_order_acquire) != HAS_ENDED)
            continue;
        pthread_join(worker->thread, NULL);
        atomic_store_explicit(&worker->state, NOT_STARTED, memory_order_relaxed);
        crew_worker_ended(crew, rank, NULL);
    }
}

static void close_room(struct crew *crew)
{
    for (uint32_t rank = 0; crew->threads != NULL && rank < crew->team->size; rank++)
        free(crew->threads[rank].crew);
    free(crew->threads);
    crew->threads = NULL;
}

const struct worker_ops worker_threads = {
    .open = open_room,
    .start = start,
    .wait = wait_for_any,
    .close = close_room,
};
