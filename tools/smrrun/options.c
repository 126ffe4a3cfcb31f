#include "smrrun/options.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/parse.h"
#include "base/text.h"
#include "memory/segment.h"
#include "sharedmem.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* Room for the longest word that is compared with the names of options, and for all that share a prefix. */
#define NAME_MAX_BYTES 32
#define LIST_BYTES     256

/* The command line, as far as it has been read. */
struct line {
    struct options *options;
    char **next; /* the first word that has not been read */
    char *message;
    size_t size;
    char typed[NAME_MAX_BYTES + 3]; /* the option that is being read, as the user spelled it */
};

/* One option, in all its spellings; those without help are understood but not shown. */
struct option {
    char letter;         /* '\0': none */
    const char *name;    /* behind two dashes, or behind one as MPI's launchers have it */
    const char *operand; /* what its value is called; NULL: a flag */
    const char *help;
    enum options_answer (*take)(struct line *line, const struct option *option, const char *text);
    size_t offset;       /* of the member of struct options that it sets */
    uint64_t min, max;   /* of its value */
    const char *problem; /* what is wrong with a value that cannot be read */
    const char *expected;
    const char *example;
    const char *preset; /* its value where none is given; NULL: zero */
};

/* ---- Refusing ---- */

__attribute__((format(printf, 2, 3))) static enum options_answer refuse(struct line *line, const char *format,
                                                                        ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line->message, line->size, format, arguments);
    va_end(arguments);
    text_one_line(line->message);
    return OPTIONS_BAD;
}

static enum options_answer refuse_value(struct line *line, const struct option *option, const char *text,
                                        const char *problem)
{
    const char *quote = text[0] == '\0' ? "''" : "";

    return refuse(line, "%s %s%.60s: %s; give %s, as in: smrrun %s ./prog", line->typed, quote, text, problem,
                  option->expected, option->example);
}

/* ---- Taking values ---- */

static void *member(struct line *line, const struct option *option)
{
    return (char *)line->options + option->offset;
}

static enum options_answer take_flag(struct line *line, const struct option *option, const char *text)
{
    (void)text;
    *(bool *)member(line, option) = true;
    return OPTIONS_RUN;
}

static enum options_answer take_nothing(struct line *line, const struct option *option, const char *text)
{
    (void)line, (void)option, (void)text;
    return OPTIONS_RUN;
}

static bool is_number(const char *text)
{
    text += *text == '-';
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static enum options_answer take_number(struct line *line, const struct option *option, const char *text)
{
    long number;

    if (parse_int(text, (long)option->min, (long)option->max, &number) != 0)
        return refuse_value(line, option, text, is_number(text) ? "out of range" : option->problem);
    *(int *)member(line, option) = (int)number;
    return OPTIONS_RUN;
}

static enum options_answer take_duration(struct line *line, const struct option *option, const char *text)
{
    if (parse_duration(text, member(line, option)) != 0)
        return refuse_value(line, option, text, option->problem);
    return OPTIONS_RUN;
}

static enum options_answer take_size(struct line *line, const struct option *option, const char *text)
{
    uint64_t bytes;

    if (parse_size(text, &bytes) != 0)
        return refuse_value(line, option, text, option->problem);
    if (bytes < option->min || bytes > option->max)
        return refuse_value(line, option, text, "out of range");
    *(uint64_t *)member(line, option) = bytes;
    return OPTIONS_RUN;
}

static enum options_answer take_folder(struct line *line, const struct option *option, const char *text)
{
    if (text[0] == '\0')
        return refuse_value(line, option, text, option->problem);
    *(const char **)member(line, option) = text;
    return OPTIONS_RUN;
}

static enum options_answer take_bind(struct line *line, const struct option *option, const char *text)
{
    static const char *const built[] = {[OPTIONS_BIND_SHARE] = "share", [OPTIONS_BIND_NONE] = "none"};
    static const char *const later[] = {"core", "pu", "l3", "numa", "package", "hwthread", "socket"};

    for (size_t i = 0; i < COUNT_OF(built); i++) {
        if (strcmp(text, built[i]) == 0) {
            line->options->bind = (enum options_bind)i;
            line->options->is_bind_given = true;
            return OPTIONS_RUN;
        }
    }
    for (size_t i = 0; i < COUNT_OF(later); i++) {
        if (strcmp(text, later[i]) == 0)
            return refuse_value(line, option, text, "not built yet");
    }
    return refuse_value(line, option, text, option->problem);
}

static enum options_answer take_mem(struct line *line, const struct option *option, const char *text)
{
    if (strcmp(text, "local") != 0 && strcmp(text, "interleave") != 0 && strcmp(text, "none") != 0)
        return refuse_value(line, option, text, option->problem);
    *(const char **)member(line, option) = text;
    return OPTIONS_RUN;
}

static enum options_answer take_export(struct line *line, const struct option *option, const char *text)
{
    struct options *options = line->options;
    const char *value = strchr(text, '=');
    size_t length = strcspn(text, "=");
    char name[256] = "", **exports;

    if (length < sizeof name)
        memcpy(name, text, length);
    if (!env_is_name(name))
        return refuse_value(line, option, text, option->problem);
    if (strcmp(name, env_name(ENV_RANK)) == 0 || strcmp(name, env_name(ENV_SIZE)) == 0 ||
        strcmp(name, env_name(ENV_JOB)) == 0)
        return refuse(line, "%s %s: smrrun sets it for each rank; leave it out", line->typed, name);
    value = value != NULL ? value + 1 : env_text_of(name);
    if (value == NULL)
        return refuse(line, "%s %.60s: it is not set here; give its value, as in: smrrun -x %.60s=1 ./prog",
                      line->typed, name, name);
    exports = realloc(options->exports, (size_t)(options->n_exports + 1) * sizeof *exports);
    if (exports != NULL)
        options->exports = exports;
    if (exports == NULL || asprintf(&exports[options->n_exports], "%s=%s", name, value) < 0)
        return refuse(line, "%s %.60s: no memory for it", line->typed, name);
    options->n_exports++;
    return OPTIONS_RUN;
}

static enum options_answer show_version(struct line *line, const struct option *option, const char *text);
static enum options_answer show_help(struct line *line, const struct option *option, const char *text);

/* ---- The table ---- */

#define OFFSET(member) .offset = offsetof(struct options, member)
#define FLAG(member)   .take = take_flag, OFFSET(member)
#define COUNT(member)                                                                                        \
    .take = take_number, OFFSET(member), .min = 1, .max = OPTIONS_MAX_RANKS,                                 \
    .problem = "not a whole number", .expected = "1 to 4096"

_Static_assert(OPTIONS_MAX_RANKS == 4096, "as the table says it");
_Static_assert(SEGMENT_MIN_BYTES == (uint64_t)16 << 20 && SEGMENT_MAX_BYTES == (uint64_t)8192 << 30,
               "as the table says it");

static const struct option table[] = {
    {'n', "ntasks", "N", "how many ranks; else the batch job's, else the cores", COUNT(n_ranks),
     .example = "-n 4"},
    {'\0', "np", "N", NULL, COUNT(n_ranks), .example = "-np 4"},
    {'t', "threads", "T", "OMP_NUM_THREADS of a rank; else its cores", COUNT(n_threads), .example = "-t 2"},
    {'\0', "bind-to", "POLICY", "share: pinned to equal shares of cores; none", take_bind, OFFSET(bind),
     .problem = "no such policy", .expected = "share or none", .example = "--bind-to none",
     .preset = "share"},
    {'\0', "report-bindings", NULL, "print which processors each rank has", FLAG(report_bindings)},
    {'\0', "dry-run", NULL, "print what would be started, start nothing", FLAG(dry_run)},
    {'x', "export", "VAR[=VAL]", "set a variable for the ranks; again for more", take_export,
     .problem = "no name of a variable", .expected = "VAR or VAR=VAL", .example = "-x OMP_NUM_THREADS=2"},
    {'w', "wdir", "DIR", "the folder to run in", take_folder, OFFSET(wdir), .problem = "no folder",
     .expected = "a folder", .example = "-w run1"},
    {'\0', "timeout", "D", "end all after this time: 90, 500ms, 5m, 1:30:00", take_duration,
     OFFSET(timeout_ns), .problem = "not a time", .expected = "90, 500ms, 5m, 1h or 1:30:00",
     .example = "--timeout 5m"},
    {'\0', "grace", "D", "the time from SIGTERM to SIGKILL", take_duration, OFFSET(grace_ns),
     .problem = "not a time", .expected = "5, 500ms or 1m", .example = "--grace 10s", .preset = "5s"},
    {'k', "keep-going", NULL, "a rank that fails does not end the others", FLAG(keep_going)},
    {'l', "label", NULL, "begin each line with its [rank]", FLAG(label)},
    {'\0', "tag-output", NULL, NULL, FLAG(label)},
    {'\0', "heap", "SIZE", "size of the shared memory; else what the machine has", take_size,
     OFFSET(heap_bytes), .min = SEGMENT_MIN_BYTES, .max = SEGMENT_MAX_BYTES, .problem = "not a size",
     .expected = "16M to 8192G", .example = "--heap 4G"},
    {'\0', "mem", "POLICY", "pages: local (first touch), interleave, none", take_mem, OFFSET(mem),
     .problem = "no such policy", .expected = "local, interleave or none", .example = "--mem interleave"},
    {'q', "quiet", NULL, "say what fails, without warnings and hints", FLAG(quiet)},
    {'v', "verbose", NULL, "print what numbers and places are used, and why", FLAG(verbose)},
    {'V', "version", NULL, "print the version", .take = show_version},
    {'h', "help", NULL, "print this", .take = show_help},
    {'\0', "oversubscribe", NULL, NULL, .take = take_nothing},
    {'\0', "allow-run-as-root", NULL, NULL, .take = take_nothing},
};

/* ---- Help ---- */

static enum options_answer printed(struct line *line)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return refuse(line, "cannot write to stdout: %s", strerror(errno));
    return OPTIONS_DONE;
}

static enum options_answer show_version(struct line *line, const struct option *option, const char *text)
{
    (void)option, (void)text;
    printf("smrrun (sharedmem) %s\n", sharedmem_version());
    return printed(line);
}

static void print_option(const struct option *option)
{
    char letter[] = "    ", left[64];
    bool has_preset = option->preset != NULL;

    if (option->letter != '\0')
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(left, sizeof left, "%s--%s %s", letter, option->name,
             option->operand != NULL ? option->operand : "");
    printf("  %-23s %s%s%s%s\n", left, option->help, has_preset ? " (" : "", has_preset ? option->preset : "",
           has_preset ? ")" : "");
}

static enum options_answer show_help(struct line *line, const struct option *option, const char *text)
{
    (void)option, (void)text;
    fputs("usage: smrrun [options] prog [args]\n"
          "Runs prog as N ranks that share memory, and ends as if they were one program.\n\n",
          stdout);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (table[i].help != NULL)
            print_option(&table[i]);
    }
    fputs("\nfor example: smrrun -n 4 ./prog input.txt\n", stdout);
    return printed(line);
}

/* ---- Finding an option by its name ---- */

static const struct option *find_letter(char letter)
{
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (letter != '\0' && table[i].letter == letter)
            return &table[i];
    }
    return NULL;
}

static const struct option *find_name(const char *name, size_t length)
{
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (strlen(table[i].name) == length && strncmp(table[i].name, name, length) == 0)
            return &table[i];
    }
    return NULL;
}

/*
 * How many options begin with this, of those that are shown or of the others. found: the last. list: all of
 * them, "--threads or --timeout".
 */
static int find_prefix(const char *name, size_t length, bool shown, const struct option **found,
                       char list[LIST_BYTES])
{
    int n = 0;
    size_t used = 0;

    for (size_t i = 0; i < COUNT_OF(table) && used < LIST_BYTES; i++) {
        if ((table[i].help != NULL) != shown || strncmp(table[i].name, name, length) != 0)
            continue;
        *found = &table[i];
        used +=
            (size_t)snprintf(list + used, LIST_BYTES - used, "%s--%s", n++ > 0 ? " or " : "", table[i].name);
    }
    return n;
}

/* The option whose name is nearest, if a third of it or less is wrong; else NULL. */
static const char *nearest_name(const char *name, size_t length)
{
    const char *nearest = NULL;
    char word[NAME_MAX_BYTES];
    int least = ((int)length + 2) / 3 + 1;

    if (length >= sizeof word)
        return NULL;
    memcpy(word, name, length);
    word[length] = '\0';
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        int d = text_distance(word, table[i].name);

        if (d < least) {
            least = d;
            nearest = table[i].name;
        }
    }
    return nearest;
}

static enum options_answer refuse_unknown(struct line *line, const char *word)
{
    const char *name = word + strspn(word, "-");
    size_t length = strcspn(name, "=");
    const char *nearest = length > 1 ? nearest_name(name, length) : NULL;

    if (nearest != NULL)
        return refuse(line, "unknown option %.60s; did you mean --%s? smrrun -h lists all", word, nearest);
    return refuse(line, "unknown option %.60s; smrrun -h lists all", word);
}

/* ---- Reading the line ---- */

/* Takes the option, whose value is text or, where that is NULL, the next word of the line. */
static enum options_answer read_option(struct line *line, const struct option *option, const char *text)
{
    if (option->operand == NULL)
        return option->take(line, option, "");
    if (text == NULL && *line->next == NULL)
        return refuse(line, "%s needs a value; give %s, as in: smrrun %s ./prog", line->typed,
                      option->expected, option->example);
    return option->take(line, option, text != NULL ? text : *line->next++);
}

/* Reads --name, --name=value or, as word stands behind one dash only, -name. */
static enum options_answer read_name(struct line *line, const struct option *option, const char *word)
{
    const char *equals = strchr(word, '=');

    if (equals != NULL && option->operand == NULL)
        return refuse(line, "%s takes no value; as in: smrrun %s ./prog", line->typed, line->typed);
    return read_option(line, option, equals != NULL ? equals + 1 : NULL);
}

static enum options_answer read_long(struct line *line, const char *word)
{
    const char *name = word + 2;
    size_t length = strcspn(name, "=");
    const struct option *option = find_name(name, length);
    char list[LIST_BYTES];
    int n = option != NULL;

    if (n == 0 && length > 0)
        n = find_prefix(name, length, true, &option, list);
    if (n == 0 && length > 0)
        n = find_prefix(name, length, false, &option, list);
    if (n == 0)
        return refuse_unknown(line, word);
    if (n > 1)
        return refuse(line, "%s is short for %s; type more of it", line->typed, list);
    return read_name(line, option, word);
}

/* Whether word, behind its dash, is made of letters of options; behind one with a value all may be. */
static bool has_known_letters(const char *word)
{
    for (const char *letter = word + 1; *letter != '\0'; letter++) {
        const struct option *option = find_letter(*letter);

        if (option == NULL || option->operand != NULL)
            return option != NULL;
    }
    return true;
}

/* Reads flags in one word, -lv, the last of which may have a value: -ln4, -ln 4. */
static enum options_answer read_letters(struct line *line, const char *word)
{
    enum options_answer answer = OPTIONS_RUN;

    for (const char *letter = word + 1; *letter != '\0' && answer == OPTIONS_RUN; letter++) {
        const struct option *option = find_letter(*letter);
        bool has_more = letter[1] != '\0';

        snprintf(line->typed, sizeof line->typed, "-%c", *letter);
        if (option->operand != NULL)
            return read_option(line, option, has_more ? letter + 1 : NULL);
        answer = read_option(line, option, NULL);
    }
    return answer;
}

static enum options_answer read_word(struct line *line)
{
    const char *word = *line->next++;
    size_t length = strcspn(word, "=");
    const struct option *option = find_name(word + 1, length - 1);

    snprintf(line->typed, sizeof line->typed, "%.*s", (int)length, word);
    if (word[1] == '-')
        return read_long(line, word);
    if (option != NULL)
        return read_name(line, option, word);
    return has_known_letters(word) ? read_letters(line, word) : refuse_unknown(line, word);
}

/* What stands behind the options is the program. */
static enum options_answer take_program(struct line *line)
{
    if (*line->next == NULL)
        return refuse(line, "no program given; as in: smrrun -n 4 ./prog");
    /* Between programs, for MPI's launchers. Run as an argument it would give wrong results in silence. */
    for (char **word = line->next; *word != NULL; word++) {
        if (strcmp(*word, ":") == 0)
            return refuse(line, "several programs with : between are not built yet; as in: smrrun -n 4 "
                                "sh -c 'test $SHAREDMEM_RANK = 0 && exec ./a; exec ./b'");
    }
    line->options->program = line->next;
    return OPTIONS_RUN;
}

enum options_answer options_parse(struct options *options, int argc, char **argv, char *message, size_t size)
{
    struct line line = {.options = options, .next = argv + (argc > 0), .message = message, .size = size};
    enum options_answer answer = OPTIONS_RUN;

    *options = (struct options){0};
    message[0] = '\0';
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (table[i].preset != NULL)
            table[i].take(&line, &table[i], table[i].preset);
    }
    options->is_bind_given = false;
    while (answer == OPTIONS_RUN && *line.next != NULL && (*line.next)[0] == '-' && (*line.next)[1] != '\0') {
        if (strcmp(*line.next, "--") == 0) {
            line.next++;
            break;
        }
        answer = read_word(&line);
    }
    return answer == OPTIONS_RUN ? take_program(&line) : answer;
}

void options_free(struct options *options)
{
    for (int i = 0; i < options->n_exports; i++)
        free(options->exports[i]);
    free(options->exports);
    *options = (struct options){0};
}
