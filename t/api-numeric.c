/* Sums, extremes and sorting: what is refused; within other calls; failures. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "numeric.h"
#include "tap.h"

/* ---- Refused ---- */

static double room[16];
static int64_t place;

/* By number, as all but searchsorted are called. */
static int call_one(int call, sharedmem_array a, void *output)
{
    switch (call) {
    case 0:
        return sharedmem_sum(a, output);
    case 1:
        return sharedmem_min(a, output);
    case 2:
        return sharedmem_max(a, output);
    case 3:
        return sharedmem_sort(a);
    case 4:
        return sharedmem_argsort(a, output);
    case 5:
        return sharedmem_searchsorted(a, a, SHAREDMEM_LEFT, output);
    default:
        return sharedmem_searchsorted(sharedmem_wrap(room, SHAREDMEM_FLOAT64, 0, NULL), a, SHAREDMEM_LEFT,
                                      output);
    }
}

static const char *const call_names[] = {
    "sharedmem_sum: ",     "sharedmem_min: ",          "sharedmem_max: ",         "sharedmem_sort: ",
    "sharedmem_argsort: ", "sharedmem_searchsorted: ", "sharedmem_searchsorted: "};

static void test_refused(int got, const char *call, const char *says)
{
    int code = errno;

    test_ok(got == -1 && code == EINVAL && uncaught == 1 && last.kind == SHAREDMEM_ERROR_USAGE, "%s",
            last.message);
    test_ok(strncmp(last.message, call, strlen(call)) == 0, "it names the call");
    test_has(says, last.message, "and says what");
    uncaught = 0;
    last.message[0] = '\0';
    errno = 0;
}

static void test_bad_arrays(void)
{
    sharedmem_array none = {.data = NULL}, good = sharedmem_wrap(room, SHAREDMEM_FLOAT64, 1, (int64_t[]){16});
    sharedmem_array transposed = sharedmem_wrap(room, SHAREDMEM_FLOAT64, 2, (int64_t[]){3, 4}), other = good;

    transposed.strides[0] = 8;
    transposed.strides[1] = 24;
    other.dtype = 99;
    for (int call = 0; call < 7; call++) {
        sharedmem_array every_other = good;

        test_refused(call_one(call, none, &place), call_names[call], "the array is none");
        test_refused(call_one(call, other, &place), call_names[call], "the array is none");
        every_other.shape[0] = 8;
        every_other.strides[0] = 16;
        test_refused(call_one(call, every_other, &place), call_names[call], "sharedmem_copy(a)");
        every_other.strides[0] = -8;
        test_refused(call_one(call, every_other, &place), call_names[call], "sharedmem_copy(a)");
        test_refused(call_one(call, transposed, &place), call_names[call], "sharedmem_copy(a)");
        if (call != 3)
            test_refused(call_one(call, good, NULL), call_names[call], " is NULL");
    }
    test_ok(room[0] == 0 && place == 0, "nothing was written");
}

static void test_bad_calls(void)
{
    sharedmem_array square = sharedmem_wrap(room, SHAREDMEM_FLOAT64, 2, (int64_t[]){2, 8});
    sharedmem_array row = sharedmem_wrap(room, SHAREDMEM_FLOAT64, 1, (int64_t[]){16});
    sharedmem_array single = sharedmem_wrap(room, SHAREDMEM_FLOAT32, 1, (int64_t[]){1});

    for (int call = 3; call < 6; call++) {
        test_refused(call_one(call, square, &place), call_names[call], "2 dimensions");
        test_refused(call_one(call, square, &place), call_names[call],
                     "sharedmem_reshape(a, 1, (int64_t[]){-1})");
    }
    row.shape[0] = 0;
    test_refused(sharedmem_min(row, room), "sharedmem_min: ", "empty");
    test_refused(sharedmem_max(row, room), "sharedmem_max: ", "empty");
    test_refused(sharedmem_searchsorted(row, single, 0, &place),
                 "sharedmem_searchsorted: ", "sorted is of float64 and values are of float32");
    test_refused(sharedmem_searchsorted(row, row, 2, &place), "sharedmem_searchsorted: ", "side is 2");
    test_refused(sharedmem_searchsorted(row, row, -1, &place), "sharedmem_searchsorted: ", "side is -1");
}

/* Strides that do not matter: of a dimension of one, and of no elements. */
static void test_odd_strides(void)
{
    double data[] = {3, 1, 2}, sum = 0;
    sharedmem_array a = {data, SHAREDMEM_FLOAT64, 3, {1, 3, 1}, {7, 8, -1}};
    sharedmem_array empty = {data, SHAREDMEM_FLOAT64, 1, {0}, {3}};
    sharedmem_array odd = {(char *)room + 1, SHAREDMEM_FLOAT64, 1, {3}, {8}};

    test_int(0, sharedmem_sum(a, &sum), "the stride of one element is any");
    test_ok(sum == 6, "the sum is right");
    test_int(0, sharedmem_sort(empty), "that of none too");
    memcpy(odd.data, data, sizeof data);
    test_ok(sharedmem_sort(odd) == 0 && sharedmem_sum(odd, &sum) == 0 && sum == 6, "elements at any address");
    memcpy(data, odd.data, sizeof data);
    test_ok(data[0] == 1 && data[1] == 2 && data[2] == 3, "are sorted");
}

static void test_no_memory(void)
{
    sharedmem_array large = {room, SHAREDMEM_INT8, 1, {(int64_t)1 << 61}, {1}};
    int64_t index;

    setenv("SHAREDMEM_NP", "2", 1);
    test_int(-1, sharedmem_argsort(large, &index), "more than any memory");
    test_ok(errno == ENOMEM && uncaught == 1 && last.kind == SHAREDMEM_ERROR_NO_MEMORY, "%s", last.message);
    large.shape[0] = 1 << 28;
    test_int(-1, sharedmem_argsort(large, &index), "more than the heap");
    test_ok(errno == ENOMEM && uncaught == 2 && last.kind == SHAREDMEM_ERROR_NO_MEMORY, "%s", last.message);
    test_has("sharedmem_argsort: ", last.message, "it names the call");
    uncaught = 0;
}

/* ---- Within other calls ---- */

#define WITHIN ((size_t)270000)

/* All that needs other ranks, from wherever it is called. */
static int use_all(size_t i, void *result, void *context)
{
    sharedmem_array a = make_row(SHAREDMEM_INT32, WITHIN, ANY, i % 2 == 0);
    int64_t *order = right_order(a.data, WITHIN, a.dtype), sum = 0;
    bool good = sorts(a, order, i % 2 == 0);

    (void)result;
    good &= sharedmem_sum(*(sharedmem_array *)context, &sum) == 0 && sum == (int64_t)MANY;
    good &= finds(sharedmem_wrap(a.data, a.dtype, 0, NULL), a, SHAREDMEM_LEFT, true);
    free(order);
    drop(a.data);
    return good ? 0 : sharedmem_fail(1, "wrong");
}

static void test_within(void)
{
    bool yes = true;
    sharedmem_array flags = sharedmem_full(SHAREDMEM_BOOL, 1, (const int64_t[]){(int64_t)MANY}, &yes);
    sharedmem_error error;

    setenv("SHAREDMEM_NP", "3", 1);
    test_int(0, sharedmem_map(4, use_all, &flags, .error = &error, .np = 2), "in the workers of a map");
    test_int(0, sharedmem_map(2, use_all, &flags, .backend = SHAREDMEM_SERIAL), "in a map without workers");
    test_int(0, sharedmem_parallel(2, use_all, &flags, .error = &error), "in a parallel call");
    sharedmem_set_debug(true);
    test_int(0, use_all(0, NULL, &flags), "in debug mode");
    test_int(0, use_all(1, NULL, &flags), "with private memory too");
    sharedmem_set_debug(false);
    SHAREDMEM_CRITICAL
    {
        test_int(0, use_all(0, NULL, &flags), "in a critical region");
    }
    sharedmem_free(flags.data);
}

/* ---- Failures ---- */

/* A worker's uncaught error fails its item. */
static int sort_none(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    sharedmem_sort(*(sharedmem_array *)context);
    return 0;
}

/* Memory that is not there ends a rank by SIGSEGV, or the caller: so the caller is a worker. */
static void test_failures(void)
{
    sharedmem_array none = {.data = NULL};
    sharedmem_error error;

    sharedmem_set_uncaught(sharedmem_uncaught);
    test_int(-1, sharedmem_map(1, sort_none, &none, .error = &error), "a bad array fails the item");
    test_int(SHAREDMEM_ERROR_USAGE, error.kind, "as wrong usage");
    test_has("sharedmem_sort: the array is none", error.message, "that is named");
    none = sharedmem_wrap((void *)(uintptr_t)4096, SHAREDMEM_FLOAT64, 1, (const int64_t[]){1 << 24});
    setenv("SHAREDMEM_NP", "2", 1);
    if (test_address_sanitized() || test_thread_sanitized() || test_under_valgrind())
        test_skip("a sanitizer takes the signal");
    else if (test_int(-1, sharedmem_map(1, sort_none, &none, .error = &error),
                      "so does one that is not there"))
        test_int(SIGSEGV, error.code, "%s", error.message);
    sharedmem_set_uncaught(note_uncaught);
}

int main(void)
{
    int fds = begin_numeric();

    test_bad_arrays();
    test_bad_calls();
    test_odd_strides();
    test_no_memory();
    test_within();
    test_failures();
    check_nothing_left(fds);
    return test_end();
}
