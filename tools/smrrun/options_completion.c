/*
 * What smrrun --completion bash prints: a function for bash that completes options, their values where the table
 * says what these are, and else the program and its files. The table's part of it are patterns of case.
 */
#include <stdio.h>
#include <string.h>

#include "smrrun/options_table.h"

const struct option_word options_shells[] = {{"bash", 0, false}, {NULL, 0, false}};

/* How the value of an option is completed. */
enum value { VALUE_NONE, VALUE_TWO, VALUE_WORDS, VALUE_FILE, VALUE_FOLDER, VALUE_VARIABLE, VALUE_ANY };

static enum value value_of(const struct option *option)
{
    if (option->operand == NULL)
        return VALUE_NONE;
    if (strchr(option->operand, ' ') != NULL)
        return VALUE_TWO;
    if (option->words != NULL)
        return VALUE_WORDS;
    if (strcmp(option->operand, "FILE") == 0)
        return VALUE_FILE;
    if (strcmp(option->operand, "DIR") == 0)
        return VALUE_FOLDER;
    return strncmp(option->operand, "VAR", 3) == 0 ? VALUE_VARIABLE : VALUE_ANY;
}

/* ---- The table as bash reads it ---- */

static void print_spellings(const struct option *option)
{
    if (option->letter != '\0')
        printf("-%c | ", option->letter);
    printf("--%s | -%s", option->name, option->name);
}

/* A branch of case for all options whose values are completed like that, or have any of them, VALUE_ANY. */
static void print_branch(enum value value, const char *body)
{
    bool is_first = true;

    for (size_t i = 0; i < options_table_size; i++) {
        enum value own = value_of(&options_table[i]);

        if (value == VALUE_ANY ? own < VALUE_WORDS : own != value)
            continue;
        fputs(is_first ? "    " : " | ", stdout);
        print_spellings(&options_table[i]);
        is_first = false;
    }
    printf(") %s ;;\n", body);
}

/* A branch for each option that takes some words. */
static void print_words(void)
{
    for (size_t i = 0; i < options_table_size; i++) {
        const struct option *option = &options_table[i];

        if (value_of(option) != VALUE_WORDS)
            continue;
        fputs("    ", stdout);
        print_spellings(option);
        fputs(") words='", stdout);
        for (const struct option_word *word = option->words; word->text != NULL; word++) {
            if (!word->is_alias)
                printf("%s%s", word > option->words ? " " : "", word->text);
        }
        fputs("' ;;\n", stdout);
    }
}

/* The letters of options with a value, or of those without. */
static void print_letters(bool has_value)
{
    for (size_t i = 0; i < options_table_size; i++) {
        const struct option *option = &options_table[i];

        if (option->letter != '\0' && (option->operand != NULL) == has_value)
            putchar(option->letter);
    }
}

/* What is offered: our own options; behind a colon those that can stand there. */
static void print_offered(bool is_later)
{
    const char *blank = "";

    for (size_t i = 0; i < options_table_size; i++) {
        const struct option *option = &options_table[i];

        if (option->is_foreign || (is_later && !option->is_local))
            continue;
        printf("%s--%s", blank, option->name);
        blank = " ";
        if (option->letter != '\0')
            printf(" -%c", option->letter);
    }
}

/* ---- The script ---- */

/* How many words follow an option, as the status; 3: the word is none. */
static void print_follows(void)
{
    fputs("_smrrun_follows()\n{\n    case $1 in\n    --*=*) return 0 ;;\n", stdout);
    print_branch(VALUE_TWO, "return 2");
    print_branch(VALUE_ANY, "return 1");
    print_branch(VALUE_NONE, "return 0");
    fputs("    -?*) [[ $1 =~ ^-[", stdout);
    print_letters(false);
    fputs("]*[", stdout);
    print_letters(true);
    fputs("]$ ]] && return 1; return 0 ;;\n    *) return 3 ;;\n    esac\n}\n\n", stdout);
}

static void print_value(void)
{
    fputs("# The value $2 of option $1. Of -ln it is that of -n.\n"
          "_smrrun_value()\n{\n"
          "    local option=$1 words='' of=''\n"
          "    [[ $1 =~ ^-[",
          stdout);
    print_letters(false);
    fputs("]*([", stdout);
    print_letters(true);
    fputs("])$ ]] && option=-${BASH_REMATCH[1]}\n    case $option in\n", stdout);
    print_words();
    print_branch(VALUE_FILE, "of=-f");
    print_branch(VALUE_FOLDER, "of=-d");
    print_branch(VALUE_VARIABLE, "of=-e");
    fputs("    esac\n"
          "    [[ $of == -[df] ]] && compopt -o filenames 2>/dev/null\n"
          "    [[ $words ]] && mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$2\")\n"
          "    [[ $of ]] && mapfile -t COMPREPLY < <(compgen \"$of\" -- \"$2\")\n"
          "}\n\n",
          stdout);
}

static const char before[] = "# Completion of smrrun for bash, made by: smrrun --completion bash\n"
                             "\n"
                             "# How many words follow option $1, as the status; 3: it is none.\n";

/* By the line and not by COMP_WORDS, which are cut at = and : as well. */
static const char after[] =
    "# The program, which is word $1 of words, or its files.\n"
    "_smrrun_program()\n"
    "{\n"
    "    local of=-f\n"
    "    (($1 == last)) && of=-c\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    mapfile -t COMPREPLY < <(compgen \"$of\" -- \"$cur\" | sort -u)\n"
    "}\n"
    "\n"
    "_smrrun_line()\n"
    "{\n"
    "    local i=1 n start list=$1\n"
    "    while ((i < last)); do\n"
    "        _smrrun_follows \"${words[i]}\"\n"
    "        n=$?\n"
    "        if ((n == 3)) || [[ ${words[i]} == -- ]]; then\n"
    "            [[ ${words[i]} == -- ]] && ((i++))\n"
    "            start=$i\n"
    "            while ((i < last)) && [[ ${words[i]} != : ]]; do ((i++)); done\n"
    "            ((i == last)) && { _smrrun_program \"$start\"; return; }\n"
    "            list=$2\n"
    "        elif ((i + n >= last)); then\n"
    "            _smrrun_value \"${words[i]}\" \"$cur\"\n"
    "            return\n"
    "        else\n"
    "            ((i += n))\n"
    "        fi\n"
    "        ((i++))\n"
    "    done\n"
    "    case $cur in\n"
    "    --*=*) _smrrun_value \"${cur%%=*}\" \"${cur#*=}\" ;;\n"
    "    -*) mapfile -t COMPREPLY < <(compgen -W \"$list\" -- \"$cur\") ;;\n"
    "    *) _smrrun_program \"$last\" ;;\n"
    "    esac\n"
    "}\n"
    "\n"
    "_smrrun()\n"
    "{\n"
    "    local line=${COMP_LINE:0:COMP_POINT} words cur last end=${COMP_WORDS[COMP_CWORD]} i\n"
    "    COMPREPLY=()\n"
    "    read -ra words <<<\"$line\"\n"
    "    [[ $line == *[[:blank:]] ]] && words+=('')\n"
    "    last=$((${#words[@]} - 1))\n"
    "    cur=${words[last]}\n";

/* Where bash has cut the word, as after --bind-to=, it takes an answer for what is behind the cut. */
static const char end[] = "    [[ $end == [=:] ]] && end=\n"
                          "    [[ $cur == *\"$end\" && $cur == *[=:]* ]] || return 0\n"
                          "    cur=${cur#--*=}\n"
                          "    for i in \"${!COMPREPLY[@]}\"; do\n"
                          "        COMPREPLY[i]=${COMPREPLY[i]#\"${cur%\"$end\"}\"}\n"
                          "    done\n"
                          "}\n"
                          "complete -F _smrrun smrrun\n";

enum options_answer options_show_completion(struct options_line *line, const struct option *option,
                                            const char *text)
{
    const struct option_word *shell;
    enum options_answer answer = options_choose(line, option, text, &shell);

    if (answer != OPTIONS_RUN)
        return answer;
    fputs(before, stdout);
    print_follows();
    print_value();
    fputs(after, stdout);
    fputs("    _smrrun_line '", stdout);
    print_offered(false);
    fputs("' '", stdout);
    print_offered(true);
    fputs("'\n", stdout);
    fputs(end, stdout);
    return options_printed(line);
}
