/*
 * The public collectives that reckon, by an op on elements of a dtype, or by a function of the user on elements
 * of any size: what they refuse, and what they ask of the engine (reduction.h).
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "team/collective.h"
#include "team/reduction.h"

/* A call as its user has made it. */
struct asked {
    const char *name;
    const char *where;
    int root; /* -1: it has none */
    int32_t dtype, op;
    bool is_in_place; /* it has one argument for both, value */
};

/* ---- What is refused ---- */

static int refuse_root(const struct asked *asked, int size)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: root is %d; it can be 0 to %d, a rank of the team",
              asked->name, asked->root, size - 1);
    return error_end_call(&error, false, asked->where);
}

static int refuse_op(const struct asked *asked)
{
    sharedmem_error error;

    op_explain(asked->name, asked->dtype, asked->op, &error);
    return error_end_call(&error, false, asked->where);
}

/* Of a call that takes a single value. */
static int refuse_pairs(const struct asked *asked)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
              "%s: op is %d, of pairs of a value and an index; give these to sharedmem_allreduce()", asked->name,
              (int)asked->op);
    return error_end_call(&error, false, asked->where);
}

static int refuse_combine(const struct asked *asked)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
              "%s: combine is NULL; give the function that combines two values", asked->name);
    return error_end_call(&error, false, asked->where);
}

static int refuse_count(const struct asked *asked, const struct reduction *reduction)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
              "%s: count is %zu, and an element has %zu bytes; that is more than there can be: is a size negative?",
              asked->name, reduction->count, reduction->bytes);
    return error_end_call(&error, false, asked->where);
}

static int refuse_memory(const struct asked *asked, const struct reduction *reduction)
{
    const size_t bytes = reduction->count * reduction->bytes;
    sharedmem_error error;

    if (asked->is_in_place)
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: value is NULL; give the %zu bytes of this rank, which the result will replace",
                  asked->name, bytes);
    else if (reduction->in == NULL)
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: in is NULL; give the %zu bytes of this rank's elements", asked->name, bytes);
    else
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: out is NULL; give room for the %zu bytes of the result, or in itself", asked->name,
                  bytes);
    return error_end_call(&error, false, asked->where);
}

/* Of a team of one rank 0 wants a result as any other does, but for an exscan's. */
static bool is_out_missing(const struct reduction *reduction)
{
    const uint32_t rank = reduction->place != NULL ? reduction->place->rank : 0;

    return reduction->out == NULL && reduction_wants(reduction, rank);
}

static bool is_overflowing(const struct reduction *reduction)
{
    return reduction->bytes != 0 && reduction->count > SIZE_MAX / reduction->bytes;
}

/* ---- The call ---- */

/* A team of one. */
static int run_alone(const struct reduction *reduction)
{
    if (reduction->kind != REDUCTION_EXSCAN && reduction->count * reduction->bytes > 0)
        reduction_combine_one(reduction, reduction->out, reduction->in, reduction->count);
    return 0;
}

static int begin(const struct asked *asked, struct reduction *reduction)
{
    const struct collective_call call = {asked->name,  asked->where, reduction->count * reduction->bytes,
                                         asked->dtype, asked->op,    asked->root,
                                         0};

    return collective_begin(&call, &reduction->place);
}

/* What needs no table, and is the same for ops and functions. */
static int run(const struct asked *asked, struct reduction *reduction)
{
    const int size = reduction->place != NULL ? (int)reduction->place->team->size : 1;

    if (reduction->kind == REDUCTION_AT_ROOT && (asked->root < 0 || asked->root >= size))
        return refuse_root(asked, size);
    reduction->root = (uint32_t)asked->root;
    reduction->where = asked->where;
    if (is_overflowing(reduction))
        return refuse_count(asked, reduction);
    if (reduction->count * reduction->bytes > 0 && (reduction->in == NULL || is_out_missing(reduction)))
        return refuse_memory(asked, reduction);
    return collective_is_alone(reduction->place) ? run_alone(reduction) : reduction_run(reduction);
}

static int run_op(const struct asked *asked, struct reduction *reduction)
{
    reduction->bytes = op_element_bytes(asked->dtype, asked->op);
    if (begin(asked, reduction) != 0)
        return -1;
    reduction->kernel = op_find(asked->dtype, asked->op);
    if (reduction->kernel == NULL)
        return refuse_op(asked);
    reduction->alone = op_find_alone(asked->dtype, asked->op);
    return asked->is_in_place && asked->op >= SHAREDMEM_MINLOC ? refuse_pairs(asked) : run(asked, reduction);
}

static int run_by(const struct asked *asked, struct reduction *reduction)
{
    if (begin(asked, reduction) != 0)
        return -1;
    return reduction->combine != NULL ? run(asked, reduction) : refuse_combine(asked);
}

/* ---- By an op ---- */

int sharedmem_reduce_at(const void *in, void *out, size_t count, int32_t dtype, int32_t op, int root,
                        const char *where)
{
    struct reduction reduction = {.kind = REDUCTION_AT_ROOT, .count = count, .in = in, .out = out};

    return run_op(&(struct asked){"reduce", where, root, dtype, op, false}, &reduction);
}

int sharedmem_allreduce_at(const void *in, void *out, size_t count, int32_t dtype, int32_t op, const char *where)
{
    struct reduction reduction = {.kind = REDUCTION_AT_ALL, .count = count, .in = in, .out = out};

    return run_op(&(struct asked){"allreduce", where, -1, dtype, op, false}, &reduction);
}

int sharedmem_scan_at(const void *in, void *out, size_t count, int32_t dtype, int32_t op, const char *where)
{
    struct reduction reduction = {.kind = REDUCTION_SCAN, .count = count, .in = in, .out = out};

    return run_op(&(struct asked){"scan", where, -1, dtype, op, false}, &reduction);
}

int sharedmem_exscan_at(const void *in, void *out, size_t count, int32_t dtype, int32_t op, const char *where)
{
    struct reduction reduction = {.kind = REDUCTION_EXSCAN, .count = count, .in = in, .out = out};

    return run_op(&(struct asked){"exscan", where, -1, dtype, op, false}, &reduction);
}

/* ---- One value of each rank, by an op ---- */

static int all(const char *name, void *value, int32_t dtype, int32_t op, const char *where)
{
    struct reduction reduction = {.kind = REDUCTION_AT_ALL, .count = 1, .in = value, .out = value};

    return run_op(&(struct asked){name, where, -1, dtype, op, true}, &reduction);
}

double sharedmem_all_double_at(double value, int32_t op, const char *where)
{
    return all("all_double", &value, SHAREDMEM_FLOAT64, op, where) == 0 ? value : (double)NAN;
}

int64_t sharedmem_all_int64_at(int64_t value, int32_t op, const char *where)
{
    return all("all_int64", &value, SHAREDMEM_INT64, op, where) == 0 ? value : 0;
}

/* ---- By a function ---- */

int sharedmem_reduce_by_at(const void *in, void *out, size_t count, size_t bytes,
                           sharedmem_combine_function *combine, void *context, int root, const char *where)
{
    struct reduction reduction = {.kind = REDUCTION_AT_ROOT, .count = count, .bytes = bytes, .in = in,
                                  .out = out, .combine = combine, .context = context};

    return run_by(&(struct asked){"reduce_by", where, root, -1, -1, false}, &reduction);
}

int sharedmem_allreduce_by_at(const void *in, void *out, size_t count, size_t bytes,
                              sharedmem_combine_function *combine, void *context, const char *where)
{
    struct reduction reduction = {.kind = REDUCTION_AT_ALL, .count = count, .bytes = bytes, .in = in,
                                  .out = out, .combine = combine, .context = context};

    return run_by(&(struct asked){"allreduce_by", where, -1, -1, -1, false}, &reduction);
}

int sharedmem_scan_by_at(const void *in, void *out, size_t count, size_t bytes,
                         sharedmem_combine_function *combine, void *context, const char *where)
{
    struct reduction reduction = {.kind = REDUCTION_SCAN, .count = count, .bytes = bytes, .in = in,
                                  .out = out, .combine = combine, .context = context};

    return run_by(&(struct asked){"scan_by", where, -1, -1, -1, false}, &reduction);
}

int sharedmem_exscan_by_at(const void *in, void *out, size_t count, size_t bytes,
                           sharedmem_combine_function *combine, void *context, const char *where)
{
    struct reduction reduction = {.kind = REDUCTION_EXSCAN, .count = count, .bytes = bytes, .in = in,
                                  .out = out, .combine = combine, .context = context};

    return run_by(&(struct asked){"exscan_by", where, -1, -1, -1, false}, &reduction);
}

int sharedmem_all_at(void *value, size_t bytes, sharedmem_combine_function *combine, void *context,
                     const char *where)
{
    struct reduction reduction = {.kind = REDUCTION_AT_ALL, .count = 1, .bytes = bytes, .in = value,
                                  .out = value, .combine = combine, .context = context};

    return run_by(&(struct asked){"all", where, -1, -1, -1, true}, &reduction);
}
