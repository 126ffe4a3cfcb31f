#include "run/results.h"

#include <string.h>

#include "base/error.h"
#include "host/doorbell.h"
#include "memory/member.h"
#include "memory/wait.h"

/*
 * The ring takes about this much memory: it stays in the cache, and workers still run well ahead of the
 * master.
 */
#define RING_BYTES ((uint64_t)4 << 20)
#define RING_ITEMS ((uint64_t)65536)

/* Results are aligned to this in slots. */
#define SLOT_ALIGNMENT ((size_t)16)

static uint64_t power_of_two_from(uint64_t n)
{
    return n <= 1 ? 1 : (uint64_t)1 << (64 - __builtin_clzll(n - 1));
}

/* Room for two chunks of each worker at least, so that one may be done while the other is taken. */
static uint64_t ring_items(const struct schedule *schedule, size_t stride)
{
    uint64_t chunk = schedule->chunk > 0 ? schedule->chunk : 1;
    uint64_t items = RING_BYTES / (stride + 1);

    if (schedule->kind == SHAREDMEM_STATIC)
        return schedule->n;
    if (items > RING_ITEMS)
        items = RING_ITEMS;
    if (items < 2 * chunk * schedule->n_ranks)
        items = 2 * chunk * schedule->n_ranks;
    return items < schedule->n ? items : schedule->n;
}

void results_plan(struct results *results, const sharedmem_map_options *options, struct schedule *schedule)
{
    bool shared = options->results != NULL && sharedmem_is_shared(options->results);

    *results = (struct results){
        .in_place = shared ? options->results : NULL,
        .copy_to = shared ? NULL : options->results,
        .size = options->result_size,
        .doorbell = DOORBELL_NONE,
    };
    if (!shared && options->result_size > 0)
        results->stride = (options->result_size + SLOT_ALIGNMENT - 1) / SLOT_ALIGNMENT * SLOT_ALIGNMENT;
    if (results->copy_to == NULL && options->reduce == NULL)
        return;
    results->window = power_of_two_from(ring_items(schedule, results->stride));
    /* A guided chunk beyond the window would hold up all workers behind it until it is taken. */
    schedule->chunk_max = results->window / (2 * (uint64_t)schedule->n_ranks);
}

static size_t flags_bytes(const struct results *results)
{
    return (results->window + 63) / 64 * 64;
}

size_t results_bytes(const struct results *results)
{
    size_t bytes;

    if (__builtin_mul_overflow(results->stride, results->window, &bytes) ||
        __builtin_add_overflow(bytes, sizeof *results->shared + flags_bytes(results), &bytes))
        return SIZE_MAX;
    return bytes;
}

void results_bind(struct results *results, void *memory)
{
    char *at = memory;

    results->shared = memory;
    at += sizeof *results->shared;
    results->done = (_Atomic uint8_t *)at;
    results->slots = at + flags_bytes(results);
    memset(results->shared, 0, sizeof *results->shared);
    memset(at, 0, flags_bytes(results));
}

static uint64_t ring_index(const struct results *results, uint64_t i)
{
    return i & (results->window - 1);
}

static bool has_room(const struct results *results, uint64_t i)
{
    /* acquire: pairs with the release in advance(): the slot's last result has been taken. */
    return i < atomic_load_explicit(&results->shared->drained, memory_order_acquire) + results->window;
}

static bool wait_for_room(const struct results *results, const struct team_shared *team, uint64_t i,
                          const char *where)
{
    struct results_shared *shared = results->shared;
    bool room;
    struct wait wait;

    wait_begin(&wait, WAIT_ROOM, where, results->master);
    for (;;) {
        uint32_t turn = atomic_load_explicit(&shared->turn, memory_order_acquire);

        room = has_room(results, i);
        if (room || team_is_stopping(team))
            break;
        if (wait_pause(&wait))
            continue;
        /*
         * Its death ends its workers by a signal, but for those that gave up their privileges, and with them
         * that.
         */
        if (!wait_park(&wait, &shared->turn, turn, &shared->waiting_workers) && member_look(results->master))
            break;
    }
    wait_end(&wait);
    return room;
}

static void *place_of(const struct results *results, uint64_t i)
{
    if (results->size == 0)
        return NULL;
    if (results->in_place != NULL)
        return results->in_place + i * results->size;
    return results->slots + results->stride * ring_index(results, i);
}

bool results_begin(const struct results *results, const struct team_shared *team, uint64_t i,
                   const char *where, void **result)
{
    if (results->window > 0 && !has_room(results, i) && !wait_for_room(results, team, i, where))
        return false;
    *result = place_of(results, i);
    if (results->copy_to != NULL)
        memcpy(*result, results->copy_to + i * results->size, results->size);
    else if (results->in_place == NULL && *result != NULL)
        memset(*result, 0, results->size);
    return true;
}

void results_end(const struct results *results, uint64_t i)
{
    struct results_shared *shared = results->shared;

    if (results->window == 0)
        return;
    /* release: who sees the flag sees the result. */
    atomic_store_explicit(&results->done[ring_index(results, i)], 1, memory_order_release);
    /*
     * Pairs with the fence in results_sleep(): either the master sees the flag, or this sees that it sleeps.
     */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&shared->master_sleeps, memory_order_relaxed) != 0 &&
        atomic_load_explicit(&shared->drained, memory_order_relaxed) == i)
        doorbell_ring(&results->doorbell);
}

static bool is_done(const struct results *results, uint64_t i)
{
    return atomic_load_explicit(&results->done[ring_index(results, i)], memory_order_acquire) != 0;
}

/* Items below drained are taken: their slots may be used again. */
static void advance(const struct results *results, uint64_t drained)
{
    struct results_shared *shared = results->shared;

    atomic_store_explicit(&shared->drained, drained, memory_order_release);
    atomic_fetch_add_explicit(&shared->turn, 1, memory_order_release);
    wait_wake(&shared->turn, &shared->waiting_workers);
}

static int take(struct results *results, uint64_t i, sharedmem_function *taken, void *context)
{
    void *result = place_of(results, i);
    int code;

    if (results->copy_to != NULL) {
        memcpy(results->copy_to + i * results->size, result, results->size);
        result = results->copy_to + i * results->size;
    }
    code = taken != NULL ? taken(i, result, context) : 0;
    if (code == 0)
        error_drop_fail_message();
    atomic_store_explicit(&results->done[ring_index(results, i)], 0, memory_order_relaxed);
    return code;
}

int results_drain(struct results *results, uint64_t n, sharedmem_function *taken, void *context,
                  uint64_t *next)
{
    uint64_t drained = atomic_load_explicit(&results->shared->drained, memory_order_relaxed);
    uint64_t told = drained;
    int code = 0;

    while (drained < n && is_done(results, drained)) {
        code = take(results, drained, taken, context);
        if (code != 0)
            break;
        drained++;
        /* Now and then, not for each one: the workers' line would go back and forth. */
        if (drained - told >= results->window / 4 || taken != NULL) {
            advance(results, drained);
            told = drained;
        }
    }
    if (drained != told)
        advance(results, drained);
    *next = drained;
    return code;
}

bool results_sleep(const struct results *results)
{
    struct results_shared *shared = results->shared;

    atomic_store_explicit(&shared->master_sleeps, 1, memory_order_relaxed);
    /* Pairs with the fence in results_end(). */
    atomic_thread_fence(memory_order_seq_cst);
    return !is_done(results, atomic_load_explicit(&shared->drained, memory_order_relaxed));
}

void results_wake_up(const struct results *results)
{
    atomic_store_explicit(&results->shared->master_sleeps, 0, memory_order_relaxed);
}
