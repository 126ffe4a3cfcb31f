#include "smrrun/hosts.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_BYTES (16 << 20)

bool hosts_is_here(const char *name, const char *hostname)
{
    size_t length = strcspn(name, "."), host_length = strcspn(hostname, ".");

    if (strcasecmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0)
        return true;
    if (name[length] == '.' && hostname[host_length] == '.')
        return strcasecmp(name, hostname) == 0;
    return length == host_length && strncasecmp(name, hostname, length) == 0;
}

/* ---- Slurm's lists ---- */

/* More brackets than this in one name are not searched: each multiplies the ways to read it. */
#define MAX_BRACKETS 3

static bool fits(const char *pattern, const char *end, const char *name, int n_brackets);

/* Whether the name goes on with a number of the range, "7" or "07-12", and then with rest. */
static bool range_fits(const char *range, const char *rest, const char *end, const char *name, int n_brackets)
{
    size_t width = strspn(range, "0123456789"), n_digits = strspn(name, "0123456789");
    unsigned long first = strtoul(range, NULL, 10), last = first;

    if (range[width] == '-')
        last = strtoul(range + width + 1, NULL, 10);
    for (size_t n = width; n > 0 && n <= n_digits && n <= 10; n++) {
        char digits[16] = "";
        unsigned long number;

        memcpy(digits, name, n);
        number = strtoul(digits, NULL, 10);
        /* What has more digits than the first number is a larger one, and begins with no 0. */
        if (number >= first && number <= last && (n == width || name[0] != '0') &&
            fits(rest, end, name + n, n_brackets))
            return true;
    }
    return false;
}

/* Whether name is one of those that the pattern, which ends before end, stands for. */
static bool fits(const char *pattern, const char *end, const char *name, int n_brackets)
{
    const char *close;

    for (; pattern < end && *pattern != '['; pattern++, name++) {
        if (*name == '\0' || tolower((unsigned char)*pattern) != tolower((unsigned char)*name))
            return false;
    }
    if (pattern == end)
        return *name == '\0';
    close = n_brackets < MAX_BRACKETS ? memchr(pattern, ']', (size_t)(end - pattern)) : NULL;
    for (const char *range = pattern + 1; close != NULL && range < close; range += strcspn(range, ",]") + 1) {
        if (range_fits(range, close + 1, end, name, n_brackets + 1))
            return true;
    }
    return false;
}

/* The length of the first pattern of list: commas in brackets are its own. */
static size_t pattern_length(const char *list)
{
    bool is_open = false;
    size_t length = 0;

    for (; list[length] != '\0' && (is_open || list[length] != ','); length++)
        is_open = list[length] == '[' || (is_open && list[length] != ']');
    return length;
}

/* A pattern without brackets is a name. */
static bool pattern_fits(const char *pattern, size_t length, const char *hostname)
{
    char name[256] = "";

    snprintf(name, sizeof name, "%.*s", length < sizeof name ? (int)length : 0, pattern);
    if (memchr(pattern, '[', length) == NULL)
        return hosts_is_here(name, hostname);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(hostname, "."), hostname);
    return fits(pattern, pattern + length, hostname, 0) || fits(pattern, pattern + length, name, 0);
}

bool hosts_is_in_ranges(const char *list, const char *hostname)
{
    while (*list != '\0') {
        size_t length = pattern_length(list);

        if (pattern_fits(list, length, hostname))
            return true;
        list += length + (list[length] == ',');
    }
    return false;
}

/* ---- Lists and files of hosts ---- */

static int compare_names(const void *a, const void *b)
{
    return strcasecmp(*(char *const *)a, *(char *const *)b);
}

/* How many slots an entry has, NAME[:N], NAME N ... or NAME ... slots=N, whose name is cut out. 0: it does not say. */
static int take_slots(char *entry)
{
    char *rest = entry + strcspn(entry, " \t\r"), *number = strstr(rest, "slots="), *colon;
    long n = 0;

    rest += strspn(rest, " \t\r");
    if (number != NULL)
        n = strtol(number + strlen("slots="), NULL, 10);
    else if (isdigit((unsigned char)*rest))
        n = strtol(rest, NULL, 10);
    entry[strcspn(entry, " \t\r")] = '\0';
    colon = strchr(entry, ':');
    /* Two colons are an address. */
    if (colon != NULL && strchr(colon + 1, ':') == NULL) {
        n = n > 0 ? n : strtol(colon + 1, NULL, 10);
        *colon = '\0';
    }
    return n > 0 && n <= HOSTS_MAX_SLOTS ? (int)n : 0;
}

/* One entry of a list. Returns its name, or NULL where there is none. */
static char *take_entry(struct hosts *hosts, char *entry, const char *hostname)
{
    int n;

    entry += strspn(entry, " \t\r");
    entry[strcspn(entry, "#")] = '\0';
    n = take_slots(entry);
    if (*entry == '\0')
        return NULL;
    hosts->has_counts |= n > 0;
    n = n > 0 ? n : 1;
    hosts->n_slots += n <= HOSTS_MAX_SLOTS - hosts->n_slots ? n : 0;
    if (hosts_is_here(entry, hostname))
        hosts->n_here += n <= HOSTS_MAX_SLOTS - hosts->n_here ? n : 0;
    return entry;
}

static size_t count_separators(const char *text, char separator)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += *text == separator;
    return n;
}

/* Takes text apart. Returns 0 or ENOMEM. */
static int read_entries(struct hosts *hosts, char *text, char separator, const char *hostname)
{
    const char separators[] = {separator, '\0'};
    char **names = malloc((count_separators(text, separator) + 1) * sizeof *names);
    size_t n_names = 0;

    if (names == NULL)
        return ENOMEM;
    for (char *entry; (entry = strsep(&text, separators)) != NULL;) {
        names[n_names] = take_entry(hosts, entry, hostname);
        n_names += names[n_names] != NULL;
    }
    qsort(names, n_names, sizeof *names, compare_names);
    for (size_t i = 0; i < n_names; i++)
        hosts->n_hosts += i == 0 || compare_names(&names[i - 1], &names[i]) != 0;
    hosts->has_counts |= (size_t)hosts->n_hosts < n_names;
    free(names);
    return 0;
}

int hosts_read_list(struct hosts *hosts, const char *list, const char *hostname)
{
    char *text = strdup(list);
    int code;

    *hosts = (struct hosts){0};
    if (text == NULL)
        return ENOMEM;
    code = read_entries(hosts, text, ',', hostname);
    free(text);
    return code;
}

/* A file's text, to be freed, or NULL with errno. */
static char *read_text(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    char *text = NULL;
    ssize_t length;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > MAX_FILE_BYTES)
        errno = EINVAL;
    else
        text = malloc((size_t)status.st_size + 1);
    if (text != NULL) {
        length = read(fd, text, (size_t)status.st_size);
        text[length > 0 ? length : 0] = '\0';
    }
    close(fd);
    return text;
}

int hosts_read_file(struct hosts *hosts, const char *path, const char *hostname)
{
    char *text = read_text(path);
    int code;

    *hosts = (struct hosts){0};
    if (text == NULL)
        return errno;
    code = read_entries(hosts, text, '\n', hostname);
    free(text);
    return code;
}
