/* Which node, cache and package a processor is of, on made-up machines; and that this one's are found. */
#include "host/domain.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/affinity.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* Files of a made-up machine, in this order made, and the other way round removed; a text of NULL is a folder. */
static const struct {
    const char *path, *text;
} files[] = {
    {"", NULL},
    {"/sys", NULL},
    {"/sys/devices", NULL},
    {"/sys/devices/system", NULL},
    {"/sys/devices/system/cpu", NULL},
    /* All there is. */
    {"/sys/devices/system/cpu/cpu5", NULL},
    {"/sys/devices/system/cpu/cpu5/node3", NULL},
    {"/sys/devices/system/cpu/cpu5/topology", NULL},
    {"/sys/devices/system/cpu/cpu5/topology/physical_package_id", "1\n"},
    {"/sys/devices/system/cpu/cpu5/cache", NULL},
    {"/sys/devices/system/cpu/cpu5/cache/index0", NULL},
    {"/sys/devices/system/cpu/cpu5/cache/index0/level", "1\n"},
    {"/sys/devices/system/cpu/cpu5/cache/index0/shared_cpu_list", "5\n"},
    {"/sys/devices/system/cpu/cpu5/cache/index1", NULL},
    {"/sys/devices/system/cpu/cpu5/cache/index1/level", "2\n"},
    {"/sys/devices/system/cpu/cpu5/cache/index1/shared_cpu_list", "5\n"},
    {"/sys/devices/system/cpu/cpu5/cache/index2", NULL},
    {"/sys/devices/system/cpu/cpu5/cache/index2/level", "3\n"},
    {"/sys/devices/system/cpu/cpu5/cache/index2/shared_cpu_list", "4-7,20-23\n"},
    /* No L3, and no node. */
    {"/sys/devices/system/cpu/cpu6", NULL},
    {"/sys/devices/system/cpu/cpu6/topology", NULL},
    {"/sys/devices/system/cpu/cpu6/topology/physical_package_id", "2\n"},
    {"/sys/devices/system/cpu/cpu6/cache", NULL},
    {"/sys/devices/system/cpu/cpu6/cache/index0", NULL},
    {"/sys/devices/system/cpu/cpu6/cache/index0/level", "1\n"},
    /* A package that the firmware does not know, and an L3 of nobody. */
    {"/sys/devices/system/cpu/cpu7", NULL},
    {"/sys/devices/system/cpu/cpu7/nodes", NULL},
    {"/sys/devices/system/cpu/cpu7/topology", NULL},
    {"/sys/devices/system/cpu/cpu7/topology/physical_package_id", "-1\n"},
    {"/sys/devices/system/cpu/cpu7/cache", NULL},
    {"/sys/devices/system/cpu/cpu7/cache/index0", NULL},
    {"/sys/devices/system/cpu/cpu7/cache/index0/level", "3\n"},
    {"/sys/devices/system/cpu/cpu7/cache/index0/shared_cpu_list", "\n"},
};

static void name(char path[PATH_MAX], const char *root, size_t i)
{
    snprintf(path, PATH_MAX, "%s%s", root, files[i].path);
}

static void make(const char *root)
{
    char path[PATH_MAX];

    for (size_t i = 1; i < COUNT_OF(files); i++) {
        FILE *file;

        name(path, root, i);
        if (files[i].text == NULL) {
            mkdir(path, 0700);
            continue;
        }
        file = fopen(path, "w");
        fputs(files[i].text, file);
        fclose(file);
    }
}

static void remove_all(const char *root)
{
    char path[PATH_MAX];

    for (size_t i = COUNT_OF(files); i-- > 0;) {
        name(path, root, i);
        remove(path);
    }
}

static const struct {
    const char *name;
    int cpu, node, cache, package;
} cpus[] = {
    {"all is told", 5, 3, 4, 1},
    {"no L3 and no node", 6, 0, 2, 2},
    {"nonsense", 7, 0, 0, 0},
    {"no such processor", 8, 0, 0, 0},
};

/* Bound to one processor, a thread has the domain of that. */
static void test_here(void)
{
    size_t bytes;
    cpu_set_t *mask = affinity_read(&bytes), *one = affinity_read(&bytes);
    int wrong = 0;

    for (int cpu = 0; cpu < (int)bytes * CHAR_BIT; cpu++) {
        if (!CPU_ISSET_S((size_t)cpu, bytes, mask))
            continue;
        CPU_ZERO_S(bytes, one);
        CPU_SET_S((size_t)cpu, bytes, one);
        if (affinity_write(one, bytes) != 0)
            continue;
        for (enum domain domain = DOMAIN_NUMA; domain <= DOMAIN_PACKAGE; domain++)
            wrong += domain_here(domain) != domain_of_cpu("", cpu, domain);
    }
    affinity_write(mask, bytes);
    test_int(0, wrong, "a thread is where it is bound to");
    test_ok(domain_here(DOMAIN_NUMA) >= 0 && domain_here(DOMAIN_L3) >= 0 && domain_here(DOMAIN_PACKAGE) >= 0,
            "this machine's");
    CPU_FREE(mask);
    CPU_FREE(one);
}

int main(void)
{
    char root[] = "/tmp/domain-XXXXXX";

    test_begin(20);
    if (mkdtemp(root) == NULL)
        test_skip_all("no folder for a made-up machine");
    make(root);
    for (size_t i = 0; i < COUNT_OF(cpus); i++) {
        test_int(cpus[i].node, domain_of_cpu(root, cpus[i].cpu, DOMAIN_NUMA), "%s: node", cpus[i].name);
        test_int(cpus[i].cache, domain_of_cpu(root, cpus[i].cpu, DOMAIN_L3), "%s: cache", cpus[i].name);
        test_int(cpus[i].package, domain_of_cpu(root, cpus[i].cpu, DOMAIN_PACKAGE), "%s: package", cpus[i].name);
    }
    remove_all(root);
    test_here();
    return test_end();
}
