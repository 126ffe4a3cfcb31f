/* What the system makes of huge pages for shared memory. */
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "host/kernel_file.h"
#include "host/pages.h"

#define FOLDER "/sys/kernel/mm/transparent_hugepage"

/* What the kernel may have chosen. The empty one: it has no such choice, or does not tell. */
static const char *const settings[] = {"",      "always", "within_size", "advise",
                                       "never", "deny",   "force",       "inherit"};

/* The word in brackets of a line like "always advise [never]". */
static const char *read_choice(const char *root, const char *file)
{
    char path[PATH_MAX], line[256], choice[32];

    if (snprintf(path, sizeof path, "%s" FOLDER "/%s", root, file) >= (int)sizeof path ||
        kernel_file_line(path, line, sizeof line) != 0)
        return settings[0];
    for (size_t i = 1; i < sizeof settings / sizeof settings[0]; i++) {
        snprintf(choice, sizeof choice, "[%s]", settings[i]);
        if (strstr(line, choice) != NULL)
            return settings[i];
    }
    return settings[0];
}

/* deny and force are for tests of the kernel, and beat what newer kernels have for each size. */
const char *pages_huge_setting(const char *root)
{
    const char *setting = read_choice(root, "shmem_enabled");
    const char *of_size = read_choice(root, "hugepages-2048kB/shmem_enabled");

    if (strcmp(setting, "deny") == 0 || strcmp(setting, "force") == 0)
        return setting;
    return of_size[0] == '\0' || strcmp(of_size, "inherit") == 0 ? setting : of_size;
}

bool pages_huge_is_allowed(const char *setting)
{
    return setting[0] != '\0' && strcmp(setting, "never") != 0 && strcmp(setting, "deny") != 0;
}

/* 0: not looked yet; 1: no; 2: yes. relaxed: who sees it unset looks itself. */
static atomic_int wanted;

void pages_huge_set(bool is_wanted)
{
    atomic_store_explicit(&wanted, is_wanted ? 2 : 1, memory_order_relaxed);
}

void pages_huge_look(const char *root)
{
    pages_huge_set(pages_huge_is_allowed(pages_huge_setting(root)));
}

bool pages_huge_is_wanted(void)
{
    if (atomic_load_explicit(&wanted, memory_order_relaxed) == 0)
        pages_huge_look("");
    return atomic_load_explicit(&wanted, memory_order_relaxed) == 2;
}

uint64_t pages_huge_bytes(void)
{
    uint64_t bytes = 0;

    kernel_file_field("/proc/self/smaps_rollup", "ShmemPmdMapped", &bytes);
    return bytes;
}
