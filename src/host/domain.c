#include "host/domain.h"

#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "host/affinity.h"
#include "host/kernel_file.h"

/* The most caches that are looked at; processors have four or five. */
#define CACHES_MAX 10

static void name_cpu(char path[PATH_MAX], const char *root, int cpu)
{
    snprintf(path, PATH_MAX, "%s/sys/devices/system/cpu/cpu%d", root, cpu);
}

static int package_of(const char *root, int cpu)
{
    char directory[PATH_MAX], path[PATH_MAX + 40];
    uint64_t number;

    name_cpu(directory, root, cpu);
    snprintf(path, sizeof path, "%s/topology/physical_package_id", directory);
    return kernel_file_number(path, &number) == 0 && number <= INT_MAX ? (int)number : 0;
}

/* The first processor of a list as "0-7,16-23" in the file at path; -1: there is none. */
static int first_of_list(const char *path)
{
    char line[4096];
    char *end;
    long first;

    if (kernel_file_line(path, line, sizeof line) != 0)
        return -1;
    first = strtol(line, &end, 10);
    return end != line && first >= 0 && first <= INT_MAX ? (int)first : -1;
}

/* Which index a cache has among those of a processor is nowhere said: its level is. */
static int cache_of(const char *root, int cpu)
{
    char directory[PATH_MAX], path[PATH_MAX + 40];
    uint64_t level;

    name_cpu(directory, root, cpu);
    for (int i = 0; i < CACHES_MAX; i++) {
        int first;

        snprintf(path, sizeof path, "%s/cache/index%d/level", directory, i);
        if (kernel_file_number(path, &level) != 0)
            break;
        if (level != 3)
            continue;
        snprintf(path, sizeof path, "%s/cache/index%d/shared_cpu_list", directory, i);
        first = first_of_list(path);
        return first >= 0 ? first : package_of(root, cpu);
    }
    return package_of(root, cpu);
}

/* A processor's directory has a link with the name of its node. */
static int node_of(const char *root, int cpu)
{
    char directory[PATH_MAX];
    const struct dirent *entry;
    int node = 0;
    DIR *open;

    name_cpu(directory, root, cpu);
    open = opendir(directory);
    while (open != NULL && (entry = readdir(open)) != NULL) {
        long number;

        if (strncmp(entry->d_name, "node", 4) == 0 &&
            parse_int(entry->d_name + 4, 0, INT_MAX, &number) == 0)
            node = (int)number;
    }
    if (open != NULL)
        closedir(open);
    return node;
}

int domain_of_cpu(const char *root, int cpu, enum domain domain)
{
    switch (domain) {
    case DOMAIN_NUMA:
        return node_of(root, cpu);
    case DOMAIN_L3:
        return cache_of(root, cpu);
    default:
        return package_of(root, cpu);
    }
}

int domain_here(enum domain domain)
{
    size_t bytes;
    cpu_set_t *mask = affinity_read(&bytes);
    int cpu = 0;

    if (mask == NULL)
        return 0;
    while ((size_t)cpu < bytes * CHAR_BIT && !CPU_ISSET_S((size_t)cpu, bytes, mask))
        cpu++;
    CPU_FREE(mask);
    return domain_of_cpu("", cpu, domain);
}
