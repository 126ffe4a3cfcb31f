#include "smrrun/options_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/parse.h"
#include "base/text.h"
#include "host/affinity.h"
#include "memory/segment.h"
#include "smrrun/files.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* ---- Refusing ---- */

enum options_answer options_refuse(struct options_line *line, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line->message, line->size, format, arguments);
    va_end(arguments);
    text_one_line(line->message);
    return OPTIONS_BAD;
}

/* ---- Taking values ---- */

static void *member(struct options_line *line, const struct option *option)
{
    return (char *)line->options + option->offset;
}

static enum options_answer take_flag(struct options_line *line, const struct option *option, const char *text)
{
    (void)text;
    *(bool *)member(line, option) = true;
    return OPTIONS_RUN;
}

static enum options_answer take_nothing(struct options_line *line, const struct option *option,
                                        const char *text)
{
    (void)line, (void)option, (void)text;
    return OPTIONS_RUN;
}

static bool is_number(const char *text)
{
    text += *text == '-';
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static enum options_answer take_number(struct options_line *line, const struct option *option,
                                       const char *text)
{
    long number;

    if (parse_int(text, (long)option->min, (long)option->max, &number) != 0)
        return refuse_value(line, option, text, is_number(text) ? "out of range" : option->problem);
    *(int *)member(line, option) = (int)number;
    return OPTIONS_RUN;
}

static enum options_answer take_duration(struct options_line *line, const struct option *option,
                                         const char *text)
{
    if (parse_duration(text, member(line, option)) != 0)
        return refuse_value(line, option, text, option->problem);
    return OPTIONS_RUN;
}

static enum options_answer take_size(struct options_line *line, const struct option *option, const char *text)
{
    uint64_t bytes;

    if (parse_size(text, &bytes) != 0)
        return refuse_value(line, option, text, option->problem);
    if (bytes < option->min || bytes > option->max)
        return refuse_value(line, option, text, "out of range");
    *(uint64_t *)member(line, option) = bytes;
    return OPTIONS_RUN;
}

static enum options_answer take_word(struct options_line *line, const struct option *option, const char *text)
{
    if (text[0] == '\0')
        return refuse_value(line, option, text, option->problem);
    *(const char **)member(line, option) = text;
    return OPTIONS_RUN;
}

/* A rank, from 0 to what could be one, or none. */
static enum options_answer take_rank(struct options_line *line, const struct option *option, const char *text)
{
    long rank = -1;

    if (strcmp(text, "none") != 0 && parse_int(text, 0, OPTIONS_MAX_RANKS - 1, &rank) != 0)
        return refuse_value(line, option, text, is_number(text) ? "out of range" : option->problem);
    *(int *)member(line, option) = (int)rank;
    return OPTIONS_RUN;
}

/* Where ranks print to: both streams, unless -e says where stderr goes. */
static enum options_answer take_file(struct options_line *line, const struct option *option, const char *text)
{
    const char *problem = files_problem(text);

    if (problem != NULL)
        return refuse_value(line, option, text, problem);
    *(const char **)member(line, option) = text;
    return OPTIONS_RUN;
}

/* A list of processors; whether it is one, shows when it is used. */
static enum options_answer take_list(struct options_line *line, const struct option *option, const char *text)
{
    cpu_set_t none;

    CPU_ZERO(&none);
    if (affinity_restrict(&none, sizeof none, text, false) != 0)
        return refuse_value(line, option, text, option->problem);
    *(const char **)member(line, option) = text;
    return OPTIONS_RUN;
}

static enum options_answer take_mem(struct options_line *line, const struct option *option, const char *text)
{
    const struct option_word *word;
    enum options_answer answer = options_choose(line, option, text, &word);

    if (answer == OPTIONS_RUN)
        *(const char **)member(line, option) = word->text;
    return answer;
}

static const struct option_word mems[] = {
    {"local", 0, false}, {"interleave", 0, false}, {"none", 0, false}, {NULL, 0, false}};

/* The second word of an option that takes two; NULL: there is none. */
static const char *take_second(struct options_line *line)
{
    return *line->next != NULL ? *line->next++ : NULL;
}

static enum options_answer refuse_half(struct options_line *line, const struct option *option)
{
    return options_refuse(line, "%s needs two values; give %s, as in: smrrun %s ./prog", line->typed,
                          option->expected, option->example);
}

static enum options_answer take_no_pair(struct options_line *line, const struct option *option,
                                        const char *text)
{
    (void)text;
    return take_second(line) != NULL ? OPTIONS_RUN : refuse_half(line, option);
}

/* Adds NAME=VALUE to what the ranks get. */
static enum options_answer export(struct options_line *line, const char *name, const char *value) {
    struct options *options = line->options;
    char **exports = realloc(options->exports, (size_t)(options->n_exports + 1) * sizeof *exports);

    if (exports != NULL) options->exports = exports;
    if (exports == NULL || asprintf(&exports[options->n_exports], "%s=%s", name, value) <
                               0) return options_refuse(line, "%s %.60s: no memory for it", line->typed,
                                                        name);
    options->n_exports++;
    return OPTIONS_RUN;
}

/* Whether name may be set for the ranks. */
static enum options_answer check_name(struct options_line *line, const struct option *option,
                                      const char *name, const char *text)
{
    if (!env_is_name(name))
        return refuse_value(line, option, text, option->problem);
    if (strcmp(name, env_name(ENV_RANK)) == 0 || strcmp(name, env_name(ENV_SIZE)) == 0 ||
        strcmp(name, env_name(ENV_JOB)) == 0)
        return options_refuse(line, "%s %s: smrrun sets it for each rank; leave it out", line->typed, name);
    return OPTIONS_RUN;
}

static enum options_answer take_export(struct options_line *line, const struct option *option,
                                       const char *text)
{
    const char *value = strchr(text, '=');
    size_t length = strcspn(text, "=");
    enum options_answer answer;
    char name[256] = "";

    if (length < sizeof name)
        memcpy(name, text, length);
    answer = check_name(line, option, name, text);
    if (answer != OPTIONS_RUN)
        return answer;
    value = value != NULL ? value + 1 : env_text_of(name);
    if (value == NULL)
        return options_refuse(line,
                              "%s %.60s: it is not set here; give its value, as in: smrrun -x %.60s=1 ./prog",
                              line->typed, name, name);
    return export(line, name, value);
}

/* -genv VAR VALUE */
static enum options_answer take_export_pair(struct options_line *line, const struct option *option,
                                            const char *text)
{
    enum options_answer answer = check_name(line, option, text, text);
    const char *value = answer == OPTIONS_RUN ? take_second(line) : NULL;

    if (answer != OPTIONS_RUN)
        return answer;
    return value != NULL ? export(line, text, value) : refuse_half(line, option);
}

/* R:CMD, one more. */
static enum options_answer take_wrap(struct options_line *line, const struct option *option, const char *text)
{
    const char *problem = wrap_add(&line->options->wraps, &line->options->n_wraps, text);

    return problem == NULL ? OPTIONS_RUN : refuse_value(line, option, text, problem);
}

/* ---- The table ---- */

#define OFFSET(member) .offset = offsetof(struct options, member)
#define FLAG(member)   .take = take_flag, OFFSET(member)
#define COUNT(member)                                                                                        \
    .take = take_number, OFFSET(member), .min = 1, .max = OPTIONS_MAX_RANKS,                                 \
    .problem = "not a whole number", .expected = "1 to 4096"

#define FILE_OF(member) take_file, OFFSET(member), .expected = "a file, in which %r is the rank"
#define EXPORT_PAIR                                                                                          \
    .take = take_export_pair, .problem = "no name of a variable", .expected = "VAR VALUE",                   \
    .example = "-genv OMP_NUM_THREADS 2", .is_foreign = true
#define HOSTS                                                                                                \
    .take = take_word, OFFSET(hosts), .problem = "no host", .expected = "localhost",                         \
    .example = "-H localhost", .is_foreign = true
#define HOSTS_FILE                                                                                           \
    .take = take_word, OFFSET(hosts_file), .problem = "no file", .expected = "a file", .example = "-f hosts", \
    .is_foreign = true
#define IGNORED       .take = take_nothing, .is_local = true, .is_foreign = true
#define IGNORED_VALUE IGNORED, .expected = "a value", .example = "-n 4"

_Static_assert(OPTIONS_MAX_RANKS == 4096, "as the table says it");
_Static_assert(SEGMENT_MIN_BYTES == (uint64_t)16 << 20 && SEGMENT_MAX_BYTES == (uint64_t)8192 << 30,
               "as the table says it");

const struct option options_table[] = {
    {'n', "ntasks", "N", "how many ranks; else the batch job's, else the cores", COUNT(n_ranks),
     .example = "-n 4", .is_local = true},
    {'\0', "np", "N", NULL, COUNT(n_ranks), .example = "-np 4", .is_local = true, .is_foreign = true},
    {'t', "threads", "T", "OMP_NUM_THREADS of a rank; else its cores", COUNT(n_threads), .example = "-t 2"},
    {'\0', "bind-to", "WHAT", "share, core, pu, l3, numa, package, none", options_take_bind, OFFSET(bind),
     .words = options_policies,
     .problem = "no such policy", .expected = "share, core, pu, l3, numa, package or none",
     .example = "--bind-to none", .preset = "share"},
    {'\0', "map-by", "HOW", "spread, close, core, l3, numa, package, ppr:K:l3", options_take_map,
     .words = options_maps,
     .problem = "no such order",
     .expected = "spread, close, core, l3, numa, package or ppr:2:numa, with :PE=T",
     .example = "--map-by close"},
    {'\0', "cpus", "LIST", NULL, take_list, OFFSET(cpus), .problem = "no list",
     .expected = "a list of processors", .example = "--cpus 0-3,8"},
    {'\0', "exclude", "LIST", NULL, take_list, OFFSET(exclude), .problem = "no list",
     .expected = "a list of processors", .example = "--exclude 0"},
    {'\0', "smt", NULL, NULL, FLAG(use_smt)},
    {'\0', "use-hwthread-cpus", NULL, NULL, FLAG(use_smt), .is_foreign = true},
    {'\0', "report-bindings", NULL, "print which processors each rank has", FLAG(report_bindings)},
    {'\0', "dry-run", NULL, "print what would be started, start nothing", FLAG(dry_run)},
    {'x', "export", "VAR[=VAL]", "set a variable for the ranks; again for more", take_export,
     .problem = "no name of a variable", .expected = "VAR or VAR=VAL", .example = "-x OMP_NUM_THREADS=2",
     .is_local = true},
    {'w', "wdir", "DIR", "the folder to run in", take_word, OFFSET(wdir), .problem = "no folder",
     .expected = "a folder", .example = "-w run1", .is_local = true},
    {'\0', "timeout", "D", "end all after this time: 90, 500ms, 5m, 1:30:00", take_duration,
     OFFSET(timeout_ns), .problem = "not a time", .expected = "90, 500ms, 5m, 1h or 1:30:00",
     .example = "--timeout 5m"},
    {'\0', "grace", "D", "the time from SIGTERM to SIGKILL", take_duration, OFFSET(grace_ns),
     .problem = "not a time", .expected = "5, 500ms or 1m", .example = "--grace 10s", .preset = "5s"},
    {'k', "keep-going", NULL, "a rank that fails does not end the others", FLAG(keep_going)},
    {'l', "label", NULL, "begin each line with its [rank]", FLAG(label)},
    {'\0', "timestamps", NULL, NULL, FLAG(timestamps)},
    {'o', "output", "FILE", "print into a file; 'out.%r': one for each rank", FILE_OF(files[0]),
     .example = "-o 'out.%r'"},
    {'e', "error", "FILE", NULL, FILE_OF(files[1]), .example = "-e 'err.%r'"},
    {'\0', "stdin", "R", NULL, take_rank, OFFSET(stdin_rank), .problem = "no rank",
     .expected = "a rank or none", .example = "--stdin none"},
    {'\0', "heap", "SIZE", "size of the shared memory; else what the machine has", take_size,
     OFFSET(heap_bytes), .min = SEGMENT_MIN_BYTES, .max = SEGMENT_MAX_BYTES, .problem = "not a size",
     .expected = "16M to 8192G", .example = "--heap 4G"},
    {'\0', "mem", "POLICY", "pages: local (first touch), interleave, none", take_mem, OFFSET(mem), .words = mems,
     .problem = "no such policy", .expected = "local, interleave or none", .example = "--mem interleave"},
    {'\0', "gdb", "R", NULL, take_rank, OFFSET(gdb_rank), .problem = "no rank", .expected = "a rank",
     .example = "--gdb 0", .preset = "none"},
    {'\0', "wrap", "R:CMD", NULL, take_wrap, .expected = "R:CMD, the ranks and a command",
     .example = "--wrap 0:valgrind"},
    {'\0', "selftest", NULL, NULL, FLAG(selftest)},
    {'\0', "stats", NULL, NULL, FLAG(stats)},
    {'q', "quiet", NULL, "say what fails, without warnings and hints", FLAG(quiet)},
    {'v', "verbose", NULL, "print what numbers and places are used, and why", FLAG(verbose)},
    {'\0', "completion", "SHELL", NULL, options_show_completion, .words = options_shells,
     .problem = "no such shell", .expected = "bash", .example = "--completion bash"},
    {'V', "version", NULL, "print the version", .take = options_show_version},
    {'h', "help", NULL, "print this", .take = options_show_help},

    /* ---- As others have it: MPI's launchers, and srun ---- */

    {'\0', "cpus-per-task", "T", NULL, COUNT(n_threads), .example = "-t 2", .is_foreign = true},
    {'\0', "ppn", "N", NULL, COUNT(n_per_node), .example = "-n 4", .is_foreign = true},
    {'\0', "npernode", "N", NULL, COUNT(n_per_node), .example = "-n 4", .is_foreign = true},
    {'\0', "ntasks-per-node", "N", NULL, COUNT(n_per_node), .example = "-n 4", .is_foreign = true},
    {'\0', "genv", "VAR VAL", NULL, EXPORT_PAIR, .is_local = true},
    {'\0', "env", "VAR VAL", NULL, EXPORT_PAIR, .is_local = true},
    {'\0', "wd", "DIR", NULL, take_word, OFFSET(wdir), .problem = "no folder", .expected = "a folder",
     .example = "-w run1", .is_local = true, .is_foreign = true},
    {'\0', "tag-output", NULL, NULL, FLAG(label), .is_foreign = true},
    {'\0', "prepend-rank", NULL, NULL, FLAG(label), .is_foreign = true},
    {'\0', "timestamp-output", NULL, NULL, FLAG(timestamps), .is_foreign = true},
    {'\0', "outfile-pattern", "FILE", NULL, FILE_OF(files[0]), .example = "-o 'out.%r'",
     .is_foreign = true},
    {'\0', "errfile-pattern", "FILE", NULL, FILE_OF(files[1]), .example = "-e 'err.%r'",
     .is_foreign = true},
    {'\0', "display-map", NULL, NULL, FLAG(report_bindings), .is_foreign = true},
    {'\0', "H", "LIST", NULL, HOSTS},
    {'\0', "host", "LIST", NULL, HOSTS},
    {'\0', "hosts", "LIST", NULL, HOSTS},
    {'\0', "f", "FILE", NULL, HOSTS_FILE},
    {'\0', "hostfile", "FILE", NULL, HOSTS_FILE},
    {'\0', "machinefile", "FILE", NULL, HOSTS_FILE},

    /* ---- What means nothing on one machine ---- */

    {'\0', "mca", "KEY VAL", NULL, .take = take_no_pair, .is_local = true, .is_foreign = true, .expected = "KEY VALUE",
     .example = "--mca btl self"},
    {'\0', "genvlist", "LIST", NULL, IGNORED_VALUE},
    {'\0', "envlist", "LIST", NULL, IGNORED_VALUE},
    {'\0', "launcher", "NAME", NULL, IGNORED_VALUE},
    {'\0', "rmk", "NAME", NULL, IGNORED_VALUE},
    {'\0', "iface", "NAME", NULL, IGNORED_VALUE},
    {'\0', "mpi", "NAME", NULL, IGNORED_VALUE},
    {'\0', "oversubscribe", NULL, NULL, IGNORED},
    {'\0', "allow-run-as-root", NULL, NULL, IGNORED},
    {'\0', "genvall", NULL, NULL, IGNORED},
    {'\0', "envall", NULL, NULL, IGNORED},
    {'\0', "byslot", NULL, NULL, IGNORED},
    {'\0', "bynode", NULL, NULL, IGNORED},
    {'\0', "unbuffered", NULL, NULL, IGNORED},
    {'\0', "exclusive", NULL, NULL, IGNORED},
    {'\0', "overlap", NULL, NULL, IGNORED},
};

const size_t options_table_size = COUNT_OF(options_table);
