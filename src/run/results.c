#include "run/results.h"

#include <string.h>

#include "base/bits.h"
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

/* Room for two chunks of each worker at least, so that one may be done while the other is taken. */
static uint64_t ring_items(const struct schedule *schedule, size_t stride)
{
    uint64_t chunk = schedule->chunk > 0 ? schedule->chunk : 1;
    uint64_t items = RING_BYTES / (stride + 1);

    /* Where its chunks are dealt in turn it needs no more room than the others; equal blocks need all. */
    if (schedule->kind == SHAREDMEM_STATIC && schedule->chunk == 0)
        return schedule->n;
    if (items > RING_ITEMS)
        items = RING_ITEMS;
    if (items < 2 * chunk * schedule->n_ranks)
        items = 2 * chunk * schedule->n_ranks;
    return items < schedule->n ? items : schedule->n;
}

static bool are_drained(const struct results *results, const sharedmem_map_options *options)
{
    return results->copy_to != NULL || options->reduce != NULL || options->next != NULL ||
           options->states != NULL || options->retries > 0 || options->progress != NULL;
}

/* Threads write to private memory as well. */
static bool is_written_in_place(const sharedmem_map_options *options)
{
    return options->results != NULL &&
           (options->backend == SHAREDMEM_THREADS || sharedmem_is_shared(options->results));
}

void results_plan(struct results *results, const sharedmem_map_options *options, struct schedule *schedule)
{
    bool in_place = is_written_in_place(options);

    *results = (struct results){
        .in_place = in_place ? options->results : NULL,
        .copy_to = in_place ? NULL : options->results,
        .size = options->result_size,
        .n = schedule->n,
        .as_done = options->reduce_order == SHAREDMEM_AS_DONE,
        .is_eager = options->reduce != NULL,
        .is_loaded = options->pool != NULL,
        .doorbell = DOORBELL_NONE,
    };
    if (!in_place && options->result_size > 0)
        results->stride = bits_round_up(options->result_size, BITS_ALIGNMENT);
    if (!are_drained(results, options))
        return;
    results->window = bits_power_of_two(ring_items(schedule, results->stride));
    results->shift = (uint32_t)__builtin_ctzll(results->window);
    /* A guided chunk beyond the window would hold up all workers behind it until it is taken. */
    schedule->chunk_max = results->window / (2 * (uint64_t)schedule->n_ranks);
}

static size_t flags_bytes(const struct results *results)
{
    return bits_round_up(results->window, 64);
}

size_t results_bytes(const struct results *results)
{
    size_t bytes;

    if (__builtin_mul_overflow(results->stride, results->window, &bytes) ||
        __builtin_add_overflow(bytes, sizeof *results->shared + flags_bytes(results), &bytes))
        return SIZE_MAX;
    return bytes;
}

static uint64_t ring_index(const struct results *results, uint64_t i)
{
    return i & (results->window - 1);
}

/* What item i's result begins as: for a worker that cannot see copy_to. */
static void load(const struct results *results, uint64_t i)
{
    if (results->is_loaded && results->copy_to != NULL && i < results->n)
        memcpy(results->slots + results->stride * ring_index(results, i),
               results->copy_to + i * results->size, results->size);
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
    for (uint64_t i = 0; i < results->window; i++)
        load(results, i);
}

bool results_has_room(const struct results *results, uint64_t i)
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

        room = results_has_room(results, i);
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
    if (results->window > 0 && !results_has_room(results, i) && !wait_for_room(results, team, i, where))
        return false;
    *result = place_of(results, i);
    if (results->copy_to != NULL && !results->is_loaded)
        memcpy(*result, results->copy_to + i * results->size, results->size);
    else if (results->copy_to == NULL && results->in_place == NULL && *result != NULL)
        memset(*result, 0, results->size);
    return true;
}

/*
 * A flag says which lap it is of, modulo 64: so none has to be taken back when its place is free for the item
 * a window later; it says that its own is complete until that one is. Zeroed memory is open.
 */
#define FLAG_BITS 2
#define LAP_MASK  ((1u << (8 - FLAG_BITS)) - 1)

static uint8_t stamp(const struct results *results, uint64_t i, enum results_flag flag)
{
    return (uint8_t)(((i >> results->shift) & LAP_MASK) << FLAG_BITS | flag);
}

/* Whether the master sleeps until item i is done. */
static bool is_awaited(const struct results_shared *shared, uint64_t i)
{
    switch (atomic_load_explicit(&shared->master_sleeps, memory_order_relaxed)) {
    case RESULTS_AWAKE:
        return false;
    case RESULTS_SLEEPS:
        return atomic_load_explicit(&shared->wake_at, memory_order_relaxed) == i;
    default:
        return true;
    }
}

void results_end(const struct results *results, uint64_t i)
{
    if (results->window == 0)
        return;
    /* release: who sees the flag sees the result. */
    atomic_store_explicit(&results->done[ring_index(results, i)], stamp(results, i, RESULTS_DONE),
                          memory_order_release);
    /*
     * Pairs with the fence in results_sleep(): either the master sees the flag, or this sees that it sleeps.
     */
    atomic_thread_fence(memory_order_seq_cst);
    if (is_awaited(results->shared, i))
        doorbell_ring(&results->doorbell);
}

static enum results_flag flag_of(const struct results *results, uint64_t i)
{
    /* acquire: pairs with the release in results_end(). */
    uint8_t there = atomic_load_explicit(&results->done[ring_index(results, i)], memory_order_acquire);
    enum results_flag flag = there & ((1u << FLAG_BITS) - 1);

    return there == stamp(results, i, flag) ? flag : RESULTS_OPEN;
}

/* Only the master's: workers set a flag once an item. */
static void set_flag(const struct results *results, uint64_t i, enum results_flag flag)
{
    atomic_store_explicit(&results->done[ring_index(results, i)], stamp(results, i, flag),
                          memory_order_relaxed);
}

bool results_has(const struct results *results, uint64_t i)
{
    /* The flag first: where it is a later item's by now, that one's worker saw that this one is drained. */
    return flag_of(results, i) != RESULTS_OPEN ||
           i < atomic_load_explicit(&results->shared->drained, memory_order_acquire);
}

void results_reset(const struct results *results, uint64_t i)
{
    if (i - results_drained(results) < results->window)
        load(results, i);
}

void results_skip(const struct results *results, uint64_t i)
{
    set_flag(results, i, RESULTS_SKIPPED);
}

uint64_t results_drained(const struct results *results)
{
    return atomic_load_explicit(&results->shared->drained, memory_order_relaxed);
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
    set_flag(results, i, RESULTS_TAKEN);
    return code;
}

static int drain_by_index(struct results *results, uint64_t limit, sharedmem_function *taken, void *context,
                          uint64_t *item)
{
    uint64_t drained = results_drained(results), told = drained;
    uint64_t behind = results->is_eager ? 1 : results->window / 4;
    enum results_flag flag;
    int code = 0;

    while (drained < limit && (flag = flag_of(results, drained)) != RESULTS_OPEN) {
        code = flag == RESULTS_DONE ? take(results, drained, taken, context) : 0;
        if (code != 0)
            break;
        /* Its place is free for the one a window later. */
        load(results, drained + results->window);
        drained++;
        /* Now and then, not for each one: the workers' line would go back and forth. */
        if (drained - told >= behind) {
            advance(results, drained);
            told = drained;
        }
    }
    if (drained != told)
        advance(results, drained);
    *item = drained;
    return code;
}

/* All below limit that are complete; the flags are one byte an item, so that a look at them costs little. */
static int take_complete(struct results *results, uint64_t limit, sharedmem_function *taken, void *context,
                         uint64_t *item)
{
    uint64_t drained = results_drained(results);

    if (limit - drained > results->window)
        limit = drained + results->window;
    for (uint64_t i = drained; i < limit; i++) {
        int code = flag_of(results, i) == RESULTS_DONE ? take(results, i, taken, context) : 0;

        *item = i;
        if (code != 0)
            return code;
    }
    return 0;
}

int results_drain(struct results *results, uint64_t limit, sharedmem_function *taken, void *context,
                  uint64_t *item)
{
    int code = results->as_done ? take_complete(results, limit, taken, context, item) : 0;

    return code != 0 ? code : drain_by_index(results, limit, taken, context, item);
}

int results_drain_rest(struct results *results, sharedmem_function *taken, void *context, uint64_t *item)
{
    return take_complete(results, results->n, taken, context, item);
}

/* Whether any that is not taken is complete. */
static bool has_any(const struct results *results, uint64_t limit)
{
    uint64_t drained = results_drained(results);

    if (limit - drained > results->window)
        limit = drained + results->window;
    for (uint64_t i = drained; i < limit; i++) {
        if (flag_of(results, i) == RESULTS_DONE)
            return true;
    }
    return false;
}

bool results_sleep(const struct results *results, uint64_t limit, uint64_t ahead)
{
    struct results_shared *shared = results->shared;
    uint64_t wake_at = results_drained(results);

    /* Where the later one is complete already the oldest is what all wait for. */
    if (flag_of(results, wake_at + ahead) == RESULTS_OPEN)
        wake_at += ahead;
    atomic_store_explicit(&shared->wake_at, wake_at, memory_order_relaxed);
    atomic_store_explicit(&shared->master_sleeps, results->as_done ? RESULTS_SLEEPS_FOR_ANY : RESULTS_SLEEPS,
                          memory_order_relaxed);
    /* Pairs with the fence in results_end(). */
    atomic_thread_fence(memory_order_seq_cst);
    if (results->as_done)
        return !has_any(results, limit);
    return flag_of(results, wake_at) == RESULTS_OPEN;
}

void results_wake_up(const struct results *results)
{
    atomic_store_explicit(&results->shared->master_sleeps, RESULTS_AWAKE, memory_order_relaxed);
}
