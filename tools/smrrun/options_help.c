/* What smrrun -h and -V print. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sharedmem.h"
#include "smrrun/options_table.h"

enum options_answer options_printed(struct options_line *line)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return options_refuse(line, "cannot write to stdout: %s", strerror(errno));
    return OPTIONS_DONE;
}

enum options_answer options_show_version(struct options_line *line, const struct option *option,
                                         const char *text)
{
    (void)option, (void)text;
    printf("smrrun (sharedmem) %s\n", sharedmem_version());
    return options_printed(line);
}

static void print_option(const struct option *option)
{
    char letter[] = "    ", left[64];
    bool has_preset = option->preset != NULL;

    if (option->letter != '\0')
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(left, sizeof left, "%s--%s %s", letter, option->name,
             option->operand != NULL ? option->operand : "");
    printf("  %-23s %s%s%s%s\n", left, option->help, has_preset ? " (" : "", has_preset ? option->preset : "",
           has_preset ? ")" : "");
}

enum options_answer options_show_help(struct options_line *line, const struct option *option,
                                      const char *text)
{
    (void)option, (void)text;
    fputs("usage: smrrun [options] prog [args]\n"
          "Runs prog as N ranks that share memory, and ends as if they were one program.\n\n",
          stdout);
    for (size_t i = 0; i < options_table_size; i++) {
        if (options_table[i].help != NULL)
            print_option(&options_table[i]);
    }
    fputs("\nfor example: smrrun -n 4 ./prog input.txt; man smrrun tells more\n", stdout);
    return options_printed(line);
}
