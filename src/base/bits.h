/* bits.h: small sums with sizes. */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <stddef.h>
#include <stdint.h>

/* The smallest power of two that is not less than n, which is at most 2^63. */
static inline uint64_t bits_power_of_two(uint64_t n)
{
    return n <= 1 ? 1 : (uint64_t)1 << (64 - __builtin_clzll(n - 1));
}

/* Data of users begin at a multiple of this, whatever their type. */
#define BITS_ALIGNMENT ((size_t)16)

/* bytes, rounded up to a multiple of to; the sum must not overflow. */
static inline size_t bits_round_up(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

static inline uint64_t bits_smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* a - b, not below 0. */
static inline uint64_t bits_difference(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

#endif
