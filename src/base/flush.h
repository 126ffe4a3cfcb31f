/*
 * flush.h: stdio around a fork: what is pending is printed once, by the parent.
 *
 * In a program with one thread all streams are flushed. With more threads only stdout and stderr are, and
 * nobody prints to them until the forks are over: another stream may be in use by a thread that waits for
 * input, for ever, and its lock with it. What is pending in other streams then comes once more from each
 * child.
 */
#ifndef BASE_FLUSH_H
#define BASE_FLUSH_H

#include <stdbool.h>

/* Returns whether other threads are kept from printing, for flush_after_fork(). */
bool flush_before_fork(void);

/*
 * As fflush(NULL). In a forked child that has nothing to write it only looks: the flushing writes to each stream,
 * and the first store to a page costs a copy of it.
 */
void flush_all(void);

/*
 * Before this process ends by _exit(): what was printed goes out. In a program with threads stdout and stderr
 * only, as above, and not where another thread is just using them: it may do so for ever.
 */
void flush_to_leave(void);

/* In the parent, after the last fork. In children the C library frees the locks itself. */
void flush_after_fork(bool held);

#endif
