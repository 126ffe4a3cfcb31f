/* Arrays: every dtype, all kinds of shapes, copies of any strides; what is refused; strdup, memdup, new. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "array_refused.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* Bytes that any array of random_view() fits in: 3 elements along each of 8 dimensions. */
#define ROOM (6561 * 16)

static const struct {
    int32_t dtype;
    size_t itemsize;
    const char *name;
} dtypes[] = {
    {SHAREDMEM_BOOL, sizeof(bool), "bool"},
    {SHAREDMEM_INT8, 1, "int8"},
    {SHAREDMEM_INT16, 2, "int16"},
    {SHAREDMEM_INT32, 4, "int32"},
    {SHAREDMEM_INT64, 8, "int64"},
    {SHAREDMEM_UINT8, 1, "uint8"},
    {SHAREDMEM_UINT16, 2, "uint16"},
    {SHAREDMEM_UINT32, 4, "uint32"},
    {SHAREDMEM_UINT64, 8, "uint64"},
    {SHAREDMEM_FLOAT32, sizeof(float), "float32"},
    {SHAREDMEM_FLOAT64, sizeof(double), "float64"},
    {SHAREDMEM_COMPLEX64, sizeof(float _Complex), "complex64"},
    {SHAREDMEM_COMPLEX128, sizeof(double _Complex), "complex128"},
};

/* A good shape, also where ndim is one too many. */
static const int64_t nine[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};

/* ---- Refused ---- */

/* One call found too little memory, and only returned so. */
static void test_no_memory(sharedmem_array a, const char *what)
{
    test_ok(is_nothing(a) && errno == ENOMEM && uncaught == 0, "%s is ENOMEM", what);
    errno = 0;
}

/* ---- Shapes ---- */

static const struct {
    int32_t ndim;
    int64_t shape[SHAREDMEM_NDIM_MAX];
    int64_t items[SHAREDMEM_NDIM_MAX]; /* the strides, in items */
    size_t size;
} shapes[] = {
    {0, {0}, {0}, 1},
    {1, {0}, {1}, 0},
    {1, {1}, {1}, 1},
    {1, {1000}, {1}, 1000},
    {2, {3, 4}, {4, 1}, 12},
    {2, {0, 4}, {4, 1}, 0},
    {2, {4, 0}, {1, 1}, 0},
    {3, {2, 1, 5}, {5, 5, 1}, 10},
    {3, {1000000, 0, 1000000}, {1000000, 1000000, 1}, 0},
    {8, {1, 2, 1, 3, 1, 2, 1, 2}, {24, 12, 12, 4, 4, 2, 2, 1}, 24},
};

static bool has_shape(sharedmem_array a, size_t row, int32_t dtype, size_t itemsize)
{
    bool good = a.data != NULL && a.dtype == dtype && a.ndim == shapes[row].ndim;

    for (int32_t k = 0; k < SHAREDMEM_NDIM_MAX; k++) {
        good &= a.shape[k] == shapes[row].shape[k];
        good &= a.strides[k] == shapes[row].items[k] * (int64_t)itemsize;
    }
    return good && sharedmem_array_size(a) == shapes[row].size &&
           sharedmem_array_nbytes(a) == shapes[row].size * itemsize;
}

/* Every call that makes an array, for one shape and dtype. */
static bool make_all(size_t row, int32_t dtype, size_t itemsize)
{
    static const char value[16] = "0123456789abcde";
    static char room[16000];
    int32_t ndim = shapes[row].ndim;
    const int64_t *shape = ndim > 0 ? shapes[row].shape : NULL;
    sharedmem_array wrapped = sharedmem_wrap(room, dtype, ndim, shape);
    sharedmem_array made[] = {
        sharedmem_empty(dtype, ndim, shape),
        sharedmem_full(dtype, ndim, shape, value),
        sharedmem_copy(wrapped),
        sharedmem_empty_like(wrapped),
        sharedmem_full_like(wrapped, value),
    };
    bool good = has_shape(wrapped, row, dtype, itemsize) && wrapped.data == room;

    for (size_t i = 0; i < COUNT_OF(made); i++) {
        good &= has_shape(made[i], row, dtype, itemsize) && sharedmem_is_shared(made[i].data) &&
                sharedmem_usable_size(made[i].data) >= shapes[row].size * itemsize;
        sharedmem_free(made[i].data);
    }
    return good;
}

static void test_shapes(void)
{
    test_int(16 + 8 * 8 + 8 * 8, sizeof(sharedmem_array), "sharedmem_array is plain, and stays as it is");
    for (size_t i = 0; i < COUNT_OF(dtypes); i++) {
        bool good = true;

        test_int((long long)dtypes[i].itemsize, (long long)sharedmem_itemsize(dtypes[i].dtype), "size of %s",
                 dtypes[i].name);
        for (size_t row = 0; row < COUNT_OF(shapes); row++)
            good &= make_all(row, dtypes[i].dtype, dtypes[i].itemsize);
        test_ok(good, "%s of all shapes, by all calls", dtypes[i].name);
    }
    test_int(0, uncaught, "nothing was refused");
}

/* ---- Refused ---- */

static const struct {
    int32_t dtype;
    int32_t ndim;
    const int64_t *shape;
    const char *says;
} refused[] = {
    {0, 1, nine, "dtype 0"},
    {-1, 1, nine, "dtype -1"},
    {SHAREDMEM_COMPLEX128 + 1, 1, nine, "dtype 14"},
    {INT32_MIN, 1, nine, "dtype -2147483648"},
    {INT32_MAX, 1, nine, "dtype 2147483647"},
    {SHAREDMEM_FLOAT64, -1, nine, "ndim is -1"},
    {SHAREDMEM_FLOAT64, 9, nine, "ndim is 9"},
    {SHAREDMEM_FLOAT64, INT32_MAX, nine, "ndim is 2147483647"},
    {SHAREDMEM_FLOAT64, 1, NULL, "shape is NULL"},
    {SHAREDMEM_FLOAT64, 1, (const int64_t[]){-1}, "shape[0] is -1"},
    {SHAREDMEM_FLOAT64, 3, (const int64_t[]){0, 1, INT64_MIN}, "shape[2] is -9223372036854775808"},
};

static void test_bad_shapes(void)
{
    static const double value = 1;
    static char room[8];

    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        int32_t dtype = refused[i].dtype, ndim = refused[i].ndim;
        const int64_t *shape = refused[i].shape;
        const char *says = refused[i].says;

        test_array_refused(sharedmem_empty(dtype, ndim, shape), "sharedmem_empty", says);
        test_array_refused(sharedmem_full(dtype, ndim, shape, &value), "sharedmem_full", says);
        test_array_refused(sharedmem_wrap(room, dtype, ndim, shape), "sharedmem_wrap", says);
    }
    test_int(0, (long long)sharedmem_itemsize(0), "no dtype has no size");
    test_int(0, (long long)sharedmem_itemsize(SHAREDMEM_COMPLEX128 + 1), "nor one too many");
}

static void test_bad_arrays(void)
{
    static double room[4];
    static const double value = 1;
    sharedmem_array never = {.data = NULL}, by_hand = {.data = room, .dtype = SHAREDMEM_FLOAT64, .ndim = 9};

    test_array_refused(sharedmem_empty_like(never), "sharedmem_empty_like", "never made");
    test_array_refused(sharedmem_full_like(never, &value), "sharedmem_full_like", "never made");
    test_array_refused(sharedmem_copy(never), "sharedmem_copy", "never made");
    test_array_refused(sharedmem_copy(by_hand), "sharedmem_copy", "ndim is 9");
    test_ok(sharedmem_array_size(never) == 0 && errno == EINVAL && uncaught == 0, "what is none has size 0");
    test_ok(sharedmem_array_nbytes(by_hand) == 0 && errno == EINVAL && uncaught == 0, "and no bytes");
    by_hand.ndim = 1;
    test_array_refused(sharedmem_full_like(by_hand, NULL), "sharedmem_full_like", "value is NULL");
    test_array_refused(sharedmem_full(SHAREDMEM_INT8, 0, NULL, NULL), "sharedmem_full", "value is NULL");
    test_array_refused(sharedmem_wrap(NULL, SHAREDMEM_INT8, 0, NULL), "sharedmem_wrap", "data is NULL");
}

static void test_too_large(void)
{
    static const int64_t large[][3] = {
        {INT64_MAX, 1, 1},        {(int64_t)1 << 62, 2, 1},  {(int64_t)1 << 32, (int64_t)1 << 32, 1},
        {(int64_t)1 << 60, 1, 1}, {0, INT64_MAX, INT64_MAX}, {INT64_MAX, INT64_MAX, 0}};
    static const int64_t heaps[] = {1 << 20, 1 << 10};
    static const double value = 1;
    static char room[8];

    for (size_t i = 0; i < COUNT_OF(large); i++) {
        test_no_memory(sharedmem_empty(SHAREDMEM_FLOAT64, 3, large[i]), "a product that overflows");
        test_no_memory(sharedmem_full(SHAREDMEM_FLOAT64, 3, large[i], &value), "the same, filled");
        test_array_refused(sharedmem_wrap(room, SHAREDMEM_FLOAT64, 3, large[i]), "sharedmem_wrap",
                           "as large");
    }
    test_no_memory(sharedmem_empty(SHAREDMEM_INT8, 1, (const int64_t[]){INT64_MAX}), "all there could be");
    test_no_memory(sharedmem_empty(SHAREDMEM_INT8, 2, heaps), "more than the heap");
    test_no_memory(sharedmem_full(SHAREDMEM_INT8, 2, heaps, ""), "the same, of zeroes");
    test_no_memory(sharedmem_copy((sharedmem_array){room, SHAREDMEM_INT8, 2, {1 << 20, 1 << 10}, {0}}),
                   "a copy of one byte repeated as often");
}

/* ---- Values ---- */

static bool is_filled(const char *data, size_t n, const char *value, size_t itemsize)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(data + i * itemsize, value, itemsize) != 0)
            return false;
    }
    return true;
}

static bool fills(int32_t dtype, size_t itemsize, const char *value)
{
    static const int64_t sizes[] = {0, 1, 2, 3, 1023, 1024, 16384, 16385, 100003};
    bool good = true;

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        sharedmem_array a = sharedmem_full(dtype, 1, &sizes[i], value), b = sharedmem_full_like(a, value);

        good &= is_filled(a.data, (size_t)sizes[i], value, itemsize);
        good &= is_filled(b.data, (size_t)sizes[i], value, itemsize);
        memset(a.data, 0xff, (size_t)sizes[i] * itemsize); /* zeroes must not come from fresh pages only */
        sharedmem_free(a.data);
        sharedmem_free(b.data);
    }
    return good;
}

static void test_full(void)
{
    static const char odd[] = "?0123456789abcdef", zero[16];
    static const double minus_zero = -0.0;

    for (size_t i = 0; i < COUNT_OF(dtypes); i++) {
        test_ok(fills(dtypes[i].dtype, dtypes[i].itemsize, odd + 1), "full of %s", dtypes[i].name);
        test_ok(fills(dtypes[i].dtype, dtypes[i].itemsize, zero), "and of its zero");
    }
    test_ok(fills(SHAREDMEM_FLOAT64, sizeof minus_zero, (const char *)&minus_zero), "-0.0 keeps its sign");
}

/* Arrays of just the size of their blocks, between others: what is written past an end shows there. */
static void test_neighbours(void)
{
    static const int64_t shape[] = {24};
    static const double kept = 1.5, between = 2.5;
    sharedmem_array a[100];
    bool good = true;

    for (size_t i = 0; i < COUNT_OF(a); i++)
        a[i] = sharedmem_full(SHAREDMEM_FLOAT64, 1, shape, &kept);
    for (size_t i = 0; i < COUNT_OF(a); i += 2)
        sharedmem_free(a[i].data);
    for (size_t i = 0; i < COUNT_OF(a); i += 2)
        a[i] = sharedmem_full(SHAREDMEM_FLOAT64, 1, shape, &between);
    for (size_t i = 0; i < COUNT_OF(a); i++) {
        good &= is_filled(a[i].data, 24, (const char *)(i % 2 == 0 ? &between : &kept), sizeof kept);
        sharedmem_free(a[i].data);
    }
    test_ok(good, "full ends where the array does");
}

/* ---- Copies ---- */

/* The address of element number i of a in C order. */
static const char *element(const sharedmem_array *a, size_t i)
{
    const char *address = a->data;

    for (int32_t k = a->ndim - 1; k >= 0; k--) {
        address += (int64_t)(i % (size_t)a->shape[k]) * a->strides[k];
        i /= (size_t)a->shape[k];
    }
    return address;
}

static bool copies(sharedmem_array a)
{
    size_t itemsize = sharedmem_itemsize(a.dtype), n = sharedmem_array_size(a);
    sharedmem_array copy = sharedmem_copy(a), like = sharedmem_empty_like(a);
    bool good = copy.data != NULL && memcmp(copy.shape, a.shape, sizeof a.shape) == 0 &&
                memcmp(copy.strides, like.strides, sizeof like.strides) == 0;

    for (size_t i = 0; i < n && good; i++)
        good = memcmp((char *)copy.data + i * itemsize, element(&a, i), itemsize) == 0;
    sharedmem_free(copy.data);
    sharedmem_free(like.data);
    return good;
}

/* The same elements, but dimensions j and k change places. */
static void transpose(sharedmem_array *a, int32_t j, int32_t k)
{
    int64_t shape = a->shape[j], stride = a->strides[j];

    a->shape[j] = a->shape[k];
    a->strides[j] = a->strides[k];
    a->shape[k] = shape;
    a->strides[k] = stride;
}

/* Takes each step-th element along dimension k, from its end where step is negative. */
static void slice(sharedmem_array *a, int32_t k, int64_t step)
{
    int64_t n = a->shape[k];

    if (step < 0)
        a->data = (char *)a->data + (n - 1) * a->strides[k];
    a->shape[k] = (n - 1) / llabs(step) + 1;
    a->strides[k] *= step;
}

/* A view of source, of an ndim and with strides that chance chooses. */
static sharedmem_array random_view(void *source, int32_t dtype, unsigned *seed)
{
    int64_t shape[SHAREDMEM_NDIM_MAX];
    int32_t ndim = rand_r(seed) % (SHAREDMEM_NDIM_MAX + 1);
    sharedmem_array a;

    for (int32_t k = 0; k < ndim; k++)
        shape[k] = 1 + rand_r(seed) % (ndim < 4 ? 9 : 3);
    a = sharedmem_wrap(source, dtype, ndim, shape);
    for (int32_t k = 0; k < ndim; k++) {
        static const int64_t steps[] = {1, 1, 1, -1, 2, -2, 3};

        slice(&a, k, steps[rand_r(seed) % 7]);
        if (rand_r(seed) % 4 == 0)
            transpose(&a, k, rand_r(seed) % ndim);
        if (rand_r(seed) % 16 == 0)
            a.strides[k] = 0; /* one element, repeated */
    }
    return a;
}

static void test_copies(char *source, const char *what)
{
    unsigned seed = 1;

    for (size_t i = 0; i < ROOM; i++)
        source[i] = (char)rand_r(&seed);
    for (size_t i = 0; i < COUNT_OF(dtypes); i++) {
        bool good = true;

        for (int repeat = 0; repeat < (test_under_valgrind() ? 20 : 300); repeat++)
            good &= copies(random_view(source + repeat % 2, dtypes[i].dtype, &seed));
        test_ok(good, "copies of %s from %s memory, with all kinds of strides", dtypes[i].name, what);
    }
}

static void test_copy(void)
{
    char *private_room = malloc(ROOM + 1), *shared_room = sharedmem_malloc(ROOM + 1);
    sharedmem_array a = sharedmem_wrap(private_room, SHAREDMEM_INT32, 2, (const int64_t[]){100, 100}), b;

    test_copies(private_room, "private");
    test_copies(shared_room, "shared");
    transpose(&a, 0, 1);
    test_ok(copies(a), "a transposed array");
    slice(&a, 0, -1);
    slice(&a, 1, -1);
    test_ok(copies(a), "all of it backwards");
    b = (sharedmem_array){private_room, SHAREDMEM_INT32, 2, {0, 1 << 22}, {7, 16}};
    test_ok(copies(b), "nothing, of rows that would be longer than the memory");
    b = sharedmem_copy(a);
    memset(private_room, 0, 100 * 100 * 4);
    test_ok(((int32_t *)b.data)[0] != 0, "a copy is its own memory");
    sharedmem_free(b.data);
    b = sharedmem_wrap(private_room, SHAREDMEM_INT32, 1, (const int64_t[]){100});
    ((int32_t *)b.data)[99] = 7;
    test_int(7, private_room[99 * 4], "a wrapped array is the memory that was there");
    free(private_room);
    sharedmem_free(shared_room);
}

/* ---- Between processes ---- */

static int make_row(size_t i, void *result, void *context)
{
    const sharedmem_array *a = context;
    double value = (double)i, *elements = a->data;

    elements[i] = value;
    *(sharedmem_array *)result = sharedmem_full(SHAREDMEM_FLOAT64, 1, (const int64_t[]){10}, &value);
    return 0;
}

static int make_bad_array(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    sharedmem_empty((int32_t)i + 99, 0, NULL);
    return 0;
}

static void test_workers(void)
{
    sharedmem_array a = sharedmem_empty(SHAREDMEM_FLOAT64, 1, (const int64_t[]){20}), rows[20];
    sharedmem_error error;
    bool good = true;

    test_int(0, sharedmem_map(20, make_row, &a, rows, sizeof *rows, .np = 4, .error = &error),
             "workers make arrays");
    for (size_t i = 0; i < 20; i++) {
        double value = (double)i;

        good &= memcmp((double *)a.data + i, &value, sizeof value) == 0;
        good &= is_filled(rows[i].data, 10, (const char *)&value, sizeof value);
        sharedmem_free(rows[i].data);
    }
    test_ok(good, "which the master has, and what they wrote");
    sharedmem_free(a.data);

    sharedmem_set_uncaught(sharedmem_uncaught);
    test_int(-1, sharedmem_map(1, make_bad_array, NULL, .error = &error), "a bad array fails the item");
    test_int(SHAREDMEM_ERROR_USAGE, error.kind, "as wrong usage");
    test_has("there is no dtype 99", error.message, "that is named");
    sharedmem_set_uncaught(note_uncaught);
}

/* ---- Plain memory ---- */

struct point {
    double x, y;
};

static void test_duplicates(void)
{
    struct point *points = sharedmem_new(struct point, 1000);
    char text[] = "a line", *copy = sharedmem_strdup(text), *empty = sharedmem_strdup("");
    int numbers[] = {1, 2, 3}, *same = sharedmem_memdup(numbers, sizeof numbers);
    void *nothing = sharedmem_memdup(NULL, 0);

    text[0] = '?';
    numbers[0] = 0;
    test_ok(sharedmem_is_shared(points) && points[0].x == 0 && points[999].y == 0, "new is zero");
    test_ok(sharedmem_is_shared(copy) && sharedmem_is_shared(same), "copies are shared");
    test_str("a line", copy, "strdup copies");
    test_str("", empty, "also what is empty");
    test_ok(same[0] == 1 && same[1] == 2 && same[2] == 3, "memdup too");
    test_ok(sharedmem_is_shared(nothing), "nothing is a block");
    test_ok(sharedmem_new(struct point, SIZE_MAX / 8) == NULL && errno == ENOMEM, "too many new ones");
    test_int(0, uncaught, "nothing was refused");

    test_ok(sharedmem_strdup(NULL) == NULL && errno == EINVAL && uncaught == 1, "strdup of NULL");
    test_has("sharedmem_strdup: ", last.message, "says so");
    test_ok(sharedmem_memdup(NULL, 1) == NULL && errno == EINVAL && uncaught == 2, "memdup of NULL");
    test_has("sharedmem_memdup: ", last.message, "says so");
    uncaught = 0;
    sharedmem_free(points);
    sharedmem_free(copy);
    sharedmem_free(empty);
    sharedmem_free(same);
    sharedmem_free(nothing);
}

int main(void)
{
    sharedmem_error error;

    test_begin(60);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    sharedmem_set_uncaught(note_uncaught);
    test_shapes();
    test_bad_shapes();
    test_bad_arrays();
    test_too_large();
    test_full();
    test_neighbours();
    test_copy();
    test_workers();
    test_duplicates();
    test_int(0, sharedmem_heap_check(&error), "the heap is whole");
    return test_end();
}
