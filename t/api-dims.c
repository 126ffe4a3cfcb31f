/* sharedmem_dims() and sharedmem_seed(): grids of ranks, and seeds that never change. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#include "tap.h"
#include "uncaught.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* ---- Grids ---- */

static void test_bad_dims(void)
{
    static const struct {
        int n, ndims, dims[3];
        const char *message;
    } bad[] = {
        {0, 2, {0, 0}, "dims: n is 0;"},
        {-4, 2, {0, 0}, "dims: n is -4;"},
        {4, 0, {0}, "dims: ndims is 0;"},
        {4, -1, {0}, "dims: ndims is -1;"},
        {4, 2, {0, -2}, "dims: dims[1] is -2;"},
        {12, 3, {0, 5, 0}, "dims: 12 ranks are no multiple of the dimensions that are given; set dims[1]"},
        {12, 3, {6, 4, 0}, "dims: 12 ranks are no multiple"},
        {12, 2, {3, 2}, "dims: the dimensions that are given have 6 ranks, and there are 12;"},
    };

    sharedmem_set_uncaught(note_uncaught);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        int dims[3];

        memcpy(dims, bad[i].dims, sizeof dims);
        errno = 0;
        test_ok(sharedmem_dims(bad[i].n, bad[i].ndims, dims) == -1 && errno == EINVAL, "a grid of %d is refused",
                bad[i].n);
        test_has(bad[i].message, last.message, "why");
        test_ok(memcmp(dims, bad[i].dims, sizeof dims) == 0, "and left as it is");
    }
    test_int(-1, sharedmem_dims(4, 2, NULL), "no dims are refused");
    test_has("dims: dims is NULL;", last.message, "why");
    sharedmem_set_uncaught(sharedmem_uncaught);
}

static void test_dims(void)
{
    static const struct {
        int n, ndims, dims[6], expected[6];
    } good[] = {
        {1, 1, {0}, {1}},
        {1, 3, {0}, {1, 1, 1}},
        {7, 1, {0}, {7}},
        {6, 2, {0}, {3, 2}},
        {7, 2, {0}, {7, 1}},
        {12, 2, {0}, {4, 3}},
        {12, 3, {0}, {3, 2, 2}},
        {16, 2, {0}, {4, 4}},
        {16, 3, {0}, {4, 2, 2}},
        {36, 3, {0}, {4, 3, 3}},
        {24, 3, {0}, {4, 3, 2}},
        {24, 4, {0}, {3, 2, 2, 2}},
        {60, 3, {0}, {5, 4, 3}},
        {72, 3, {0}, {6, 4, 3}},
        {100, 2, {0}, {10, 10}},
        {1024, 2, {0}, {32, 32}},
        {1024, 3, {0}, {16, 8, 8}},
        {16383, 3, {0}, {127, 43, 3}},
        {2147483647, 2, {0}, {2147483647, 1}},
        {2147483646, 3, {0}, {1661, 1302, 993}},
        {1073741824, 6, {0}, {32, 32, 32, 32, 32, 32}},
        {12, 2, {3, 0}, {3, 4}},
        {12, 3, {0, 3, 0}, {2, 3, 2}},
        {12, 3, {0, 12, 0}, {1, 12, 1}},
        {12, 2, {4, 3}, {4, 3}},
    };

    for (size_t i = 0; i < COUNT_OF(good); i++) {
        int dims[6];

        memcpy(dims, good[i].dims, sizeof dims);
        test_int(0, sharedmem_dims(good[i].n, good[i].ndims, dims), "%d ranks in %d dimensions", good[i].n,
                 good[i].ndims);
        for (int k = 0; k < good[i].ndims; k++)
            test_int(good[i].expected[k], dims[k], "%d ranks in %d dimensions: dimension %d", good[i].n,
                     good[i].ndims, k);
    }
}

/* Whether n has three factors, falling, of which the first is below most. */
static bool has_smaller(int n, int most)
{
    for (int a = 1; a < most; a++) {
        for (int b = 1; n % a == 0 && b <= a; b++) {
            if (n / a % b == 0 && n / a / b <= b)
                return true;
        }
    }
    return false;
}

/* Against all there is, and with more dimensions than factors. */
static void test_all_dims(void)
{
    int wrong = 0;

    for (int n = 1; n <= 300; n++) {
        int dims[3] = {0, 0, 0}, many[100] = {0}, product = 1;

        wrong += sharedmem_dims(n, 3, dims) != 0 || dims[0] * dims[1] * dims[2] != n || dims[0] < dims[1] ||
                 dims[1] < dims[2] || has_smaller(n, dims[0]);
        wrong += sharedmem_dims(n, 100, many) != 0;
        for (int k = 0; k < 100; k++)
            product *= many[k];
        wrong += product != n || many[99] != 1;
    }
    test_int(0, wrong, "no grid of up to 300 ranks has a smaller first dimension");
}

/* ---- Seeds ---- */

static void test_fixed_seeds(void)
{
    static const struct {
        uint64_t seed, i, expected;
    } fixed[] = {
        {0, 0, 0xa706dd2f4d197e6fu},
        {0, 1, 0xb382a305f4414f5eu},
        {1, 0, 0x5e41ab087439611eu},
        {1, 1, 0xf18d6ce93d6cf1eeu},
        {2024, 0, 0x9073042e1efa35a0u},
        {2024, 999999, 0x89fd360ea402089fu},
        {UINT64_MAX, UINT64_MAX, 0x445018e305810b78u},
        {0, UINT64_MAX, 0x48218226ff3cd4bfu},
        {0x123456789abcdefu, 42, 0x565de4ed76ba647eu},
    };

    for (size_t k = 0; k < COUNT_OF(fixed); k++)
        test_ok(sharedmem_seed(fixed[k].seed, fixed[k].i) == fixed[k].expected, "the number of seed %llu, item %llu",
                (unsigned long long)fixed[k].seed, (unsigned long long)fixed[k].i);
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

/* Of 1,000 seeds and 1,000 items no two are the same: of a million random numbers some are, once in 37 million. */
static void test_distinct_seeds(void)
{
    size_t n = test_under_valgrind() ? 100 : 1000, n_same = 0;
    uint64_t *seeds = malloc(n * n * sizeof *seeds);

    for (size_t k = 0; k < n * n; k++)
        seeds[k] = sharedmem_seed(k / n, k % n);
    qsort(seeds, n * n, sizeof *seeds, compare);
    for (size_t k = 1; k < n * n; k++)
        n_same += seeds[k] == seeds[k - 1];
    test_int(0, (long long)n_same, "neighbouring seeds and items: all numbers differ");
    free(seeds);
}

/* How often each bit is 1, and how often it changes from one to the next: half of the times, within 6 sigma. */
static bool is_even(uint64_t (*number)(uint64_t k))
{
    enum { N = 65536, MOST = 6 * 128 };
    long ones[64] = {0}, changes[64] = {0};

    for (uint64_t k = 0; k < N; k++) {
        uint64_t value = number(k), change = value ^ number(k + 1);

        for (int bit = 0; bit < 64; bit++) {
            ones[bit] += value >> bit & 1;
            changes[bit] += change >> bit & 1;
        }
    }
    for (int bit = 0; bit < 64; bit++) {
        if (labs(ones[bit] - N / 2) > MOST || labs(changes[bit] - N / 2) > MOST)
            return false;
    }
    return true;
}

static uint64_t by_item(uint64_t k)
{
    return sharedmem_seed(1, k);
}

static uint64_t by_seed(uint64_t k)
{
    return sharedmem_seed(k, 1);
}

static uint64_t by_both(uint64_t k)
{
    return sharedmem_seed(k << 32, k << 32);
}

int main(void)
{
    test_begin(20);
    test_bad_dims();
    test_dims();
    test_all_dims();
    test_fixed_seeds();
    test_distinct_seeds();
    test_ok(is_even(by_item), "the bits of neighbouring items");
    test_ok(is_even(by_seed), "the bits of neighbouring seeds");
    test_ok(is_even(by_both), "the bits of seeds and items that differ in high bits");
    return test_end();
}
