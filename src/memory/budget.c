#include "memory/budget.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/text.h"
#include "base/thread_room.h"
#include "host/clock.h"
#include "host/limits.h"
#include "host/pages.h"
#include "memory/runs.h"

/* How long what was read counts: programs use memory of their own meanwhile. */
#define FRESH_NS      100000000u
#define LOOK_AGAIN_NS ((uint64_t)1000000000)

/*
 * Kept back: memory itself needs memory (tables of pages, an eighth of a percent for each process), and a
 * program that is told no must have some to go on with.
 */
#define KEPT_BYTES ((uint64_t)2 << 20)
#define KEPT_SHARE 128

const char *budget_root = "";

#define REASON_BYTES 640

static _Thread_local void *reason __attribute__((tls_model("initial-exec")));
static _Thread_local unsigned reason_cause;

void budget_begin(void)
{
    if (reason != NULL)
        *(char *)reason = '\0';
}

bool budget_refuse(unsigned cause, const char *format, ...)
{
    char *text = thread_room(&reason, REASON_BYTES);
    va_list arguments;

    va_start(arguments, format);
    if (text != NULL)
        vsnprintf(text, REASON_BYTES, format, arguments);
    va_end(arguments);
    reason_cause = cause;
    return false;
}

const char *budget_reason(void)
{
    return reason != NULL ? reason : "";
}

unsigned budget_cause(void)
{
    return reason_cause;
}

/* ---- What is handed out and not touched ---- */

void budget_add_large(struct heap_shared *heap, uint32_t run, uint32_t n)
{
    unit_list_push(heap, &heap->budget.large, run);
    undo_set64(&heap->log, &heap->units[run].free_bits, 0);
    undo_set64(&heap->log, &heap->budget.large_units, heap->budget.large_units + n);
}

void budget_drop_large(struct heap_shared *heap, uint32_t run, uint32_t n)
{
    uint64_t touched = heap->budget.touched_units, its = heap->units[run].free_bits;

    unit_list_remove(heap, &heap->budget.large, run);
    undo_set64(&heap->log, &heap->budget.large_units, heap->budget.large_units - n);
    /* A death in look_at_large() may have left the sum below its parts. */
    undo_set64(&heap->log, &heap->budget.touched_units, touched > its ? touched - its : 0);
}

/* What of a large block is touched, as far as known, stays so: its next count begins with the others. */
static uint64_t count_touched(struct heap_shared *heap, uint32_t run)
{
    uint32_t n = heap->units[run].n_units;
    uint64_t touched = heap->units[run].free_bits;

    if (touched < n)
        touched = pages_resident(unit_address(heap, run), (size_t)n * UNIT_BYTES) / UNIT_BYTES;
    return touched < n ? touched : n;
}

/*
 * Looks at the pages of all large blocks. What it finds is true whatever becomes of the caller's change, so
 * that it is not logged; a death in here leaves a sum that is too small, until the next look.
 */
static void look_at_large(struct heap_shared *heap)
{
    uint64_t sum = 0;

    heap->budget.touched_units = 0;
    for (uint32_t run = heap->budget.large; run != 0; run = heap->units[run].next) {
        heap->units[run].free_bits = count_touched(heap, run);
        FAULT_POINT();
        sum += heap->units[run].free_bits;
    }
    heap->budget.touched_units = sum;
}

static uint64_t untouched_bytes(const struct heap_shared *heap)
{
    const struct budget_shared *budget = &heap->budget;

    return budget->large_units > budget->touched_units
               ? (budget->large_units - budget->touched_units) * UNIT_BYTES
               : 0;
}

/* ---- What the machine has ---- */

/* What a person can do about it. */
static const char *const hints[] = {
    [LIMITS_BY_NOTHING] = "",
    [LIMITS_BY_MACHINE] = "",
    [LIMITS_BY_CGROUP] = "; ask the batch system or the container for more memory",
    [LIMITS_BY_COMMIT] = "; an administrator can raise vm.overcommit_ratio",
};

static bool say_no(const struct limits_room *room, uint64_t bytes, uint64_t untouched)
{
    char asked[TEXT_BYTES_SIZE], left[TEXT_BYTES_SIZE], kept[TEXT_BYTES_SIZE], promised[TEXT_BYTES_SIZE];
    char also[128] = "";

    if (untouched > 0)
        snprintf(also, sizeof also, " and %s promised to blocks that nobody has touched yet",
                 text_bytes(promised, untouched));
    return budget_refuse(BUDGET_ROOM + room->by, "%s more asked for; %s has %s left, %s of it kept back%s%s",
                         text_bytes(asked, bytes), room->limit, text_bytes(left, room->bytes),
                         text_bytes(kept, KEPT_BYTES), also, hints[room->by]);
}

/* What can be handed out, with what that needs beside. */
static uint64_t spare_bytes(uint64_t room, uint64_t untouched)
{
    uint64_t gone = untouched + KEPT_BYTES;

    return room > gone ? (room - gone) - (room - gone) / KEPT_SHARE : 0;
}

static void note(struct heap_shared *heap, uint64_t spare, uint64_t bytes)
{
    heap->budget.read_at_ns = clock_monotonic_ns();
    heap->budget.credit = spare < bytes ? 0 : (int64_t)((spare - bytes) / 2);
}

/*
 * Whether looking at the large blocks can change the answer. It takes some 20 ms a GiB, so that it is not done
 * again at once, unless there is less room than then: their pages may have gone there.
 */
static bool can_help(const struct heap_shared *heap, uint64_t room, uint64_t bytes)
{
    const struct budget_shared *budget = &heap->budget;
    bool is_recent = clock_monotonic_ns() - budget->looked_at_ns < LOOK_AGAIN_NS;

    if (budget->large == 0 || bytes > spare_bytes(room, 0))
        return false;
    return !is_recent || room + room / 128 < budget->room_at_look;
}

static bool ask(struct heap_shared *heap, uint64_t bytes)
{
    uint64_t spare = spare_bytes(limits_room_at_least(budget_root), untouched_bytes(heap));
    struct limits_room room;

    if (spare >= bytes) {
        note(heap, spare, bytes);
        return true;
    }
    limits_room_read(budget_root, &room);
    if (room.bytes > INT64_MAX)
        room.bytes = INT64_MAX;
    spare = spare_bytes(room.bytes, untouched_bytes(heap));
    if (spare < bytes && can_help(heap, room.bytes, bytes)) {
        look_at_large(heap);
        heap->budget.looked_at_ns = clock_monotonic_ns();
        heap->budget.room_at_look = room.bytes;
        spare = spare_bytes(room.bytes, untouched_bytes(heap));
    }
    note(heap, spare, bytes);
    return spare >= bytes || say_no(&room, bytes, untouched_bytes(heap));
}

static bool is_fresh(const struct budget_shared *budget)
{
    return budget->read_at_ns == 0 || clock_monotonic_ns() - budget->read_at_ns < FRESH_NS;
}

bool budget_take(struct heap_shared *heap, uint64_t bytes)
{
    struct budget_shared *budget = &heap->budget;

    if (budget->credit < 0 || (uint64_t)budget->credit < bytes || !is_fresh(budget))
        return ask(heap, bytes);
    budget->credit -= (int64_t)bytes;
    return true;
}

void budget_give(struct heap_shared *heap, uint64_t bytes)
{
    if (heap->budget.credit < INT64_MAX / 2)
        heap->budget.credit += (int64_t)bytes;
}
