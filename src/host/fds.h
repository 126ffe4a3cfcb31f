/* fds.h: where the library's own file descriptors lie: out of the way of the program's. */
#ifndef HOST_FDS_H
#define HOST_FDS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Moves fd, which is closed on exec, above 2: a program that was started without stdin, stdout or stderr
 * would else print into it. Returns the new fd, or -1 with errno and fd closed; -1 for -1.
 */
int fds_above_stdio(int fd);

/* How many files this process may have open: the soft limit. */
int fds_limit(void);

/* Whether n more files can be opened; else errno says why not. */
bool fds_has_room(int n);

/* Raises the soft limit to the hard one; and sets it back, which is async-signal-safe. */
void fds_raise_limit(void);
void fds_restore_limit(void);

/* The inode of what fd is; 0 where it is not open. A pipe's is its own on this machine while it lives. */
uint64_t fds_inode(int fd);

#endif
