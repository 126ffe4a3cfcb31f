/* How children have ended. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/fds.h"
#include "host/process.h"

static void end_from_siginfo(struct process_end *end, const siginfo_t *info)
{
    end->code = info->si_status;
    end->how = info->si_code == CLD_EXITED ? PROCESS_EXITED : PROCESS_SIGNALLED;
    end->dumped_core = info->si_code == CLD_DUMPED;
}

/*
 * waitid(2) that never sleeps may say EINTR all the same: under valgrind, where SIGCHLD comes just before it.
 * Taken for "no such child", that would leave a zombie.
 */
static int ask(int pid, siginfo_t *info)
{
    int result;

    do {
        *info = (siginfo_t){0};
        result = waitid(P_PID, (id_t)pid, info, WEXITED | WNOHANG);
    } while (result != 0 && errno == EINTR);
    return result;
}

enum process_how process_reap(struct process *process, struct process_end *end)
{
    siginfo_t info;
    int saved_errno = errno;

    *end = (struct process_end){.how = PROCESS_RUNS};
    if (ask(process->pid, &info) != 0)
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
    if (process->end_fd >= 0 && fds_inode(process->end_fd) == process->end_inode)
        close(process->end_fd);
    process->end_fd = -1;
    process->is_certain = false;
    process->is_unwatched = false;
}
