/*
 * array_model.h: what views of arrays are compared to, and chains of views that chance chooses. A model of a
 * view is the plain list of its elements' places, made anew for each step by going through all indices.
 */
#ifndef T_ARRAY_MODEL_H
#define T_ARRAY_MODEL_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "array_refused.h"
#include "tap.h"

/* The most elements that a model has, and the bytes of the room that they are in. */
#define ROOM       6561
#define ROOM_BYTES ((size_t)ROOM * 16 + 64)

/* Where they are. */
static char *room;

/* ---- The model ---- */

struct model {
    int32_t ndim;
    int64_t shape[SHAREDMEM_NDIM_MAX];
    size_t n;
    int64_t place[ROOM]; /* of each element, in C order: which of the room's it is */
};

static inline size_t count(int32_t ndim, const int64_t *shape)
{
    size_t n = 1;

    for (int32_t k = 0; k < ndim; k++)
        n *= (size_t)shape[k];
    return n;
}

/* Makes index that of element number i in C order. */
static inline void find_index(const struct model *model, size_t i, int64_t *index)
{
    for (int32_t k = model->ndim - 1; k >= 0; k--) {
        index[k] = (int64_t)(i % (size_t)model->shape[k]);
        i /= (size_t)model->shape[k];
    }
}

static inline int64_t place_at(const struct model *model, const int64_t *index)
{
    size_t i = 0;

    for (int32_t k = 0; k < model->ndim; k++)
        i = i * (size_t)model->shape[k] + (size_t)index[k];
    return model->place[i];
}

static inline void model_begin(struct model *model, int32_t ndim, const int64_t *shape)
{
    *model = (struct model){.ndim = ndim, .n = count(ndim, shape)};
    for (int32_t k = 0; k < ndim; k++)
        model->shape[k] = shape[k];
    for (size_t i = 0; i < model->n; i++)
        model->place[i] = (int64_t)i;
}

/* As a person does it: from start on, step by step, until stop is reached or the array ends. */
static inline int64_t walk(int64_t n, int64_t start, int64_t stop, int64_t step, int64_t *taken)
{
    int64_t begin = start < 0 ? start + n : start, end = stop < 0 ? stop + n : stop, n_taken = 0;

    if (start == SHAREDMEM_END || (step > 0 && begin < 0) || (step < 0 && begin >= n))
        begin = step > 0 ? 0 : n - 1;
    for (int64_t i = begin; i >= 0 && i < n; i += step) {
        if (stop != SHAREDMEM_END && (step > 0 ? i >= end : i <= end))
            break;
        taken[n_taken++] = i;
        if (llabs(step) > n)
            break;
    }
    return n_taken;
}

static inline void model_slice(struct model *model, int32_t dim, int64_t start, int64_t stop, int64_t step)
{
    static struct model before;
    int64_t taken[ROOM], index[SHAREDMEM_NDIM_MAX] = {0};

    before = *model;
    model->shape[dim] = walk(before.shape[dim], start, stop, step, taken);
    model->n = count(model->ndim, model->shape);
    for (size_t i = 0; i < model->n; i++) {
        find_index(model, i, index);
        index[dim] = taken[index[dim]];
        model->place[i] = place_at(&before, index);
    }
}

static inline void model_index(struct model *model, int32_t dim, int64_t at)
{
    static struct model before;
    int64_t index[SHAREDMEM_NDIM_MAX] = {0};

    before = *model;
    model->ndim--;
    for (int32_t k = 0; k < model->ndim; k++)
        model->shape[k] = before.shape[k < dim ? k : k + 1];
    model->shape[model->ndim] = 0;
    model->n = count(model->ndim, model->shape);
    for (size_t i = 0; i < model->n; i++) {
        find_index(model, i, index);
        for (int32_t k = model->ndim; k > dim; k--)
            index[k] = index[k - 1];
        index[dim] = at;
        model->place[i] = place_at(&before, index);
    }
}

static inline void model_transpose(struct model *model, const int32_t *axes)
{
    static struct model before;
    int64_t index[SHAREDMEM_NDIM_MAX] = {0}, old[SHAREDMEM_NDIM_MAX] = {0};

    before = *model;
    for (int32_t k = 0; k < model->ndim; k++)
        model->shape[k] = before.shape[axes[k]];
    for (size_t i = 0; i < model->n; i++) {
        find_index(model, i, index);
        for (int32_t k = 0; k < model->ndim; k++)
            old[axes[k]] = index[k];
        model->place[i] = place_at(&before, old);
    }
}

/*
 * Whether some strides lead to all elements: what leads to the second one along a dimension must lead to all.
 */
static inline bool has_strides(const struct model *model)
{
    int64_t strides[SHAREDMEM_NDIM_MAX] = {0}, index[SHAREDMEM_NDIM_MAX] = {0};

    if (model->n == 0)
        return true;
    for (int32_t k = 0; k < model->ndim; k++) {
        index[k] = model->shape[k] > 1;
        strides[k] = place_at(model, index) - model->place[0];
        index[k] = 0;
    }
    for (size_t i = 0; i < model->n; i++) {
        int64_t place = model->place[0];

        find_index(model, i, index);
        for (int32_t k = 0; k < model->ndim; k++)
            place += index[k] * strides[k];
        if (place != model->place[i])
            return false;
    }
    return true;
}

static inline bool is_in_a_row(const struct model *model)
{
    for (size_t i = 1; i < model->n; i++) {
        if (model->place[i] != model->place[0] + (int64_t)i)
            return false;
    }
    return true;
}

/* Whether a, of elements of room, is what the model says: shape, and the address of each element. */
static inline bool is_modelled(sharedmem_array a, const struct model *model)
{
    int64_t index[SHAREDMEM_NDIM_MAX] = {0}, itemsize = (int64_t)sharedmem_itemsize(a.dtype);
    bool good = a.data != NULL && a.ndim == model->ndim && sharedmem_array_size(a) == model->n &&
                memcmp(a.shape, model->shape, sizeof a.shape) == 0 &&
                sharedmem_is_contiguous(a) == is_in_a_row(model);

    for (int32_t k = a.ndim; k < SHAREDMEM_NDIM_MAX; k++)
        good &= a.strides[k] == 0;
    for (size_t i = 0; i < model->n && good; i++) {
        find_index(model, i, index);
        good = (char *)sharedmem_element(a, index) == room + model->place[i] * itemsize;
        for (int32_t k = 0; k < a.ndim; k++)
            index[k] -= a.shape[k];
        good &= (char *)sharedmem_element(a, index) == room + model->place[i] * itemsize;
    }
    return good;
}

/* ---- Chains of views ---- */

static inline int64_t below(unsigned *seed, int64_t n)
{
    return rand_r(seed) % n;
}

static inline int64_t random_end(unsigned *seed, int64_t n)
{
    return below(seed, 4) == 0 ? SHAREDMEM_END : below(seed, 2 * n + 5) - n - 2;
}

static inline void random_slice(sharedmem_array *a, struct model *model, unsigned *seed)
{
    static const int64_t some[] = {1, 1, -1, -1, 2, -2, 3, -3};
    int32_t dim = (int32_t)below(seed, a->ndim);
    int64_t start = random_end(seed, a->shape[dim]), stop = random_end(seed, a->shape[dim]);
    int64_t step = some[below(seed, 8)];

    /* Not so often that nothing is left. */
    if (below(seed, 3) > 0)
        start = stop = SHAREDMEM_END;
    model_slice(model, dim, start, stop, step);
    *a = sharedmem_slice(*a, below(seed, 2) == 0 ? dim : dim - a->ndim, start, stop, step);
}

static inline void random_index(sharedmem_array *a, struct model *model, unsigned *seed)
{
    int32_t dim = (int32_t)below(seed, a->ndim);
    int64_t n = a->shape[dim], i;

    if (n == 0)
        return;
    i = below(seed, n);
    model_index(model, dim, i);
    *a = sharedmem_index(*a, below(seed, 2) == 0 ? dim : dim - a->ndim, below(seed, 2) == 0 ? i : i - n);
}

static inline void random_transpose(sharedmem_array *a, struct model *model, unsigned *seed)
{
    int32_t axes[SHAREDMEM_NDIM_MAX], given[SHAREDMEM_NDIM_MAX];
    bool is_reversed = below(seed, 4) == 0;

    for (int32_t k = 0; k < a->ndim; k++) {
        int32_t other = is_reversed ? k : (int32_t)below(seed, k + 1);

        axes[k] = is_reversed ? a->ndim - 1 - k : axes[other];
        if (!is_reversed)
            axes[other] = k;
    }
    for (int32_t k = 0; k < a->ndim; k++)
        given[k] = below(seed, 2) == 0 ? axes[k] : axes[k] - a->ndim;
    model_transpose(model, axes);
    *a = sharedmem_transpose(*a, is_reversed ? NULL : given);
}

/* Some shape of n elements. */
static inline int32_t random_shape(int64_t n, int64_t *shape, unsigned *seed)
{
    int32_t ndim = 0;

    for (; ndim < SHAREDMEM_NDIM_MAX - 1 && (n > 1 || below(seed, 3) == 0); ndim++) {
        shape[ndim] = 1 + below(seed, n < 10 ? n : 10);
        while (n % shape[ndim] != 0)
            shape[ndim]--;
        n /= shape[ndim];
    }
    if (n > 1)
        shape[ndim++] = n;
    for (int32_t k = 0; k < ndim; k++) {
        int32_t other = (int32_t)below(seed, ndim);
        int64_t kept = shape[k];

        shape[k] = shape[other];
        shape[other] = kept;
    }
    return ndim;
}

static unsigned n_views, n_refused;

/* The view is there just where strides are. Returns whether that is so. */
static inline bool random_reshape(sharedmem_array *a, struct model *model, unsigned *seed)
{
    int64_t shape[SHAREDMEM_NDIM_MAX] = {0}, given[SHAREDMEM_NDIM_MAX];
    static struct model before;
    sharedmem_array view;

    if (model->n == 0)
        return true;
    before = *model;
    model->ndim = random_shape((int64_t)model->n, shape, seed);
    memcpy(model->shape, shape, sizeof shape);
    memcpy(given, shape, sizeof shape);
    if (model->ndim > 0 && below(seed, 2) == 0)
        given[below(seed, model->ndim)] = -1;
    view = sharedmem_reshape(*a, model->ndim, model->ndim > 0 ? given : NULL);
    if (has_strides(model)) {
        n_views++;
        *a = view;
        return uncaught == 0;
    }
    n_refused++;
    *model = before;
    if (view.data != NULL || uncaught != 1 || strstr(last.message, "sharedmem_copy(a)") == NULL)
        return false;
    uncaught = 0;
    return true;
}

/* An array of an ndim and a shape that chance chooses, and its model. */
static inline sharedmem_array random_array(struct model *model, int32_t dtype, int32_t ndim, unsigned *seed)
{
    int64_t shape[SHAREDMEM_NDIM_MAX] = {0};

    for (int32_t k = 0; k < ndim; k++)
        shape[k] = 1 + below(seed, ndim < 4 ? 9 : ndim < 6 ? 4 : 3);
    model_begin(model, ndim, shape);
    return sharedmem_wrap(room, dtype, ndim, shape);
}

static inline bool take_steps(sharedmem_array *a, struct model *model, int n_steps, unsigned *seed)
{
    bool good = is_modelled(*a, model);

    for (int step = 0; step < n_steps && good; step++) {
        int64_t which = below(seed, 8);

        if (which < 2)
            good = random_reshape(a, model, seed);
        else if (which < 4)
            random_transpose(a, model, seed);
        else if (a->ndim > 0 && which < 7)
            random_slice(a, model, seed);
        else if (a->ndim > 0)
            random_index(a, model, seed);
        good &= is_modelled(*a, model);
    }
    return good;
}

#endif
