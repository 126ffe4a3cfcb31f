/* sharedmem_copy() from views and sharedmem_copy_into() views, beside a model (array_model.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "array_model.h"
#include "tap.h"

#define END SHAREDMEM_END

/* ---- Of all dtypes and dimensions ---- */

static char *shadow;

static void scramble(char *memory, unsigned *seed)
{
    for (size_t i = 0; i < ROOM_BYTES; i++)
        memory[i] = (char)rand_r(seed);
}

/* An array of the shape that a model has, by other strides. */
static sharedmem_array alike(const struct model *like, struct model *model, int32_t dtype, unsigned *seed)
{
    int32_t axes[SHAREDMEM_NDIM_MAX], back[SHAREDMEM_NDIM_MAX];
    int64_t shape[SHAREDMEM_NDIM_MAX] = {0};
    sharedmem_array a;

    for (int32_t k = 0; k < like->ndim; k++) {
        int32_t other = (int32_t)below(seed, k + 1);

        axes[k] = axes[other];
        axes[other] = k;
    }
    for (int32_t k = 0; k < like->ndim; k++) {
        back[axes[k]] = k;
        shape[k] = like->shape[axes[k]];
    }
    model_begin(model, like->ndim, shape);
    model_transpose(model, back);
    a = sharedmem_transpose(sharedmem_wrap(room, dtype, like->ndim, shape), back);
    for (int32_t k = 0; k < like->ndim; k++) {
        if (below(seed, 2) == 0) {
            model_slice(model, k, END, END, -1);
            a = sharedmem_slice(a, k, END, END, -1);
        }
    }
    return a;
}

/* Copies within room, so that to and from overlap, or from other memory; what is not of to must stay. */
static bool assigns(int32_t dtype, int32_t ndim, bool is_within, unsigned *seed)
{
    static struct model to_model, from_model;
    size_t itemsize = sharedmem_itemsize(dtype), shift = (size_t)below(seed, 40);
    sharedmem_array to = random_array(&to_model, dtype, ndim, seed), from, copy;
    bool good = take_steps(&to, &to_model, 3, seed);
    char *source = is_within ? room : shadow + ROOM_BYTES;

    from = alike(&to_model, &from_model, dtype, seed);
    from.data = (char *)from.data + (source - room) + shift;
    memcpy(shadow, room, ROOM_BYTES);
    for (size_t i = 0; i < to_model.n; i++)
        memcpy(shadow + to_model.place[i] * (int64_t)itemsize,
               (is_within ? room : source) + from_model.place[i] * (int64_t)itemsize + shift, itemsize);
    copy = sharedmem_copy(from);
    for (size_t i = 0; i < to_model.n; i++)
        good &= memcmp((char *)copy.data + i * itemsize,
                       source + from_model.place[i] * (int64_t)itemsize + shift, itemsize) == 0;
    sharedmem_free(copy.data);
    return good && sharedmem_is_contiguous(copy) && sharedmem_copy_into(to, from) == 0 &&
           memcmp(room, shadow, ROOM_BYTES) == 0;
}

static void test_copies(void)
{
    int repeats = test_under_valgrind() ? 2 : test_address_sanitized() ? 15 : 40;
    unsigned seed = 2;

    shadow = malloc(2 * ROOM_BYTES);
    scramble(room, &seed);
    scramble(shadow + ROOM_BYTES, &seed);
    for (int32_t dtype = SHAREDMEM_BOOL; dtype <= SHAREDMEM_COMPLEX128; dtype++) {
        bool good = true;

        for (int32_t ndim = 0; ndim <= SHAREDMEM_NDIM_MAX; ndim++) {
            for (int k = 0; k < repeats; k++)
                good &= assigns(dtype, ndim, k % 2 == 0, &seed);
        }
        test_ok(good, "dtype %d: copies of views, and into them, overlapping and not", (int)dtype);
    }
    test_int(0, uncaught, "nothing was refused");
    free(shadow);
}

/* ---- By hand ---- */

static bool is_row(const int32_t *row, int n, const int32_t *expected)
{
    return memcmp(row, expected, (size_t)n * sizeof *row) == 0;
}

static void test_broadcast(void)
{
    int32_t x[12] = {0}, row[] = {1, 2, 3, 4}, column[] = {10, 20, 30}, seven = 7;
    sharedmem_array a = sharedmem_wrap(x, SHAREDMEM_INT32, 2, (int64_t[]){3, 4});
    sharedmem_array r = sharedmem_wrap(row, SHAREDMEM_INT32, 1, (int64_t[]){4});
    sharedmem_array c = sharedmem_wrap(column, SHAREDMEM_INT32, 2, (int64_t[]){3, 1});
    sharedmem_array s = sharedmem_wrap(&seven, SHAREDMEM_INT32, 0, NULL);
    sharedmem_array odd = sharedmem_slice(a, 1, 1, END, 2);

    test_int(0, sharedmem_copy_into(a, r), "a row into all rows");
    test_ok(is_row(x, 12, (int32_t[]){1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4}), "is there in each");
    test_int(0, sharedmem_copy_into(odd, c), "a column into every other column");
    test_ok(is_row(x, 12, (int32_t[]){1, 10, 3, 10, 1, 20, 3, 20, 1, 30, 3, 30}), "is there in each");
    test_int(0, sharedmem_copy_into(sharedmem_slice(a, 1, END, 2, -1), s), "a scalar into what is behind");
    test_ok(is_row(x, 12, (int32_t[]){1, 10, 3, 7, 1, 20, 3, 7, 1, 30, 3, 7}), "is there alone");
    test_int(0, sharedmem_copy_into(a, sharedmem_index(a, 0, 1)), "a row of the array itself into all rows");
    test_ok(is_row(x, 12, (int32_t[]){1, 20, 3, 7, 1, 20, 3, 7, 1, 20, 3, 7}), "is there in each");
    test_int(0, sharedmem_copy_into(sharedmem_slice(a, 0, 5, 5, 1), s), "into nothing");
    test_int(0, sharedmem_copy_into(s, sharedmem_index(r, 0, -1)), "one element into a scalar");
    test_int(4, seven, "is there");
}

static void test_moves(void)
{
    int32_t x[] = {0, 1, 2, 3, 4, 5};
    sharedmem_array a = sharedmem_wrap(x, SHAREDMEM_INT32, 1, (int64_t[]){6});

    sharedmem_copy_into(sharedmem_slice(a, 0, 1, END, 1), sharedmem_slice(a, 0, END, -1, 1));
    test_ok(is_row(x, 6, (int32_t[]){0, 0, 1, 2, 3, 4}), "moved up by one");
    sharedmem_copy_into(sharedmem_slice(a, 0, END, -1, 1), sharedmem_slice(a, 0, 1, END, 1));
    test_ok(is_row(x, 6, (int32_t[]){0, 1, 2, 3, 4, 4}), "and down again");
    sharedmem_copy_into(a, sharedmem_slice(a, 0, END, END, -1));
    test_ok(is_row(x, 6, (int32_t[]){4, 4, 3, 2, 1, 0}), "reversed in place");
    sharedmem_copy_into(a, a);
    test_ok(is_row(x, 6, (int32_t[]){4, 4, 3, 2, 1, 0}), "into itself");
}

static void test_bad_copies(void)
{
    int32_t x[12] = {0};
    sharedmem_array a = sharedmem_wrap(x, SHAREDMEM_INT32, 2, (int64_t[]){3, 4}), never = {.data = NULL};
    sharedmem_array f = sharedmem_wrap(x, SHAREDMEM_FLOAT32, 2, (int64_t[]){3, 4}), repeated = a;
    static const char call[] = "sharedmem_copy_into";

    repeated.strides[0] = 0;
    test_call_refused(sharedmem_copy_into(never, a) == -1, call, "to: the array has no data");
    test_call_refused(sharedmem_copy_into(a, never) == -1, call, "from: the array has no data");
    test_call_refused(sharedmem_copy_into(a, f) == -1, call, "to is int32 and from is float32");
    test_call_refused(sharedmem_copy_into(a, sharedmem_transpose(a, NULL)) == -1, call,
                      "to is 3 x 4 and from is 4 x 3");
    test_call_refused(sharedmem_copy_into(sharedmem_index(a, 0, 0), a) == -1, call,
                      "to is 4 and from is 3 x 4");
    test_call_refused(sharedmem_copy_into(sharedmem_index(sharedmem_index(a, 0, 0), 0, 0), a) == -1, call,
                      "to is scalar and");
    test_call_refused(sharedmem_copy_into(repeated, a) == -1, call, "3 elements of to along dimension 0");
    repeated.shape[0] = 1;
    test_int(0, sharedmem_copy_into(repeated, sharedmem_index(a, 0, 2)), "a stride that nobody uses is fine");
}

int main(void)
{
    test_begin(120);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    room = malloc(ROOM_BYTES);
    sharedmem_set_uncaught(note_uncaught);
    test_copies();
    test_broadcast();
    test_moves();
    test_bad_copies();
    test_int(0, uncaught, "nothing was refused that is good");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
    free(room);
    return test_end();
}
