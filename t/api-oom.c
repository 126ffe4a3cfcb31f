/* A worker that takes more memory than its cgroup may have: the error says what it very likely was. */
#include <sharedmem.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cgroup.h"
#include "tap.h"

static int take_much(size_t i, void *result, void *context)
{
    size_t bytes = 4 * CGROUP_LIMIT;
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

static void test_in_cgroup(void)
{
    sharedmem_error error;

    if (!cgroup_make("sharedmem-test"))
        test_skip_all("no memory cgroup can be made here; it takes root, and cgroups that are writable");
    if (!cgroup_enter(cgroup_folder)) {
        rmdir(cgroup_folder);
        test_skip_all("no cgroup lets this process in");
    }
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
    cgroup_enter(cgroup_top());
    test_cgroup_gone();
}

int main(void)
{
    test_begin(60);
    if (getenv("TEST_TIME_SCALE") != NULL)
        test_skip_all("instrumented programs take more memory than the small cgroup has");
    setenv("SHAREDMEM_HEAP", "16M", 1);
    test_in_cgroup();
    return test_end();
}
