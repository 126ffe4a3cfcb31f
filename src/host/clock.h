/* clock.h: time in nanoseconds; the clocks cost tens of nanoseconds and never fail. And for persons. */
#ifndef HOST_CLOCK_H
#define HOST_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t clock_read_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ns, as calls of the system want a timeout. */
static inline struct timespec clock_timespec(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
}

/* For durations and deadlines. */
static inline uint64_t clock_monotonic_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

/* Time since boot, which the kernel counts starts of processes in. */
static inline uint64_t clock_boot_ns(void)
{
    return clock_read_ns(CLOCK_BOOTTIME);
}

/* Writes the local date and time, "2026-03-31 09:05:00.123", cut to size. Returns its length. */
size_t clock_calendar(char *text, size_t size);

#endif
