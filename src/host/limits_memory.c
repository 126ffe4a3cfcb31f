#include "base/bits.h"
#include "host/limits.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "host/cgroup.h"
#include "host/kernel_file.h"
#include "sharedmem.h"

/* "Unlimited" of version 1 is the largest multiple of a page; no machine has half of that. */
#define MACHINE_UNKNOWN ((uint64_t)INT64_MAX / 2)

/* The files of a memory cgroup, by version. */
struct memory_files {
    const char *controller;
    const char *limit;
    const char *usage;
    const char *page_cache; /* what of usage the kernel gives back first, in memory.stat */
    const char *events;     /* has a line oom_kill */
};

static const struct memory_files memory_files[] = {
    {"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "memory.oom_control"},
    {NULL, "memory.max", "memory.current", "inactive_file", "memory.events"},
};

/* What the processes of a cgroup hold, without the page cache that goes as soon as they want more. */
static uint64_t memory_usage(const struct cgroup *cgroup, const struct memory_files *files)
{
    char path[PATH_MAX];
    uint64_t page_cache = 0;

    if (cgroup_file(cgroup, "memory.stat", path))
        kernel_file_field(path, files->page_cache, &page_cache);
    return bits_difference(cgroup_number(cgroup, files->usage, 0), page_cache);
}

static void name_source(char *source, size_t size, const struct cgroup *cgroup, size_t root_length,
                        const char *file)
{
    int written = snprintf(source, size, "%s/%s", cgroup->path + root_length, file);

    /* Of a path that is too long its end tells more than its beginning. */
    if (written >= (int)size)
        snprintf(source, size, ".../%s", file);
}

/* Narrows memory by one cgroup. machine: what the machine has; a limit above that is none. */
static void narrow(struct limits_memory *memory, uint64_t machine, const struct cgroup *cgroup,
                   const struct memory_files *files, size_t root_length)
{
    uint64_t limit = cgroup_number(cgroup, files->limit, LIMITS_NONE);
    uint64_t left;

    if (limit >= machine)
        return;
    left = bits_difference(limit, memory_usage(cgroup, files));
    if (limit < memory->total) {
        memory->total = limit;
        name_source(memory->total_source, sizeof memory->total_source, cgroup, root_length, files->limit);
    }
    if (left < memory->available) {
        memory->available = left;
        name_source(memory->available_source, sizeof memory->available_source, cgroup, root_length,
                    files->limit);
    }
}

/* What the machine has, whatever its cgroups say. */
static void read_machine(struct limits_memory *memory, const char *root)
{
    char path[PATH_MAX];

    *memory = (struct limits_memory){MACHINE_UNKNOWN, MACHINE_UNKNOWN, "machine", "machine"};
    if (snprintf(path, sizeof path, "%s/proc/meminfo", root) >= PATH_MAX)
        return;
    kernel_file_field(path, "MemTotal", &memory->total);
    memory->available = memory->total;
    kernel_file_field(path, "MemAvailable", &memory->available);
}

void limits_memory_read(const char *root, struct limits_memory *memory)
{
    struct cgroup cgroup;
    uint64_t machine;

    read_machine(memory, root);
    machine = memory->total;
    for (size_t i = 0; i < sizeof memory_files / sizeof memory_files[0]; i++) {
        const struct memory_files *files = &memory_files[i];

        for (bool is = cgroup_find(root, files->controller, &cgroup); is; is = cgroup_up(&cgroup))
            narrow(memory, machine, &cgroup, files, strlen(root));
    }
    if (memory->total == MACHINE_UNKNOWN)
        memory->total = memory->available = 0;
}

uint64_t limits_oom_kills(const char *root)
{
    struct cgroup cgroup;
    char path[PATH_MAX];
    uint64_t count, sum = 0;
    bool is_told = false;

    for (size_t i = 0; i < sizeof memory_files / sizeof memory_files[0]; i++) {
        if (!cgroup_find(root, memory_files[i].controller, &cgroup) ||
            !cgroup_file(&cgroup, memory_files[i].events, path) ||
            kernel_file_field(path, "oom_kill", &count) != 0)
            continue;
        is_told = true;
        sum += count;
    }
    if (!is_told && snprintf(path, sizeof path, "%s/proc/vmstat", root) < PATH_MAX)
        kernel_file_field(path, "oom_kill", &sum);
    return sum;
}

uint64_t sharedmem_total_memory(void)
{
    struct limits_memory memory;

    limits_memory_read("", &memory);
    return memory.total;
}

uint64_t sharedmem_available_memory(void)
{
    struct limits_memory memory;

    limits_memory_read("", &memory);
    return memory.available;
}
