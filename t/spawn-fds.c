/* Children that run another program: which of their parent's files reach it, and as what. */
#include "config.h"

#include "host/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spawn.h"
#include "tap.h"

/* How many fds stand in the output of ls /proc/self/fd, without its own; has: whether fd is among them. */
static int listed_fds(const char *text, int fd, bool *has)
{
    int n = 0;

    *has = false;
    while (text != NULL && *text != '\0') {
        n++;
        *has |= atoi(text) == fd;
        text = strchr(text, '\n');
        text += text != NULL;
    }
    return n - 1;
}

/* Without pidfds a child holds one more. */
static int fds_for_its_end(void)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static void test_inherited_fds(void)
{
    const char *argv[] = {"/bin/ls", "/proc/self/fd", NULL};
    struct process_spec spec = spec_of(argv);
    int expected = 3 + fds_for_its_end();
    struct process_end end;
    bool has;

    held(test_int(expected, listed_fds(output_of(spec, &end), -1, &has), "a program gets stdio and no more"));
    spec.keep_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 40);
    held(test_int(expected + 1, listed_fds(output_of(spec, &end), spec.keep_fd, &has), "or one fd more"));
    held(test_ok(has, "under its number"));
    held(test_ok(fcntl(spec.keep_fd, F_GETFD) & FD_CLOEXEC, "it is closed on exec in the caller, as before"));
    close(spec.keep_fd);
}

static void test_callers_fds(void)
{
    const char *argv[] = {"/bin/ls", "/proc/self/fd", NULL};
    int fd = fcntl(STDERR_FILENO, F_DUPFD, 40);
    struct process_end end;
    bool has;

    listed_fds(output_of(spec_of(argv), &end), fd, &has);
    held(test_ok(has, "what is not closed on exec is inherited"));
    close(fd);
}

/* Has three files with the names a, b and c as 0, 1 and 2. */
static void take_named_stdio(int flags)
{
    static const char *const names[] = {"a", "b", "c"};

    for (int i = 0; i < 3; i++) {
        int fd = memfd_create(names[i], MFD_CLOEXEC);

        dup3(fd, i, flags);
        close(fd);
    }
}

/* The names of a program's stdio, as "abc". */
static void stdio_of(const int stdio[3], char names[4])
{
    const char *argv[] = {"/bin/sh", "-c",
                          "for i in 0 1 2; do n=$(readlink /proc/$$/fd/$i); all=\"$all ${n#/memfd:}\"; done\n"
                          "echo $all >&9",
                          NULL};
    const char *envp[] = {"PATH=/bin:/usr/bin", NULL};
    struct process_spec spec = spec_of(argv);
    struct process_end end;
    char text[256] = "";
    int ends[2];

    (void)!pipe2(ends, O_CLOEXEC);
    memcpy(spec.stdio, stdio, sizeof spec.stdio);
    spec.envp = (char *const *)envp;
    spec.keep_fd = dup3(ends[1], 9, O_CLOEXEC);
    close(ends[1]);
    if (!spawn_and_await(&spec, &end))
        test_ok(false, "a program begins");
    close(9);
    read_all(ends[0], text, sizeof text);
    memcpy(names, "???", 4);
    sscanf(text, "%c (deleted) %c (deleted) %c", &names[0], &names[1], &names[2]);
}

/* Every way to take 0, 1 and 2 from these three; and from none, which leaves them. */
static void expect_each_stdio(int flags, int from_least)
{
    int wrong = 0;

    take_named_stdio(flags);
    for (int i = 0; i < 64; i++) {
        int stdio[] = {i / 16 - 1, i / 4 % 4 - 1, i % 4 - 1};
        char expected[4] = "abc", names[4];

        if (stdio[0] < from_least || stdio[1] < from_least || stdio[2] < from_least)
            continue;
        for (int to = 0; to < 3; to++)
            expected[to] = (char)('a' + (stdio[to] < 0 ? to : stdio[to]));
        stdio_of(stdio, names);
        wrong += strcmp(expected, names) != 0;
    }
    all_held &= wrong == 0;
}

static void test_stdio_inherited(void)
{
    expect_each_stdio(0, -1);
}

static void test_stdio_closed_on_exec(void)
{
    expect_each_stdio(O_CLOEXEC, 0);
}

/* What is opened now lies at 0, 1 and 2, where the program's own shall be. */
static void test_closed_stdio(void)
{
    int stdio[3], kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    char names[4];

    for (int fd = 0; fd < 3; fd++)
        close(fd);
    stdio[0] = memfd_create("x", MFD_CLOEXEC);
    stdio[1] = memfd_create("y", MFD_CLOEXEC);
    stdio[2] = -1;
    stdio_of(stdio, names);
    dup2(kept, STDERR_FILENO);
    held(test_ok(memcmp(names, "xy", 2) == 0, "with its own files at 0 and 1"));
    close(STDERR_FILENO);
    stdio[0] = 1;
    stdio[1] = 0;
    stdio[2] = 1;
    stdio_of(stdio, names);
    dup2(kept, STDERR_FILENO);
    held(test_str("yxy", names, "and crossed over"));
}

/* Where pidfds lack, the program's end of the pipe must not lie there either. */
static void test_all_closed(void)
{
    const char *argv[] = {"/bin/sh", "-c",
                          "for fd in 0 1 2; do test -e /proc/$$/fd/$fd && exit 1; done; exit 5", NULL};
    struct process_spec spec = spec_of(argv);
    int kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    struct process_end end = {.code = -1};

    for (int fd = 0; fd < 3; fd++)
        close(fd);
    all_held &= spawn_and_await(&spec, &end);
    dup2(kept, STDERR_FILENO);
    held(test_int(5, end.code, "what the caller has closed is closed"));
}

static void test_everywhere(void)
{
    test_inherited_fds();
    test_callers_fds();
}

static void test_without_pidfds(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    test_everywhere();
    test_all_closed();
}

int main(void)
{
    int fds = begin_spawning(60, test_without_pidfds);

    test_everywhere();
    test_in_child(test_stdio_inherited, "stdio from stdio");
    test_in_child(test_stdio_closed_on_exec, "stdio that is closed on exec");
    test_in_child(test_closed_stdio, "closed stdio");
    test_in_child(test_all_closed, "no stdio at all");
    return end_spawning(fds);
}
