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
    if (process->end_fd >= 0 && fds_inode(process->end_fd) == process->end_inode)
        close(process->end_fd);
    process->end_fd = -1;
    process->is_certain = false;
    process->is_unwatched = false;
}
