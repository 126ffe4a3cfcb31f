/* The receiver's side of mailboxes: what is looked at, taken and put aside. */
#include "team/mailbox.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "memory/heap.h"
#include "memory/segment.h"

/* The message that comes next in the channel; NULL: there is none. */
static struct message_slot_shared *front_of(const struct team_shared *team, struct channel_shared *channel)
{
    uint32_t number = atomic_load_explicit(&channel->taken, memory_order_relaxed);
    struct message_slot_shared *slot = &channel->slots[number % mailbox_slots(team)];

    /* acquire: pairs with the release in mailbox.c. */
    return atomic_load_explicit(&slot->seq, memory_order_acquire) == number + 1 ? slot : NULL;
}

static const void *data_of(const struct message_slot_shared *slot)
{
    if (slot->bytes <= MESSAGE_INLINE_BYTES)
        return slot->data;
    return ((const struct cell_shared *)segment_at(slot->cell))->data;
}

static bool is_streamed(const struct message_slot_shared *slot)
{
    return slot->bytes > MESSAGE_EAGER_BYTES;
}

/* A message that is in a slot becomes the receiver's. */
static void count_taken(const struct team_place *place, uint32_t source, struct channel_shared *channel,
                        const struct message_slot_shared *slot)
{
    uint64_t cell = slot->bytes > MESSAGE_INLINE_BYTES && !is_streamed(slot) ? slot->cell : 0;
    uint32_t taken = atomic_load_explicit(&channel->taken, memory_order_relaxed) + 1;

    FAULT_POINT();
    /* release: the slot has been read. */
    atomic_store_explicit(&channel->taken, taken, memory_order_release);
    FAULT_POINT();
    if (cell != 0)
        mailbox_free_cell(cell);
    /* A sender that waits has filled all slots: one of those passes here. It is worth a fence then only. */
    else if (taken % (mailbox_slots(place->team) / 2) != 0)
        return;
    mailbox_ring(mailbox_of(place->team, source));
}

/* Puts the first message aside. Returns 0, or -1 with errno. */
static int hold(const struct team_place *place, uint32_t source, struct channel_shared *channel,
                const struct message_slot_shared *slot)
{
    size_t more = slot->bytes > MESSAGE_INLINE_BYTES && !is_streamed(slot) ? slot->bytes : 0;
    struct message_held_shared *held = heap_alloc(sizeof *held + more, HEAP_ALIGNMENT);
    struct mailbox_shared *mine = mailbox_of(place->team, place->rank);
    struct message_held_shared *last;

    if (held == NULL)
        return -1;
    held->next = 0;
    memcpy(&held->slot, slot, sizeof *slot);
    if (more > 0)
        memcpy(held->data, data_of(slot), more);
    FAULT_POINT();
    /* relaxed, all: the lock is held, and those who look without it look again with it. */
    if (atomic_load_explicit(&channel->held_first, memory_order_relaxed) == 0) {
        atomic_store_explicit(&channel->held_first, segment_offset(held), memory_order_relaxed);
    } else {
        last = segment_at(channel->held_last);
        last->next = segment_offset(held);
    }
    FAULT_POINT();
    channel->held_last = segment_offset(held);
    count_taken(place, source, channel, slot);
    atomic_fetch_add_explicit(&mine->n_held, 1, memory_order_relaxed);
    /* Another thread of this rank may wait for it. */
    mailbox_ring(mine);
    return 0;
}

static bool matches(const struct wanted *wanted, const struct message_slot_shared *slot)
{
    if (wanted->only != 0)
        return is_streamed(slot) && slot->stream == wanted->only;
    return wanted->tag == SHAREDMEM_ANY_TAG || wanted->tag == slot->tag;
}

/* What is said of a message that matches, before it is taken. */
static enum mailbox_answer tell(struct wanted *wanted, uint32_t source,
                                const struct message_slot_shared *slot)
{
    wanted->found = (sharedmem_status){(int32_t)source, slot->tag, slot->bytes};
    if (wanted->is_probe)
        return MAILBOX_FOUND;
    if (slot->bytes > wanted->room)
        return MAILBOX_TOO_LONG;
    if (!is_streamed(slot))
        return MAILBOX_FOUND;
    wanted->stream = slot->stream;
    wanted->from = slot->source;
    return MAILBOX_STREAMED;
}

static bool is_taken(const struct wanted *wanted, enum mailbox_answer answer)
{
    return !wanted->is_probe && (answer == MAILBOX_FOUND || answer == MAILBOX_STREAMED);
}

/* Of those put aside the first that is wanted. */
static enum mailbox_answer take_held(struct wanted *wanted, uint32_t source, struct channel_shared *channel)
{
    uint64_t first = atomic_load_explicit(&channel->held_first, memory_order_relaxed), before = 0;
    struct message_held_shared *held;
    enum mailbox_answer answer;

    for (uint64_t offset = first; offset != 0; before = offset, offset = held->next) {
        held = segment_at(offset);
        if (!matches(wanted, &held->slot))
            continue;
        answer = tell(wanted, source, &held->slot);
        if (!is_taken(wanted, answer))
            return answer;
        if (answer == MAILBOX_FOUND && held->slot.bytes > 0)
            memcpy(wanted->data, held->slot.bytes > MESSAGE_INLINE_BYTES ? held->data : held->slot.data,
                   held->slot.bytes);
        if (channel->held_last == offset)
            channel->held_last = before;
        FAULT_POINT();
        if (before == 0)
            atomic_store_explicit(&channel->held_first, held->next, memory_order_relaxed);
        else
            ((struct message_held_shared *)segment_at(before))->next = held->next;
        FAULT_POINT();
        heap_free(held);
        return answer;
    }
    return MAILBOX_NOTHING;
}

/* Of those in the channel the first that is wanted; what is before it is put aside. */
static enum mailbox_answer take_sent(const struct team_place *place, struct wanted *wanted, uint32_t source,
                                     struct channel_shared *channel)
{
    struct message_slot_shared *slot;
    enum mailbox_answer answer;

    while ((slot = front_of(place->team, channel)) != NULL) {
        if (!matches(wanted, slot)) {
            if (hold(place, source, channel, slot) != 0)
                return MAILBOX_FAILED;
            continue;
        }
        answer = tell(wanted, source, slot);
        if (!is_taken(wanted, answer))
            return answer;
        if (answer == MAILBOX_FOUND && slot->bytes > 0)
            memcpy(wanted->data, data_of(slot), slot->bytes);
        count_taken(place, source, channel, slot);
        return answer;
    }
    return MAILBOX_NOTHING;
}

/* What is held was sent first. */
static enum mailbox_answer take_from(const struct team_place *place, struct wanted *wanted, uint32_t source)
{
    struct channel_shared *channel = mailbox_channel(place->team, source, place->rank);
    enum mailbox_answer answer;

    if (channel == NULL)
        return MAILBOX_NOTHING;
    answer = take_held(wanted, source, channel);
    return answer != MAILBOX_NOTHING ? answer : take_sent(place, wanted, source, channel);
}

static enum mailbox_answer take_from_any(const struct team_place *place, struct wanted *wanted)
{
    struct mailbox_shared *mine = mailbox_of(place->team, place->rank);
    uint32_t size = place->team->size, first = mine->next_source;

    for (uint32_t i = 0; i < size; i++) {
        uint32_t source = first + i < size ? first + i : first + i - size;
        enum mailbox_answer answer = take_from(place, wanted, source);

        if (answer == MAILBOX_NOTHING)
            continue;
        if (!wanted->is_probe)
            mine->next_source = source + 1 < size ? source + 1 : 0;
        return answer;
    }
    return MAILBOX_NOTHING;
}

/*
 * Its members are threads of one rank. One that died in it died with the rank, or left nothing half done that
 * another thread would see: each change is one store.
 */
static void lock_box(struct mailbox_shared *mine, const char *where)
{
    int code = lock_try(&mine->lock, segment_offset(&mine->lock));

    if (code == EBUSY)
        code = lock_acquire(&mine->lock, where);
    if (code == EOWNERDEAD)
        lock_mark_consistent(&mine->lock);
}

static void unlock_box(struct mailbox_shared *mine)
{
    if (!lock_try_release(&mine->lock, segment_offset(&mine->lock)))
        lock_release(&mine->lock);
}

enum mailbox_answer mailbox_take(const struct team_place *place, struct wanted *wanted)
{
    struct mailbox_shared *mine = mailbox_of(place->team, place->rank);
    enum mailbox_answer answer;

    lock_box(mine, wanted->where);
    answer = wanted->source == SHAREDMEM_ANY_SOURCE ? take_from_any(place, wanted)
                                                    : take_from(place, wanted, (uint32_t)wanted->source);
    wanted->has_looked = true;
    wanted->n_held = atomic_load_explicit(&mine->n_held, memory_order_relaxed);
    unlock_box(mine);
    return answer;
}

bool mailbox_has_news(const struct team_place *place, const struct wanted *wanted)
{
    const struct team_shared *team = place->team;
    struct mailbox_shared *mine = mailbox_of(team, place->rank);
    const _Atomic uint64_t *channels = mailbox_block_at(&mine->channels);
    bool is_any = wanted->source == SHAREDMEM_ANY_SOURCE;
    uint32_t first = is_any ? 0 : (uint32_t)wanted->source, end = is_any ? team->size : first + 1;

    if (!wanted->has_looked || wanted->n_held != atomic_load_explicit(&mine->n_held, memory_order_relaxed))
        return true;
    for (uint32_t source = first; channels != NULL && source < end; source++) {
        struct channel_shared *channel = mailbox_block_at(&channels[source]);

        if (channel != NULL && front_of(team, channel) != NULL)
            return true;
    }
    return false;
}

/* All that is in the channel, or as much as there is memory for. */
static void empty(const struct team_place *place, uint32_t source, struct channel_shared *channel)
{
    struct message_slot_shared *slot;

    while ((slot = front_of(place->team, channel)) != NULL && hold(place, source, channel, slot) == 0)
        ;
    mailbox_ring(mailbox_of(place->team, source));
}

void mailbox_serve(const struct team_place *place, const char *where)
{
    struct mailbox_shared *mine = mailbox_of(place->team, place->rank);

    if (!mailbox_is_wanted(mine))
        return;
    lock_box(mine, where);
    /* acquire: pairs with the release in mailbox.c. */
    atomic_exchange_explicit(&mine->has_blocked, 0, memory_order_acquire);
    for (uint32_t source = 0; source < place->team->size; source++) {
        struct channel_shared *channel = mailbox_channel(place->team, source, place->rank);

        if (channel != NULL && atomic_exchange_explicit(&channel->is_blocked, 0, memory_order_relaxed) != 0)
            empty(place, source, channel);
    }
    unlock_box(mine);
}
