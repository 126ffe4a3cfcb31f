#include "base/text.h"

#include <stdio.h>
#include <string.h>

static int is_break(char c)
{
    return c == '\n' || c == '\r';
}

void text_one_line(char *text)
{
    size_t length = strlen(text);

    while (length > 0 && is_break(text[length - 1]))
        text[--length] = '\0';
    for (; *text != '\0'; text++) {
        if (is_break(*text))
            *text = ' ';
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
