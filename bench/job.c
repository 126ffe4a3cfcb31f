#include "job.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sharedmem.h>

#include "spin.h"

#define MAX_ARGUMENTS 24
/* Open MPI hangs at times where its ranks end before it has looked. */
#define TIME_LIMIT_MS 30000

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

/* ---- One program ---- */

const char *job_path(const char *name)
{
    static char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

    /* The benchmark that runs is in bench/ itself. */
    path[length > 0 ? length : 0] = '\0';
    for (int i = 0; i < 2 && strrchr(path, '/') != NULL; i++)
        *strrchr(path, '/') = '\0';
    length = (ssize_t)strlen(path);
    snprintf(path + length, sizeof path - (size_t)length, "/%s", name);
    return path;
}

/* In the child, which until its exec has the parent's memory. */
static _Noreturn void become(const char *const *argv, int nowhere, int out, int cpu)
{
    cpu_set_t cpus;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(nowhere, STDIN_FILENO);
    dup2(out == JOB_NOWHERE ? nowhere : out, STDOUT_FILENO);
    if (cpu >= 0) {
        CPU_ZERO(&cpus);
        CPU_SET(cpu, &cpus);
        sched_setaffinity(0, sizeof cpus, &cpus);
    }
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

pid_t job_spawn(const char *const *argv, int out, int cpu)
{
    static int nowhere = -1;
    pid_t pid;

    if (nowhere < 0 && (nowhere = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0)
        die("/dev/null");
    /* The fastest way there is: floors are made of it. */
    pid = vfork();
    if (pid == 0)
        become(argv, nowhere, out, cpu);
    if (pid < 0)
        die("vfork");
    return pid;
}

static bool is_ready(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    return poll(&ready, 1, TIME_LIMIT_MS) > 0;
}

int job_wait(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0), status;

    /* An old kernel has no such thing: there it is waited for without end. */
    if (fd >= 0 && !is_ready(fd))
        kill(pid, SIGKILL);
    if (fd >= 0)
        close(fd);
    return waitpid(pid, &status, 0) == pid ? status : -1;
}

/* ---- Command lines ---- */

struct command {
    int n;
    const char *argv[MAX_ARGUMENTS];
    char path[4096], np[16], ops[24], own[4096];
};

static void add(struct command *command, const char *argument)
{
    if (command->n < MAX_ARGUMENTS - 1)
        command->argv[command->n++] = argument;
}

/* Ranks that have a core each are bound to it, as smrrun's are. */
static bool has_cores(int np)
{
    return np <= sharedmem_cpu_count();
}

static void add_smrrun(struct command *command, bool is_blind)
{
    snprintf(command->path, sizeof command->path, "%s", job_path("smrrun"));
    add(command, command->path);
    if (is_blind) {
        add(command, "--bind-to");
        add(command, "none");
        add(command, "-t");
        add(command, "1");
    }
}

static const char *launcher_of(const char *variable, const char *otherwise)
{
    const char *named = getenv(variable);

    return named != NULL && *named != '\0' ? named : otherwise;
}

static void add_mpich(struct command *command, int np)
{
    add(command, launcher_of("MPIEXEC_MPICH", "mpiexec.hydra"));
    if (has_cores(np)) {
        add(command, "-bind-to");
        add(command, "core");
    }
}

/* Who is bound spins; who shares a core with others must yield it to them. */
static void add_openmpi(struct command *command, int np)
{
    add(command, launcher_of("MPIEXEC_OPENMPI", "mpirun.openmpi"));
    add(command, "--allow-run-as-root");
    add(command, "--bind-to");
    add(command, has_cores(np) ? "core" : "none");
    if (!has_cores(np)) {
        add(command, "--oversubscribe");
        add(command, "--mca");
        add(command, "mpi_yield_when_idle");
        add(command, "1");
    }
}

static const char *const programs[] = {
    [JOB_SMRRUN] = "bench/rank",
    [JOB_SMRRUN_BLIND] = "bench/rank",
    [JOB_MPICH] = "bench/mpi-mpich",
    [JOB_OPENMPI] = "bench/mpi-openmpi",
};

static void add_launcher(struct command *command, enum job_launcher launcher, int np)
{
    switch (launcher) {
    case JOB_SMRRUN:
    case JOB_SMRRUN_BLIND:
        add_smrrun(command, launcher == JOB_SMRRUN_BLIND);
        break;
    case JOB_MPICH:
        add_mpich(command, np);
        break;
    case JOB_OPENMPI:
        add_openmpi(command, np);
        break;
    }
}

static void make_command(struct command *command, enum job_launcher launcher, int np, const char *question,
                         uint64_t ops)
{
    *command = (struct command){0};
    snprintf(command->np, sizeof command->np, "%d", np);
    snprintf(command->ops, sizeof command->ops, "%" PRIu64, ops);
    snprintf(command->own, sizeof command->own, "%s", job_path(programs[launcher]));
    add_launcher(command, launcher, np);
    add(command, "-n");
    add(command, command->np);
    if (strchr(question, '/') == NULL)
        add(command, command->own);
    add(command, question);
    if (ops > 0)
        add(command, command->ops);
}

/* ---- Jobs ---- */

/* The ranks' program is built where the launcher is there. */
static bool is_here(enum job_launcher launcher)
{
    return access(job_path(programs[launcher]), X_OK) == 0;
}

static double failure(enum job_launcher launcher, int status)
{
    bool is_peer = launcher == JOB_MPICH || launcher == JOB_OPENMPI;

    return is_peer && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? BENCH_HUNG : BENCH_FAILED;
}

void job_pause(void)
{
    usleep(50000);
}

double job_time(enum job_launcher launcher, int np, const char *question)
{
    struct command command;
    uint64_t begin;
    int status;

    if (!is_here(launcher))
        return BENCH_ABSENT;
    make_command(&command, launcher, np, question, 0);
    job_pause();
    begin = spin_now_ns();
    status = job_wait(job_spawn(command.argv, JOB_NOWHERE, -1));
    return status == 0 ? (double)(spin_now_ns() - begin) : failure(launcher, status);
}

/* Reads all that the job prints; the number in it. */
static double read_number(int fd)
{
    char text[256];
    size_t length = 0;
    ssize_t got;

    while (length < sizeof text - 1 && is_ready(fd) &&
           (got = read(fd, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    return length > 0 ? strtod(text, NULL) : BENCH_FAILED;
}

/* Starts a job, and reads the number that it prints. Returns what waitpid(2) says of it. */
static int ask(const struct command *command, double *answer)
{
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) != 0)
        die("pipe");
    pid = job_spawn(command->argv, fds[1], -1);
    close(fds[1]);
    *answer = read_number(fds[0]);
    close(fds[0]);
    return job_wait(pid);
}

double job_ask(enum job_launcher launcher, int np, const char *question, uint64_t ops)
{
    struct command command;
    double answer;
    int status;

    if (!is_here(launcher))
        return BENCH_ABSENT;
    make_command(&command, launcher, np, question, ops);
    status = ask(&command, &answer);
    return status == 0 ? answer : failure(launcher, status);
}

double job_end(enum job_launcher launcher, int np, const char *question)
{
    struct command command;
    double failed_ns, end_ns;
    int status, kept = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (!is_here(launcher))
        return BENCH_ABSENT;
    make_command(&command, launcher, np, question, 0);
    job_pause();
    dup2(nowhere, STDERR_FILENO);
    status = ask(&command, &failed_ns);
    end_ns = (double)spin_now_ns();
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(nowhere);
    return WIFEXITED(status) && WEXITSTATUS(status) == 3 ? end_ns - failed_ns : failure(launcher, status);
}
