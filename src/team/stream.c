#include "team/stream.h"

#include <string.h>

#include "base/fault.h"
#include "memory/heap.h"
#include "memory/segment.h"

/* Pieces are small enough to stay in the caches between sender and receiver, and worth a wake-up each. */
#define PIECE_BYTES ((uint64_t)8 << 10)
#define RING_BYTES  (8 * PIECE_BYTES)

_Static_assert(offsetof(struct stream_shared, drained) == 64, "sender and receiver have a line each");
_Static_assert(sizeof(struct stream_shared) == 128, "streams share no line");

static struct stream_shared *stream_of(uint64_t offset)
{
    return segment_at(offset);
}

/* ---- The sender ---- */

/* Makes it fit for the next message. Returns 0, or -1 with errno. */
static int prepare(struct stream_shared *stream, struct letter *letter)
{
    bool is_shared = segment_contains(letter->data);

    if (!is_shared && mailbox_block(&stream->ring, RING_BYTES) == NULL)
        return -1;
    /* relaxed, all: the slot that names the stream is written, with release, afterwards. */
    atomic_store_explicit(&stream->filled, 0, memory_order_relaxed);
    atomic_store_explicit(&stream->drained, 0, memory_order_relaxed);
    atomic_store_explicit(&stream->wants_ring, 0, memory_order_relaxed);
    stream->address = (uintptr_t)letter->data;
    peer_memory_tell(&stream->sender);
    letter->stream = segment_offset(stream);
    letter->source = is_shared ? segment_offset(letter->data) : 0;
    return 0;
}

int stream_open(const struct team_place *place, struct letter *letter)
{
    struct mailbox_shared *mine = mailbox_of(place->team, place->rank);

    for (unsigned i = 0; i < MAILBOX_STREAMS; i++) {
        struct stream_shared *stream = mailbox_block(&mine->streams[i], sizeof *stream);
        uint32_t free = 0;

        if (stream == NULL)
            return -1;
        FAULT_POINT();
        /* acquire: pairs with the release in stream_close(), by another thread. */
        if (!atomic_compare_exchange_strong_explicit(&stream->is_busy, &free, 1, memory_order_acquire,
                                                     memory_order_relaxed))
            continue;
        FAULT_POINT();
        if (prepare(stream, letter) == 0)
            return 1;
        atomic_store_explicit(&stream->is_busy, 0, memory_order_release);
        return -1;
    }
    return 0;
}

bool stream_fill(const struct team_place *place, const struct letter *letter)
{
    struct stream_shared *stream = stream_of(letter->stream);
    uint64_t filled = atomic_load_explicit(&stream->filled, memory_order_relaxed);
    char *ring = mailbox_block_at(&stream->ring);
    uint64_t drained;

    /* acquire: pairs with the release in take_pieces(): those pieces of the ring have been read. */
    while ((drained = atomic_load_explicit(&stream->drained, memory_order_acquire)) < letter->bytes) {
        uint64_t left = letter->bytes - filled, n = left < PIECE_BYTES ? left : PIECE_BYTES;

        /* relaxed: nothing comes with it. */
        if (atomic_load_explicit(&stream->wants_ring, memory_order_relaxed) == 0 || n == 0 ||
            filled + n > drained + RING_BYTES)
            return false;
        memcpy(ring + filled % RING_BYTES, (const char *)letter->data + filled, n);
        filled += n;
        FAULT_POINT();
        /* release: the piece is there. */
        atomic_store_explicit(&stream->filled, filled, memory_order_release);
        FAULT_POINT();
        mailbox_ring(mailbox_of(place->team, letter->to));
    }
    return true;
}

void stream_close(const struct team_place *place, const struct letter *letter)
{
    atomic_store_explicit(&stream_of(letter->stream)->is_busy, 0, memory_order_release);
    /* Another thread of this rank may wait for a stream. */
    mailbox_ring(mailbox_of(place->team, place->rank));
}

void stream_abandon(const struct letter *letter)
{
    atomic_store_explicit(&stream_of(letter->stream)->is_abandoned, 1, memory_order_relaxed);
    /* Pairs with the fence in take_source(): what the caller does to its data comes after this. */
    atomic_thread_fence(memory_order_release);
}

void stream_close_all(struct mailbox_shared *box)
{
    for (unsigned i = 0; i < MAILBOX_STREAMS; i++) {
        struct stream_shared *stream = mailbox_block_at(&box->streams[i]);
        void *ring = stream != NULL ? mailbox_block_at(&stream->ring) : NULL;

        if (ring != NULL)
            heap_free(ring);
        if (stream != NULL)
            heap_free(stream);
    }
}

/* ---- The receiver ---- */

static void count_drained(const struct team_place *place, const struct wanted *wanted, uint64_t drained)
{
    struct stream_shared *stream = stream_of(wanted->stream);

    FAULT_POINT();
    /*
     * release: so much has been read. At the end the stream is the sender's again, and not looked at any
     * more.
     */
    atomic_store_explicit(&stream->drained, drained, memory_order_release);
    FAULT_POINT();
    mailbox_ring(mailbox_of(place->team, (uint32_t)wanted->found.source));
}

/* Copies the data from where they are. Returns whether that is possible. */
static bool copy_once(const struct wanted *wanted)
{
    const struct stream_shared *stream = stream_of(wanted->stream);

    if (wanted->from == 0)
        return peer_memory_read(&stream->sender, stream->address, wanted->data, wanted->found.bytes);
    if (wanted->data != segment_at(wanted->from))
        memmove(wanted->data, segment_at(wanted->from), wanted->found.bytes);
    return true;
}

/*
 * Whether the sender was in its call all the time: it has not given up, since the team has failed, nor ended,
 * when its memory would be gone, or be another process's.
 */
static bool is_sender_there(const struct team_place *place, const struct wanted *wanted)
{
    /* Pairs with the fence in stream_abandon(): who has read what came after it sees the word. */
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&stream_of(wanted->stream)->is_abandoned, memory_order_relaxed) == 0 &&
           (wanted->from != 0 || !team_rank_is_told_gone(place->team, (uint32_t)wanted->found.source));
}

static bool take_pieces(const struct team_place *place, const struct wanted *wanted)
{
    struct stream_shared *stream = stream_of(wanted->stream);
    uint64_t drained = atomic_load_explicit(&stream->drained, memory_order_relaxed), filled;
    const char *ring = mailbox_block_at(&stream->ring);

    /* acquire: pairs with the release in stream_fill(). */
    while ((filled = atomic_load_explicit(&stream->filled, memory_order_acquire)) > drained) {
        uint64_t n = filled - drained < PIECE_BYTES ? filled - drained : PIECE_BYTES;

        memcpy((char *)wanted->data + drained, ring + drained % RING_BYTES, n);
        drained += n;
        count_drained(place, wanted, drained);
        if (drained == wanted->found.bytes)
            return true;
    }
    return false;
}

static void want_ring(const struct team_place *place, const struct wanted *wanted)
{
    atomic_store_explicit(&stream_of(wanted->stream)->wants_ring, 1, memory_order_relaxed);
    FAULT_POINT();
    mailbox_ring(mailbox_of(place->team, (uint32_t)wanted->found.source));
}

bool stream_drain(const struct team_place *place, const struct wanted *wanted)
{
    if (atomic_load_explicit(&stream_of(wanted->stream)->wants_ring, memory_order_relaxed) != 0)
        return take_pieces(place, wanted);
    /* One that is not there leaves nothing to be received: the wait for it ends with that. */
    if (!is_sender_there(place, wanted))
        return false;
    if (!copy_once(wanted)) {
        want_ring(place, wanted);
        return false;
    }
    if (!is_sender_there(place, wanted))
        return false;
    count_drained(place, wanted, wanted->found.bytes);
    return true;
}
