#include "host/speeds.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "host/kernel_file.h"

/* Machines with several kinds of cores are small. In large ones reading all would take longer than all the rest. */
#define MAX_PROCESSORS 64

static bool read_capacity(const char *root, int processor, uint64_t *capacity)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/cpu_capacity", root, processor);
    return kernel_file_number(path, capacity) == 0;
}

bool speeds_differ(const char *root)
{
    char path[PATH_MAX];
    uint64_t first, other;

    snprintf(path, sizeof path, "%s/sys/devices/cpu_atom/cpus", root);
    if (access(path, F_OK) == 0)
        return true;
    if (!read_capacity(root, 0, &first))
        return false;
    /* Those that are offline have one, too. */
    for (int i = 1; i < MAX_PROCESSORS && read_capacity(root, i, &other); i++) {
        if (other != first)
            return true;
    }
    return false;
}
