/*
 * rank-move CALL BYTES [HOW]: a rank that brings parts together, deals them out or exchanges them, three
 * times, and looks at what it got. HOW: private (as without it), shared, wrong (rank 1 gives a byte more),
 * killed (rank 1 kills itself before the second time).
 */
#include <sharedmem.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int rank, size;
static size_t bytes; /* of each part, or of most */
static size_t *sizes;

/* Where parts differ every third rank has none. */
static size_t size_of(int of)
{
    return of % 3 == 2 ? 0 : bytes;
}

static int make(const char *call, const char *in, char *out, size_t mine, int root)
{
    if (strcmp(call, "gather") == 0)
        return sharedmem_gather(in, out, mine, root);
    if (strcmp(call, "allgather") == 0)
        return sharedmem_allgather(in, out, mine);
    if (strcmp(call, "scatter") == 0)
        return sharedmem_scatter(in, out, mine, root);
    if (strcmp(call, "alltoall") == 0)
        return sharedmem_alltoall(in, out, mine);
    if (strcmp(call, "gatherv") == 0)
        return sharedmem_gatherv(in, mine, out, rank == root ? sizes : NULL, NULL, root);
    if (strcmp(call, "allgatherv") == 0)
        return sharedmem_allgatherv(in, mine, out, sizes, NULL);
    return sharedmem_scatterv(in, rank == root ? sizes : NULL, NULL, out, mine, root);
}

/* Part of has the value of its rank, in its first and last byte. */
static bool is_part(const char *part, size_t n, int of)
{
    return n == 0 || (part[0] == (char)of && part[n - 1] == (char)of);
}

static bool is_right(const char *call, const char *out, bool differ, int root)
{
    bool right = true;
    size_t at = 0;

    if (strncmp(call, "scatter", 7) == 0)
        return is_part(out, differ ? size_of(rank) : bytes, root);
    if (strncmp(call, "gather", 6) == 0 && rank != root)
        return true;
    for (int of = 0; of < size; of++) {
        size_t n = differ ? size_of(of) : bytes;

        right &= is_part(out + at, n, of);
        at += n;
    }
    return right;
}

int main(int argc, char **argv)
{
    const char *call = argc > 1 ? argv[1] : "", *how = argc > 3 ? argv[3] : "";
    bool differ = call[0] != '\0' && call[strlen(call) - 1] == 'v';
    bool is_shared = strcmp(how, "shared") == 0;
    bool is_dealt = strncmp(call, "scatter", 7) == 0, is_gathered = strncmp(call, "gather", 6) == 0;
    bool is_exchanged = strcmp(call, "alltoall") == 0;
    char *in, *out;
    size_t mine, in_bytes, out_bytes;
    bool has_whole;

    rank = sharedmem_rank();
    size = sharedmem_size();
    bytes = argc > 2 ? strtoul(argv[2], NULL, 10) : 8;
    /* Three ranks are root; the others of many have no memory for all parts. */
    has_whole = rank == size - 1 || rank <= 1;
    in_bytes = (is_exchanged || (is_dealt && has_whole) ? bytes * (size_t)size : bytes) + 1;
    out_bytes = (is_dealt || (is_gathered && !has_whole) ? bytes : bytes * (size_t)size) + 1;
    in = is_shared ? sharedmem_malloc(in_bytes) : malloc(in_bytes);
    out = is_shared ? sharedmem_malloc(out_bytes) : malloc(out_bytes);
    sizes = calloc((size_t)size, sizeof *sizes);
    for (int of = 0; of < size; of++)
        sizes[of] = size_of(of);
    mine = (differ ? size_of(rank) : bytes) + (strcmp(how, "wrong") == 0 && rank == 1);
    memset(in, rank, in_bytes);
    for (int k = 0; k < 3; k++) {
        int root = (size - 1 + k) % size;

        if (k == 1 && rank == 1 && strcmp(how, "killed") == 0)
            raise(SIGKILL);
        if (make(call, in, out, mine, root) != 0 || !is_right(call, out, differ, root))
            return EXIT_FAILURE;
    }
    free(sizes);
    if (!is_shared) {
        free(in);
        free(out);
    }
    return EXIT_SUCCESS;
}
