/* The heap: sizes and alignments, reuse and merging, wrong pointers, random use by one and by many. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "memory/heap.h"
#include "memory/heap_layout.h"
#include "memory/memory.h"
#include "memory/recover.h"
#include "memory/runs.h"
#include "memory/spans.h"
#include "memory/undo.h"
#include "tap.h"

static bool whole(const char *when)
{
    sharedmem_error error;

    error.message[0] = '\0';
    return test_int(0, heap_check(&error), "whole %s %s", when, error.message);
}

static struct heap_statistics statistics(void)
{
    struct heap_statistics now;

    heap_statistics_read(&now);
    return now;
}

static void test_classes(void)
{
    bool fits = true, tight = true, in_bits = true;

    for (size_t bytes = 1; bytes <= SPAN_MAX_BYTES; bytes++) {
        uint32_t size_class = span_class(bytes);
        size_t block = span_block_bytes(size_class);

        fits &= size_class < HEAP_CLASSES && block >= bytes && block % HEAP_ALIGNMENT == 0;
        tight &= block <= bytes + bytes / 4 + HEAP_ALIGNMENT;
        in_bits &=
            span_blocks(size_class) <= 64 && span_blocks(size_class) >= 4 && span_units(size_class) <= 16;
    }
    test_ok(fits, "every small size has a class that holds it");
    test_ok(tight, "and is at most a quarter larger");
    test_ok(in_bits, "spans fit their bits and 16 units");
}

static void test_bins(void)
{
    bool rising = true;
    uint32_t before = 0;

    for (uint32_t n = 1; n < 1u << 20; n++) {
        rising &= runs_bin(n) >= before && runs_bin(n) <= before + 1;
        before = runs_bin(n);
    }
    test_ok(rising, "bins rise with the length, without gaps");
    test_ok(runs_bin(UINT32_MAX) < HEAP_BINS, "the longest run has one");
}

static void test_sizes(void)
{
    static const size_t sizes[] = {0,     1,     63,     64,      65,      4095,    4096,    16384,
                                   16385, 20000, 262143, 1 << 20, 3 << 20, 5000000, 33 << 20};
    struct heap_statistics before = statistics();

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *block = heap_alloc(sizes[i], HEAP_ALIGNMENT);
        size_t room = 0;

        test_ok(block != NULL && (uintptr_t)block % HEAP_ALIGNMENT == 0, "%zu bytes", sizes[i]);
        test_ok(heap_usable(block, &room) == HEAP_GOOD && room >= sizes[i], "has room");
        memset(block, 0xa5, room);
        test_int(HEAP_GOOD, heap_free(block), "freed");
        test_int(HEAP_NO_BLOCK, heap_free(block), "but not twice");
    }
    whole("after all sizes");
    test_int((long long)before.n_blocks, (long long)statistics().n_blocks, "no block is left");
}

static void test_alignments(void)
{
    for (size_t alignment = 64; alignment <= HEAP_ALIGNMENT_MAX; alignment *= 2) {
        void *pad = heap_alloc(4096, HEAP_ALIGNMENT);
        void *block = heap_alloc(100, alignment);

        test_ok(block != NULL && (uintptr_t)block % alignment == 0, "aligned to %zu", alignment);
        heap_free(block);
        heap_free(pad);
    }
    whole("after aligned blocks");
}

static void test_too_much(void)
{
    struct heap_statistics now = statistics();

    errno = 0;
    test_ok(heap_alloc(now.capacity_bytes + 1, HEAP_ALIGNMENT) == NULL && errno == ENOMEM,
            "more than the heap");
    errno = 0;
    test_ok(heap_alloc(SIZE_MAX, HEAP_ALIGNMENT) == NULL && errno == ENOMEM, "more than anything");
    errno = 0;
    test_ok(heap_alloc(SIZE_MAX - 4096, HEAP_ALIGNMENT_MAX) == NULL && errno == ENOMEM, "also aligned");
    whole("after too much");
}

static void test_all_of_it(void)
{
    static void *blocks[4096];
    size_t n = 0;

    while (n < 4096 && (blocks[n] = heap_alloc(100000, HEAP_ALIGNMENT)) != NULL)
        n++;
    test_int(ENOMEM, errno, "the heap ends after %zu blocks", n);
    whole("when full");
    for (size_t i = 0; i < n; i += 2)
        heap_free(blocks[i]);
    whole("half freed");
    for (size_t i = 1; i < n; i += 2)
        heap_free(blocks[i]);
    whole("all freed");
    blocks[0] = heap_alloc(n * 100000, HEAP_ALIGNMENT);
    test_ok(blocks[0] != NULL, "and all of it is one again");
    heap_free(blocks[0]);
}

static void test_wrong_pointers(void)
{
    char *small = heap_alloc(1000, HEAP_ALIGNMENT), *large = heap_alloc(1 << 20, HEAP_ALIGNMENT);
    int outside;

    test_int(HEAP_FOREIGN, heap_free(&outside), "not of the heap");
    test_int(HEAP_FOREIGN, heap_free(segment_base), "the segment's header");
    test_int(HEAP_NO_BLOCK, heap_free(small + 64), "the middle of a small block");
    test_int(HEAP_NO_BLOCK, heap_free(small + 1), "an odd one");
    test_int(HEAP_NO_BLOCK, heap_free(large + 64), "the middle of a large block");
    test_int(HEAP_NO_BLOCK, heap_free(large + 8192), "a unit of it");
    test_int(HEAP_NO_BLOCK, heap_free(large + (16 << 20)), "free memory");
    test_int(HEAP_GOOD, heap_free(small), "the blocks are still good");
    test_int(HEAP_GOOD, heap_free(large), "both");
    whole("after wrong pointers");
}

static void test_zeroed(void)
{
    bool zero = true;

    for (size_t bytes = 16; bytes <= 4 << 20; bytes *= 4) {
        unsigned char *block = heap_alloc(bytes, HEAP_ALIGNMENT);

        memset(block, 0xff, bytes);
        heap_free(block);
        block = heap_alloc_zeroed(bytes);
        for (size_t i = 0; i < bytes; i++)
            zero &= block[i] == 0;
        heap_free(block);
    }
    test_ok(zero, "zeroed memory is zero, also where it was not");
}

static void test_resize(void)
{
    char *block = heap_alloc(1 << 20, HEAP_ALIGNMENT), *behind;

    test_ok(heap_resize(block, 2 << 20), "grows in place where there is room");
    behind = heap_alloc(1 << 20, HEAP_ALIGNMENT);
    test_ok(behind == block + (2 << 20), "(the next block lies behind)");
    test_ok(!heap_resize(block, 3 << 20), "and not where there is none");
    test_ok(heap_resize(block, 1 << 20), "shrinks in place");
    test_ok(heap_resize(block, 3 << 19), "and grows again");
    test_ok(!heap_resize(block, 100), "but not to a small block");
    whole("after resizing");
    heap_free(block);
    heap_free(behind);
    block = heap_alloc(100, HEAP_ALIGNMENT);
    test_ok(heap_resize(block, 128) && !heap_resize(block, 129), "a small one as far as its class goes");
    heap_free(block);
    whole("at the end");
}

/* Random use: blocks are filled with their number, so that two in one place show. */
#define N_LIVE 200

static bool use_randomly(unsigned seed, unsigned steps)
{
    unsigned char *blocks[N_LIVE] = {0};
    size_t sizes[N_LIVE] = {0};
    bool good = true;

    for (unsigned step = 0; step < steps && good; step++) {
        unsigned k = (unsigned)rand_r(&seed) % N_LIVE;

        if (blocks[k] != NULL) {
            good = blocks[k][0] == (unsigned char)k && blocks[k][sizes[k] - 1] == (unsigned char)k &&
                   heap_free(blocks[k]) == HEAP_GOOD;
            blocks[k] = NULL;
            continue;
        }
        sizes[k] = (size_t)1 << rand_r(&seed) % 18;
        sizes[k] += (size_t)rand_r(&seed) % sizes[k];
        blocks[k] = heap_alloc(sizes[k], rand_r(&seed) % 16 == 0 ? 4096 : HEAP_ALIGNMENT);
        if (blocks[k] != NULL)
            blocks[k][0] = blocks[k][sizes[k] - 1] = (unsigned char)k;
    }
    for (unsigned k = 0; k < N_LIVE; k++)
        good &= blocks[k] == NULL || heap_free(blocks[k]) == HEAP_GOOD;
    return good;
}

static unsigned steps(void)
{
    return test_under_valgrind() ? 2000 : 50000;
}

static void test_random(void)
{
    test_ok(use_randomly(1, steps()), "random use");
    whole("after random use");
}

static void *use_in_thread(void *seed)
{
    return memory_enter(NULL) == 0 && use_randomly(*(unsigned *)seed, steps() / 4) ? seed : NULL;
}

static void test_random_by_threads(void)
{
    unsigned seeds[8];
    pthread_t threads[8];
    bool good = true;

    for (unsigned i = 0; i < 8; i++) {
        seeds[i] = i + 10;
        pthread_create(&threads[i], NULL, use_in_thread, &seeds[i]);
    }
    for (unsigned i = 0; i < 8; i++) {
        void *result;

        pthread_join(threads[i], &result);
        good &= result != NULL;
    }
    test_ok(good, "random use by 8 threads");
    whole("after it");
}

static void test_random_by_processes(void)
{
    bool good = true;

    for (unsigned i = 0; i < 8; i++) {
        if (fork() == 0)
            test_child_exit(use_in_thread(&(unsigned){i + 100}) != NULL ? 0 : 1);
    }
    for (unsigned i = 0; i < 8; i++) {
        int status;

        wait(&status);
        good &= status == 0;
    }
    test_ok(good, "random use by 8 processes");
    recover_all_dead();
    whole("after it");
    test_int(0, (long long)statistics().n_blocks, "nothing is left");
}

/* The check must find what is wrong: each damage is made, found, and taken back. */
static void test_check_finds(void)
{
    struct heap_shared *heap = heap_here();
    char *block = heap_alloc(1000, HEAP_ALIGNMENT), *large = heap_alloc(1 << 20, HEAP_ALIGNMENT);
    struct unit_shared *span = &heap->units[span_head(heap, unit_of(heap, block))],
                       *run = &heap->units[unit_of(heap, large)];
    struct cache_stack stack = cache_stack(member_my_cache, span_class(1000));
    uint64_t own = span_block(heap, span_head(heap, unit_of(heap, block)), segment_offset(block));
    struct {
        void *word;
        size_t size;
        uint64_t change;
        const char *what;
    } rows[] = {
        {stack.n, 8, 32, "a cache that is too full"},
        {&stack.blocks[0], 8, 64, "a cache with what is no block"},
        {&stack.blocks[0], 8, stack.blocks[0] ^ segment_offset(block), "a cache with a block of the program"},
        {&stack.blocks[0], 8, stack.blocks[0] ^ stack.blocks[1], "a cache with a block twice"},
        {live_mark(heap, segment_offset(block)), 1, 7, "a live mark of another class"},
        {live_mark(heap, segment_offset(block)) + 1, 1, 7, "a live mark in a block's middle"},
        {&span->free_bits, 8, (uint64_t)1 << own, "a block marked free"},
        {&span->bytes, 8, 7, "a span of another class"},
        {&span->kind, 4, UNIT_NONE ^ UNIT_SPAN, "a lost span"},
        {&run->n_units, 4, 1, "a block that is too long"},
        {&run->bytes, 8, 1 << 20, "a size that does not fit"},
        {&heap->used_units, 8, 1, "a wrong sum"},
        {&heap->n_blocks, 8, 2, "a wrong count"},
        {&heap->bin_map[1], 8, 1, "a wrong map"},
        {&span[1].n_units, 4, 3, "a unit that is lost"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sharedmem_error error;
        uint64_t kept = 0, changed;

        memcpy(&kept, rows[i].word, rows[i].size);
        changed = kept ^ rows[i].change;
        memcpy(rows[i].word, &changed, rows[i].size);
        test_ok(heap_check(&error) == -1 && errno == EUCLEAN, "finds %s: %s", rows[i].what, error.message);
        memcpy(rows[i].word, &kept, rows[i].size);
    }
    whole("again");
    heap_free(block);
    heap_free(large);
}

int main(void)
{
    test_begin(120);
    setenv("SHAREDMEM_HEAP", "128M", 1);
    if (memory_enter(NULL) != 0)
        test_skip_all("no shared memory here");
    test_classes();
    test_bins();
    whole("when new");
    test_sizes();
    test_alignments();
    test_too_much();
    test_all_of_it();
    test_wrong_pointers();
    test_zeroed();
    test_resize();
    test_check_finds();
    test_random();
    test_random_by_threads();
    test_random_by_processes();
    return test_end();
}
