/* The public calls for shared memory, as malloc(3) has them. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "memory/heap.h"
#include "memory/memory.h"
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

/* Whether alignment is one that the heap has. */
static bool is_alignment(size_t alignment)
{
    return alignment != 0 && (alignment & (alignment - 1)) == 0 && alignment <= HEAP_ALIGNMENT_MAX;
}

void *sharedmem_malloc(size_t size)
{
    return enter() == 0 ? heap_alloc(size, HEAP_ALIGNMENT) : NULL;
}

void *sharedmem_calloc(size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return enter() == 0 ? heap_alloc_zeroed(bytes) : NULL;
}

void *sharedmem_aligned_alloc(size_t alignment, size_t size)
{
    if (!is_alignment(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    return enter() == 0 ? heap_alloc(size, alignment) : NULL;
}

static void report_bad_block(const char *call, const void *block, enum heap_answer answer)
{
    sharedmem_error error;

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
    default:
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s(%p): no block begins there: it was freed before, or this is the middle of one", call,
                  block);
    }
    error_uncaught(&error);
}

/* Copies into a new block, and frees the old one. */
static void *move_block(void *block, size_t room, size_t size)
{
    void *moved = heap_alloc(size, HEAP_ALIGNMENT);

    if (moved == NULL)
        return NULL;
    memcpy(moved, block, room < size ? room : size);
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

void sharedmem_free(void *block)
{
    int saved_errno = errno;
    enum heap_answer answer = HEAP_FOREIGN;

    if (block == NULL)
        return;
    /* Without a segment nothing can be a block of it, and none is made to find that out. */
    if (sharedmem_is_shared(block) && enter() == 0)
        answer = heap_free(block);
    if (answer != HEAP_GOOD)
        report_bad_block("sharedmem_free", block, answer);
    errno = saved_errno;
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
