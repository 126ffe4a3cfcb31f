/*
 * terminal.h: a job in the foreground of a terminal, for tests: they hold the terminal's other end, and have a
 * process that is to the job what a shell is. One job at a time, as job; start_on_terminal() begins it.
 */
#ifndef T_TERMINAL_H
#define T_TERMINAL_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

/* A job in the foreground of its terminal. */
struct job {
    int master;   /* the terminal's other end */
    int statuses; /* what its shell got from waitpid(2) */
    pid_t shell;
    pid_t face;       /* leads the job's process group */
    char seen[65536]; /* what was seen since the last look, without carriage returns */
    size_t n_seen;
    FILE *copy; /* gets all that is seen too; NULL: none does */
};

static struct job job;

static inline int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* When what is waited for should have come, however slow the machine is. */
static inline int64_t deadline_ms(void)
{
    const char *scale = getenv("TEST_TIME_SCALE");

    return now_ms() + 20000 * (scale != NULL && atoi(scale) > 1 ? atoi(scale) : 1);
}

/* ---- The shell ---- */

static inline void become_job(char *const *arguments)
{
    setpgid(0, 0);
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(STDIN_FILENO, getpid());
    signal(SIGTTOU, SIG_DFL);
    execvp(arguments[0], arguments);
    perror(arguments[0]);
    test_child_exit(99);
}

/* Leads the terminal's session, and tells of each change of its one job. */
static inline void be_shell(const char *terminal, int statuses, char *const *arguments)
{
    int status, fd;
    pid_t face;

    /* Behind nohup or an & of a script some would be ignored, and no key could end anything. */
    for (int signal_number = 1; signal_number < NSIG; signal_number++)
        signal(signal_number, SIG_DFL);
    setsid();
    fd = open(terminal, O_RDWR);
    for (int i = 0; i < 3; i++)
        dup2(fd, i);
    if (fd > 2)
        close(fd);
    face = fork();
    if (face == 0)
        become_job(arguments);
    /*
     * Keys are for the shell until the job has the terminal, or somebody to whom it lends that. A short job keeps it
     * until it is waited for.
     */
    while (face > 0 && (tcgetpgrp(STDIN_FILENO) <= 0 || tcgetpgrp(STDIN_FILENO) == getpid()))
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    (void)!write(statuses, &face, sizeof face);
    while (waitpid(face, &status, WUNTRACED | WCONTINUED) == face) {
        (void)!write(statuses, &status, sizeof status);
        if (WIFEXITED(status) || WIFSIGNALED(status))
            break;
    }
    /* With it the terminal would go. */
    close(statuses);
    for (;;)
        pause();
}

/* Starts a program, by its path, with its arguments. Waits until it has the terminal. */
static inline void start_on_terminal(char *const *arguments)
{
    char terminal[256];
    int pipe_ends[2];

    job.n_seen = 0;
    job.seen[0] = '\0';
    job.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    grantpt(job.master);
    unlockpt(job.master);
    ptsname_r(job.master, terminal, sizeof terminal);
    (void)!pipe2(pipe_ends, O_CLOEXEC);
    job.shell = fork();
    if (job.shell == 0) {
        close(job.master);
        be_shell(terminal, pipe_ends[1], arguments);
    }
    close(pipe_ends[1]);
    job.statuses = pipe_ends[0];
    /* A face that is none must not get signals: -1 would be everybody. */
    if (read(job.statuses, &job.face, sizeof job.face) != sizeof job.face || job.face <= 1) {
        puts("Bail out! no process for smrrun");
        exit(EXIT_FAILURE);
    }
}

/* ---- The terminal ---- */

/* Takes what is on the terminal. Returns whether there was anything. */
static inline bool look(void)
{
    char bytes[4096];
    ssize_t n = read(job.master, bytes, sizeof bytes);

    /* Of very much only what came last is kept. */
    if (job.n_seen > sizeof job.seen / 2 && n > 0) {
        memmove(job.seen, job.seen + sizeof job.seen / 4, job.n_seen - sizeof job.seen / 4);
        job.n_seen -= sizeof job.seen / 4;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] == '\r')
            continue;
        job.seen[job.n_seen++] = bytes[i];
        if (job.copy != NULL)
            putc(bytes[i], job.copy);
    }
    job.seen[job.n_seen] = '\0';
    return n > 0;
}

/* Waits until text is seen. Returns where, or NULL. */
static inline char *await(const char *text)
{
    int64_t deadline = deadline_ms();
    char *found;

    while ((found = strstr(job.seen, text)) == NULL) {
        struct pollfd polled = {.fd = job.master, .events = POLLIN};

        if (now_ms() > deadline || poll(&polled, 1, 1000) < 0 || (polled.revents != 0 && !look())) {
            fprintf(stderr, "# not seen: \"%s\", but: \"%.2000s\"\n", text, job.seen);
            return NULL;
        }
    }
    return found;
}

/* The same, behind what was waited for before: all up to its end is forgotten. */
static inline bool sees(const char *text)
{
    char *found = await(text);

    if (found == NULL)
        return false;
    found += strlen(text);
    job.n_seen -= (size_t)(found - job.seen);
    memmove(job.seen, found, job.n_seen + 1);
    return true;
}

/* Sees text n times. */
static inline bool sees_n(const char *text, int n)
{
    while (n > 0 && sees(text))
        n--;
    return n == 0;
}

static inline void press(const char *keys)
{
    (void)!write(job.master, keys, strlen(keys));
}

/* The next status that the shell gets of its job, while the terminal goes on; -1: none comes. */
static inline int next_status(void)
{
    int64_t deadline = deadline_ms();
    int status;

    while (now_ms() < deadline) {
        struct pollfd polled[2] = {{.fd = job.statuses, .events = POLLIN},
                                   {.fd = job.master, .events = POLLIN}};

        poll(polled, 2, 1000);
        if ((polled[1].revents & POLLIN) != 0)
            look();
        if (polled[0].revents != 0)
            return read(job.statuses, &status, sizeof status) == (ssize_t)sizeof status ? status : -1;
    }
    return -1;
}

/* Waits for all that the test has as children, orphans too. */
static inline bool all_are_gone(void)
{
    int64_t deadline = deadline_ms();

    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);

        if (pid < 0 && errno == ECHILD)
            return true;
        if (now_ms() > deadline)
            return false;
        if (pid == 0)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* Closes the terminal. Returns whether all end then at the latest. */
static inline bool close_job(void)
{
    if (test_children() > 1)
        kill(-job.face, SIGKILL);
    kill(job.shell, SIGKILL);
    close(job.master);
    close(job.statuses);
    return all_are_gone();
}

/* ---- A terminal that takes nothing ---- */

/* As Ctrl-S does, but when it returns the terminal has stopped; or as Ctrl-Q. */
static inline void flow(int action)
{
    char terminal[256];
    int fd;

    ptsname_r(job.master, terminal, sizeof terminal);
    fd = open(terminal, O_RDWR | O_NOCTTY | O_CLOEXEC);
    tcflow(fd, action);
    close(fd);
}

#endif
