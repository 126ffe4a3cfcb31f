/* The public calls for shared memory, as malloc(3) has them. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "host/pages.h"
#include "memory/budget.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/placed.h"
#include "memory/segment.h"

/*
 * These calls have no sharedmem_error, and errno alone would not tell a person which limit or variable it
 * was: the reason is a warning, once.
 */
static int enter(void)
{
    static atomic_flag warned = ATOMIC_FLAG_INIT;
    sharedmem_error error;

    if (member_me != NULL || memory_enter(&error) == 0)
        return 0;
    if (!atomic_flag_test_and_set(&warned))
        log_warn("no shared memory: %s", error.message);
    return -1;
}

/*
 * The reason of a refusal is a warning too, once for each cause: a program that allocates until it gets NULL
 * needs no more than one line, and one that later meets another limit is told that.
 */
static void *answer(const char *call, void *block)
{
    static _Atomic uint32_t warned;
    uint32_t bit = (uint32_t)1 << budget_cause();

    if (block == NULL && (atomic_fetch_or_explicit(&warned, bit, memory_order_relaxed) & bit) == 0)
        log_warn("%s: no shared memory: %s", call, budget_reason());
    return block;
}

/* Whether alignment is one that the heap has. */
static bool is_alignment(size_t alignment)
{
    return alignment != 0 && (alignment & (alignment - 1)) == 0 && alignment <= HEAP_ALIGNMENT_MAX;
}

__attribute__((noinline)) static void *alloc(size_t size)
{
    return enter() == 0 ? answer("sharedmem_malloc", heap_alloc(size, HEAP_ALIGNMENT)) : NULL;
}

void *sharedmem_malloc(size_t size)
{
    void *block = heap_alloc_short(size);

    return block != NULL ? block : alloc(size);
}

void *sharedmem_calloc(size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        budget_refuse(BUDGET_OVERFLOW, "no memory is as large as %zu times %zu bytes", count, size);
        errno = ENOMEM;
        return answer("sharedmem_calloc", NULL);
    }
    return enter() == 0 ? answer("sharedmem_calloc", heap_alloc_zeroed(bytes)) : NULL;
}

void *sharedmem_aligned_alloc(size_t alignment, size_t size)
{
    if (!is_alignment(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    return enter() == 0 ? answer("sharedmem_aligned_alloc", heap_alloc(size, alignment)) : NULL;
}

static void report_bad_block(const char *call, const void *block, enum heap_answer answer)
{
    sharedmem_error error;
    char known[384];

    switch (answer) {
    case HEAP_FOREIGN:
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s(%p): this is not memory of the shared heap",
                  call, block);
        break;
    case HEAP_DEADLOCK:
        error_set(&error, SHAREDMEM_ERROR_USAGE, EDEADLK,
                  "%s(%p): called in a signal handler that interrupted another call of the shared heap", call,
                  block);
        break;
    case HEAP_OVERRUN:
        heap_explain_overrun(block, known, sizeof known);
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s(%p): the block was written beyond its end: %s",
                  call, block, known);
        break;
    default:
        heap_explain(block, known, sizeof known);
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s(%p): no block begins there: %s", call, block,
                  known);
    }
    error_uncaught(&error);
}

/* For checking mode, before the program's block is freed. */
static inline void say_freeing(const void *block)
{
    /* relaxed: it is set before this thread could have a block. */
    memory_freeing_function *freeing = atomic_load_explicit(&memory_freeing, memory_order_relaxed);

    if (__builtin_expect(freeing != NULL, 0))
        freeing(block);
}

/* Copies into a new block, and frees the old one. */
static void *move_block(void *block, size_t room, size_t size)
{
    void *moved = answer("sharedmem_realloc", heap_alloc(size, HEAP_ALIGNMENT));

    if (moved == NULL)
        return NULL;
    memcpy(moved, block, room < size ? room : size);
    say_freeing(block);
    placed_forget(block);
    heap_free(block);
    return moved;
}

void *sharedmem_realloc(void *block, size_t size)
{
    enum heap_answer answer = HEAP_FOREIGN;
    size_t room = 0;

    if (block == NULL)
        return sharedmem_malloc(size);
    if (enter() != 0)
        return NULL;
    answer = heap_usable(block, &room);
    if (answer != HEAP_GOOD) {
        report_bad_block("sharedmem_realloc", block, answer);
        return NULL;
    }
    return heap_resize(block, size) ? block : move_block(block, room, size);
}

__attribute__((noinline)) static void give_back(void *block)
{
    int saved_errno = errno;
    enum heap_answer answer = HEAP_FOREIGN;

    /* Without a segment nothing can be a block of it, and none is made to find that out. */
    if (sharedmem_is_shared(block) && enter() == 0) {
        placed_forget(block);
        answer = heap_free(block);
    }
    if (answer != HEAP_GOOD)
        report_bad_block("sharedmem_free", block, answer);
    errno = saved_errno;
}

void sharedmem_free(void *block)
{
    if (block == NULL)
        return;
    say_freeing(block);
    if (!heap_free_short(block))
        give_back(block);
}

size_t sharedmem_usable_size(const void *block)
{
    int saved_errno = errno;
    size_t bytes = 0;

    if (block == NULL || !sharedmem_is_shared(block) || enter() != 0 ||
        heap_usable(block, &bytes) != HEAP_GOOD)
        bytes = 0;
    errno = saved_errno;
    return bytes;
}

bool sharedmem_is_shared(const void *address)
{
    return segment_base != NULL && segment_contains(address);
}

int sharedmem_heap_check(sharedmem_error *error)
{
    error_clear(error);
    if (memory_enter(error) != 0)
        return -1;
    return heap_check(error);
}

int sharedmem_heap_statistics_read(sharedmem_heap_statistics *statistics)
{
    struct heap_statistics now;
    sharedmem_error error;

    if (statistics == NULL) {
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "sharedmem_heap_statistics_read: statistics is NULL");
        return error_uncaught(&error);
    }
    memset(statistics, 0, sizeof *statistics);
    if (enter() != 0)
        return -1;
    heap_statistics_read(&now);
    statistics->capacity_bytes = now.capacity_bytes;
    statistics->used_bytes = now.used_bytes;
    statistics->kept_bytes = now.cached_bytes;
    statistics->n_blocks = now.n_blocks;
    statistics->resident_bytes = heap_resident_bytes();
    statistics->huge_bytes = pages_huge_bytes();
    statistics->is_checked = heap_is_checked();
    return 0;
}
