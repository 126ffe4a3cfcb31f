/*
 * Sizes and alignments that cannot be: NULL with errno, no uncaught error; the heap is whole after each, and
 * its blocks are as they were. And those at the edge that can.
 */
#include <sharedmem.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "whole.h"

#define COUNT_OF(table) (sizeof(table) / sizeof *(table))
#define HEAP_BYTES      ((size_t)16 << 20)

static int uncaught;

static void count_uncaught(const sharedmem_error *error)
{
    (void)error;
    uncaught++;
}

static void *no_malloc(void *block, size_t a, size_t b)
{
    (void)block;
    (void)b;
    return sharedmem_malloc(a);
}

static void *no_calloc(void *block, size_t a, size_t b)
{
    (void)block;
    return sharedmem_calloc(a, b);
}

static void *no_aligned(void *block, size_t a, size_t b)
{
    (void)block;
    return sharedmem_aligned_alloc(a, b);
}

static void *no_realloc(void *block, size_t a, size_t b)
{
    (void)b;
    return sharedmem_realloc(block, a);
}

static void *no_memdup(void *block, size_t a, size_t b)
{
    (void)b;
    return sharedmem_memdup(block, a);
}

static const struct {
    const char *name;
    void *(*call)(void *block, size_t a, size_t b);
    size_t a, b;
    int code;
} refused[] = {
    {"malloc(SIZE_MAX)", no_malloc, SIZE_MAX, 0, ENOMEM},
    {"malloc(SIZE_MAX - 63)", no_malloc, SIZE_MAX - 63, 0, ENOMEM},
    {"malloc(SIZE_MAX - 4095)", no_malloc, SIZE_MAX - 4095, 0, ENOMEM},
    {"malloc(2^63)", no_malloc, (size_t)1 << 63, 0, ENOMEM},
    {"malloc(2^44): 2^32 pages", no_malloc, (size_t)1 << 44, 0, ENOMEM},
    {"malloc(2^44 + 1)", no_malloc, ((size_t)1 << 44) + 1, 0, ENOMEM},
    {"malloc of all of the heap", no_malloc, HEAP_BYTES, 0, ENOMEM},
    {"calloc(SIZE_MAX, 2)", no_calloc, SIZE_MAX, 2, ENOMEM},
    {"calloc(2, SIZE_MAX)", no_calloc, 2, SIZE_MAX, ENOMEM},
    {"calloc(SIZE_MAX, SIZE_MAX): the product is 1", no_calloc, SIZE_MAX, SIZE_MAX, ENOMEM},
    {"calloc(2^32, 2^32): the product is 0", no_calloc, (size_t)1 << 32, (size_t)1 << 32, ENOMEM},
    {"calloc(2^32 + 1, 2^32): it is 2^32", no_calloc, ((size_t)1 << 32) + 1, (size_t)1 << 32, ENOMEM},
    {"calloc(1, SIZE_MAX)", no_calloc, 1, SIZE_MAX, ENOMEM},
    {"realloc(block, SIZE_MAX)", no_realloc, SIZE_MAX, 0, ENOMEM},
    {"realloc(block, SIZE_MAX - 63)", no_realloc, SIZE_MAX - 63, 0, ENOMEM},
    {"realloc(block, 2^44)", no_realloc, (size_t)1 << 44, 0, ENOMEM},
    {"realloc(block, all of the heap)", no_realloc, HEAP_BYTES, 0, ENOMEM},
    {"memdup(block, SIZE_MAX)", no_memdup, SIZE_MAX, 0, ENOMEM},
    {"aligned_alloc(0, 64)", no_aligned, 0, 64, EINVAL},
    {"aligned_alloc(3, 64)", no_aligned, 3, 64, EINVAL},
    {"aligned_alloc(96, 96)", no_aligned, 96, 96, EINVAL},
    {"aligned_alloc(4 MiB, 64)", no_aligned, (size_t)4 << 20, 64, EINVAL},
    {"aligned_alloc(2^63, 64)", no_aligned, (size_t)1 << 63, 64, EINVAL},
    {"aligned_alloc(SIZE_MAX, 64)", no_aligned, SIZE_MAX, 64, EINVAL},
    {"aligned_alloc(3, SIZE_MAX)", no_aligned, 3, SIZE_MAX, EINVAL},
    {"aligned_alloc(64, SIZE_MAX)", no_aligned, 64, SIZE_MAX, ENOMEM},
    {"aligned_alloc(2 MiB, SIZE_MAX)", no_aligned, (size_t)2 << 20, SIZE_MAX, ENOMEM},
    {"aligned_alloc(2 MiB, SIZE_MAX - 2 MiB)", no_aligned, (size_t)2 << 20, SIZE_MAX - ((size_t)2 << 20),
     ENOMEM},
};

/* The family only returns: a program that tests for NULL goes on, with the block that was not resized. */
static void test_refused(size_t bytes)
{
    char *block = sharedmem_malloc(bytes);

    memset(block, 'x', bytes);
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        const char *name = refused[i].name;

        uncaught = errno = 0;
        test_ok(refused[i].call(block, refused[i].a, refused[i].b) == NULL, "%s is NULL", name);
        test_int(refused[i].code, errno, "%s: errno", name);
        test_int(0, uncaught, "%s is no uncaught error", name);
        test_ok(block[0] == 'x' && block[bytes - 1] == 'x' && sharedmem_usable_size(block) >= bytes,
                "%s leaves other blocks as they are", name);
        test_ok(is_whole(name), "%s: the heap is whole", name);
    }
    sharedmem_free(block);
}

static const struct {
    const char *name;
    void *(*call)(void *block, size_t a, size_t b);
    size_t a, b;
} taken[] = {
    {"malloc(0)", no_malloc, 0, 0},
    {"calloc(0, 0)", no_calloc, 0, 0},
    {"calloc(0, SIZE_MAX)", no_calloc, 0, SIZE_MAX},
    {"calloc(SIZE_MAX, 0)", no_calloc, SIZE_MAX, 0},
    {"aligned_alloc(1, 0)", no_aligned, 1, 0},
    {"aligned_alloc(2, 3)", no_aligned, 2, 3},
    {"aligned_alloc(2 MiB, 1)", no_aligned, (size_t)2 << 20, 1},
    {"realloc(NULL, 0)", no_realloc, 0, 0},
    {"memdup(NULL, 0)", no_memdup, 0, 0},
};

static void test_taken(void)
{
    for (size_t i = 0; i < COUNT_OF(taken); i++) {
        char *block = taken[i].call(NULL, taken[i].a, taken[i].b);

        test_ok(block != NULL && sharedmem_usable_size(block) >= 1, "%s is a block", taken[i].name);
        if (block != NULL)
            *block = 1;
        sharedmem_free(block);
    }
    uncaught = 0;
    errno = ERANGE;
    sharedmem_free(NULL);
    test_ok(uncaught == 0 && errno == ERANGE, "NULL may be freed");
    test_int(0, (long long)sharedmem_usable_size(NULL), "and has no room");
}

static void test_no_text(void)
{
    uncaught = 0;
    test_ok(sharedmem_strdup(NULL) == NULL && errno == EINVAL && uncaught == 1, "strdup(NULL)");
    test_ok(sharedmem_memdup(NULL, 8) == NULL && errno == EINVAL && uncaught == 2, "memdup(NULL, 8)");
}

int main(void)
{
    test_begin(60);
    setenv("SHAREDMEM_HEAP", "16M", 1);
    if (sharedmem_heap_check(NULL) != 0)
        test_skip_all("no shared memory here");
    sharedmem_set_uncaught(count_uncaught);
    test_refused(100);
    test_refused(100000);
    test_taken();
    test_no_text();
    test_ok(is_whole("all"), "the heap is whole");
    return test_end();
}
