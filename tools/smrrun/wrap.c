#include "smrrun/wrap.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/text.h"
#include "host/affinity.h"
#include "smrrun/files.h"
#include "smrrun/options.h"
#include "smrrun/program.h"

/* What --gdb starts where SHAREDMEM_GDB says nothing. It then tells how the program ended, by its own status. */
#define DEBUGGER "gdb -q"

#define SET_BYTES CPU_ALLOC_SIZE(AFFINITY_MAX)

#define EXIT_OWN       125
#define EXIT_NOT_FOUND 127

struct wrapped {
    bool debugger_tells;
    int n_ranks;
    char **argvs[]; /* NULL: not wrapped */
};

/* ---- R:CMD ---- */

/* What a backslash stands before, between double quotes, when it does not stand for itself. */
static bool is_escaped_in_quotes(char next)
{
    return next == '"' || next == '\\' || next == '$' || next == '`';
}

/*
 * Copies the next word of *text, without its quotes, to to, and goes behind it. Returns where the copy ends, or NULL:
 * a quote is open.
 */
static char *take_word(const char **text, char *to)
{
    const char *at = *text;
    char quote = '\0';

    for (; *at != '\0' && (quote != '\0' || strchr(" \t\n", *at) == NULL); at++) {
        if (quote == '\0' && (*at == '\'' || *at == '"'))
            quote = *at;
        else if (*at == quote)
            quote = '\0';
        else if (*at == '\\' && at[1] != '\0' &&
                 (quote == '\0' || (quote == '"' && is_escaped_in_quotes(at[1]))))
            *to++ = *++at;
        else
            *to++ = *at;
    }
    *text = at;
    *to++ = '\0';
    return quote == '\0' ? to : NULL;
}

/* Splits text into words, which are written to to. Returns what is wrong, or NULL. */
static const char *split(struct wrap *wrap, const char *text, char *to)
{
    for (;;) {
        char *word = to;

        text += strspn(text, " \t\n");
        if (*text == '\0')
            return wrap->n_words > 0 ? NULL : "no command behind the ranks";
        to = take_word(&text, to);
        if (to == NULL)
            return "a quote is not closed";
        wrap->words[wrap->n_words++] = word;
    }
}

/* Reads R. Returns what is wrong, or NULL. */
static const char *read_ranks(struct wrap *wrap)
{
    if (strcmp(wrap->ranks, "all") == 0)
        return NULL;
    wrap->set = CPU_ALLOC(AFFINITY_MAX);
    if (wrap->set == NULL)
        return "no memory for it";
    memset(wrap->set, 0xff, SET_BYTES);
    return affinity_restrict(wrap->set, SET_BYTES, wrap->ranks, false) == 0
               ? NULL
               : "no list of ranks before the command";
}

const char *wrap_parse(struct wrap *wrap, const char *text)
{
    const char *colon = strchr(text, ':'), *problem;
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;
    struct wrap made = {.n_words = 0};

    if (length == 0)
        return "no ranks before the command";
    /* Each word takes a byte and a blank at least; with its 0 none gets longer than it was. */
    made.words = calloc(strlen(text) / 2 + 2, sizeof *made.words);
    made.ranks = malloc(strlen(text) + 2);
    if (made.words == NULL || made.ranks == NULL) {
        problem = "no memory for it";
    } else {
        memcpy(made.ranks, text, length);
        made.ranks[length] = '\0';
        problem = read_ranks(&made);
        if (problem == NULL)
            problem = split(&made, colon + 1, made.ranks + length + 1);
    }
    if (problem == NULL)
        *wrap = made;
    else
        wrap_fini(&made);
    return problem;
}

const char *wrap_add(struct wrap **wraps, int *n, const char *text)
{
    struct wrap *longer = realloc(*wraps, (size_t)(*n + 1) * sizeof *longer);
    const char *problem = "no memory for it";

    if (longer != NULL) {
        *wraps = longer;
        problem = wrap_parse(&longer[*n], text);
    }
    if (problem == NULL)
        ++*n;
    return problem;
}

void wrap_fini(struct wrap *wrap)
{
    free(wrap->ranks);
    CPU_FREE(wrap->set);
    free(wrap->words);
    *wrap = (struct wrap){.ranks = NULL};
}

bool wrap_has(const struct wrap *wrap, int rank)
{
    return wrap->set == NULL || CPU_ISSET_S((size_t)rank, SET_BYTES, wrap->set);
}

/* The first of its ranks from this one on; end: none before that. */
static int next_rank(const struct wrap *wrap, int rank, int end)
{
    while (rank < end && !wrap_has(wrap, rank))
        rank++;
    return rank;
}

/* ---- All of a job ---- */

/* What wrapped_make() works with: all wraps, the debugger's as the last. */
struct making {
    const struct options *options;
    struct wrap *wraps;
    int n;
    bool has_debugger;
    char (*paths)[PATH_MAX]; /* of each that wraps a rank of the program at hand; else "" */
    char *message;
    size_t size;
};

static const char *name_of(const struct making *making, int i)
{
    return making->has_debugger && i == making->n - 1 ? "--gdb" : "--wrap";
}

/* The words of the debugger, up to where the program stands. tells: see wrapped_debugger_tells(). */
static const char *make_debugger(struct wrap *wrap, int rank, bool *tells)
{
    const char *command = env_text(ENV_GDB), *problem, *base, *slash;
    char text[PATH_MAX];
    struct wrap probe;

    if (command == NULL || command[0] == '\0')
        command = DEBUGGER;
    snprintf(text, sizeof text, "%d:%s", rank, command);
    problem = wrap_parse(&probe, text);
    if (problem != NULL)
        return problem;
    slash = strrchr(probe.words[0], '/');
    base = slash != NULL ? slash + 1 : probe.words[0];
    *tells = strstr(base, "gdb") != NULL;
    wrap_fini(&probe);
    snprintf(text, sizeof text, "%d:%s %s", rank, command, *tells ? "-return-child-result --args" : "--");
    return wrap_parse(wrap, text);
}

/* Each must name ranks that are there. Returns 0, or the exit status. */
static int check_ranks(const struct making *making, int n_ranks)
{
    for (int i = 0; i < making->n; i++) {
        if (making->wraps[i].set == NULL ||
            next_rank(&making->wraps[i], n_ranks, AFFINITY_MAX) == AFFINITY_MAX)
            continue;
        if (n_ranks == 1)
            snprintf(making->message, making->size,
                     "%s %.60s: there is rank 0 alone; give that, or a larger -n", name_of(making, i),
                     making->wraps[i].ranks);
        else
            snprintf(making->message, making->size, "%s %.60s: there are ranks 0 to %d; give one of them",
                     name_of(making, i), making->wraps[i].ranks, n_ranks - 1);
        return EXIT_OWN;
    }
    return 0;
}

/* Says what is wrong with a command that was not found, or cannot be run. */
static void refuse_command(const struct making *making, int i, int status, const char *why)
{
    const char *word = making->wraps[i].words[0];

    if (status != EXIT_NOT_FOUND)
        snprintf(making->message, making->size, "%s %.60s: %.700s", name_of(making, i),
                 making->wraps[i].ranks, why);
    else if (making->has_debugger && i == making->n - 1)
        snprintf(making->message, making->size,
                 "--gdb: %.200s: not found; install the package gdb, or name a debugger by %s", word,
                 env_name(ENV_GDB));
    else
        snprintf(making->message, making->size,
                 "--wrap %.60s: %.200s: not found; install it, or give its path", making->wraps[i].ranks,
                 word);
}

/* Finds the commands that wrap any of the program's ranks, from first up to end. Returns 0, or the exit status. */
static int find_commands(struct making *making, const struct options_program *program, int first, int end)
{
    for (int i = 0; i < making->n; i++) {
        char why[1024];
        int status;

        making->paths[i][0] = '\0';
        if (next_rank(&making->wraps[i], first, end) == end)
            continue;
        status = program_find(making->wraps[i].words[0], program->wdir, making->paths[i], why, sizeof why);
        if (status != 0) {
            refuse_command(making, i, status, why);
            return status;
        }
    }
    return 0;
}

/* Adds word to argv; it is argv's then. */
static bool add(char ***argv, int *n, char *word)
{
    char **longer = word != NULL ? realloc(*argv, (size_t)(*n + 2) * sizeof *longer) : NULL;

    if (longer == NULL) {
        free(word);
        return false;
    }
    *argv = longer;
    longer[(*n)++] = word;
    longer[*n] = NULL;
    return true;
}

/* The word with the rank in place. */
static char *word_of_rank(const char *word, int rank)
{
    size_t size = strlen(word) + 1;
    char *text;

    for (const char *at = word; (at = strchr(at, '%')) != NULL; at++)
        size += FILES_RANK_BYTES;
    text = malloc(size);
    if (text != NULL)
        files_put_rank(word, rank, text, size);
    return text;
}

static void free_argv(char **argv)
{
    for (char **word = argv; word != NULL && *word != NULL; word++)
        free(*word);
    free(argv);
}

/* Puts one rank's words together; NULL in *argv where nothing wraps it. Returns false where there is no memory. */
static bool make_argv(const struct making *making, const struct options_program *program, const char *path,
                      int rank, char ***argv)
{
    bool is_good = true;
    int n = 0;

    for (int i = 0; i < making->n; i++) {
        const struct wrap *wrap = &making->wraps[i];

        if (making->paths[i][0] == '\0' || !wrap_has(wrap, rank))
            continue;
        is_good = is_good && add(argv, &n, strdup(making->paths[i]));
        for (int w = 1; w < wrap->n_words && is_good; w++)
            is_good = add(argv, &n, word_of_rank(wrap->words[w], rank));
    }
    if (n == 0)
        return is_good;
    is_good = is_good && add(argv, &n, strdup(path));
    for (char **word = program->argv + 1; *word != NULL && is_good; word++)
        is_good = add(argv, &n, strdup(*word));
    return is_good;
}

static int make_all(struct making *making, struct wrapped *wrapped, char *const *paths)
{
    const struct options *options = making->options;

    for (int p = 0, rank = 0; p < options->n_programs; p++) {
        const struct options_program *program = &options->programs[p];
        int end = options->n_programs == 1 ? wrapped->n_ranks : rank + program->n_ranks;
        int status = find_commands(making, program, rank, end);

        if (status != 0)
            return status;
        for (; rank < end; rank++) {
            if (make_argv(making, program, paths[p], rank, &wrapped->argvs[rank]))
                continue;
            snprintf(making->message, making->size, "no memory for the commands of --wrap");
            return EXIT_OWN;
        }
    }
    return 0;
}

/* Adds the debugger's to the options' own. Returns 0, or the exit status. */
static int gather(struct making *making, bool *tells)
{
    const struct options *options = making->options;
    const char *problem;

    making->wraps = calloc((size_t)options->n_wraps + 1, sizeof *making->wraps);
    making->paths = calloc((size_t)options->n_wraps + 1, sizeof *making->paths);
    if (making->wraps == NULL || making->paths == NULL) {
        snprintf(making->message, making->size, "no memory for the commands of --wrap");
        return EXIT_OWN;
    }
    for (int i = 0; i < options->n_wraps; i++)
        making->wraps[making->n++] = options->wraps[i];
    if (options->gdb_rank < 0)
        return 0;
    problem = make_debugger(&making->wraps[making->n], options->gdb_rank, tells);
    if (problem != NULL) {
        snprintf(making->message, making->size, "%s: %s; give a debugger, as in: %s=cuda-gdb",
                 env_name(ENV_GDB), problem, env_name(ENV_GDB));
        return EXIT_OWN;
    }
    making->n++;
    making->has_debugger = true;
    return 0;
}

int wrapped_make(struct wrapped **wrapped, const struct options *options, char *const *paths, int n_ranks,
                 char *message, size_t size)
{
    struct making making = {.options = options, .message = message, .size = size};
    int status;

    *wrapped = NULL;
    if (options->n_wraps == 0 && options->gdb_rank < 0)
        return 0;
    *wrapped = calloc(1, sizeof **wrapped + (size_t)n_ranks * sizeof(char **));
    if (*wrapped == NULL) {
        snprintf(message, size, "no memory for the commands of --wrap");
        return EXIT_OWN;
    }
    (*wrapped)->n_ranks = n_ranks;
    status = gather(&making, &(*wrapped)->debugger_tells);
    if (status == 0)
        status = check_ranks(&making, n_ranks);
    if (status == 0)
        status = make_all(&making, *wrapped, paths);
    if (making.has_debugger)
        wrap_fini(&making.wraps[making.n - 1]);
    free(making.wraps);
    free(making.paths);
    text_one_line(message);
    return status;
}

char *const *wrapped_argv(const struct wrapped *wrapped, int rank)
{
    return wrapped != NULL ? wrapped->argvs[rank] : NULL;
}

bool wrapped_debugger_tells(const struct wrapped *wrapped)
{
    return wrapped->debugger_tells;
}

void wrapped_free(struct wrapped *wrapped)
{
    for (int rank = 0; wrapped != NULL && rank < wrapped->n_ranks; rank++)
        free_argv(wrapped->argvs[rank]);
    free(wrapped);
}
