/*
 * Death between any two stores of a collective: the others are told, no block is lost, and the next call is right.
 * Built with CHECKED it is t/fault-collective-checked.t: the same in checking mode.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "fault_ranks.h"
#include "memory/memory.h"
#include "sharedmem.h"
#include "tap.h"

/* Where a call has more, no further; where it has less, until so many in a row are never reached. */
#define N_STEPS   60
#define N_MISSING 4

/* Checked, each call begins with the steps of the check. */
#ifdef CHECKED
#define STRIDE 3
#else
#define STRIDE 1
#endif

enum call { ALL, SMALL, BOARD, LARGE, SHARED, COMBINED, COMBINED_LARGE, STAGED, SCAN, COMMON, CALLOC, FULL, N_CALLS };

static const char *const names[] = {"all_double",      "bcast of a few bytes", "bcast by the board",
                                    "bcast in pieces", "bcast in place",       "all by the board",
                                    "all by a block",  "allreduce in rounds",  "exscan in rounds",
                                    "a shared result", "team_calloc",          "team_full"};

static char *block;

/* The first and the last byte. */
static void add_ends(void *into, const void *from, void *context)
{
    size_t last = *(size_t *)context - 1;
    char *sum = into;

    sum[0] = (char)(sum[0] + ((const char *)from)[0]);
    sum[last] = (char)(sum[last] + ((const char *)from)[last]);
}

/* Rank + k in each place; what a rank gets is what that makes of the n ranks before it, or of all. */
static int reckon(enum call call, size_t rank, int k)
{
    static double in[40000], own[40000];
    size_t count = call == COMMON ? 200 : 40000, n = call == SCAN ? rank : (size_t)sharedmem_size();
    double *out = call == COMMON ? (double *)(void *)block : own;
    double sum = (double)(n * (n - 1)) / 2 + (double)(k * (int)n);
    int code;

    for (size_t i = 0; i < count; i++)
        in[i] = (double)rank + k;
    if (call == SCAN)
        code = sharedmem_exscan(in, out, count, SHAREDMEM_FLOAT64, SHAREDMEM_SUM);
    else
        code = sharedmem_allreduce(in, out, count, SHAREDMEM_FLOAT64, SHAREDMEM_SUM);
    if (code != 0)
        return 1;
    shared->wrong += n > 0 && (out[0] != sum || out[count / 2] != sum || out[count - 1] != sum);
    return call == COMMON ? sharedmem_barrier() : 0;
}

static int one(enum call call, size_t rank, int k)
{
    static char data[1200000];
    int size = sharedmem_size(), root = (size - 1 + k) % size;
    void *new;
    double got;
    switch (call) {
    case ALL:
        got = sharedmem_all_double((double)rank + k, SHAREDMEM_SUM);
        if (isnan(got))
            return 1;
        shared->wrong += got != size * (size - 1) / 2 + k * size;
        return 0;
    case SMALL:
    case BOARD:
    case LARGE:
    case SHARED: {
        size_t n = call == SMALL ? 12 : call == BOARD ? 5000 : call == LARGE ? sizeof data : 700000;
        char *p = call == SHARED && (int)rank == root ? block : data;
        memset(p, (int)rank == root ? k + 1 : 0, n);
        if (sharedmem_bcast(p, n, root) != 0)
            return 1;
        shared->wrong += (int)rank != root && (p[0] != k + 1 || p[n - 1] != k + 1);
        return 0;
    }
    case COMBINED:
    case COMBINED_LARGE: {
        size_t n = call == COMBINED ? 100 : 200000;
        memset(data, (int)rank + k, n);
        if (sharedmem_all(data, n, add_ends, &n) != 0)
            return 1;
        shared->wrong += data[0] != size * (size - 1) / 2 + k * size || data[n - 1] != data[0];
        return 0;
    }
    case STAGED:
    case SCAN:
    case COMMON:
        return reckon(call, rank, k);
    case FULL:
        new = sharedmem_team_full(SHAREDMEM_INT8, 1, (int64_t[]){3000}, "1").data;
        if (new == NULL)
            return 1;
        shared->wrong += ((char *)new)[0] != '1' || ((char *)new)[2999] != '1';
        k = sharedmem_barrier();
        if (rank == 0)
            sharedmem_free(new);
        return k;
    default:
        new = sharedmem_team_calloc(1, 3000);
        if (new == NULL)
            return 1;
        k = sharedmem_barrier();
        if (rank == 0)
            sharedmem_free(new);
        return k;
    }
}

static int body(size_t rank, void *result, void *context)
{
    (void)result;
    for (int k = 0; k < 4; k++) {
        if (k == 1 && rank == shared->bad)
            fault_arm(shared->step);
        if (one(*(enum call *)context, rank, k) != 0)
            return 1;
    }
    if (rank == shared->bad)
        fault_arm(0);
    shared->done++;
    return 0;
}

/* How many steps a call has depends on who waits for whom: one may be missing, and the next one not. */
static int die_at_each(enum call call, int np, size_t who, int *died)
{
    int wrong = 0, n_missing = 0;

    for (unsigned long step = 1; step <= N_STEPS && n_missing < N_MISSING; step += STRIDE) {
        int before = *died;

        wrong += die_once(body, &call, np, who, step, died);
        n_missing = *died == before ? n_missing + 1 : 0;
    }
    return wrong;
}

static void die_everywhere(enum call call, int np)
{
    /* Where there are many ranks, the one in the middle is as good as any other. */
    size_t next = np > 3 ? (size_t)np - 2 : 1;
    int wrong = 0, died = 0;

    for (size_t who = 1; who < (size_t)np; who += next)
        wrong += die_at_each(call, np, who, &died);
    test_int(0, wrong, "%s, %d ranks", names[call], np);
    test_ok(died > 0, "%s, %d ranks: %d died", names[call], np, died);
}

int main(void)
{
    static const int nps[] = {2, 5}; /* the two ways of barriers */

    test_begin(240);
    setenv("SHAREDMEM_HEAP", "64M", 1);
#ifdef CHECKED
    setenv("SHAREDMEM_CHECK", "1", 1);
#endif
    shared = sharedmem_calloc(1, sizeof *shared);
    block = sharedmem_calloc(1, 1 << 20);
    for (enum call call = 0; call < N_CALLS; call++) {
        for (size_t i = 0; i < sizeof nps / sizeof *nps; i++)
            die_everywhere(call, nps[i]);
    }
    return test_end();
}
