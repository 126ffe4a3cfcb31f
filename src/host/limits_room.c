/* How much more memory can be had, and which limit says so. */
#include "base/bits.h"
#include "host/limits.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/text.h"
#include "host/cgroup.h"
#include "host/clock.h"
#include "host/kernel_file.h"

/* The files of a memory cgroup, by version. swap_limit: of memory and swap together in version 1. */
struct room_files {
    const char *controller;
    const char *limit, *usage;
    const char *swap_limit, *swap_usage;
    const char *page_cache[2]; /* what of usage the kernel gives back when it is needed, in memory.stat */
    bool is_swap_apart;        /* swap_limit is of swap alone */
};

static const struct room_files room_files[] = {
    {"memory",
     "memory.limit_in_bytes",
     "memory.usage_in_bytes",
     "memory.memsw.limit_in_bytes",
     "memory.memsw.usage_in_bytes",
     {"total_inactive_file", "total_active_file"},
     false},
    {NULL,
     "memory.max",
     "memory.current",
     "memory.swap.max",
     "memory.swap.current",
     {"inactive_file", "active_file"},
     true},
};

#define UNLIMITED_NS ((uint64_t)2000000000)

/* The fields of a file that have these keys; those that it lacks stay. Reading it once counts: it may be long. */
static void read_fields(const char *path, const char *const *keys, uint64_t *const *values, size_t n)
{
    FILE *file = fopen(path, "re");
    char line[256];

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        size_t length = strcspn(line, ": ");

        for (size_t i = 0; i < n; i++) {
            if (strlen(keys[i]) == length && strncmp(line, keys[i], length) == 0)
                parse_size(line + length + 1, values[i]);
        }
    }
    if (file != NULL)
        fclose(file);
}

/* What meminfo says, in bytes; 0 where it does not. */
struct machine {
    uint64_t total, available, swap, commit_limit, committed;
    bool is_read;
};

/* Without files: what is free, without the page cache. */
static void ask_machine(struct machine *machine)
{
    struct sysinfo info;

    if (sysinfo(&info) != 0)
        return;
    machine->total = (uint64_t)info.totalram * info.mem_unit;
    machine->available = (uint64_t)info.freeram * info.mem_unit;
    machine->swap = (uint64_t)info.freeswap * info.mem_unit;
}

static void read_machine(const char *root, struct machine *machine)
{
    static const char *const keys[] = {"MemTotal", "MemAvailable", "SwapFree", "CommitLimit", "Committed_AS"};
    char path[PATH_MAX];

    *machine = (struct machine){0};
    if (snprintf(path, sizeof path, "%s/proc/meminfo", root) < PATH_MAX)
        read_fields(path, keys,
                    (uint64_t *const[]){&machine->total, &machine->available, &machine->swap,
                                        &machine->commit_limit, &machine->committed},
                    sizeof keys / sizeof *keys);
    machine->is_read = machine->available != 0;
    if (!machine->is_read && root[0] == '\0')
        ask_machine(machine);
}

/* Whether the system counts what is promised, and refuses pages beyond its limit. */
static bool is_commit_limited(const char *root)
{
    char path[PATH_MAX];
    uint64_t mode = 0;

    if (snprintf(path, sizeof path, "%s/proc/sys/vm/overcommit_memory", root) < PATH_MAX)
        kernel_file_number(path, &mode);
    return mode == 2;
}

static void narrow_by_machine(struct limits_room *room, const struct machine *machine)
{
    char total[TEXT_BYTES_SIZE], available[TEXT_BYTES_SIZE], swap[TEXT_BYTES_SIZE];

    room->bytes = machine->available + machine->swap;
    room->by = LIMITS_BY_MACHINE;
    snprintf(room->limit, sizeof room->limit, "the machine (%s of memory, %s available, %s of swap free)",
             text_bytes(total, machine->total), text_bytes(available, machine->available),
             text_bytes(swap, machine->swap));
}

static void narrow_by_commit(struct limits_room *room, const struct machine *machine)
{
    uint64_t left = bits_difference(machine->commit_limit, machine->committed);
    char limit[TEXT_BYTES_SIZE], used[TEXT_BYTES_SIZE];

    if (machine->commit_limit == 0 || left >= room->bytes)
        return;
    room->bytes = left;
    room->by = LIMITS_BY_COMMIT;
    snprintf(room->limit, sizeof room->limit,
             "the machine's commit limit (vm.overcommit_memory 2: CommitLimit %s, Committed_AS %s)",
             text_bytes(limit, machine->commit_limit), text_bytes(used, machine->committed));
}

static uint64_t page_cache_of(const struct cgroup *cgroup, const struct room_files *files)
{
    uint64_t inactive = 0, active = 0;
    char path[PATH_MAX];

    if (cgroup_file(cgroup, "memory.stat", path))
        read_fields(path, files->page_cache, (uint64_t *const[]){&inactive, &active}, 2);
    /* What is in use just now comes back when it was taken: where all of that goes, the system would rather kill. */
    return inactive + active / 2;
}

static void say_cgroup(struct limits_room *room, const struct cgroup *cgroup, const char *file,
                       uint64_t limit, uint64_t used)
{
    char limit_text[TEXT_BYTES_SIZE], used_text[TEXT_BYTES_SIZE], name[200];

    text_copy_end(name, sizeof name, cgroup->path[cgroup->top] != '\0' ? cgroup->path + cgroup->top : "/");
    snprintf(room->limit, sizeof room->limit, "cgroup %s (%s %s, %s used)", name, file,
             text_bytes(limit_text, limit), text_bytes(used_text, used));
}

/* Narrows room by one limit of a cgroup. more: what can be had beyond it, in swap. */
static void narrow_by_limit(struct limits_room *room, const struct cgroup *cgroup, const char *file,
                            uint64_t limit, uint64_t used, uint64_t more)
{
    uint64_t left = bits_difference(limit, used) + more;

    if (left >= room->bytes)
        return;
    room->bytes = left;
    room->by = LIMITS_BY_CGROUP;
    say_cgroup(room, cgroup, file, limit, used);
}

static void narrow_by_cgroup(struct limits_room *room, const struct cgroup *cgroup,
                             const struct room_files *files, const struct machine *machine)
{
    uint64_t limit = cgroup_number(cgroup, files->limit, LIMITS_NONE);
    uint64_t swap = machine->swap, swap_limit, cache;

    /* "Unlimited" of version 1 is a number that no machine has; a limit above the machine's memory is none. */
    if (machine->total != 0 && limit >= machine->total + swap)
        return;
    if (limit == LIMITS_NONE || limit > (uint64_t)INT64_MAX / 2)
        return;
    room->has_cgroup = true;
    cache = page_cache_of(cgroup, files);
    swap_limit = cgroup_number(cgroup, files->swap_limit, LIMITS_NONE);
    if (files->is_swap_apart && swap_limit != LIMITS_NONE)
        swap = bits_smaller(swap, bits_difference(swap_limit, cgroup_number(cgroup, files->swap_usage, 0)));
    narrow_by_limit(room, cgroup, files->limit, limit,
                    bits_difference(cgroup_number(cgroup, files->usage, 0), cache), swap);
    if (!files->is_swap_apart && swap > 0 && swap_limit != LIMITS_NONE)
        narrow_by_limit(room, cgroup, files->swap_limit, swap_limit,
                        bits_difference(cgroup_number(cgroup, files->swap_usage, 0), cache), 0);
}

static void narrow_by_cgroups(const char *root, struct limits_room *room, const struct machine *machine)
{
    struct cgroup cgroup;

    for (size_t i = 0; i < sizeof room_files / sizeof *room_files; i++) {
        for (bool is = cgroup_find(root, room_files[i].controller, &cgroup); is; is = cgroup_up(&cgroup))
            narrow_by_cgroup(room, &cgroup, &room_files[i], machine);
    }
}

/*
 * Until when it is taken for granted that this process has no limit but the machine: reading the cgroups takes
 * ten times as long as reading the machine, and limits seldom come when the program is running.
 */
static _Atomic uint64_t unlimited_until_ns;
static _Atomic pid_t unlimited_pid; /* a forked child may have been put elsewhere */

static bool is_unlimited(const char *root)
{
    return root[0] == '\0' && atomic_load_explicit(&unlimited_pid, memory_order_relaxed) == getpid() &&
           clock_monotonic_ns() < atomic_load_explicit(&unlimited_until_ns, memory_order_relaxed);
}

static void note_unlimited(bool is)
{
    atomic_store_explicit(&unlimited_until_ns, is ? clock_monotonic_ns() + UNLIMITED_NS : 0,
                          memory_order_relaxed);
    atomic_store_explicit(&unlimited_pid, getpid(), memory_order_relaxed);
}

/* Files that are there but cannot be opened now tell nothing, least of all that there is no limit. */
static bool was_kept_from_reading(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EACCES;
}

/* Narrows room by all limits but the machine's. */
static void narrow(const char *root, struct limits_room *room, const struct machine *machine)
{
    bool by_commit = is_commit_limited(root);

    if (by_commit)
        narrow_by_commit(room, machine);
    errno = 0;
    narrow_by_cgroups(root, room, machine);
    if (root[0] == '\0')
        note_unlimited(!by_commit && !room->has_cgroup && machine->is_read && !was_kept_from_reading(errno));
}

static void read_room(const char *root, struct limits_room *room)
{
    struct machine machine;

    *room = (struct limits_room){.bytes = LIMITS_NONE, .by = LIMITS_BY_NOTHING, .limit = "no limit"};
    read_machine(root, &machine);
    if (machine.available != 0)
        narrow_by_machine(room, &machine);
    if (!is_unlimited(root))
        narrow(root, room, &machine);
}

/* A caller may hold a lock: a thread that is cancelled in here would never give it back. */
void limits_room_read(const char *root, struct limits_room *room)
{
    int before, saved_errno = errno;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    read_room(root, room);
    errno = saved_errno;
    pthread_setcancelstate(before, NULL);
}

uint64_t limits_room_at_least(const char *root)
{
    struct sysinfo info;

    if (!is_unlimited(root) || sysinfo(&info) != 0)
        return 0;
    return (uint64_t)info.freeram * info.mem_unit;
}
