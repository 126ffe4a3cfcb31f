/*
 * critical.h: the critical regions of a segment: a fixed table of locks by name, the same for all members,
 * whatever team they work for.
 */
#ifndef TEAM_CRITICAL_H
#define TEAM_CRITICAL_H

#include <stdint.h>

/* The unnamed one, and 255 others. */
#define CRITICAL_MAX        256u
#define CRITICAL_NAME_BYTES 48u

/*
 * Enters the region called name; NULL is the unnamed one. The caller is a member.
 * Returns 0, or -1 with errno EDEADLK (this member is in it already), ENOSPC (no room for another name), or
 * ENAMETOOLONG.
 */
int critical_enter(const char *name, const char *where);

/* Leaves it. Returns 0, or -1 with errno EPERM where this member is not in it. */
int critical_leave(const char *name);

#endif
