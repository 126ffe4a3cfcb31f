#include "host/kernel_file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

int kernel_file_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");
    char *got;
    size_t length;

    if (file == NULL)
        return -1;
    got = fgets(line, (int)size, file);
    fclose(file);
    if (got == NULL)
        return -1;
    length = strcspn(line, "\n");
    if (length == size - 1)
        return -1;
    line[length] = '\0';
    return 0;
}

int kernel_file_number(const char *path, uint64_t *number)
{
    char line[64];
    long value;

    if (kernel_file_line(path, line, sizeof line) != 0 || parse_int(line, 0, LONG_MAX, &value) != 0)
        return -1;
    *number = (uint64_t)value;
    return 0;
}

/* What follows key in line, or NULL where line is of another key. */
static const char *value_of(const char *line, const char *key)
{
    size_t length = strlen(key);

    if (strncmp(line, key, length) != 0)
        return NULL;
    line += length;
    if (*line == ':')
        return line + 1;
    return *line == ' ' ? line : NULL;
}

int kernel_file_field(const char *path, const char *key, uint64_t *bytes)
{
    FILE *file = fopen(path, "re");
    const char *value = NULL;
    char line[256];
    int status = -1;

    if (file == NULL)
        return -1;
    while (value == NULL && fgets(line, sizeof line, file) != NULL)
        value = value_of(line, key);
    if (value != NULL)
        status = parse_size(value, bytes);
    fclose(file);
    return status;
}
