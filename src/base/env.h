/*
 * env.h: every environment variable that the library reads, in one table; the only place that calls getenv.
 *
 * The environment is input: values are checked here, and all are taken as unset in a program that runs with
 * raised privileges (AT_SECURE).
 */
#ifndef BASE_ENV_H
#define BASE_ENV_H

#include <stdbool.h>
#include <stdint.h>

enum env_variable {
    ENV_NP,
    ENV_OMP_NUM_THREADS,
    ENV_PBS_NUM_PPN,
    ENV_HEAP,
    ENV_BIND,
    ENV_DEBUG,
    ENV_JOB,
    ENV_LD_PRELOAD,
    ENV_COUNT
};

enum env_result { ENV_UNSET, ENV_GOOD, ENV_MALFORMED };

/* Whether the program runs with raised privileges, so that nothing of the environment may be believed. */
bool env_is_untrusted(void);

/* Whether the program runs under valgrind, which is in LD_PRELOAD then. */
bool env_has_valgrind(void);

/* Its name, as users set it. */
const char *env_name(enum env_variable variable);

/* What it is for, one line without a newline: for manuals and help. */
const char *env_purpose(enum env_variable variable);

/* Its value as text, or NULL where it is unset. */
const char *env_text(enum env_variable variable);

/* Reads a whole number from min to max. Sets *value where the result is ENV_GOOD, else leaves it. */
enum env_result env_int(enum env_variable variable, long min, long max, long *value);

/* Reads the first whole number, from min to max, of a list separated by commas (OpenMP's form). */
enum env_result env_first_int(enum env_variable variable, long min, long max, long *value);

/* Reads a size in bytes: digits, then nothing, K, M, G or T, powers of 1024. */
enum env_result env_size(enum env_variable variable, uint64_t *value);

/* Warns of a malformed value, once per variable and process: what it is, what is expected. */
void env_warn(enum env_variable variable, const char *expected);

#endif
