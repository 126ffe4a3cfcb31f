/*
 * Sort, argsort and searchsorted, by the public interface alone but for base/error.h, as numeric.c.
 *
 * A sort is done in parts, one for each rank of a parallel call, by their keys' digits from the lowest up; then
 * runs are merged by twos. In a merge too all ranks have work: where the slices of what comes out begin in the
 * two runs is found by bisection. A stable order is unique, and so does not depend on the parts.
 */
#include "run/numeric.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "memory/array_shape.h"

/* The caller alone is faster up to so many elements; and so many a rank should have. */
#define SORT_SMALL   ((size_t)1 << 18)
#define SORT_SHARE   ((size_t)1 << 14)
#define SEARCH_SMALL ((size_t)1 << 14)
#define SEARCH_SHARE ((size_t)1 << 10)

/* Bytes of the longest key. */
#define DIGITS_MAX 16

struct sort {
    const char *call;
    sharedmem_error *error;
    size_t n;
    int32_t kind;  /* of items: a dtype, or records */
    int32_t dtype; /* of what records are made of: */
    const char *elements;
    char *items;    /* where all is in the end; where there are no records, also in the beginning */
    char *scratch;  /* as large as items */
    int64_t *index; /* where the records' indices go */
    int n_parts;    /* and ranks; 1: the caller does all */
};

/* One merge of all runs by twos. */
struct merge {
    const struct sort *sort;
    const char *from;
    char *to;
    int width;    /* a run has so many parts, the last one fewer */
    int n_pairs;  /* of runs; the last may be alone */
    int n_slices; /* what comes of a pair is made in so many */
};

/* ---- Sorting a part ---- */

NUMERIC_INLINE unsigned digit_of(numeric_key key, int32_t kind, size_t digit)
{
    if (numeric_key_bytes(kind) > 8)
        return (uint8_t)(key >> 8 * digit);
    return (uint8_t)((uint64_t)key >> 8 * digit);
}

NUMERIC_INLINE void count_digits(const char *items, size_t n, int32_t kind, size_t (*counts)[256])
{
    const size_t n_digits = numeric_key_bytes(kind);

    memset(counts, 0, n_digits * sizeof *counts);
    for (size_t i = 0; i < n; i++) {
        numeric_key key = numeric_key_of(items + i * numeric_item_bytes(kind), kind);

        for (size_t digit = 0; digit < n_digits; digit++)
            counts[digit][digit_of(key, kind, digit)]++;
    }
}

/* Copies all items, those with the same digit together; count is of this digit, and overwritten. */
NUMERIC_INLINE void deal(const char *from, char *to, size_t n, int32_t kind, size_t digit, size_t *count)
{
    const size_t size = numeric_item_bytes(kind);
    size_t begin = 0;

    for (int value = 0; value < 256; value++) {
        size_t these = count[value];

        count[value] = begin;
        begin += these;
    }
    for (size_t i = 0; i < n; i++) {
        const char *item = from + i * size;

        memcpy(to + count[digit_of(numeric_key_of(item, kind), kind, digit)]++ * size, item, size);
    }
}

/* Sorts n items at items into to, which is items itself or spare; both are overwritten, and the counts. */
NUMERIC_INLINE void sort_items(char *items, char *spare, char *to, size_t n, int32_t kind,
                               size_t (*counts)[256])
{
    const size_t size = numeric_item_bytes(kind);
    char *from = items, *other = spare;

    count_digits(items, n, kind, counts);
    for (size_t digit = 0; digit < numeric_key_bytes(kind); digit++) {
        char *dealt = other;

        if (counts[digit][digit_of(numeric_key_of(from, kind), kind, digit)] == n)
            continue; /* they have all the same one */
        deal(from, dealt, n, kind, digit, counts[digit]);
        other = from;
        from = dealt;
    }
    if (from != to)
        memcpy(to, from, n * size);
}

NUMERIC_INLINE void make_records(const char *elements, char *records, sharedmem_range part, int32_t dtype)
{
    const int32_t kind = dtype == SHAREDMEM_COMPLEX128 ? NUMERIC_WIDE_RECORD : NUMERIC_RECORD;

    for (size_t i = part.begin; i < part.end; i++) {
        numeric_key key = numeric_key_of(elements + i * numeric_key_bytes(dtype), dtype);
        char *record = records + i * numeric_item_bytes(kind);
        uint64_t words[] = {(uint64_t)key, (uint64_t)(key >> 64)};
        int64_t index = (int64_t)i;

        memcpy(record, words, numeric_key_bytes(kind));
        memcpy(record + numeric_key_bytes(kind), &index, sizeof index);
    }
}

/* Sorts a part of the items, after making them where they are records, into to. */
static void sort_part(const struct sort *sort, int i, char *to)
{
    sharedmem_range part = sharedmem_part(sort->n, i, sort->n_parts);
    size_t at = part.begin * numeric_item_bytes(sort->kind), n = part.end - part.begin;
    char *items = sort->items + at, *spare = sort->scratch + at;
    size_t counts[DIGITS_MAX][256];

    to += at;
    if (sort->kind >= NUMERIC_RECORD)
        NUMERIC_WITH_DTYPE(D, sort->dtype, make_records(sort->elements, sort->items, part, D));
    if (sort->kind == NUMERIC_RECORD)
        sort_items(items, spare, to, n, NUMERIC_RECORD, counts);
    else if (sort->kind == NUMERIC_WIDE_RECORD)
        sort_items(items, spare, to, n, NUMERIC_WIDE_RECORD, counts);
    else
        NUMERIC_WITH_DTYPE(D, sort->kind, sort_items(items, spare, to, n, D, counts));
}

/* ---- Merging ---- */

struct run {
    const char *items;
    size_t n;
};

NUMERIC_INLINE numeric_key key_at(const char *items, size_t i, int32_t kind)
{
    return numeric_key_of(items + i * numeric_item_bytes(kind), kind);
}

/* How many of the first n items of what comes of a and b are of a: of equal ones those of a come first. */
NUMERIC_INLINE size_t split(struct run a, struct run b, size_t n, int32_t kind)
{
    size_t low = n > b.n ? n - b.n : 0, high = n < a.n ? n : a.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (numeric_less(key_at(b.items, n - middle - 1, kind), key_at(a.items, middle, kind), kind))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

NUMERIC_INLINE void merge_runs(struct run a, struct run b, char *to, int32_t kind)
{
    const size_t size = numeric_item_bytes(kind);
    const char *a_end = a.items + a.n * size, *b_end = b.items + b.n * size;

    for (; a.items != a_end && b.items != b_end; to += size) {
        if (numeric_less(numeric_key_of(b.items, kind), numeric_key_of(a.items, kind), kind)) {
            memcpy(to, b.items, size);
            b.items += size;
        } else {
            memcpy(to, a.items, size);
            a.items += size;
        }
    }
    memcpy(to, a.items, (size_t)(a_end - a.items));
    memcpy(to + (a_end - a.items), b.items, (size_t)(b_end - b.items));
}

NUMERIC_INLINE void merge_slice(struct run a, struct run b, char *to, sharedmem_range slice, int32_t kind)
{
    const size_t size = numeric_item_bytes(kind);
    size_t a_begin = split(a, b, slice.begin, kind), a_end = split(a, b, slice.end, kind);
    size_t b_begin = slice.begin - a_begin, b_end = slice.end - a_end;

    merge_runs((struct run){a.items + a_begin * size, a_end - a_begin},
               (struct run){b.items + b_begin * size, b_end - b_begin}, to + slice.begin * size, kind);
}

/* Where a part begins; the end of all, where there is no such part. */
static size_t part_begin(const struct sort *sort, int part)
{
    return sharedmem_part(sort->n, part, sort->n_parts).begin;
}

static void merge_one(const struct merge *merge, int pair, int i)
{
    const struct sort *sort = merge->sort;
    size_t size = numeric_item_bytes(sort->kind), begin = part_begin(sort, 2 * pair * merge->width);
    size_t middle = part_begin(sort, (2 * pair + 1) * merge->width);
    size_t end = part_begin(sort, (2 * pair + 2) * merge->width);
    sharedmem_range slice = sharedmem_part(end - begin, i, merge->n_slices);
    struct run a = {merge->from + begin * size, middle - begin};
    struct run b = {merge->from + middle * size, end - middle};
    char *to = merge->to + begin * size;

    if (sort->kind == NUMERIC_RECORD)
        merge_slice(a, b, to, slice, NUMERIC_RECORD);
    else if (sort->kind == NUMERIC_WIDE_RECORD)
        merge_slice(a, b, to, slice, NUMERIC_WIDE_RECORD);
    else
        NUMERIC_WITH_DTYPE(D, sort->kind, merge_slice(a, b, to, slice, D));
}

/* ---- The whole ---- */

/* Each merge doubles the runs' width, and moves all from items to scratch or back. */
static int count_merges(const struct sort *sort)
{
    int n_merges = 0;

    while ((int64_t)1 << n_merges < sort->n_parts)
        n_merges++;
    return n_merges;
}

/* Which of the two buffers is used, when there are so many merges to come. */
static char *buffer(const struct sort *sort, int n_merges)
{
    return n_merges % 2 == 0 ? sort->items : sort->scratch;
}

/* The rank's share of a merge: every n_ranks-th slice. */
static void merge_share(const struct sort *sort, int n_done, int n_left, int rank, int n_ranks)
{
    struct merge merge = {sort, buffer(sort, n_left), buffer(sort, n_left - 1), 1 << n_done, 0, 0};

    merge.n_pairs = (sort->n_parts + 2 * merge.width - 1) / (2 * merge.width);
    merge.n_slices = (sort->n_parts + merge.n_pairs - 1) / merge.n_pairs;
    for (int i = rank; i < merge.n_pairs * merge.n_slices; i += n_ranks)
        merge_one(&merge, i / merge.n_slices, i % merge.n_slices);
}

static void take_indices(const struct sort *sort, sharedmem_range part)
{
    size_t size = numeric_item_bytes(sort->kind);

    for (size_t i = part.begin; i < part.end; i++)
        memcpy(&sort->index[i], sort->items + (i + 1) * size - sizeof *sort->index, sizeof *sort->index);
}

/* All steps, with a barrier after each where there are other ranks. In debug mode one rank does all parts. */
static int do_share(size_t index, void *result, void *context)
{
    const struct sort *sort = context;
    int rank = (int)index, n_ranks = sort->n_parts > 1 ? sharedmem_size() : 1;
    int n_merges = count_merges(sort);

    (void)result;
    for (int i = rank; i < sort->n_parts; i += n_ranks)
        sort_part(sort, i, buffer(sort, n_merges));
    for (int k = 0; k < n_merges; k++) {
        if (sharedmem_barrier_at(sort->call) != 0)
            return -1;
        merge_share(sort, k, n_merges - k, rank, n_ranks);
    }
    if (sort->index == NULL)
        return 0;
    if (n_merges > 0 && sharedmem_barrier_at(sort->call) != 0)
        return -1;
    /* Nobody but the caller can write to its private memory. */
    if (sharedmem_is_shared(sort->index))
        take_indices(sort, sharedmem_part(sort->n, rank, n_ranks));
    else if (rank == 0)
        take_indices(sort, (sharedmem_range){0, sort->n});
    return 0;
}

/* Memory that all ranks share; the caller alone needs no shared memory. NULL with error. */
static char *allocate(const struct sort *sort, size_t bytes)
{
    char *block;

    if (sort->n_parts > 1)
        return numeric_allocate(sort->call, bytes, sort->error);
    block = malloc(bytes);
    if (block == NULL)
        error_set(sort->error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM, "%s: no %zu MiB of memory", sort->call,
                  (bytes >> 20) + 1);
    return block;
}

static void release(const struct sort *sort, char *block)
{
    int saved_errno = errno;

    if (sort->n_parts > 1)
        sharedmem_free(block);
    else
        free(block);
    errno = saved_errno;
}

/* Sorts items that all ranks see. */
static int sort_in_place(struct sort *sort, char *items, size_t bytes)
{
    int code;

    sort->items = items;
    sort->scratch = allocate(sort, bytes);
    if (sort->scratch == NULL)
        return -1;
    code = numeric_parallel(sort->call, sort->n_parts, do_share, sort, sort->error);
    release(sort, sort->scratch);
    return code;
}

/* Other ranks cannot write to the caller's private memory. */
static int sort_by_copy(struct sort *sort, char *items, size_t bytes)
{
    char *copy = allocate(sort, bytes);
    int code;

    if (copy == NULL)
        return -1;
    memcpy(copy, items, bytes);
    code = sort_in_place(sort, copy, bytes);
    if (code == 0)
        memcpy(items, copy, bytes);
    release(sort, copy);
    return code;
}

static int sort_array(const sharedmem_array *a, sharedmem_error *error)
{
    struct sort sort = {.call = "sharedmem_sort", .error = error, .kind = a->dtype};

    if (numeric_check_row(sort.call, a, &sort.n, error) != 0)
        return -1;
    if (sort.n < 2)
        return 0;
    sort.n_parts = numeric_count_ranks(sort.n, SORT_SMALL, SORT_SHARE);
    if (sort.n_parts == 1 || sharedmem_is_shared(a->data))
        return sort_in_place(&sort, a->data, sharedmem_array_nbytes(*a));
    return sort_by_copy(&sort, a->data, sharedmem_array_nbytes(*a));
}

int sharedmem_sort(sharedmem_array a)
{
    sharedmem_error error;

    return numeric_outcome(sort_array(&a, &error), &error);
}

/* ---- Argsort ---- */

static int argsort_array(const sharedmem_array *a, int64_t *index, sharedmem_error *error)
{
    struct sort sort = {.call = "sharedmem_argsort",
                        .error = error,
                        .kind = a->dtype == SHAREDMEM_COMPLEX128 ? NUMERIC_WIDE_RECORD : NUMERIC_RECORD,
                        .dtype = a->dtype,
                        .elements = a->data,
                        .index = index};
    size_t bytes;
    char *records;
    int code;

    if (numeric_check_row(sort.call, a, &sort.n, error) != 0)
        return -1;
    if (sort.n == 0)
        return 0;
    if (numeric_check_output(sort.call, "index", index, error) != 0)
        return -1;
    if (__builtin_mul_overflow(sort.n, numeric_item_bytes(sort.kind), &bytes))
        bytes = SIZE_MAX;
    sort.n_parts = numeric_count_ranks(sort.n, SORT_SMALL, SORT_SHARE);
    records = allocate(&sort, bytes);
    if (records == NULL)
        return -1;
    code = sort_in_place(&sort, records, bytes);
    release(&sort, records);
    return code;
}

int sharedmem_argsort(sharedmem_array a, int64_t *index)
{
    sharedmem_error error;

    return numeric_outcome(argsort_array(&a, index, &error), &error);
}

/* ---- Searchsorted ---- */

struct search {
    const char *sorted;
    size_t n;
    const char *values;
    int32_t dtype;
    bool is_right;
};

/* How many elements are less than the value, or equal to it on the right. */
NUMERIC_INLINE size_t search(const char *sorted, size_t n, const char *value, int32_t dtype, bool is_right)
{
    numeric_key key = numeric_key_of(value, dtype);
    size_t low = 0;

    while (n > 0) {
        size_t half = n / 2;
        numeric_key middle = key_at(sorted, low + half, dtype);
        bool is_above = is_right ? !numeric_less(key, middle, dtype) : numeric_less(middle, key, dtype);

        low += is_above ? half + 1 : 0;
        n = is_above ? n - half - 1 : half;
    }
    return low;
}

static int search_value(size_t i, void *result, void *context)
{
    const struct search *s = context;
    const char *value = s->values + i * sharedmem_itemsize(s->dtype);
    size_t found = 0;

    NUMERIC_WITH_DTYPE(D, s->dtype, found = search(s->sorted, s->n, value, D, s->is_right));
    *(int64_t *)result = (int64_t)found;
    return 0;
}

static int search_array(const sharedmem_array *sorted, const sharedmem_array *values, int32_t side,
                        int64_t *index, sharedmem_error *error)
{
    static const char call[] = "sharedmem_searchsorted";
    struct search s = {sorted->data, 0, values->data, sorted->dtype, side == SHAREDMEM_RIGHT};
    sharedmem_map_options options = {.work = search_value,
                                     .context = &s,
                                     .results = index,
                                     .result_size = sizeof *index,
                                     .error = error,
                                     .where = call};

    if (numeric_check_row(call, sorted, &s.n, error) != 0 ||
        numeric_check(call, values, &options.n, error) != 0)
        return -1;
    if (sorted->dtype != values->dtype)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s: sorted is of %s and values are of %s; give both the same dtype", call,
                         array_dtype_name(sorted->dtype), array_dtype_name(values->dtype));
    if (side != SHAREDMEM_LEFT && side != SHAREDMEM_RIGHT)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s: side is %d; it must be SHAREDMEM_LEFT or SHAREDMEM_RIGHT", call, (int)side);
    if (options.n == 0)
        return 0;
    if (numeric_check_output(call, "index", index, error) != 0)
        return -1;
    options.np = numeric_count_ranks(options.n, SEARCH_SMALL, SEARCH_SHARE);
    options.backend = options.np > 1 ? SHAREDMEM_PROCESSES : SHAREDMEM_SERIAL;
    return sharedmem_map_with(&options, sizeof options);
}

int sharedmem_searchsorted(sharedmem_array sorted, sharedmem_array values, int32_t side, int64_t *index)
{
    sharedmem_error error;

    return numeric_outcome(search_array(&sorted, &values, side, index, &error), &error);
}
