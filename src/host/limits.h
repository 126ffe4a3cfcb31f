/*
 * limits.h: how much memory and processor time this process may have, by the machine, by every cgroup above
 * it (version 1 and 2), and by its resource limits. Everything is read anew at each call.
 */
#ifndef HOST_LIMITS_H
#define HOST_LIMITS_H

#include <stdbool.h>
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

/* What says how much memory can still be had. */
enum limits_by { LIMITS_BY_NOTHING, LIMITS_BY_MACHINE, LIMITS_BY_CGROUP, LIMITS_BY_COMMIT };

struct limits_room {
    uint64_t bytes;    /* what the tightest limit leaves, swap counted; LIMITS_NONE where nothing tells */
    enum limits_by by; /* the tightest */
    bool has_cgroup;   /* a cgroup has a limit below the machine's */
    char limit[400];   /* for a person: "cgroup /job (memory.max 512 MiB, 490 MiB used)" */
};

/*
 * Reads how much more memory this process can touch before the system ends it or refuses a page: what the
 * machine has available, what each cgroup's limit leaves beside what its processes hold (page cache, which
 * goes when it is needed, counts as free, but half of what is in use just now; memory.high is no limit), and under
 * vm.overcommit_memory=2 the commit limit. root as above. Not a cancellation point. A process that has neither of
 * the last two is not asked again for them for two seconds.
 */
void limits_room_read(const char *root, struct limits_room *room);

/*
 * How much more memory this process can have at least, if that can be told without reading a file: page cache
 * does not count. 0 where it cannot.
 */
uint64_t limits_room_at_least(const char *root);

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

/* One of RLIMIT_..., of this process, soft or hard, or LIMITS_NONE. */
uint64_t limits_resource(int resource, bool is_hard);

/* The soft RLIMIT_AS and RLIMIT_FSIZE of this process in bytes, or LIMITS_NONE. */
uint64_t limits_address_space(void);
uint64_t limits_file_size(void);

#endif
