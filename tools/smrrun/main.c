/* smrrun: starts N ranks of a program on this machine, as if they were one program. See smrrun(1). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/cgroup.h"
#include "host/clock.h"
#include "host/fds.h"
#include "host/limits.h"
#include "memory/claim.h"
#include "smrrun/channel.h"
#include "smrrun/decide.h"
#include "smrrun/face.h"
#include "smrrun/keeper.h"
#include "smrrun/output.h"
#include "smrrun/selftest.h"
#include "smrrun/start.h"

/* What the keeper opens for itself, and for each rank while it starts that. */
#define SPARE_FILES 12

/* Closed files would become pipes of ours, and ranks would print into them. */
static int check_stdio(void)
{
    static const char *const names[] = {"input", "output", "error"};
    static const char *const fixes[] = {"</dev/null", ">/dev/null", "2>/dev/null"};

    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        /* Where there is no stderr either, at least stdout may be there. */
        if (fd == STDERR_FILENO)
            dup2(STDOUT_FILENO, STDERR_FILENO);
        else if (fcntl(STDERR_FILENO, F_GETFD) < 0)
            dup2(STDOUT_FILENO, STDERR_FILENO);
        face_say("standard %s is closed; give it a file, as in: smrrun ... %s", names[fd], fixes[fd]);
        return DECIDE_EXIT_OWN;
    }
    return 0;
}

/* What could not be begun, by errno; and what helps. */
static int refuse(const struct launch *launch, const char *what)
{
    int n = launch->plan.n_ranks;

    if (errno == EMFILE)
        face_say("%d rank%s need about %d open files, and the limit is %d; raise ulimit -n%s", n,
                 n == 1 ? "" : "s", 4 * n + 32, fds_limit(), n == 1 ? "" : ", or give a smaller -n");
    else
        face_say("cannot start: %s: %s%s", what, strerror(errno),
                 errno == EAGAIN   ? "; raise ulimit -u"
                 : errno == ENOMEM ? "; raise ulimit -v and -d, or give a smaller -n"
                                   : "");
    return DECIDE_EXIT_OWN;
}

/* All ranks or none: a job that stops in the middle of its start has done half of what it should not. */
static int check_room(const struct launch *launch)
{
    /* The keeper is one more. */
    uint64_t wanted = (uint64_t)launch->plan.n_ranks + 1, room = limits_processes("", wanted);

    if (room >= wanted)
        return 0;
    face_say(
        "%d ranks are more than the %llu processes that may still be started here; raise ulimit -u or the "
        "job's limit of processes, or give a smaller -n",
        launch->plan.n_ranks, (unsigned long long)(room > 0 ? room - 1 : 0));
    return DECIDE_EXIT_OWN;
}

/* Says what is wrong with an option's file. */
static int refuse_file(const char *message)
{
    face_say("%s", message);
    return DECIDE_EXIT_OWN;
}

/*
 * The files of -o and -e: those of all ranks become what the launcher prints to; where each has its own, ranks
 * print into them by themselves. to: gets where the streams go.
 */
static int open_files(const struct launch *launch, struct keeper_job *job, int to[2])
{
    const char *const *patterns = launch->options.files;
    const char *own[2] = {NULL, NULL};
    char message[512], path[PATH_MAX];

    for (int stream = 0; stream < 2; stream++) {
        bool is_same = stream == 1 && patterns[0] != NULL && patterns[1] != NULL &&
                       strcmp(patterns[0], patterns[1]) == 0;

        if (patterns[stream] == NULL)
            continue;
        if (files_has_rank(patterns[stream])) {
            own[stream] = patterns[stream];
            continue;
        }
        to[stream] = is_same                                              ? to[0]
                     : files_path(patterns[stream], 0, path, sizeof path) ? files_make(path)
                                                                          : -1;
        if (to[stream] >= 0)
            continue;
        snprintf(message, sizeof message, "cannot make %.200s: %s", patterns[stream], strerror(errno));
        return refuse_file(message);
    }
    if (own[0] == NULL && own[1] == NULL)
        return 0;
    job->files = files_open(own, launch->plan.n_ranks, message, sizeof message);
    return job->files != NULL ? 0 : refuse_file(message);
}

/* Pipes for each rank. One rank prints by itself, unless its lines are to begin with something. */
static int open_output(const struct launch *launch, struct keeper_job *job)
{
    const struct options *options = &launch->options;
    unsigned style = (options->label ? OUTPUT_LABELS : 0) | (options->timestamps ? OUTPUT_STAMPS : 0);
    int to[2] = {STDOUT_FILENO, STDERR_FILENO};
    int n = launch->plan.n_ranks, status = open_files(launch, job, to);

    if (status != 0)
        return status;
    if (n == 1 && style == 0 && to[0] == STDOUT_FILENO && to[1] == STDERR_FILENO)
        return 0;
    job->output = output_create(n, to, style);
    return job->output != NULL ? 0 : refuse(launch, "pipes for the ranks' output");
}

/* What a rank prints in a region comes out in the order of the regions, be it whole lines or not. */
static uint64_t regions_of(int rank)
{
    return atomic_load_explicit(&claim_of((uint32_t)rank)->regions, memory_order_relaxed);
}

/* All that ranks need, and files to spare for their start, before any is started. */
static int prepare(const struct launch *launch, struct keeper_job *job)
{
    char message[1024];
    int ends[2], status = check_room(launch);

    if (status != 0)
        return status;
    if (launch->options.gdb_rank >= 0 &&
        debugged_open(job->debugged, launch->options.gdb_rank, wrapped_debugger_tells(launch->wrapped),
                      message, sizeof message) != 0) {
        face_say("%s", message);
        return DECIDE_EXIT_OWN;
    }
    fds_raise_limit();
    status = open_output(launch, job);
    if (status != 0)
        return status;
    if (start_memory(job, message, sizeof message) != 0) {
        if (errno == EMFILE)
            return refuse(launch, "shared memory");
        face_say("%s", message);
        return DECIDE_EXIT_OWN;
    }
    if (channel_open(ends) != 0)
        return refuse(launch, "a channel between its processes");
    job->face_channel = ends[0];
    job->channel = ends[1];
    if (!fds_has_room(SPARE_FILES))
        return refuse(launch, "files");
    if (job->output != NULL && job->memory_fd >= 0)
        output_follow(job->output, regions_of);
    return 0;
}

static int run_prepared(const struct launch *launch, struct keeper_job *job)
{
    struct face face = {.channel = job->face_channel,
                        .output = job->output,
                        .debugged = job->debugged,
                        .quiet = launch->options.quiet};
    sigset_t all;

    /* Until the face has its handlers, and for ever in the keeper. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &job->mask);
    face.mask = job->mask;
    if (process_fork_apart(&face.keeper, keeper_run, job) != 0)
        return refuse(launch, "a second process");
    close(job->channel);
    if (job->output != NULL)
        output_close_writes(job->output);
    return face_run(&face);
}

static int run(const struct launch *launch)
{
    struct debugged debugged = {.is_on = false};
    struct keeper_job job = {.options = &launch->options,
                             .plan = &launch->plan,
                             .topology = launch->topology,
                             .paths = launch->paths,
                             .wrapped = launch->wrapped,
                             .debugged = &debugged,
                             .memory_fd = -1};
    struct sigaction standard = {.sa_handler = SIG_DFL}, before;
    int status = prepare(launch, &job);

    /* Ignored, as by some who start us, the system would not keep how ranks ended. */
    sigaction(SIGCHLD, &standard, &before);
    job.child_was_ignored = before.sa_handler == SIG_IGN;

    if (status == 0)
        status = run_prepared(launch, &job);
    output_destroy(job.output);
    files_close(job.files);
    return status;
}

/* Returns 0, or 1 where something has failed. */
static int run_selftest(struct launch *launch)
{
    int n_failed = selftest_report(stdout, "", launch), status = 0;
    uint64_t begun_ns;

    fflush(stdout);
    /* Alone nobody meets anybody. */
    if (launch->plan.n_ranks == 1 && launch->options.n_ranks == 0)
        status = decide_ranks(launch, 2);
    begun_ns = clock_monotonic_ns();
    if (status == 0)
        status = run(launch);
    n_failed +=
        selftest_job(stdout, launch->plan.n_ranks, status, (double)(clock_monotonic_ns() - begun_ns) * 1e-9);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        face_say("cannot write to stdout: %s", strerror(errno));
        return DECIDE_EXIT_OWN;
    }
    return n_failed > 0;
}

int main(int argc, char **argv)
{
    struct launch launch = {0};
    int status;

    if (selftest_is_rank(argc, argv))
        return selftest_rank();
    status = check_stdio();
    cgroup_keep();
    if (status == 0)
        status = decide(&launch, argc, argv);
    if (status == 0 && launch.options.dry_run)
        decide_dry_run(&launch);
    else if (status == 0 && launch.options.selftest)
        status = run_selftest(&launch);
    else if (status == 0)
        status = run(&launch);
    decide_fini(&launch);
    return status < 0 ? 0 : status;
}
