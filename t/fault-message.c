/*
 * Death between any two stores of a message, of who sends and of who receives: the others get all messages
 * that were sent, each whole, and then are told; no block is lost.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "fault_ranks.h"
#include "in_child.h"
#include "memory/memory.h"
#include "messages.h"
#include "sharedmem.h"
#include "tap.h"

/* More than any of the calls has, but for the floods, of which these are enough. */
#define N_STEPS 60
#define LARGE   100000u

enum call { SMALL, CELLS, HELD, STREAM, SHARED, RING, EXCHANGE, ANY, FLOOD, N_CALLS };

static const char *const names[] = {"small ones",   "by cells",      "behind others",
                                    "large ones",   "large, shared", "through the ring",
                                    "both at once", "from any",      "a flood"};

static unsigned char *block; /* room for each rank */

static size_t bytes_of(enum call call)
{
    return call == SMALL || call == ANY    ? 20
           : call == CELLS || call == HELD ? 5000
           : call == FLOOD                 ? 100
                                           : LARGE;
}

static int send_one(int to, int tag, int k, size_t bytes, bool is_shared)
{
    static unsigned char private[LARGE];
    unsigned char *data = is_shared ? block + (size_t)sharedmem_rank() * LARGE : private;

    message_fill(data, bytes, sharedmem_rank(), tag, k);
    return sharedmem_send(data, bytes, to, tag);
}

static int receive_one(int from, int tag, int k, size_t bytes)
{
    static unsigned char data[LARGE];
    sharedmem_status status;

    if (sharedmem_recv(data, bytes, from, tag, &status) != 0)
        return 1;
    if (status.bytes != bytes || !message_is(data, bytes, status.source, status.tag, k))
        shared->wrong++;
    return 0;
}

/* Rank 0 sends to the last one, and has an answer; those between pass it on. */
static int pass_on(enum call call, int rank, int k)
{
    int last = sharedmem_size() - 1, from = call == ANY ? SHAREDMEM_ANY_SOURCE : rank == 0 ? last : rank - 1;
    size_t bytes = bytes_of(call);
    bool is_held = call == HELD;

    if (rank != 0 &&
        ((is_held && receive_one(from, 2, k, bytes) != 0) || receive_one(from, 1, k, bytes) != 0))
        return 1;
    if (send_one(rank == last ? 0 : rank + 1, 1, k, bytes, call == SHARED) != 0 ||
        (is_held && send_one(rank == last ? 0 : rank + 1, 2, k, bytes, false) != 0))
        return 1;
    return rank == 0 &&
           ((is_held && receive_one(from, 2, k, bytes) != 0) || receive_one(from, 1, k, bytes) != 0);
}

static int exchange(int rank, int k)
{
    static unsigned char out[LARGE], in[LARGE];
    int size = sharedmem_size(), right = (rank + 1) % size, left = (rank + size - 1) % size;

    message_fill(out, LARGE, rank, 1, k);
    if (sharedmem_sendrecv(out, LARGE, right, 1, in, LARGE, left, 1, NULL) != 0)
        return 1;
    shared->wrong += !message_is(in, LARGE, left, 1, k);
    return 0;
}

/* More than there is room for, to all, before anything is received. */
static int flood(int rank, int k)
{
    int size = sharedmem_size();

    for (int i = 0; i < 40; i++) {
        for (int to = 0; to < size; to++) {
            if (to != rank && send_one(to, 1, k, bytes_of(FLOOD), false) != 0)
                return 1;
        }
    }
    for (int i = 0; i < 40 * (size - 1); i++) {
        if (receive_one(i % (size - 1) < rank ? i % (size - 1) : i % (size - 1) + 1, 1, k, bytes_of(FLOOD)) !=
            0)
            return 1;
    }
    return 0;
}

static int one(enum call call, int rank, int k)
{
    return call == EXCHANGE ? exchange(rank, k) : call == FLOOD ? flood(rank, k) : pass_on(call, rank, k);
}

static int body(size_t rank, void *result, void *context)
{
    enum call call = *(enum call *)context;

    (void)result;
    for (int k = 0; k < 4; k++) {
        if (k == 1 && rank == shared->bad)
            fault_arm(shared->step);
        if (one(call, (int)rank, k) != 0)
            return 1;
    }
    if (rank == shared->bad)
        fault_arm(0);
    shared->done++;
    return 0;
}

static int die_everywhere(enum call call, int np, int *died)
{
    /* Each death takes until somebody looks; TEST_ROUNDS set walks over all. Each call begins elsewhere. */
    unsigned long next = test_under_valgrind() ? 29 : getenv("TEST_ROUNDS") != NULL ? 1 : np > 2 ? 19 : 7;
    int wrong = 0;

    for (unsigned long step = 1 + (unsigned long)call % next; step <= N_STEPS; step += next) {
        for (size_t who = 1; who < (size_t)np; who++)
            wrong += die_once(body, &call, np, who, step, died);
    }
    return wrong;
}

static void test_call(enum call call, int np)
{
    int died = 0, wrong = die_everywhere(call, np, &died);

    test_int(0, wrong, "%s, %d ranks", names[call], np);
    test_ok(died > 0, "%s, %d ranks: %d died", names[call], np, died);
}

static bool refuse_reading(void)
{
    return refuse_syscall(SYS_process_vm_readv, EPERM);
}

/* In a child, whose ranks may not read each other's memory. */
static void ring_of_two(void)
{
    int died = 0;

    /* The first call makes what stays. */
    die_once(body, &(enum call){RING}, 2, 1, 10000, &died);
    held(die_everywhere(RING, 2, &died) == 0);
    held(died > 0);
}

static void ring_of_all_sizes(void)
{
    held(messages_of_sizes(0, (3 << 20) + 5) == NULL);
}

static int sizes_in_ranks(size_t rank, void *result, void *context)
{
    (void)rank;
    (void)result;
    (void)context;
    return messages_of_sizes(sharedmem_size() % 4, (3 << 20) + 5) != NULL;
}

static void rings_of_ranks(void)
{
    ring_of_all_sizes();
    for (int np = 2; np <= 4; np++)
        held(sharedmem_parallel(np, sizes_in_ranks, NULL) == 0);
}

int main(void)
{
    test_begin(120);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    shared = sharedmem_calloc(1, sizeof *shared);
    block = sharedmem_calloc(3, LARGE);
    for (enum call call = 0; call < N_CALLS; call++) {
        if (call == RING)
            test_refused(refuse_reading, ring_of_two, names[call]);
        for (int np = 2; np <= 3 && call != RING; np++)
            test_call(call, np);
    }
    test_refused(refuse_reading, rings_of_ranks, "all lengths, where the system refuses reads");
    return test_end();
}
