#include "base/parse.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t\n");
}

/* Reads the digits at text. Returns what follows them, or NULL where there are none or they overflow. */
static const char *parse_digits(const char *text, uint64_t *value)
{
    uint64_t sum = 0;

    if (!isdigit((unsigned char)*text))
        return NULL;
    for (; isdigit((unsigned char)*text); text++) {
        if (__builtin_mul_overflow(sum, 10u, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(*text - '0'), &sum))
            return NULL;
    }
    *value = sum;
    return text;
}

int parse_int(const char *text, long min, long max, long *value)
{
    uint64_t number;
    const char *rest = parse_digits(skip_blanks(text), &number);

    if (rest == NULL || *skip_blanks(rest) != '\0')
        return -1;
    if (number < (uint64_t)min || number > (uint64_t)max)
        return -1;
    *value = (long)number;
    return 0;
}

/* The power of two that a unit stands for, or -1. */
static int unit_shift(const char *unit)
{
    static const char letters[] = "KMGT";
    const char *letter;

    if (*unit == '\0')
        return 0;
    letter = strchr(letters, toupper((unsigned char)*unit));
    if (letter == NULL)
        return -1;
    if (unit[1] != '\0' && strcasecmp(unit + 1, "B") != 0 && strcasecmp(unit + 1, "iB") != 0)
        return -1;
    return 10 * (int)(letter - letters + 1);
}

int parse_size(const char *text, uint64_t *value)
{
    uint64_t number;
    char unit[8];
    const char *rest = parse_digits(skip_blanks(text), &number);
    size_t length;
    int shift;

    if (rest == NULL)
        return -1;
    rest = skip_blanks(rest);
    length = strcspn(rest, " \t\n");
    if (length >= sizeof unit || *skip_blanks(rest + length) != '\0')
        return -1;
    memcpy(unit, rest, length);
    unit[length] = '\0';
    shift = unit_shift(unit);
    if (shift < 0 || number > UINT64_MAX >> shift)
        return -1;
    *value = number << shift;
    return 0;
}
