/*
 * cgroup.h: a small memory cgroup of the test's own, of version 1 or 2, where the machine lets it have one. It
 * takes root, and cgroups that are writable.
 */
#ifndef T_CGROUP_H
#define T_CGROUP_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#define CGROUP_LIMIT ((size_t)96 << 20)

static char cgroup_folder[256];

static inline bool is_first_version(void)
{
    return access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK) == 0;
}

static inline const char *cgroup_top(void)
{
    return is_first_version() ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
}

static inline bool write_file(const char *folder, const char *name, const char *text)
{
    char path[512];
    bool is_written;
    int fd;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return is_written;
}

/* Puts the calling process into a folder's cgroup. */
static inline bool cgroup_enter(const char *folder)
{
    char self[32];

    snprintf(self, sizeof self, "%d", (int)getpid());
    return write_file(folder, "cgroup.procs", self);
}

static inline bool cgroup_make(const char *name)
{
    char limit[32];

    snprintf(cgroup_folder, sizeof cgroup_folder, "%s/%s-%d", cgroup_top(), name, (int)getpid());
    snprintf(limit, sizeof limit, "%zu", CGROUP_LIMIT);
    if (mkdir(cgroup_folder, 0700) != 0)
        return false;
    if (write_file(cgroup_folder, is_first_version() ? "memory.limit_in_bytes" : "memory.max", limit))
        return true;
    rmdir(cgroup_folder);
    return false;
}

/* Nobody may be in it. */
static inline void test_cgroup_gone(void)
{
    test_int(0, rmdir(cgroup_folder), "the cgroup is gone again");
}

#endif
