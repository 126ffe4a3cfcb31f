/*
 * smrrun_grammar.h: random command lines and environments for smrrun, out of its own table of options, with slips;
 * for tests that throw many of them at it. A number says which: the same one gives the same lines.
 *
 *     struct grammar grammar = grammar_start(1);
 *     grammar_line(&grammar);                       // grammar.argv, NULL at its end
 *     grammar_environment(&grammar);                // sets and unsets variables of this process
 */
#ifndef T_SMRRUN_GRAMMAR_H
#define T_SMRRUN_GRAMMAR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smrrun/options_table.h"

#define GRAMMAR_WORDS 48
#define GRAMMAR_BYTES 600
#define LENGTH(array) (sizeof(array) / sizeof *(array))

struct grammar {
    uint64_t state;
    bool
        is_tame; /* for real runs: nothing outside of the folder, few ranks, no letters that make other names */
    uint64_t is_set; /* which of grammar_variables are in the environment */
    int argc;
    char *argv[GRAMMAR_WORDS + 1];
    char words[GRAMMAR_WORDS][GRAMMAR_BYTES];
};

/* The number of TEST_SEED, or another that is always the same; printed. */
static inline struct grammar grammar_start(uint64_t usual)
{
    const char *text = getenv("TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : usual;

    printf("# TEST_SEED=%llu\n", (unsigned long long)seed);
    return (struct grammar){.state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1};
}

static inline uint32_t grammar_random(struct grammar *grammar, uint32_t below)
{
    grammar->state ^= grammar->state << 13;
    grammar->state ^= grammar->state >> 7;
    grammar->state ^= grammar->state << 17;
    return (uint32_t)(grammar->state >> 32) % below;
}

static inline bool grammar_chance(struct grammar *grammar, uint32_t percent)
{
    return grammar_random(grammar, 100) < percent;
}

#define GRAMMAR_PICK(grammar, list) ((list)[grammar_random((grammar), LENGTH(list))])

/* ---- Words ---- */

static const char *const grammar_numbers[] = {"1",
                                              "2",
                                              "3",
                                              "4",
                                              "2",
                                              "1",
                                              "0",
                                              "-1",
                                              "3 ",
                                              "abc",
                                              "",
                                              "+4",
                                              "0x4",
                                              "2.5",
                                              "1e3",
                                              "04",
                                              "4097",
                                              "99999",
                                              "-",
                                              "9223372036854775808",
                                              "18446744073709551617"};
static const char *const grammar_times[] = {"90", "5m",      "1:30:00",   "500ms", "1h", "0", "x",
                                            "-5", "1:2:3:4", "99999999d", "5s5",   "::", "1d"};
static const char *const grammar_sizes[] = {"16M",      "64M", "32m", "1", "8192G",
                                            "9999999T", "-1K", "4X",  "G", "0"};
static const char *const grammar_hows[] = {
    "spread",     "close",   "core",    "slot",       "node",       "l3",
    "numa",       "package", "socket",  "ppr:1:l3",   "ppr:2:numa", "ppr:3:package:PE=2",
    "close:PE=2", "l3:pe=1", "ppr::l3", "ppr:2:core", "spread:PE=", "ppr:99999:numa",
    "PPR:1:NUMA", ":PE=2",   "ppr:",    "spreed"};
static const char *const grammar_lists[] = {"0-3,8",     "0",           "0-15:2",        "1",      "0-",
                                            "-",         "3-1",         "0,,1",          "a",      "0-999999",
                                            "localhost", "localhost:4", "node1:2,node2", "host:x", "0:0"};
static const char *const grammar_files[] = {"out.%r",    "out.%4r", "all.txt", "sub/out.%r",
                                            "%",         "%q",      "%%",      "hosts",
                                            "nowhere/x", ".",       "sub",     "out.%99r"};
static const char *const grammar_settings[] = {"A=1",
                                               "OMP_NUM_THREADS=2",
                                               "OMP_NUM_THREADS=",
                                               "A",
                                               "=",
                                               "1A=2",
                                               "SHAREDMEM_RANK=3",
                                               "B=\n",
                                               "NOT_SET_ANYWHERE",
                                               "A=b=c"};
static const char *const grammar_folders[] = {"sub", ".", "nowhere", "", "out.0"};
static const char *const grammar_others[] = {"x", "0", "none", "", "--", "-", ":", "bash", "0:true", "a b"};
static const char *const grammar_junk[] = {
    "-",   "--",  "---",         "-n4",  "-ln4",       "-lv",     "-zz",        "--ntask",   "--n",
    "--t", "--=", "--no-such=1", "-=",   "-np",        "--smt=1", "--bind-too", "-hostfiel", "-x",
    "-lx", ":",   "::",          "-kqv", "--bind-to=", "-n=4",    "--heap=64M"};
static const char *const grammar_programs[] = {"./mark",          "./mark", "./mark", "./mark", "./mark",
                                               "./mark",          "./mark", "./mark", "./mark", "./mark",
                                               "nothing-like-it", ".",      "",       "./plain"};

/* Mostly a good number. */
static inline const char *grammar_count(struct grammar *grammar)
{
    static const char *const good[] = {"1", "2", "3", "4", "7", "16", "40"};
    size_t n = grammar->is_tame ? 4 : LENGTH(good);

    if (grammar_chance(grammar, 10))
        return GRAMMAR_PICK(grammar, grammar_numbers);
    return good[grammar_random(grammar, (uint32_t)n)];
}

/* A value for an option: mostly one of its words, or of those that are like it. */
static inline const char *grammar_value(struct grammar *grammar, const struct option *option)
{
    static const struct {
        const char *operand;
        const char *const *values;
        size_t n;
    } values[] = {
        {"D", grammar_times, LENGTH(grammar_times)},
        {"SIZE", grammar_sizes, LENGTH(grammar_sizes)},
        {"HOW", grammar_hows, LENGTH(grammar_hows)},
        {"LIST", grammar_lists, LENGTH(grammar_lists)},
        {"FILE", grammar_files, LENGTH(grammar_files)},
        {"DIR", grammar_folders, LENGTH(grammar_folders)},
        {"VAR VAL", grammar_settings, LENGTH(grammar_settings)},
        {"VAR[=VAL]", grammar_settings, LENGTH(grammar_settings)},
    };

    if (option->words != NULL && grammar_chance(grammar, 60)) {
        size_t n = 0;

        while (option->words[n].text != NULL)
            n++;
        return option->words[grammar_random(grammar, (uint32_t)n)].text;
    }
    if (strchr("NTR", option->operand[0]) != NULL && option->operand[1] == '\0')
        return grammar_count(grammar);
    for (size_t i = 0; i < LENGTH(values); i++) {
        if (strcmp(option->operand, values[i].operand) == 0 && grammar_chance(grammar, 90))
            return values[i].values[grammar_random(grammar, (uint32_t)values[i].n)];
    }
    return GRAMMAR_PICK(grammar, grammar_others);
}

static inline void grammar_word(struct grammar *grammar, const char *text)
{
    if (grammar->argc < GRAMMAR_WORDS) {
        snprintf(grammar->words[grammar->argc], GRAMMAR_BYTES, "%s", text);
        grammar->argc++;
    }
}

/* ---- A line ---- */

/* An option, by any of its spellings, or by the beginning of one; and its value, or another number of values. */
static inline void grammar_option(struct grammar *grammar)
{
    const struct option *option = &options_table[grammar_random(grammar, (uint32_t)options_table_size)];
    char name[64], word[GRAMMAR_BYTES];
    size_t length = strlen(option->name);

    /* What is shown instead of a run, and a debugger, are for other tests. */
    if (grammar->is_tame && (strcmp(option->name, "gdb") == 0 || strcmp(option->name, "wrap") == 0))
        return;
    if (option->letter != '\0' && grammar_chance(grammar, 50))
        snprintf(name, sizeof name, "-%c", option->letter);
    else
        snprintf(name, sizeof name, "%s%.*s", grammar_chance(grammar, 70) ? "--" : "-",
                 (int)(grammar_chance(grammar, 15) ? 1 + grammar_random(grammar, (uint32_t)length) : length),
                 option->name);
    if (option->operand == NULL && grammar_chance(grammar, 97)) {
        grammar_word(grammar, name);
        return;
    }
    if (option->operand != NULL && grammar_chance(grammar, 30)) {
        snprintf(word, sizeof word, "%s%s%s", name, name[1] == '-' ? "=" : "",
                 grammar_value(grammar, option));
        grammar_word(grammar, word);
        return;
    }
    grammar_word(grammar, name);
    if (option->operand != NULL && grammar_chance(grammar, 95))
        grammar_word(grammar, grammar_value(grammar, option));
    if (option->operand != NULL && strchr(option->operand, ' ') != NULL && grammar_chance(grammar, 90))
        grammar_word(grammar, GRAMMAR_PICK(grammar, grammar_others));
}

/* Changes a letter, leaves one out, adds one, or makes the word long. */
static inline void grammar_slip(struct grammar *grammar, char *word)
{
    static const char tame[] = "abmnprx=:,%-";
    size_t length = strlen(word), at = grammar_random(grammar, (uint32_t)length + 1);
    char c = grammar->is_tame ? tame[grammar_random(grammar, sizeof tame - 1)]
                              : (char)(1 + grammar_random(grammar, 255));

    switch (grammar_random(grammar, grammar->is_tame ? 3 : 4)) {
    case 0:
        if (at < length)
            word[at] = c;
        break;
    case 1:
        memmove(word + at, word + at + (at < length), length + 1 - at - (at < length));
        break;
    case 2:
        if (length + 2 < GRAMMAR_BYTES) {
            memmove(word + at + 1, word + at, length + 1 - at);
            word[at] = c;
        }
        break;
    default:
        memset(word + length, 'y', GRAMMAR_BYTES - length - 1);
        word[GRAMMAR_BYTES - 1] = '\0';
    }
}

static inline void grammar_part(struct grammar *grammar)
{
    for (uint32_t n = grammar_random(grammar, 4); n > 0; n--) {
        if (grammar_chance(grammar, 95))
            grammar_option(grammar);
        else
            grammar_word(grammar, GRAMMAR_PICK(grammar, grammar_junk));
    }
    if (grammar_chance(grammar, 97))
        grammar_word(grammar, GRAMMAR_PICK(grammar, grammar_programs));
    for (uint32_t n = grammar_chance(grammar, 30) ? grammar_random(grammar, 4) : 0; n > 0; n--)
        grammar_word(grammar, GRAMMAR_PICK(grammar, grammar_others));
}

/* Makes a line. */
static inline void grammar_line(struct grammar *grammar)
{
    grammar->argc = 0;
    grammar_word(grammar, "smrrun");
    if (grammar_chance(grammar, 50)) {
        grammar_word(grammar, "-n");
        grammar_word(grammar, grammar_count(grammar));
    }
    grammar_part(grammar);
    while (grammar_chance(grammar, 15)) {
        grammar_word(grammar, ":");
        grammar_word(grammar, "-n");
        grammar_word(grammar, grammar_count(grammar));
        grammar_part(grammar);
    }
    while (grammar_chance(grammar, 20))
        grammar_slip(grammar, grammar->words[grammar_random(grammar, (uint32_t)grammar->argc)]);
    for (int i = 0; i < grammar->argc; i++)
        grammar->argv[i] = grammar->words[i];
    grammar->argv[grammar->argc] = NULL;
}

/* ---- An environment ---- */

/* Batch systems, by their variables: what jobs have there, and what is none. */
static const struct {
    const char *name;
    const char *values[6];
} grammar_variables[] = {
    {"SLURM_JOB_ID", {"17", "17", "17", "", "17", "x"}},
    {"SLURM_NTASKS", {"4", "2", "0", "-1", "x", "99999"}},
    {"SLURM_NPROCS", {"4", "2", "16", "", "x", "3"}},
    {"SLURM_NNODES", {"1", "2", "1", "0", "99999999", "1"}},
    {"SLURM_NODEID", {"0", "1", "9", "-1", "x", "0"}},
    {"SLURM_TASKS_PER_NODE", {"4", "2(x3),1", "16(x99999)", "(x2)", "4,", "1(x"}},
    {"SLURM_CPUS_ON_NODE", {"8", "4", "0", "x", "4096", "2"}},
    {"SLURM_JOB_CPUS_PER_NODE", {"8", "8(x2)", "8(x2),4", "x", "", "99999999"}},
    {"SLURM_CPUS_PER_TASK", {"2", "1", "8", "0", "x", "4096"}},
    {"PBS_JOBID", {"1.head", "1.head", "", "x", "1", "2"}},
    {"PBS_NUM_PPN", {"4", "1", "0", "x", "-3", "16"}},
    {"PBS_NP", {"4", "8", "x", "", "0", "4097"}},
    {"PBS_NUM_NODES", {"1", "2", "x", "0", "1", "1"}},
    {"PBS_NODEFILE", {"t/machines/batch/ppn2", "t/machines/batch/untidy", "/nowhere", "/dev/null", "/", ""}},
    {"NCPUS", {"4", "2", "x", "0", "16", ""}},
    {"LSB_JOBID", {"5", "5", "", "x", "5", "5"}},
    {"LSB_MCPU_HOSTS", {"node1 8 node2 4", "node1 8", "node1", "8 node1", "node1 x", ""}},
    {"LSB_DJOB_NUMPROC", {"8", "4", "x", "0", "-1", "4097"}},
    {"SGE_TASK_ID", {"undefined", "1", "", "2", "x", "3"}},
    {"NSLOTS", {"4", "8", "x", "0", "99999", "1"}},
    {"NHOSTS", {"1", "2", "x", "0", "1", "1"}},
    {"OMP_NUM_THREADS", {"2", "4,2", "x", "0", "99999999999", "-1"}},
    {"SHAREDMEM_OPTS", {"-l", "--grace 30s -q", "./prog", "-n", "--bind-to none", "-x A=1 -k --mem x"}},
};

/* Sets a few variables, and none of the others. */
static inline void grammar_environment(struct grammar *grammar)
{
    char value[GRAMMAR_BYTES];

    for (size_t i = 0; i < LENGTH(grammar_variables); i++) {
        bool is_wanted = grammar_chance(grammar, 12), was_set = grammar->is_set >> i & 1;

        if (was_set && !is_wanted)
            unsetenv(grammar_variables[i].name);
        grammar->is_set = (grammar->is_set & ~(UINT64_C(1) << i)) | (uint64_t)is_wanted << i;
        if (!is_wanted)
            continue;
        snprintf(value, sizeof value, "%s", GRAMMAR_PICK(grammar, grammar_variables[i].values));
        while (grammar_chance(grammar, 15))
            grammar_slip(grammar, value);
        /* No thousands of ranks. */
        if (grammar->is_tame && strlen(value) > 2 && strspn(value, "0123456789") == strlen(value))
            value[1] = '\0';
        setenv(grammar_variables[i].name, value, 1);
    }
}

#endif
