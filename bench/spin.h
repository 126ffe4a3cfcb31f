/*
 * spin.h: what both sides of a comparison use alike: the clock, waiting, work of a given length, and random
 * numbers. Plain enough for C++ too.
 */
#ifndef BENCH_SPIN_H
#define BENCH_SPIN_H

#include <sched.h>
#include <stdint.h>
#include <time.h>

/* Longer than a hand-off between running processes takes; more would keep the owner off the core. */
#define SPIN_PAUSES 50

static inline uint64_t spin_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void spin_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* One step of waiting, spin then yield; *steps is 0 before the first. */
static inline void spin_step(unsigned *steps)
{
    if (*steps >= SPIN_PAUSES) {
        sched_yield();
        return;
    }
    ++*steps;
    spin_pause();
}

/*
 * Works for a number of loops. A length in time, read off the clock, would count the time in which others
 * have the core as work done. Each loop waits for the multiplication of the one before, so that it takes
 * as long wherever the compiler puts it.
 */
static inline void spin_work(uint64_t loops)
{
    uint64_t x = 1;

    while (loops-- > 0) {
        x *= 0x9e3779b97f4a7c15u;
        __asm__ volatile("" : "+r"(x));
    }
}

/* The next of a sequence that is the same each time; *state is where it is, not 0 at first. */
static inline uint64_t spin_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
