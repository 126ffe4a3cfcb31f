#include "smrrun/files.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/fds.h"

struct files {
    int n; /* two for each rank */
    int fds[];
};

/* ---- Patterns ---- */

/* What stands behind a %: goes behind it. Returns its letter, '\0' where it is none; width: the digits before. */
static char take_letter(const char **text, int *width)
{
    const char *at = *text;

    *width = 0;
    while (isdigit((unsigned char)*at) && *width < 100)
        *width = *width * 10 + (*at++ - '0');
    *text = *at != '\0' ? at + 1 : at;
    return *at;
}

static bool is_rank(char letter)
{
    return letter == 'r' || letter == 't';
}

const char *files_problem(const char *pattern)
{
    int width;

    if (*pattern == '\0')
        return "no file";
    for (const char *at = pattern; (at = strchr(at, '%')) != NULL;) {
        char letter;

        at++;
        letter = take_letter(&at, &width);

        if (!is_rank(letter) && !(letter == '%' && width == 0))
            return "behind % stands r, for the rank, or another %";
    }
    return NULL;
}

bool files_has_rank(const char *pattern)
{
    int width;

    for (const char *at = pattern; (at = strchr(at, '%')) != NULL;) {
        at++;
        if (is_rank(take_letter(&at, &width)))
            return true;
    }
    return false;
}

bool files_path(const char *pattern, int rank, char *path, size_t size)
{
    size_t used = 0;

    for (const char *at = pattern; *at != '\0' && used < size;) {
        int width;

        if (*at != '%') {
            path[used++] = *at++;
            continue;
        }
        at++;
        if (is_rank(take_letter(&at, &width)))
            used += (size_t)snprintf(path + used, size - used, "%0*d", width, rank);
        else
            path[used++] = '%';
    }
    if (used >= size)
        return false;
    path[used] = '\0';
    return true;
}

bool files_put_rank(const char *text, int rank, char *to, size_t size)
{
    size_t used = 0;

    while (*text != '\0' && used < size) {
        const char *begin = text++;
        int width;

        if (*begin == '%' && take_letter(&text, &width) == 'r')
            used += (size_t)snprintf(to + used, size - used, "%0*d", width, rank);
        else
            used += (size_t)snprintf(to + used, size - used, "%.*s", (int)(text - begin), begin);
    }
    if (used >= size)
        return false;
    to[used] = '\0';
    return true;
}

/* ---- Files ---- */

/* The folders on the way to path; what cannot be made shows when the file is opened. */
static void make_folders(const char *path)
{
    char folder[PATH_MAX];

    for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        size_t length = (size_t)(slash - path);

        if (length >= sizeof folder)
            return;
        memcpy(folder, path, length);
        folder[length] = '\0';
        mkdir(folder, 0777);
    }
}

int files_make(const char *path)
{
    const int how = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC;
    int fd = open(path, how, 0666);

    if (fd < 0 && errno == ENOENT) {
        make_folders(path);
        fd = open(path, how, 0666);
    }
    return fds_above_stdio(fd);
}

/* The file of a rank's stream, or -1 with a message. */
static int make_of_rank(const char *pattern, int rank, char *message, size_t size)
{
    char path[PATH_MAX];
    int fd;

    errno = ENAMETOOLONG;
    fd = files_path(pattern, rank, path, sizeof path) ? files_make(path) : -1;
    if (fd < 0)
        snprintf(message, size, "cannot make %.200s for rank %d: %s", pattern, rank, strerror(errno));
    return fd;
}

static int make_all(struct files *files, const char *const patterns[2], char *message, size_t size)
{
    bool is_one = patterns[0] != NULL && patterns[1] != NULL && strcmp(patterns[0], patterns[1]) == 0;

    for (int i = 0; i < files->n; i++) {
        if (patterns[i % 2] == NULL || (is_one && i % 2 == 1))
            continue;
        files->fds[i] = make_of_rank(patterns[i % 2], i / 2, message, size);
        if (files->fds[i] < 0)
            return -1;
    }
    for (int i = 1; i < files->n && is_one; i += 2)
        files->fds[i] = files->fds[i - 1];
    return 0;
}

struct files *files_open(const char *const patterns[2], int n_ranks, char *message, size_t size)
{
    struct files *files = malloc(sizeof *files + 2 * (size_t)n_ranks * sizeof *files->fds);

    if (files == NULL) {
        snprintf(message, size, "no memory for the files of %d ranks", n_ranks);
        return NULL;
    }
    files->n = 2 * n_ranks;
    for (int i = 0; i < files->n; i++)
        files->fds[i] = -1;
    if (make_all(files, patterns, message, size) == 0)
        return files;
    files_close(files);
    return NULL;
}

int files_fd(const struct files *files, int rank, int stream)
{
    return files->fds[2 * rank + stream];
}

void files_close(struct files *files)
{
    int saved_errno = errno;

    for (int i = 0; files != NULL && i < files->n; i++) {
        if (files->fds[i] >= 0 && (i % 2 == 0 || files->fds[i] != files->fds[i - 1]))
            close(files->fds[i]);
    }
    free(files);
    errno = saved_errno;
}
