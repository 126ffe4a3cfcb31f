#include "team/mailbox.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "memory/heap.h"
#include "memory/segment.h"
#include "memory/wait.h"
#include "team/check.h"
#include "team/stream.h"

/*
 * Small messages come in crowds, large ones would take much memory: 132 and 513 KiB for each rank that sends
 * such ones.
 */
static const struct {
    size_t bytes;
    uint32_t n;
} cell_kinds[2] = {{(size_t)4 << 10, 32}, {MESSAGE_EAGER_BYTES, 8}};

_Static_assert(sizeof(struct message_slot_shared) == 64, "a slot is a line");
_Static_assert(offsetof(struct channel_shared, taken) == 64, "sender and receiver have a line each");
_Static_assert(offsetof(struct channel_shared, slots) == 128, "slots are lines");
_Static_assert(offsetof(struct mailbox_shared, lock) == 64, "what others look at is a line");
_Static_assert(sizeof(struct mailbox_shared) == 128, "mailboxes share no line");
_Static_assert(sizeof(struct cell_shared) == 64, "data are aligned");

/* ---- Blocks ---- */

void *mailbox_block(_Atomic uint64_t *place, size_t bytes)
{
    void *block = mailbox_block_at(place);
    uint64_t none = 0;

    if (block != NULL || (block = heap_alloc_zeroed(bytes)) == NULL)
        return block;
    FAULT_POINT();
    /* release: with the block, what makes it one. acquire: another's was first. */
    if (atomic_compare_exchange_strong_explicit(place, &none, segment_offset(block), memory_order_acq_rel,
                                                memory_order_acquire))
        return block;
    heap_free(block);
    return segment_at(none);
}

int mailbox_open(struct team_shared *team)
{
    return mailbox_block(&team->mailboxes, team->size * sizeof(struct mailbox_shared)) != NULL ? 0 : -1;
}

/* The channel between two ranks, made where need be. NULL with errno. */
static struct channel_shared *open_channel(const struct team_shared *team, uint32_t from, uint32_t to)
{
    _Atomic uint64_t *channels =
        mailbox_block(&mailbox_of(team, to)->channels, team->size * sizeof *channels);

    return channels == NULL
               ? NULL
               : mailbox_block(&channels[from], sizeof(struct channel_shared) +
                                                    mailbox_slots(team) * sizeof(struct message_slot_shared));
}

void mailbox_ring(struct mailbox_shared *box)
{
    /* Pairs with the fence of who is about to sleep (message.c). */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&box->waiters, memory_order_relaxed) == 0)
        return;
    atomic_fetch_add_explicit(&box->bell, 1, memory_order_relaxed);
    wait_wake(&box->bell, &box->waiters);
}

/* ---- Cells ---- */

static struct cell_shared *cell_number(void *cells, unsigned kind, uint32_t i)
{
    return (struct cell_shared *)(void *)((char *)cells +
                                          i * (sizeof(struct cell_shared) + cell_kinds[kind].bytes));
}

static unsigned kind_for(size_t bytes)
{
    return bytes > cell_kinds[0].bytes;
}

/*
 * The first one that is free: it is in the caches. Sets *cell to 0 where none is. Returns 0, or -1 with
 * errno.
 */
static int take_cell(struct mailbox_shared *mine, const struct letter *letter, uint64_t *offset)
{
    unsigned kind = kind_for(letter->bytes);
    void *cells = mailbox_block(&mine->cells[kind],
                                cell_kinds[kind].n * (sizeof(struct cell_shared) + cell_kinds[kind].bytes));

    if (cells == NULL)
        return -1;
    for (uint32_t i = 0; i < cell_kinds[kind].n; i++) {
        struct cell_shared *cell = cell_number(cells, kind, i);
        uint32_t free = CELL_FREE;

        /* acquire: pairs with the release of who has copied the data of the message before. */
        if (atomic_load_explicit(&cell->is_busy, memory_order_relaxed) == CELL_FREE &&
            atomic_compare_exchange_strong_explicit(&cell->is_busy, &free, CELL_FILLED, memory_order_acquire,
                                                    memory_order_relaxed)) {
            FAULT_POINT();
            *offset = segment_offset(cell);
            return 0;
        }
    }
    return 0;
}

/* ---- To send ---- */

/* Whether the slot for number is free. */
static bool has_room(struct channel_shared *channel, uint32_t number, uint32_t n)
{
    /*
     * acquire, both: pairs with the releases below and in mailbox_take.c: what was in the slot has been read.
     */
    uint32_t taken = atomic_load_explicit(&channel->taken_seen, memory_order_acquire);

    if (number - taken < n)
        return true;
    taken = atomic_load_explicit(&channel->taken, memory_order_acquire);
    if (number - taken >= n)
        return false;
    /*
     * release: another thread that finds room by it has that too. It may go back where two threads do this at
     * once, and is then read anew.
     */
    atomic_store_explicit(&channel->taken_seen, taken, memory_order_release);
    return true;
}

static void write_slot(struct message_slot_shared *slot, const struct letter *letter)
{
    /* acquire: as with cells, for the thread sanitizer: another thread of this rank may have had the slot. */
    (void)atomic_load_explicit(&slot->seq, memory_order_acquire);
    slot->tag = letter->tag;
    slot->bytes = letter->bytes;
    if (letter->bytes > MESSAGE_INLINE_BYTES) {
        slot->cell = letter->cell;
        slot->stream = letter->stream;
        slot->source = letter->source;
    } else if (letter->bytes > 0) {
        memcpy(slot->data, letter->data, letter->bytes);
    }
    FAULT_POINT();
    /* release: this sends it; pairs with the acquire in mailbox_take.c. */
    atomic_store_explicit(&slot->seq, letter->number + 1, memory_order_release);
    FAULT_POINT();
}

/* Step 1. Returns 1, 0 where no cell is free, or -1 with errno. */
static int put_into_cell(const struct team_place *place, struct letter *letter)
{
    struct cell_shared *cell;

    if (letter->bytes <= MESSAGE_INLINE_BYTES || letter->stream != 0 || letter->cell != 0)
        return 1;
    if (take_cell(mailbox_of(place->team, place->rank), letter, &letter->cell) != 0)
        return -1;
    if (letter->cell == 0)
        return 0;
    cell = segment_at(letter->cell);
    memcpy(cell->data, letter->data, letter->bytes);
    /*
     * It is busy still; release: for the thread of this rank that has it next. The receiver between the
     * two is another process, which the thread sanitizer does not see.
     */
    atomic_store_explicit(&cell->is_busy, CELL_SENT + letter->to, memory_order_release);
    FAULT_POINT();
    return 1;
}

int mailbox_send(const struct team_place *place, struct letter *letter)
{
    const struct team_shared *team = place->team;
    uint32_t n = mailbox_slots(team);
    int has_cell;

    if (letter->is_sent)
        return 1;
    if (letter->channel == NULL &&
        (letter->channel = mailbox_channel(team, place->rank, letter->to)) == NULL &&
        (letter->channel = open_channel(team, place->rank, letter->to)) == NULL)
        return -1;
    if ((has_cell = put_into_cell(place, letter)) <= 0)
        return has_cell;
    if (!letter->is_numbered) {
        /* relaxed: threads of the rank get different numbers, that is all. */
        letter->number = atomic_fetch_add_explicit(&letter->channel->sent, 1, memory_order_relaxed);
        letter->is_numbered = true;
        FAULT_POINT();
    }
    if (!has_room(letter->channel, letter->number, n))
        return 0;
    if (team->is_checked)
        check_tell_send(place, letter->to, letter->number, letter->where);
    write_slot(&letter->channel->slots[letter->number % n], letter);
    letter->is_sent = true;
    mailbox_ring(mailbox_of(team, letter->to));
    return 1;
}

/* The receiver is to make room in the channel to it. */
static void say_blocked(const struct team_place *place, uint32_t to)
{
    struct channel_shared *channel = mailbox_channel(place->team, place->rank, to);
    struct mailbox_shared *box = mailbox_of(place->team, to);

    if (channel == NULL)
        return;
    atomic_store_explicit(&channel->is_blocked, 1, memory_order_relaxed);
    FAULT_POINT();
    /* release: who sees it sees which one. */
    atomic_store_explicit(&box->has_blocked, 1, memory_order_release);
    FAULT_POINT();
    mailbox_ring(box);
}

/* All cells for such a letter are busy: each one's receiver is asked to empty it. */
static void want_cell(const struct team_place *place, const struct letter *letter, bool look)
{
    unsigned kind = kind_for(letter->bytes);
    void *cells = mailbox_block_at(&mailbox_of(place->team, place->rank)->cells[kind]);

    for (uint32_t i = 0; cells != NULL && i < cell_kinds[kind].n; i++) {
        struct cell_shared *cell = cell_number(cells, kind, i);
        /* relaxed: nothing is read that came with it. */
        uint32_t state = atomic_load_explicit(&cell->is_busy, memory_order_relaxed), to = state - CELL_SENT;

        if (state < CELL_SENT)
            continue;
        if (!look || to == place->rank || !team_rank_is_gone(place->team, to))
            say_blocked(place, to);
        else /* Where another thread is quicker it does no harm: see struct cell_shared. */
            atomic_compare_exchange_strong_explicit(&cell->is_busy, &state, CELL_FREE, memory_order_acq_rel,
                                                    memory_order_relaxed);
    }
}

void mailbox_want_room(const struct team_place *place, const struct letter *letter, bool look)
{
    if (letter->is_numbered)
        say_blocked(place, letter->to);
    else
        want_cell(place, letter, look);
}

/* ---- The end ---- */

static void visit_channel(struct team_shared *team, uint32_t from, uint32_t to, mailbox_visit *visit,
                          void *argument)
{
    struct channel_shared *channel = mailbox_channel(team, from, to);
    uint64_t held = channel != NULL ? atomic_load_explicit(&channel->held_first, memory_order_acquire) : 0;
    uint32_t number, n = mailbox_slots(team);

    if (channel == NULL)
        return;
    for (; held != 0; held = ((struct message_held_shared *)segment_at(held))->next)
        visit(team, from, to, &((struct message_held_shared *)segment_at(held))->slot, argument);
    number = atomic_load_explicit(&channel->taken, memory_order_acquire);
    /* acquire: pairs with the release in write_slot(). */
    while (atomic_load_explicit(&channel->slots[number % n].seq, memory_order_acquire) == number + 1) {
        visit(team, from, to, &channel->slots[number % n], argument);
        number++;
    }
}

void mailbox_for_each_left(struct team_shared *team, uint32_t to, mailbox_visit *visit, void *argument)
{
    if (mailbox_block_at(&team->mailboxes) == NULL)
        return;
    for (uint32_t from = 0; from < team->size; from++)
        visit_channel(team, from, to, visit, argument);
}

static void free_at(const _Atomic uint64_t *place)
{
    void *block = mailbox_block_at(place);

    if (block != NULL)
        heap_free(block);
}

static void close_channel(const _Atomic uint64_t *place)
{
    struct channel_shared *channel = mailbox_block_at(place);
    uint64_t offset = channel != NULL ? atomic_load_explicit(&channel->held_first, memory_order_relaxed) : 0;

    while (offset != 0) {
        struct message_held_shared *held = segment_at(offset);

        offset = held->next;
        heap_free(held);
    }
    free_at(place);
}

static void close_box(struct mailbox_shared *box, uint32_t size)
{
    _Atomic uint64_t *channels = mailbox_block_at(&box->channels);

    for (uint32_t source = 0; channels != NULL && source < size; source++)
        close_channel(&channels[source]);
    free_at(&box->channels);
    for (unsigned kind = 0; kind < 2; kind++)
        free_at(&box->cells[kind]);
    stream_close_all(box);
}

void mailbox_close(struct team_shared *team)
{
    int saved_errno = errno;

    if (mailbox_block_at(&team->mailboxes) == NULL)
        return;
    for (uint32_t rank = 0; rank < team->size; rank++)
        close_box(mailbox_of(team, rank), team->size);
    free_at(&team->mailboxes);
    atomic_store_explicit(&team->mailboxes, 0, memory_order_relaxed);
    errno = saved_errno;
}
