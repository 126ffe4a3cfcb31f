/* smrrun: starts N ranks of a program on this machine, as if they were one program. See smrrun(1). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "host/affinity.h"
#include "host/cgroup.h"
#include "host/fds.h"
#include "host/limits.h"
#include "host/pages.h"
#include "memory/claim.h"
#include "smrrun/batch.h"
#include "smrrun/channel.h"
#include "smrrun/face.h"
#include "smrrun/hosts.h"
#include "smrrun/keeper.h"
#include "smrrun/options.h"
#include "smrrun/output.h"
#include "smrrun/plan.h"
#include "smrrun/program.h"
#include "smrrun/start.h"

#define EXIT_OWN 125

/* What the keeper opens for itself, and for each rank while it starts that. */
#define SPARE_FILES 12

/* All that is decided before anything starts. */
struct launch {
    struct options options;
    struct batch batch;
    struct plan plan;
    struct topology *topology;
    char path[PATH_MAX];
};

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
        return EXIT_OWN;
    }
    return 0;
}

/* Without hwloc's plug-ins, which know of other things than processors and take longer than all the rest. */
static struct topology *load_topology(const cpu_set_t *mask, size_t bytes, sharedmem_error *error)
{
    bool has_path = env_text(ENV_HWLOC_PLUGINS_PATH) != NULL;
    struct topology *topology;

    if (!has_path)
        env_set(ENV_HWLOC_PLUGINS_PATH, "/dev/null");
    topology = topology_load(mask, bytes, error);
    if (!has_path)
        env_set(ENV_HWLOC_PLUGINS_PATH, NULL);
    return topology;
}

/* -x OMP_NUM_THREADS=2 is what ranks will have in their environment. */
static void read_exported_threads(const struct options *options, struct plan_machine *machine)
{
    size_t length = strlen(env_name(ENV_OMP_NUM_THREADS));

    for (int i = 0; i < options->n_exports; i++) {
        const char *text = options->exports[i];

        if (strncmp(text, env_name(ENV_OMP_NUM_THREADS), length) != 0 || text[length] != '=')
            continue;
        machine->has_omp_threads = true;
        machine->omp_threads = strtol(text + length + 1, NULL, 10);
    }
}

static void read_machine(struct launch *launch, struct plan_machine *machine)
{
    sharedmem_error error;
    size_t bytes;
    cpu_set_t *mask = affinity_read(&bytes);

    *machine = (struct plan_machine){.has_omp_threads = env_text(ENV_OMP_NUM_THREADS) != NULL};
    env_first_int(ENV_OMP_NUM_THREADS, 1, INT_MAX, &machine->omp_threads);
    read_exported_threads(&launch->options, machine);
    if (mask != NULL)
        machine->n_pus = CPU_COUNT_S(bytes, mask);
    if (plan_needs_topology(&launch->options, &launch->batch, machine)) {
        launch->topology = load_topology(mask, bytes, &error);
        if (launch->topology == NULL)
            face_say("the processors of this machine are not known, nobody is bound: %s", error.message);
        machine->topology = launch->topology;
        machine->quota = limits_cpu_quota("");
    }
    if (mask != NULL)
        CPU_FREE(mask);
}

/* What is asked of the kernel for shared memory, and what it does. */
static void describe_memory(const struct launch *launch)
{
    const char *setting = pages_huge_setting(""), *mem = env_text(ENV_MEM);
    int n_nodes = launch->topology != NULL ? launch->topology->n_nodes : 0;

    if (pages_huge_is_allowed(setting))
        face_say("huge pages: asked for (shmem_enabled is %s)", setting);
    else
        face_say(
            "huge pages: the kernel does not allow them for shared memory (shmem_enabled is %s); ask the "
            "administrator for advise",
            setting[0] != '\0' ? setting : "not there");
    if (mem != NULL)
        face_say("memory: %.20s%s", mem,
                 n_nodes == 1 ? "; there is one NUMA node, and nothing to choose" : "");
}

static void describe(const struct launch *launch)
{
    const struct options *options = &launch->options;
    const struct plan *plan = &launch->plan;

    if (launch->batch.warning[0] != '\0' && !options->quiet)
        face_say("%s", launch->batch.warning);
    if (plan->warning[0] != '\0' && !options->quiet)
        face_say("%s", plan->warning);
    if (options->verbose || options->dry_run)
        face_say("%d rank%s (from %s), %s%s", plan->n_ranks, plan->n_ranks == 1 ? "" : "s", plan->source,
                 plan->binding != NULL ? "bound to equal shares of cores" : "not bound",
                 plan->n_threads > 0 ? "" : ", OMP_NUM_THREADS as it is");
    else if (plan->is_default && isatty(STDERR_FILENO) && !options->quiet)
        face_say("%d rank%s, from %s; -n says another number", plan->n_ranks, plan->n_ranks == 1 ? "" : "s",
                 plan->source);
    if (options->verbose && plan->n_threads > 0)
        face_say("OMP_NUM_THREADS=%d", plan->n_threads);
    if (options->verbose && plan->unbound[0] != '\0')
        face_say("not bound: %s", plan->unbound);
    if (options->verbose)
        describe_memory(launch);
    if (launch->batch.n_nodes > 1 && !options->quiet)
        face_say("the job has %d nodes, and smrrun uses this one; start it once on each for the others",
                 launch->batch.n_nodes);
}

static void dry_run(const struct launch *launch)
{
    face_say("would run %s", launch->path);
    for (int rank = 0; rank < launch->plan.n_ranks && launch->topology != NULL; rank++) {
        char text[900];

        plan_describe_rank(&launch->plan, launch->topology, rank, text, sizeof text);
        face_say("rank %d: %s", rank, text);
    }
}

/* Returns 0, or the exit status: hosts were named, and this is none of them. */
static int use_hosts(struct launch *launch, const char *hostname)
{
    const char *list = launch->options.hosts, *path = launch->options.hosts_file;
    const char *name = list != NULL ? list : path;
    struct hosts hosts;
    int code;

    if (name == NULL)
        return 0;
    code = list != NULL ? hosts_read_list(&hosts, list, hostname) : hosts_read_file(&hosts, path, hostname);
    if (code != 0) {
        face_say("the list of hosts, %.200s, cannot be read: %s", name,
                 code == EINVAL ? "it is no plain file" : strerror(code));
        return EXIT_OWN;
    }
    if (hosts.n_here == 0) {
        face_say("%.200s does not name this host, %s, and ranks are started here only; leave it out, or use "
                 "localhost",
                 name, hostname);
        return EXIT_OWN;
    }
    if (hosts.n_hosts > launch->batch.n_nodes)
        launch->batch.n_nodes = hosts.n_hosts;
    if (hosts.has_counts && hosts.n_here <= OPTIONS_MAX_RANKS) {
        launch->batch.system = NULL;
        launch->batch.n_ranks = hosts.n_here;
        snprintf(launch->batch.source, sizeof launch->batch.source, "the list of hosts");
    }
    return 0;
}

/* Returns 0, or the exit status; -1: there is nothing more to do. */
static int decide(struct launch *launch, int argc, char **argv)
{
    struct plan_machine machine;
    char message[1024], hostname[256] = "";
    int status;

    switch (options_parse(&launch->options, argc, argv, message, sizeof message)) {
    case OPTIONS_DONE:
        return -1;
    case OPTIONS_BAD:
        face_say("%s", message);
        return EXIT_OWN;
    case OPTIONS_RUN:
        break;
    }
    status =
        program_find(launch->options.program[0], launch->options.wdir, launch->path, message, sizeof message);
    if (status != 0) {
        face_say("%s", message);
        return status;
    }
    /* For the keeper, which makes the memory, and for the ranks, whose environment begins as ours. */
    if (launch->options.mem != NULL)
        env_set(ENV_MEM, launch->options.mem);
    gethostname(hostname, sizeof hostname - 1);
    batch_read(&launch->batch, hostname);
    status = use_hosts(launch, hostname);
    if (status != 0)
        return status;
    read_machine(launch, &machine);
    if (plan_make(&launch->plan, &launch->options, &launch->batch, &machine, message, sizeof message) != 0) {
        face_say("%s", message);
        return EXIT_OWN;
    }
    describe(launch);
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
        face_say("cannot start: %s: %s%s", what, strerror(errno), errno == EAGAIN ? "; raise ulimit -u" : "");
    return EXIT_OWN;
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
    return EXIT_OWN;
}

/* Says what is wrong with an option's file. */
static int refuse_file(const char *message)
{
    face_say("%s", message);
    return EXIT_OWN;
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
    fds_raise_limit();
    status = open_output(launch, job);
    if (status != 0)
        return status;
    if (start_memory(job, message, sizeof message) != 0) {
        if (errno == EMFILE)
            return refuse(launch, "shared memory");
        face_say("%s", message);
        return EXIT_OWN;
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
    struct face face = {.channel = job->face_channel, .output = job->output, .quiet = launch->options.quiet};
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
    struct keeper_job job = {.options = &launch->options,
                             .plan = &launch->plan,
                             .topology = launch->topology,
                             .path = launch->path,
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

int main(int argc, char **argv)
{
    struct launch launch = {0};
    int status = check_stdio();

    cgroup_keep();
    if (status == 0)
        status = decide(&launch, argc, argv);
    if (status == 0 && launch.options.dry_run)
        dry_run(&launch);
    else if (status == 0)
        status = run(&launch);
    plan_fini(&launch.plan);
    topology_destroy(launch.topology);
    options_free(&launch.options);
    return status < 0 ? 0 : status;
}
