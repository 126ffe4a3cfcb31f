/*
 * wrap.h: commands that start ranks' programs in their place: --wrap R:CMD, and --gdb R, which is one more.
 *
 * R is a number, a list as in 0,2-3, or all. CMD is split into words as a shell does, and nothing in it is expanded:
 * quotes and backslashes keep blanks, a $ or * is itself. Only %r, or %4r, is the rank; what else stands behind a
 * percent sign is the command's own business. A rank that several are given for has the first outermost; the
 * debugger is next to the program.
 */
#ifndef SMRRUN_WRAP_H
#define SMRRUN_WRAP_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

/* One R:CMD. */
struct wrap {
    char *ranks;    /* R, 0 at its end; the words lie behind it in one block */
    cpu_set_t *set; /* which those are, of AFFINITY_MAX; NULL: all */
    char **words;
    int n_words;
};

/*
 * Reads text. Returns NULL, and wrap is to be freed by wrap_fini(); or what is wrong with it, "no command behind the
 * ranks", and wrap is untouched.
 */
const char *wrap_parse(struct wrap *wrap, const char *text);

/* The same for one more of n in an array, which grows by it. */
const char *wrap_add(struct wrap **wraps, int *n, const char *text);

/* Whether rank is one of its ranks. */
bool wrap_has(const struct wrap *wrap, int rank);

void wrap_fini(struct wrap *wrap);

struct options;

/* What the ranks of a job execute, where that is not their program alone. */
struct wrapped;

/*
 * Puts together what each rank that is named executes; each command is looked for as its rank would, see program.h,
 * and stands there by its path, as the program does by paths, those of the options' programs.
 *
 * wrapped: gets NULL where no rank is wrapped. Owner: the caller, wrapped_free().
 * Returns 0, or the exit status, 125, 126 or 127, with one line in message.
 */
int wrapped_make(struct wrapped **wrapped, const struct options *options, char *const *paths, int n_ranks,
                 char *message, size_t size);

/* All that rank executes, NULL at its end, its first word a path; NULL: its program as it is. wrapped may be NULL. */
char *const *wrapped_argv(const struct wrapped *wrapped, int rank);

/* Whether it can be told by the debugger's exit status how the program under it ended: 0 is well. */
bool wrapped_debugger_tells(const struct wrapped *wrapped);

/* NULL is fine. */
void wrapped_free(struct wrapped *wrapped);

#endif
