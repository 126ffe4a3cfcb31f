/*
 * smrrun on a terminal: what keys do to a job, and what is seen of it, when. The test holds the other end of
 * the terminal, and has a process that is to smrrun what a shell is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

#define CTRL_C         "\003"
#define CTRL_Z         "\032"
#define CTRL_BACKSLASH "\034"

#define ARGUMENTS_MAX 16

/* A job in the foreground of its terminal. */
struct job {
    int master;   /* the terminal's other end */
    int statuses; /* what its shell got from waitpid(2) */
    pid_t shell;
    pid_t face;       /* leads the job's process group */
    char seen[65536]; /* what was seen since the last look, without carriage returns */
    size_t n_seen;
};

static struct job job;

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* When what is waited for should have come, however slow the machine is. */
static int64_t deadline_ms(void)
{
    const char *scale = getenv("TEST_TIME_SCALE");

    return now_ms() + 20000 * (scale != NULL && atoi(scale) > 1 ? atoi(scale) : 1);
}

/* ---- The shell ---- */

static void become_job(char *const *arguments)
{
    setpgid(0, 0);
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(STDIN_FILENO, getpid());
    signal(SIGTTOU, SIG_DFL);
    execv(arguments[0], arguments);
    perror(arguments[0]);
    test_child_exit(99);
}

/* Leads the terminal's session, and tells of each change of its one job. */
static void be_shell(const char *terminal, int statuses, char *const *arguments)
{
    int status, fd;
    pid_t face;

    setsid();
    fd = open(terminal, O_RDWR);
    for (int i = 0; i < 3; i++)
        dup2(fd, i);
    if (fd > 2)
        close(fd);
    face = fork();
    if (face == 0)
        become_job(arguments);
    (void)!write(statuses, &face, sizeof face);
    while (waitpid(face, &status, WUNTRACED | WCONTINUED) == face) {
        (void)!write(statuses, &status, sizeof status);
        if (WIFEXITED(status) || WIFSIGNALED(status))
            break;
    }
    test_child_exit(0);
}

/* Starts ./smrrun with the arguments up to NULL; "RANK" is the program t/rank. */
static void start(const char *first, ...)
{
    char *arguments[ARGUMENTS_MAX] = {(char *)"./smrrun", (char *)first};
    char terminal[256];
    int pipe_ends[2], n = 2;
    va_list list;

    va_start(list, first);
    while (n < ARGUMENTS_MAX - 1 && (arguments[n] = va_arg(list, char *)) != NULL)
        n++;
    va_end(list);
    for (int i = 0; i < n; i++) {
        if (strcmp(arguments[i], "RANK") == 0)
            arguments[i] = (char *)"./t/rank";
    }
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
    /* Keys are for the shell until the job has the terminal. */
    while (tcgetpgrp(job.master) != job.face)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

/* ---- The terminal ---- */

/* Takes what is on the terminal. Returns whether there was anything. */
static bool look(void)
{
    char bytes[4096];
    ssize_t n = read(job.master, bytes, sizeof bytes);

    /* Of very much only what came last is kept. */
    if (job.n_seen > sizeof job.seen / 2 && n > 0) {
        memmove(job.seen, job.seen + sizeof job.seen / 4, job.n_seen - sizeof job.seen / 4);
        job.n_seen -= sizeof job.seen / 4;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] != '\r')
            job.seen[job.n_seen++] = bytes[i];
    }
    job.seen[job.n_seen] = '\0';
    return n > 0;
}

/* Waits until text is seen. Returns where, or NULL. */
static char *await(const char *text)
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
static bool sees(const char *text)
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
static bool sees_n(const char *text, int n)
{
    while (n > 0 && sees(text))
        n--;
    return n == 0;
}

static void press(const char *keys)
{
    (void)!write(job.master, keys, strlen(keys));
}

/* The next status that the shell gets of its job, while the terminal goes on; -1: none comes. */
static int next_status(void)
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
static bool all_are_gone(void)
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
static bool close_job(void)
{
    if (test_children() > 1)
        kill(-job.face, SIGKILL);
    kill(job.shell, SIGKILL);
    close(job.master);
    close(job.statuses);
    return all_are_gone();
}

/* The job has ended, as was expected or not: of it only the shell may be left. */
static void finish(const char *name)
{
    test_ok(test_children() <= 1, "%s: nothing is left", name);
    test_ok(close_job(), "%s: all have ended", name);
}

static void ends_with_status(int expected, const char *name)
{
    int status = next_status();

    if (!test_ok(status != -1 && WIFEXITED(status), "%s: exits", name))
        fprintf(stderr, "# status: %#x\n", (unsigned)status);
    if (!test_int(expected, WEXITSTATUS(status), "%s: exit status", name))
        fprintf(stderr, "# seen: \"%.2000s\"\n", job.seen);
    finish(name);
}

static void ends_by_signal(int expected, const char *name)
{
    int status = next_status();

    if (!test_ok(status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == expected, "%s: ends by it", name))
        fprintf(stderr, "# status: %#x seen: \"%.2000s\"\n", (unsigned)status, job.seen);
    finish(name);
}

/* ---- Processes ---- */

/* Reads state and parent of a process from the text behind its name. */
static bool read_stat(const char *pid, char *state, pid_t *parent)
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
static int count_children(pid_t parent, const char *states, pid_t *last)
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
static bool ranks_come_to(int n, const char *states)
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

/* ---- Ctrl-C ---- */

static void test_interrupt(void)
{
    start("-n", "3", "RANK", "signals", NULL);
    test_ok(sees_n("ready", 3), "ranks that count signals run");
    press(CTRL_C);
    test_ok(sees_n(": INT 1\n", 3), "Ctrl-C reaches each rank once");
    ends_with_status(0, "Ctrl-C of ranks that end well");

    start("-n", "3", "RANK", "save", NULL);
    test_ok(sees_n("ready", 3), "ranks that save run");
    press(CTRL_C);
    test_ok(sees_n("saved", 3), "Ctrl-C lets ranks save");
    ends_with_status(0, "Ctrl-C of ranks that save");

    start("-n", "3", "sh", "-c", "echo ready; exec sleep 100", NULL);
    test_ok(sees_n("ready", 3), "ranks run");
    press(CTRL_C);
    ends_by_signal(SIGINT, "Ctrl-C");

    start("-n", "4", "RANK", "wait", NULL);
    test_ok(sees_n("ready", 4), "ranks in a barrier run");
    press(CTRL_C);
    ends_by_signal(SIGINT, "Ctrl-C in a barrier");

    start("-n", "1", "sh", "-c", "echo ready; exec sleep 100", NULL);
    test_ok(sees("ready"), "one rank runs");
    press(CTRL_C);
    ends_by_signal(SIGINT, "Ctrl-C of one rank");
}

/* At any moment of the job's birth. */
static void test_interrupt_early(void)
{
    int ended = 0;

    for (int i = 0; i < 10; i++) {
        int status;

        start("-n", "8", "sleep", "100", NULL);
        nanosleep(&(struct timespec){.tv_nsec = i * 1000000}, NULL);
        press(CTRL_C);
        status = next_status();
        ended += status == SIGINT && test_children() <= 1;
        if (status != SIGINT || test_children() > 1)
            fprintf(stderr, "# status: %#x seen: \"%.2000s\"\n", (unsigned)status, job.seen);
        close_job();
    }
    test_int(10, ended, "Ctrl-C at any moment of a job's birth ends it");
}

static void test_interrupt_again(void)
{
    start("--grace", "1h", "-n", "3", "RANK", "stubborn", NULL);
    test_ok(sees_n("ready", 3), "ranks that ignore signals run");
    press(CTRL_C);
    test_ok(sees("smrrun: ranks 0-2 still run 1 s after SIGINT; Ctrl-C again ends all at once"),
            "who pressed Ctrl-C is told what else there is");
    press(CTRL_C);
    ends_by_signal(SIGINT, "Ctrl-C again");

    start("--grace", "100ms", "-n", "3", "RANK", "stubborn", NULL);
    test_ok(sees_n("ready", 3), "ranks that ignore signals run, with a short grace");
    press(CTRL_C);
    ends_by_signal(SIGINT, "Ctrl-C and a grace that is over");
}

/* ---- Ctrl-\ ---- */

static void test_quit(void)
{
    start("-n", "4", "RANK", "wait", NULL);
    test_ok(sees_n("ready", 4), "ranks that wait run");
    test_ok(ranks_come_to(4, "S"), "and are all asleep");
    press(CTRL_BACKSLASH);
    test_ok(sees("ranks 0-1, 3: waiting in the barrier or collective at"), "Ctrl-\\ tells who waits where");
    test_ok(sees("rank 2: asleep in own code"), "and who does not");
    press(CTRL_C);
    ends_by_signal(SIGINT, "the job went on until Ctrl-C");

    start("--grace", "200ms", "-n", "2", "RANK", "stubborn", NULL);
    test_ok(sees_n("ready", 2), "ranks that ignore signals run");
    press(CTRL_BACKSLASH);
    test_ok(sees("once more within 2 s ends the job"), "Ctrl-\\ tells what a second one does");
    press(CTRL_C);
    ends_by_signal(SIGINT, "Ctrl-\\, then Ctrl-C, of ranks that ignore signals");

    start("-n", "2", "sh", "-c", "echo ready; exec sleep 100", NULL);
    test_ok(sees_n("ready", 2) && ranks_come_to(2, "S"), "ranks run");
    press(CTRL_BACKSLASH);
    test_ok(sees("once more within 2 s ends the job") && sees("ranks 0-1: "), "Ctrl-\\ once reports");
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    press(CTRL_BACKSLASH);
    ends_with_status(128 + SIGQUIT, "Ctrl-\\ twice");
}

/* ---- Ctrl-Z ---- */

static void test_stop(void)
{
    int status;

    start("-n", "3", "RANK", "ask", NULL);
    test_ok(sees("your name? "), "a prompt is seen while the rank waits");
    press(CTRL_Z);
    status = next_status();
    test_int(SIGTSTP, status != -1 && WIFSTOPPED(status) ? WSTOPSIG(status) : 0, "Ctrl-Z stops the launcher");
    test_ok(ranks_come_to(3, "T"), "and the ranks");
    test_kill_group(job.face, SIGCONT);
    status = next_status();
    test_ok(status != -1 && WIFCONTINUED(status), "fg lets it go on");
    press("ann\n");
    test_ok(sees("rank 0: ann\n") && sees("rank 1: ann\n") && sees("rank 2: ann\n"),
            "and the ranks, in order");
    ends_with_status(0, "a job that was stopped");
}

/* ---- Reading and writing ---- */

static void test_terminal(void)
{
    start("-n", "1", "sh", "-c", "test -t 0 && test -t 1 && test -t 2 && echo all three", NULL);
    test_ok(sees("all three\n"), "one rank has the terminal itself");
    ends_with_status(0, "one rank");

    start("-n", "2", "sh", "-c",
          "test -t 0 && echo stdin of $SHAREDMEM_RANK; test -t 1 || echo pipes; cat; echo end of "
          "$SHAREDMEM_RANK",
          NULL);
    test_ok(await("stdin of 0\n") != NULL, "of several, rank 0 reads from it");
    test_ok(await("end of 1\n") != NULL, "the others have nothing to read");
    test_ok(await("pipes\n") != NULL, "they write through the launcher");
    press("typed\n\004");
    test_ok(sees("typed\n") && sees("typed\n") && sees("end of 0\n"), "what is typed comes to rank 0");
    ends_with_status(0, "several ranks");

    start("sh", "-c", "exit 0", NULL);
    test_ok(sees("smrrun: ") && sees("; -n says another number\n"), "the number is told that nobody gave");
    ends_with_status(0, "a number that nobody gave");
}

static void test_window_size(void)
{
    struct winsize size = {.ws_row = 33, .ws_col = 77};

    start("-n", "3", "RANK", "signals", NULL);
    test_ok(sees_n("ready", 3), "ranks that count signals run");
    ioctl(job.master, TIOCSWINSZ, &size);
    test_ok(sees_n(": WINCH 1\n", 3), "a new size of the window is told to each rank once");
    ends_with_status(0, "a new size of the window");
}

/* ---- A terminal that takes nothing ---- */

/* As Ctrl-S does, but when it returns the terminal has stopped; or as Ctrl-Q. */
static void flow(int action)
{
    char terminal[256];
    int fd;

    ptsname_r(job.master, terminal, sizeof terminal);
    fd = open(terminal, O_RDWR | O_NOCTTY | O_CLOEXEC);
    tcflow(fd, action);
    close(fd);
}

static void test_stopped_output(void)
{
    start("-n", "3", "sh", "-c", "while :; do echo ready; done", NULL);
    test_ok(sees_n("ready", 3), "ranks that print all the time run");
    flow(TCOOFF);
    test_kill(job.face, SIGTERM);
    test_ok(ranks_come_to(0, ""), "with the terminal stopped, as by Ctrl-S, ranks end all the same");
    flow(TCOON);
    ends_by_signal(SIGTERM, "SIGTERM with the terminal stopped");

    start("-n", "3", "sh", "-c", "[ $SHAREDMEM_RANK = 1 ] && exec sleep 100; trap '' USR1; exec yes ready",
          NULL);
    test_ok(sees_n("ready", 100), "ranks that print all the time run");
    flow(TCOOFF);
    test_kill(job.face, SIGUSR1);
    test_ok(ranks_come_to(0, ""), "a rank that fails meanwhile ends the others");
    flow(TCOON);
    test_ok(sees("smrrun: rank 1 ") && sees("was ended by SIGUSR1"), "what failed is told when it can be");
    ends_with_status(128 + SIGUSR1, "a failure with the terminal stopped");
}

static void test_hang_up(void)
{
    start("-n", "3", "sh", "-c", "echo ready; exec sleep 100", NULL);
    test_ok(sees_n("ready", 3), "ranks run");
    close(job.master);
    job.master = -1;
    test_ok(all_are_gone(), "a terminal that goes away ends them");
    close(job.statuses);

    start("--grace", "100ms", "-n", "3", "RANK", "stubborn", NULL);
    test_ok(sees_n("ready", 3), "ranks that ignore signals run");
    close(job.master);
    test_ok(all_are_gone(), "a terminal that goes away ends them too");
    close(job.statuses);
}

int main(void)
{
    test_begin(120);
    if (access("./smrrun", X_OK) != 0 || access("./t/rank", X_OK) != 0)
        test_skip_all("smrrun or t/rank is not built here");
    setenv("ASAN_OPTIONS", "handle_segv=0:handle_abort=0", 1);
    test_interrupt();
    test_interrupt_early();
    test_interrupt_again();
    test_quit();
    test_stop();
    test_terminal();
    test_window_size();
    test_stopped_output();
    test_hang_up();
    return test_end();
}
