#include "smrrun/start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "host/affinity.h"
#include "host/fds.h"
#include "memory/claim.h"
#include "memory/segment.h"
#include "smrrun/files.h"
#include "team/job.h"

/* What all ranks are started with, and how they differ. */
struct birth {
    const struct keeper_job *job;
    int program; /* which one the rank runs */
    char **environment;
    char rank_text[32]; /* its entry "SHAREDMEM_RANK=" */
    int null_fd;
    sigset_t ignored;
    sigset_t defaulted;
    sigset_t handled; /* none by the keeper: to look for that costs as many calls as all else in a start */
    int rank;
    bool (*before_each)(void *argument);
    void *argument;
};

/* ---- The environment ---- */

/* The settings that the environment gets on top, in one array; the values live in text. */
struct settings {
    const char *list[8];
    int n;
    char text[4][KEEPER_MEMORY_BYTES + 32];
};

__attribute__((format(printf, 2, 3))) static void set(struct settings *settings, const char *format, ...)
{
    char *text = settings->text[settings->n];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof settings->text[0], format, arguments);
    va_end(arguments);
    settings->list[settings->n++] = text;
}

static void add_exports(const char **all, int *n, const struct options *options, const int range[2])
{
    for (int i = range[0]; i < range[1]; i++)
        all[(*n)++] = options->exports[i];
}

/* Of program p. Options win over what the launcher would set, which wins over what it was given. */
static char **make_environment(const struct keeper_job *job, int p)
{
    const struct options *options = job->options;
    struct settings settings = {.n = 0};
    const char **all = calloc((size_t)options->n_exports + 8, sizeof *all);
    char **environment;
    int n = 0;

    if (all == NULL)
        return NULL;
    set(&settings, "%s=%s", env_name(ENV_JOB), job->memory);
    set(&settings, "%s=%d", env_name(ENV_SIZE), job->plan->n_ranks);
    set(&settings, "%s=0", env_name(ENV_RANK));
    if (job->plan->n_threads > 0)
        set(&settings, "%s=%d", env_name(ENV_OMP_NUM_THREADS), job->plan->n_threads);
    for (int i = 0; i < settings.n; i++)
        all[n++] = settings.list[i];
    /* Python would else keep what it prints for itself until its end: there is no terminal behind a pipe. */
    if (env_text(ENV_PYTHONUNBUFFERED) == NULL)
        all[n++] = "PYTHONUNBUFFERED=1";
    add_exports(all, &n, options, options->programs[0].exports);
    if (p > 0)
        add_exports(all, &n, options, options->programs[p].exports);
    environment = env_copy_with(all, n);
    free(all);
    return environment;
}

static char **find_entry(char **environment, const char *name)
{
    size_t length = strlen(name);

    for (char **entry = environment; *entry != NULL; entry++) {
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=')
            return entry;
    }
    return NULL;
}

/* ---- One rank ---- */

/* In the child: async-signal-safe. */
static void prepare_rank(void *unused)
{
    (void)unused;
    fds_restore_limit();
}

static void prepare_debugged(void *argument)
{
    const struct debugged *debugged = argument;

    fds_restore_limit();
    debugged_begin(debugged);
}

/* Who has a debugger has the terminal for all three. Nobody else reads from it then: that would stop the rank. */
static void give_terminal(const struct birth *birth, struct process_spec *spec)
{
    struct debugged *debugged = birth->job->debugged;

    if (!debugged->is_on)
        return;
    if (spec->stdio[0] < 0 && terminal_is(STDIN_FILENO))
        spec->stdio[0] = birth->null_fd;
    if (birth->rank != debugged->rank)
        return;
    for (int i = 0; i < 3; i++)
        spec->stdio[i] = debugged->terminal.fd;
    spec->prepare = prepare_debugged;
    spec->argument = debugged;
}

static int start_rank(struct birth *birth, struct supervise *ranks, const char **what)
{
    const struct keeper_job *job = birth->job;
    const struct options_program *program = &job->options->programs[birth->program];
    char *const *wrapped = wrapped_argv(job->wrapped, birth->rank);
    struct process_spec spec = {
        .path = wrapped != NULL ? wrapped[0] : job->paths[birth->program],
        .argv = wrapped != NULL ? wrapped : program->argv,
        .envp = birth->environment,
        .stdio = {birth->rank == job->options->stdin_rank ? -1 : birth->null_fd, -1, -1},
        .keep_fd = job->memory_fd,
        .wdir = program->wdir,
        .signal_mask = &job->mask,
        .ignored = &birth->ignored,
        .defaulted = &birth->defaulted,
        .handled = &birth->handled,
        .prepare = prepare_rank,
    };

    if (job->output != NULL) {
        spec.stdio[1] = output_stdout_fd(job->output, birth->rank);
        spec.stdio[2] = output_stderr_fd(job->output, birth->rank);
    }
    for (int stream = 0; stream < 2 && job->files != NULL; stream++) {
        int fd = files_fd(job->files, birth->rank, stream);

        if (fd >= 0)
            spec.stdio[1 + stream] = fd;
    }
    give_terminal(birth, &spec);
    snprintf(birth->rank_text, sizeof birth->rank_text, "%s=%d", env_name(ENV_RANK), birth->rank);
    return supervise_spawn(ranks, (uint32_t)birth->rank, &spec, what);
}

static int refused(const struct birth *birth, const char *what, char *message, size_t size)
{
    int code = errno;

    if (strcmp(what, "exec") == 0) {
        char *const *wrapped = wrapped_argv(birth->job->wrapped, birth->rank);

        snprintf(message, size, "%s: cannot be executed: %s",
                 wrapped != NULL ? wrapped[0] : birth->job->paths[birth->program], strerror(code));
        return code == ENOENT ? 127 : 126;
    }
    if (strcmp(what, "chdir") == 0)
        snprintf(message, size, "-w %s: %s", birth->job->options->programs[birth->program].wdir,
                 strerror(code));
    else
        snprintf(message, size, "cannot start rank %d of %d: %s%s", birth->rank, birth->job->plan->n_ranks,
                 strerror(code),
                 code == EAGAIN   ? "; raise ulimit -u or the job's limit of processes, or give a smaller -n"
                 : code == ENOMEM ? "; raise ulimit -v and -d, or the job's limit of memory"
                                  : "");
    return 125;
}

/* ---- All ---- */

/* The inodes of its pipes, so that a rank knows the launcher's when it prints in a region. */
static void note_outputs(const struct keeper_job *job)
{
    for (int rank = 0; rank < job->plan->n_ranks && job->output != NULL; rank++) {
        struct claim_shared *claim = claim_of((uint32_t)rank);

        claim->output_inode[0] = fds_inode(output_stdout_fd(job->output, rank));
        claim->output_inode[1] = fds_inode(output_stderr_fd(job->output, rank));
    }
}

int start_memory(struct keeper_job *job, char *message, size_t size)
{
    char job_text[ATTACH_JOB_BYTES];
    sharedmem_error error;

    job->memory_fd = job_create((uint32_t)job->plan->n_ranks, job->options->heap_bytes,
                                (uint32_t)job->plan->crowd, job_text, &error);
    if (job->memory_fd >= 0) {
        snprintf(job->memory, sizeof job->memory, "%s", job_text);
        segment_header()->counts_waits = job->options->stats;
        note_outputs(job);
        job_launcher_waits();
        return 0;
    }
    snprintf(job->memory, sizeof job->memory, "!smrrun: %.500s", error.message);
    snprintf(message, size, "%s", error.message);
    errno = error.code;
    /* Asked for, it is needed; else only ranks that use the library need it. */
    return error.kind == SHAREDMEM_ERROR_USAGE || error.code == EMFILE || job->options->heap_bytes != 0 ? -1
                                                                                                        : 0;
}

/* Each rank has the processors that its starter has at that moment: cheaper than to bind the child, process.h. */
static void take_place_of(const struct birth *birth)
{
    if (birth->job->plan->binding != NULL)
        binding_apply(birth->job->plan->binding, birth->rank);
}

/* Ranks of program p are next: the environment becomes its own. Returns 0, or -1 with errno. */
static int take_program(struct birth *birth, int p)
{
    char **environment = make_environment(birth->job, p);

    if (environment == NULL)
        return -1;
    free(birth->environment);
    birth->environment = environment;
    birth->program = p;
    *find_entry(environment, env_name(ENV_RANK)) = birth->rank_text;
    return 0;
}

/* Which program rank runs, where that of the rank before is p. */
static int program_of(const struct keeper_job *job, int rank, int p)
{
    int end = 0;

    if (job->options->n_programs == 1)
        return 0;
    for (int i = 0; i <= p; i++)
        end += job->options->programs[i].n_ranks;
    return rank < end ? p : p + 1;
}

const char *start_folder(const struct keeper_job *job, int rank)
{
    int program = 0;

    while (program_of(job, rank, program) != program)
        program++;
    return job->options->programs[program].wdir;
}

static int start_each(struct birth *birth, struct supervise *ranks, char *message, size_t size)
{
    for (birth->rank = 0; birth->rank < birth->job->plan->n_ranks; birth->rank++) {
        int program = program_of(birth->job, birth->rank, birth->program);
        const char *what = "fork";

        if (!birth->before_each(birth->argument))
            return 0;
        take_place_of(birth);
        if ((program != birth->program && take_program(birth, program) != 0) ||
            start_rank(birth, ranks, &what) != 0)
            return refused(birth, what, message, size);
        if (birth->job->output != NULL)
            output_close_writes_of(birth->job->output, birth->rank);
    }
    return 0;
}

static int start_all(struct birth *birth, struct supervise *ranks, char *message, size_t size)
{
    size_t bytes;
    cpu_set_t *mask = affinity_read(&bytes);
    int status = start_each(birth, ranks, message, size);

    if (mask != NULL) {
        affinity_write(mask, bytes);
        CPU_FREE(mask);
    }
    return status;
}

int start_ranks(const struct keeper_job *job, struct supervise *ranks, bool (*before_each)(void *argument),
                void *argument, char *message, size_t size)
{
    struct birth birth = {.job = job, .before_each = before_each, .argument = argument};
    int status = 125;

    sigemptyset(&birth.handled);
    sigemptyset(&birth.ignored);
    sigaddset(&birth.ignored, SIGQUIT);
    /* Torque starts jobs with it ignored, and nobody there means to: | head ends a rank as it does elsewhere. */
    sigemptyset(&birth.defaulted);
    sigaddset(&birth.defaulted, SIGPIPE);
    if (job->child_was_ignored)
        sigaddset(&birth.ignored, SIGCHLD);
    birth.null_fd = fds_above_stdio(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (birth.null_fd < 0 || take_program(&birth, 0) != 0)
        snprintf(message, size, "cannot start ranks: %s", strerror(errno));
    else
        status = start_all(&birth, ranks, message, size);
    if (birth.null_fd >= 0)
        close(birth.null_fd);
    free(birth.environment);
    return status;
}
