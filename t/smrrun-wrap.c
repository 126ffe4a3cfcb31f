/* Commands that start ranks: R:CMD as it is read, and what each rank of a job executes by it. */
#include "smrrun/wrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smrrun/options.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* ---- R:CMD ---- */

static const struct {
    const char *text, *problem;
} bad[] = {
    {"", "no ranks before the command"},
    {"env", "no ranks before the command"},
    {":env", "no ranks before the command"},
    {"0", "no ranks before the command"},
    {"x:env", "no list of ranks before the command"},
    {"-1:env", "no list of ranks before the command"},
    {"0-:env", "no list of ranks before the command"},
    {"2-1:env", "no list of ranks before the command"},
    {"0,:env", "no list of ranks before the command"},
    {"0 :env", "no list of ranks before the command"},
    {"every:env", "no list of ranks before the command"},
    {"99999999999999999999:env", "no list of ranks before the command"},
    {"0:", "no command behind the ranks"},
    {"all: \t ", "no command behind the ranks"},
    {"0:'a", "a quote is not closed"},
    {"0:a \"b", "a quote is not closed"},
    {"0:a \"b\\\"", "a quote is not closed"},
    {"0:'a\\'b'", "a quote is not closed"},
};

static const struct {
    const char *text;
    const char *ranks; /* of 0 to 9 */
    const char *words; /* each between < and > */
} good[] = {
    {"0:a", "0", "<a>"},
    {"all:a b", "0123456789", "<a><b>"},
    {"0,2-4:a", "0234", "<a>"},
    {"1-8,0:a", "012345678", "<a>"},
    {"7,7,7:a", "7", "<a>"},
    {"5000:a", "", "<a>"},
    {"0:a:b", "0", "<a:b>"},
    {"0:  a\tb\n c  ", "0", "<a><b><c>"},
    {"0:'a b' c", "0", "<a b><c>"},
    {"0:\"a b\" c", "0", "<a b><c>"},
    {"0:a' 'b\" \"c", "0", "<a b c>"},
    {"0:a '' \"\" b", "0", "<a><><><b>"},
    {"0:a\\ b c\\\\d", "0", "<a b><c\\d>"},
    {"0:'a\\b' \"c\\d\" \"e\\\"f\\\\g\\$h\"", "0", "<a\\b><c\\d><e\"f\\g$h>"},
    {"0:a'\"'b\"'\"c", "0", "<a\"b'c>"},
    {"0:a\\'b", "0", "<a'b>"},
    {"0:a\\", "0", "<a\\>"},
    {"0:$HOME ~ * `b` #c; d|e>f", "0", "<$HOME><~><*><`b`><#c;><d|e>f>"},
    {"0:a --b=%r %p", "0", "<a><--b=%r><%p>"},
};

static void test_bad(void)
{
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct wrap wrap = {.n_words = 4711};

        test_str(bad[i].problem, wrap_parse(&wrap, bad[i].text), "\"%s\"", bad[i].text);
        test_int(4711, wrap.n_words, "\"%s\": nothing is written", bad[i].text);
    }
}

static void join(const char *const *words, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (; words != NULL && *words != NULL && used < size; words++)
        used += (size_t)snprintf(text + used, size - used, "<%s>", *words);
}

static void test_good(void)
{
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        const char *words[16] = {NULL};
        char ranks[16] = "", text[256];
        struct wrap wrap;
        int n = 0;

        if (!test_str(NULL, wrap_parse(&wrap, good[i].text), "\"%s\" is good", good[i].text))
            continue;
        for (int rank = 0; rank < 10; rank++) {
            if (wrap_has(&wrap, rank))
                ranks[n++] = (char)('0' + rank);
        }
        test_str(good[i].ranks, ranks, "\"%s\": ranks", good[i].text);
        for (int w = 0; w < wrap.n_words && w < 15; w++)
            words[w] = wrap.words[w];
        join(words, text, sizeof text);
        test_str(good[i].words, text, "\"%s\": words", good[i].text);
        wrap_fini(&wrap);
    }
}

/* ---- All ranks of a job ---- */

#define MAX_WORDS 16
#define MAX_RANKS 4

static const struct {
    const char *line[MAX_WORDS];
    const char *gdb;              /* SHAREDMEM_GDB */
    const char *argvs[MAX_RANKS]; /* what ranks execute; NULL: their program */
    int status;
    const char *message;
} jobs[] = {
    {{"-n", "2", "prog"}, NULL, {NULL}, 0, ""},
    {{"-n", "2", "--wrap", "1:sh -c", "prog", "x"}, NULL, {NULL, "</bin/sh><-c><PROG><x>"}, 0, ""},
    {{"-n", "2", "--wrap", "all:sh %r %3r %% %%r %p %", "prog"},
     NULL,
     {"</bin/sh><0><000><%%><%%r><%p><%><PROG>", "</bin/sh><1><001><%%><%%r><%p><%><PROG>"},
     0,
     ""},
    {{"-n", "3", "--wrap", "0-1:sh a", "--wrap", "1,2:sh b", "prog"},
     NULL,
     {"</bin/sh><a><PROG>", "</bin/sh><a></bin/sh><b><PROG>", "</bin/sh><b><PROG>"},
     0,
     ""},
    {{"-n", "1", "--wrap", "1-2:sh", "prog", ":", "-n", "2", "other", "y"},
     NULL,
     {NULL, "</bin/sh><OTHER><y>", "</bin/sh><OTHER><y>"},
     0,
     ""},
    {{"-n", "2", "--gdb", "1", "prog", "x"}, "/bin/sh -q", {NULL, "</bin/sh><-q><--><PROG><x>"}, 0, ""},
    {{"-n", "2", "--gdb", "0", "--wrap", "all:sh a", "prog"},
     "/bin/sh",
     {"</bin/sh><a></bin/sh><--><PROG>", "</bin/sh><a><PROG>"},
     0,
     ""},
    {{"-n", "2", "--gdb", "0", "--gdb", "none", "prog"}, "/none/there", {NULL}, 0, ""},
    {{"-n", "2", "--wrap", "2:sh", "prog"},
     NULL,
     {NULL},
     125,
     "--wrap 2: there are ranks 0 to 1; give one of them"},
    {{"-n", "2", "--wrap", "1-65535:sh", "prog"},
     NULL,
     {NULL},
     125,
     "--wrap 1-65535: there are ranks 0 to 1; give one of them"},
    {{"-n", "1", "--gdb", "1", "prog"},
     NULL,
     {NULL},
     125,
     "--gdb 1: there is rank 0 alone; give that, or a larger -n"},
    {{"-n", "2", "--wrap", "0:none-such a", "prog"},
     NULL,
     {NULL},
     127,
     "--wrap 0: none-such: not found; install it, or give its path"},
    {{"-n", "2", "--wrap", "0:/", "prog"},
     NULL,
     {NULL},
     126,
     "--wrap 0: /: is a folder; give a program in it, as in: smrrun //prog"},
    {{"-n", "2", "--gdb", "1", "prog"},
     "none-such",
     {NULL},
     127,
     "--gdb: none-such: not found; install the package gdb, or name a debugger by SHAREDMEM_GDB"},
    {{"-n", "2", "--gdb", "1", "prog"},
     "sh 'a",
     {NULL},
     125,
     "SHAREDMEM_GDB: a quote is not closed; give a debugger, as in: SHAREDMEM_GDB=cuda-gdb"},
};

static void test_argvs(size_t job, const struct wrapped *wrapped, int n_ranks, const char *name)
{
    for (int rank = 0; rank < n_ranks; rank++) {
        char *const *argv = wrapped_argv(wrapped, rank);
        const char *expected = jobs[job].argvs[rank];
        char text[512];

        join((const char *const *)argv, text, sizeof text);
        test_str(expected != NULL ? expected : "", text, "%s: rank %d", name, rank);
        test_ok((argv == NULL) == (expected == NULL), "%s: rank %d is%s wrapped", name, rank,
                expected == NULL ? " not" : "");
    }
}

static void test_job(size_t job)
{
    char *argv[MAX_WORDS + 2] = {(char *)"smrrun"}, *paths[2] = {(char *)"PROG", (char *)"OTHER"};
    struct wrapped *wrapped = NULL;
    struct options options;
    char message[1024] = "", name[200] = "";
    int n = 1;

    for (; n <= MAX_WORDS && jobs[job].line[n - 1] != NULL; n++) {
        argv[n] = (char *)jobs[job].line[n - 1];
        snprintf(name + strlen(name), sizeof name - strlen(name), "%s ", argv[n]);
    }
    if (jobs[job].gdb != NULL)
        setenv("SHAREDMEM_GDB", jobs[job].gdb, 1);
    if (test_int(OPTIONS_RUN, options_parse(&options, n, argv, message, sizeof message), "%sis read", name)) {
        test_int(jobs[job].status,
                 wrapped_make(&wrapped, &options, paths, options.n_ranks, message, sizeof message),
                 "%sstatus", name);
        test_str(jobs[job].message, message, "%smessage", name);
        if (jobs[job].status == 0)
            test_argvs(job, wrapped, options.n_ranks, name);
    }
    wrapped_free(wrapped);
    options_free(&options);
    unsetenv("SHAREDMEM_GDB");
}

int main(void)
{
    test_begin(60);
    setenv("PATH", "/none:/bin", 1);
    test_bad();
    test_good();
    for (size_t i = 0; i < COUNT_OF(jobs); i++)
        test_job(i);
    wrapped_free(NULL);
    return test_end();
}
