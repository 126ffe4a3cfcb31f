/*
 * Death between any two stores of the calls that move data: the others are told, no block is lost, nobody
 * hangs.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "fault_ranks.h"
#include "memory/memory.h"
#include "sharedmem.h"
#include "tap.h"

/* More than any of the calls has. */
#define N_STEPS   90
#define MAX_RANKS 5
#define SMALL     100
#define LARGE     70000

enum call { GATHER, ALLGATHER, SCATTER, ALLTOALL, GATHERV, ALLGATHERV, SCATTERV, N_CALLS };

static const char *const names[] = {"gather",  "allgather",  "scatter", "alltoall",
                                    "gatherv", "allgatherv", "scatterv"};

/* Shared memory that each rank moves from and to. */
static struct {
    char in[MAX_RANKS][MAX_RANKS * LARGE], out[MAX_RANKS][MAX_RANKS * LARGE];
} *data;

static char private_in[MAX_RANKS * LARGE], private_out[MAX_RANKS * LARGE];

/* Which of the calls, of how much, and whose memory. */
struct test {
    enum call call;
    size_t bytes;
    bool is_shared;
};

static int make(const struct test *test, char *in, char *out, int root)
{
    size_t sizes[MAX_RANKS], mine = test->bytes - (size_t)sharedmem_rank();

    for (size_t rank = 0; rank < MAX_RANKS; rank++)
        sizes[rank] = test->bytes - rank;
    switch (test->call) {
    case GATHER:
        return sharedmem_gather(in, out, test->bytes, root);
    case ALLGATHER:
        return sharedmem_allgather(in, out, test->bytes);
    case SCATTER:
        return sharedmem_scatter(in, out, test->bytes, root);
    case ALLTOALL:
        return sharedmem_alltoall(in, out, test->bytes);
    case GATHERV:
        return sharedmem_gatherv(in, mine, out, sizes, NULL, root);
    case ALLGATHERV:
        return sharedmem_allgatherv(in, mine, out, sizes, NULL);
    default:
        return sharedmem_scatterv(in, sizes, NULL, out, mine, root);
    }
}

/* Of all bytes the same in a rank: the first and the last of what has come. */
static int one(const struct test *test, int rank, int k)
{
    int size = sharedmem_size(), root = (size - 1 + k) % size, last = size - 1;
    char *in = test->is_shared ? data->in[rank] : private_in;
    char *out = test->is_shared ? data->out[rank] : private_out;
    bool is_dealt = test->call == SCATTER || test->call == SCATTERV;
    bool differ = test->call >= GATHERV;
    size_t end = is_dealt ? test->bytes - (differ ? (size_t)rank : 0)
                          : test->bytes * (size_t)size - (differ ? (size_t)(size * last / 2) : 0);

    memset(in, rank + 10 * k, test->bytes * (size_t)size);
    if (make(test, in, out, root) != 0)
        return 1;
    if (is_dealt)
        shared->wrong += out[0] != root + 10 * k || out[end - 1] != root + 10 * k;
    else if (rank == root || (test->call != GATHER && test->call != GATHERV))
        shared->wrong += out[0] != 10 * k || out[end - 1] != last + 10 * k;
    return 0;
}

static int body(size_t rank, void *result, void *context)
{
    (void)result;
    for (int k = 0; k < 3; k++) {
        /* The first time takes the board's making too. */
        if (k == (((const struct test *)context)->bytes == LARGE) && rank == shared->bad)
            fault_arm(shared->step);
        if (one(context, (int)rank, k) != 0)
            return 1;
    }
    if (rank == shared->bad)
        fault_arm(0);
    shared->done++;
    return 0;
}

/* Until it comes to no step any more. Under the address sanitizer, where a fork is dear, at every third. */
static void die_everywhere(const struct test *test, int np)
{
    size_t who = (size_t)np - 1;
    int wrong = 0, n_died = 0, before = -1;
    unsigned long next = test_address_sanitized() ? 3 : 1;

    for (unsigned long step = 1 + test->call % next; step <= N_STEPS && n_died > before; step += next) {
        before = n_died;
        wrong += die_once(body, test, np, who, step, &n_died);
    }
    test_ok(wrong == 0 && n_died > 0 && n_died == before, "%s of %zu bytes, %s, %d ranks: %d died, %d wrong",
            names[test->call], test->bytes, test->is_shared ? "shared" : "private", np, n_died, wrong);
}

int main(void)
{
    static const int nps[] = {2, MAX_RANKS}; /* the two ways of barriers */

    test_begin(240);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    shared = sharedmem_calloc(1, sizeof *shared);
    data = sharedmem_calloc(1, sizeof *data);
    if (shared == NULL || data == NULL)
        test_skip_all("no shared memory here");
    for (size_t i = 0; i < sizeof nps / sizeof *nps; i++) {
        for (enum call call = 0; call < N_CALLS; call++) {
            if (i == 0)
                die_everywhere(&(struct test){call, SMALL, false}, nps[i]);
            if (i == 1 && (call == ALLGATHER || call == SCATTER || call == GATHERV))
                continue;
            die_everywhere(&(struct test){call, LARGE, false}, nps[i]);
            die_everywhere(&(struct test){call, LARGE, true}, nps[i]);
        }
    }
    return test_end();
}
