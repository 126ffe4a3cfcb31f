#include "base/text.h"

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
