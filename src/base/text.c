#include "base/text.h"

#include <stdio.h>
#include <string.h>

static int is_break(char c)
{
    return c == '\n' || c == '\r';
}

/* What a terminal would obey: ASCII's, and the further ones of UTF-8, whose second byte then is no character. */
static int is_control(const char *text)
{
    unsigned char c = (unsigned char)text[0], next = (unsigned char)text[1];

    return c < ' ' || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0);
}

void text_one_line(char *text)
{
    size_t length = strlen(text);

    while (length > 0 && is_break(text[length - 1]))
        text[--length] = '\0';
    for (; *text != '\0'; text++) {
        if (is_break(*text) || *text == '\t')
            *text = ' ';
        else if (is_control(text))
            *text = '?';
    }
}

void text_copy_end(char *to, size_t size, const char *text)
{
    size_t length = text != NULL ? strlen(text) : 0;

    if (length >= size) {
        text += length - (size - 1);
        length = size - 1;
    }
    memset(to, 0, size);
    if (length > 0)
        memcpy(to, text, length);
}

const char *text_bytes(char text[TEXT_BYTES_SIZE], uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    uint64_t value = bytes, rest = 0;
    size_t unit = 0;

    for (; value >= 1024; unit++) {
        rest = value % 1024;
        value /= 1024;
    }
    if (unit == 0 || value >= 10)
        snprintf(text, TEXT_BYTES_SIZE, "%u %s", (unsigned)value, units[unit]);
    else
        snprintf(text, TEXT_BYTES_SIZE, "%u.%u %s", (unsigned)value, (unsigned)rest * 10 / 1024, units[unit]);
    return text;
}

void text_ranges_begin(struct text_ranges *ranges)
{
    *ranges = (struct text_ranges){.n = 0};
}

void text_ranges_add(struct text_ranges *ranges, unsigned number)
{
    bool goes_on = ranges->n > 0 && number == ranges->last + 1;
    size_t room;

    if (!goes_on) {
        ranges->begin = (unsigned)strlen(ranges->text);
        ranges->first = number;
    }
    ranges->n++;
    ranges->last = number;
    if (ranges->is_full)
        return;
    room = sizeof ranges->text - ranges->begin;
    if (room < sizeof ", 4294967295-4294967295, ...") {
        snprintf(ranges->text + ranges->begin, room, ", ...");
        ranges->is_full = true;
        return;
    }
    if (goes_on)
        snprintf(ranges->text + ranges->begin, room, "%s%u-%u", ranges->begin > 0 ? ", " : "", ranges->first,
                 number);
    else
        snprintf(ranges->text + ranges->begin, room, "%s%u", ranges->begin > 0 ? ", " : "", number);
}

void text_ranges_of_set(struct text_ranges *ranges, const uint64_t *set, unsigned n)
{
    text_ranges_begin(ranges);
    for (unsigned number = 0; number < n; number++) {
        if ((set[number / 64] >> number % 64 & 1) != 0)
            text_ranges_add(ranges, number);
    }
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

int text_distance(const char *word, const char *other)
{
    int n = (int)strnlen(word, TEXT_DISTANCE_BYTES), m = (int)strnlen(other, TEXT_DISTANCE_BYTES);
    int d[TEXT_DISTANCE_BYTES + 1][TEXT_DISTANCE_BYTES + 1];

    for (int i = 0; i <= n; i++) {
        for (int j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = smaller(d[i - 1][j - 1] + (word[i - 1] != other[j - 1]),
                              smaller(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && word[i - 1] == other[j - 2] && word[i - 2] == other[j - 1])
                d[i][j] = smaller(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[n][m];
}
