#include "smrrun/core.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/kernel_file.h"

/* ---- The pattern ---- */

/* What the kernel puts for the letter behind a %; "*" where it cannot be known; "" for none of its letters. */
static const char *expand(char letter, pid_t pid, int signal, char *text, size_t size)
{
    text[0] = '\0';
    switch (letter) {
    case '%':
        return "%";
    case 'p':
        snprintf(text, size, "%d", (int)pid);
        return text;
    case 's':
        snprintf(text, size, "%d", signal);
        return text;
    case 'u':
        snprintf(text, size, "%u", (unsigned)getuid());
        return text;
    case 'g':
        snprintf(text, size, "%u", (unsigned)getgid());
        return text;
    default:
        return strchr("PiIdthefEcCF", letter) != NULL && letter != '\0' ? "*" : "";
    }
}

/* Appends text; of a letter of the pattern itself: with a backslash, so that it means itself. */
static bool append(char *glob, size_t size, const char *text, bool is_itself)
{
    size_t used = strlen(glob);
    bool is_escaped = is_itself && strchr("*?[\\", text[0]) != NULL;

    return (size_t)snprintf(glob + used, size - used, "%s%s", is_escaped ? "\\" : "", text) < size - used;
}

int core_glob(const char *pattern, bool uses_pid, pid_t pid, int signal, char *glob, size_t size)
{
    bool has_pid = false, fits = true;
    char expanded[32];

    if (size == 0 || pattern[0] == '|' || pattern[0] == '@' || pattern[0] == '\0')
        return -1;
    glob[0] = '\0';
    for (const char *at = pattern; *at != '\0' && fits; at++) {
        if (*at != '%') {
            fits = append(glob, size, (char[]){*at, '\0'}, true);
            continue;
        }
        if (at[1] == '\0')
            break;
        has_pid |= *++at == 'p';
        fits = append(glob, size, expand(*at, pid, signal, expanded, sizeof expanded), false);
    }
    if (fits && uses_pid && !has_pid) {
        snprintf(expanded, sizeof expanded, ".%d", (int)pid);
        fits = append(glob, size, expanded, false);
    }
    return fits ? 0 : -1;
}

/* ---- The file ---- */

/* The newest of those that are young enough. Returns its path, or NULL. */
static const char *newest(const glob_t *found, time_t since)
{
    const char *path = NULL;
    struct stat stat_of;

    for (size_t i = 0; i < found->gl_pathc; i++) {
        if (stat(found->gl_pathv[i], &stat_of) != 0 || !S_ISREG(stat_of.st_mode) || stat_of.st_mtime < since)
            continue;
        since = stat_of.st_mtime;
        path = found->gl_pathv[i];
    }
    return path;
}

/* The file that matches, as an absolute path where that fits. */
static bool find_file(const char *pattern, const char *folder, time_t since, char *path, size_t size)
{
    char in_folder[2 * PATH_MAX], absolute[PATH_MAX];
    const char *one = NULL;
    glob_t found;

    snprintf(in_folder, sizeof in_folder, "%s%s%s", pattern[0] != '/' && folder != NULL ? folder : "",
             pattern[0] != '/' && folder != NULL ? "/" : "", pattern);
    if (glob(in_folder, 0, NULL, &found) == 0)
        one = newest(&found, since);
    if (one != NULL)
        snprintf(path, size, "%s", realpath(one, absolute) != NULL ? absolute : one);
    globfree(&found);
    return one != NULL;
}

/* The program in "|/usr/lib/systemd/systemd-coredump %P ...", without its folders. */
static const char *program_of(const char *pattern, char *name, size_t size)
{
    const char *begin = pattern + 1 + strspn(pattern + 1, " ");
    size_t length = strcspn(begin, " ");

    for (size_t i = length; i > 0; i--) {
        if (begin[i - 1] == '/') {
            begin += i;
            length -= i;
            break;
        }
    }
    snprintf(name, size, "%.*s", (int)length, begin);
    return name;
}

void core_describe(pid_t pid, int signal, const char *folder, double seconds, char *text, size_t size)
{
    char pattern[256], glob[PATH_MAX], path[PATH_MAX], name[64];
    uint64_t uses_pid = 0;

    snprintf(text, size, "core dumped");
    if (kernel_file_line("/proc/sys/kernel/core_pattern", pattern, sizeof pattern) != 0)
        return;
    kernel_file_number("/proc/sys/kernel/core_uses_pid", &uses_pid);
    if (pattern[0] == '|') {
        program_of(pattern, name, sizeof name);
        if (strcmp(name, "systemd-coredump") == 0)
            snprintf(text, size, "core dumped; see: coredumpctl info %d", (int)pid);
        else
            snprintf(text, size, "core dumped, taken by %s", name);
        return;
    }
    /* A second more: file systems round. */
    if (core_glob(pattern, uses_pid != 0, pid, signal, glob, sizeof glob) == 0 &&
        find_file(glob, folder, time(NULL) - (time_t)seconds - 2, path, sizeof path))
        snprintf(text, size, "core dumped: %s", path);
}
