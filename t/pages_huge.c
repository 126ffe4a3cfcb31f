/* Huge pages: what the kernel says of them, on machines recorded in t/machines, and what is done about it. */
#include "host/pages.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory/heap.h"
#include "memory/memory.h"
#include "tap.h"

#define MIB ((size_t)1 << 20)

static const struct {
    const char *machine;
    const char *setting;
    bool is_allowed;
} machines[] = {
    {"huge-advise", "advise", true},
    {"huge-never", "never", false},
    {"huge-inherit", "within_size", true},
    /* A kernel with a choice for each size: that for 2 MiB counts, */
    {"huge-always-2M", "always", true},
    /* but these two beat it. */
    {"huge-deny", "deny", false},
    {"huge-force", "force", true},
    /* Before Linux 4.8, or built without: nothing is said. */
    {"huge-old", "", false},
    {"huge-odd", "", false},
    {"no-such-machine", "", false},
};

static const char *root_of(const char *machine)
{
    static char root[PATH_MAX];
    const char *srcdir = getenv("srcdir");

    snprintf(root, sizeof root, "%s/t/machines/%s", srcdir != NULL ? srcdir : ".", machine);
    return root;
}

static void test_settings(void)
{
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        const char *setting = pages_huge_setting(root_of(machines[i].machine));

        test_str(machines[i].setting, setting, "%s: what the kernel says", machines[i].machine);
        test_int(machines[i].is_allowed, pages_huge_is_allowed(setting), "whether it gives any");
        pages_huge_look(root_of(machines[i].machine));
        test_int(machines[i].is_allowed, pages_huge_is_wanted(), "and so whether they are asked for");
    }
}

/* Whether the mapping at address has asked for huge pages, by its flags in the kernel's words. */
static bool has_asked(const void *address)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    unsigned long begin, end;
    bool is_here = false, has = false;
    char line[512];

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
            is_here = begin <= (unsigned long)address && (unsigned long)address < end;
        else if (is_here && strncmp(line, "VmFlags:", 8) == 0)
            has = strstr(line, " hg") != NULL;
    }
    if (file != NULL)
        fclose(file);
    return has;
}

/* A kernel without huge pages refuses them even as a wish. */
static bool knows_advice(void)
{
    char *page = mmap(NULL, 4 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool knows = madvise(page, 4 * MIB, MADV_HUGEPAGE) == 0;

    munmap(page, 4 * MIB);
    return knows;
}

static void test_mapping(const char *machine, bool asks)
{
    static const char header[] = "huge";
    int fd = pages_create(4 * MIB, header, sizeof header);
    void *base;

    pages_huge_look(root_of(machine));
    base = pages_map(fd, 4 * MIB);
    test_int(asks, has_asked(base), "%s: a mapping asks for huge pages, or not", machine);
    pages_unmap(base, 4 * MIB);
    close(fd);
}

static size_t place_in_huge(const void *block)
{
    return (uintptr_t)block % PAGES_HUGE_BYTES;
}

static const struct {
    size_t bytes;
    bool is_aligned;
} blocks[] = {
    {MIB, false}, {2 * MIB, true}, {2 * MIB + 1, true}, {3 * MIB, true}, {5 * MIB, true},
};

/* Behind a block of one page nothing is at a multiple of 2 MiB by chance. */
static void test_blocks(const char *machine, bool is_allowed)
{
    pages_huge_look(root_of(machine));
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        void *small = heap_alloc(8192, 64), *large = heap_alloc(blocks[i].bytes, 64);

        if (is_allowed && blocks[i].is_aligned)
            test_int(0, (long long)place_in_huge(large), "%s: a block of %zu begins at 2 MiB", machine,
                     blocks[i].bytes);
        else
            test_ok(place_in_huge(large) != 0, "%s: one of %zu wastes nothing", machine, blocks[i].bytes);
        heap_free(large);
        heap_free(small);
    }
}

/* A heap with no room at a multiple of 2 MiB has room for a block all the same. */
static void test_tight(void)
{
    void *filler[64], *large;
    struct heap_statistics statistics;
    int n = 0;

    pages_huge_look(root_of("huge-advise"));
    heap_statistics_read(&statistics);
    while (n < 64 && (filler[n] = heap_alloc(2 * MIB - 4096, 64)) != NULL)
        n++;
    test_ok(n > 0 && n < 64, "%d blocks fill the heap", n);
    heap_free(filler[0]);
    heap_free(filler[1]);
    large = heap_alloc(3 * MIB, 64);
    test_ok(large != NULL, "in a tight place a block begins where it can");
    heap_free(large);
    while (n > 2)
        heap_free(filler[--n]);
    test_int(0, heap_check(NULL), "and the heap is whole");
}

static void test_bytes(void)
{
    char *memory = heap_alloc(8 * MIB, 64);

    memset(memory, 1, 8 * MIB);
    if (pages_huge_is_allowed(pages_huge_setting("")))
        test_note("%llu KiB of 8 MiB are huge", (unsigned long long)pages_huge_bytes() >> 10);
    else
        test_int(0, (long long)pages_huge_bytes(), "this machine gives none, and none is counted");
    heap_free(memory);
}

/* ---- Populating ---- */

static void test_populate(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int fd = pages_create(2 * MIB, "", 1);
    char *base = pages_map_begin(fd, 2 * MIB);
    char *beyond = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    errno = EDOM;
    test_int(0, pages_populate(base, 2 * MIB), "pages are populated");
    test_int(0, pages_populate(base + 1, 2 * MIB - 2), "again, from the middle of one to that of another");
    test_int(EDOM, errno, "errno is kept");
    test_int(0, base[2 * MIB - 1], "they are zero");
    base[page] = 'x';
    test_int(0, pages_populate(base, 2 * MIB), "and once more");
    test_int('x', base[page], "what is there stays");
    pages_unmap(base, 2 * MIB);
    if (madvise(beyond, page, 23) != 0) {
        test_skip("this kernel does not populate");
    } else {
        test_int(-1, pages_populate(beyond + 2 * MIB, page), "what could only be a SIGBUS is refused");
        test_int(ENOMEM, errno, "as memory that is not there");
    }
    munmap(beyond, 4 * MIB);
    close(fd);
}

int main(void)
{
    test_begin(30);
    setenv("SHAREDMEM_HEAP", "32M", 1);
    test_settings();
    if (knows_advice()) {
        test_mapping("huge-advise", true);
        test_mapping("huge-never", false);
    } else {
        test_skip("this kernel has no huge pages");
    }
    if (memory_enter(NULL) == 0) {
        test_blocks("huge-never", false);
        test_blocks("huge-advise", true);
        test_tight();
        test_bytes();
    }
    test_populate();
    return test_end();
}
