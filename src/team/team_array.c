/*
 * Arrays that all ranks of a team make together. Each tells the others what it asks for, a few words at each
 * of a few barriers, and all find out alike whether somebody differs. Only then do they look whether it is
 * good: so a rank with a bad argument does not leave the others waiting.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "memory/array_copy.h"
#include "memory/array_shape.h"
#include "team/barrier.h"
#include "team/collective.h"

struct request {
    const char *call;
    const char *where;
    struct team_place *place;
    int32_t dtype;
    int32_t ndim;
    const int64_t *shape;
    const void *value;
    bool is_full; /* else value means nothing */
};

/* What a rank asks for besides dtype and ndim, in one word. */
enum { IS_FULL = 1, HAS_SHAPE = 2, HAS_VALUE = 4 };

static uint64_t what_is_there(const struct request *request)
{
    return (request->is_full ? IS_FULL : 0) | (request->value != NULL ? HAS_VALUE : 0) |
           (request->shape != NULL && request->ndim > 0 ? HAS_SHAPE : 0);
}

/* ---- Whether all ask for the same ---- */

/* A rank whose word differs from that of rank 0. */
struct difference {
    uint32_t rank;
    uint32_t word;
    uint64_t its;
    uint64_t first; /* rank 0's */
};

/* Tells the others n words, at most TEAM_WORDS. Returns 0 where all have the same, 1 where not, or -1. */
static int compare(const struct request *request, const uint64_t *mine, uint32_t n, struct difference *found)
{
    struct team_shared *team = request->place->team;
    uint32_t barrier = barrier_next(request->place);

    for (uint32_t i = 0; i < n; i++)
        collective_put(&collective_words(team, request->place->rank, barrier)[i], mine[i]);
    if (barrier_meet(request->place, request->where) != 0)
        return -1;
    for (uint32_t rank = 1; rank < team->size; rank++) {
        for (uint32_t i = 0; i < n; i++) {
            *found = (struct difference){rank, i, collective_get(&collective_words(team, rank, barrier)[i]),
                                         collective_get(&collective_words(team, 0, barrier)[i])};
            if (found->its != found->first)
                return 1;
        }
    }
    return 0;
}

static int end_call(const struct request *request, sharedmem_error *error)
{
    return error_end_call(error, false, request->where);
}

static int refuse_kind(const struct request *request, const struct difference *found)
{
    int its = (int)found->its, first = (int)found->first;
    uint64_t differ = found->its ^ found->first;
    sharedmem_error error;

    if (found->word == 0)
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: rank %u gives dtype %d (%s), rank 0 %d (%s); all ranks must give the same",
                  request->call, found->rank, its, array_dtype_name(its), first, array_dtype_name(first));
    else if (found->word == 1)
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: rank %u gives ndim %d, rank 0 %d; all ranks must give the same", request->call,
                  found->rank, its, first);
    else if (differ & IS_FULL)
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: rank %u calls %s where rank 0 calls %s; all ranks must make the same call",
                  request->call, found->rank, its & IS_FULL ? "team_full" : "team_empty",
                  first & IS_FULL ? "team_full" : "team_empty");
    else
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: %s is NULL in rank %u and not in rank %u; all ranks must give the same", request->call,
                  differ & HAS_SHAPE ? "shape" : "value", first & (int)differ ? found->rank : 0,
                  first & (int)differ ? 0 : found->rank);
    return end_call(request, &error);
}

static int compare_kinds(const struct request *request)
{
    const uint64_t mine[TEAM_WORDS] = {(uint64_t)request->dtype, (uint64_t)request->ndim,
                                       what_is_there(request)};
    struct difference found;
    int differ = compare(request, mine, 3, &found);

    return differ <= 0 ? differ : refuse_kind(request, &found);
}

/* Of an ndim that is the same in all. */
static int compare_shapes(const struct request *request)
{
    struct difference found;
    sharedmem_error error;

    for (int32_t k = 0; k < request->ndim; k += TEAM_WORDS) {
        uint64_t mine[TEAM_WORDS];
        uint32_t n = 0;
        int differ;

        for (; n < TEAM_WORDS && k + (int32_t)n < request->ndim; n++)
            mine[n] = (uint64_t)request->shape[k + (int32_t)n];
        differ = compare(request, mine, n, &found);
        if (differ < 0)
            return -1;
        if (differ == 0)
            continue;
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: rank %u gives %lld as shape[%d], rank 0 %lld; all ranks must give the same",
                  request->call, found.rank, (long long)found.its, (int)k + (int)found.word,
                  (long long)found.first);
        return end_call(request, &error);
    }
    return 0;
}

/* Of a dtype that is the same in all. */
static int compare_values(const struct request *request)
{
    uint64_t mine[2] = {0};
    struct difference found;
    sharedmem_error error;
    int differ;

    memcpy(mine, request->value, sharedmem_itemsize(request->dtype));
    differ = compare(request, mine, 2, &found);
    if (differ <= 0)
        return differ;
    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
              "%s: rank %u gives another value than rank 0; all ranks must give the same", request->call,
              found.rank);
    return end_call(request, &error);
}

/* What is wrong with it is so in all ranks, once they have compared. */
static int check_arguments(const struct request *request)
{
    sharedmem_error error;

    if (array_check_shape(request->call, request->dtype, request->ndim, request->shape, &error) != 0)
        return end_call(request, &error);
    if (!request->is_full || request->value != NULL)
        return 0;
    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s: value is NULL", request->call);
    return end_call(request, &error);
}

/* A shape is looked at only where all have one, and an ndim that says how much of it there is. */
static int agree(const struct request *request)
{
    bool is_readable = request->shape != NULL && request->ndim <= SHAREDMEM_NDIM_MAX;

    if (compare_kinds(request) != 0 || (is_readable && compare_shapes(request) != 0) ||
        check_arguments(request) != 0)
        return -1;
    return request->is_full ? compare_values(request) : 0;
}

/* ---- The arrays ---- */

static bool must_be_filled(const struct request *request)
{
    return request->is_full && !array_is_zero(request->value, sharedmem_itemsize(request->dtype));
}

/* This rank sets its part, whose pages are then taken where it runs. */
static int fill_part(const struct request *request, char *data, size_t bytes)
{
    size_t itemsize = sharedmem_itemsize(request->dtype);
    sharedmem_range part =
        sharedmem_part(bytes / itemsize, (int)request->place->rank, (int)request->place->team->size);

    array_fill(data + part.begin * itemsize, (part.end - part.begin) * itemsize, request->value, itemsize);
    return barrier_meet(request->place, request->where);
}

/* Until it is done the block is pending, and so lost by no rank that dies. */
static void *allocate(const struct request *request, size_t bytes)
{
    void *data = collective_allocate(request->place, 1, bytes, request->where);

    if (data == NULL || (must_be_filled(request) && fill_part(request, data, bytes) != 0))
        return NULL;
    if (request->place->rank == 0)
        collective_set_pending(request->place->team, 0);
    return data;
}

static void *allocate_alone(const struct request *request, size_t bytes)
{
    void *data =
        must_be_filled(request) || !request->is_full ? sharedmem_malloc(bytes) : sharedmem_calloc(1, bytes);

    if (data != NULL && must_be_filled(request))
        array_fill(data, bytes, request->value, sharedmem_itemsize(request->dtype));
    return data;
}

static sharedmem_array create(struct request *request)
{
    const struct collective_call call = {request->call, request->where, 0, request->dtype, -1, -1, 0};
    sharedmem_array a, none = {.data = NULL};
    bool is_alone;
    size_t bytes;

    if (collective_begin(&call, &request->place) != 0)
        return none;
    is_alone = collective_is_alone(request->place);
    if ((is_alone ? check_arguments(request) : agree(request)) != 0)
        return none;
    if (!array_lay_out(&a, request->dtype, request->ndim, request->shape, &bytes)) {
        errno = ENOMEM;
        return none;
    }
    a.data = is_alone ? allocate_alone(request, bytes) : allocate(request, bytes);
    return a.data != NULL ? a : none;
}

sharedmem_array sharedmem_team_empty_at(int32_t dtype, int32_t ndim, const int64_t *shape, const char *where)
{
    return create(&(struct request){
        .call = "team_empty", .where = where, .dtype = dtype, .ndim = ndim, .shape = shape});
}

sharedmem_array sharedmem_team_full_at(int32_t dtype, int32_t ndim, const int64_t *shape, const void *value,
                                       const char *where)
{
    return create(&(struct request){.call = "team_full",
                                    .where = where,
                                    .dtype = dtype,
                                    .ndim = ndim,
                                    .shape = shape,
                                    .value = value,
                                    .is_full = true});
}
