/*
 * A checked heap (SHAREDMEM_HEAP_CHECK=1): each mistake with a block is told, with the block's size and the
 * places that allocated and freed it, by whichever process finds it.
 */
#include <sharedmem.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static int n_uncaught;
static char uncaught[sizeof(sharedmem_error)], warned[1024];

static void note_uncaught(const sharedmem_error *error)
{
    n_uncaught++;
    memcpy(uncaught, error->message, sizeof error->message);
}

static void note_warning(const char *message)
{
    strncpy(warned, message, sizeof warned - 1);
}

/* Where blocks are allocated and freed, whatever the test: debug info tells these lines. */
static char *get(size_t bytes)
{
    return sharedmem_malloc(bytes);
}
enum { GET_LINE = __LINE__ - 2 };

static void drop(char *block)
{
    sharedmem_free(block);
}
enum { DROP_LINE = __LINE__ - 2 };

/* Whether text names that line of this file, or where there is no debug info the program. */
static bool names(const char *text, int line)
{
    char place[64];

    snprintf(place, sizeof place, "api-heap-check.c:%d", line);
    return strstr(text, place) != NULL || strstr(text, "api-heap-check.t+0x") != NULL;
}

static bool is_whole(void)
{
    return sharedmem_heap_check(NULL) == 0;
}

static void test_good(void)
{
    static const size_t sizes[] = {0, 1, 63, 64, 100, 4000, 16384, 16385, 100000, 3 << 20};
    bool good = true;

    n_uncaught = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *block = get(sizes[i]);

        good &= sharedmem_usable_size(block) == (sizes[i] != 0 ? sizes[i] : 1);
        memset(block, (int)i, sizes[i]);
        block = sharedmem_realloc(block, 2 * sizes[i] + 1);
        for (size_t at = 0; at < sizes[i]; at++)
            good &= block[at] == (char)i;
        memset(block, 0, 2 * sizes[i] + 1);
        good &= is_whole();
        drop(block);
        block = sharedmem_calloc(sizes[i] + 1, 3);
        for (size_t at = 0; at < 3 * (sizes[i] + 1); at++)
            good &= block[at] == 0;
        drop(block);
        block = sharedmem_aligned_alloc(4096, sizes[i]);
        good &= (uintptr_t)block % 4096 == 0;
        drop(block);
    }
    test_ok(good && is_whole() && n_uncaught == 0, "blocks of all sizes are good, to the byte");
}

static void test_overrun(size_t bytes, size_t at)
{
    char *block = get(bytes), size[32];
    sharedmem_error error;

    snprintf(size, sizeof size, "%zu bytes", bytes);
    block[bytes + at] ^= 1;
    n_uncaught = 0;
    errno = 0;
    test_ok(sharedmem_heap_check(&error) == -1 && errno == EUCLEAN && strstr(error.message, size) != NULL &&
                names(error.message, GET_LINE),
            "written at %zu + %zu, the check finds it: %s", bytes, at, error.message);
    drop(block);
    test_ok(n_uncaught == 1 && strstr(uncaught, "beyond its end") != NULL && strstr(uncaught, size) != NULL &&
                names(uncaught, GET_LINE),
            "and free: %s", uncaught);
    n_uncaught = 0;
    test_ok(sharedmem_realloc(block, bytes + 1) == NULL && n_uncaught == 1, "and realloc");
    block[bytes + at] ^= 1;
    n_uncaught = 0;
    drop(block);
    test_ok(n_uncaught == 0 && is_whole(), "put right, it is freed");
}

/* So far that the guard itself is lost. */
static void test_far_overrun(void)
{
    char *block = get(100), kept[156];

    memcpy(kept, block + 100, sizeof kept);
    memset(block + 100, 0, sizeof kept);
    n_uncaught = 0;
    drop(block);
    test_ok(n_uncaught == 1 && strstr(uncaught, "it is lost") != NULL, "far beyond: %s", uncaught);
    memcpy(block + 100, kept, sizeof kept);
    drop(block);
    test_ok(is_whole(), "put right again");
}

static void test_twice(void)
{
    char *block = get(300);

    drop(block);
    n_uncaught = 0;
    drop(block);
    test_ok(n_uncaught == 1 && strstr(uncaught, "freed before") != NULL &&
                strstr(uncaught, "300 bytes") != NULL && names(uncaught, GET_LINE) &&
                names(uncaught, DROP_LINE),
            "freed twice: %s", uncaught);
    block = get(1 << 20);
    drop(block);
    n_uncaught = 0;
    drop(block);
    test_ok(n_uncaught == 1, "a large one: %s", uncaught);
    block = get(300);
    n_uncaught = 0;
    drop(block + 64);
    drop(block + 1);
    test_ok(n_uncaught == 2 && strstr(uncaught, "1 bytes into a block; it has 300 bytes") != NULL &&
                names(uncaught, GET_LINE),
            "the middle: %s", uncaught);
    drop(block);
    test_ok(is_whole(), "the heap is whole");
}

static void test_late_write(void)
{
    sharedmem_error error;
    char *block = get(500);

    drop(block);
    block[10] = 1;
    test_ok(sharedmem_heap_check(&error) == -1 && strstr(error.message, "after it was freed") != NULL &&
                names(error.message, DROP_LINE),
            "written after its end: %s", error.message);
    warned[0] = '\0';
    test_ok(get(500) == block && strstr(warned, "500 bytes") != NULL && names(warned, DROP_LINE),
            "and found when it serves again: %s", warned);
    drop(block);
    test_ok(is_whole(), "which is the end of it");
}

static int overrun_in_worker(size_t i, void *result, void *context)
{
    char *block = get(1000 + i);

    (void)context;
    block[1000 + i] = 1;
    *(char **)result = block;
    return 0;
}

/* Another process allocated it, and died since. */
static void test_others(void)
{
    char *block[2];

    if (sharedmem_map(2, overrun_in_worker, NULL, .np = 2, .results = block, .result_size = sizeof *block) !=
        0)
        test_skip_all("no map here");
    for (int i = 0; i < 2; i++) {
        n_uncaught = 0;
        drop(block[i]);
        test_ok(n_uncaught == 1 && names(uncaught, GET_LINE), "a worker's block: %s", uncaught);
        block[i][1000 + i] = (char)0xfd;
        drop(block[i]);
    }
    test_ok(is_whole(), "the heap is whole");
}

static void test_statistics(void)
{
    sharedmem_heap_statistics before, now;
    char *block;

    test_int(0, sharedmem_heap_statistics_read(&before), "statistics");
    block = get(10 << 20);
    memset(block, 1, 5 << 20);
    sharedmem_heap_statistics_read(&now);
    test_ok(now.n_blocks == before.n_blocks + 1 && now.used_bytes - before.used_bytes >= 10 << 20 &&
                now.used_bytes - before.used_bytes < 11 << 20,
            "tell of a block");
    test_ok(now.resident_bytes - before.resident_bytes >= 5 << 20 &&
                now.resident_bytes - before.resident_bytes < 6 << 20,
            "and what of it was touched: %llu",
            (unsigned long long)(now.resident_bytes - before.resident_bytes));
    test_ok(now.is_checked == 1 && now.capacity_bytes >= now.used_bytes, "of a checked heap");
    drop(block);
}

int main(void)
{
    test_begin(120);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    setenv("SHAREDMEM_HEAP_CHECK", "1", 1);
    sharedmem_set_uncaught(note_uncaught);
    sharedmem_set_log(note_warning);
    test_good();
    for (size_t bytes = 1; bytes < 3 << 20; bytes = bytes * 7 + 3) {
        test_overrun(bytes, 0);
        test_overrun(bytes, 15);
    }
    test_far_overrun();
    test_twice();
    test_late_write();
    test_others();
    test_statistics();
    return test_end();
}
