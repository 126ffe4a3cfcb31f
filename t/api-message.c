/*
 * Messages: order, tags, any source, all lengths, floods, truncation, misuse; and what fails where a rank
 * fails.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sharedmem.h>

#include "messages.h"
#include "shared_block.h"
#include "tap.h"
#include "uncaught.h"

static const int nps[] = {1, 2, 3, 7, 16};
static const struct {
    int backend;
    const char *name;
} backends[] = {{SHAREDMEM_PROCESSES, "processes"}, {SHAREDMEM_THREADS, "threads"}};

struct shared {
    char wrong[100]; /* what was found first */
    int code;        /* rank 0's errno, where a call failed */
    _Atomic int ready;
};

static struct shared *shared;

static void check(bool held, const char *what)
{
    if (!held)
        note_wrong(shared->wrong, what);
}

static bool is_possible(size_t b)
{
    return backends[b].backend == SHAREDMEM_THREADS || !test_thread_sanitized();
}

static void run(size_t b, int np, sharedmem_function *body, void *context, const char *name)
{
    memset(shared, 0, sizeof *shared);
    test_int(0, sharedmem_parallel(np, body, context, .backend = backends[b].backend), "%s, %d ranks: %s",
             backends[b].name, np, name);
    test_str("", shared->wrong, "%s, %d ranks: %s, right", backends[b].name, np, name);
}

/* ---- All kinds ---- */

static int all_kinds(size_t rank, void *result, void *context)
{
    int n = sharedmem_size() > 8 || test_under_valgrind() ? 9 : 60;
    const char *wrong = messages_of_all_kinds(n, sharedmem_size() > 3 ? 73729 : (3 << 20) + 5);

    (void)rank;
    (void)result;
    (void)context;
    check(wrong == NULL, wrong);
    return 0;
}

/* Small ones until all room is used up, and more, to one that comes late and takes the last first. */
static int flood(size_t rank, void *result, void *context)
{
    int n = *(int *)context, size = sharedmem_size();

    (void)result;
    for (int k = 0; rank > 0 && k < n; k++)
        check(sharedmem_send(&k, sizeof k, 0, k) == 0, "send failed");
    for (int k = n; rank == 0 && k-- > 0;) {
        for (int from = 1; from < size; from++) {
            int got = -1;

            check(sharedmem_recv(&got, sizeof got, from, k, NULL) == 0 && got == k, "another message");
        }
    }
    return 0;
}

/* ---- Misuse ---- */

static const struct misuse {
    const char *name;
    int code;
    const char *says;
    int call; /* 0: send, 1: recv, 2: probe, 3: sendrecv, 4: iprobe */
    int peer, tag;
    size_t bytes;
    bool is_null;
} misuses[] = {
    {"a dest that is no rank", EINVAL, "send: dest is 2; it can be 0 to 1, a rank of the team", 0, 2, 0, 8,
     false},
    {"a dest below all", EINVAL, "send: dest is -3; ", 0, -3, 0, 8, false},
    {"any dest", EINVAL, "send: dest is -1; ", 0, SHAREDMEM_ANY_SOURCE, 0, 8, false},
    {"no data to send", EINVAL, "send: the data to send are NULL; give the 8 bytes", 0, 1, 0, 8, true},
    {"a tag below 0", EINVAL, "send: the tag to send with is -1; it can be 0 or more", 0, 1, -1, 8, false},
    {"a tag to nobody", EINVAL, "send: the tag to send with is -5", 0, SHAREDMEM_NOBODY, -5, 8, false},
    {"much to itself", EDEADLK, "send: rank 0 sends 100000 bytes to itself", 0, 0, 0, 100000, false},
    {"a source that is no rank", EINVAL, "recv: source is 2; it can be 0 to 1", 1, 2, 0, 8, false},
    {"a source below all", EINVAL, "recv: source is -3; ", 1, -3, 0, 8, false},
    {"no room", EINVAL, "recv: data is NULL; give room for 8 bytes", 1, 1, 0, 8, true},
    {"a tag that is none", EINVAL, "recv: the tag to receive is -2; ", 1, 1, -2, 8, false},
    {"a probe of no rank", EINVAL, "probe: source is 7; ", 2, 7, 0, 0, false},
    {"sendrecv with no rank", EINVAL, "sendrecv: dest is 7; ", 3, 7, 0, 8, false},
    {"sendrecv without data", EINVAL, "sendrecv: the data to send are NULL", 3, 1, 0, 8, true},
    {"a look for no tag", EINVAL, "iprobe: the tag to receive is -9; ", 4, 1, -9, 0, false},
};

static int make_call(const struct misuse *row)
{
    static char data[100000];
    void *given = row->is_null ? NULL : data;

    switch (row->call) {
    case 0:
        return sharedmem_send(given, row->bytes, row->peer, row->tag);
    case 1:
        return sharedmem_recv(given, row->bytes, row->peer, row->tag, NULL);
    case 2:
        return sharedmem_probe(row->peer, row->tag, NULL);
    case 3:
        return sharedmem_sendrecv(given, row->bytes, row->peer, row->tag, data, 8, row->peer, row->tag, NULL);
    default:
        return sharedmem_iprobe(row->peer, row->tag, NULL);
    }
}

/* Rank 0 does wrong; what it sends rightly afterwards comes. */
static int misuse(size_t rank, void *result, void *context)
{
    const struct misuse *row = context;
    int value = 0;

    (void)result;
    if (rank == 0) {
        errno = 0;
        test_int(-1, make_call(row), "%s", row->name);
        test_int(row->code, errno, "%s: errno", row->name);
        test_int(1, uncaught, "%s: uncaught", row->name);
        test_has(row->says, last.message, "%s: says so", row->name);
        value = 5;
        return sharedmem_send(&value, sizeof value, 1, 0);
    }
    check(sharedmem_recv(&value, sizeof value, 0, 0, NULL) == 0 && value == 5, "nothing afterwards");
    return 0;
}

/* The long one stays until somebody has room for it; nothing is written. */
static int truncate_one(size_t rank, void *result, void *context)
{
    size_t bytes = *(size_t *)context;
    unsigned char *data = malloc(bytes);
    char says[120];

    (void)result;
    message_fill(data, bytes, 1, 7, 0);
    if (rank == 1) {
        check(sharedmem_send(data, bytes, 0, 7) == 0, "send failed");
        free(data);
        return 0;
    }
    memset(data, 0, bytes);
    for (int k = 0; k < 2; k++) {
        uncaught = 0;
        errno = 0;
        test_int(-1, sharedmem_recv(data, bytes - 1, SHAREDMEM_ANY_SOURCE, 7, NULL), "%zu bytes, no room",
                 bytes);
        test_int(EMSGSIZE, errno, "%zu bytes, no room: errno", bytes);
        snprintf(says, sizeof says,
                 "recv: the message from rank 1 with tag 7 has %zu bytes, and there is room for %zu", bytes,
                 bytes - 1);
        test_has(says, last.message, "%zu bytes, no room: both lengths", bytes);
        test_int(1, uncaught, "%zu bytes, no room: uncaught", bytes);
    }
    test_int(0, data[0] + data[bytes - 2], "%zu bytes, no room: nothing written", bytes);
    test_int(0, sharedmem_recv(data, bytes, 1, 7, NULL), "%zu bytes, received at last", bytes);
    test_ok(message_is(data, bytes, 1, 7, 0), "%zu bytes, all there", bytes);
    free(data);
    return 0;
}

static int item_sends(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return sharedmem_send(NULL, 0, 0, 0);
}

static void test_own(void)
{
    uncaught = 0;
    test_int(-1, sharedmem_recv(NULL, 0, 0, 3, NULL), "alone, a message that it has not sent");
    test_int(EDEADLK, errno, "alone, what it has not sent: errno");
    test_has("recv: rank 0 waits for a message from itself, which it has not sent", last.message,
             "alone, what it has not sent: says so");
    test_int(1, uncaught, "alone, what it has not sent: uncaught");
}

/* ---- Large ones to itself that come to nothing ---- */

#define LARGE 200000u

static const struct own_row {
    const char *name;
    size_t room;
    int in_tag;
    bool is_before; /* a small one with in_tag was sent before */
    bool is_shared;
    int code;
    const char *says;
} own_rows[] = {
    {"too long", 1000, 5, false, false, EMSGSIZE, "with tag 5 has 200000 bytes, and there is room for 1000"},
    {"too long, shared", 1000, 5, false, true, EMSGSIZE, "with tag 5 has 200000 bytes"},
    {"too long, any tag", 1000, SHAREDMEM_ANY_TAG, false, false, EMSGSIZE, "there is room for 1000"},
    {"another is too long", 10, 6, true, false, EMSGSIZE, "with tag 6 has 40 bytes, and there is room for 10"},
    {"another comes", LARGE, 6, true, false, EDEADLK, "sendrecv: rank 0 sends 200000 bytes to itself with tag 5"},
    {"another never comes", LARGE, 6, false, false, EDEADLK, "rank 0 waits for a message from itself"},
};

/* Nothing of the call is left: what is sent to itself afterwards comes, small and large. */
static void check_after(const char *name, char *data, char *in)
{
    sharedmem_status status;
    int is_there = sharedmem_iprobe(SHAREDMEM_ANY_SOURCE, 5, NULL);

    test_int(0, is_there, "%s: nothing is left", name);
    data[LARGE - 1] = 7;
    test_int(0, sharedmem_sendrecv(data, LARGE, 0, 5, in, LARGE, 0, 5, &status), "%s: the next one", name);
    test_ok(status.bytes == LARGE && in[LARGE - 1] == 7, "%s: the next one comes", name);
}

static void test_own_row(const struct own_row *row)
{
    char *data = row->is_shared ? sharedmem_calloc(1, LARGE) : calloc(1, LARGE), *in = calloc(1, LARGE);

    uncaught = 0;
    if (row->is_before)
        sharedmem_send(data, 40, 0, 6);
    errno = 0;
    test_int(-1, sharedmem_sendrecv(data, LARGE, 0, 5, in, row->room, 0, row->in_tag, NULL), "to itself, %s", row->name);
    test_int(row->code, errno, "%s: errno", row->name);
    test_int(1, uncaught, "%s: uncaught", row->name);
    test_has(row->says, last.message, "%s: says so", row->name);
    if (row->is_before && row->code == EMSGSIZE)
        test_int(0, sharedmem_recv(in, LARGE, 0, 6, NULL), "%s: that one stays", row->name);
    check_after(row->name, data, in);
    free(in);
    if (row->is_shared)
        sharedmem_free(data);
    else
        free(data);
}

/* All blocks from 1 MiB down to the size of a channel, that there still are. Returns the chain of them. */
static void **fill_heap(void)
{
    static const size_t sizes[] = {1 << 20, 65536, 16384, 4096, 2048, 1152};
    void **chain = NULL, **next;

    for (size_t i = 0; i < MESSAGES_COUNT_OF(sizes); i++) {
        while ((next = sharedmem_malloc(sizes[i])) != NULL) {
            *next = (void *)chain;
            chain = next;
        }
    }
    return chain;
}

/* A team of one whose heap has no room for a channel, but for streams; again and again. Then all is well. */
static int without_memory(size_t rank, void *result, void *context)
{
    char *data = sharedmem_calloc(1, LARGE), *in = calloc(1, LARGE);
    void *kept[12], **chain;

    (void)rank;
    (void)result;
    (void)context;
    for (int i = 0; i < 12; i++)
        kept[i] = sharedmem_malloc(i < 8 ? 128 : 8);
    chain = fill_heap();
    for (int i = 0; i < 12; i++)
        sharedmem_free(kept[i]);
    for (int k = 0; k < 5; k++) {
        errno = 0;
        test_int(-1, sharedmem_sendrecv(data, LARGE, 0, 1, in, LARGE, 0, 1, NULL), "no memory, %d", k);
        test_int(ENOMEM, errno, "no memory, %d: errno", k);
    }
    while (chain != NULL) {
        void **next = *chain;

        sharedmem_free((void *)chain);
        chain = next;
    }
    check_after("no memory", data, in);
    sharedmem_free(data);
    free(in);
    return 0;
}

static void test_misuse(void)
{
    static size_t sizes[] = {2, 48, 49, 60000, 100000};
    sharedmem_error error;

    sharedmem_set_uncaught(note_uncaught);
    for (size_t i = 0; i < MESSAGES_COUNT_OF(misuses); i++) {
        uncaught = 0;
        run(1, 2, misuse, (void *)&misuses[i], misuses[i].name);
    }
    for (size_t i = 0; i < MESSAGES_COUNT_OF(sizes); i++)
        run(1, 2, truncate_one, &sizes[i], "a message that is too long");
    /* The thread sanitizer has a thread of its own, which could send it, as far as one knows. */
    if (!test_thread_sanitized())
        test_own();
    for (size_t i = 0; i < MESSAGES_COUNT_OF(own_rows); i++) {
        if (!test_thread_sanitized() || own_rows[i].code != EDEADLK)
            test_own_row(&own_rows[i]);
    }
    test_int(0, sharedmem_parallel(1, without_memory, NULL, .backend = SHAREDMEM_THREADS), "a heap without room");
    sharedmem_set_uncaught(sharedmem_uncaught);
    test_int(-1, sharedmem_map(2, item_sends, NULL, .backend = SHAREDMEM_SERIAL, .error = &error),
             "a message in a map");
    test_int(EPERM, error.code, "a message in a map: EPERM");
    test_has("send: items of a map", error.message, "a message in a map: says so");
}

/* ---- Failure ---- */

enum way { RETURN, LEAVE, KILL };
enum wait { RECEIVE, RECEIVE_ANY, PROBE, SEND_LARGE, SEND_MUCH, SENDRECV, N_WAITS };
static const char *const wait_names[] = {"recv",         "recv of any", "probe",
                                         "send of much", "many sends",  "sendrecv"};

struct plan {
    enum way way;
    enum wait wait;
};

/* Rank 0, when rank 1 is gone or goes: what it waits for never comes. */
static int wait_in_vain(enum wait wait)
{
    static char large[200000];
    int value = 0, result = 0;

    switch (wait) {
    case RECEIVE:
        return sharedmem_recv(&value, sizeof value, 1, 5, NULL);
    case RECEIVE_ANY:
        return sharedmem_recv(&value, sizeof value, SHAREDMEM_ANY_SOURCE, SHAREDMEM_ANY_TAG, NULL);
    case PROBE:
        return sharedmem_probe(1, SHAREDMEM_ANY_TAG, NULL);
    case SEND_LARGE:
        return sharedmem_send(large, sizeof large, 1, 5);
    case SEND_MUCH:
        for (int k = 0; k < 1000 && result == 0; k++)
            result = sharedmem_send(large, k % 60, 1, 5);
        return result;
    default:
        return sharedmem_sendrecv(large, sizeof large, 1, 5, &value, sizeof value, 1, 5, NULL);
    }
}

/* What rank 1 has sent before its end comes. */
static int fail_among_messages(size_t rank, void *result, void *context)
{
    const struct plan *plan = context;
    int value;

    (void)result;
    if (rank == 1) {
        for (int k = 0; k < 5; k++)
            sharedmem_send(&k, sizeof k, 0, 3);
        if (plan->way == RETURN)
            return sharedmem_fail(6, "rank 1 had enough");
        if (plan->way == KILL)
            kill(getpid(), SIGKILL);
        return 0;
    }
    for (int k = 0; k < 5; k++) {
        if (sharedmem_recv(&value, sizeof value, 1, 3, NULL) != 0)
            return 1;
        check(value == k, "another message");
    }
    errno = 0;
    check(wait_in_vain(plan->wait) == -1, "nobody was there, and it did not fail");
    shared->code = errno;
    return 1;
}

static void test_failure(size_t b, enum way way, enum wait wait)
{
    static const int kinds[] = {SHAREDMEM_ERROR_RETURNED, SHAREDMEM_ERROR_DEADLOCK, SHAREDMEM_ERROR_SIGNAL};
    struct plan plan = {way, wait};
    sharedmem_error error;
    const char *name = wait_names[wait];

    if (way == KILL && backends[b].backend == SHAREDMEM_THREADS)
        return;
    memset(shared, 0, sizeof *shared);
    test_int(
        -1,
        sharedmem_parallel(2, fail_among_messages, &plan, .backend = backends[b].backend, .error = &error),
        "%s, way %d, %s: fails", backends[b].name, way, name);
    test_int(kinds[way], error.kind, "%s, way %d, %s: why", backends[b].name, way, name);
    test_int(1, error.rank, "%s, way %d, %s: who", backends[b].name, way, name);
    test_str("", shared->wrong, "%s, way %d, %s: right", backends[b].name, way, name);
    if (way == LEAVE) {
        test_has("rank 1 is gone while rank 0 waits for ", error.message, "%s: says so", name);
        test_has("api-message.c:", error.message, "%s: says where", name);
        test_int(ECANCELED, shared->code, "%s: errno", name);
    }
    if (way == LEAVE && wait == RECEIVE)
        test_has("waits for a message (tag 5) at", error.message, "it says what for");
}

static void test_backend(size_t b)
{
    int much = test_under_valgrind() ? 50 : 2000;

    for (size_t i = 0; i < MESSAGES_COUNT_OF(nps); i++) {
        /* Valgrind runs one thread at a time. */
        if (test_under_valgrind() && nps[i] > 3)
            continue;
        run(b, nps[i], all_kinds, NULL, "messages of all kinds");
    }
    run(b, 2, flood, &much, "a flood");
    run(b, 5, flood, &much, "floods");
    for (enum way way = RETURN; way <= KILL; way++) {
        for (enum wait wait = RECEIVE; wait < N_WAITS; wait++)
            test_failure(b, way, wait);
    }
}

int main(void)
{
    test_begin(60);
    shared = shared_block("256M", sizeof *shared);
    /* The program alone is a team of one. */
    test_str(NULL, messages_of_all_kinds(30, (3 << 20) + 5), "alone");
    test_misuse();
    for (size_t b = 0; b < MESSAGES_COUNT_OF(backends); b++) {
        if (is_possible(b))
            test_backend(b);
    }
    sharedmem_set_debug(true);
    run(0, 4, all_kinds, NULL, "in debug mode");
    sharedmem_set_debug(false);
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
    test_int(0, test_children(), "no child is left");
    return test_end();
}
