/* Arrays that a function makes element by element (fromiter), and those that ranks make together. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "array_refused.h"
#include "shared_block.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MAX_RANKS       32

static void test_refused(sharedmem_array a, sharedmem_error_kind kind, int code, const char *says)
{
    int found = errno;

    test_ok(is_nothing(a) && found == code && uncaught == 1 && last.kind == (int)kind, "%s", last.message);
    test_has(says, last.message, "says what");
    forget_uncaught();
}

/* ---- Element by element ---- */

struct source {
    size_t n;     /* elements that there are */
    size_t bytes; /* of one */
    size_t calls;
    int code;           /* what the call behind them returns */
    const char *reason; /* why; or NULL */
    bool is_dirty;      /* an element was not zero before */
};

static void make_element(size_t i, size_t bytes, char *to)
{
    for (size_t k = 0; k < bytes; k++)
        to[k] = (char)(i >> (k % 4 * 8));
}

static int next(size_t i, void *result, void *context)
{
    static const char zero[16];
    struct source *source = context;

    source->is_dirty |= i != source->calls || memcmp(result, zero, source->bytes) != 0;
    source->calls++;
    if (i >= source->n)
        return source->reason != NULL ? sharedmem_fail(source->code, "%s", source->reason) : source->code;
    make_element(i, source->bytes, result);
    return 1;
}

/* As many as there are, where count is -1, else count of more. The block is no larger than it has to be. */
static bool iterates(int32_t dtype, size_t n, int64_t count)
{
    size_t bytes = sharedmem_itemsize(dtype);
    struct source source = {.n = count < 0 ? n : n + 7, .bytes = bytes};
    sharedmem_array a = sharedmem_fromiter(dtype, next, &source, count), same;
    bool good = a.data != NULL && a.dtype == dtype && a.ndim == 1 && a.shape[0] == (int64_t)n &&
                a.strides[0] == (int64_t)bytes && a.shape[1] == 0 && sharedmem_is_shared(a.data) &&
                sharedmem_is_contiguous(a) && !source.is_dirty && source.calls == n + (count < 0);
    char element[16];

    for (size_t i = 0; i < n && good; i++) {
        make_element(i, bytes, element);
        good = memcmp((char *)a.data + i * bytes, element, bytes) == 0;
    }
    same = sharedmem_empty_like(a);
    good &= sharedmem_usable_size(a.data) == sharedmem_usable_size(same.data);
    sharedmem_free(same.data);
    sharedmem_free(a.data);
    return good;
}

static void test_lengths(void)
{
    static const size_t lengths[] = {0, 1, 2, 63, 64, 65, 128, 1000, 4097, 100003};

    for (int32_t dtype = SHAREDMEM_BOOL; dtype <= SHAREDMEM_COMPLEX128; dtype++) {
        bool good = true;

        for (size_t k = 0; k < COUNT_OF(lengths); k++) {
            good &= iterates(dtype, lengths[k], -1);
            good &= iterates(dtype, lengths[k], (int64_t)lengths[k]);
        }
        test_ok(good, "dtype %d: as many as there are, and as many as wanted", (int)dtype);
    }
    test_int(0, uncaught, "nothing was refused");
}

static void test_bad_sources(void)
{
    struct source fails = {.n = 100, .bytes = 8, .code = -7};
    struct source tells = {.n = 3, .bytes = 8, .code = -1, .reason = "the file ends in the middle"};
    struct source few = {.n = 5, .bytes = 8}, none = {.bytes = 8};

    test_refused(sharedmem_fromiter(SHAREDMEM_FLOAT64, next, &fails, -1), SHAREDMEM_ERROR_RETURNED, ECANCELED,
                 "sharedmem_fromiter: next failed with code -7 instead of element 100");
    test_ok(last.code == -7 && last.item == 100, "its code and element are kept");
    test_refused(sharedmem_fromiter(SHAREDMEM_FLOAT64, next, &tells, 10), SHAREDMEM_ERROR_RETURNED, ECANCELED,
                 "the file ends in the middle");
    test_refused(sharedmem_fromiter(SHAREDMEM_FLOAT64, next, &few, 6), SHAREDMEM_ERROR_USAGE, EINVAL,
                 "next ended after 5 elements, and count is 6; give -1");
    test_refused(sharedmem_fromiter(SHAREDMEM_FLOAT64, NULL, NULL, 1), SHAREDMEM_ERROR_USAGE, EINVAL,
                 "next is NULL");
    test_refused(sharedmem_fromiter(0, next, &none, 1), SHAREDMEM_ERROR_USAGE, EINVAL, "no dtype 0");
    test_refused(sharedmem_fromiter(99, next, &none, -1), SHAREDMEM_ERROR_USAGE, EINVAL, "no dtype 99");
    test_refused(sharedmem_fromiter(SHAREDMEM_INT8, next, &none, -2), SHAREDMEM_ERROR_USAGE, EINVAL,
                 "count is -2; give how many");
    test_int(0, (long long)none.calls, "next is not called for these");
}

static int next_without_end(size_t i, void *result, void *context)
{
    (void)context;
    *(double *)result = (double)i;
    return 1;
}

static void test_too_many(void)
{
    struct source none = {.bytes = 16};

    errno = 0;
    test_ok(is_nothing(sharedmem_fromiter(SHAREDMEM_FLOAT64, next_without_end, NULL, -1)) && errno == ENOMEM,
            "what never ends fills the heap");
    errno = 0;
    test_ok(is_nothing(sharedmem_fromiter(SHAREDMEM_COMPLEX128, next, &none, INT64_MAX)) && errno == ENOMEM,
            "more than could be counted in bytes");
    test_int(0, uncaught, "both are only returned");
    test_ok(sharedmem_aligned_alloc(64, 40 << 20) != NULL, "nothing of it is left");
}

/* Of a worker it is one array that the master has too. */
static int iterate(size_t i, void *result, void *context)
{
    struct source source = {.n = 1000 + i, .bytes = 4};

    (void)context;
    *(sharedmem_array *)result = sharedmem_fromiter(SHAREDMEM_INT32, next, &source, -1);
    return 0;
}

static void test_workers(void)
{
    sharedmem_array results[8];
    bool good =
        sharedmem_map(8, iterate, NULL, .results = results, .result_size = sizeof *results, .np = 3) == 0;

    for (size_t i = 0; i < 8; i++) {
        good &= results[i].shape[0] == (int64_t)(1000 + i) && ((int32_t *)results[i].data)[999] == 999;
        sharedmem_free(results[i].data);
    }
    test_ok(good, "workers make arrays so");
}

/* ---- Together ---- */

struct shared {
    sharedmem_array got[MAX_RANKS];
    int uncaught[MAX_RANKS];
    int code[MAX_RANKS];
    char message[MAX_RANKS][896];
    char wrong[100]; /* what was found first */
};

static struct shared *shared;

static void check(bool held, const char *what)
{
    if (!held)
        note_wrong(shared->wrong, what);
}

static const int nps[] = {1, 2, 5, 3, 8, 17};
static const int32_t backends[] = {SHAREDMEM_PROCESSES, SHAREDMEM_THREADS};

/* Under valgrind the first, which have both ways of barriers, are enough: each team takes a second. */
static size_t count_nps(void)
{
    return test_under_valgrind() ? 3 : COUNT_OF(nps);
}

static bool is_filled(sharedmem_array a, const void *value)
{
    size_t itemsize = sharedmem_itemsize(a.dtype), n = sharedmem_array_size(a);

    for (size_t i = 0; i < n; i++) {
        if (memcmp((char *)a.data + i * itemsize, value, itemsize) != 0)
            return false;
    }
    return true;
}

static bool has_shape(sharedmem_array a, int32_t dtype, int32_t ndim, const int64_t *shape)
{
    return a.data != NULL && a.dtype == dtype && a.ndim == ndim && sharedmem_is_contiguous(a) &&
           sharedmem_is_shared(a.data) && memcmp(a.shape, shape, (size_t)ndim * sizeof *shape) == 0;
}

/* All ranks have got the same, which rank 0 frees. */
static void compare(size_t rank, sharedmem_array a)
{
    shared->got[rank] = a;
    sharedmem_barrier();
    check(memcmp(&shared->got[0], &a, sizeof a) == 0, "the ranks' arrays differ");
    sharedmem_barrier();
    if (rank == 0)
        sharedmem_free(a.data);
}

static int make_together(size_t rank, void *result, void *context)
{
    static const int64_t shape[] = {3, 1, 2, 5, 1, 7, 2, 1}, none[] = {4, 0};
    static const char values[2][16] = {"0123456789abcde", ""};
    sharedmem_array a;

    (void)result;
    (void)context;
    for (int32_t dtype = SHAREDMEM_BOOL; dtype <= SHAREDMEM_COMPLEX128; dtype++) {
        for (int32_t ndim = 0; ndim <= SHAREDMEM_NDIM_MAX; ndim++) {
            a = sharedmem_team_empty(dtype, ndim, ndim > 0 ? shape : NULL);
            check(has_shape(a, dtype, ndim, shape), "empty has another shape");
            compare(rank, a);
            a = sharedmem_team_full(dtype, ndim, shape, values[ndim % 2]);
            check(has_shape(a, dtype, ndim, shape) && is_filled(a, values[ndim % 2]), "full is not full");
            compare(rank, a);
        }
    }
    a = sharedmem_team_empty(SHAREDMEM_FLOAT64, 2, none);
    check(has_shape(a, SHAREDMEM_FLOAT64, 2, none), "nothing has another shape");
    compare(rank, a);
    a = sharedmem_team_full(SHAREDMEM_FLOAT64, 1, (int64_t[]){100003}, &(double){0.1});
    check(has_shape(a, SHAREDMEM_FLOAT64, 1, (int64_t[]){100003}) && is_filled(a, &(double){0.1}),
          "not all full");
    compare(rank, a);
    return 0;
}

static void test_together(void)
{
    for (size_t b = 0; b < COUNT_OF(backends); b++) {
        for (size_t k = 0; k < count_nps(); k++) {
            memset(shared, 0, sizeof *shared);
            test_int(0, sharedmem_parallel(nps[k], make_together, NULL, .backend = backends[b]),
                     "%d ranks, backend %d: all dtypes, 0 to 8 dimensions", nps[k], (int)backends[b]);
            test_str("", shared->wrong, "is right");
        }
    }
    make_together(0, NULL, NULL);
    test_str("", shared->wrong, "and alone");
}

/* ---- What ranks give differs, or is bad in all ---- */

struct request {
    int32_t dtype;
    int32_t ndim;
    const int64_t *shape;
    const double *value;
    bool is_full;
};

static const int64_t two_by_three[] = {2, 3, 1, 1, 1}, two_by_four[] = {2, 4, 1, 1, 1},
                     last_differs[] = {2, 3, 1, 1, 7};
static const int64_t negative[] = {2, -3}, large[] = {INT64_MAX, INT64_MAX};
static const double one = 1, two = 2;

#define U64 SHAREDMEM_UINT64
#define F64 SHAREDMEM_FLOAT64

static const struct row {
    struct request usual;
    struct request odd; /* what one rank gives */
    int code;
    const char *says;
} rows[] = {
    {{U64, 2, two_by_three, 0, 0}, {F64, 2, two_by_three, 0, 0}, EINVAL, "dtype "},
    {{U64, 2, two_by_three, 0, 0}, {77, 2, two_by_three, 0, 0}, EINVAL, "77 (none)"},
    {{U64, 2, two_by_three, 0, 0}, {U64, 3, two_by_three, 0, 0}, EINVAL, "ndim "},
    {{U64, 2, two_by_three, 0, 0}, {U64, 99, two_by_three, 0, 0}, EINVAL, "ndim "},
    {{U64, 2, two_by_three, 0, 0}, {U64, -1, two_by_three, 0, 0}, EINVAL, "ndim "},
    {{U64, 2, two_by_three, 0, 0}, {U64, 2, NULL, 0, 0}, EINVAL, "shape is NULL in rank "},
    {{U64, 2, two_by_three, 0, 0}, {U64, 2, two_by_four, 0, 0}, EINVAL, " as shape[1], rank 0 "},
    {{U64, 2, two_by_three, 0, 0}, {U64, 2, negative, 0, 0}, EINVAL, " as shape[1], rank 0 "},
    {{U64, 5, two_by_three, 0, 0}, {U64, 5, last_differs, 0, 0}, EINVAL, " as shape[4], rank 0 "},
    {{F64, 2, two_by_three, 0, 0}, {F64, 2, two_by_three, &one, 1}, EINVAL, "calls team_"},
    {{F64, 2, two_by_three, &one, 1},
     {F64, 2, two_by_three, &two, 1},
     EINVAL,
     "gives another value than rank 0"},
    {{F64, 2, two_by_three, &one, 1}, {F64, 2, two_by_three, NULL, 1}, EINVAL, "value is NULL in rank "},
    {{77, 2, two_by_three, 0, 0}, {77, 2, two_by_three, 0, 0}, EINVAL, "there is no dtype 77"},
    {{U64, 9, two_by_three, 0, 0}, {U64, 9, two_by_three, 0, 0}, EINVAL, "ndim is 9; it must be 0 to 8"},
    {{U64, -1, two_by_three, 0, 0}, {U64, -1, two_by_three, 0, 0}, EINVAL, "ndim is -1"},
    {{U64, 2, negative, 0, 0}, {U64, 2, negative, 0, 0}, EINVAL, "shape[1] is -3"},
    {{U64, 2, NULL, 0, 0}, {U64, 2, NULL, 0, 0}, EINVAL, "shape is NULL"},
    {{F64, 2, two_by_three, NULL, 1}, {F64, 2, two_by_three, NULL, 1}, EINVAL, "value is NULL"},
    {{U64, 2, large, 0, 0}, {U64, 2, large, 0, 0}, ENOMEM, NULL},
    {{U64, 1, (int64_t[]){1 << 27}, 0, 0}, {U64, 1, (int64_t[]){1 << 27}, 0, 0}, ENOMEM, NULL},
};

struct plan {
    const struct row *row;
    size_t odd;
};

static _Thread_local size_t my_rank;

static void note_of_rank(const sharedmem_error *error)
{
    shared->uncaught[my_rank]++;
    memcpy(shared->message[my_rank], error->message, sizeof error->message);
    if (strncmp(error->where, "", 1) == 0 || strstr(error->where, "api-array-make.c:") == NULL)
        strcpy(shared->wrong, "the place of the call is missing");
}

static int differ(size_t rank, void *result, void *context)
{
    const struct plan *plan = context;
    const struct request *request = rank == plan->odd ? &plan->row->odd : &plan->row->usual;
    sharedmem_array a;

    (void)result;
    my_rank = rank;
    errno = 0;
    if (request->is_full)
        a = sharedmem_team_full(request->dtype, request->ndim, request->shape, request->value);
    else
        a = sharedmem_team_empty(request->dtype, request->ndim, request->shape);
    shared->code[rank] = errno;
    check(is_nothing(a), "an array all the same");
    /* Nobody was left behind. */
    check(sharedmem_all_int64((int64_t)rank, SHAREDMEM_SUM) ==
              (int64_t)(sharedmem_size() * (sharedmem_size() - 1) / 2),
          "the next call is wrong");
    return 0;
}

/* One may have called team_full, and the others team_empty. */
static const char *behind_call(const char *message)
{
    const char *colon = strchr(message, ':');

    return colon != NULL ? colon : message;
}

/* Whether all ranks were told the same, and the odd one is named: where it is rank 0, any other. */
static bool are_told(const struct row *row, int np, size_t odd)
{
    char name[40];
    bool good = shared->wrong[0] == '\0';

    snprintf(name, sizeof name, "rank %zu", odd > 0 ? odd : 1);
    for (int rank = 0; rank < np; rank++) {
        good &= shared->code[rank] == row->code && shared->uncaught[rank] == (row->says != NULL) &&
                strcmp(behind_call(shared->message[rank]), behind_call(shared->message[0])) == 0;
        if (row->says != NULL)
            good &= strstr(shared->message[rank], row->says) != NULL;
        if (row->says != NULL && memcmp(&row->odd, &row->usual, sizeof row->odd) != 0)
            good &= strstr(shared->message[rank], name) != NULL;
    }
    return good;
}

static void test_differences(void)
{
    sharedmem_uncaught_handler *before = sharedmem_set_uncaught(note_of_rank);

    for (size_t r = 0; r < COUNT_OF(rows); r += test_under_valgrind() ? 6 : 1) {
        char said[896] = "only errno";
        bool good = true;

        for (size_t k = 1; k < count_nps(); k++) {
            for (size_t odd = 0; odd < (size_t)nps[k];
                 odd += odd == 0 ? 1 : (size_t)nps[k] - 2 + (nps[k] == 2)) {
                struct plan plan = {&rows[r], odd};

                memset(shared, 0, sizeof *shared);
                good &= sharedmem_parallel(nps[k], differ, &plan, .backend = backends[k % 2]) == 0;
                good &= are_told(&rows[r], nps[k], odd);
                if (rows[r].says != NULL)
                    memcpy(said, shared->message[0], sizeof said);
            }
        }
        test_ok(good, "all ranks are told: %s", said);
    }
    memset(shared, 0, sizeof *shared);
    test_ok(differ(0, NULL, &(struct plan){&rows[12], 0}) == 0 && shared->code[0] == EINVAL,
            "alone: no dtype 77");
    sharedmem_set_uncaught(before);
}

static int call_in_item(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    sharedmem_team_empty(SHAREDMEM_INT8, 1, (int64_t[]){3});
    return 0;
}

static void test_in_map(void)
{
    sharedmem_uncaught_handler *before = sharedmem_set_uncaught(sharedmem_uncaught);
    sharedmem_error error;

    test_int(-1, sharedmem_map(2, call_in_item, NULL, .np = 2, .error = &error), "items of a map make none");
    test_has("team_empty: items of a map may run one after the other", error.message, "and are told");
    sharedmem_set_uncaught(before);
}

int main(void)
{
    test_begin(120);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    sharedmem_set_uncaught(note_uncaught);
    shared = sharedmem_calloc(1, sizeof *shared);
    test_together();
    test_differences();
    test_in_map();
    test_lengths();
    test_bad_sources();
    test_workers();
    test_too_many();
    test_int(0, uncaught, "nothing was refused that is good");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
    return test_end();
}
