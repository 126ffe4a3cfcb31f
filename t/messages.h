/*
 * messages.h: what ranks tell each other by messages, for tests of ranks that are forked, threads, or
 * smrrun's. Each pattern is called by all ranks of a team, and returns what was wrong, or NULL.
 */
#ifndef T_MESSAGES_H
#define T_MESSAGES_H

#include <sharedmem.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES_COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* Around each size from which on messages go another way; in fewer rounds the largest are left out. */
static const size_t message_sizes[] = {0,    1,     8,     47,    48,    49,      4095,         4096,
                                       4097, 65535, 65536, 65537, 73729, 1 << 20, (3 << 20) + 5};

/* What rank has sent with this tag as its number'th. */
static inline unsigned char message_byte(int rank, int tag, int number, size_t i)
{
    return (unsigned char)(rank * 7 + tag * 31 + number * 13 + (int)(i % 251));
}

static inline void message_fill(unsigned char *data, size_t bytes, int rank, int tag, int number)
{
    for (size_t i = 0; i < bytes; i++)
        data[i] = message_byte(rank, tag, number, i);
}

static inline bool message_is(const unsigned char *data, size_t bytes, int rank, int tag, int number)
{
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] != message_byte(rank, tag, number, i))
            return false;
    }
    return true;
}

static inline bool message_status_is(const sharedmem_status *status, int source, int tag, size_t bytes)
{
    return status->source == source && status->tag == tag && status->bytes == bytes;
}

/*
 * Each size around the ring, there and back; is_shared: bit 0, what is sent; bit 1, what it is received into.
 */
static inline const char *messages_of_sizes(int is_shared, size_t most)
{
    int rank = sharedmem_rank(), size = sharedmem_size(), right = (rank + 1) % size,
        left = (rank + size - 1) % size;
    unsigned char *out = is_shared & 1 ? sharedmem_malloc(most + 1) : malloc(most + 1);
    unsigned char *in = is_shared & 2 ? sharedmem_malloc(most + 1) : malloc(most + 1);
    const char *wrong = NULL;

    for (size_t s = 0; s < MESSAGES_COUNT_OF(message_sizes) && message_sizes[s] <= most; s++) {
        size_t bytes = message_sizes[s];
        sharedmem_status status = {0};
        int tag = (int)s;

        message_fill(out, bytes, rank, tag, 0);
        memset(in, 0xee, bytes + 1);
        if (sharedmem_sendrecv(out, bytes, right, tag, in, most, left, tag, &status) != 0)
            wrong = "sendrecv failed";
        memset(out, 0, bytes);
        if (!message_status_is(&status, left, tag, bytes) || !message_is(in, bytes, left, tag, 0) ||
            in[bytes] != 0xee)
            wrong = "sendrecv brought something else";
        if (size == 1)
            continue;
        /* By the two calls one rank must begin. */
        message_fill(out, bytes, rank, tag, 1);
        if (rank == 0 && sharedmem_send(out, bytes, right, tag) != 0)
            wrong = "send failed";
        if (sharedmem_recv(in, bytes, left, tag, &status) != 0)
            wrong = "recv failed";
        if (!message_status_is(&status, left, tag, bytes) || !message_is(in, bytes, left, tag, 1))
            wrong = "recv brought something else";
        if (rank != 0 && sharedmem_send(out, bytes, right, tag) != 0)
            wrong = "send failed";
    }
    if (is_shared & 1)
        sharedmem_free(out);
    else
        free(out);
    if (is_shared & 2)
        sharedmem_free(in);
    else
        free(in);
    return wrong;
}

/* How long the number'th message is: of each kind some. */
static inline size_t message_length(int number)
{
    static const size_t lengths[] = {8, 0, 40, 100, 48, 5000, 16, 49, 4096, 20000};

    return lengths[(size_t)number % MESSAGES_COUNT_OF(lengths)];
}

/*
 * All send n messages to all, themselves too, before they receive any, with three tags in turn. Then they
 * receive from each rank in turn those of the last tag first, and the others as they come.
 */
static inline const char *messages_by_tag(int n)
{
    int rank = sharedmem_rank(), size = sharedmem_size();
    unsigned char *data = malloc(20000);
    const char *wrong = NULL;

    for (int k = 0; k < n; k++) {
        for (int to = 0; to < size; to++) {
            message_fill(data, message_length(k), rank, k % 3, k);
            if (sharedmem_send(data, message_length(k), to, k % 3) != 0)
                wrong = "send failed";
        }
    }
    for (int from = 0; from < size; from++) {
        sharedmem_status status;

        for (int k = 2; k < n; k += 3) {
            if (sharedmem_recv(data, 20000, from, 2, &status) != 0 ||
                !message_status_is(&status, from, 2, message_length(k)) ||
                !message_is(data, status.bytes, from, 2, k))
                wrong = "another message with the tag";
        }
        for (int k = 0; k < n; k++) {
            if (k % 3 != 2 && (sharedmem_recv(data, 20000, from, SHAREDMEM_ANY_TAG, &status) != 0 ||
                               !message_status_is(&status, from, k % 3, message_length(k)) ||
                               !message_is(data, status.bytes, from, k % 3, k)))
                wrong = "messages with any tag came in another order";
        }
    }
    free(data);
    return wrong;
}

/* All others send n messages to rank 0, which takes them as they come; and answers the last of each. */
static inline const char *messages_to_first(int n)
{
    int rank = sharedmem_rank(), size = sharedmem_size(), *seen = calloc((size_t)size, sizeof *seen);
    unsigned char data[20000];
    const char *wrong = NULL;
    sharedmem_status status;

    for (int k = 0; rank != 0 && k < n; k++) {
        message_fill(data, message_length(k), rank, k, k);
        if (sharedmem_send(data, message_length(k), 0, k) != 0)
            wrong = "send failed";
    }
    if (rank != 0 && (sharedmem_recv(data, 4, 0, 3, NULL) != 0 || !message_is(data, 4, 0, 3, rank)))
        wrong = "another answer";
    for (int k = 0; rank == 0 && k < n * (size - 1); k++) {
        if (sharedmem_recv(data, sizeof data, SHAREDMEM_ANY_SOURCE, SHAREDMEM_ANY_TAG, &status) != 0 ||
            status.source < 1 || status.source >= size) {
            wrong = "nothing from any source";
            break;
        }
        if (status.tag != seen[status.source] || status.bytes != message_length(status.tag) ||
            !message_is(data, status.bytes, status.source, status.tag, status.tag))
            wrong = "one source's messages came in another order";
        if (++seen[status.source] == n) {
            message_fill(data, 4, 0, 3, status.source);
            if (sharedmem_send(data, 4, status.source, 3) != 0)
                wrong = "no answer sent";
        }
    }
    free(seen);
    return wrong;
}

/* Each rank sends to all others one message of a length that they do not know, and they ask. */
static inline const char *messages_probed(void)
{
    int rank = sharedmem_rank(), size = sharedmem_size(), found;
    const char *wrong = NULL;
    sharedmem_status status;
    unsigned char *data;

    for (int to = 0; to < size; to++) {
        size_t bytes = 50u * (unsigned)rank + (unsigned)to;

        data = malloc(bytes + 1);
        message_fill(data, bytes, rank, 5, to);
        if (sharedmem_send(data, bytes, to, 5) != 0)
            wrong = "send failed";
        free(data);
    }
    for (int k = 0; k < size; k++) {
        if (k % 2 == 0) {
            if (sharedmem_probe(SHAREDMEM_ANY_SOURCE, 5, &status) != 0)
                return "probe failed";
        } else {
            while ((found = sharedmem_iprobe(SHAREDMEM_ANY_SOURCE, SHAREDMEM_ANY_TAG, &status)) == 0)
                ;
            if (found != 1)
                return "iprobe failed";
        }
        if (!message_status_is(&status, status.source, 5, 50u * (unsigned)status.source + (unsigned)rank))
            wrong = "a probe tells something else";
        data = malloc(status.bytes + 1);
        if (sharedmem_recv(data, status.bytes, status.source, status.tag, NULL) != 0 ||
            !message_is(data, status.bytes, status.source, 5, rank))
            wrong = "what was probed is something else";
        free(data);
    }
    if (sharedmem_iprobe(rank, 77, &status) != 0)
        wrong = "iprobe finds what nobody sent";
    return wrong;
}

/* To itself, and with nobody. */
static inline const char *messages_alone(void)
{
    int rank = sharedmem_rank();
    sharedmem_status status = {9, 9, 9};
    unsigned char *out = malloc(300000), *in = malloc(300000);
    const char *wrong = NULL;

    for (int k = 0; k < 100; k++) {
        message_fill(out, 200, rank, 1, k);
        if (sharedmem_send(out, k % 2 == 0 ? 8 : 200, rank, 1) != 0)
            wrong = "send to itself failed";
    }
    for (int k = 0; k < 100; k++) {
        if (sharedmem_recv(in, 200, rank, 1, &status) != 0 || status.bytes != (k % 2 == 0 ? 8 : 200) ||
            !message_is(in, status.bytes, rank, 1, k))
            wrong = "another message from itself";
    }
    message_fill(out, 65536, rank, 2, 0);
    if (sharedmem_send(out, 65536, rank, 2) != 0 || sharedmem_recv(in, 65536, rank, 2, NULL) != 0 ||
        !message_is(in, 65536, rank, 2, 0))
        wrong = "64 KiB to itself";
    message_fill(out, 300000, rank, 2, 1);
    if (sharedmem_sendrecv(out, 300000, rank, 2, in, 300000, rank, 2, NULL) != 0 ||
        !message_is(in, 300000, rank, 2, 1))
        wrong = "sendrecv with itself";
    if (sharedmem_send(out, 9, SHAREDMEM_NOBODY, 0) != 0 ||
        sharedmem_recv(in, 9, SHAREDMEM_NOBODY, 0, &status) != 0 ||
        !message_status_is(&status, SHAREDMEM_NOBODY, SHAREDMEM_ANY_TAG, 0) ||
        sharedmem_iprobe(SHAREDMEM_NOBODY, 0, &status) != 1 ||
        sharedmem_probe(SHAREDMEM_NOBODY, 0, NULL) != 0)
        wrong = "nobody";
    free(out);
    free(in);
    return wrong;
}

/* A halo exchange at the ends of which is nobody. */
static inline const char *messages_in_line(size_t bytes)
{
    int rank = sharedmem_rank(), size = sharedmem_size();
    int left = rank > 0 ? rank - 1 : SHAREDMEM_NOBODY, right = rank < size - 1 ? rank + 1 : SHAREDMEM_NOBODY;
    unsigned char *out = malloc(bytes), *in = malloc(bytes);
    const char *wrong = NULL;

    for (int k = 0; k < 10; k++) {
        message_fill(out, bytes, rank, 1, k);
        if (sharedmem_sendrecv(out, bytes, left, 1, in, bytes, right, 1, NULL) != 0 ||
            (right >= 0 && !message_is(in, bytes, right, 1, k)))
            wrong = "the right one's halo";
        if (sharedmem_sendrecv(out, bytes, right, 1, in, bytes, left, 1, NULL) != 0 ||
            (left >= 0 && !message_is(in, bytes, left, 1, k)))
            wrong = "the left one's halo";
    }
    free(out);
    free(in);
    return wrong;
}

/*
 * All of them; n: how much. Between them all meet: who takes what comes from any would take the next one's.
 */
static inline const char *messages_of_all_kinds(int n, size_t most)
{
    const char *wrong = NULL;

    for (int kind = 0; kind < 12 && wrong == NULL; kind++) {
        if (sharedmem_barrier() != 0)
            return "a barrier failed";
        if (kind < 4)
            wrong = messages_of_sizes(kind, most);
        else if (kind < 7)
            wrong = messages_probed();
        else if (kind == 7)
            wrong = messages_by_tag(n);
        else if (kind == 8)
            wrong = messages_to_first(n);
        else if (kind == 9)
            wrong = messages_alone();
        else
            wrong = messages_in_line(kind == 10 ? 100 : 100000);
    }
    return wrong;
}

#endif
