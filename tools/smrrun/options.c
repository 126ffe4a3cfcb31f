#include "smrrun/options_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/text.h"
#include "smrrun/files.h"
#include "smrrun/selftest.h"

/* Room for the names of all options that share a prefix. */
#define LIST_BYTES 256

#define OPTIONS_PRESET_WORDS 256

/* ---- Finding an option by its name ---- */

static const struct option *find_letter(char letter)
{
    for (size_t i = 0; i < options_table_size; i++) {
        if (letter != '\0' && options_table[i].letter == letter)
            return &options_table[i];
    }
    return NULL;
}

static const struct option *find_name(const char *name, size_t length)
{
    for (size_t i = 0; i < options_table_size; i++) {
        if (strlen(options_table[i].name) == length && strncmp(options_table[i].name, name, length) == 0)
            return &options_table[i];
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

    for (size_t i = 0; i < options_table_size && used < LIST_BYTES; i++) {
        if ((options_table[i].help != NULL) != shown || strncmp(options_table[i].name, name, length) != 0)
            continue;
        *found = &options_table[i];
        used += (size_t)snprintf(list + used, LIST_BYTES - used, "%s--%s", n++ > 0 ? " or " : "",
                                 options_table[i].name);
    }
    return n;
}

/* The option whose name is nearest, if a third of it or less is wrong; else NULL. */
static const char *nearest_name(const char *name, size_t length)
{
    const char *nearest = NULL;
    char word[OPTIONS_NAME_BYTES];
    int least = ((int)length + 2) / 3 + 1;

    if (length >= sizeof word)
        return NULL;
    memcpy(word, name, length);
    word[length] = '\0';
    for (size_t i = 0; i < options_table_size; i++) {
        int d = text_distance(word, options_table[i].name);

        if (d < least) {
            least = d;
            nearest = options_table[i].name;
        }
    }
    return nearest;
}

static enum options_answer refuse_unknown(struct options_line *line, const char *word)
{
    const char *name = word + strspn(word, "-");
    size_t length = strcspn(name, "=");
    const char *nearest = length > 1 ? nearest_name(name, length) : NULL;

    if (nearest != NULL)
        return options_refuse(line, "unknown option %.60s; did you mean --%s? smrrun -h lists all", word,
                              nearest);
    return options_refuse(line, "unknown option %.60s; smrrun -h lists all", word);
}

/* ---- Reading the line ---- */

/* Takes the option, whose value is text or, where that is NULL, the next word of the line. */
static enum options_answer read_option(struct options_line *line, const struct option *option,
                                       const char *text)
{
    if (line->is_later && !option->is_local)
        return options_refuse(line,
                              "%s counts for all programs and stands before the first; behind : stand -n, -x "
                              "and -w",
                              line->typed);
    if (option->operand == NULL)
        return option->take(line, option, "");
    if (text == NULL && *line->next == NULL)
        return options_refuse(line, "%s needs a value; give %s, as in: smrrun %s ./prog", line->typed,
                              option->expected, option->example);
    return option->take(line, option, text != NULL ? text : *line->next++);
}

/* Reads --name, --name=value or, as word stands behind one dash only, -name. */
static enum options_answer read_name(struct options_line *line, const struct option *option, const char *word)
{
    const char *equals = strchr(word, '=');

    if (equals != NULL && option->operand == NULL)
        return options_refuse(line, "%s takes no value; as in: smrrun %s ./prog", line->typed, line->typed);
    return read_option(line, option, equals != NULL ? equals + 1 : NULL);
}

static enum options_answer read_long(struct options_line *line, const char *word)
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
        return options_refuse(line, "%s is short for %s; type more of it", line->typed, list);
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

/* Whether what could be letters, -hostfiel, is rather a name with a slip. */
static bool is_misspelled(const char *word)
{
    size_t length = strcspn(word + 1, "=");

    return find_letter(word[1])->operand == NULL && length > 3 && nearest_name(word + 1, length) != NULL;
}

/* Reads flags in one word, -lv, the last of which may have a value: -ln4, -ln 4. */
static enum options_answer read_letters(struct options_line *line, const char *word)
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

static enum options_answer read_word(struct options_line *line)
{
    const char *word = *line->next++;
    size_t length = strcspn(word, "=");
    const struct option *option = find_name(word + 1, length - 1);

    snprintf(line->typed, sizeof line->typed, "%.*s", (int)length, word);
    if (word[1] == '-')
        return read_long(line, word);
    if (option != NULL)
        return read_name(line, option, word);
    if (!has_known_letters(word) || is_misspelled(word))
        return refuse_unknown(line, word);
    return read_letters(line, word);
}

static bool is_option(const char *word)
{
    return word != NULL && word[0] == '-' && word[1] != '\0';
}

/* Reads options up to a word that is none. */
static enum options_answer read_options(struct options_line *line)
{
    enum options_answer answer = OPTIONS_RUN;

    while (answer == OPTIONS_RUN && is_option(*line->next)) {
        if (strcmp(*line->next, "--") == 0) {
            line->next++;
            break;
        }
        answer = read_word(line);
    }
    return answer;
}

/* Where the words of the program at line->next end, and the next program's follow; NULL: it is the last. */
static char **find_end(const struct options_line *line)
{
    for (char **word = line->next; *word != NULL; word++) {
        if (strcmp(*word, ":") == 0)
            return word;
    }
    return NULL;
}

/* Takes what stands behind its options as the next program. Returns where it ends in *end, or NULL there. */
static enum options_answer take_program(struct options_line *line, int first_export, char ***end)
{
    struct options *options = line->options;
    struct options_program *programs;

    *end = find_end(line);
    if (*line->next == NULL || *end == line->next)
        return options_refuse(line, "no program given%s; as in: smrrun -n 4 ./prog%s",
                              line->is_later ? " behind :" : "", line->is_later ? " : -n 2 ./other" : "");
    programs = realloc(options->programs, (size_t)(options->n_programs + 1) * sizeof *programs);
    if (programs == NULL)
        return options_refuse(line, "no memory for the programs");
    options->programs = programs;
    programs[options->n_programs++] = (struct options_program){
        line->next, options->n_ranks, options->wdir, {first_export, options->n_exports}};
    if (*end != NULL)
        **end = NULL;
    return OPTIONS_RUN;
}

/* Several programs share the ranks: each says how many it has. */
static enum options_answer add_ranks(struct options_line *line)
{
    struct options *options = line->options;
    int sum = 0;

    for (int i = 0; i < options->n_programs && options->n_programs > 1; i++) {
        const struct options_program *program = &options->programs[i];

        if (program->n_ranks == 0)
            return options_refuse(line,
                                  "with : between programs each needs its -n, %.60s too; as in: smrrun -n 1 "
                                  "./a : -n 3 ./b",
                                  program->argv[0]);
        sum += program->n_ranks;
        if (sum > OPTIONS_MAX_RANKS)
            return options_refuse(line, "the programs have more than %d ranks together; give smaller -n",
                                  OPTIONS_MAX_RANKS);
    }
    if (options->n_programs > 1)
        options->n_ranks = sum;
    return OPTIONS_RUN;
}

/* The first program, and those behind a : with their own options. */
static enum options_answer read_programs(struct options_line *line)
{
    struct options *options = line->options;
    char **end = NULL;
    enum options_answer answer = take_program(line, 0, &end);

    while (answer == OPTIONS_RUN && end != NULL) {
        int first_export = options->n_exports;

        line->next = end + 1;
        line->is_later = true;
        options->n_ranks = 0;
        options->wdir = options->programs[0].wdir;
        answer = read_options(line);
        if (answer == OPTIONS_RUN)
            answer = take_program(line, first_export, &end);
    }
    return answer == OPTIONS_RUN ? add_ranks(line) : answer;
}

/* Puts the name of the variable before the message. */
static enum options_answer blame_variable(struct options_line *line)
{
    char message[512];

    snprintf(message, sizeof message, "%s", line->message);
    return options_refuse(line, "%s: %s", env_name(ENV_OPTS), message);
}

/* The options of SHAREDMEM_OPTS: words between blanks. */
static enum options_answer read_preset(struct options_line *line)
{
    char *words[OPTIONS_PRESET_WORDS + 1], *rest;
    enum options_answer answer;
    size_t n = 0;

    line->options->preset = rest = strdup(env_text(ENV_OPTS));
    if (rest == NULL)
        return options_refuse(line, "no memory for the options");
    for (char *word; (word = strsep(&rest, " \t\n")) != NULL;) {
        if (*word == '\0')
            continue;
        if (n == OPTIONS_PRESET_WORDS)
            return options_refuse(line, "%s has more than %d words", env_name(ENV_OPTS),
                                  OPTIONS_PRESET_WORDS);
        words[n++] = word;
    }
    words[n] = NULL;
    line->next = words;
    answer = read_options(line);
    if (answer != OPTIONS_RUN)
        return answer == OPTIONS_BAD ? blame_variable(line) : answer;
    if (*line->next != NULL)
        return options_refuse(line, "%s: %.60s is no option; programs are given to smrrun itself",
                              env_name(ENV_OPTS), *line->next);
    return OPTIONS_RUN;
}

static void set_defaults(struct options_line *line)
{
    *line->options = (struct options){0};
    line->message[0] = '\0';
    for (size_t i = 0; i < options_table_size; i++) {
        if (options_table[i].preset != NULL)
            options_table[i].take(line, &options_table[i], options_table[i].preset);
    }
    line->options->is_bind_given = false;
}

/* What options mean together. */
static enum options_answer settle(struct options_line *line)
{
    struct options *options = line->options;
    bool has_own;

    if (options->n_ranks == 0)
        options->n_ranks = options->n_per_node;
    if (options->files[1] == NULL)
        options->files[1] = options->files[0];
    has_own = (options->files[0] != NULL && files_has_rank(options->files[0])) ||
              (options->files[1] != NULL && files_has_rank(options->files[1]));
    if (has_own && (options->label || options->timestamps))
        return options_refuse(line,
                              "into a file of its own a rank prints by itself, and no line begins with %s; "
                              "leave out %%r or %s",
                              options->label ? "a label" : "the time",
                              options->label ? "-l" : "--timestamps");
    return OPTIONS_RUN;
}

/* In the place of a program. What is worth a line stands in the report. */
static enum options_answer take_selftest(struct options_line *line)
{
    if (*line->next != NULL)
        return options_refuse(line, "--selftest runs smrrun itself, and no program; leave out %.60s",
                              *line->next);
    line->options->quiet = true;
    line->next = selftest_command();
    return OPTIONS_RUN;
}

enum options_answer options_parse(struct options *options, int argc, char **argv, char *message, size_t size)
{
    struct options_line line = {.options = options, .message = message, .size = size};
    enum options_answer answer = OPTIONS_RUN;

    set_defaults(&line);
    if (env_text(ENV_OPTS) != NULL)
        answer = read_preset(&line);
    line.next = argv + (argc > 0);
    if (answer == OPTIONS_RUN)
        answer = read_options(&line);
    if (answer == OPTIONS_RUN)
        answer = settle(&line);
    if (answer == OPTIONS_RUN && options->selftest)
        answer = take_selftest(&line);
    return answer == OPTIONS_RUN ? read_programs(&line) : answer;
}

void options_free(struct options *options)
{
    for (int i = 0; i < options->n_exports; i++)
        free(options->exports[i]);
    free(options->exports);
    for (int i = 0; i < options->n_wraps; i++)
        wrap_fini(&options->wraps[i]);
    free(options->wraps);
    free(options->preset);
    free(options->programs);
    *options = (struct options){0};
}
