/* A worker that takes more memory than its cgroup may have: the error says what it very likely was. */
#include <sharedmem.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#define LIMIT (96u << 20)

static char group[256];

static bool write_file(const char *name, const char *text)
{
    char path[512];
    bool is_written;
    int fd;

    snprintf(path, sizeof path, "%s/%s", group, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return is_written;
}

/* A cgroup of this test's own, version 1 or 2, where the machine lets it have one. */
static bool make_group(const char *top, const char *limit_file)
{
    char limit[32], self[32];

    snprintf(group, sizeof group, "%s/sharedmem-test-%d", top, (int)getpid());
    snprintf(limit, sizeof limit, "%u", LIMIT);
    snprintf(self, sizeof self, "%d", (int)getpid());
    if (mkdir(group, 0700) != 0)
        return false;
    if (write_file(limit_file, limit) && write_file("cgroup.procs", self))
        return true;
    rmdir(group);
    return false;
}

static void leave_group(const char *top)
{
    char self[32], was[256];

    snprintf(self, sizeof self, "%d", (int)getpid());
    snprintf(was, sizeof was, "%s", group);
    snprintf(group, sizeof group, "%s", top);
    write_file("cgroup.procs", self);
    test_int(0, rmdir(was), "the cgroup is gone again");
}

static int take_much(size_t i, void *result, void *context)
{
    size_t bytes = (size_t)4 * LIMIT;
    char *memory;

    (void)result;
    (void)context;
    if (i != 1)
        return 0;
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return 1;
    /* Not with swap to go to. */
    mlock(memory, bytes);
    memset(memory, 1, bytes);
    return 0;
}

static int nothing(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return 0;
}

static int kill_self(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    test_kill(getpid(), 9);
    return 0;
}

static void test_in(const char *top, const char *limit_file)
{
    sharedmem_error error;

    if (!make_group(top, limit_file))
        test_skip_all("no memory cgroup can be made here; it takes root, and cgroups that are writable");
    test_int(0, sharedmem_map(4, nothing, NULL, .np = 2), "a map in a small cgroup");
    test_int(-1, sharedmem_map(4, take_much, NULL, .np = 2, .error = &error),
             "an item takes too much: an error");
    test_int(SHAREDMEM_ERROR_NO_MEMORY, error.kind, "its kind");
    test_int(ENOMEM, error.code, "its code");
    test_int(1, (long long)error.item, "its item");
    test_has("very likely because memory ran out", error.message, "what it says");
    test_has("96 MiB", error.message, "with the limit");
    test_int(-1, sharedmem_map(1, kill_self, NULL, .np = 1, .error = &error), "a kill that is none of that");
    test_int(SHAREDMEM_ERROR_SIGNAL, error.kind, "is not taken for it");
    leave_group(top);
}

int main(void)
{
    bool is_first = access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK) == 0;

    test_begin(60);
    if (getenv("TEST_TIME_SCALE") != NULL)
        test_skip_all("instrumented programs take more memory than the small cgroup has");
    setenv("SHAREDMEM_HEAP", "16M", 1);
    if (is_first)
        test_in("/sys/fs/cgroup/memory", "memory.limit_in_bytes");
    else
        test_in("/sys/fs/cgroup", "memory.max");
    return test_end();
}
