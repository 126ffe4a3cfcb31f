/*
 * Parts brought together, dealt out and exchanged: every call, with memory of every kind, in place and
 * apart, of sizes around each threshold, by processes and by threads. What is right is told by a pattern.
 */
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "move.h"
#include "tap.h"

/* ---- Gather ---- */

static int gather(const struct test *test, bool to_all, const void *in, void *out)
{
    const struct layout *layout = test->layout;
    int rank = sharedmem_rank();
    bool has_sizes = to_all || rank == test->root;
    const size_t *sizes = has_sizes ? layout->sizes : NULL;
    const size_t *offsets = has_sizes && !(layout->is_dense && test->salt % 2 == 0) ? layout->offsets : NULL;

    if (layout->is_equal && test->salt % 3 != 0)
        return to_all ? sharedmem_allgather(in, out, layout->sizes[0])
                      : sharedmem_gather(in, out, layout->sizes[0], test->root);
    return to_all ? sharedmem_allgatherv(in, layout->sizes[rank], out, sizes, offsets)
                  : sharedmem_gatherv(in, layout->sizes[rank], out, sizes, offsets, test->root);
}

/* Each changes its part at once afterwards: what others got must not depend on that. */
static void gather_apart(const struct test *test, bool to_all)
{
    int rank = sharedmem_rank();
    size_t bytes = test->layout->sizes[rank];
    bool wants = to_all || rank == test->root;
    unsigned char *in = get(bytes, in_is_shared(test, rank));
    unsigned char *out = wants ? get(test->layout->whole, out_is_shared(test, rank)) : NULL;

    memcpy(in, part(test, rank, 0), bytes);
    if (gather(test, to_all, in, out) != 0)
        wrong(test, to_all ? "allgather" : "gather", "failed");
    memset(in, 0x55, bytes);
    if (wants && !is_whole(test, out, 0))
        wrong(test, to_all ? "allgather" : "gather", "other bytes");
    put_back(in);
    if (wants)
        put_back(out);
}

/* In place where the rank knows where that is; else apart. */
static void gather_in_place(const struct test *test, bool to_all)
{
    int rank = sharedmem_rank();
    const struct layout *layout = test->layout;
    bool wants = to_all || rank == test->root, is_plain = layout->is_equal && test->salt % 3 != 0;
    unsigned char *whole = get(layout->whole, in_is_shared(test, rank));
    unsigned char *mine = wants || is_plain ? whole + layout->offsets[rank] : whole;

    memcpy(mine, part(test, rank, 0), layout->sizes[rank]);
    if (gather(test, to_all, wants || is_plain ? whole : mine, wants || is_plain ? whole : NULL) != 0)
        wrong(test, to_all ? "allgather" : "gather", "failed");
    if (wants && !is_whole(test, whole, 0))
        wrong(test, to_all ? "allgather" : "gather", "other bytes");
    put_back(whole);
}

/* All mean the same memory, and change their parts at once: a slow rank's copy must not undo that. */
static void gather_common(const struct test *test, bool to_all)
{
    int rank = sharedmem_rank();
    size_t bytes = test->layout->sizes[rank];
    unsigned char *common = get_common(test), *place = common + test->layout->offsets[rank];
    unsigned char *in = test->memory == THERE ? place : get(bytes, rank % 3 == 0);
    bool wants = to_all || rank == test->root;

    memcpy(in, part(test, rank, 0), bytes);
    if (gather(test, to_all, in, wants ? common : NULL) != 0)
        wrong(test, to_all ? "allgather" : "gather", "failed");
    if (test->salt % 4 < 2) {
        if (wants && !is_whole(test, common, 0))
            wrong(test, to_all ? "allgather" : "gather", "other bytes");
    } else if (to_all || test->memory == THERE) {
        memset(place, 0x77, bytes);
        sharedmem_barrier();
        for (size_t i = 0; i < bytes; i++) {
            if (place[i] != 0x77) {
                wrong(test, to_all ? "allgather" : "gather", "a change was undone");
                break;
            }
        }
    }
    if (in != place)
        put_back(in);
    put_back_common(common);
}

/* ---- Scatter ---- */

static int scatter(const struct test *test, const void *in, void *out)
{
    const struct layout *layout = test->layout;
    int rank = sharedmem_rank();
    const size_t *sizes = rank == test->root ? layout->sizes : NULL;
    bool has_offsets = rank == test->root && !(layout->is_dense && test->salt % 2 == 0);

    if (layout->is_equal && test->salt % 3 != 0)
        return sharedmem_scatter(in, out, layout->sizes[0], test->root);
    return sharedmem_scatterv(in, sizes, has_offsets ? layout->offsets : NULL, out, layout->sizes[rank],
                              test->root);
}

static void fill_whole(const struct test *test, unsigned char *whole, int from)
{
    for (int rank = 0; rank < sharedmem_size(); rank++)
        memcpy(whole + test->layout->offsets[rank], part(test, from, rank), test->layout->sizes[rank]);
}

static void scatter_apart(const struct test *test)
{
    int rank = sharedmem_rank();
    size_t bytes = test->layout->sizes[rank];
    bool is_root = rank == test->root;
    unsigned char *in = is_root ? get(test->layout->whole, in_is_shared(test, rank)) : NULL;
    unsigned char *out = get(bytes, out_is_shared(test, rank));

    if (is_root)
        fill_whole(test, in, test->root);
    if (scatter(test, in, out) != 0)
        wrong(test, "scatter", "failed");
    if (is_root)
        memset(in, 0x55, test->layout->whole);
    if (memcmp(out, part(test, test->root, rank), bytes) != 0 ||
        !is_untouched(out + bytes, out + bytes + GUARD))
        wrong(test, "scatter", "other bytes");
    if (is_root)
        put_back(in);
    put_back(out);
}

static void scatter_in_place(const struct test *test)
{
    int rank = sharedmem_rank();
    const struct layout *layout = test->layout;
    bool is_root = rank == test->root, is_plain = layout->is_equal && test->salt % 3 != 0;
    unsigned char *whole = get(layout->whole, in_is_shared(test, rank));
    unsigned char *mine = is_root || is_plain ? whole + layout->offsets[rank] : whole;

    if (is_root)
        fill_whole(test, whole, test->root);
    if (scatter(test, is_root || is_plain ? whole : NULL, is_root || is_plain ? whole : mine) != 0)
        wrong(test, "scatter", "failed");
    if (memcmp(mine, part(test, test->root, rank), layout->sizes[rank]) != 0)
        wrong(test, "scatter", "other bytes");
    put_back(whole);
}

/* The whole is shared; out is its place in it, or apart. */
static void scatter_common(const struct test *test)
{
    int rank = sharedmem_rank();
    size_t bytes = test->layout->sizes[rank];
    unsigned char *common = get_common(test), *place = common + test->layout->offsets[rank];
    unsigned char *out = test->memory == THERE ? place : get(bytes, rank % 3 == 0);
    bool is_root = rank == test->root;

    if (is_root)
        fill_whole(test, common, test->root);
    if (scatter(test, is_root ? common : NULL, out) != 0)
        wrong(test, "scatter", "failed");
    if (memcmp(out, part(test, test->root, rank), bytes) != 0)
        wrong(test, "scatter", "other bytes");
    memset(out, 0x77, bytes);
    sharedmem_barrier();
    for (size_t i = 0; i < bytes; i++) {
        if (out[i] != 0x77) {
            wrong(test, "scatter", "a change was undone");
            break;
        }
    }
    if (out != place)
        put_back(out);
    put_back_common(common);
}

/* ---- Exchange ---- */

static void exchange(const struct test *test)
{
    int rank = sharedmem_rank();
    const struct layout *layout = test->layout;
    bool in_place = test->memory == IN_PLACE_MIXED ? rank % 3 != 0 : is_in_place(test);
    unsigned char *in = get(layout->whole, in_is_shared(test, rank));
    unsigned char *out = in_place ? in : get(layout->whole, out_is_shared(test, rank));

    fill_whole(test, in, rank);
    if (sharedmem_alltoall(in, out, layout->sizes[0]) != 0)
        wrong(test, "alltoall", "failed");
    if (!in_place)
        memset(in, 0x55, layout->whole);
    if (!is_whole(test, out, rank))
        wrong(test, "alltoall", "other bytes");
    put_back(in);
    if (out != in)
        put_back(out);
}

/* ---- All of it ---- */

static void gather_once(const struct test *test, bool to_all)
{
    if (is_in_place(test))
        gather_in_place(test, to_all);
    else if (is_common(test))
        gather_common(test, to_all);
    else
        gather_apart(test, to_all);
}

static void scatter_once(const struct test *test)
{
    if (is_in_place(test))
        scatter_in_place(test);
    else if (is_common(test))
        scatter_common(test);
    else
        scatter_apart(test);
}

static void try_layout(const struct layout *layout, unsigned *salt)
{
    int size = sharedmem_size();
    /* Of more ranks some, others with the next layout. */
    unsigned step = size > 4 ? 3 : 1;

    for (unsigned memory = *salt % step; memory < N_MEMORIES; memory += step) {
        struct test test = {layout, memory, (int)(*salt % (unsigned)size), (*salt)++};

        gather_once(&test, false);
        gather_once(&test, true);
        scatter_once(&test);
        if (layout->is_equal && !is_common(&test))
            exchange(&test);
    }
}

/* Large ones where there is a context. Of an alltoall all parts of a rank count, and so fractions of the thresholds are tried too. */
static int try_sizes(size_t rank, void *result, void *context)
{
    static const size_t sizes[] = {0, 1, 8, 1021, 16384, 16385, 40000, 131072, 131077, 3 << 20};
    size_t size = (size_t)sharedmem_size(), most = 700000;
    struct layout layout;
    unsigned salt = 0;

    (void)rank;
    (void)result;
    if (size == 2 && context != NULL)
        most = 7 << 20;
    if (test_under_valgrind())
        most = 200000;
    for (size_t i = 0; i < COUNT_OF(sizes) && shared->wrong[0] == '\0'; i++) {
        if (sizes[i] * size > most)
            continue;
        lay_equal(&layout, sizes[i], (int)size);
        try_layout(&layout, &salt);
        if (sizes[i] >= size) {
            lay_equal(&layout, sizes[i] / size, (int)size);
            try_layout(&layout, &salt);
        }
        for (int kind = 0; kind < N_KINDS; kind++) {
            lay_unequal(&layout, sizes[i], (int)size, kind);
            try_layout(&layout, &salt);
        }
    }
    return 0;
}

/* Small ones in quick turn, of calls that take one barrier and two: what is read is not overwritten. */
static int try_quickly(size_t rank, void *result, void *context)
{
    unsigned rounds = test_under_valgrind() ? 30 : 400, seed = 7;
    struct layout layout;

    (void)rank;
    (void)result;
    (void)context;
    for (unsigned k = 0; k < rounds && shared->wrong[0] == '\0'; k++) {
        size_t bytes = (size_t)rand_r(&seed) % (k % 10 == 0 ? 20000 : 500);
        struct test test = {&layout, rand_r(&seed) % N_MEMORIES, rand_r(&seed) % sharedmem_size(), k};

        if (k % 2 == 0)
            lay_equal(&layout, bytes, sharedmem_size());
        else
            lay_unequal(&layout, bytes, sharedmem_size(), (int)(k / 2 % N_KINDS));
        switch (rand_r(&seed) % 4) {
        case 0:
            gather_once(&test, false);
            break;
        case 1:
            gather_once(&test, true);
            break;
        case 2:
            scatter_once(&test);
            break;
        default:
            if (layout.is_equal && !is_common(&test))
                exchange(&test);
        }
    }
    return 0;
}

static void run(int np, int backend, sharedmem_function *body, const char *name)
{
    shared->wrong[0] = '\0';
    test_int(0,
             sharedmem_parallel(np, body, backend == SHAREDMEM_PROCESSES ? shared : NULL, .backend = backend),
             "%d %s: %s", np, backend == SHAREDMEM_THREADS ? "threads" : "processes", name);
    test_str("", shared->wrong, "%d ranks: %s, right", np, name);
}

int main(void)
{
    static const int nps[] = {1, 2, 3, 4, 5, 7, 16};
    size_t few = test_under_valgrind();

    test_begin(120);
    shared = shared_block("1G", sizeof *shared);
    make_pattern();
    for (size_t i = few; i < COUNT_OF(nps); i += 1 + few) {
        for (int backend = SHAREDMEM_PROCESSES; backend <= SHAREDMEM_THREADS; backend++) {
            if (backend == SHAREDMEM_PROCESSES && test_thread_sanitized())
                continue;
            run(nps[i], backend, try_sizes, "all sizes");
            run(nps[i], backend, try_quickly, "small ones in quick turn");
        }
    }
    return test_end();
}
