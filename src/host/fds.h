/* fds.h: where the library's own file descriptors lie: out of the way of the program's. */
#ifndef HOST_FDS_H
#define HOST_FDS_H

/*
 * Moves fd, which is closed on exec, above 2: a program that was started without stdin, stdout or stderr
 * would else print into it. Returns the new fd, or -1 with errno and fd closed; -1 for -1.
 */
int fds_above_stdio(int fd);

/* How many files this process may have open: the soft limit. */
int fds_limit(void);

#endif
