/*
 * What the machine can hold: by limits recorded in t/machines, in small heaps, and with what is handed out and
 * not touched. None of it changes a setting of the machine.
 */
#include "memory/budget.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "host/limits.h"
#include "host/pages.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/populate.h"
#include "tap.h"

#define MiB ((size_t)1 << 20)

static const char *machine_root(const char *machine)
{
    static char root[4096];
    const char *srcdir = getenv("srcdir");

    snprintf(root, sizeof root, "%s/t/machines/%s", srcdir != NULL ? srcdir : ".", machine);
    return root;
}

static void test_sizes(void)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {{0, "0 bytes"},
                {1023, "1023 bytes"},
                {1024, "1.0 KiB"},
                {1535, "1.4 KiB"},
                {10240, "10 KiB"},
                {(uint64_t)22 << 20, "22 MiB"},
                {((uint64_t)1 << 30) - 1, "1023 MiB"},
                {(uint64_t)3 << 29, "1.5 GiB"},
                {UINT64_MAX, "15 EiB"}};
    char text[TEXT_BYTES_SIZE];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        test_str(rows[i].text, text_bytes(text, rows[i].bytes), "%llu bytes",
                 (unsigned long long)rows[i].bytes);
}

/* ---- Recorded limits ---- */

static void test_rooms(void)
{
    static const struct {
        const char *machine;
        long long mib;
        enum limits_by by;
        const char *says;
    } rows[] = {
        {"no-such-machine", -1, LIMITS_BY_NOTHING, "no limit"},
        {"broken", -1, LIMITS_BY_NOTHING, "no limit"},
        /* A slice above has less left than the job. */
        {"v2-nested", 1024, LIMITS_BY_CGROUP, "cgroup /batch.slice (memory.max 8.0 GiB, 7.0 GiB used)"},
        {"v2-blank", 0, LIMITS_BY_CGROUP, "cgroup /job (memory.max 1.0 GiB"},
        /*
         * The inner one has "max", and a memory.high that is passed; the outer may swap 16 MiB more, and half of
         * its page cache that is in use counts as used.
         */
        {"v2-swap", 36, LIMITS_BY_CGROUP, "cgroup /job (memory.max 1.0 GiB, 1004 MiB used)"},
        {"v2-outside", 1536, LIMITS_BY_CGROUP, "cgroup / (memory.max 2.0 GiB"},
        {"v1-torque", 768, LIMITS_BY_CGROUP, "cgroup /torque/3.head (memory.limit_in_bytes 2.0 GiB"},
        /* Here memory and swap together are the tighter limit. */
        {"v1-swap", 116, LIMITS_BY_CGROUP, "cgroup /torque/3.head (memory.memsw.limit_in_bytes 600 MiB"},
        {"v1-unlimited", 1024, LIMITS_BY_MACHINE, "the machine (4.0 GiB of memory, 1.0 GiB available"},
        {"overcommit-2", 32, LIMITS_BY_COMMIT, "vm.overcommit_memory 2: CommitLimit 4.0 GiB"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct limits_room room;

        limits_room_read(machine_root(rows[i].machine), &room);
        test_int(rows[i].mib, room.bytes == LIMITS_NONE ? -1 : (long long)(room.bytes / MiB), "%s: MiB left",
                 rows[i].machine);
        test_int((long long)rows[i].by, (long long)room.by, "%s: by what", rows[i].machine);
        test_has(rows[i].says, room.limit, "%s: in words", rows[i].machine);
    }
}

/* From now on limits are read there, and at once. */
static void move_to(const char *root)
{
    budget_root = root;
    heap_here()->budget.credit = 0;
}

static bool whole(const char *when)
{
    sharedmem_error error = {.message = ""};

    return test_int(0, heap_check(&error), "the heap is whole %s %s", when, error.message);
}

/* ---- Filled until there is no more ---- */

#define N_BLOCKS (1 << 20)
static void *blocks[N_BLOCKS];

/* Returns how many blocks of bytes there were. */
static size_t fill(size_t bytes)
{
    size_t n = 0;

    errno = 0;
    while (n < N_BLOCKS && (blocks[n] = heap_alloc(bytes, HEAP_ALIGNMENT)) != NULL)
        n++;
    return n;
}

static void free_all(size_t n)
{
    bool good = true;

    for (size_t i = 0; i < n; i++)
        good &= heap_free(blocks[i]) == HEAP_GOOD;
    test_ok(good, "all %zu blocks are freed", n);
}

static uint64_t n_blocks(void)
{
    struct heap_statistics now;

    heap_statistics_read(&now);
    return now.n_blocks;
}

/* Blocks that nobody has touched count, although the recorded limit shows nothing of them. */
static void test_untouched(const char *machine, size_t mib, const char *says)
{
    size_t n, more;

    move_to(machine_root(machine));
    n = fill(3 * MiB);
    test_ok(errno == ENOMEM && n * 3 < mib && n * 3 + 6 > mib - 2, "%s: room for %zu blocks of 3 MiB", machine,
            n);
    test_has(says, budget_reason(), "%s: the limit that says no", machine);
    test_has("3.0 MiB more asked for", budget_reason(), "%s: with what was asked for", machine);
    test_has("promised to blocks that nobody has touched", budget_reason(), "%s: and what else", machine);
    whole("then");
    for (size_t i = 0; i < n; i++)
        memset(blocks[i], 1, 3 * MiB);
    /* A recorded limit does not tell, as a real one would, that its room has become less since the last look. */
    heap_here()->budget.looked_at_ns = 0;
    more = heap_alloc(3 * MiB, HEAP_ALIGNMENT) != NULL;
    test_int(1, (long long)more, "%s: touched, they are in what the limits show", machine);
    whole("with a look at its pages");
    free_all(n);
    /* The last one. */
    heap_free(unit_address(heap_here(), heap_here()->budget.large));
    test_int(0, (long long)heap_here()->budget.large_units, "%s: no large block is left", machine);
    test_int(0, (long long)heap_here()->budget.touched_units, "%s: nor a page of one", machine);
    move_to("");
}

/* Where nothing is left small blocks end too, when the first credit is used up. */
static void test_nothing_left(void)
{
    static const size_t sizes[] = {64, 3000, 20000, 500000, 3 * MiB};

    move_to(machine_root("v2-blank"));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n;

        heap_here()->budget.credit = (int64_t)(2 * MiB);
        heap_here()->budget.read_at_ns = 0;
        n = fill(sizes[i]);
        /* What was freed before and kept its pages may be had again. */
        test_ok(errno == ENOMEM && n * sizes[i] <= 12 * MiB, "%zu blocks of %zu bytes, then no more", n, sizes[i]);
        test_has("cgroup /job (memory.max 1.0 GiB, 1.0 GiB used)", budget_reason(), "the reason");
        whole("then");
        free_all(n);
        whole("when they are freed");
    }
    test_int(0, (long long)n_blocks(), "no block is left");
    move_to("");
}

static void test_full(size_t bytes)
{
    char size[TEXT_BYTES_SIZE], says[64];
    size_t n = fill(bytes);

    snprintf(says, sizeof says, "has no %s in one piece; ", text_bytes(size, bytes));
    test_ok(errno == ENOMEM && n > 0, "a heap has room for %zu blocks of %s", n, size);
    test_has("the shared heap of 64 MiB (SHAREDMEM_HEAP)", budget_reason(), "it is the heap that is full");
    test_has(says, budget_reason(), "with what was asked for");
    whole("when it is full");
    free_all(n);
    whole("when it is empty again");
}

static void test_small_heap(void)
{
    static const size_t sizes[] = {64, 100, 3000, 16384, 20000, 100000, MiB, MiB + 1, 5 * MiB};

    /* A million of calls takes valgrind a minute. */
    for (size_t i = test_under_valgrind() ? 3 : 0; i < sizeof sizes / sizeof *sizes; i++)
        test_full(sizes[i]);
    test_ok(heap_alloc(SIZE_MAX, HEAP_ALIGNMENT) == NULL, "no heap is as large");
    test_has("has no 15 EiB in one piece", budget_reason(), "its reason");
    test_int(0, (long long)n_blocks(), "no block is left");
}

/* ---- Populated ---- */

static size_t resident(const void *block, size_t bytes)
{
    return pages_resident(block, bytes);
}

static uint32_t missing(const void *block, size_t bytes)
{
    struct heap_shared *heap = heap_here();

    return populate_missing(heap, unit_of(heap, block), (uint32_t)(bytes / UNIT_BYTES));
}

static void test_first_block(void)
{
    struct heap_shared *heap = heap_here();
    char *units = unit_address(heap, 1);
    size_t all = (size_t)(heap->n_units - 1) * UNIT_BYTES;

    blocks[0] = heap_alloc(100, HEAP_ALIGNMENT);
    test_ok(resident(blocks[0], 0) == 0 && resident(units, all) <= 64 * 1024,
            "a program that has 100 bytes has 64 KiB of memory at most");
    heap_free(blocks[0]);
}

static void test_populated(void)
{
    char *medium = heap_alloc(MiB, HEAP_ALIGNMENT), *large = heap_alloc(MiB + 1, HEAP_ALIGNMENT);
    char *small = heap_alloc(100, 1 << 14);
    size_t kept = 0, marked = 0;

    test_int((long long)MiB, (long long)resident(medium, MiB), "a block of 1 MiB has its memory");
    test_int(0, (long long)missing(medium, MiB), "and its marks");
    test_int(0, (long long)missing(small, UNIT_BYTES), "a small one that is aligned too");
    test_int(0, (long long)resident(large, MiB), "a larger one has none");
    heap_free(medium);
    test_int((long long)MiB, (long long)resident(medium, MiB), "freed, it is kept for the next one");
    test_int(0, (long long)missing(medium, MiB), "with its marks");
    heap_free(large);
    heap_free(small);
    for (int i = 0; i < 24; i++)
        blocks[i] = heap_alloc(MiB, HEAP_ALIGNMENT);
    for (int i = 0; i < 24; i++)
        heap_free(blocks[i]);
    for (int i = 0; i < 24; i++) {
        kept += resident(blocks[i], MiB);
        marked += MiB - (size_t)missing(blocks[i], MiB) * UNIT_BYTES;
    }
    test_ok(kept > 0 && kept <= 8 * MiB, "of 24, eight are kept at most (%zu bytes)", kept);
    test_int((long long)kept, (long long)marked, "with their marks");
    medium = heap_alloc_zeroed(MiB);
    test_int((long long)MiB, (long long)resident(medium, MiB), "a zeroed one has its memory");
    heap_free(medium);
    whole("after it");
}

static void test_resized(void)
{
    char *block = heap_alloc(MiB / 2, HEAP_ALIGNMENT);

    test_ok(heap_resize(block, MiB), "a block grows");
    test_int((long long)MiB, (long long)resident(block, MiB), "and has its memory");
    test_ok(heap_resize(block, 4 * MiB), "it becomes a large one");
    test_int((long long)(4 * MiB / UNIT_BYTES), (long long)heap_here()->budget.large_units, "and counts as such");
    whole("with it");
    test_ok(heap_resize(block, 6 * MiB), "a large one grows");
    test_ok(heap_resize(block, 3 * MiB), "and shrinks");
    test_int((long long)(3 * MiB / UNIT_BYTES), (long long)heap_here()->budget.large_units, "its units count");
    test_ok(heap_resize(block, 500000), "and is no large one any more");
    test_int(0, (long long)heap_here()->budget.large_units, "nor counts as such");
    test_int(0, (long long)missing(block, 500000 / UNIT_BYTES * UNIT_BYTES), "it has its memory");
    whole("after it");
    heap_free(block);
    whole("without it");
}

static void test_resize_refused(void)
{
    char *block = heap_alloc(2 * MiB, HEAP_ALIGNMENT);

    move_to(machine_root("v2-blank"));
    test_ok(!heap_resize(block, 8 * MiB), "a block that the machine cannot hold does not grow");
    test_int((long long)(2 * MiB / UNIT_BYTES), (long long)heap_here()->budget.large_units, "it is as it was");
    whole("after it");
    move_to("");
    heap_free(block);
}

/* ---- Limits of a process that change later ---- */

static int use_all_kinds(void)
{
    static const size_t sizes[] = {100, 3000, 50000, 300000, MiB, 3 * MiB};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *block = heap_alloc(sizes[i], HEAP_ALIGNMENT), *zeroed = heap_alloc_zeroed(sizes[i]);

        if (block == NULL || zeroed == NULL)
            return 2;
        memset(block, 1, sizes[i]);
        memset(zeroed, 1, sizes[i]);
        if (heap_free(block) != HEAP_GOOD || heap_free(zeroed) != HEAP_GOOD)
            return 3;
    }
    return heap_check(NULL) == 0 ? 0 : 4;
}

/* The heap is made: what it gives and takes is then no question of files or of address space. */
static void test_lowered(int resource, const char *name)
{
    struct rlimit limit = {4096, 4096};
    uint32_t id = member_reserve();
    int status = -1;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        if (member_become(id) != 0 || setrlimit(resource, &limit) != 0)
            test_child_exit(1);
        test_child_exit(use_all_kinds());
    }
    waitpid(child, &status, 0);
    test_int(0, status, "%s of 4096, set when the heap is there, changes nothing", name);
    member_mark_dead(id);
}

int main(void)
{
    test_begin(120);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    test_sizes();
    test_rooms();
    if (memory_enter(NULL) != 0)
        test_skip_all("no shared memory here");
    test_first_block();
    test_populated();
    test_resized();
    test_resize_refused();
    test_untouched("v2-swap", 34, "cgroup /job");
    test_untouched("overcommit-2", 30, "vm.overcommit_memory 2");
    test_nothing_left();
    test_small_heap();
    test_lowered(RLIMIT_FSIZE, "ulimit -f");
    if (!test_address_sanitized() && !test_thread_sanitized() && !test_under_valgrind())
        test_lowered(RLIMIT_AS, "ulimit -v");
    return test_end();
}
