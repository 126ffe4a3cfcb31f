/* The environment: the table of variables; unset, good and malformed values; one warning for each; copies. */
#include "base/env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sharedmem.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define UNTOUCHED       4711

static int warnings;
static char warning[2048];

static void on_warning(const char *message)
{
    warnings++;
    snprintf(warning, sizeof warning, "%s", message);
}

static void set(enum env_variable variable, const char *value)
{
    if (value != NULL)
        setenv(env_name(variable), value, 1);
    else
        unsetenv(env_name(variable));
}

/* ---- The table ---- */

static bool is_name(const char *name)
{
    return name != NULL && name[0] != '\0' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == strlen(name);
}

static bool is_unique(enum env_variable variable)
{
    for (int other = 0; other < ENV_COUNT; other++) {
        if (other != (int)variable && strcmp(env_name(variable), env_name(other)) == 0)
            return false;
    }
    return true;
}

static void test_table(void)
{
    for (int variable = 0; variable < ENV_COUNT; variable++) {
        const char *name = env_name(variable), *purpose = env_purpose(variable);

        if (!test_ok(is_name(name), "variable %d has a name", variable))
            continue;
        test_ok(is_unique(variable), "%s stands there once", name);
        test_ok(purpose != NULL && purpose[0] != '\0' && strchr(purpose, '\n') == NULL,
                "%s has a purpose of one line", name);
    }
}

static void test_text(void)
{
    for (int variable = 0; variable < ENV_COUNT; variable++) {
        set(variable, NULL);
        test_str(NULL, env_text(variable), "%s is unset", env_name(variable));
        set(variable, "");
        test_str("", env_text(variable), "and empty");
        set(variable, " as it is\n");
        test_str(" as it is\n", env_text(variable), "and set");
        set(variable, NULL);
    }
}

/* ---- Readers ---- */

static const struct {
    const char *text;
    enum env_result result;
    long value;
} ints[] =
    {
        {NULL, ENV_UNSET, UNTOUCHED},
        {"", ENV_MALFORMED, UNTOUCHED},
        {"0", ENV_MALFORMED, UNTOUCHED},
        {"17", ENV_MALFORMED, UNTOUCHED},
        {"-1", ENV_MALFORMED, UNTOUCHED},
        {"4x", ENV_MALFORMED, UNTOUCHED},
        {"4,2", ENV_MALFORMED, UNTOUCHED},
        {"99999999999999999999", ENV_MALFORMED, UNTOUCHED},
        {"1", ENV_GOOD, 1},
        {" 16 ", ENV_GOOD, 16},
},
  first_ints[] = {
      {NULL, ENV_UNSET, UNTOUCHED},
      {"", ENV_MALFORMED, UNTOUCHED},
      {",", ENV_MALFORMED, UNTOUCHED},
      {",4", ENV_MALFORMED, UNTOUCHED},
      {"17,4", ENV_MALFORMED, UNTOUCHED},
      {"4 2", ENV_MALFORMED, UNTOUCHED},
      {"-4,2", ENV_MALFORMED, UNTOUCHED},
      {"00000000000000000000000000000004", ENV_MALFORMED, UNTOUCHED},
      {"4", ENV_GOOD, 4},
      {"4,2", ENV_GOOD, 4},
      {" 4 , 2", ENV_GOOD, 4},
      {"4,", ENV_GOOD, 4},
      {"4,rest", ENV_GOOD, 4},
      {"0000000000000000000000000000004", ENV_GOOD, 4},
};

static const struct {
    const char *text;
    enum env_result result;
    uint64_t value;
} sizes[] = {
    {NULL, ENV_UNSET, UNTOUCHED},
    {"", ENV_MALFORMED, UNTOUCHED},
    {"-1G", ENV_MALFORMED, UNTOUCHED},
    {"1GG", ENV_MALFORMED, UNTOUCHED},
    {"16777216T", ENV_MALFORMED, UNTOUCHED},
    {"0", ENV_GOOD, 0},
    {"64M", ENV_GOOD, UINT64_C(64) << 20},
    {" 2 g", ENV_GOOD, UINT64_C(2) << 30},
};

static const char *shown(const char *text)
{
    return text != NULL ? text : "(unset)";
}

static void test_ints(void)
{
    for (size_t i = 0; i < COUNT_OF(ints); i++) {
        long value = UNTOUCHED;

        set(ENV_NP, ints[i].text);
        test_int(ints[i].result, env_int(ENV_NP, 1, 16, &value), "\"%s\" as a number from 1 to 16",
                 shown(ints[i].text));
        test_int(ints[i].value, value, "its value");
    }
    set(ENV_NP, NULL);
}

static void test_first_ints(void)
{
    for (size_t i = 0; i < COUNT_OF(first_ints); i++) {
        long value = UNTOUCHED;

        set(ENV_OMP_NUM_THREADS, first_ints[i].text);
        test_int(first_ints[i].result, env_first_int(ENV_OMP_NUM_THREADS, 1, 16, &value),
                 "\"%s\" as a list of numbers from 1 to 16", shown(first_ints[i].text));
        test_int(first_ints[i].value, value, "its first value");
    }
    set(ENV_OMP_NUM_THREADS, NULL);
}

static void test_sizes(void)
{
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        uint64_t value = UNTOUCHED;

        set(ENV_HEAP, sizes[i].text);
        test_int(sizes[i].result, env_size(ENV_HEAP, &value), "\"%s\" as a size", shown(sizes[i].text));
        test_ok(value == sizes[i].value, "its value");
    }
    set(ENV_HEAP, NULL);
}

/* ---- Warnings ---- */

static void test_warns_once(void)
{
    for (int variable = 0; variable < ENV_COUNT; variable++) {
        warnings = 0;
        set(variable, "nonsense");
        errno = EDOM;
        env_warn(variable, "a good value");
        test_int(EDOM, errno, "a warning keeps errno");
        env_warn(variable, "a good value");
        set(variable, "other nonsense");
        env_warn(variable, "a good value");
        test_int(1, warnings, "%s is warned of once", env_name(variable));
        test_has(env_name(variable), warning, "the warning names it");
        test_has("nonsense", warning, "and its value");
        test_has("a good value", warning, "and what is expected");
        set(variable, NULL);
    }
}

/* Values are anybody's text, but a warning is one line. */
static const struct {
    const char *name;
    const char *value;
} odd_values[] = {
    {"a line break at its end", "4\nx"},
    {"a line break alone", "\n"},
    {"a conversion of printf", "%s%n%d"},
    {"more than fits a line",
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
};

/* What is wrong with this value's warning, 0: nothing. In a child, since a variable is warned of once. */
static int judge_warning(const char *value)
{
    warnings = 0;
    set(ENV_NP, value);
    env_warn(ENV_NP, "a number");
    if (warnings != 1)
        return 1;
    if (strchr(warning, '\n') != NULL)
        return 2;
    return strlen(warning) <= 100 ? 0 : 3;
}

static void test_odd_values(void)
{
    for (size_t i = 0; i < COUNT_OF(odd_values); i++) {
        pid_t child = fork();
        int status;

        if (child == 0)
            test_child_exit(judge_warning(odd_values[i].value));
        waitpid(child, &status, 0);
        test_int(0, WEXITSTATUS(status), "a value with %s is warned of in one line", odd_values[i].name);
    }
}

/* ---- Names ---- */

static const char *const bad_names[] = {"", "=", "A=B", "1A", "A-B", "A B", " A", "A\n", "\xc3\xa4"};
static const char *const good_names[] = {"A", "_", "a1", "OMP_NUM_THREADS", "x_"};

static void test_names(void)
{
    for (size_t i = 0; i < COUNT_OF(bad_names); i++)
        test_ok(!env_is_name(bad_names[i]), "\"%s\" is no name", bad_names[i]);
    for (size_t i = 0; i < COUNT_OF(good_names); i++)
        test_ok(env_is_name(good_names[i]), "\"%s\" is a name", good_names[i]);
    setenv("OF_A_USER", "7", 1);
    test_str("7", env_text_of("OF_A_USER"), "any variable can be read");
    unsetenv("OF_A_USER");
    test_str(NULL, env_text_of("OF_A_USER"), "or is not set");
}

/* ---- Copies ---- */

/* Each copy is of this environment. */
static const char *const original[] = {"A=1", "AB=2", "A=again", "noise", "EMPTY=", "B=x=y", NULL};

static const struct {
    const char *name;
    const char *settings[4];
    const char *expected; /* all of the copy, a blank behind each */
} copies[] = {
    {"nothing", {NULL}, "A=1 AB=2 A=again noise EMPTY= B=x=y "},
    {"a new one", {"C=3"}, "A=1 AB=2 A=again noise EMPTY= B=x=y C=3 "},
    {"one that was there twice", {"A=3"}, "AB=2 noise EMPTY= B=x=y A=3 "},
    {"the value is empty", {"B="}, "A=1 AB=2 A=again noise EMPTY= B= "},
    {"the same twice", {"A=3", "C=4", "A=5"}, "AB=2 noise EMPTY= B=x=y C=4 A=5 "},
    {"a name that others begin with", {"E=1", "ABC=2"}, "A=1 AB=2 A=again noise EMPTY= B=x=y E=1 ABC=2 "},
};

static void test_copy(size_t i)
{
    int n = 0;
    char **copy;
    char text[256] = "";

    while (copies[i].settings[n] != NULL)
        n++;
    copy = env_copy_with(copies[i].settings, n);
    for (int j = 0; copy[j] != NULL; j++) {
        strcat(text, copy[j]);
        strcat(text, " ");
    }
    test_str(copies[i].expected, text, "a copy with %s", copies[i].name);
    free(copy);
}

static void test_copies(void)
{
    char **kept = environ, **copy;

    environ = (char **)original;
    for (size_t i = 0; i < COUNT_OF(copies); i++)
        test_copy(i);
    test_str("A=1", original[0], "the environment is as it was");
    environ = NULL;
    copy = env_copy_with((const char *[]){"A=1"}, 1);
    test_str("A=1", copy[0], "a copy of no environment has the settings");
    test_ok(copy[1] == NULL, "and nothing else");
    free(copy);
    environ = kept;
    copy = env_copy_with(NULL, 0);
    test_ok(copy[0] != environ[0], "the texts are copies too");
    free(copy);
}

int main(void)
{
    test_begin(10);
    sharedmem_set_log(on_warning);
    test_table();
    test_text();
    test_ints();
    test_first_ints();
    test_sizes();
    test_odd_values();
    test_warns_once();
    test_names();
    test_copies();
    return test_end();
}
