/* The public calls that bring together, deal out and exchange parts: what they are given is checked here. */
#include <errno.h>

#include "base/error.h"
#include "team/collective.h"
#include "team/exchange.h"
#include "team/move.h"

/* Says that an argument is NULL, and what to give. Returns -1. */
static int refuse_null(const struct collective_call *call, const char *argument, const char *give)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: %s is NULL; give %s", call->name, argument, give);
    return error_end_call(&error, false, call->where);
}

static size_t size_of(const struct team_place *place)
{
    return place != NULL ? place->team->size : 1;
}

static bool is_root(const struct team_place *place, int root)
{
    return (place != NULL ? (int)place->rank : 0) == root;
}

/* Whether there is something to be had of a whole whose parts have so many bytes. */
static bool is_any(const struct team_place *place, size_t bytes, const size_t *sizes)
{
    bool is_some = sizes == NULL && bytes > 0;

    for (size_t rank = 0; sizes != NULL && rank < size_of(place) && !is_some; rank++)
        is_some = sizes[rank] > 0;
    return is_some;
}

/* Parts whose sum no memory can have. */
static int check_sum(const struct collective_call *call, const struct team_place *place, size_t bytes)
{
    sharedmem_error error;

    if (bytes <= (size_t)PTRDIFF_MAX / size_of(place))
        return 0;
    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
              "%s: bytes is %zu; it is of one rank's part, and no memory holds those of %zu ranks",
              call->name, bytes, size_of(place));
    return error_end_call(&error, false, call->where);
}

/* ---- One whole, of which each rank has a part ---- */

static int check_whole(const struct collective_call *call, const struct move *move)
{
    const void *whole = move->way == MOVE_SCATTER ? move->in : move->out;

    if (move->has_sizes && move->sizes == NULL)
        return refuse_null(call, "sizes", "the bytes of each rank's part");
    if (whole == NULL && is_any(move->place, move->bytes, move->sizes))
        return refuse_null(call, move->way == MOVE_SCATTER ? "in" : "out",
                           "memory for the parts of all ranks");
    return 0;
}

/* In a rank that is not root, and gives other arguments than it. */
static int check_apart(const struct collective_call *call, struct move *move)
{
    sharedmem_error error;

    move->sizes = move->offsets = NULL;
    if (!move->has_sizes || move->in != move->out || move->in == NULL)
        return 0;
    error_set(
        &error, SHAREDMEM_ERROR_USAGE, EINVAL,
        "%s: in and out are the same in a rank that is not root, and does not know where its part begins; "
        "give the address of the part, and NULL for the whole",
        call->name);
    return error_end_call(&error, false, call->where);
}

static int check_arguments(const struct collective_call *call, struct move *move, bool has_whole)
{
    const void *mine = move->way == MOVE_SCATTER ? move->out : move->in;

    if (mine == NULL && move->bytes > 0)
        return refuse_null(call, move->way == MOVE_SCATTER ? "out" : "in", "memory of this rank's part");
    if (!move->has_sizes && check_sum(call, move->place, move->bytes) != 0)
        return -1;
    return has_whole ? check_whole(call, move) : check_apart(call, move);
}

/* Begins the call, checks it and makes it. */
static int make(const struct collective_call *call, struct move *move)
{
    bool to_all = move->way == MOVE_ALLGATHER;

    if (collective_begin(call, &move->place) != 0 ||
        (!to_all && collective_check_root(call, move->place) != 0))
        return -1;
    move->name = call->name;
    move->where = call->where;
    move->root = (uint32_t)call->root;
    if (check_arguments(call, move, to_all || is_root(move->place, call->root)) != 0)
        return -1;
    return move_parts(move);
}

int sharedmem_gather_at(const void *in, void *out, size_t bytes, int root, const char *where)
{
    const struct collective_call call = {"gather", where, bytes, -1, -1, root, 0};

    return make(&call, &(struct move){.way = MOVE_GATHER, .in = in, .out = out, .bytes = bytes});
}

int sharedmem_gatherv_at(const void *in, size_t bytes, void *out, const size_t *sizes, const size_t *offsets,
                         int root, const char *where)
{
    const struct collective_call call = {"gatherv", where, 0, -1, -1, root, 0};

    return make(&call, &(struct move){.way = MOVE_GATHER,
                                      .in = in,
                                      .out = out,
                                      .bytes = bytes,
                                      .sizes = sizes,
                                      .offsets = offsets,
                                      .has_sizes = true});
}

int sharedmem_allgather_at(const void *in, void *out, size_t bytes, const char *where)
{
    const struct collective_call call = {"allgather", where, bytes, -1, -1, -1, 0};

    return make(&call, &(struct move){.way = MOVE_ALLGATHER, .in = in, .out = out, .bytes = bytes});
}

int sharedmem_allgatherv_at(const void *in, size_t bytes, void *out, const size_t *sizes,
                            const size_t *offsets, const char *where)
{
    const struct collective_call call = {"allgatherv", where, 0, -1, -1, -1, 0};

    return make(&call, &(struct move){.way = MOVE_ALLGATHER,
                                      .in = in,
                                      .out = out,
                                      .bytes = bytes,
                                      .sizes = sizes,
                                      .offsets = offsets,
                                      .has_sizes = true});
}

int sharedmem_scatter_at(const void *in, void *out, size_t bytes, int root, const char *where)
{
    const struct collective_call call = {"scatter", where, bytes, -1, -1, root, 0};

    return make(&call, &(struct move){.way = MOVE_SCATTER, .in = in, .out = out, .bytes = bytes});
}

int sharedmem_scatterv_at(const void *in, const size_t *sizes, const size_t *offsets, void *out, size_t bytes,
                          int root, const char *where)
{
    const struct collective_call call = {"scatterv", where, 0, -1, -1, root, 0};

    return make(&call, &(struct move){.way = MOVE_SCATTER,
                                      .in = in,
                                      .out = out,
                                      .bytes = bytes,
                                      .sizes = sizes,
                                      .offsets = offsets,
                                      .has_sizes = true});
}

/* ---- A part for each ---- */

int sharedmem_alltoall_at(const void *in, void *out, size_t bytes, const char *where)
{
    const struct collective_call call = {"alltoall", where, bytes, -1, -1, -1, 0};
    struct exchange exchange = {.name = "alltoall", .where = where, .in = in, .out = out, .bytes = bytes};

    if (collective_begin(&call, &exchange.place) != 0)
        return -1;
    if (in == NULL && bytes > 0)
        return refuse_null(&call, "in", "this rank's parts for all ranks");
    if (out == NULL && bytes > 0)
        return refuse_null(&call, "out", "memory for the parts of all ranks");
    if (check_sum(&call, exchange.place, bytes) != 0)
        return -1;
    return exchange_parts(&exchange);
}
