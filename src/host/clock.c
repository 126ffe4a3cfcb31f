#include "host/clock.h"

#include <stdio.h>

size_t clock_calendar(char *text, size_t size)
{
    uint64_t ns = clock_read_ns(CLOCK_REALTIME);
    time_t seconds = (time_t)(ns / 1000000000u);
    struct tm local;
    size_t length;

    localtime_r(&seconds, &local);
    length = strftime(text, size, "%Y-%m-%d %H:%M:%S", &local);
    length += (size_t)snprintf(text + length, size - length, ".%03u", (unsigned)(ns / 1000000u % 1000));
    return length < size ? length : size - 1;
}
