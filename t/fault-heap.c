/*
 * Death inside the heap: in a build where a process can be killed between any two stores, each call is made
 * to die at its first step, its second, and so on until it gets through. After each death the heap must be
 * whole, have lost one block at most, and work.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "memory/heap.h"
#include "memory/heap_layout.h"
#include "memory/memory.h"
#include "memory/recover.h"
#include "memory/spans.h"
#include "tap.h"

/* Before each death this is set up by the survivor; the victim does one call. */
#define N_BLOCKS 2048
static void *blocks[N_BLOCKS];

static void prepare_nothing(void)
{
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

static const struct {
    const char *name;
    void (*prepare)(void);
    void (*call)(void);
} calls[] = {
    {"alloc that makes a span", prepare_full_spans, alloc_small},
    {"alloc small", prepare_small, alloc_small},
    {"free small, into a full span", prepare_full_spans, free_small},
    {"free small, the last of its span", prepare_two_spans, free_small},
    {"alloc large", prepare_nothing, alloc_large},
    {"alloc aligned", prepare_between, alloc_aligned},
    {"free large between free runs", prepare_between, free_large},
    {"grow", prepare_between, grow_large},
    {"shrink", prepare_between, shrink_large},
    {"alloc zeroed", prepare_nothing, alloc_zeroed},
};

/*
 * Whether somebody waits for the victims and marks them, as a master does; else their lock's waiters find
 * out.
 */
static bool seen = true;

/* Does call in a member of its own that dies at step. Returns whether it came to that. */
static bool die_at(void (*call)(void), unsigned long step)
{
    uint32_t id = member_reserve();
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (member_become(id) != 0)
            test_child_exit(1);
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

static bool survives(void)
{
    sharedmem_error error;
    char *block;

    if (heap_check(&error) != 0) {
        test_note("%s", error.message);
        return false;
    }
    block = heap_alloc(3000, HEAP_ALIGNMENT);
    if (block == NULL)
        return false;
    memset(block, 1, 3000);
    return heap_free(block) == HEAP_GOOD && heap_check(NULL) == 0;
}

/*
 * Dies at every step of call k. survivor: how whoever comes next gets the heap: by its lock, or by recovery.
 */
static void test_call(size_t k, bool recover)
{
    unsigned long step = 0;
    bool died, good = true, lost_one = true;

    do {
        uint64_t before;

        calls[k].prepare();
        before = n_blocks();
        died = die_at(calls[k].call, ++step);
        if (recover)
            recover_all_dead();
        good &= survives();
        lost_one &= n_blocks() - before + 1 <= 2;
        recover_all_dead();
        clean_up();
    } while (died && good);
    test_ok(good && step > 5, "%s, %lu deaths%s", calls[k].name, step - 1, recover ? ", recovered" : "");
    test_ok(lost_one, "lost one block at most");
}

/* The first dies in the heap, the second while it rolls that back, and so on. */
static void test_death_in_recovery(size_t k)
{
    unsigned long step = 0, second;
    bool good = true, died;

    do {
        calls[k].prepare();
        died = die_at(calls[k].call, ++step);
        second = 0;
        while (died && good && die_at(alloc_small, ++second)) {
            good &= survives();
            recover_all_dead();
            clean_up();
            calls[k].prepare();
            die_at(calls[k].call, step);
        }
        good &= survives();
        recover_all_dead();
        clean_up();
        step += test_under_valgrind() ? 50 : 6;
    } while (died && good);
    test_ok(good, "%s, and again in its recovery", calls[k].name);
}

int main(void)
{
    test_begin(300);
    setenv("SHAREDMEM_HEAP", "64M", 1);
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
