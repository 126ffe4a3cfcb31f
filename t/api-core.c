/*
 * The core file of a crashed worker holds nothing of a 4 GiB heap, and writing it does not allocate the heap.
 */
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sharedmem.h>

#include "tap.h"

static bool cores_are_files_here(void)
{
    char pattern[256] = "|";
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "r");

    if (file == NULL)
        return false;
    if (fgets(pattern, sizeof pattern, file) == NULL)
        pattern[0] = '|';
    fclose(file);
    return strchr(pattern, '|') == NULL && strchr(pattern, '/') == NULL;
}

static int crash(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    memset(context, 1, 4 << 20);
    raise(SIGSEGV);
    return 0;
}

static void check_core(void)
{
    struct stat status;
    glob_t cores;

    if (glob("*", 0, NULL, &cores) != 0) {
        test_skip("no core file was written here");
        test_skip("(the same)");
        return;
    }
    stat(cores.gl_pathv[0], &status);
    test_ok(status.st_size < 32 << 20, "the core file is under 32 MiB (%lld bytes)",
            (long long)status.st_size);
    test_ok(status.st_size > 4096, "and is a core file");
    unlink(cores.gl_pathv[0]);
    globfree(&cores);
}

int main(void)
{
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    char folder[] = "/tmp/sharedmem-core-XXXXXX";
    sharedmem_error error;
    void *block;

    test_begin(120);
    if (test_address_sanitized() || test_thread_sanitized() || test_under_valgrind())
        test_skip_all("sanitizers and valgrind write other core files, or none");
    if (!cores_are_files_here() || setrlimit(RLIMIT_CORE, &unlimited) != 0)
        test_skip_all("core files go elsewhere on this machine, or are not allowed");
    if (mkdtemp(folder) == NULL || chdir(folder) != 0)
        test_skip_all("no temporary folder");
    setenv("SHAREDMEM_HEAP", "4G", 1);
    block = sharedmem_malloc(4 << 20);
    test_ok(block != NULL, "a heap of 4 GiB");
    test_int(-1, sharedmem_map(1, crash, block, .error = &error), "a worker that crashes");
    test_has("SIGSEGV", error.message, "by a signal");
    test_has("core dumped", error.message, "dumps core");
    check_core();
    if (chdir("/") == 0)
        rmdir(folder);
    return test_end();
}
