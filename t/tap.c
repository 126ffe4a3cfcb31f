#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t owner; /* the only process that may print results: forked children inherit all of this */
static int ran, failed;
static char bail_out[64];

/* ---- Children: all of this runs in the handler of SIGALRM too, so it is made of system calls only ---- */

#define STAT_BYTES 128

/* Reads the beginning of /proc/PID/stat. */
static void read_stat(const char *pid, char stat[STAT_BYTES])
{
    char path[NAME_MAX + 16] = "/proc/";
    ssize_t length;
    int fd;

    stat[0] = '\0';
    strcat(path, pid);
    strcat(path, "/stat");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    length = read(fd, stat, STAT_BYTES - 1);
    close(fd);
    stat[length > 0 ? length : 0] = '\0';
}

/* Behind the last ')' stand " S PPID": the name before it may hold anything. */
static pid_t parent_in(const char *stat)
{
    const char *state = strrchr(stat, ')');

    return state != NULL && strlen(state) > 4 ? atoi(state + 4) : -1;
}

static void say_child(const char *stat)
{
    (void)!write(STDERR_FILENO, "# a child: ", 11);
    (void)!write(STDERR_FILENO, stat, strlen(stat));
    (void)!write(STDERR_FILENO, "\n", 1);
}

/*
 * Kills this process's children where it should, else names them. Returns how many it saw: zombies are among
 * them.
 */
static int each_child(bool kill_it)
{
    char entries[4096] __attribute__((aligned(8))), stat[STAT_BYTES];
    int directory = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int children = 0;
    long length;

    while ((length = syscall(SYS_getdents64, directory, entries, sizeof entries)) > 0) {
        for (long at = 0; at < length;) {
            const struct dirent64 *entry = (const void *)(entries + at);

            at += entry->d_reclen;
            if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
                continue;
            read_stat(entry->d_name, stat);
            if (parent_in(stat) != getpid())
                continue;
            children++;
            if (kill_it)
                kill(atoi(entry->d_name), SIGKILL);
            else
                say_child(stat);
        }
    }
    close(directory);
    return children;
}

/*
 * Orphans come to us, as their subreaper, when the child between has ended: so repeated passes meet every
 * descendant. No pass blocks and their number is bounded, for a thread of the test may go on forking.
 */
static void end_all_children(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (int passes = 0; passes < 2000; passes++) {
        each_child(true);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (errno == ECHILD)
            return;
        nanosleep(&pause, NULL);
    }
}

/* Leaves by exit_group itself: _exit() of a sanitizer's runtime lets other threads go on, for a second even. */
static void on_time_limit(int signal)
{
    (void)signal;
    if (getpid() != owner)
        return;
    (void)!write(STDOUT_FILENO, bail_out, strlen(bail_out));
    end_all_children();
    syscall(SYS_exit_group, EXIT_FAILURE);
}

/* Whether the system knows of any child at all, zombies too: many times cheaper than a walk through /proc. */
static bool has_children(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 || errno != ECHILD;
}

int test_children(void)
{
    int saved_errno = errno, children = has_children() ? each_child(false) : 0;

    errno = saved_errno;
    return children;
}

int test_reap_orphans(void)
{
    int n = 0;
    pid_t pid;

    while ((pid = waitpid(-1, NULL, 0)) > 0 || errno == EINTR)
        n += pid > 0;
    return n;
}

/* ---- Begin and end ---- */

static void clear_environment(void)
{
    static const char *const prefixes[] = {"OMP_",  "PBS_", "SLURM_", "SHAREDMEM_",
                                           "OMPI_", "PMI",  "MPI_",   "FLUX_"};

    for (char **variable = environ; *variable != NULL;) {
        char name[256];
        bool hit = false;

        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
            hit |= strncmp(*variable, prefixes[i], strlen(prefixes[i])) == 0;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*variable, "="), *variable);
        if (hit && unsetenv(name) == 0 && getenv(name) == NULL)
            variable = environ;
        else
            variable++;
    }
}

static unsigned scaled(unsigned seconds)
{
    const char *text = getenv("TEST_TIME_SCALE");
    int scale = text != NULL ? atoi(text) : 1;

    return scale > 1 ? seconds * (unsigned)scale : seconds;
}

/* The alarm stays on after test_end(): what runs at exit may hang as well. */
static void set_time_limit(unsigned seconds)
{
    struct sigaction action = {.sa_handler = on_time_limit};
    sigset_t alarm_only;

    snprintf(bail_out, sizeof bail_out, "Bail out! time limit of %u s\n", seconds);
    sigaction(SIGALRM, &action, NULL);
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
    alarm(seconds);
}

void test_begin(unsigned seconds)
{
    owner = getpid();
    setvbuf(stdout, NULL, _IOLBF, 0);
    clear_environment();
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    set_time_limit(scaled(seconds));
}

/* A child that lives on may hold our stdout open, and whoever reads the results would wait for it. */
static void end_left_children(void)
{
    int left = test_children();

    if (left == 0)
        return;
    test_ok(false, "no child is left at the end (%d are, and are killed)", left);
    end_all_children();
}

int test_end(void)
{
    if (getpid() != owner) {
        fputs("# a forked child came to test_end(): it must leave by test_child_exit()\n", stderr);
        _exit(2);
    }
    end_left_children();
    if (ran == 0)
        puts("Bail out! the test checks nothing");
    else
        printf("1..%d\n", ran);
    fflush(stdout);
    return ran > 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

void test_kill(int pid, int signal)
{
    if (pid <= 1) {
        printf("Bail out! there is no process to kill: a fork failed\n");
        fflush(stdout);
        _exit(EXIT_FAILURE);
    }
    kill(pid, signal);
}

void test_kill_group(int pid, int signal)
{
    if (pid > 1)
        kill(-pid, signal);
    else
        test_kill(pid, signal);
}

void test_child_exit(int status)
{
    _exit(status);
}

/* ---- Results ---- */

static void print_text(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));
static bool report(const char *file, int line, bool held, const char *name, va_list arguments)
    __attribute__((format(printf, 4, 0)));

static void print_text(const char *format, va_list arguments)
{
    char text[1024];

    vsnprintf(text, sizeof text, format, arguments);
    for (char *at = text; (at = strchr(at, '\n')) != NULL;)
        *at = ' ';
    fputs(text, stdout);
}

/* Prints a result. Of a child's only a failure is said, where a person reads it: its count is not ours. */
static bool report(const char *file, int line, bool held, const char *name, va_list arguments)
{
    if (!held)
        fprintf(stderr, "# failed at %s:%d%s\n", file, line, getpid() == owner ? "" : ", in a child process");
    if (getpid() != owner)
        return held;
    printf("%s %d - ", held ? "ok" : "not ok", ++ran);
    print_text(name, arguments);
    putchar('\n');
    fflush(stdout);
    failed += !held;
    return held;
}

/* One line of what a failed check expected or got. */
static void explain(const char *role, const char *text)
{
    if (text == NULL)
        fprintf(stderr, "# %8s: NULL\n", role);
    else
        fprintf(stderr, "# %8s: \"%s\"\n", role, text);
}

bool test_check_ok(const char *file, int line, bool held, const char *condition, const char *name, ...)
{
    va_list arguments;

    va_start(arguments, name);
    report(file, line, held, name, arguments);
    va_end(arguments);
    if (!held)
        fprintf(stderr, "# expected: %s\n", condition);
    return held;
}

bool test_check_int(const char *file, int line, long long expected, long long got, const char *name, ...)
{
    bool held = expected == got;
    va_list arguments;

    va_start(arguments, name);
    report(file, line, held, name, arguments);
    va_end(arguments);
    if (!held)
        fprintf(stderr, "# expected: %lld\n#      got: %lld\n", expected, got);
    return held;
}

bool test_check_str(const char *file, int line, const char *expected, const char *got, const char *name, ...)
{
    bool both = expected != NULL && got != NULL;
    bool held = both ? strcmp(expected, got) == 0 : expected == got;
    va_list arguments;

    va_start(arguments, name);
    report(file, line, held, name, arguments);
    va_end(arguments);
    if (!held) {
        explain("expected", expected);
        explain("got", got);
    }
    return held;
}

bool test_check_has(const char *file, int line, const char *part, const char *text, const char *name, ...)
{
    bool held = part != NULL && text != NULL && strstr(text, part) != NULL;
    va_list arguments;

    va_start(arguments, name);
    report(file, line, held, name, arguments);
    va_end(arguments);
    if (!held) {
        explain("part", part);
        explain("of", text);
    }
    return held;
}

void test_skip(const char *why, ...)
{
    va_list arguments;

    if (getpid() != owner)
        return;
    printf("ok %d # SKIP ", ++ran);
    va_start(arguments, why);
    print_text(why, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

void test_skip_all(const char *why, ...)
{
    va_list arguments;

    fputs(ran == 0 ? "1..0 # SKIP " : "Bail out! skipped after results: ", stdout);
    va_start(arguments, why);
    print_text(why, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
    _exit(ran == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

void test_note(const char *text, ...)
{
    va_list arguments;

    if (getpid() != owner)
        return;
    fputs("# ", stdout);
    va_start(arguments, text);
    print_text(text, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

/* ---- What surrounds the test ---- */

int test_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    const struct dirent *entry;
    int fds = -1; /* without the directory's own */

    if (directory == NULL)
        return -1;
    while ((entry = readdir(directory)) != NULL)
        fds += entry->d_name[0] != '.';
    closedir(directory);
    return fds;
}

/* Valgrind puts this library into every process, whatever the tool; a mere "valgrind" may be in any path. */
bool test_under_valgrind(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    bool found = false;

    if (maps == NULL)
        return false;
    while (!found && fgets(line, sizeof line, maps) != NULL)
        found = strstr(line, "/vgpreload_core") != NULL;
    fclose(maps);
    return found;
}

#ifndef __has_feature
#define __has_feature(feature) 0
#endif

bool test_address_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
    return true;
#else
    return false;
#endif
}

bool test_thread_sanitized(void)
{
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
    return true;
#else
    return false;
#endif
}
