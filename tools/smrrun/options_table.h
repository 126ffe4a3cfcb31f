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

/* One option, in all its spellings; those without help are understood but not shown. */
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
    bool is_local;      /* it can stand behind a : too, for the program behind that */
    const char *preset; /* its value where none is given; NULL: zero */
};

extern const struct option options_table[];
extern const size_t options_table_size;

/* Says what is wrong, in one line. Returns OPTIONS_BAD. */
enum options_answer options_refuse(struct options_line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What the table's --version and --help do (options_help.c). */
enum options_answer options_show_version(struct options_line *line, const struct option *option,
                                         const char *text);
enum options_answer options_show_help(struct options_line *line, const struct option *option,
                                      const char *text);

#endif
