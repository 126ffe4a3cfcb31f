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
