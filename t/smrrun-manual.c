/*
 * The manual page and the table of options say the same: each option's names, spellings, value, default and words;
 * and the page names no option that there is none of.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "smrrun/options_table.h"
#include "tap.h"

#define MAX_ENTRIES 128
#define MAX_TEXT    65536

/* A paragraph with a tag: the tag, and what it says, as plain text. */
struct entry {
    char tag[256];
    char text[4096];
};

static struct entry entries[MAX_ENTRIES];
static int n_entries;
static char section[MAX_TEXT]; /* all text of the section on options */

/* ---- Reading the page ---- */

/* Appends with roff's escapes taken for what they print: fonts for nothing, \- for -, \(dq for ". */
static void append_plain(char *to, size_t size, const char *from)
{
    size_t used = strlen(to);

    for (; *from != '\0' && used + 1 < size; from++) {
        if (from[0] == '\\' && from[1] == 'f' && from[2] != '\0') {
            from += 2;
            continue;
        }
        if (strncmp(from, "\\(dq", 4) == 0) {
            to[used++] = '"';
            from += 3;
            continue;
        }
        if (from[0] == '\\' && from[1] != '\0')
            from++;
        if (*from != '\n')
            to[used++] = *from;
    }
    to[used] = '\0';
}

/* Appends the words of a macro's line: those of fonts that change, .BR, side by side; those of one, .B, with blanks. */
static void append_macro(char *to, size_t size, const char *line)
{
    bool is_joined = isupper((unsigned char)line[1]) && isupper((unsigned char)line[2]);
    const char *c = line + strcspn(line, " \n");

    for (bool is_first = true; *c != '\0' && *c != '\n'; is_first = false) {
        char word[256] = "";
        size_t n = 0;
        bool is_quoted;

        c += strspn(c, " ");
        is_quoted = *c == '"';
        c += is_quoted;
        while (*c != '\0' && *c != '\n' && *c != (is_quoted ? '"' : ' ') && n + 1 < sizeof word)
            word[n++] = *c++;
        c += is_quoted && *c == '"';
        if (!is_first && !is_joined)
            append_plain(to, size, " ");
        append_plain(to, size, word);
    }
}

static bool is_font(const char *line)
{
    return line[0] == '.' &&
           (line[1] == 'B' || line[1] == 'I' || (line[1] == 'R' && line[2] != 'S' && line[2] != 'E'));
}

static void append_line(char *to, size_t size, const char *line)
{
    if (line[0] == '.' && !is_font(line))
        return;
    if (line[0] == '.')
        append_macro(to, size, line);
    else
        append_plain(to, size, line);
    append_plain(to, size, " ");
}

/* Reads the section on options, without its subsections. Entries are over at a .PP that is not indented. */
static void read_page(FILE *page)
{
    bool is_inside = false, is_tag = false, is_entry = false;
    int depth = 0;
    char line[1024];

    while (fgets(line, sizeof line, page) != NULL) {
        if (strncmp(line, ".SH ", 4) == 0 || strncmp(line, ".SS ", 4) == 0) {
            is_inside = strncmp(line, ".SH OPTIONS", 11) == 0;
            continue;
        }
        if (!is_inside)
            continue;
        depth += (strncmp(line, ".RS", 3) == 0) - (strncmp(line, ".RE", 3) == 0);
        if (strncmp(line, ".TP", 3) == 0 && n_entries < MAX_ENTRIES) {
            n_entries++;
            is_tag = is_entry = true;
            continue;
        }
        if (strncmp(line, ".PP", 3) == 0 && depth == 0)
            is_entry = false;
        if (is_tag)
            append_line(entries[n_entries - 1].tag, sizeof entries->tag, line);
        else if (is_entry)
            append_line(entries[n_entries - 1].text, sizeof entries->text, line);
        append_line(section, sizeof section, line);
        is_tag = false;
    }
}

/* ---- Looking at what was read ---- */

/* Whether text has word, and not as a part of a longer one. */
static bool has_word(const char *text, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = text; (at = strstr(at, word)) != NULL; at++) {
        bool begins = at == text || !(isalnum((unsigned char)at[-1]) || at[-1] == '-');

        if (begins && !isalnum((unsigned char)at[length]) && at[length] != '-')
            return true;
    }
    return false;
}

/* The operand of the group in tag that spelling is in, "-x, --export VAR": "" for none; NULL: it is not there. */
static const char *operand_of(const char *tag, const char *spelling)
{
    static char operand[64];
    size_t length = strlen(spelling);
    const char *at = tag;

    while ((at = strstr(at, spelling)) != NULL) {
        bool begins = at == tag || at[-1] == ' ';

        at += length;
        if (begins && strchr(" ,", *at) != NULL)
            break;
    }
    if (at == NULL)
        return NULL;
    /* Over further spellings, to what is none. */
    while (*at == ',') {
        at += strspn(at, ", ");
        at += strcspn(at, ", ");
    }
    at += strspn(at, " ");
    snprintf(operand, sizeof operand, "%.*s", (int)strcspn(at, ", "), at);
    return operand;
}

static int find_entry(const char *name)
{
    char spelling[64];

    snprintf(spelling, sizeof spelling, "--%s", name);
    for (int i = 0; i < n_entries; i++) {
        if (operand_of(entries[i].tag, spelling) != NULL)
            return i;
    }
    return -1;
}

/* Whether word, with its dashes, spells an option of the table. */
static bool is_known(const char *word)
{
    for (size_t i = 0; i < options_table_size; i++) {
        const struct option *option = &options_table[i];

        if (strcmp(word + strspn(word, "-"), option->name) == 0)
            return true;
        if (word[1] == option->letter && word[2] == '\0')
            return true;
    }
    return false;
}

/* ---- The checks ---- */

static void check_words(const struct option *option, const struct entry *entry)
{
    for (const struct option_word *word = option->words; word != NULL && word->text != NULL; word++)
        test_ok(has_word(entry->text, word->text), "--%s: it tells of %s", option->name, word->text);
}

static void check_option(const struct option *option)
{
    int i = find_entry(option->name);
    const struct entry *entry = &entries[i < 0 ? 0 : i];
    char spelling[64];

    if (!test_ok(i >= 0, "--%s has an entry", option->name))
        return;
    snprintf(spelling, sizeof spelling, "--%s", option->name);
    test_ok(strcasecmp(operand_of(entry->tag, spelling), option->operand != NULL ? option->operand : "") == 0,
            "%s: its value is called %s in %s", spelling, option->operand, entry->tag);
    snprintf(spelling, sizeof spelling, "-%c", option->letter);
    if (option->letter != '\0')
        test_ok(operand_of(entry->tag, spelling) != NULL, "--%s: its letter is in %s", option->name,
                entry->tag);
    if (option->preset != NULL && strcmp(option->preset, "none") != 0) {
        test_ok(has_word(entry->text, option->preset), "--%s: it tells the default, %s", option->name,
                option->preset);
        test_ok(has_word(entry->text, "default"), "--%s: and that it is one", option->name);
    }
    check_words(option, entry);
}

static void check_foreign(const struct option *option)
{
    char one[64], two[64];

    snprintf(one, sizeof one, "-%s", option->name);
    snprintf(two, sizeof two, "--%s", option->name);
    test_ok(has_word(section, one) || has_word(section, two), "%s is named", two);
}

/* Every word with a dash before it is an option, but for the page's examples of words. */
static void check_page(void)
{
    static const char *const others[] = {"--", "--name", "-lvn4"};

    for (const char *at = section; (at = strstr(at, "-")) != NULL;) {
        size_t length = strcspn(at, " ,.;:)=\"'");
        bool begins = at == section || strchr(" (\"", at[-1]) != NULL, is_other = false;
        char word[64];

        snprintf(word, sizeof word, "%.*s", (int)length, at);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            is_other = is_other || strcmp(word, others[i]) == 0;
        if (begins && length > 1 && !is_other)
            test_ok(is_known(word), "%s is an option", word);
        at += length > 0 ? length : 1;
    }
}

int main(void)
{
    const char *srcdir = getenv("srcdir");
    char path[4096];
    FILE *page;

    test_begin(30);
    snprintf(path, sizeof path, "%s/doc/smrrun.1", srcdir != NULL ? srcdir : ".");
    page = fopen(path, "r");
    if (!test_ok(page != NULL, "the page is there"))
        return test_end();
    read_page(page);
    fclose(page);
    test_ok(n_entries > 20 && strlen(section) < sizeof section - 1, "it is read: %d entries", n_entries);
    for (size_t i = 0; i < options_table_size; i++) {
        if (options_table[i].is_foreign)
            check_foreign(&options_table[i]);
        else
            check_option(&options_table[i]);
    }
    check_page();
    return test_end();
}
