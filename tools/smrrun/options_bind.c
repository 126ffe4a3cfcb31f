/* Options that say where ranks run, and options that take one of some words. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "base/text.h"
#include "smrrun/options_table.h"

const struct option_word options_policies[] = {
    {"share", BINDING_SHARE, false},
    {"core", BINDING_CORE, false},
    {"pu", BINDING_PU, false},
    {"l3", BINDING_L3, false},
    {"numa", BINDING_NUMA, false},
    {"package", BINDING_PACKAGE, false},
    {"none", BINDING_NONE, false},
    {"hwthread", BINDING_PU, true},
    {"l3cache", BINDING_L3, true},
    {"socket", BINDING_PACKAGE, true},
    {NULL, 0, false},
};

/* On one machine its slots are its cores. */
const struct option_word options_maps[] = {
    {"spread", BINDING_SPREAD, false},
    {"close", BINDING_CLOSE, false},
    {"l3", BINDING_BY_L3, false},
    {"numa", BINDING_BY_NUMA, false},
    {"package", BINDING_BY_PACKAGE, false},
    {"core", BINDING_CLOSE, false},
    {"slot", BINDING_CLOSE, true},
    {"node", BINDING_SPREAD, true},
    {"l3cache", BINDING_BY_L3, true},
    {"socket", BINDING_BY_PACKAGE, true},
    {NULL, 0, false},
};

/* The word that is nearest to text, where a third of it at most is wrong; or NULL. */
static const char *nearest_word(const struct option_word *words, const char *text)
{
    const char *nearest = NULL;
    int least = ((int)strlen(text) + 2) / 3 + 1;

    for (; words->text != NULL; words++) {
        int d = text_distance(text, words->text);

        if (d < least) {
            least = d;
            nearest = words->text;
        }
    }
    return nearest;
}

enum options_answer options_choose(struct options_line *line, const struct option *option, const char *text,
                                   const struct option_word **word)
{
    const char *nearest = nearest_word(option->words, text);
    char problem[64];

    for (*word = option->words; (*word)->text != NULL; ++*word) {
        if (strcmp(text, (*word)->text) == 0)
            return OPTIONS_RUN;
    }
    if (nearest == NULL)
        return refuse_value(line, option, text, option->problem);
    snprintf(problem, sizeof problem, "%s (%s?)", option->problem, nearest);
    return refuse_value(line, option, text, problem);
}

enum options_answer options_take_bind(struct options_line *line, const struct option *option,
                                      const char *text)
{
    const struct option_word *word;
    enum options_answer answer = options_choose(line, option, text, &word);

    if (answer == OPTIONS_RUN) {
        line->options->bind = (enum binding_policy)word->value;
        line->options->is_bind_given = true;
    }
    return answer;
}

/* Cuts ":PE=T" off text, if it is there. Returns false where T is no number of cores. */
static bool take_cores(char *text, int *cores)
{
    char *modifier = strchr(text, ':');
    long number;

    if (modifier == NULL)
        return true;
    *modifier++ = '\0';
    if (strncasecmp(modifier, "pe=", 3) != 0 || parse_int(modifier + 3, 1, OPTIONS_MAX_RANKS, &number) != 0)
        return false;
    *cores = (int)number;
    return true;
}

/* Cuts "ppr:K:" off the beginning. Returns what follows, or NULL where it is malformed. */
static char *take_per_object(char *text, int *per_object)
{
    char *number = text + strlen("ppr:"), *end;
    long value;

    if (strncasecmp(text, "ppr:", 4) != 0)
        return text;
    end = strchr(number, ':');
    if (end == NULL)
        return NULL;
    *end = '\0';
    if (parse_int(number, 1, OPTIONS_MAX_RANKS, &value) != 0)
        return NULL;
    *per_object = (int)value;
    return end + 1;
}

enum options_answer options_take_map(struct options_line *line, const struct option *option, const char *text)
{
    struct options *options = line->options;
    char copy[64], *name;
    const struct option_word *word;
    enum options_answer answer;

    options->per_object = options->cores = 0;
    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
        return refuse_value(line, option, text, option->problem);
    name = take_per_object(copy, &options->per_object);
    if (name == NULL || !take_cores(name, &options->cores))
        return refuse_value(line, option, text, "not understood");
    answer = options_choose(line, option, name, &word);
    if (answer == OPTIONS_RUN)
        options->map = (enum binding_map)word->value;
    if (answer == OPTIONS_RUN && options->per_object > 0 && options->map < BINDING_BY_L3) {
        options->per_object = 0;
        return refuse_value(line, option, text, "ranks are counted for each l3, numa or package");
    }
    return answer;
}
