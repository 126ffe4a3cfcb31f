#include "config.h"

#include "host/descendants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/process.h"

/*
 * Between two rounds of killing. Short at first: who forks and ends all the time is met only by a round
 * that comes before the next fork. Where nothing ends for the stuck time, what was killed may never end,
 * and what it started does not become ours: then all are looked for again, not the children only.
 */
#define FIRST_REST_NS   20000u
#define LONGEST_REST_NS 2000000u
#define STUCK_NS        3000000u

/* Of clone(2), with another signal at its end, too. */
#define ENDED (WEXITED | WNOHANG | __WALL)

static bool only_scan;

void descendants_only_scan(bool is)
{
    only_scan = is;
}

void descendants_adopt(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* ---- Finding them ---- */

typedef void visit_function(pid_t pid, void *argument);

static bool is_number(const char *name)
{
    return *name >= '0' && *name <= '9';
}

/* Visits each number in a file of numbers. */
static void visit_numbers(int fd, visit_function *visit, void *argument)
{
    char text[4096];
    ssize_t length;
    pid_t pid = 0; /* one may begin at the end of a piece and go on in the next */

    while ((length = read(fd, text, sizeof text)) > 0) {
        for (ssize_t i = 0; i < length; i++) {
            if (is_number(&text[i])) {
                pid = pid * 10 + (text[i] - '0');
            } else if (pid != 0) {
                visit(pid, argument);
                pid = 0;
            }
        }
    }
}

/* Visits the children of a process, those of each of its threads. */
static void visit_children(pid_t parent, visit_function *visit, void *argument)
{
    char path[NAME_MAX + 16];
    const struct dirent *thread;
    DIR *threads;

    snprintf(path, sizeof path, "/proc/%d/task", (int)parent);
    threads = opendir(path);
    if (threads == NULL)
        return;
    while ((thread = readdir(threads)) != NULL) {
        int fd;

        if (!is_number(thread->d_name))
            continue;
        snprintf(path, sizeof path, "%s/children", thread->d_name);
        fd = openat(dirfd(threads), path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        visit_numbers(fd, visit, argument);
        close(fd);
    }
    closedir(threads);
}

static void visit_all(visit_function *visit, void *argument)
{
    DIR *processes = opendir("/proc");
    const struct dirent *process;

    if (processes == NULL)
        return;
    while ((process = readdir(processes)) != NULL) {
        if (is_number(process->d_name))
            visit(atoi(process->d_name), argument);
    }
    closedir(processes);
}

/* Kernels may be built without CONFIG_PROC_CHILDREN. */
static bool has_children_files(void)
{
    return !only_scan && access("/proc/thread-self/children", F_OK) == 0;
}

/* One process, and who its parent was when it was found. */
struct kin {
    pid_t pid;
    pid_t parent;
};

struct family {
    struct kin *of;
    size_t n, room;
    pid_t parent; /* of those that are added next */
};

/* Without memory for it the family is left smaller. */
static void family_add(struct family *family, pid_t pid, pid_t parent)
{
    if (family->n == family->room) {
        size_t room = 2 * family->room + 64;
        struct kin *of = realloc(family->of, room * sizeof *of);

        if (of == NULL)
            return;
        family->of = of;
        family->room = room;
    }
    family->of[family->n++] = (struct kin){.pid = pid, .parent = parent};
}

static void add_child(pid_t pid, void *argument)
{
    struct family *family = argument;

    family_add(family, pid, family->parent);
}

static void add_with_parent(pid_t pid, void *argument)
{
    struct process_look look;

    if (process_look(pid, &look) == 1)
        family_add(argument, pid, look.parent);
}

/* Adds parent's children: those it has among all, or those that the system says. */
static void add_children(struct family *family, const struct family *all, pid_t parent)
{
    family->parent = parent;
    if (all == NULL)
        visit_children(parent, add_child, family);
    for (size_t i = 0; all != NULL && i < all->n; i++) {
        if (all->of[i].parent == parent)
            family_add(family, all->of[i].pid, parent);
    }
}

/* Reads this process's children into family, and, with deeper, their descendants behind them. */
static void family_read(struct family *family, bool deeper)
{
    struct family table = {.of = NULL};
    struct family *all = has_children_files() ? NULL : &table;

    if (all != NULL)
        visit_all(add_with_parent, all);
    *family = (struct family){.of = NULL};
    add_children(family, all, getpid());
    for (size_t i = 0; deeper && i < family->n; i++)
        add_children(family, all, family->of[i].pid);
    free(table.of);
}

/* ---- Signals ---- */

/* A child of ours that has not ended. Its pid is its own until we collect it. */
static bool child_lives(pid_t pid)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)pid, &info, ENDED | WNOWAIT) == 0 && info.si_pid == 0;
}

/*
 * Whether a process lives and is still the child of the descendant that it was found with, or has become
 * ours. Of the parent that was seen before: a line of parents may be long.
 */
static bool is_kin(pid_t pid, void *argument)
{
    const struct kin *kin = argument;
    struct process_look look;

    return process_look(pid, &look) == 1 && look.state != 'Z' && look.state != 'X' &&
           (look.parent == kin->parent || look.parent == getpid());
}

static bool lives(struct kin *kin)
{
    return kin->parent == getpid() ? child_lives(kin->pid) : is_kin(kin->pid, kin);
}

static bool send_to(struct kin *kin, int signal)
{
    if (kin->parent == getpid())
        return child_lives(kin->pid) && kill(kin->pid, signal) == 0;
    return process_signal_meant(kin->pid, signal, is_kin, kin);
}

int descendants_signal(int signal, bool (*spare)(pid_t pid, void *argument), void *argument)
{
    struct family family;
    int sent = 0;

    family_read(&family, true);
    for (size_t i = 0; i < family.n; i++) {
        if (spare == NULL || !spare(family.of[i].pid, argument))
            sent += send_to(&family.of[i], signal);
    }
    free(family.of);
    return sent;
}

/* ---- Collecting ---- */

static pid_t collect(idtype_t which, pid_t pid, int options)
{
    siginfo_t info = {0};

    return waitid(which, (id_t)pid, &info, options) == 0 ? info.si_pid : 0;
}

bool descendants_any(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, ENDED | WNOWAIT) == 0 || errno != ECHILD;
}

/* The system shows only one that has ended, and that one is spared: each other child is asked. */
static pid_t collect_behind(bool (*spare)(pid_t pid, void *argument), void *argument)
{
    struct family family;
    pid_t collected = 0;

    family_read(&family, false);
    for (size_t i = 0; i < family.n && collected == 0; i++) {
        if (!spare(family.of[i].pid, argument))
            collected = collect(P_PID, family.of[i].pid, ENDED);
    }
    free(family.of);
    return collected;
}

pid_t descendants_collect(bool (*spare)(pid_t pid, void *argument), void *argument)
{
    pid_t first = collect(P_ALL, 0, ENDED | WNOWAIT);

    if (first == 0)
        return 0;
    if (spare != NULL && spare(first, argument))
        return collect_behind(spare, argument);
    return collect(P_PID, first, ENDED);
}

/* ---- Ending them ---- */

static void kill_child(pid_t pid, void *unused)
{
    (void)unused;
    kill(pid, SIGKILL);
}

static void kill_if_child(pid_t pid, void *unused)
{
    if (child_lives(pid))
        kill_child(pid, unused);
}

/*
 * Only children, each as it is read: that is quick, and nobody else can get the signal. The children of
 * those that end are ours the next time.
 */
static void kill_children(void)
{
    if (has_children_files())
        visit_children(getpid(), kill_child, NULL);
    else
        visit_all(kill_if_child, NULL);
}

static bool collect_all(void)
{
    bool any = false;

    while (collect(P_ALL, 0, ENDED) != 0)
        any = true;
    return any;
}

static int count_living(void)
{
    struct family family;
    int living = 0;

    family_read(&family, true);
    for (size_t i = 0; i < family.n; i++)
        living += lives(&family.of[i]);
    free(family.of);
    return living;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void rest(uint64_t ns)
{
    const struct timespec pause = clock_timespec(ns);

    nanosleep(&pause, NULL);
}

int descendants_end(uint64_t timeout_ns)
{
    uint64_t begin = clock_monotonic_ns(), now = begin;
    uint64_t quiet_since = begin, rest_ns = FIRST_REST_NS;

    for (;;) {
        kill_children();
        if (now - quiet_since >= STUCK_NS) {
            descendants_signal(SIGKILL, NULL, NULL);
            quiet_since = clock_monotonic_ns();
        }
        if (collect_all()) {
            quiet_since = clock_monotonic_ns();
            rest_ns = FIRST_REST_NS;
        }
        if (!descendants_any())
            return 0;
        now = clock_monotonic_ns();
        if (now - begin >= timeout_ns)
            return count_living();
        rest(least(rest_ns, timeout_ns - (now - begin)));
        rest_ns = least(2 * rest_ns, LONGEST_REST_NS);
        now = clock_monotonic_ns();
    }
}
