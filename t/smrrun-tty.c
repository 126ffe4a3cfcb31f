/*
 * smrrun on a terminal: what keys do to a job, and what is seen of it, when. The test holds the other end of
 * the terminal, and has a process that is to smrrun what a shell is.
 */
#include "on_terminal.h"

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

    start("-n", "3", "sh", "-c", "echo ready; exec sleep 100", NULL);
    test_ok(sees_n("ready", 3), "ranks run");
    for (int i = 0; i < 3; i++) {
        test_kill(job.face, SIGTSTP);
        status = next_status();
        test_ok(status != -1 && WIFSTOPPED(status) && ranks_come_to(3, "T"),
                "SIGTSTP to the launcher alone stops it, and the ranks");
        test_kill(job.face, SIGCONT);
        status = next_status();
        test_ok(status != -1 && WIFCONTINUED(status) && ranks_come_to(3, "S"),
                "SIGCONT to it lets it go on, and the ranks");
    }
    press(CTRL_C);
    ends_by_signal(SIGINT, "a job that was stopped by its launcher");
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
