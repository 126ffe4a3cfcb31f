#include "smrrun/decide.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/text.h"
#include "host/affinity.h"
#include "host/limits.h"
#include "host/pages.h"
#include "smrrun/advice.h"
#include "smrrun/drawing.h"
#include "smrrun/face.h"
#include "smrrun/hosts.h"
#include "smrrun/program.h"

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

/* What -x gives ranks as that variable, or NULL. The last one counts. */
static const char *exported(const struct options *options, enum env_variable variable)
{
    size_t length = strlen(env_name(variable));

    for (int i = options->n_exports; i-- > 0;) {
        const char *text = options->exports[i];

        if (strncmp(text, env_name(variable), length) == 0 && text[length] == '=')
            return text + length + 1;
    }
    return NULL;
}

/* -x OMP_NUM_THREADS=2 is what ranks will have in their environment. */
static void read_exported_threads(const struct options *options, struct plan_machine *machine)
{
    const char *text = exported(options, ENV_OMP_NUM_THREADS);

    if (text == NULL)
        return;
    machine->has_omp_threads = true;
    machine->omp_threads = strtol(text, NULL, 10);
}

/*
 * The processors of --cpus, without those of --exclude, and no others: this process keeps to them from now on, and
 * so do ranks that are not bound. Returns 0, or the exit status.
 */
static int restrict_processors(const struct options *options, cpu_set_t *mask, size_t bytes)
{
    if (options->cpus != NULL)
        affinity_restrict(mask, bytes, options->cpus, false);
    if (options->exclude != NULL)
        affinity_restrict(mask, bytes, options->exclude, true);
    if (options->cpus == NULL && options->exclude == NULL)
        return 0;
    if (CPU_COUNT_S(bytes, mask) > 0 && affinity_write(mask, bytes) == 0)
        return 0;
    face_say("%s %s leaves no processor that may be used here; look at smrrun -n 1 --report-bindings true",
             options->cpus != NULL ? "--cpus" : "--exclude",
             options->cpus != NULL ? options->cpus : options->exclude);
    return DECIDE_EXIT_OWN;
}

/* Returns 0, or the exit status. */
static int read_machine(struct launch *launch)
{
    struct plan_machine *machine = &launch->machine;
    sharedmem_error error;
    size_t bytes;
    cpu_set_t *mask = affinity_read(&bytes);
    int status = mask != NULL ? restrict_processors(&launch->options, mask, bytes) : 0;

    if (status != 0) {
        CPU_FREE(mask);
        return status;
    }

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
    return 0;
}

static void say_line(const char *text, void *argument)
{
    (void)argument;
    face_say("%s", text);
}

/* The map of the machine. What of it may not be used here is on it, too. */
static void draw(const struct launch *launch)
{
    struct topology *whole = launch->topology != NULL ? load_topology(NULL, 0, NULL) : NULL;

    if (whole != NULL)
        drawing_make(whole, launch->topology, launch->plan.binding, say_line, NULL);
    topology_destroy(whole);
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

/* What was passed over, and what does not fit together. */
static void warn(const struct launch *launch)
{
    struct advice advice;

    if (launch->options.quiet)
        return;
    advice_make(&advice, &launch->options, &launch->batch, &launch->machine, &launch->plan);
    if (launch->batch.warning[0] != '\0')
        face_say("%s", launch->batch.warning);
    if (launch->plan.warning[0] != '\0')
        face_say("%s", launch->plan.warning);
    for (int i = 0; i < advice.n; i++)
        face_say("%s", advice.lines[i]);
}

static void describe(const struct launch *launch)
{
    const struct options *options = &launch->options;
    const struct plan *plan = &launch->plan;

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
    if (options->verbose && (options->dry_run || options->report_bindings))
        draw(launch);
}

/* What ranks run in the place of their programs. */
static void describe_wrapped(const struct launch *launch)
{
    for (int rank = 0; rank < launch->plan.n_ranks; rank++) {
        char *const *argv = wrapped_argv(launch->wrapped, rank);
        char text[900] = "";
        size_t used = 0;

        for (; argv != NULL && *argv != NULL && used < sizeof text; argv++)
            used += (size_t)snprintf(text + used, sizeof text - used, " %s", *argv);
        text_one_line(text);
        if (used > 0)
            face_say("rank %d:%s", rank, text);
    }
}

void decide_dry_run(const struct launch *launch)
{
    for (int i = 0, first = 0; i < launch->options.n_programs; i++) {
        const struct options_program *program = &launch->options.programs[i];

        if (launch->options.n_programs > 1)
            face_say("ranks %d to %d would run %s", first, first + program->n_ranks - 1, launch->paths[i]);
        else
            face_say("would run %s", launch->paths[i]);
        first += program->n_ranks;
    }
    describe_wrapped(launch);
    for (int rank = 0; rank < launch->plan.n_ranks && launch->topology != NULL; rank++) {
        char text[900];

        plan_describe_rank(&launch->plan, launch->topology, rank, text, sizeof text);
        face_say("rank %d: %s", rank, text);
    }
}

/* Returns 0, or the exit status: a program is not there, or cannot be run. */
static int find_programs(struct launch *launch)
{
    const struct options *options = &launch->options;
    char message[1024], path[PATH_MAX];

    launch->paths = calloc((size_t)options->n_programs, sizeof *launch->paths);
    for (int i = 0; i < options->n_programs; i++) {
        const struct options_program *program = &options->programs[i];
        int status = program_find(program->argv[0], program->wdir, path, message, sizeof message);

        if (launch->paths != NULL && status == 0)
            launch->paths[i] = strdup(path);
        if (status == 0 && (launch->paths == NULL || launch->paths[i] == NULL)) {
            snprintf(message, sizeof message, "no memory for the programs");
            status = DECIDE_EXIT_OWN;
        }
        if (status != 0) {
            face_say("%s", message);
            return status;
        }
    }
    return 0;
}

static void forget_programs(struct launch *launch)
{
    for (int i = 0; launch->paths != NULL && i < launch->options.n_programs; i++)
        free(launch->paths[i]);
    free(launch->paths);
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
        return DECIDE_EXIT_OWN;
    }
    if (hosts.n_here == 0) {
        face_say("%.200s does not name this host, %s, and ranks are started here only; leave it out, or use "
                 "localhost",
                 name, hostname);
        return DECIDE_EXIT_OWN;
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

/* Returns 0, or the exit status. */
static int make_plan(struct launch *launch)
{
    char message[1024];

    if (plan_make(&launch->plan, &launch->options, &launch->batch, &launch->machine, message,
                  sizeof message) == 0)
        return 0;
    face_say("%s", message);
    return DECIDE_EXIT_OWN;
}

int decide_ranks(struct launch *launch, int n_ranks)
{
    launch->options.n_ranks = n_ranks;
    plan_fini(&launch->plan);
    return make_plan(launch);
}

int decide(struct launch *launch, int argc, char **argv)
{
    char message[1024], hostname[256] = "";
    int status;

    switch (options_parse(&launch->options, argc, argv, message, sizeof message)) {
    case OPTIONS_DONE:
        return -1;
    case OPTIONS_BAD:
        face_say("%s", message);
        return DECIDE_EXIT_OWN;
    case OPTIONS_RUN:
        break;
    }
    status = find_programs(launch);
    if (status != 0)
        return status;
    /* For the keeper, which makes the memory, and for the ranks, whose environment begins as ours. */
    if (launch->options.mem != NULL)
        env_set(ENV_MEM, launch->options.mem);
    if (exported(&launch->options, ENV_CHECK) != NULL)
        env_set(ENV_CHECK, exported(&launch->options, ENV_CHECK));
    gethostname(hostname, sizeof hostname - 1);
    batch_read(&launch->batch, hostname);
    status = use_hosts(launch, hostname);
    if (status != 0)
        return status;
    status = read_machine(launch);
    if (status != 0)
        return status;
    status = make_plan(launch);
    if (status != 0)
        return status;
    status = wrapped_make(&launch->wrapped, &launch->options, launch->paths, launch->plan.n_ranks, message,
                          sizeof message);
    if (status != 0) {
        face_say("%s", message);
        return status;
    }
    warn(launch);
    describe(launch);
    return 0;
}

void decide_fini(struct launch *launch)
{
    plan_fini(&launch->plan);
    topology_destroy(launch->topology);
    forget_programs(launch);
    wrapped_free(launch->wrapped);
    options_free(&launch->options);
}
