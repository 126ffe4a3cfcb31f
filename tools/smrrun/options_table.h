/*
 * options_table.h: what the command line is made of: the table of options, between its parser (options.c) and its
 * help (options_help.c).
 */
#ifndef SMRRUN_OPTIONS_TABLE_H
#define SMRRUN_OPTIONS_TABLE_H

#include "smrrun/options.h"

/* Room for the longest word that is compared with the names of options. */
#define OPTIONS_NAME_BYTES 32

/* A line of options, as far as it has been read. */
struct options_line {
    struct options *options;
    char **next;   /* the first word that has not been read */
    bool is_later; /* a program was read already, and a : */
    char *message;
    size_t size;
    char typed[OPTIONS_NAME_BYTES + 3]; /* the option that is being read, as the user spelled it */
};

/* A word that an option takes, and what it stands for. */
struct option_word {
    const char *text;
    int value;
    bool is_alias; /* another launcher's word for it */
};

/*
 * One option, in all its spellings; those without help are understood but not shown. What can be typed for its value
 * is told by words or else by its operand: FILE and DIR are completed as such.
 */
struct option {
    char letter;         /* '\0': none */
    const char *name;    /* behind two dashes, or behind one as MPI's launchers have it */
    const char *operand; /* what its value is called; NULL: a flag */
    const char *help;
    enum options_answer (*take)(struct options_line *line, const struct option *option, const char *text);
    size_t offset;       /* of the member of struct options that it sets */
    uint64_t min, max;   /* of its value */
    const char *problem; /* what is wrong with a value that cannot be read */
    const char *expected;
    const char *example;
    const struct option_word *words; /* what it takes and no other, with a text of NULL at the end; or NULL */
    bool is_foreign;    /* as other launchers have it: understood, in the manual, and not offered */
    bool is_local;      /* it can stand behind a : too, for the program behind that */
    const char *preset; /* its value where none is given; NULL: zero */
};

extern const struct option options_table[];
extern const size_t options_table_size;

/* Says what is wrong, in one line. Returns OPTIONS_BAD. */
enum options_answer options_refuse(struct options_line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same of a value: what is wrong with it, what is expected, and an example. */
static inline enum options_answer refuse_value(struct options_line *line, const struct option *option,
                                               const char *text, const char *problem)
{
    const char *quote = text[0] == '\0' ? "''" : "";

    return options_refuse(line, "%s %s%.60s: %s; give %s, as in: smrrun %s ./prog", line->typed, quote, text,
                          problem, option->expected, option->example);
}

/* The one of the option's words that text is, in *word; else refuses it, with the nearest one. */
enum options_answer options_choose(struct options_line *line, const struct option *option, const char *text,
                                   const struct option_word **word);

/* Of options that say where ranks run (options_bind.c). */
extern const struct option_word options_policies[], options_maps[];
enum options_answer options_take_bind(struct options_line *line, const struct option *option,
                                      const char *text);
enum options_answer options_take_map(struct options_line *line, const struct option *option,
                                     const char *text);

/* What --completion does (options_completion.c). */
extern const struct option_word options_shells[];
enum options_answer options_show_completion(struct options_line *line, const struct option *option,
                                            const char *text);

/* What ends them that print to stdout: whether it could be written. Returns OPTIONS_DONE or OPTIONS_BAD. */
enum options_answer options_printed(struct options_line *line);

/* What the table's --version and --help do (options_help.c). */
enum options_answer options_show_version(struct options_line *line, const struct option *option,
                                         const char *text);
enum options_answer options_show_help(struct options_line *line, const struct option *option,
                                      const char *text);

#endif
