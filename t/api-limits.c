/*
 * No memory is left, and the program is told: by limits of the process, by a full heap, by a real cgroup where
 * this machine lets a test make one, and by a page that cannot be had. None of it changes a setting of the machine.
 */
#include <sharedmem.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "tap.h"

#define MiB ((size_t)1 << 20)

/* What a child came to, for the test to look at. */
struct told {
    int n_warnings;
    char first[1024], last[1024];
    sharedmem_error error;
    size_t n;
    int code;
};

static struct told *told;

static void keep(const char *message)
{
    if (told->n_warnings++ == 0)
        snprintf(told->first, sizeof told->first, "%s", message);
    snprintf(told->last, sizeof told->last, "%s", message);
}

/* Runs function in a child that has no shared memory yet. Returns its wait status. */
static int in_child(int (*function)(void))
{
    int status = -1;
    pid_t child;

    memset(told, 0, sizeof *told);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        sharedmem_set_log(keep);
        test_child_exit(function());
    }
    waitpid(child, &status, 0);
    return status;
}

static bool limits_are_ours(void)
{
    return !test_address_sanitized() && !test_thread_sanitized() && !test_under_valgrind();
}

/* ---- Limits of the process ---- */

static int ask_for_more(size_t bytes)
{
    void *block = sharedmem_malloc(bytes);

    told->code = errno;
    if (block != NULL)
        return 2;
    block = sharedmem_malloc(100);
    return block != NULL && sharedmem_heap_check(NULL) == 0 ? 0 : 3;
}

static int under(int resource, size_t bytes)
{
    struct rlimit limit = {bytes, bytes};

    return setrlimit(resource, &limit) == 0 ? ask_for_more(bytes) : 1;
}

static int under_address_space(void)
{
    return under(RLIMIT_AS, 1024 * MiB);
}

static int under_file_size(void)
{
    return under(RLIMIT_FSIZE, 64 * MiB);
}

static int under_tiny_file_size(void)
{
    struct rlimit limit = {1 * MiB, 1 * MiB};
    void *block = setrlimit(RLIMIT_FSIZE, &limit) == 0 ? sharedmem_malloc(100) : NULL;

    told->code = errno;
    return block == NULL ? 0 : 1;
}

static void test_process_limits(void)
{
    if (!limits_are_ours()) {
        test_skip("the address space is the tool's");
    } else {
        test_int(0, in_child(under_address_space), "under ulimit -v");
        test_int(ENOMEM, told->code, "errno");
        test_has("(half of ulimit -v)", told->first, "what it says");
    }
    test_int(0, in_child(under_file_size), "under ulimit -f");
    test_int(ENOMEM, told->code, "errno");
    /* Under valgrind the heap is small whatever the limit. */
    test_has(test_under_valgrind()
                 ? "the shared heap of 32 MiB"
                 : "the shared heap of 32 MiB (half of ulimit -f) has no 64 MiB in one piece",
             told->first, "what it says");
    test_int(0, in_child(under_tiny_file_size), "under an ulimit -f that is too low for any heap");
    test_int(EFBIG, told->code, "errno");
    test_has("ulimit -f", told->first, "what it says");
}

/* ---- A full heap ---- */

static int probe(void)
{
    setenv("SHAREDMEM_HEAP", "32M", 1);
    for (int i = 0; i < 100; i++) {
        if (sharedmem_malloc(64 * MiB) != NULL || errno != ENOMEM)
            return 1;
    }
    if (told->n_warnings != 1)
        return 2;
    return sharedmem_calloc(SIZE_MAX, 16) == NULL && errno == ENOMEM ? 0 : 3;
}

static void test_warnings(void)
{
    test_int(0, in_child(probe), "who asks until it gets NULL is told once");
    test_has("the shared heap of 32 MiB (SHAREDMEM_HEAP) has no 64 MiB in one piece", told->first, "of what");
    test_has("sharedmem_calloc: no shared memory: no memory is as large", told->last, "and of another cause");
    test_int(2, told->n_warnings, "once each");
}

static int nothing(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return 0;
}

static int many_results(void)
{
    setenv("SHAREDMEM_HEAP", "16M", 1);
    return sharedmem_map(64, nothing, NULL, .np = 2, .result_size = 4 * MiB, .reduce = nothing,
                         .error = &told->error) == -1
               ? 0
               : 1;
}

static void test_error(void)
{
    test_int(0, in_child(many_results), "a map whose results do not fit");
    test_int(SHAREDMEM_ERROR_NO_MEMORY, told->error.kind, "its kind");
    test_has("the shared heap of 16 MiB (SHAREDMEM_HEAP) has no ", told->error.message, "its reason");
    test_int(0, told->n_warnings, "is in the error alone");
}

/* ---- A page that cannot be had ---- */

/* Behind the end of a file there is no page: as the system does it where it has no memory for one. */
static int touch_no_page(size_t i, void *result, void *context)
{
    char *block = *(char **)context;
    int fd = memfd_create("empty", MFD_CLOEXEC);

    (void)i;
    (void)result;
    if (mmap(block, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
        return 1;
    block[100] = 1;
    return 0;
}

/* The same at private memory is none of ours. */
static int touch_private(size_t i, void *result, void *context)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)context;
    return touch_no_page(i, result, &page);
}

static int in_map(sharedmem_function *work)
{
    char *block;

    setenv("SHAREDMEM_HEAP", "64M", 1);
    block = sharedmem_aligned_alloc((size_t)1 << 16, 2 * MiB);
    if (block == NULL)
        return 1;
    return sharedmem_map(1, work, &block, .np = 1, .error = &told->error) == -1 ? 0 : 2;
}

static int sigbus_in_map(void)
{
    return in_map(touch_no_page);
}

static int sigbus_elsewhere(void)
{
    return in_map(touch_private);
}

static int sigbus_in_background(void)
{
    sharedmem_background *call;
    char *block;

    setenv("SHAREDMEM_HEAP", "64M", 1);
    block = sharedmem_aligned_alloc((size_t)1 << 16, 2 * MiB);
    call = sharedmem_background_start(touch_no_page, &block, .error = &told->error);
    return call != NULL && sharedmem_background_wait(call, &told->error) == -1 ? 0 : 1;
}

static void test_sigbus(void)
{
    if (!limits_are_ours()) {
        test_skip("the tool reports SIGBUS itself");
        return;
    }
    test_int(0, in_child(sigbus_in_map), "a worker touches a page of the heap that cannot be had");
    test_int(SHAREDMEM_ERROR_NO_MEMORY, told->error.kind, "its kind");
    test_int(ENOMEM, told->error.code, "its code");
    test_has("SIGBUS", told->error.message, "what it says: the signal");
    test_has("at a page of the shared heap, very likely because memory ran out: ", told->error.message,
             "the cause");
    test_has("touch_no_page", told->error.traceback, "and where");
    test_int(0, in_child(sigbus_elsewhere), "a SIGBUS elsewhere");
    test_int(SHAREDMEM_ERROR_SIGNAL, told->error.kind, "is not taken for it");
    test_int(0, in_child(sigbus_in_background), "in a background call");
    test_int(SHAREDMEM_ERROR_NO_MEMORY, told->error.kind, "its kind");
}

/* ---- A real cgroup ---- */

static size_t block_bytes;

/* Takes blocks, and touches them, until there are no more. */
static int fill(void)
{
    if (!cgroup_enter(cgroup_folder))
        return 1;
    setenv("SHAREDMEM_HEAP", "512M", 1);
    for (;; told->n++) {
        char *block = sharedmem_malloc(block_bytes);

        if (block == NULL)
            break;
        memset(block, 1, block_bytes);
    }
    told->code = errno;
    return sharedmem_heap_check(NULL) == 0 ? 0 : 2;
}

/* Takes all, and only then touches it. */
static int fill_then_touch(void)
{
    static char *blocks[512];
    size_t n = 0;

    if (!cgroup_enter(cgroup_folder))
        return 1;
    setenv("SHAREDMEM_HEAP", "512M", 1);
    while (n < 512 && (blocks[n] = sharedmem_malloc(block_bytes)) != NULL)
        n++;
    told->n = n;
    told->code = errno;
    for (size_t i = 0; i < n; i++)
        memset(blocks[i], 1, block_bytes);
    return sharedmem_heap_check(NULL) == 0 ? 0 : 2;
}

static void look(int status)
{
    test_int(0, status, "nobody is killed: %zu blocks of %zu bytes", told->n, block_bytes);
    test_int(ENOMEM, told->code, "errno");
    test_ok(told->n * block_bytes > CGROUP_LIMIT / 2 && told->n * block_bytes < CGROUP_LIMIT,
            "the limit is used");
    test_has("cgroup /sharedmem-limits-", told->first, "the limit is named");
    test_has("96 MiB", told->first, "with its size");
    test_int(1, told->n_warnings, "once");
}

static void test_group(void)
{
    static const size_t sizes[] = {64, 3000, 20000, 300000, MiB, 3 * MiB};

    if (getenv("TEST_TIME_SCALE") != NULL || !limits_are_ours()) {
        test_skip("instrumented programs take more memory than the small cgroup has");
        return;
    }
    if (!cgroup_make("sharedmem-limits")) {
        test_skip("no memory cgroup can be made here; it takes root, and cgroups that are writable");
        return;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        block_bytes = sizes[i];
        look(in_child(fill));
    }
    block_bytes = 3 * MiB;
    look(in_child(fill_then_touch));
    test_cgroup_gone();
}

int main(void)
{
    test_begin(120);
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    test_process_limits();
    test_warnings();
    test_error();
    test_sigbus();
    test_group();
    return test_end();
}
