#include "team/shortage.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include "base/text.h"
#include "host/clock.h"
#include "host/limits.h"
#include "memory/segment.h"

/*
 * Kills for want of memory before those that may explain an end of ours. Read anew now and then when workers are
 * started: what happened to others hours ago explains nothing.
 */
static _Atomic uint64_t kills_before, noted_at_ns; /* 0: it is to be read */
#define NOTE_AGAIN_NS ((uint64_t)1000000000)

void shortage_note(void)
{
    uint64_t now = clock_monotonic_ns(), before = atomic_load_explicit(&noted_at_ns, memory_order_relaxed);

    if (before != 0 && now - before < NOTE_AGAIN_NS)
        return;
    atomic_store_explicit(&kills_before, limits_oom_kills(""), memory_order_relaxed);
    atomic_store_explicit(&noted_at_ns, now, memory_order_relaxed);
}

static bool was_killed_for_memory(void)
{
    if (limits_oom_kills("") <= atomic_load_explicit(&kills_before, memory_order_relaxed))
        return false;
    /* It may explain others that ended with this one, but none that is started later. */
    atomic_store_explicit(&noted_at_ns, 0, memory_order_relaxed);
    return true;
}

/* A page that is broken, which other codes tell of, is another matter. */
static bool was_without_page(const struct crash_shared *crash)
{
    return crash->signal == SIGBUS && crash->code == BUS_ADRERR && segment_base != NULL &&
           segment_contains((const void *)(uintptr_t)crash->fault_address);
}

static void say(char *text, size_t size, const char *how, uint64_t peak_bytes)
{
    char total[TEXT_BYTES_SIZE], left[TEXT_BYTES_SIZE], peak[TEXT_BYTES_SIZE], had[TEXT_BYTES_SIZE + 24] = "";
    struct limits_memory memory;
    struct limits_room room;

    limits_memory_read("", &memory);
    limits_room_read("", &room);
    if (peak_bytes != 0)
        snprintf(had, sizeof had, ", it had up to %s", text_bytes(peak, peak_bytes));
    snprintf(text, size,
             ", %s: %s are allowed by %s%s, and now %s has %s left; use fewer workers, or ask for more memory",
             how, text_bytes(total, memory.total), memory.total_source, had, room.limit,
             text_bytes(left, room.bytes));
}

bool shortage_explains(const struct process_end *end, const struct crash_shared *crash, char *text,
                       size_t size)
{
    text[0] = '\0';
    if (end->how != PROCESS_SIGNALLED)
        return false;
    if (end->code == SIGKILL && was_killed_for_memory()) {
        say(text, size, "very likely because memory ran out", end->use.peak_bytes);
        return true;
    }
    if (end->code != SIGBUS)
        return false;
    if (crash == NULL) {
        say(text, size, "maybe because memory ran out for a page of shared memory", end->use.peak_bytes);
        return false;
    }
    if (!was_without_page(crash))
        return false;
    say(text, size, "at a page of the shared heap, very likely because memory ran out", end->use.peak_bytes);
    return true;
}
