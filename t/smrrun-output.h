/* smrrun-output.h: files, ranks that print, and the loop of who owns an output, for its tests. */
#ifndef T_SMRRUN_OUTPUT_H
#define T_SMRRUN_OUTPUT_H

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "smrrun/output.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static inline int memory_file(void)
{
    return memfd_create("output", MFD_CLOEXEC);
}

static inline size_t size_of(int fd)
{
    struct stat status = {0};

    fstat(fd, &status);
    return (size_t)status.st_size;
}

/* All that a memory file has, with a 0 behind it; to be freed. */
static inline char *contents(int fd)
{
    size_t size = size_of(fd);
    char *text = calloc(1, size + 1);

    if (pread(fd, text, size, 0) != (ssize_t)size)
        abort();
    return text;
}

static inline bool test_contents(const char *expected, int fd, const char *name)
{
    char *text = contents(fd);
    bool held = test_str(expected, text, "%s", name);

    free(text);
    return held;
}

static inline void put(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, text, n);

        if (written < 0)
            _exit(99);
        text += written;
        n -= (size_t)written;
    }
}

static inline void say(int fd, const char *text)
{
    put(fd, text, strlen(text));
}

/* Forks rank, which runs body with its stdout and stderr and has no other end of a pipe. */
static inline pid_t start_rank(struct output *output, int rank, void (*body)(int rank, int out, int err))
{
    pid_t pid = fork();

    if (pid == 0) {
        int out = dup(output_stdout_fd(output, rank));
        int err = dup(output_stderr_fd(output, rank));

        output_close_reads(output);
        output_close_writes(output);
        body(rank, out, err);
        test_child_exit(0);
    }
    return pid;
}

/* Sleeps as the launcher does, until there is something to do, and does it. */
static inline enum output_state run_when_ready(struct output *output)
{
    struct pollfd polled = {.fd = output_poll_fd(output), .events = POLLIN};
    uint64_t timeout_ns = output_timeout_ns(output);

    poll(&polled, 1, timeout_ns == UINT64_MAX ? -1 : (int)(timeout_ns / 1000000) + 1);
    return output_run(output);
}

/* Runs until all ranks have ended. Returns whether all was well. */
static inline bool run_to_end(struct output *output)
{
    bool is_well = true;

    while (output_n_open(output) > 0)
        is_well &= run_when_ready(output) == OUTPUT_OPEN;
    return output_finish(output) == OUTPUT_OPEN && is_well;
}

static inline bool wait_for(int n_children)
{
    bool is_well = true;
    int status;

    while (n_children-- > 0)
        is_well &= wait(&status) > 0 && status == 0;
    return is_well;
}

#endif
