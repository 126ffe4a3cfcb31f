#include "run/feed.h"

#include <string.h>

#include "base/bits.h"
#include "memory/member.h"
#include "memory/wait.h"

#define LOOK_AHEAD_DEFAULT ((uint64_t)256)
#define LOOK_AHEAD_MAX     ((uint64_t)1 << 32)

void feed_plan(struct feed *feed, const sharedmem_map_options *options)
{
    *feed = (struct feed){.array = options->items, .size = options->item_size, .master = member_my_id};
    if (options->pool != NULL && feed->array != NULL && !sharedmem_is_shared(feed->array))
        feed->copied_bytes = options->n * options->item_size;
    if (options->next == NULL)
        return;
    feed->look_ahead = options->look_ahead > 0 ? options->look_ahead : LOOK_AHEAD_DEFAULT;
    if (feed->look_ahead > LOOK_AHEAD_MAX)
        feed->look_ahead = LOOK_AHEAD_MAX;
    feed->window = bits_power_of_two(feed->look_ahead);
    feed->stride = bits_round_up(options->item_size, BITS_ALIGNMENT);
}

size_t feed_bytes(const struct feed *feed)
{
    size_t bytes;

    if (!feed_is_made(feed))
        return bits_round_up(feed->copied_bytes, 64);
    if (__builtin_mul_overflow(feed->stride, feed->window, &bytes) ||
        __builtin_add_overflow(bytes, sizeof *feed->shared + 63, &bytes))
        return SIZE_MAX;
    return bytes / 64 * 64;
}

void feed_bind(struct feed *feed, void *memory)
{
    if (feed->copied_bytes > 0)
        feed->array = memcpy(memory, feed->array, feed->copied_bytes);
    if (!feed_is_made(feed))
        return;
    feed->shared = memory;
    feed->slots = (char *)memory + sizeof *feed->shared;
    memset(feed->shared, 0, sizeof *feed->shared);
    atomic_store_explicit(&feed->shared->n_end, UINT64_MAX, memory_order_relaxed);
}

static char *slot_of(const struct feed *feed, uint64_t i)
{
    return feed->slots + feed->stride * (i & (feed->window - 1));
}

const void *feed_item(const struct feed *feed, uint64_t i)
{
    if (feed->array != NULL)
        return feed->array + feed->size * i;
    return feed_is_made(feed) ? slot_of(feed, i) : NULL;
}

uint64_t feed_n_made(const struct feed *feed)
{
    /* acquire: pairs with the release in feed_made(): who sees the count sees the items. */
    return atomic_load_explicit(&feed->shared->n_made, memory_order_acquire);
}

uint64_t feed_n_end(const struct feed *feed)
{
    return atomic_load_explicit(&feed->shared->n_end, memory_order_acquire);
}

/* Whether it is known of item i that it is there, or that it will not be. */
static bool is_decided(const struct feed *feed, uint64_t i)
{
    return i < feed_n_made(feed) || i >= feed_n_end(feed);
}

static void wait_for_item(const struct feed *feed, const struct team_shared *team, uint64_t i,
                          const char *where)
{
    struct feed_shared *shared = feed->shared;
    struct wait wait;

    wait_begin(&wait, WAIT_ITEM, where, feed->master);
    for (;;) {
        uint32_t turn = atomic_load_explicit(&shared->turn, memory_order_acquire);

        if (is_decided(feed, i) || team_is_stopping(team))
            break;
        if (wait_pause(&wait))
            continue;
        if (!wait_park(&wait, &shared->turn, turn, &shared->waiting_workers) && member_look(feed->master))
            break;
    }
    wait_end(&wait);
}

bool feed_wait(const struct feed *feed, const struct team_shared *team, uint64_t i, const char *where)
{
    if (!feed_is_made(feed))
        return true;
    if (!is_decided(feed, i))
        wait_for_item(feed, team, i, where);
    return i < feed_n_made(feed) && !team_is_stopping(team);
}

bool feed_may_make(const struct feed *feed, uint64_t n_taken)
{
    return feed_is_made(feed) && feed_n_end(feed) == UINT64_MAX &&
           feed_n_made(feed) - n_taken < feed->look_ahead;
}

void *feed_place(const struct feed *feed)
{
    return slot_of(feed, feed_n_made(feed));
}

static void tell(const struct feed *feed)
{
    atomic_fetch_add_explicit(&feed->shared->turn, 1, memory_order_release);
    wait_wake(&feed->shared->turn, &feed->shared->waiting_workers);
}

void feed_made(const struct feed *feed)
{
    atomic_fetch_add_explicit(&feed->shared->n_made, 1, memory_order_release);
    tell(feed);
}

void feed_ended(const struct feed *feed)
{
    atomic_store_explicit(&feed->shared->n_end, feed_n_made(feed), memory_order_release);
    tell(feed);
}
