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

/*
 * Sees to it that the range's pages are there, those at its ends too, as if the caller had written to each:
 * cheaper than the faults that the writing would be, and where there is no memory it fails and is no SIGBUS.
 * It costs little where they are there. A large range is best done in pieces, each just before it is written.
 * Kernels before 5.14 know no such call: there the pages are touched, and one that cannot be had is a SIGBUS.
 * Returns 0, or -1 with errno ENOMEM.
 */
int pages_populate(void *begin, size_t bytes);

/* How many bytes of the range's whole pages are in memory. */
size_t pages_resident(const void *begin, size_t bytes);

/* ---- Huge pages ---- */

/*
 * What the kernel does about pages of 2 MiB in shared memory, in its own words: "always", "within_size",
 * "advise", "never", "deny" or "force"; "" where it does not tell. Newer kernels have a choice for each size
 * of page, and theirs for 2 MiB is the one.
 * root: "" for this machine; a folder with sys/ below it, recorded from another, for tests.
 * Owner: the library.
 */
const char *pages_huge_setting(const char *root);

/* Whether with this setting memory that asks for huge pages can get any. */
bool pages_huge_is_allowed(const char *setting);

/*
 * The same of this machine, looked up once in a process: then mappings ask for huge pages, and large blocks
 * begin at multiples of PAGES_HUGE_BYTES. Else both would be waste.
 */
bool pages_huge_is_wanted(void);

/* Looks it up anew, in root as above. */
void pages_huge_look(const char *root);

/* The answer is given, by a process that has looked: nothing is read. */
void pages_huge_set(bool is_wanted);

/*
 * How much shared memory this process has mapped in huge pages now: what was got, as far as the process has
 * touched it. The kernel walks over all of its mappings for that, which can take milliseconds. 0 where it
 * does not tell (Linux before 4.19, or without huge pages).
 */
uint64_t pages_huge_bytes(void);

#endif
