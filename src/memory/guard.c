#include "memory/guard.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/*
 * With the room in it: what an earlier block of another size left in the same place, whose guard may lie where
 * this one's does, is not taken for it.
 */
#define LIVE(room)  (0x6c69766520626c6bu ^ (room))
#define FREED(room) (0x667265656420626bu ^ (room))

/* As doubles it is neither a number that is likely nor one that compares. */
#define PATTERN   0xfdu
#define GAP_BYTES 16u

size_t guard_room(size_t bytes)
{
    size_t more = GAP_BYTES + sizeof(struct guard_shared) + sizeof(uint64_t);

    return bytes < SIZE_MAX - more ? bytes + more : SIZE_MAX;
}

struct guard_shared *guard_of(const void *block, size_t room)
{
    return (struct guard_shared *)(uintptr_t)((const char *)block + room - sizeof(struct guard_shared));
}

static bool is_pattern(const char *begin, const char *end)
{
    while (begin < end && (unsigned char)*begin == PATTERN)
        begin++;
    return begin == end;
}

void guard_forget(void *block, size_t room)
{
    guard_of(block, room)->state = 0;
}

void guard_set(void *block, size_t room, struct guard_plan *plan)
{
    struct guard_shared *guard = guard_of(block, room);
    char *end = (char *)block + plan->bytes;

    plan->was_written = guard_look(block, room) == GUARD_WRITTEN;
    plan->late = *guard;
    memset(end, PATTERN, (size_t)((char *)guard - end));
    *guard = (struct guard_shared){.state = LIVE(room), .bytes = plan->bytes, .allocated = plan->caller};
}

void guard_set_freed(void *block, size_t room, const struct caller_shared *caller)
{
    struct guard_shared *guard = guard_of(block, room);

    memset(block, PATTERN, (size_t)((char *)guard - (char *)block));
    guard->freed = *caller;
    /* Last, also for who dies in here: a block that says it was freed is all pattern. */
    atomic_signal_fence(memory_order_seq_cst);
    guard->state = FREED(room);
}

enum guard_answer guard_look(const void *block, size_t room)
{
    const struct guard_shared *guard = guard_of(block, room);
    const char *begin = block, *end = (const char *)guard;
    bool is_good;

    if ((guard->state != LIVE(room) && guard->state != FREED(room)) ||
        guard->bytes > (size_t)(end - begin) - GAP_BYTES)
        return GUARD_LOST;
    is_good = is_pattern(guard->state == LIVE(room) ? begin + guard->bytes : begin, end);
    if (guard->state == LIVE(room))
        return is_good ? GUARD_LIVE : GUARD_OVERRUN;
    return is_good ? GUARD_FREED : GUARD_WRITTEN;
}

void guard_describe(const void *block, size_t room, char *text, size_t size)
{
    const struct guard_shared *guard = guard_of(block, room);
    char allocated[128], freed[128];

    switch (guard_look(block, room)) {
    case GUARD_LOST:
        snprintf(text, size, "so far that it is lost who allocated it");
        return;
    case GUARD_OVERRUN:
    case GUARD_LIVE:
        snprintf(text, size, "it has %llu bytes and was allocated at %s", (unsigned long long)guard->bytes,
                 caller_format(&guard->allocated, allocated, sizeof allocated));
        return;
    case GUARD_FREED:
    case GUARD_WRITTEN:
        snprintf(text, size, "it had %llu bytes, was allocated at %s and freed at %s",
                 (unsigned long long)guard->bytes,
                 caller_format(&guard->allocated, allocated, sizeof allocated),
                 caller_format(&guard->freed, freed, sizeof freed));
    }
}
