/*
 * What a map says where a limit of the system keeps it from its work, and what to raise. Each limit is set in
 * a child; root is not held by RLIMIT_NPROC, so that child is another user.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sharedmem.h>

#include "next_map.h"
#include "tap.h"

static int fail_to_reduce(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    return i == 30 ? sharedmem_fail(9, "too much") : 0;
}

static size_t sink[100];

static bool told_of_processes(void)
{
    struct rlimit limit = {1, 1};
    sharedmem_error error;

    if (geteuid() == 0 && setuid(65533) != 0)
        return false;
    setrlimit(RLIMIT_NPROC, &limit);
    return sharedmem_map(100, twice, NULL, .np = 8, .results = sink, .result_size = sizeof *sink,
                         .error = &error) == -1 &&
           errno == EAGAIN && error.kind == SHAREDMEM_ERROR_SYSTEM &&
           strstr(error.message, "ulimit -u") != NULL && test_children() == 0;
}

static bool works_without_files(void)
{
    struct rlimit limit = {(rlim_t)test_fds() + 2, 4096};

    setrlimit(RLIMIT_NOFILE, &limit);
    return next_map_is_right();
}

static bool told_of_memory(void)
{
    sharedmem_error error;

    setenv("SHAREDMEM_HEAP", "32M", 1);
    errno = 0;
    if (sharedmem_malloc((size_t)1 << 30) != NULL || errno != ENOMEM)
        return false;
    return sharedmem_map(1000, twice, NULL, .np = 2, .result_size = 1 << 20, .schedule = SHAREDMEM_STATIC,
                         .error = &error, .reduce = fail_to_reduce) == -1 &&
           errno == ENOMEM && error.kind == SHAREDMEM_ERROR_NO_MEMORY &&
           strstr(error.message, "SHAREDMEM_HEAP") != NULL && sharedmem_heap_check(NULL) == 0;
}

static bool told_of_address_space(void)
{
    struct rlimit limit = {(rlim_t)16 << 20, RLIM_INFINITY};
    sharedmem_error error;

    setrlimit(RLIMIT_AS, &limit);
    return sharedmem_map(10, twice, NULL, .np = 2, .results = sink, .result_size = sizeof *sink,
                         .error = &error) == -1 &&
           errno == ENOMEM && error.message[0] != '\0';
}

static bool told_of_file_size(void)
{
    struct rlimit limit = {4096, 4096};
    sharedmem_error error;

    setrlimit(RLIMIT_FSIZE, &limit);
    return sharedmem_map(10, twice, NULL, .np = 2, .results = sink, .result_size = sizeof *sink,
                         .error = &error) == -1 &&
           errno == EFBIG && strstr(error.message, "ulimit -f") != NULL;
}

/* Before this process has shared memory of its own, so that each child makes its own under the limit. */
static void test_in_child(bool (*holds)(void), const char *what)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        test_child_exit(holds() ? 0 : 1);
    waitpid(pid, &status, 0);
    test_int(0, status, "%s", what);
}

int main(void)
{
    test_begin(60);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    test_in_child(told_of_processes, "no processes left: EAGAIN, and what to raise");
    test_in_child(works_without_files, "no file descriptors left: it works all the same");
    test_in_child(told_of_memory, "no shared memory left: ENOMEM, and what to set");
    test_in_child(told_of_file_size, "a file size limit of a page: EFBIG, and what to raise");
    unsetenv("SHAREDMEM_HEAP");
    if (test_address_sanitized() || test_thread_sanitized() || test_under_valgrind())
        test_skip("an address space limit is no use here");
    else
        test_in_child(told_of_address_space, "no address space: ENOMEM");
    return test_end();
}
