/*
 * smrrun --gdb on a terminal: one rank's debugger has it, and whatever ends the debugger or the launcher, it is as it
 * was afterwards. Most of it needs no debugger: a small shell takes its place, which knows run and quit.
 */
#include "on_terminal.h"

#define FAKE                                                                                                 \
    "sh -c 'stty -icanon -echo; echo prompt; while read line; do case $line in "                             \
    "run) \"$@\"; echo ended $?;; quit) exit;; *) echo got $line;; esac; done'"

static struct termios modes;

/* Starts a job with a debugger for rank 1, by what SHAREDMEM_GDB says, and waits for its prompt. */
static void debug_with(const char *debugger, const char *prompt, const char *n, const char *mode,
                       const char *argument)
{
    setenv("SHAREDMEM_GDB", debugger, 1);
    start("--timeout", "20ms", "-n", n, "--gdb", "1", "RANK", mode, argument, NULL);
    /* Other ranks may have said something before. */
    test_ok(await(prompt) != NULL, "%s: the debugger has the terminal", mode);
    test_ok(tcgetpgrp(job.master) != job.face, "%s: in a process group of its own", mode);
}

static void debug(const char *n, const char *mode)
{
    debug_with(FAKE, "prompt\n", n, mode, strcmp(mode, "end-alone") == 0 ? "3" : NULL);
}

/* The process that leads the terminal's foreground group. */
static pid_t foreground(void)
{
    pid_t group = tcgetpgrp(job.master);

    if (group > 1)
        return group;
    puts("Bail out! the terminal has no foreground");
    exit(EXIT_FAILURE);
}

/* Waits until the foreground is, or is not, the launcher's group. */
static bool comes_to(bool is_launcher)
{
    int64_t deadline = deadline_ms();

    while ((tcgetpgrp(job.master) == job.face) != is_launcher) {
        if (now_ms() > deadline)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return true;
}

/* Nobody has done anything to the terminal, as far as one sees. */
static void is_as_before(const char *name)
{
    struct termios now;

    test_int(job.face, tcgetpgrp(job.master), "%s: the launcher's group has the terminal", name);
    test_ok(tcgetattr(job.master, &now) == 0 && now.c_lflag == modes.c_lflag &&
                now.c_iflag == modes.c_iflag && now.c_oflag == modes.c_oflag,
            "%s: its modes are as they were", name);
}

/* A terminal as it is before anybody has changed it. */
static void read_modes(void)
{
    start("-n", "1", "true", NULL);
    test_ok(tcgetattr(job.master, &modes) == 0, "a terminal has modes");
    ends_with_status(0, "a job without a debugger");
}

static pid_t keeper(void)
{
    pid_t one = 0;

    if (count_children(job.face, "", &one) == 1 && one > 1)
        return one;
    puts("Bail out! no keeper");
    exit(EXIT_FAILURE);
}

/* How the job ends, and what is left of it then. */
static void ends_as(int status, const char *name)
{
    int got = next_status();

    if (!test_int(status, got, "%s: the launcher's end", name))
        fprintf(stderr, "# seen: \"%.2000s\"\n", job.seen);
    is_as_before(name);
    finish(name);
}

/* As waitpid(2) has it. */
static int exits(int status)
{
    return status << 8;
}

/* ---- What a person does ---- */

static void test_run(void)
{
    debug("3", "hello");
    press("hello\n");
    test_ok(await("got hello\n") != NULL, "keys are for the debugger, and no time limit counts");
    press("run\n");
    test_ok(await("rank 0 of 3\n") != NULL && await("rank 1 of 3\n") != NULL &&
                await("rank 2 of 3\n") != NULL,
            "the rank runs when its debugger says so, and the others with it");
    test_ok(await("ended 0\n") != NULL, "and ends");
    press("quit\n");
    ends_as(exits(0), "run to the end");
}

static void test_quit_early(void)
{
    debug("3", "wait");
    test_ok(ranks_come_to(3, "S"), "all ranks wait for that one");
    press("quit\n");
    test_ok(sees("smrrun: the debugger of rank 1 has ended; ending the others\n"), "who quits ends the job");
    ends_as(exits(0), "quit before the end");
}

static void test_other_fails(void)
{
    debug("3", "end-alone");
    test_ok(await(" exited with status 3 after ") != NULL, "another rank fails");
    test_ok(await("smrrun: the debugger of rank 1 goes on until you quit it\n") != NULL,
            "which does not end the debugger");
    press("still\n");
    test_ok(sees("got still\n"), "it goes on");
    press("quit\n");
    ends_as(exits(3), "after another rank's failure");
}

static void test_stop(void)
{
    struct termios now;
    int status;

    debug("3", "hello");
    for (int i = 0; i < 2; i++) {
        press(CTRL_Z);
        status = next_status();
        test_int(SIGTSTP, status != -1 && WIFSTOPPED(status) ? WSTOPSIG(status) : 0,
                 "Ctrl-Z in the debugger stops the launcher");
        is_as_before("Ctrl-Z in the debugger");
        test_kill_group(job.face, SIGCONT);
        status = next_status();
        test_ok(status != -1 && WIFCONTINUED(status), "fg lets it go on");
        test_ok(comes_to(false), "and the debugger has the terminal again");
        tcgetattr(job.master, &now);
        test_ok((now.c_lflag & (tcflag_t)ICANON) == 0, "with its own modes");
        press("back\n");
        test_ok(sees("got back\n"), "and keys");
    }
    press("run\nquit\n");
    ends_as(exits(0), "a debugger that was stopped");
}

/* ---- Other ends ---- */

static void test_killed(void)
{
    debug("3", "wait");
    test_kill(foreground(), SIGKILL);
    test_ok(sees("rank 1 ") && sees("was ended by SIGKILL"), "a debugger that is killed is told");
    ends_as(exits(128 + SIGKILL), "a debugger that is killed");

    debug("3", "wait");
    test_kill(keeper(), SIGKILL);
    test_ok(sees("smrrun: the keeper"), "a keeper that is killed is told");
    ends_as(exits(125), "a keeper that is killed");

    debug("2", "hello");
    test_kill(job.face, SIGTERM);
    ends_as(SIGTERM, "SIGTERM");

    debug("2", "hello");
    test_kill(job.face, SIGKILL);
    test_int(SIGKILL, next_status(), "the launcher is killed");
    test_ok(comes_to(true), "its keeper gives the terminal back");
    test_ok(close_job(), "and ends the rest");

    debug("2", "hello");
    close(job.master);
    test_ok(all_are_gone(), "a terminal that goes away ends all");
    close(job.statuses);
}

/* ---- gdb itself ---- */

static pid_t parent_of(pid_t pid)
{
    char text[16], state;
    pid_t parent = 0;

    snprintf(text, sizeof text, "%d", (int)pid);
    if (read_stat(text, &state, &parent) && parent > 1)
        return parent;
    puts("Bail out! no parent");
    exit(EXIT_FAILURE);
}

static void test_gdb(void)
{
    const char *name = "-n 3 under gdb";

    if (system("gdb --version >/dev/null 2>&1") != 0) {
        test_skip("gdb is not installed; install the package gdb");
        return;
    }
    debug_with("gdb -q -nx", "(gdb) ", "3", "hello", NULL);
    press("run\n");
    test_ok(await("rank 1 of 3\n") != NULL && await("exited normally") != NULL, "%s: a rank runs", name);
    press("quit\n");
    ends_as(exits(0), "a rank that ran under gdb");

    debug_with("gdb -q -nx -ex 'set confirm off'", "(gdb) ", "3", "wait", NULL);
    press("run\n");
    test_ok(sees_n("ready\n", 3) && ranks_come_to(3, "S"), "%s: all ranks run", name);
    press(CTRL_C);
    test_ok(sees("SIGINT"), "%s: Ctrl-C interrupts the program, and not the job", name);
    press("kill\nquit\n");
    test_ok(sees("smrrun: the debugger of rank 1 has ended; ending the others\n"),
            "%s: which kill and quit end", name);
    ends_as(exits(0), "gdb's kill and quit");

    debug_with("gdb -q -nx", "(gdb) ", "3", "wait", NULL);
    press("run\n");
    test_ok(sees_n("ready\n", 3), "%s: all ranks run, once more", name);
    test_kill(parent_of(foreground()), SIGKILL);
    ends_as(exits(128 + SIGKILL), "gdb, killed while its program has the terminal");
}

int main(void)
{
    test_begin(120);
    if (access("./smrrun", X_OK) != 0 || access("./t/rank", X_OK) != 0)
        test_skip_all("smrrun or t/rank is not built here");
    setenv("ASAN_OPTIONS", "handle_segv=0:handle_abort=0:detect_leaks=0", 1);
    setenv("TERM", "dumb", 1);
    read_modes();
    test_run();
    test_quit_early();
    test_other_fails();
    test_stop();
    test_killed();
    test_gdb();
    return test_end();
}
