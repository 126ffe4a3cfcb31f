/*
 * budget.h: whether the machine can hold what is to be handed out; if not, a page fault would be the
 * program's end. For the heap's own files.
 *
 * Reading the limits takes some 200 us, so that what was read is a credit for half of what was left: it is
 * spent by what is handed out, grows by what is freed, and ends after a tenth of a second. Memory that was
 * handed out and is not touched yet is no longer there to be had, though no limit shows it: of large blocks
 * that is at most what they have, and only where that is too much are their pages counted.
 *
 * What is read may be old when the pages are touched, and others use memory too: an honest no, not a promise.
 */
#ifndef MEMORY_BUDGET_H
#define MEMORY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/heap_layout.h"

/* Why the last allocation of a thread was refused. */
enum budget_cause {
    BUDGET_ROOM,     /* a limit of the machine, as enum limits_by tells: BUDGET_ROOM + by */
    BUDGET_HEAP = 8, /* no run of the heap is long enough */
    BUDGET_SYSTEM,   /* the system gave no pages, or the call cannot be made here */
    BUDGET_OVERFLOW  /* no memory is as large */
};

/* Where the limits are read, see limits.h; a test may have them recorded. */
extern const char *budget_root;

/* What may be handed out before anybody has asked, so that small programs need not. */
#define BUDGET_FIRST_BYTES ((int64_t)4 << 20)

/*
 * Takes bytes, which are not touched yet, from what the machine can hold. Returns whether it can; if not
 * budget_reason() tells why. The caller has the heap's lock.
 */
bool budget_take(struct heap_shared *heap, uint64_t bytes);

/* Gives bytes back. The caller has the heap's lock. */
void budget_give(struct heap_shared *heap, uint64_t bytes);

/*
 * A block of this many units, which stays untouched, begins at run; or ends to be one. Both are part of the
 * caller's logged change.
 */
void budget_add_large(struct heap_shared *heap, uint32_t run, uint32_t n);
void budget_drop_large(struct heap_shared *heap, uint32_t run, uint32_t n);

/* Forgets the reason of an earlier refusal. Each call that allocates begins with it. */
void budget_begin(void);

/* Sets why this thread's allocation is refused. Returns false. */
bool budget_refuse(unsigned cause, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What was set last in this thread; "" where nothing was since budget_begin(). */
const char *budget_reason(void);
unsigned budget_cause(void);

#endif
