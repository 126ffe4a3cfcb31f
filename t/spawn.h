/* spawn.h: programs that the tests of process_spawn() start, and what they print. */
#ifndef T_SPAWN_H
#define T_SPAWN_H

#include <fcntl.h>
#include <string.h>

#include "in_child.h"

static char *no_environment[] = {NULL};

static inline struct process_spec spec_of(const char *const *argv)
{
    return (struct process_spec){.path = argv[0],
                                 .argv = (char *const *)argv,
                                 .envp = no_environment,
                                 .stdio = {-1, -1, -1},
                                 .keep_fd = -1};
}

static inline bool spawn_and_await(const struct process_spec *spec, struct process_end *end)
{
    struct process process;
    const char *what;

    if (process_spawn(&process, spec, &what) != 0)
        return false;
    await_end(&process, end);
    return true;
}

/* Reads all that comes from fd, which is closed. */
static inline void read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    ssize_t got;

    while (length < size - 1 && (got = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    close(fd);
}

/*
 * What the program of spec writes to stdout; NULL where it is not begun. The text is good until the next
 * call.
 */
static inline const char *output_of(struct process_spec spec, struct process_end *end)
{
    static char text[16384];
    struct process process;
    const char *what;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return NULL;
    spec.stdio[1] = ends[1];
    if (process_spawn(&process, &spec, &what) != 0) {
        test_note("%s: %s", what, strerror(errno));
        close(ends[0]);
        close(ends[1]);
        return NULL;
    }
    close(ends[1]);
    read_all(ends[0], text, sizeof text);
    await_end(&process, end);
    return text;
}

/* Whatever the test itself was started with would be inherited. */
static inline void close_rest_on_exec(void)
{
    for (int fd = STDERR_FILENO + 1; fd < 1024; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* The whole test begins, with its checks in a child that has no pidfds. Returns test_fds(). */
static inline int begin_spawning(unsigned seconds, void (*without_pidfds)(void))
{
    int fds;

    test_begin(seconds);
    close_rest_on_exec();
    fds = test_fds();
    /* First, for whether there are pidfds is asked once. */
    test_refused(refuse_pidfd, without_pidfds, "without pidfds");
    return fds;
}

/* And ends; the result is main's. */
static inline int end_spawning(int fds)
{
    test_int(fds, test_fds(), "no fd is left open");
    return test_end();
}

#endif
