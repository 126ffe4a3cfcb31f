/*
 * The public calls that fill arrays: full, full_like, copy. A large one is filled by several processes, each
 * its slice, bound as the workers of a map are: it takes less time, and a worker that works on the same slice
 * later finds its pages on its own NUMA node.
 */
#include <errno.h>

#include "base/debug.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "host/limits.h"
#include "host/pages.h"
#include "host/process.h"
#include "memory/array.h"
#include "memory/array_copy.h"
#include "memory/array_shape.h"
#include "run/placement.h"
#include "team/slice.h"

/*
 * Pages are populated in pieces of this size, each just before it is written, while what the kernel has
 * zeroed is in the cache. A multiple of every item and of a page.
 */
#define PIECE_BYTES ((size_t)256 << 10)

/* So much a process should have: starting one takes as long as filling some 0.3 MiB. */
#define SHARE_BYTES ((size_t)4 << 20)

/*
 * With much private memory a fork takes longer, 16 ms a GiB, and the caller pays again when it writes there, up
 * to 0.5 s a GiB, while of a GiB that two fill together they save half a second: it has to be the larger part.
 */
#define MOST_PRIVATE_SHARE 2u

/* What is to be done to all elements of a new array. */
struct filling {
    sharedmem_array to;
    size_t bytes;
    size_t itemsize;
    const void *value;           /* fill with this */
    const sharedmem_array *from; /* or copy this */
};

static void fill_piece(const struct filling *filling, size_t begin, size_t end)
{
    if (filling->from != NULL)
        array_copy(&filling->to, filling->from, begin / filling->itemsize, end / filling->itemsize);
    else
        array_fill((char *)filling->to.data + begin, end - begin, filling->value, filling->itemsize);
}

/* Returns 0, or ENOMEM. */
static int fill_range(const struct filling *filling, size_t begin, size_t end)
{
    while (begin < end) {
        size_t piece = end - begin < PIECE_BYTES ? end - begin : PIECE_BYTES;

        if (filling->bytes >= PIECE_BYTES && pages_populate((char *)filling->to.data + begin, piece) != 0)
            return ENOMEM;
        fill_piece(filling, begin, begin + piece);
        begin += piece;
    }
    return 0;
}

/* A rank's part. */
static int fill_slice(size_t rank, void *result, void *context)
{
    const struct filling *filling = context;
    sharedmem_range slice = slice_of(filling->bytes, slice_unit(), (int)rank, sharedmem_size());

    (void)result;
    return fill_range(filling, slice.begin, slice.end);
}

static int count_ranks(size_t bytes)
{
    size_t np, shares = bytes / SHARE_BYTES;

    if (bytes < SLICE_LARGE_BYTES || debug_is_on() || process_private_bytes() > bytes / MOST_PRIVATE_SHARE)
        return 1;
    np = placement_default_np();
    return (int)(np < shares ? np : shares);
}

/* Whether a rank found that there is no memory. What was missing for the ranks themselves need not matter. */
static bool has_run_out(const sharedmem_error *error)
{
    bool is_told = error->kind == SHAREDMEM_ERROR_RETURNED && error->code == ENOMEM;

    return error->rank >= 0 && (is_told || error->kind == SHAREDMEM_ERROR_NO_MEMORY);
}

/* Returns 0 where all is done, or ENOMEM, or what else has gone wrong. */
static int fill_in_parallel(const char *call, int np, struct filling *filling)
{
    sharedmem_error error;
    sharedmem_parallel_options options = {
        .np = np, .body = fill_slice, .context = filling, .error = &error, .where = call};
    int code = sharedmem_parallel_with(&options, sizeof options);

    if (code >= 0)
        return code;
    return has_run_out(&error) ? ENOMEM : ECANCELED;
}

/* As an allocation that is refused; here it was found out later. */
static void say_no_memory(const char *call, size_t bytes)
{
    char size[TEXT_BYTES_SIZE], left[TEXT_BYTES_SIZE];
    struct limits_room room;

    limits_room_read("", &room);
    log_warn("%s: no shared memory: there is none for all of %s; %s has %s left", call, text_bytes(size, bytes),
             room.limit, text_bytes(left, room.bytes));
}

/*
 * Where processes could not be started, or were killed or stopped, the caller does it all alone: an array is
 * filled or it is none.
 */
static sharedmem_array fill(const char *call, struct filling *filling)
{
    int code = ECANCELED, np;

    filling->bytes = sharedmem_array_nbytes(filling->to);
    np = count_ranks(filling->bytes);
    if (np > 1)
        code = fill_in_parallel(call, np, filling);
    if (code != 0 && code != ENOMEM)
        code = fill_range(filling, 0, filling->bytes);
    if (code == 0)
        return filling->to;
    say_no_memory(call, filling->bytes);
    sharedmem_free(filling->to.data);
    errno = ENOMEM;
    return (sharedmem_array){.data = NULL};
}

/* Zero, by far the usual value, is what fresh pages hold: they need not be touched. */
static sharedmem_array full(const char *call, int32_t dtype, int32_t ndim, const int64_t *shape,
                            const void *value)
{
    struct filling filling = {.itemsize = sharedmem_itemsize(dtype), .value = value};
    sharedmem_error error;
    bool is_zero;

    if (value == NULL) {
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: value is NULL", call);
        return array_refuse(&error);
    }
    is_zero = array_is_zero(value, filling.itemsize);
    filling.to = array_create(call, dtype, ndim, shape, is_zero);
    return filling.to.data == NULL || is_zero ? filling.to : fill(call, &filling);
}

sharedmem_array sharedmem_full(int32_t dtype, int32_t ndim, const int64_t *shape, const void *value)
{
    return full("sharedmem_full", dtype, ndim, shape, value);
}

sharedmem_array sharedmem_full_like(sharedmem_array a, const void *value)
{
    sharedmem_error error;

    if (array_check("sharedmem_full_like", &a, &error) != 0)
        return array_refuse(&error);
    return full("sharedmem_full_like", a.dtype, a.ndim, a.shape, value);
}

sharedmem_array sharedmem_copy(sharedmem_array a)
{
    struct filling filling = {.itemsize = sharedmem_itemsize(a.dtype), .from = &a};
    sharedmem_error error;

    if (array_check("sharedmem_copy", &a, &error) != 0)
        return array_refuse(&error);
    filling.to = array_create("sharedmem_copy", a.dtype, a.ndim, a.shape, false);
    return filling.to.data != NULL ? fill("sharedmem_copy", &filling) : filling.to;
}
