/*
 * Runs a command in the foreground of a terminal of its own, and does to it what a person does, for tests in shell:
 *
 *     t/terminal see:4:ready press:^C -- smrrun -n 4 prog
 *
 * The steps are done in turn. Then it waits for the command's end, while the terminal goes on.
 *     see:TEXT         waits until TEXT is seen, behind what was waited for before
 *     see:N:TEXT       so often
 *     press:KEYS       ^C is the key Control-C, \n the return key
 *     size             the window gets another size
 *     kill:TERM        a signal to the command alone
 *     group:TERM       to its process group
 *     stopped          waits until the shell is told that the command has stopped
 *     fg               lets it go on, as the shell does
 *     off, on          the terminal takes nothing, as after Ctrl-S, or goes on
 *     there:PATH       waits until this file is there
 *
 * It prints what is seen, without carriage returns, and ends with the command's status as a shell has it:
 * 128 + N where signal N ended it. 99: a step failed, and stderr says which.
 */
#include <sys/ioctl.h>

#include "terminal.h"

#define FAILED 99

static _Noreturn void fail(const char *step)
{
    fprintf(stderr, "# failed: %s\n# seen: \"%.2000s\"\n", step, job.seen);
    fflush(stdout);
    if (job.face > 1)
        kill(-job.face, SIGKILL);
    exit(FAILED);
}

/* TEXT or N:TEXT. */
static bool see(const char *text)
{
    int n = 0;

    if (sscanf(text, "%d:", &n) == 1 && n > 0)
        return sees_n(strchr(text, ':') + 1, n);
    return sees(text);
}

/* ^C and \n as keys. */
static bool press_keys(const char *text)
{
    char keys[256];
    size_t n = 0;

    for (; *text != '\0' && n < sizeof keys - 1; text++) {
        bool is_pair = (*text == '^' || *text == '\\') && text[1] != '\0';

        if (is_pair)
            text++;
        keys[n++] = (char)(!is_pair ? *text : text[-1] == '^' ? *text & 31 : '\n');
    }
    keys[n] = '\0';
    press(keys);
    return true;
}

static bool resize(const char *text)
{
    struct winsize size = {.ws_row = 33, .ws_col = 77};

    (void)text;
    return ioctl(job.master, TIOCSWINSZ, &size) == 0;
}

static const struct {
    const char *name;
    int number;
} signals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"TERM", SIGTERM}, {"USR1", SIGUSR1},   {"USR2", SIGUSR2},
    {"ALRM", SIGALRM}, {"CONT", SIGCONT}, {"TSTP", SIGTSTP}, {"KILL", SIGKILL}, {"WINCH", SIGWINCH},
};

/* To a process, or a group as kill(2) has it. */
static bool kill_by_name(pid_t who, const char *name)
{
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (strcmp(signals[i].name, name) == 0)
            return kill(who, signals[i].number) == 0;
    }
    return false;
}

static bool kill_one(const char *name)
{
    return kill_by_name(job.face, name);
}

static bool kill_group(const char *name)
{
    return kill_by_name(-job.face, name);
}

static bool await_stop(const char *text)
{
    int status = next_status();

    (void)text;
    return status != -1 && WIFSTOPPED(status);
}

/* It may have ended before anybody is told that it went on. */
static bool go_on(const char *text)
{
    (void)text;
    return kill(-job.face, SIGCONT) == 0;
}

static bool stop_flow(const char *text)
{
    (void)text;
    flow(TCOOFF);
    return true;
}

static bool start_flow(const char *text)
{
    (void)text;
    flow(TCOON);
    return true;
}

/* While the terminal goes on, as far as it may. */
static bool await_file(const char *path)
{
    int64_t deadline = deadline_ms();

    while (access(path, F_OK) != 0) {
        struct pollfd polled = {.fd = job.master, .events = POLLIN};

        if (now_ms() > deadline)
            return false;
        if (poll(&polled, 1, 5) > 0 && polled.revents & POLLIN)
            look();
    }
    return true;
}

static const struct {
    const char *name; /* with a : where something follows */
    bool (*act)(const char *text);
} steps[] = {
    {"see:", see},           {"press:", press_keys}, {"size", resize},   {"kill:", kill_one},  {"group:", kill_group},
    {"stopped", await_stop}, {"fg", go_on},          {"off", stop_flow}, {"on", start_flow}, {"there:", await_file},
};

static bool take_step(const char *step)
{
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        size_t length = strlen(steps[i].name);

        if (strncmp(step, steps[i].name, length) == 0)
            return steps[i].act(step + length);
    }
    return false;
}

/* The command's end; stops on the way are told to nobody. */
static int await_end(void)
{
    int status;

    do {
        status = next_status();
    } while (status != -1 && !WIFEXITED(status) && !WIFSIGNALED(status));
    if (status == -1)
        fail("its end");
    for (struct pollfd polled = {.fd = job.master, .events = POLLIN};
         poll(&polled, 1, 0) > 0 && (polled.revents & POLLIN) != 0 && look();)
        ;
    fflush(stdout);
    kill(job.shell, SIGKILL);
    waitpid(job.shell, NULL, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    int begin = 1;

    while (begin < argc && strcmp(argv[begin], "--") != 0)
        begin++;
    if (begin + 1 >= argc)
        fail("no command");
    job.copy = stdout;
    start_on_terminal(argv + begin + 1);
    for (int i = 1; i < begin; i++) {
        if (!take_step(argv[i]))
            fail(argv[i]);
    }
    return await_end();
}
