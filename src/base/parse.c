#include "base/parse.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
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

/* Copies the unit behind a number, which may be none. Returns -1 where more than one word is left of text. */
static int take_unit(const char *text, char unit[8])
{
    size_t length;

    text = skip_blanks(text);
    length = strcspn(text, " \t\n");
    if (length >= 8 || *skip_blanks(text + length) != '\0')
        return -1;
    memcpy(unit, text, length);
    unit[length] = '\0';
    return 0;
}

int parse_size(const char *text, uint64_t *value)
{
    uint64_t number;
    char unit[8];
    const char *rest = parse_digits(skip_blanks(text), &number);
    int shift;

    if (rest == NULL || take_unit(rest, unit) != 0)
        return -1;
    shift = unit_shift(unit);
    if (shift < 0 || number > UINT64_MAX >> shift)
        return -1;
    *value = number << shift;
    return 0;
}

/* The nanoseconds of a unit of time, 0 where there is none such. */
static uint64_t unit_ns(const char *unit)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {
        {"", 1000000000u},
        {"s", 1000000000u},
        {"ms", 1000000u},
        {"m", UINT64_C(60) * 1000000000u},
        {"h", UINT64_C(3600) * 1000000000u},
        {"d", UINT64_C(86400) * 1000000000u},
    };

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(unit, units[i].name) == 0)
            return units[i].ns;
    }
    return 0;
}

/* Reads what is behind the first number of 1:30:00, and adds all up in seconds. */
static int parse_clock(const char *text, uint64_t *seconds)
{
    for (int n_colons = 0; *text == ':' && n_colons < 2; n_colons++) {
        uint64_t part;

        text = parse_digits(text + 1, &part);
        if (text == NULL || part >= 60)
            return -1;
        if (__builtin_mul_overflow(*seconds, 60u, seconds) || __builtin_add_overflow(*seconds, part, seconds))
            return -1;
    }
    return *skip_blanks(text) == '\0' ? 0 : -1;
}

int parse_duration(const char *text, uint64_t *ns)
{
    uint64_t number, product;
    char unit[8] = "s";
    const char *rest = parse_digits(skip_blanks(text), &number);

    if (rest == NULL)
        return -1;
    if ((*rest == ':' ? parse_clock(rest, &number) : take_unit(rest, unit)) != 0)
        return -1;
    if (unit_ns(unit) == 0 || __builtin_mul_overflow(number, unit_ns(unit), &product))
        return -1;
    if (product > PARSE_DURATION_MAX_NS)
        return -1;
    *ns = product;
    return 0;
}

#define MAX_HOSTS (1 << 20)

/* Reads a number from 1 to max at *text and goes behind it. Returns 0 where there is none. */
static int take_count(const char **text, int max)
{
    long number;
    char *end;

    if (!isdigit((unsigned char)**text))
        return 0;
    number = strtol(*text, &end, 10);
    *text = end;
    return number <= max ? (int)number : 0;
}

int parse_list_entry(const char *text, long host, int max, int *n_hosts)
{
    int entry = 0;

    *n_hosts = 0;
    for (;; text++) {
        int count = take_count(&text, max), n_times = 1;

        if (strncmp(text, "(x", 2) == 0) {
            text += 2;
            n_times = take_count(&text, MAX_HOSTS);
            if (*text++ != ')')
                return 0;
        }
        if (count == 0 || n_times == 0 || n_times > MAX_HOSTS - *n_hosts)
            return 0;
        if (host >= *n_hosts && host < *n_hosts + n_times)
            entry = count;
        *n_hosts += n_times;
        if (*text != ',')
            return *text == '\0' ? entry : 0;
    }
}
