/*
 * rendezvous.h: how processes of this machine that were started apart find each other: by names of sockets in the
 * abstract namespace. Such a name lies in no file system, belongs to whoever listens on it, and is gone with that.
 * The system tells who that is.
 */
#ifndef HOST_RENDEZVOUS_H
#define HOST_RENDEZVOUS_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Takes name for this process; nobody else can then. Returns an fd, closed on exec, that the caller owns: the name is
 * given back with it. Or -1 with errno, EADDRINUSE: another process has it.
 */
int rendezvous_take(const char *name);

/*
 * Who has name: a process of this user. Each question stays in its owner's queue for ever, so it is not asked again
 * and again. Returns its pid; 0: nobody has it; or -1 with errno: EPERM, another user has it; or EAGAIN, somebody
 * has it who was asked too often.
 */
pid_t rendezvous_owner(const char *name);

/*
 * Opens the n'th of those fds of process pid that are memory made by pages_create(). Returns an fd, closed on exec,
 * or -1 with errno: ENOENT, it has no more of them.
 */
int rendezvous_open_memory(pid_t pid, int n);

/* The nearest process above this one whose command is name, cut to 15 bytes; 0: none. */
pid_t rendezvous_ancestor(const char *name);

#endif
