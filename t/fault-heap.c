/*
 * Death inside the heap: in a build where a process can be killed between any two stores, each call is made
 * to die at its first step, its second, and so on until it gets through. After each death the heap must be
 * whole, have lost one block at most, and work.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "host/pages.h"
#include "memory/budget.h"
#include "memory/cache.h"
#include "memory/heap.h"
#include "memory/heap_layout.h"
#include "memory/memory.h"
#include "memory/populate.h"
#include "memory/recover.h"
#include "memory/spans.h"
#include "tap.h"

/*
 * Before each death this is set up by the survivor, or by the victim before it is at stake; the victim does
 * one call then. It lies in memory of both.
 */
#define N_BLOCKS 2048
static void **blocks;

static void prepare_nothing(void)
{
}

#define KEPT_BYTES 3000

/* What a cache keeps of the class, and one more. */
static int n_more_than_kept(void)
{
    return cache_places[span_class(KEPT_BYTES)].room + 1;
}

static void warm_keep_one(void)
{
    heap_free(heap_alloc(KEPT_BYTES, HEAP_ALIGNMENT));
}

static void warm_own_one(void)
{
    blocks[0] = heap_alloc(KEPT_BYTES, HEAP_ALIGNMENT);
}

/* The cache is full. */
static void warm_keep_all(void)
{
    for (int i = 0; i < n_more_than_kept(); i++)
        blocks[i] = heap_alloc(KEPT_BYTES, HEAP_ALIGNMENT);
    /* What the victim frees nobody else may free again. */
    for (int i = 1; i < n_more_than_kept(); i++) {
        void *block = blocks[i];

        blocks[i] = NULL;
        heap_free(block);
    }
}

/* Notes a block for the survivor. */
static void keep(void *block)
{
    for (int i = 1; i < N_BLOCKS; i++) {
        if (blocks[i] == NULL) {
            blocks[i] = block;
            return;
        }
    }
}

/* The cache is empty, and the heap has no room but in what is kept of another class. */
static void warm_full(void)
{
    heap_free(heap_alloc(64, HEAP_ALIGNMENT));
    for (size_t bytes = 32 << 20; bytes >= UNIT_BYTES; bytes /= 2) {
        while (blocks[N_BLOCKS - 1] == NULL && (blocks[0] = heap_alloc(bytes, HEAP_ALIGNMENT)) != NULL)
            keep(blocks[0]);
    }
    blocks[0] = NULL;
}

/* Fills all spans for blocks of bytes, so that the next block makes a new one. Returns how many that took. */
static int fill_spans(size_t bytes)
{
    uint32_t *spans = &heap_here()->classes[span_class(bytes)];
    int n = 0;

    do
        blocks[n++] = heap_alloc(bytes, HEAP_ALIGNMENT);
    while (*spans != 0 && n < N_BLOCKS - 1);
    return n;
}

static void prepare_full_spans(void)
{
    fill_spans(3000);
}

/* Room in one span, and one block in another: freeing it gives that span back. */
static void prepare_two_spans(void)
{
    int n = fill_spans(3000);

    blocks[n] = blocks[0];
    blocks[0] = heap_alloc(3000, HEAP_ALIGNMENT);
    heap_free(blocks[n]);
    blocks[n] = NULL;
}

static void prepare_small(void)
{
    blocks[0] = heap_alloc(3000, HEAP_ALIGNMENT);
}

static void alloc_small(void)
{
    heap_alloc(3000, HEAP_ALIGNMENT);
}

static void free_small(void)
{
    heap_free(blocks[0]);
}

static void alloc_large(void)
{
    heap_alloc(300000, HEAP_ALIGNMENT);
}

static void alloc_aligned(void)
{
    heap_alloc(300000, 1 << 20);
}

/* A large block between two free runs, so that its end merges with both. */
static void prepare_between(void)
{
    void *before = heap_alloc(200000, HEAP_ALIGNMENT);

    blocks[0] = heap_alloc(200000, HEAP_ALIGNMENT);
    heap_free(before);
}

static void free_large(void)
{
    heap_free(blocks[0]);
}

static void grow_large(void)
{
    heap_resize(blocks[0], 400000);
}

static void shrink_large(void)
{
    heap_resize(blocks[0], 40000);
}

static void alloc_zeroed(void)
{
    heap_alloc_zeroed(300000);
}

static void free_first(void)
{
    heap_free(blocks[0]);
}

/* More than 1 MiB stays untouched, and is in a list of its own. */
#define UNTOUCHED_BYTES ((size_t)1200 << 10)

static void prepare_untouched(void)
{
    heap_here()->budget.credit = 0;
    blocks[0] = heap_alloc(UNTOUCHED_BYTES, HEAP_ALIGNMENT);
    memset(blocks[0], 1, 300000);
}

/* The limits are read, and the pages of large blocks counted, where the machine of a record has nothing left. */
static void alloc_refused(void)
{
    const char *srcdir = getenv("srcdir");
    static char root[4096];

    snprintf(root, sizeof root, "%s/t/machines/v2-blank", srcdir != NULL ? srcdir : ".");
    budget_root = root;
    heap_here()->budget.credit = 0;
    heap_alloc(UNTOUCHED_BYTES, HEAP_ALIGNMENT);
    heap_alloc(300000, HEAP_ALIGNMENT);
}

static void alloc_untouched(void)
{
    heap_alloc(UNTOUCHED_BYTES, HEAP_ALIGNMENT);
}

static void free_untouched(void)
{
    heap_free(blocks[0]);
}

static void alloc_much(void)
{
    heap_alloc(UNIT_BYTES * 2, HEAP_ALIGNMENT);
}

static void grow_untouched(void)
{
    heap_resize(blocks[0], UNTOUCHED_BYTES + 200000);
}

static void shrink_untouched(void)
{
    heap_resize(blocks[0], UNTOUCHED_BYTES - 100000);
}

static void shrink_to_populated(void)
{
    heap_resize(blocks[0], 500000);
}

/* With room behind it. */
static void prepare_growable(void)
{
    blocks[0] = heap_alloc(4 * UNTOUCHED_BYTES, HEAP_ALIGNMENT);
    heap_resize(blocks[0], 200000);
}

static void grow_to_untouched(void)
{
    heap_resize(blocks[0], UNTOUCHED_BYTES);
}

static const struct {
    const char *name;
    void (*prepare)(void);
    void (*warm)(void);
    void (*call)(void);
} calls[] = {
    {"alloc that makes a span", prepare_full_spans, NULL, alloc_small},
    {"alloc small", prepare_small, NULL, alloc_small},
    {"free small, into a full span", prepare_full_spans, NULL, free_small},
    {"free small, the last of its span", prepare_two_spans, NULL, free_small},
    {"alloc large", prepare_nothing, NULL, alloc_large},
    {"alloc aligned", prepare_between, NULL, alloc_aligned},
    {"free large between free runs", prepare_between, NULL, free_large},
    {"grow", prepare_between, NULL, grow_large},
    {"shrink", prepare_between, NULL, shrink_large},
    {"alloc zeroed", prepare_nothing, NULL, alloc_zeroed},
    {"alloc of a kept block", prepare_nothing, warm_keep_one, alloc_small},
    {"free of a block that is kept", prepare_nothing, warm_own_one, free_first},
    {"free into a full cache", prepare_nothing, warm_keep_all, free_first},
    {"alloc in a full heap", prepare_nothing, warm_full, alloc_much},
    {"alloc untouched", prepare_untouched, NULL, alloc_untouched},
    {"free untouched", prepare_untouched, NULL, free_untouched},
    {"grow untouched", prepare_untouched, NULL, grow_untouched},
    {"shrink untouched", prepare_untouched, NULL, shrink_untouched},
    {"shrink to a populated one", prepare_untouched, NULL, shrink_to_populated},
    {"grow a populated one", prepare_growable, NULL, grow_to_untouched},
    {"alloc that is refused", prepare_untouched, NULL, alloc_refused},
};

/*
 * Whether somebody waits for the victims and marks them, as a master does; else their lock's waiters find
 * out.
 */
static bool seen = true;

/* Does call in a member of its own that dies at step. Returns whether it came to that. */
static bool die_at(void (*warm)(void), void (*call)(void), unsigned long step)
{
    uint32_t id = member_reserve();
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (member_become(id) != 0)
            test_child_exit(1);
        if (warm != NULL)
            warm();
        fault_arm(step);
        call();
        test_child_exit(fault_left() == 0);
    }
    waitpid(pid, &status, 0);
    if (seen)
        member_mark_dead(id);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static uint64_t n_blocks(void)
{
    struct heap_statistics now;

    heap_statistics_read(&now);
    return now.n_blocks;
}

/* Gives back all that is left: what a victim lost stays, and is the next round's start. */
static void clean_up(void)
{
    for (int i = 0; i < N_BLOCKS; i++) {
        if (blocks[i] != NULL)
            heap_free(blocks[i]);
        blocks[i] = NULL;
    }
}

/* A unit that is marked as populated has its memory, whoever died. */
static bool marks_are_true(void)
{
    struct heap_shared *heap = heap_here();
    bool are_true = true;

    for (uint32_t unit = 0; unit + 64 <= heap->n_units; unit += 64) {
        uint32_t marked = 64 - populate_missing(heap, unit, 64);

        if (marked > 0)
            are_true &= pages_resident(unit_address(heap, unit), (size_t)64 * UNIT_BYTES) >=
                        (size_t)marked * UNIT_BYTES;
    }
    return are_true;
}

static bool survives(void)
{
    sharedmem_error error;
    char *block;

    if (heap_check(&error) != 0) {
        test_note("%s", error.message);
        return false;
    }
    block = heap_alloc(3000, HEAP_ALIGNMENT);
    if (block == NULL || !marks_are_true())
        return false;
    memset(block, 1, 3000);
    return heap_free(block) == HEAP_GOOD && heap_check(NULL) == 0;
}

/* Where each fork takes long. */
static bool is_slow(void)
{
    return test_under_valgrind() || test_address_sanitized() || test_thread_sanitized();
}

/*
 * Dies at every step of call k; where that is slow at one in three, and the two ways to go on take others.
 * recover: whether whoever comes next gets the heap by recovery, or by its lock.
 */
static void test_call(size_t k, bool recover)
{
    unsigned long stride = is_slow() ? 3 : 1, step = recover && stride > 1 ? 2 : 1, n_deaths = 0;
    bool died, good = true, lost_one = true;

    do {
        uint64_t before;

        before = n_blocks();
        calls[k].prepare();
        died = die_at(calls[k].warm, calls[k].call, step);
        n_deaths += died;
        step += stride;
        if (recover)
            recover_all_dead();
        good &= survives();
        recover_all_dead();
        clean_up();
        /* What the victim got belongs to nobody, and what it was giving may be lost. */
        lost_one &= n_blocks() <= before + 1;
    } while (died && good);
    test_ok(good && step > 3, "%s, %lu deaths%s", calls[k].name, n_deaths, recover ? ", recovered" : "");
    test_ok(lost_one, "lost one block at most");
}

/* The first dies in the heap, the second while it rolls that back, and so on. */
static void test_death_in_recovery(size_t k)
{
    unsigned long step = 0, second;
    bool good = true, died;

    do {
        calls[k].prepare();
        died = die_at(calls[k].warm, calls[k].call, ++step);
        second = 0;
        while (died && good && die_at(NULL, alloc_small, ++second)) {
            good &= survives();
            recover_all_dead();
            clean_up();
            calls[k].prepare();
            die_at(calls[k].warm, calls[k].call, step);
        }
        good &= survives();
        recover_all_dead();
        clean_up();
        step += is_slow() ? 50 : 30;
    } while (died && good);
    test_ok(good, "%s, and again in its recovery", calls[k].name);
}

int main(void)
{
    test_begin(300);
    /* Each death may cost a block. */
    setenv("SHAREDMEM_HEAP", test_under_valgrind() ? "256M" : "1G", 1);
    blocks = mmap(NULL, N_BLOCKS * sizeof *blocks, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory_enter(NULL) != 0)
        test_skip_all("no shared memory here");
    for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
        test_call(k, false);
        test_call(k, true);
    }
    seen = false;
    test_call(0, false);
    seen = true;
    for (size_t k = 0; k < sizeof calls / sizeof *calls; k += test_under_valgrind() ? 4 : 1)
        test_death_in_recovery(k);
    return test_end();
}
