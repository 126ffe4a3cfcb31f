/*
 * on_terminal.h: a job of smrrun on a terminal of its own (terminal.h), how it ends, and what its ranks do.
 */
#ifndef T_ON_TERMINAL_H
#define T_ON_TERMINAL_H

#include <dirent.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "terminal.h"

#define CTRL_C         "\003"
#define CTRL_Z         "\032"
#define CTRL_BACKSLASH "\034"

#define ARGUMENTS_MAX 16

/* Starts ./smrrun with the arguments up to NULL; "RANK" is the program t/rank. */
static inline void start(const char *first, ...)
{
    char *arguments[ARGUMENTS_MAX] = {(char *)"./smrrun", (char *)first};
    int n = 2;
    va_list list;

    va_start(list, first);
    while (n < ARGUMENTS_MAX - 1 && (arguments[n] = va_arg(list, char *)) != NULL)
        n++;
    va_end(list);
    for (int i = 0; i < n; i++) {
        if (strcmp(arguments[i], "RANK") == 0)
            arguments[i] = (char *)"./t/rank";
    }
    start_on_terminal(arguments);
}

/* The job has ended, as was expected or not: of it only the shell may be left. */
static inline void finish(const char *name)
{
    test_ok(test_children() <= 1, "%s: nothing is left", name);
    test_ok(close_job(), "%s: all have ended", name);
}

static inline void ends_with_status(int expected, const char *name)
{
    int status = next_status();

    if (!test_ok(status != -1 && WIFEXITED(status), "%s: exits", name))
        fprintf(stderr, "# status: %#x\n", (unsigned)status);
    if (!test_int(expected, WEXITSTATUS(status), "%s: exit status", name))
        fprintf(stderr, "# seen: \"%.2000s\"\n", job.seen);
    finish(name);
}

static inline void ends_by_signal(int expected, const char *name)
{
    int status = next_status();

    if (!test_ok(status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == expected, "%s: ends by it", name))
        fprintf(stderr, "# status: %#x seen: \"%.2000s\"\n", (unsigned)status, job.seen);
    finish(name);
}

/* ---- Processes ---- */

/* Reads state and parent of a process from the text behind its name. */
static inline bool read_stat(const char *pid, char *state, pid_t *parent)
{
    char path[300], text[512];
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return strrchr(text, ')') != NULL && sscanf(strrchr(text, ')') + 1, " %c %d", state, parent) == 2;
}

/* Counts the children of parent that are in one of states ("": any). last: one of them, or 0. */
static inline int count_children(pid_t parent, const char *states, pid_t *last)
{
    DIR *processes = opendir("/proc");
    const struct dirent *entry;
    int n = 0;

    *last = 0;
    while ((entry = readdir(processes)) != NULL) {
        pid_t of;
        char state;

        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !read_stat(entry->d_name, &state, &of) ||
            of != parent || (states[0] != '\0' && strchr(states, state) == NULL))
            continue;
        *last = atoi(entry->d_name);
        n++;
    }
    closedir(processes);
    return n;
}

/* Waits until n of the ranks are in one of states. */
static inline bool ranks_come_to(int n, const char *states)
{
    int64_t deadline = deadline_ms();
    pid_t keeper, one;

    while (now_ms() < deadline) {
        if (count_children(job.face, "", &keeper) == 1 && count_children(keeper, states, &one) == n)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return false;
}

#endif
