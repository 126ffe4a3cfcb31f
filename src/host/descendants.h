/*
 * descendants.h: the children of this process, their children, and so on: what a launcher must end, whoever
 * started it. A process whose parent has ended belongs to the nearest ancestor that is a subreaper.
 *
 * The system has no call that ends a whole tree at once: each is found and signalled, and who forks
 * meanwhile is found the next time. A child's pid is its own until it is collected: so SIGCHLD must not be
 * ignored here, and no other thread may wait for children meanwhile.
 *
 * No call blocks, but descendants_end() until its time is over; each reads /proc for some microseconds a
 * process.
 */
#ifndef HOST_DESCENDANTS_H
#define HOST_DESCENDANTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Makes this process the one that its orphaned descendants become children of. */
void descendants_adopt(void);

/*
 * Sends signal to all that live, but not to those for which spare says so (NULL: to all). Returns to how
 * many: not counted are those of another user. 0 as the signal only counts.
 */
int descendants_signal(int signal, bool (*spare)(pid_t pid, void *argument), void *argument);

/*
 * Ends them all with SIGKILL and collects those that are this process's own children, until none is left or
 * timeout_ns have passed. Not for a process with children that it wants to hear of.
 * Returns how many could not be ended (stuck in the kernel, or of another user).
 */
int descendants_end(uint64_t timeout_ns);

/*
 * Collects one ended child, whichever it is, but those for which spare says so. Returns its pid, or 0 where
 * there is none.
 */
pid_t descendants_collect(bool (*spare)(pid_t pid, void *argument), void *argument);

/* Whether this process has any child. */
bool descendants_any(void);

/*
 * For tests: finds them as on kernels that list no children, CONFIG_PROC_CHILDREN, by looking at every
 * process.
 */
void descendants_only_scan(bool is);

#endif
