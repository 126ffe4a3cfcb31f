/*
 * limits.h: how much memory and processor time this process may have, by the machine, by every cgroup above
 * it (version 1 and 2), and by its resource limits. Everything is read anew at each call.
 */
#ifndef HOST_LIMITS_H
#define HOST_LIMITS_H

#include <stdint.h>

/* No limit. */
#define LIMITS_NONE UINT64_MAX

struct limits_memory {
    uint64_t total;         /* bytes: the smaller of machine and cgroups; 0 where nothing tells */
    uint64_t available;     /* bytes of it that are unused: what the tightest of them has left */
    char total_source[256]; /* which one total is of: "machine", or the cgroup's file, cut to fit */
    char available_source[256];
};

/*
 * Reads the memory limits of this process.
 * root: "" for this machine; a folder with proc/ and sys/ below it, recorded from another, for tests.
 */
void limits_memory_read(const char *root, struct limits_memory *memory);

/*
 * How many processes the system has ended so far because memory had run out: in this process's cgroup, or where
 * that does not tell on the whole machine. A count that has risen tells of a SIGKILL from nobody what it very
 * likely was. root as above.
 */
uint64_t limits_oom_kills(const char *root);

/*
 * The processors' worth of time that the cgroups above this process grant by quota, rounded down, at least 1;
 * 0 where there is no quota. root as above.
 */
int limits_cpu_quota(const char *root);

/*
 * How many more processes and threads this user may start now, by ulimit -u and the pids limits of every
 * cgroup above this process; a moment's figure. LIMITS_NONE: no limit is near, wanted more fit in. root as
 * above, for the cgroups.
 */
uint64_t limits_processes(const char *root, uint64_t wanted);

/* The soft RLIMIT_AS and RLIMIT_FSIZE of this process in bytes, or LIMITS_NONE. */
uint64_t limits_address_space(void);
uint64_t limits_file_size(void);

#endif
