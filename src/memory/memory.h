/* memory.h: the one door to shared memory: every public call that needs it begins with memory_enter(). */
#ifndef MEMORY_MEMORY_H
#define MEMORY_MEMORY_H

#include "memory/member.h"
#include "sharedmem.h"

int memory_enter_first(const char *where, sharedmem_error *error);

/*
 * Sees to it that this process has a segment with its heap, and that the calling thread is a member of it.
 * The segment is that of the job where this process is one of its ranks: the first call then waits for the
 * other ranks to come (attach.h), and where that fails it is an uncaught error, since nothing works without.
 * Returns 0, or -1 with errno and error; then the next call tries again.
 */
static inline int memory_enter(sharedmem_error *error)
{
    return member_me != NULL ? 0 : memory_enter_first(NULL, error);
}

/* The same with the place of the call, "file:line", for those who ask whom the others wait for. */
static inline int memory_enter_at(const char *where, sharedmem_error *error)
{
    return member_me != NULL ? 0 : memory_enter_first(where, error);
}

/*
 * Whether only the calling thread can change shared memory, as far as can be known: this process is no rank
 * and made the segment, it has no other thread and no child, and no other member lives. A copy of a copy of
 * it, that is no child any more and has made no call yet, would not be seen.
 */
bool memory_is_alone(void);

/*
 * Called in a process that is a rank and has a member now, each time another of its threads becomes one; and as
 * it leaves: the floor above sets them (team/job.c).
 */
extern void (*memory_joined)(void);
extern void (*memory_leaving)(void);

/*
 * In checking mode called with each block that the program frees, before it is; NULL: that mode is off, or this
 * process has no segment yet. memory_forget is what it then is: the floor above sets it (team/lock_order.c).
 */
typedef void memory_freeing_function(const void *block);
extern memory_freeing_function *_Atomic memory_freeing __attribute__((visibility("hidden")));
extern memory_freeing_function *memory_forget;

#endif
