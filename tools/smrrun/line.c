#include "smrrun/line.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"

/* A date and time, and a label. */
#define LABEL_BYTES 64

void line_init(struct line *line, size_t longest, const char *label, bool is_stamped)
{
    *line = (struct line){.longest = longest, .last = '\n', .is_stamped = is_stamped};
    snprintf(line->label, sizeof line->label, "%s", label);
}

void line_fini(struct line *line)
{
    free(line->held);
    line->held = NULL;
    line->n_held = 0;
    line->size = 0;
}

bool line_is_held(const struct line *line)
{
    return line->n_held > 0;
}

bool line_is_held_for_newline(const struct line *line)
{
    return line->n_held > 0 && line->held[line->n_held - 1] == '\r';
}

/* How many of the bytes are whole lines. A "\r" at the very end may still become a "\r\n". */
static size_t whole_lines(const char *bytes, size_t n)
{
    size_t whole = n;

    while (whole > 0 && bytes[whole - 1] != '\n' && (bytes[whole - 1] != '\r' || whole == n))
        whole--;
    return whole;
}

/* The length of the first line with its end; n where it has none. */
static size_t first_line(const char *bytes, size_t n)
{
    const char *newline = memchr(bytes, '\n', n);
    size_t length = newline != NULL ? (size_t)(newline - bytes) + 1 : n;
    const char *carriage_return = memchr(bytes, '\r', length);

    if (carriage_return == NULL || carriage_return + 1 == newline)
        return length;
    return (size_t)(carriage_return - bytes) + 1;
}

/* Whether a line begins with what is passed on next, of which this is the first byte. */
static bool begins(const struct line *line, char first)
{
    return line->last == '\n' || (line->last == '\r' && first != '\n');
}

static bool has_label(const struct line *line)
{
    return line->is_stamped || line->label[0] != '\0';
}

/* What the line begins with: "2026-03-31 09:05:00.123 [3] ". Returns its length. */
static size_t write_label(const struct line *line, char text[LABEL_BYTES])
{
    size_t length = 0;

    if (line->is_stamped)
        length = clock_calendar(text, LABEL_BYTES);
    return length +
           (size_t)snprintf(text + length, LABEL_BYTES - length, "%s%s", length > 0 ? " " : "", line->label);
}

/* Passes on what is held and the n bytes behind it, not both empty, in one write. */
static void pass_together(struct line *line, const char *bytes, size_t n, struct sink *to)
{
    char first = line->n_held > 0 ? line->held[0] : bytes[0];
    char label[LABEL_BYTES];
    size_t n_label = has_label(line) && begins(line, first) ? write_label(line, label) : 0;

    sink_reserve(to, n_label + line->n_held + n);
    sink_add(to, label, n_label);
    sink_add(to, line->held, line->n_held);
    sink_add(to, bytes, n);
    line->last = n > 0 ? bytes[n - 1] : line->held[line->n_held - 1];
    line_fini(line);
}

/* As pass_together(), with a label for each line. */
static void pass(struct line *line, const char *bytes, size_t n, struct sink *to)
{
    do {
        size_t part = has_label(line) && n > 0 ? first_line(bytes, n) : n;

        pass_together(line, bytes, part, to);
        bytes += part;
        n -= part;
    } while (n > 0);
}

/* Whether there is room for n bytes held back. It grows by doubling: pieces are mostly short. */
static bool make_room(struct line *line, size_t n)
{
    size_t size = line->size > 0 ? line->size : 128;
    char *held;

    if (n <= line->size)
        return true;
    if (n > line->longest)
        return false;
    while (size < n)
        size *= 2;
    if (size > line->longest)
        size = line->longest;
    held = realloc(line->held, size);
    if (held == NULL)
        return false;
    line->held = held;
    line->size = size;
    return true;
}

/* Holds n bytes more back, or passes on where that is too much. Returns whether it did. */
static bool hold(struct line *line, const char *bytes, size_t n, struct sink *to)
{
    if (!make_room(line, line->n_held + n)) {
        pass(line, bytes, n, to);
        return true;
    }
    memcpy(line->held + line->n_held, bytes, n);
    line->n_held += n;
    return false;
}

bool line_add(struct line *line, const char *bytes, size_t n, struct sink *to)
{
    bool has_passed = false;
    size_t whole;

    if (n == 0)
        return false;
    if (line_is_held_for_newline(line) && bytes[0] != '\n') {
        line_pass(line, to);
        has_passed = true;
    }
    whole = whole_lines(bytes, n);
    if (whole > 0) {
        pass(line, bytes, whole, to);
        has_passed = true;
    }
    if (whole < n && hold(line, bytes + whole, n - whole, to))
        has_passed = true;
    return has_passed;
}

void line_pass(struct line *line, struct sink *to)
{
    if (line->n_held > 0)
        pass_together(line, "", 0, to);
}

void line_end(struct line *line, struct sink *to)
{
    char last = line->n_held > 0 ? line->held[line->n_held - 1] : line->last;

    if (has_label(line) && last != '\n' && last != '\r')
        pass_together(line, "\n", 1, to);
    else
        line_pass(line, to);
}
