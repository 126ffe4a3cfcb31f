#include "host/crash_objects.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* ---- Reading, in a signal handler ---- */

/* A line of /proc/self/maps: "55d0-55d8 r-xp 00001000 fe:01 1234   /home/me/prog". */
struct line {
    uint64_t begin, end, offset;
    uint64_t file; /* device and inode, as far as they are told apart by a sum */
    bool is_readable, is_code;
    const char *path; /* "" where it is no file */
};

struct reader {
    struct crash_objects_shared *objects;
    const uint64_t *pcs;
    uint32_t n_pcs, n;
    size_t used;          /* of paths */
    uint64_t start, file; /* of the last line that a file begins with */
    bool is_readable;
};

/* The number at *text in hexadecimal digits; moves behind it and the one letter that follows. */
static uint64_t take_number(const char **text)
{
    uint64_t number = 0;

    for (;; (*text)++) {
        char c = **text;

        if (c >= '0' && c <= '9')
            number = number * 16 + (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            number = number * 16 + (uint64_t)(c - 'a' + 10);
        else
            break;
    }
    if (**text != '\0')
        (*text)++;
    return number;
}

static struct line parse(const char *text)
{
    struct line line;
    const char *flags;

    line.begin = take_number(&text);
    line.end = take_number(&text);
    flags = text;
    line.is_readable = flags[0] == 'r';
    line.is_code = flags[0] != '\0' && flags[1] != '\0' && flags[2] == 'x';
    while (*text != '\0' && *text != ' ')
        text++;
    text += *text == ' ';
    line.offset = take_number(&text);
    line.file = take_number(&text) << 52;
    line.file += take_number(&text) << 44;
    line.file += take_number(&text);
    while (*text == ' ')
        text++;
    line.path = text;
    return line;
}

static bool is_wanted(const struct reader *reader, const struct line *line)
{
    for (uint32_t i = 0; i < reader->n_pcs; i++) {
        if (reader->pcs[i] >= line->begin && reader->pcs[i] < line->end)
            return true;
    }
    return false;
}

/* What is added to the file's addresses: nothing for a program that has its place in it. */
static uint64_t bias_of(const struct reader *reader)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)(uintptr_t)reader->start;

    return reader->is_readable && memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_type == ET_EXEC
               ? 0
               : reader->start;
}

static void add(struct reader *reader, const struct line *line)
{
    struct crash_objects_shared *objects = reader->objects;
    struct crash_object_shared *object = &objects->all[reader->n];
    size_t bytes = strlen(line->path) + 1;

    if (reader->n == CRASH_OBJECTS || reader->used + bytes > sizeof objects->paths)
        return;
    *object = (struct crash_object_shared){.begin = line->begin, .end = line->end};
    if (line->file == reader->file) {
        object->start = reader->start;
        object->bias = bias_of(reader);
    }
    objects->path[reader->n] = (uint16_t)reader->used;
    memcpy(objects->paths + reader->used, line->path, bytes);
    reader->used += bytes;
    reader->n++;
}

static void take_line(struct reader *reader, const char *text)
{
    struct line line = parse(text);

    if (line.path[0] != '/')
        return;
    if (line.offset == 0) {
        reader->start = line.begin;
        reader->file = line.file;
        reader->is_readable = line.is_readable;
    }
    if (line.is_code && is_wanted(reader, &line))
        add(reader, &line);
}

/* Takes the lines of a file piece by piece; one that is longer than any is cut. */
static void take_lines(struct reader *reader, int fd)
{
    char piece[2048], text[1024];
    size_t length = 0;
    ssize_t got;

    while ((got = read(fd, piece, sizeof piece)) > 0 || (got < 0 && errno == EINTR)) {
        for (ssize_t i = 0; i < got; i++) {
            if (piece[i] != '\n') {
                text[length] = piece[i];
                length += length < sizeof text - 1;
                continue;
            }
            text[length] = '\0';
            take_line(reader, text);
            length = 0;
        }
    }
}

uint32_t crash_objects_read(struct crash_objects_shared *objects, const uint64_t *pcs, uint32_t n)
{
    struct reader reader = {.objects = objects, .pcs = pcs, .n_pcs = n};
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    take_lines(&reader, fd);
    close(fd);
    return reader.n;
}

/* ---- Finding, in another process ---- */

const struct crash_object_shared *crash_objects_find(const struct crash_objects_shared *objects, uint32_t n,
                                                     uint64_t pc, const char **path)
{
    for (uint32_t i = 0; i < n && i < CRASH_OBJECTS; i++) {
        const struct crash_object_shared *object = &objects->all[i];
        size_t at = objects->path[i];

        if (pc < object->begin || pc >= object->end || at >= sizeof objects->paths ||
            memchr(objects->paths + at, '\0', sizeof objects->paths - at) == NULL)
            continue;
        *path = objects->paths + at;
        return object;
    }
    return NULL;
}
