/*
 * Wrong calls that bring parts together or deal them out: each rank is told, and those with other ranks all
 * alike.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "shared_block.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MAX_RANKS       7
#define LARGE           50000

struct shared {
    char said[MAX_RANKS][sizeof((sharedmem_error *)0)->message];
    int code[MAX_RANKS];
};

static struct shared *shared;
static char in[MAX_RANKS * LARGE], out[MAX_RANKS * LARGE];
static const size_t sizes[MAX_RANKS] = {10, 20, 30, 0, 10, LARGE, 1};

/* ---- What one rank can see by itself ---- */

static int root_none(void)
{
    return sharedmem_gather(in, out, 8, -1);
}

static int root_beyond(void)
{
    return sharedmem_scatterv(in, sizes, NULL, out, 10, sharedmem_size());
}

static int gather_nothing(void)
{
    return sharedmem_gather(NULL, out, 8, 0);
}

static int gather_nowhere(void)
{
    return sharedmem_gather(in, NULL, 8, sharedmem_rank());
}

static int allgather_nowhere(void)
{
    return sharedmem_allgather(in, NULL, 8);
}

static int scatter_nowhere(void)
{
    return sharedmem_scatter(in, NULL, 8, 0);
}

static int scatter_nothing(void)
{
    return sharedmem_scatter(NULL, out, 8, sharedmem_rank());
}

static int alltoall_nothing(void)
{
    return sharedmem_alltoall(NULL, out, 8);
}

static int alltoall_nowhere(void)
{
    return sharedmem_alltoall(in, NULL, 8);
}

static int too_much(void)
{
    return sharedmem_alltoall(in, out, SIZE_MAX / 2);
}

static int no_sizes(void)
{
    return sharedmem_gatherv(in, 10, out, NULL, NULL, sharedmem_rank());
}

static int no_sizes_of_all(void)
{
    return sharedmem_allgatherv(in, 10, out, NULL, NULL);
}

static int in_place_where(void)
{
    return sharedmem_gatherv(in, 10, in, sizes, NULL, (sharedmem_rank() + 1) % sharedmem_size());
}

/* ---- What only others can tell ---- */

static size_t mine(void)
{
    return sizes[sharedmem_rank()];
}

static int gather_unlike(void)
{
    return sharedmem_gather(in, out, sharedmem_rank() == 2 ? 9 : 8, 1);
}

static int gather_large_unlike(void)
{
    return sharedmem_gather(in, out, sharedmem_rank() == 2 ? LARGE : 8, 1);
}

static int scatter_unlike(void)
{
    return sharedmem_scatter(in, out, sharedmem_rank() == 2 ? 0 : 8, 1);
}

static int allgather_unlike(void)
{
    return sharedmem_allgather(in, out, sharedmem_rank() == 2 ? 0 : LARGE);
}

static int alltoall_unlike(void)
{
    return sharedmem_alltoall(in, out, sharedmem_rank() == 2 ? 11 : 12);
}

static int gatherv_unlike(void)
{
    return sharedmem_gatherv(in, mine() + (sharedmem_rank() == 2), out, sizes, NULL, 1);
}

static int scatterv_unlike(void)
{
    return sharedmem_scatterv(in, sizes, NULL, out, sharedmem_rank() == 2 ? LARGE : mine(), 1);
}

static int allgatherv_unlike(void)
{
    return sharedmem_allgatherv(in, sharedmem_rank() == 2 ? 29 : mine(), out, sizes, NULL);
}

/* It is right about itself. */
static int sizes_unlike(void)
{
    size_t other[MAX_RANKS];

    memcpy(other, sizes, sizeof other);
    if (sharedmem_rank() == 2)
        other[1]++;
    return sharedmem_allgatherv(in, mine(), out, other, NULL);
}

static const struct row {
    int (*call)(void);
    const char *says;
} rows[] =
    {
        {root_none, "gather: root is -1; it can be 0 to "},
        {root_beyond, "scatterv: root is "},
        {gather_nothing, "gather: in is NULL; give memory of this rank's part"},
        {gather_nowhere, "gather: out is NULL; give memory for the parts of all ranks"},
        {allgather_nowhere, "allgather: out is NULL; give memory for the parts of all ranks"},
        {scatter_nowhere, "scatter: out is NULL; give memory of this rank's part"},
        {scatter_nothing, "scatter: in is NULL; give memory for the parts of all ranks"},
        {alltoall_nothing, "alltoall: in is NULL; give this rank's parts for all ranks"},
        {alltoall_nowhere, "alltoall: out is NULL; give memory for the parts of all ranks"},
        {too_much, "alltoall: bytes is 9223372036854775807; it is of one rank's part"},
        {no_sizes, "gatherv: sizes is NULL; give the bytes of each rank's part"},
        {no_sizes_of_all, "allgatherv: sizes is NULL"},
        {in_place_where, "gatherv: in and out are the same in a rank that is not root"},
},
  others[] = {
      {gather_unlike, "gather: bytes is 9 in rank 2, and 8 in rank 0; give the same in all ranks"},
      {gather_large_unlike, "gather: bytes is 50000 in rank 2, and 8 in rank 0"},
      {scatter_unlike, "scatter: bytes is 0 in rank 2, and 8 in rank 0"},
      {allgather_unlike, "allgather: bytes is 0 in rank 2, and 50000 in rank 0"},
      {alltoall_unlike, "alltoall: bytes is 11 in rank 2, and 12 in rank 0"},
      {gatherv_unlike, "gatherv: bytes is 31 in rank 2, and sizes[2] 30; make them the same"},
      {scatterv_unlike, "scatterv: bytes is 50000 in rank 2, and sizes[2] 30"},
      {allgatherv_unlike, "allgatherv: bytes is 29 in rank 2, and sizes[2] 30"},
      {sizes_unlike, "allgatherv: rank 2 gives other sizes than rank 0; give the same in all ranks"},
};

static void note_said(const sharedmem_error *error)
{
    snprintf(shared->said[sharedmem_rank()], sizeof shared->said[0], "%s", error->message);
}

static int make_call(size_t rank, void *result, void *context)
{
    const struct row *row = context;

    (void)result;
    sharedmem_set_uncaught(note_said);
    errno = 0;
    shared->code[rank] = row->call() == -1 ? errno : 0;
    /* The team goes on, and all are where they should be. */
    return sharedmem_all_int64((int64_t)rank, SHAREDMEM_SUM) != sharedmem_size() * (sharedmem_size() - 1) / 2;
}

static void try_row(const struct row *row, int np)
{
    int told = 0;

    memset(shared, 0, sizeof *shared);
    test_int(0, sharedmem_parallel(np, make_call, (void *)(uintptr_t)row), "%d ranks go on", np);
    for (int rank = 0; rank < np; rank++)
        told += shared->code[rank] == EINVAL && strstr(shared->said[rank], row->says) != NULL;
    test_int(np, told, "%d ranks: %s (not %s)", np, row->says, shared->said[0]);
}

static int in_map(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    sharedmem_allgather(in, out, 8);
    return 0;
}

/* ---- No memory ---- */

static int is_without_board(int result)
{
    return result == -1 && errno == ENOMEM;
}

static int go_without(size_t rank, void *result, void *context)
{
    int told = 0;

    (void)result;
    (void)context;
    told += is_without_board(sharedmem_gather(in, out, 8, 0));
    told += is_without_board(sharedmem_scatterv(in, sizes, NULL, out, sizes[rank], 1));
    told += is_without_board(sharedmem_allgather(in, out, LARGE));
    told += is_without_board(sharedmem_alltoall(in, out, LARGE));
    told += is_without_board(sharedmem_bcast(in, 100, 1));
    shared->code[rank] = told;
    return 0;
}

static void no_log(const char *message)
{
    (void)message;
}

static void check_memory(int np)
{
    void *blocks[256];
    size_t n = 0;
    int told = 0;

    sharedmem_set_log(no_log);
    while (n < COUNT_OF(blocks) && (blocks[n] = sharedmem_malloc((size_t)600 << 10)) != NULL)
        n++;
    memset(shared, 0, sizeof *shared);
    test_int(0, sharedmem_parallel(np, go_without, NULL), "%d ranks without memory", np);
    for (int rank = 0; rank < np; rank++)
        told += shared->code[rank];
    test_int(5 * np, told, "%d ranks without memory: all are told by each call", np);
    while (n > 0)
        sharedmem_free(blocks[--n]);
    sharedmem_set_log(NULL);
}

static void check_map(void)
{
    sharedmem_error error;

    test_int(-1, sharedmem_map(4, in_map, NULL, .error = &error), "no collectives in a map");
    test_has("allgather: items of a map", error.message, "it is told");
    test_has("api-move-bad.c:", error.where, "with its place");
}

int main(void)
{
    static const int nps[] = {3, 4, MAX_RANKS};

    test_begin(60);
    shared = shared_block("64M", sizeof *shared);
    check_map();
    for (size_t n = 0; n < COUNT_OF(nps); n++) {
        check_memory(nps[n]);
        for (size_t i = 0; i < COUNT_OF(rows); i++)
            try_row(&rows[i], nps[n]);
        for (size_t i = 0; i < COUNT_OF(others); i++)
            try_row(&others[i], nps[n]);
    }
    return test_end();
}
