/*
 * crash.h: where a process was when a signal ended it. In order:
 *
 *     master    crash_prepare();                 once, before the first fork
 *     master    a zeroed slot for each worker, in the segment
 *     worker    crash_install(slot);             right after the fork
 *     worker    SIGSEGV: the handler fills the slot, and the process ends by SIGSEGV all the same
 *     master    crash_format(slot, text, size);  once it has seen the end
 *
 * Status, siginfo and core dump of the end are those that the process would have had without any of this: the
 * core's top frame is the one that faulted.
 *
 * Ranks of a launcher, born by exec, join instead (crash_join_rank); who reports has another layout than they, and
 * formats by what they have written down of theirs (crash_objects.h).
 *
 * A fault that another process mends meanwhile (a file that grows again) is none, and the process goes on. So
 * a slot tells of the end only where it has the signal that the end has.
 */
#ifndef HOST_CRASH_H
#define HOST_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/crash_objects.h"

#define CRASH_PCS 64

/*
 * What a process left behind. All zeros: nothing yet, and so is what was left when n_pcs is 0. The
 * addresses are those of the process that died. A slot that serves again must be zeroed first.
 */
struct crash_shared {
    _Atomic uint32_t n_pcs; /* written last; 1 first, so that pcs[0] is there even if no more can be found */
    int32_t signal;
    int32_t code; /* siginfo's si_code; above 0: the kernel's, for what the process did itself */
    uint32_t n_objects; /* of a rank: how many of its files it has written down */
    uint64_t fault_address; /* SIGSEGV and SIGBUS with such a code but SI_KERNEL, which has none; else 0 */
    uint64_t stack_pointer;
    uint64_t stack_top;      /* of a thread that installed or joined; else 0 */
    uint64_t pcs[CRASH_PCS]; /* [0] the instruction itself, the others: within the call of the one before */
};

/*
 * Loads the unwinder and maps the handlers' stack, which forked children inherit: that costs them nothing,
 * and neither can be done in a handler. From the second call on it does nothing. Any thread may call it;
 * keeps errno.
 */
void crash_prepare(void);

/*
 * Installs handlers, on an alternate stack, for SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT and SIGTRAP, each
 * only where its disposition is the default: who handles or ignores one keeps it, sanitizers too. An
 * alternate stack that is there already stays. Called by the only thread of a process after its fork, once; a
 * fork of that process may call it with a slot of its own, and leaves no traceback if it does not. slot stays
 * mapped to the end. Of the threads that are started later those that overflow their stack leave no traceback
 * either: alternate stacks are each thread's own. Touches errno only where the system refuses. Does nothing
 * where the machine is neither x86-64 nor aarch64.
 */
void crash_install(struct crash_shared *slot);

/* From now on this slot is used, in a process that has installed handlers. It takes next to no time. */
void crash_use(struct crash_shared *slot);

/*
 * In a rank: installs the same handlers, whatever other threads do meanwhile, but not two of them this; from then on
 * a crash fills slot and objects, which stay mapped. Nothing is loaded for it: where the unwinder is not there yet, it
 * is loaded in a copy of the process that has crashed.
 */
void crash_join_rank(struct crash_shared *slot, struct crash_objects_shared *objects);

/*
 * In another thread of such a process: gives it an alternate stack until it ends, unless it has one; overflows of
 * its own stack are told of too then. Does nothing in any other process.
 */
void crash_join_thread(void);

/*
 * Writes the traceback, the innermost frame first and nothing above main:
 *
 *       #0 step at heat.c:40          where there is debug info, and symbols.h can read it
 *          inlined in relax at heat.c:88 (heat+0x11d0)
 *       #1 work+0x1c (prog+0x11f5)    else: a function that the program exports (-rdynamic) or a library's
 *       #2 prog+0x1240                any other: addr2line -e prog 0x1240 says which
 *       ... 12 more                   of the frame above, in a recursion
 *       #15 0x7f0012345678            in no object that this process has
 *
 * Only whole lines, as many as fit, and a '\0'. The caller has the crashed process's layout: it is its
 * master, or was forked by the same one. Not for signal handlers. Whatever stands in the slot, no more is
 * read than the slot. Blocks as symbols_find() does. Returns the number of lines; 0 where there is no
 * traceback or no room.
 */
int crash_format(const struct crash_shared *slot, char *text, size_t size);

/* The same of a rank, for any process: without the names of exported functions, where libdw is missing. */
int crash_format_rank(const struct crash_shared *slot, const struct crash_objects_shared *objects, char *text,
                      size_t size);

/*
 * Writes where a rank crashed, in files and addresses of the innermost frames: the same in all ranks that crashed
 * alike. "" where it is not known.
 */
void crash_format_place(const struct crash_shared *slot, const struct crash_objects_shared *objects, char *text,
                        size_t size);

/*
 * Whether the stack was used up: a fault in the stack of a thread that is known, between a little below the stack
 * pointer (a call) and the top (a frame with large arrays begins far below what it writes first). All that is
 * mapped unless the stack has come to its end. What crashes while it runs on a stack of its own making may be
 * mistaken for it.
 */
bool crash_is_stack_overflow(const struct crash_shared *slot);

#endif
