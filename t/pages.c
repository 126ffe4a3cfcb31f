/* Shared pages: sealed, aligned, out of core files, never over what is there, given back in whole pages. */
#include "host/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define SIZE            (4 * PAGES_HUGE_BYTES)

static const char header[] = "the head of a segment";
static size_t page;

static bool all_are(const char *bytes, size_t size, char value)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != value)
            return false;
    }
    return true;
}

static int create(void)
{
    return pages_create(SIZE, header, sizeof header);
}

/* ---- Created ---- */

static void test_create(void)
{
    int fd = create();
    char *base;

    if (!test_ok(fd >= 0, "shared pages are created"))
        return;
    test_ok(fcntl(fd, F_GETFD) & FD_CLOEXEC, "programs that are executed do not get them");
    base = pages_map(fd, SIZE);
    if (test_ok(base != NULL, "they are mapped")) {
        test_str(header, base, "the header stands at their beginning");
        test_ok(all_are(base + sizeof header, SIZE - sizeof header, 0), "all behind it is zero");
        pages_unmap(base, SIZE);
    }
    close(fd);
}

static void test_seals(void)
{
    int fd = create();

    errno = 0;
    test_int(-1, ftruncate(fd, (off_t)SIZE - 4096), "they cannot shrink");
    test_int(EPERM, errno, "by their seals");
    errno = 0;
    test_int(-1, ftruncate(fd, (off_t)SIZE + 4096), "they cannot grow");
    test_int(EPERM, errno, "by their seals");
    errno = 0;
    test_int(-1, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), "no seal can be added");
    test_int(EPERM, errno, "by their seals");
    close(fd);
}

static void test_create_fails(void)
{
    int fds = test_fds();

    errno = 0;
    test_int(-1, pages_create(UINT64_MAX, header, sizeof header), "a size that no file can have is refused");
    test_int(EINVAL, errno, "with errno");
    test_int(fds, test_fds(), "and nothing stays open");
}

/* ---- Inspected ---- */

static int open_sealed(unsigned seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (ftruncate(fd, (off_t)SIZE) != 0 || (seals != 0 && fcntl(fd, F_ADD_SEALS, seals) != 0))
        test_ok(false, "a memfd is sealed");
    return fd;
}

static int open_unsealable(void)
{
    return memfd_create("test", MFD_CLOEXEC);
}

static int open_unsealed(void)
{
    return open_sealed(0);
}

static int open_growable(void)
{
    return open_sealed(F_SEAL_SHRINK | F_SEAL_SEAL);
}

static int open_shrinkable(void)
{
    return open_sealed(F_SEAL_GROW | F_SEAL_SEAL);
}

static int open_resealable(void)
{
    return open_sealed(F_SEAL_SHRINK | F_SEAL_GROW);
}

static int open_file(void)
{
    char path[] = "pages-XXXXXX";
    int fd = mkstemp(path);

    unlink(path);
    return fd;
}

static int open_directory(void)
{
    return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_pipe(void)
{
    int ends[2];

    if (pipe(ends) != 0)
        return -1;
    close(ends[1]);
    return ends[0];
}

static int open_nothing(void)
{
    return -1;
}

static const struct {
    const char *name;
    int (*open)(void);
} strangers[] = {
    {"a closed fd", open_nothing},
    {"a pipe", open_pipe},
    {"a directory", open_directory},
    {"a plain file", open_file},
    {"a memfd that cannot be sealed", open_unsealable},
    {"a memfd without seals", open_unsealed},
    {"a memfd that can grow", open_growable},
    {"a memfd that can shrink", open_shrinkable},
    {"a memfd that can be sealed further", open_resealable},
};

static void test_inspect(void)
{
    uint64_t size = 4711;
    int fd;

    for (size_t i = 0; i < COUNT_OF(strangers); i++) {
        fd = strangers[i].open();
        errno = 0;
        test_int(-1, pages_inspect(fd, &size), "%s is refused", strangers[i].name);
        test_int(EBADF, errno, "with errno");
        test_ok(size == 4711, "and no size");
        if (fd >= 0)
            close(fd);
    }
    fd = create();
    test_int(0, pages_inspect(fd, &size), "what pages_create() made is good");
    test_ok(size == SIZE, "it has its size");
    close(fd);
}

/* ---- Mapped ---- */

/* Whether the kernel's flags of the mapping at address have flag, two letters. */
static bool has_vm_flag(const void *address, const char *flag)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    char line[4096], begin[32];
    bool inside = false, found = false;

    snprintf(begin, sizeof begin, "%08lx-", (unsigned long)(uintptr_t)address);
    while (smaps != NULL && fgets(line, sizeof line, smaps) != NULL) {
        if (strncmp(line, begin, strlen(begin)) == 0)
            inside = true;
        if (!inside || strncmp(line, "VmFlags:", 8) != 0)
            continue;
        line[strcspn(line, "\n")] = ' ';
        found = strstr(line, flag) != NULL;
        break;
    }
    if (smaps != NULL)
        fclose(smaps);
    return found;
}

static unsigned long address_space_bytes(void)
{
    FILE *statm = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;

    if (statm == NULL || fscanf(statm, "%lu", &pages) != 1)
        test_ok(false, "/proc/self/statm is read");
    if (statm != NULL)
        fclose(statm);
    return pages * page;
}

static void test_map(void)
{
    int fd = create();
    char *one = pages_map(fd, SIZE), *other = pages_map(fd, SIZE);

    test_ok(one != NULL && other != NULL && one != other, "shared pages are mapped twice");
    test_ok((uintptr_t)one % PAGES_HUGE_BYTES == 0, "the first is aligned to huge pages");
    test_ok((uintptr_t)other % PAGES_HUGE_BYTES == 0, "the second too");
    test_ok(has_vm_flag(one, " dd "), "they are not part of core files");
    one[SIZE - 1] = 'x';
    test_int('x', other[SIZE - 1], "both show the same memory");
    pages_unmap(one, SIZE);
    pages_unmap(other, SIZE);
    close(fd);
    errno = 0;
    test_ok(pages_map(fd, SIZE) == NULL, "a closed fd is not mapped");
    test_int(EBADF, errno, "with errno");
}

/* A mapping is searched in a larger room; what stayed of it would add up to at least 2 MiB a round. */
static void test_map_leaves_nothing(void)
{
    const int rounds = 100;
    unsigned long before = address_space_bytes(), after;
    int fd = create();

    for (int i = 0; i < rounds; i++) {
        pages_unmap(pages_map(fd, SIZE), SIZE);
        pages_map(-1, SIZE);
    }
    after = address_space_bytes();
    test_ok(after < before + rounds * PAGES_HUGE_BYTES, "of %d mappings and unmappings nothing stays",
            rounds);
    close(fd);
}

static void test_map_at_taken(void)
{
    int fd = create(), other = create();
    char *base = pages_map(fd, SIZE);

    base[page] = 'x';
    test_ok(!pages_map_at(other, SIZE, base), "a taken address is refused");
    test_ok(!pages_map_at(other, SIZE, base - PAGES_HUGE_BYTES), "and one before it, too near");
    test_ok(!pages_map_at(other, SIZE, base + SIZE - page), "and one whose first page is taken");
    test_int('x', base[page], "what was there is as it was");
    base[page] = 'y';
    test_int('y', base[page], "and can be written");
    pages_unmap(base, SIZE);
    close(fd);
    close(other);
}

static void test_map_at_free(void)
{
    int fd = create();
    char *base = pages_map(fd, SIZE);

    pages_unmap(base, SIZE);
    if (test_under_valgrind()) {
        test_skip("valgrind puts mappings where it likes");
    } else if (test_ok(pages_map_at(fd, SIZE, base), "a free address is taken")) {
        test_str(header, base, "the pages are seen there");
        test_ok(has_vm_flag(base, " dd "), "they are not part of core files");
        pages_unmap(base, SIZE);
    }
    test_ok(!pages_map_at(-1, SIZE, base), "a closed fd is refused");
    close(fd);
}

static void test_shared_with_child(void)
{
    int fd = create(), status;
    char *base = pages_map(fd, SIZE);
    pid_t child = fork();

    if (child == 0) {
        base[page] = 'c';
        test_child_exit(0);
    }
    waitpid(child, &status, 0);
    test_int('c', base[page], "what a child writes is seen");
    pages_unmap(base, SIZE);
    close(fd);
}

/* ---- Given back ---- */

/* A range of six pages, begin and end in bytes, of which pages first to last - 1 are given back. */
static const struct {
    const char *name;
    long begin, end;
    long first, last;
    bool whole;
} punches[] = {
    {"nothing", 0, 0, 0, 0, false},
    {"a part of a page", 4096 + 64, 4096 + 128, 0, 0, false},
    {"all but the last byte of a page", 4096, 8191, 0, 0, false},
    {"the halves of two pages", 4096 + 2048, 8192 + 2048, 0, 0, false},
    {"two pages and a byte before", 4095, 3 * 4096, 1, 3, false},
    {"two pages and a byte behind", 4096, 3 * 4096 + 1, 1, 3, false},
    {"a page in the middle of more", 4095, 8193, 1, 2, false},
    {"a page", 4096, 8192, 1, 2, true},
    {"all pages", 0, 6 * 4096, 0, 6, true},
};

static bool only_punched_are_zero(const char *base, long first, long last)
{
    for (long at = 0; at < 6; at++) {
        if (!all_are(base + at * (long)page, page, at >= first && at < last ? 0 : 'x'))
            return false;
    }
    return true;
}

static void test_punch(void)
{
    int fd = create();
    char *base = pages_map(fd, SIZE), *other = pages_map(fd, SIZE);

    for (size_t i = 0; i < COUNT_OF(punches); i++) {
        long begin = punches[i].begin * (long)page / 4096, end = punches[i].end * (long)page / 4096;

        memset(base, 'x', 6 * page);
        errno = EDOM;
        test_int(punches[i].whole, pages_punch(base + begin, (size_t)(end - begin)), "%s: whole pages or not",
                 punches[i].name);
        test_int(EDOM, errno, "errno is kept");
        test_ok(only_punched_are_zero(base, punches[i].first, punches[i].last), "its whole pages are zero");
        test_ok(only_punched_are_zero(other, punches[i].first, punches[i].last), "in every mapping");
    }
    pages_unmap(base, SIZE);
    pages_unmap(other, SIZE);
    close(fd);
}

static void test_punch_gives_back(void)
{
    int fd = create();
    char *base = pages_map(fd, SIZE);
    struct stat full, punched;

    memset(base, 'x', SIZE);
    fstat(fd, &full);
    test_ok(pages_punch(base, SIZE), "all pages are given back");
    fstat(fd, &punched);
    test_ok(full.st_blocks >= (blkcnt_t)(SIZE / 512), "pages that were written take memory");
    test_int(0, punched.st_blocks, "what is given back takes none");
    pages_unmap(base, SIZE);
    close(fd);
}

int main(void)
{
    int fds;

    test_begin(30);
    page = (size_t)sysconf(_SC_PAGESIZE);
    fds = test_fds();
    test_create();
    test_seals();
    test_create_fails();
    test_inspect();
    test_map();
    test_map_leaves_nothing();
    test_map_at_taken();
    test_map_at_free();
    test_shared_with_child();
    test_punch();
    test_punch_gives_back();
    test_int(fds, test_fds(), "no fd is left open");
    return test_end();
}
