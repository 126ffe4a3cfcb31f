#include "config.h"

#include "host/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int process_look(pid_t tid, struct process_look *look)
{
    char path[32];
    char text[1024];
    const char *behind_name;
    unsigned long long start_ticks;
    ssize_t length;
    int fd, parent;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)tid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0)
        return length < 0 && errno == ESRCH ? 0 : -1;
    text[length] = '\0';
    /*
     * The name, field 2, may hold anything, blanks and brackets too: fields are counted from its last
     * bracket.
     */
    behind_name = strrchr(text, ')');
    if (behind_name == NULL ||
        sscanf(behind_name + 1,
               " %c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %d %*s %llu", &look->state,
               &parent, &look->n_threads, &start_ticks) != 4)
        return -1;
    look->parent = parent;
    look->start_ticks = start_ticks;
    return 1;
}

/*
 * Without /proc: kill(2) takes a zombie for alive, and the one who could collect it may be the one that asks.
 */
static bool is_our_zombie(pid_t tid)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == tid;
}

static bool lives(pid_t tid, uint64_t since_boot_ns, bool by_any_thread)
{
    uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    struct process_look look;
    int saved_errno = errno;
    bool is_alive, has_begun;

    switch (process_look(tid, &look)) {
    case 1:
        /*
         * A later thread with the same number started after that moment; a tick is as exact as the kernel
         * says.
         */
        has_begun = look.start_ticks <= since_boot_ns / tick_ns;
        is_alive = (look.state != 'Z' && look.state != 'X') || (by_any_thread && look.n_threads > 1);
        is_alive = is_alive && has_begun;
        break;
    case 0:
        is_alive = false;
        break;
    default:
        is_alive = !is_our_zombie(tid) && (kill(tid, 0) == 0 || errno == EPERM);
    }
    errno = saved_errno;
    return is_alive;
}

bool process_lives(pid_t tid, uint64_t since_boot_ns)
{
    return lives(tid, since_boot_ns, false);
}

bool process_lives_at_all(pid_t pid, uint64_t since_boot_ns)
{
    return lives(pid, since_boot_ns, true);
}

const char *process_signal_name(int signal, char *text, int size)
{
#ifdef HAVE_SIGABBREV_NP
    const char *name = sigabbrev_np(signal);

    if (name != NULL) {
        snprintf(text, (size_t)size, "SIG%s", name);
        return text;
    }
#endif
    snprintf(text, (size_t)size, "signal %d", signal);
    return text;
}

/* Asked without taking a status from whoever waits for it. */
static bool has_children(void)
{
    siginfo_t info = {0};

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 || errno != ECHILD;
}

bool process_is_single(void)
{
    struct process_look look;
    int saved_errno = errno;
    bool is_single = !has_children() && process_look(getpid(), &look) == 1 && look.n_threads == 1;

    errno = saved_errno;
    return is_single;
}

uint64_t process_private_bytes(void)
{
    unsigned long long size, resident, shared;
    int saved_errno = errno;
    FILE *file = fopen("/proc/self/statm", "re");
    bool is_read = file != NULL && fscanf(file, "%llu %llu %llu", &size, &resident, &shared) == 3;

    if (file != NULL)
        fclose(file);
    errno = saved_errno;
    return is_read && resident > shared ? (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}
