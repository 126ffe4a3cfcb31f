/*
 * cgroup.h: the control groups that this process is in, from its own up to the top of what is mounted.
 *
 *     for (bool found = cgroup_find(root, "memory", &cgroup); found; found = cgroup_up(&cgroup))
 *         ... files below cgroup.path ...
 */
#ifndef HOST_CGROUP_H
#define HOST_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cgroup {
    char path[PATH_MAX]; /* its folder, root in front */
    size_t top;          /* how much of path is the mount point */
};

/*
 * From now on what the kernel tells of this process's cgroups and their mounts is read once and kept: for a
 * program that ends before it could be moved to others. The reading takes longer than all the rest. One thread.
 */
void cgroup_keep(void);

/*
 * Finds the cgroup of this process.
 *
 * root: "" for this machine; a folder with proc/ and sys/ below it, recorded from another, for tests.
 * controller: of version 1 ("memory", "cpu"); NULL is version 2.
 * In a container that sees its own part of the hierarchy only, it is the highest that is seen.
 * Returns whether there is one.
 */
bool cgroup_find(const char *root, const char *controller, struct cgroup *cgroup);

/* Moves to the parent. Returns false at the top. */
bool cgroup_up(struct cgroup *cgroup);

/* Writes the path of one of its files into path. Returns false where it does not fit. */
bool cgroup_file(const struct cgroup *cgroup, const char *name, char path[PATH_MAX]);

/* The number that one of its files holds; otherwise where there is none. */
uint64_t cgroup_number(const struct cgroup *cgroup, const char *name, uint64_t otherwise);

#endif
