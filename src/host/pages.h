/* pages.h: memory that several processes share: made without a name, mapped, given back in parts. */
#ifndef HOST_PAGES_H
#define HOST_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGES_HUGE_BYTES ((uint64_t)2 << 20)

/*
 * Makes size bytes of shared memory, all zero, that nobody can grow or shrink any more; header_bytes from
 * header are written to its beginning. It is closed on exec.
 * Returns its fd, or -1 with errno. Beyond RLIMIT_FSIZE the system would send SIGXFSZ: the caller keeps below
 * it.
 */
int pages_create(uint64_t size, const void *header, size_t header_bytes);

/*
 * Checks that fd is memory as pages_create() makes it, of this user, and sets *size.
 * Returns 0, or -1 with errno: EPERM it is another user's, EBADF it is something else.
 */
int pages_inspect(int fd, uint64_t *size);

/* Maps fd anywhere at a multiple of PAGES_HUGE_BYTES; never part of core files. NULL with errno. */
void *pages_map(int fd, uint64_t size);

/*
 * Maps the first size bytes of fd anywhere, for a look at its beginning; never part of core files. NULL with
 * errno.
 */
void *pages_map_begin(int fd, uint64_t size);

/*
 * Maps fd at address and nowhere else; never part of core files. Returns false where that is not possible:
 * something is there, or the system put it elsewhere (MSan and valgrind do, whatever is asked).
 */
bool pages_map_at(int fd, uint64_t size, void *address);

void pages_unmap(void *base, uint64_t size);

/*
 * Gives the range's whole pages back to the system, for all processes; they then read as zero.
 * Returns whether the range was whole pages and all of it is zero now. Keeps errno.
 */
bool pages_punch(void *begin, size_t bytes);

#endif
