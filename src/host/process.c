#include "config.h"

#include "host/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/each_fork.h"

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

/* -1: not yet asked. Two threads that ask at once get the same answer. */
bool process_has_pidfd(void)
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

/* 0: it is in another pid namespace, and cannot be named here. */
static bool is_parent(pid_t parent)
{
    return getppid() == parent || getppid() == 0;
}

/* The child gets signal when the thread that made it ends. */
static void ask_for_signal(int signal, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, signal);
    /* The parent may have ended before the prctl, and then the signal never comes. */
    if (!is_parent(parent))
        _exit(0);
}

/* ---- Whom a child ends with ---- */

/* In a child that stays with its parent's process: that. */
static pid_t staying_with;

static void thread_of_parent_ended(int unused)
{
    (void)unused;
    if (!is_parent(staying_with))
        kill(getpid(), SIGKILL);
}

/* The system tells of the end of the one thread that forked, each time another one takes over from it. */
static void stay_with(pid_t parent)
{
    int signal = SIGRTMAX - 2;
    struct sigaction action = {.sa_handler = thread_of_parent_ended, .sa_flags = SA_RESTART};
    sigset_t mask;

    staying_with = parent;
    sigaction(signal, &action, NULL);
    sigemptyset(&mask);
    sigaddset(&mask, signal);
    pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    ask_for_signal(signal, parent);
}

static void end_with(pid_t parent)
{
    ask_for_signal(SIGKILL, parent);
}

static void end_with_nobody(pid_t unused)
{
    (void)unused;
}

/* ---- end_fd ---- */

/*
 * Where there are no pidfds: a pipe of which only the child will hold ends[1]. -1 both where there are, and
 * where too many files are open: do without, process_reap() is asked now and then.
 */
static void open_end_pipe(int ends[2])
{
    ends[0] = ends[1] = -1;
    if (process_has_pidfd())
        return;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        ends[0] = ends[1] = -1;
        return;
    }
    ends[1] = fds_above_stdio(ends[1]);
    if (ends[1] >= 0)
        return;
    close(ends[0]);
    ends[0] = -1;
}

static void close_pipe(const int ends[2])
{
    int saved_errno = errno;

    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0)
            close(ends[i]);
    }
    errno = saved_errno;
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

static void set_end_fd(struct process *process, int fd)
{
    process->end_fd = keep_few(fd);
    process->end_inode = fds_inode(process->end_fd);
}

/* Fills process for the child pid, which holds the other end of the pipe, if there is one. */
static void adopt(struct process *process, pid_t pid, const int ends[2])
{
    if (ends[1] >= 0)
        close(ends[1]);
    *process = (struct process){.pid = pid, .end_fd = -1, .is_unwatched = process_has_pidfd()};
    if (!process->is_unwatched)
        set_end_fd(process, ends[0]);
}

void process_watch(struct process *process)
{
    if (!process->is_unwatched)
        return;
    process->is_unwatched = false;
    set_end_fd(process, open_pidfd(process->pid));
    process->is_certain = process->end_fd >= 0;
}

/* ---- A child that goes on in this program ---- */

/*
 * An exception of C++ that left the user's function: the child must not go on as a second copy of the
 * program.
 */
static void end_unwound(const int *unused)
{
    (void)unused;
    abort();
}

static _Noreturn void run_body(void (*body)(void *argument), void *argument)
{
    __attribute__((cleanup(end_unwound), unused)) int unwound;

    body(argument);
    _exit(0);
}

/* bind: sees to it, in the child, whom that ends with. */
EACH_FORK static int fork_child(struct process *process, void (*bind)(pid_t parent),
                                void (*body)(void *argument), void *argument)
{
    pid_t parent = getpid();
    int ends[2];
    pid_t pid;

    open_end_pipe(ends);
    pid = fork();
    if (pid == 0) {
        if (ends[0] >= 0)
            close(ends[0]);
        bind(parent);
        run_body(body, argument);
    }
    if (pid < 0) {
        close_pipe(ends);
        return -1;
    }
    adopt(process, pid, ends);
    return 0;
}

static int fork_watched(struct process *process, void (*bind)(pid_t parent), void (*body)(void *argument),
                        void *argument)
{
    if (fork_child(process, bind, body, argument) != 0)
        return -1;
    process_watch(process);
    return 0;
}

int process_fork(struct process *process, void (*body)(void *argument), void *argument)
{
    return fork_watched(process, end_with, body, argument);
}

EACH_FORK int process_fork_unwatched(struct process *process, void (*body)(void *argument), void *argument)
{
    return fork_child(process, end_with, body, argument);
}

int process_fork_staying(struct process *process, void (*body)(void *argument), void *argument)
{
    return fork_watched(process, stay_with, body, argument);
}

int process_fork_apart(struct process *process, void (*body)(void *argument), void *argument)
{
    return fork_watched(process, end_with_nobody, body, argument);
}

/* ---- A child that runs another program ---- */

struct failure {
    const char *step; /* NULL: none */
    long code;        /* errno; a long, for valgrind complains of holes in what is written */
};

/*
 * What parent and child know of each other between vfork and exec. The child has the parent's memory, and
 * stores there why it failed. But valgrind and the thread sanitizer make vfork a fork: then its stores are
 * seen by nobody, is_shared stays false, and a pipe tells, which the exec closes.
 *
 * Reading the pipe in any case would be simpler, and makes the launch of many about a tenth slower: the
 * exec lets the parent go before it closes files, so the parent would be woken twice.
 */
struct launch {
    const struct process_spec *spec;
    pid_t parent;
    sigset_t mask;     /* the signals that the program starts with blocked */
    int inherited_end; /* of the end_fd's pipe; -1: there is none */
    int failure_pipe[2];
    volatile bool is_shared;
    volatile struct failure failure;
};

static _Noreturn void fail(struct launch *launch, const char *step)
{
    struct failure failure = {.step = step, .code = errno};

    launch->failure = failure;
    (void)!write(launch->failure_pipe[1], &failure, sizeof failure);
    _exit(127);
}

static void set_disposition(int signal, void (*disposition)(int))
{
    struct sigaction action = {.sa_handler = disposition};

    sigaction(signal, &action, NULL);
}

static bool has(const sigset_t *signals, int signal)
{
    return signals != NULL && sigismember(signals, signal) == 1;
}

static bool is_handled(const struct process_spec *spec, int signal)
{
    struct sigaction action;

    if (spec->handled != NULL)
        return has(spec->handled, signal);
    return sigaction(signal, NULL, &action) == 0 && action.sa_handler != SIG_IGN &&
           action.sa_handler != SIG_DFL;
}

/*
 * The caller's handlers go too, though the exec would reset them: between the unblocking of signals and the
 * exec they would run in the child, on the caller's memory.
 */
static void take_dispositions(const struct process_spec *spec)
{
    for (int signal = 1; signal < NSIG; signal++) {
        if (has(spec->ignored, signal))
            set_disposition(signal, SIG_IGN);
        else if (has(spec->defaulted, signal) || is_handled(spec, signal))
            set_disposition(signal, SIG_DFL);
    }
}

/*
 * What goes to 0, 1 and 2 may itself lie there: it moves out of the way first, or one would overwrite the
 * next one's source.
 */
static int take_stdio(const int stdio[3])
{
    int from[3];

    for (int i = 0; i < 3; i++) {
        from[i] = stdio[i];
        if (from[i] < 0 || from[i] > STDERR_FILENO || from[i] == i)
            continue;
        from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (from[i] < 0)
            return -1;
    }
    for (int i = 0; i < 3; i++) {
        if (from[i] >= 0 && (from[i] == i ? fcntl(i, F_SETFD, 0) : dup2(from[i], i)) < 0)
            return -1;
    }
    return 0;
}

static int keep_open(int fd)
{
    return fd < 0 ? 0 : fcntl(fd, F_SETFD, 0);
}

/*
 * The child from vfork to exec: whatever it stores may be the parent's memory, and another thread's lock
 * may stand there for ever. So system calls only.
 */
static _Noreturn __attribute__((noinline)) void run_program(struct launch *launch)
{
    const struct process_spec *spec = launch->spec;

    launch->is_shared = true;
    take_dispositions(spec);
    if (take_stdio(spec->stdio) != 0 || keep_open(spec->keep_fd) != 0 ||
        keep_open(launch->inherited_end) != 0)
        fail(launch, "stdio");
    if (spec->wdir != NULL && chdir(spec->wdir) != 0)
        fail(launch, "chdir");
    end_with(launch->parent);
    if (spec->prepare != NULL)
        spec->prepare(spec->argument);
    sigprocmask(SIG_SETMASK, &launch->mask, NULL);
    execve(spec->path, spec->argv, spec->envp);
    fail(launch, "exec");
}

/* On its own, for the child works on below this frame of the parent's stack. */
static __attribute__((noinline)) pid_t vfork_program(struct launch *launch)
{
    pid_t pid = vfork();

    if (pid == 0)
        run_program(launch);
    return pid;
}

/* With signals blocked, for in the child the caller's handlers would run on the caller's memory. */
static pid_t start_program(struct launch *launch)
{
    sigset_t all, before;
    int saved_errno;
    pid_t pid;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    launch->mask = launch->spec->signal_mask != NULL ? *launch->spec->signal_mask : before;
    pid = vfork_program(launch);
    saved_errno = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved_errno;
    return pid;
}

/* Why the child did not come to its program; step is NULL where it did, or was killed before. */
static struct failure read_failure(const struct launch *launch)
{
    struct failure failure = {.step = NULL};
    ssize_t length;

    if (launch->is_shared)
        return launch->failure;
    do
        length = read(launch->failure_pipe[0], &failure, sizeof failure);
    while (length < 0 && errno == EINTR);
    return length == sizeof failure ? failure : (struct failure){.step = NULL};
}

static int await_program(struct launch *launch, pid_t pid, const char **what)
{
    struct failure failure;

    close(launch->failure_pipe[1]);
    launch->failure_pipe[1] = -1;
    failure = read_failure(launch);
    if (failure.step == NULL)
        return 0;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *what = failure.step;
    errno = (int)failure.code;
    return -1;
}

/* A number that is no open fd could be that of one of our pipes by the time the child takes it. */
static bool has_fds(const struct process_spec *spec)
{
    for (int i = 0; i < 3; i++) {
        if (spec->stdio[i] >= 0 && fcntl(spec->stdio[i], F_GETFD) < 0)
            return false;
    }
    return spec->keep_fd < 0 || fcntl(spec->keep_fd, F_GETFD) >= 0;
}

/* Both ends above stdio, where the child would overwrite them. */
static int open_failure_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    ends[0] = fds_above_stdio(ends[0]);
    ends[1] = fds_above_stdio(ends[1]);
    if (ends[0] >= 0 && ends[1] >= 0)
        return 0;
    close_pipe(ends);
    return -1;
}

int process_spawn(struct process *process, const struct process_spec *spec, const char **what)
{
    struct launch launch = {.spec = spec, .parent = getpid()};
    int ends[2], status;
    pid_t pid;

    *what = "stdio";
    if (!has_fds(spec))
        return -1;
    *what = "fork";
    if (open_failure_pipe(launch.failure_pipe) != 0)
        return -1;
    open_end_pipe(ends);
    launch.inherited_end = ends[1];
    pid = start_program(&launch);
    status = pid < 0 ? -1 : await_program(&launch, pid, what);
    close_pipe(launch.failure_pipe);
    if (status != 0)
        close_pipe(ends);
    else {
        adopt(process, pid, ends);
        process_watch(process);
    }
    return status;
}

/* ---- Signals ---- */

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

bool process_signal_meant(pid_t pid, int signal, bool (*is_meant)(pid_t pid, void *argument), void *argument)
{
    int pidfd = process_has_pidfd() ? open_pidfd(pid) : -1;
    int saved_errno = errno;
    bool sent = false;

    if (is_meant(pid, argument))
        sent = (pidfd >= 0 ? syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) : kill(pid, signal)) == 0;
    if (pidfd >= 0)
        close(pidfd);
    errno = saved_errno;
    return sent;
}
