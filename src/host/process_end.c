/* How children have ended. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/each_fork.h"

#include "host/fds.h"
#include "host/process.h"

static uint64_t nanoseconds(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

static void end_from_siginfo(struct process_end *end, const siginfo_t *info, const struct rusage *usage)
{
    end->use = (struct process_use){.user_ns = nanoseconds(usage->ru_utime),
                                    .system_ns = nanoseconds(usage->ru_stime),
                                    .peak_bytes = (uint64_t)usage->ru_maxrss << 10};
    end->code = info->si_status;
    end->how = info->si_code == CLD_EXITED ? PROCESS_EXITED : PROCESS_SIGNALLED;
    end->dumped_core = info->si_code == CLD_DUMPED;
}

/*
 * The system call: the C library's waitid(2) leaves out what the child used.
 *
 * Though it never sleeps it may say EINTR: under valgrind, where SIGCHLD comes just before it. Taken for "no
 * such child", that would leave a zombie.
 */
static long ask(int pid, int what, siginfo_t *info, struct rusage *usage)
{
    long result;

    do {
        *info = (siginfo_t){0};
        *usage = (struct rusage){0};
        result = syscall(SYS_waitid, P_PID, (id_t)pid, info, what | WNOHANG, usage);
    } while (result != 0 && errno == EINTR);
    return result;
}

enum process_how process_reap(struct process *process, struct process_end *end)
{
    struct rusage usage;
    siginfo_t info;
    int saved_errno = errno;

    *end = (struct process_end){.how = PROCESS_RUNS};
    if (ask(process->pid, WEXITED, &info, &usage) != 0)
        end->how = PROCESS_VANISHED;
    else if (info.si_pid == process->pid)
        end_from_siginfo(end, &info, &usage);
    if (end->how != PROCESS_RUNS)
        process_forget_end_fd(process);
    errno = saved_errno;
    return end->how;
}

bool process_has_stopped(const struct process *process)
{
    struct rusage usage;
    siginfo_t info;
    int saved_errno = errno;
    bool has = ask(process->pid, WSTOPPED, &info, &usage) == 0 && info.si_pid == process->pid;

    errno = saved_errno;
    return has;
}

EACH_FORK void process_forget_end_fd(struct process *process)
{
    if (process->end_fd >= 0 && fds_inode(process->end_fd) == process->end_inode)
        close(process->end_fd);
    process->end_fd = -1;
    process->is_certain = false;
    process->is_unwatched = false;
}
