#include "gang.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_MEMBERS 1024

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

struct gang *gang_create(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang =
        mmap(NULL, sizeof *gang, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (gang == MAP_FAILED)
        die("mmap");
    gang->np = contender->np;
    gang->ops = ops;
    gang->work = contender->work;
    return gang;
}

void gang_check(struct gang *gang, bool right)
{
    gang->failed = gang->failed || !right;
}

double gang_end(struct gang *gang)
{
    uint64_t ns = gate_ns(&gang->gate);
    double each = gang->failed || ns == 0 ? BENCH_FAILED : (double)ns / (double)gang->ops;

    munmap(gang, sizeof *gang);
    return each;
}

int gang_processors(void)
{
    cpu_set_t cpus;

    return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
}

/* ---- Processes ---- */

/* On the rank-th processor of those that this process may use, and round again. */
static void place(int rank)
{
    cpu_set_t cpus, mine;
    int cpu = 0;

    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0)
        return;
    rank %= CPU_COUNT(&cpus);
    for (; !CPU_ISSET(cpu, &cpus) || rank-- > 0; cpu++)
        ;
    CPU_ZERO(&mine);
    CPU_SET(cpu, &mine);
    sched_setaffinity(0, sizeof mine, &mine);
}

static pid_t fork_child(void)
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static void wait_child(struct gang *gang, pid_t pid)
{
    int status;

    gang_check(gang, waitpid(pid, &status, 0) == pid && status == 0);
}

static void run_member(struct gang *gang, int rank, gang_function *member)
{
    gate_enter(&gang->gate, gang->np);
    member(gang, rank);
    gate_leave(&gang->gate);
}

void gang_fork(struct gang *gang, gang_function *member)
{
    pid_t pids[MAX_MEMBERS];

    for (int rank = 0; rank < gang->np; rank++) {
        pids[rank] = fork_child();
        if (pids[rank] == 0) {
            place(rank);
            run_member(gang, rank, member);
            _exit(EXIT_SUCCESS);
        }
    }
    for (int rank = 0; rank < gang->np; rank++)
        wait_child(gang, pids[rank]);
}

void gang_apart(struct gang *gang, gang_function *all)
{
    pid_t pid = fork_child();

    if (pid == 0) {
        all(gang, 0);
        _exit(EXIT_SUCCESS);
    }
    wait_child(gang, pid);
}

/* ---- Threads ---- */

struct thread {
    pthread_t id;
    struct gang *gang;
    int rank;
};

static gang_function *thread_member;

static void *thread_main(void *argument)
{
    struct thread *thread = argument;

    place(thread->rank);
    run_member(thread->gang, thread->rank, thread_member);
    return NULL;
}

static void run_threads(struct gang *gang, int rank)
{
    struct thread threads[MAX_MEMBERS];

    for (rank = 0; rank < gang->np; rank++) {
        threads[rank] = (struct thread){.gang = gang, .rank = rank};
        if (pthread_create(&threads[rank].id, NULL, thread_main, &threads[rank]) != 0)
            die("pthread_create");
    }
    for (rank = 0; rank < gang->np; rank++)
        pthread_join(threads[rank].id, NULL);
}

void gang_thread(struct gang *gang, gang_function *member)
{
    thread_member = member;
    gang_apart(gang, run_threads);
}

/* ---- Programs of their own ---- */

/* bench/NAME beside the program that runs; an empty path is found nowhere. */
static void program_path(const char *name, char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - strlen(name) - 1);
    char *slash;

    path[length > 0 ? length : 0] = '\0';
    slash = strrchr(path, '/');
    if (slash != NULL)
        strcpy(slash + 1, name);
}

static _Noreturn void exec_program(const char *path, const struct bench_contender *contender, uint64_t ops,
                                   int out, const char *policy)
{
    char np[16], n[24], work[24];

    snprintf(np, sizeof np, "%d", contender->np);
    snprintf(n, sizeof n, "%" PRIu64, ops);
    snprintf(work, sizeof work, "%" PRIu64, contender->work);
    setenv("OMP_PROC_BIND", "true", 1);
    setenv("OMP_PLACES", "threads", 1);
    if (policy != NULL)
        setenv("OMP_WAIT_POLICY", policy, 1);
    dup2(out, STDOUT_FILENO);
    execl(path, path, contender->question, np, n, work, (char *)NULL);
    _exit(127);
}

/* The one number that the child prints. */
static double read_answer(int fd)
{
    char text[64];
    ssize_t length = read(fd, text, sizeof text - 1);

    text[length > 0 ? length : 0] = '\0';
    return length > 0 ? strtod(text, NULL) : BENCH_FAILED;
}

static double ask_program(const char *name, const struct bench_contender *contender, uint64_t ops,
                          const char *policy)
{
    char path[4096];
    int pipe_fds[2];
    double answer;
    pid_t pid;

    program_path(name, path, sizeof path);
    if (access(path, X_OK) != 0)
        return BENCH_ABSENT;
    if (pipe(pipe_fds) != 0)
        die("pipe");
    pid = fork_child();
    if (pid == 0)
        exec_program(path, contender, ops, pipe_fds[1], policy);
    close(pipe_fds[1]);
    answer = read_answer(pipe_fds[0]);
    close(pipe_fds[0]);
    waitpid(pid, NULL, 0);
    return answer;
}

double gang_openmp(const struct bench_contender *contender, uint64_t ops)
{
    return ask_program("openmp", contender, ops, NULL);
}

double gang_openmp_passive(const struct bench_contender *contender, uint64_t ops)
{
    return ask_program("openmp", contender, ops, "passive");
}

double gang_boost(const struct bench_contender *contender, uint64_t ops)
{
    return ask_program("boost", contender, ops, NULL);
}
