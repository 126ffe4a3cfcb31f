#include "config.h"

#include "host/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/fds.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/*
 * Whether the kernel has pidfds; asked once. -1: not yet asked. Two threads that ask at once get the same
 * answer.
 */
static bool has_pidfd(void)
{
    static atomic_int known = -1;
    int answer = atomic_load(&known);
    int fd;

    if (answer >= 0)
        return answer;
    fd = open_pidfd(getpid());
    answer = fd >= 0 || errno == EMFILE || errno == ENFILE;
    if (fd >= 0)
        close(fd);
    atomic_store(&known, answer);
    return answer;
}

/*
 * An exception of C++ that left the user's function: the child must not go on as a second copy of the
 * program.
 */
static void end_unwound(const int *unused)
{
    (void)unused;
    abort();
}

static _Noreturn void run_child(pid_t parent, int pipe_to_close, void (*body)(void *argument), void *argument)
{
    __attribute__((cleanup(end_unwound), unused)) int unwound;

    if (pipe_to_close >= 0)
        close(pipe_to_close);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /*
     * The parent may have ended before the prctl, and then the signal never comes. 0: it is in another pid
     * namespace, and cannot be named here.
     */
    if (getppid() != parent && getppid() != 0)
        _exit(0);
    body(argument);
    _exit(0);
}

/* Half of what may be open is left to the program; children beyond that are asked now and then. */
static int keep_few(int fd)
{
    fd = fds_above_stdio(fd);
    if (fd < fds_limit() / 2)
        return fd;
    close(fd);
    return -1;
}

int process_fork(struct process *process, void (*body)(void *argument), void *argument)
{
    int ends[2] = {-1, -1};
    pid_t parent = getpid();
    pid_t pid;

    /* No pipe because there are too many files open: do without, process_reap() is asked now and then. */
    if (!has_pidfd() && pipe2(ends, O_CLOEXEC) != 0)
        ends[0] = ends[1] = -1;
    pid = fork();
    if (pid == 0)
        run_child(parent, ends[0], body, argument);
    if (ends[1] >= 0) {
        int saved_errno = errno;

        close(ends[1]);
        if (pid < 0)
            close(ends[0]);
        errno = saved_errno;
    }
    if (pid < 0)
        return -1;
    process->pid = pid;
    process->end_fd = keep_few(has_pidfd() ? open_pidfd(pid) : ends[0]);
    process->is_certain = has_pidfd() && process->end_fd >= 0;
    return 0;
}

static void end_from_siginfo(struct process_end *end, const siginfo_t *info)
{
    end->code = info->si_status;
    end->how = info->si_code == CLD_EXITED ? PROCESS_EXITED : PROCESS_SIGNALLED;
    end->dumped_core = info->si_code == CLD_DUMPED;
}

enum process_how process_reap(struct process *process, struct process_end *end)
{
    siginfo_t info = {0};
    int saved_errno = errno;

    *end = (struct process_end){.how = PROCESS_RUNS};
    if (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG) != 0)
        end->how = PROCESS_VANISHED;
    else if (info.si_pid == process->pid)
        end_from_siginfo(end, &info);
    if (end->how != PROCESS_RUNS)
        process_forget_end_fd(process);
    errno = saved_errno;
    return end->how;
}

void process_forget_end_fd(struct process *process)
{
    if (process->end_fd >= 0)
        close(process->end_fd);
    process->end_fd = -1;
    process->is_certain = false;
}

void process_signal(const struct process *process, int signal)
{
    int saved_errno = errno;

    /*
     * The program may have closed our fd: then by the pid, which is the child's as long as it is not
     * collected.
     */
    if (!process->is_certain ||
        (syscall(SYS_pidfd_send_signal, process->end_fd, signal, NULL, 0) != 0 && errno != ESRCH))
        kill(process->pid, signal);
    errno = saved_errno;
}

/*
 * Reads state and start of thread tid from /proc. Returns 1, 0 where it is gone, -1 where nothing can be
 * known.
 */
static int read_stat(pid_t tid, char *state, unsigned long long *start_ticks)
{
    char path[32];
    char text[1024];
    const char *behind_name;
    ssize_t length;
    int fd;

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
    if (behind_name == NULL)
        return -1;
    return sscanf(behind_name + 1,
                  " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", state,
                  start_ticks) == 2
               ? 1
               : -1;
}

/*
 * Without /proc: kill(2) takes a zombie for alive, and the one who could collect it may be the one that asks.
 */
static bool is_our_zombie(pid_t tid)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == tid;
}

bool process_lives(pid_t tid, uint64_t since_boot_ns)
{
    uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    unsigned long long start_ticks;
    int saved_errno = errno;
    bool lives;
    char state;

    switch (read_stat(tid, &state, &start_ticks)) {
    case 1:
        /*
         * A later thread with the same number started after that moment; a tick is as exact as the kernel
         * says.
         */
        lives = state != 'Z' && state != 'X' && start_ticks <= since_boot_ns / tick_ns;
        break;
    case 0:
        lives = false;
        break;
    default:
        lives = !is_our_zombie(tid) && (kill(tid, 0) == 0 || errno == EPERM);
    }
    errno = saved_errno;
    return lives;
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
