/*
 * numeric.h: what the calls over arrays have in common. Each dtype has a key, an unsigned number that orders
 * its values as NumPy does: -0.0 and 0.0 have one key, all NaNs have the largest. So one loop serves all
 * dtypes: a function that is inlined into NUMERIC_WITH_DTYPE() sees its dtype as a constant, and becomes the
 * typed loop.
 */
#ifndef RUN_NUMERIC_H
#define RUN_NUMERIC_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "sharedmem.h"

#define NUMERIC_INLINE static inline __attribute__((__always_inline__))

/* A key of any dtype; those of 8 bytes or less leave the upper half 0. */
__extension__ typedef unsigned __int128 numeric_key;

/* What is sorted: elements of a dtype, or, for argsort, their keys with their indices behind them. */
enum { NUMERIC_RECORD = SHAREDMEM_COMPLEX128 + 1, NUMERIC_WIDE_RECORD };

#define NUMERIC_CASE_(D, value, statement)                                                                   \
    case value: {                                                                                            \
        enum { D = value };                                                                                  \
        statement;                                                                                           \
        break;                                                                                               \
    }

/* Executes the statement of the dtype, which is D in it, a constant. */
#define NUMERIC_WITH_DTYPE(D, dtype, statement)                                                              \
    do {                                                                                                     \
        switch (dtype) {                                                                                     \
            NUMERIC_CASE_(D, SHAREDMEM_BOOL, statement)                                                      \
            NUMERIC_CASE_(D, SHAREDMEM_INT8, statement)                                                      \
            NUMERIC_CASE_(D, SHAREDMEM_INT16, statement)                                                     \
            NUMERIC_CASE_(D, SHAREDMEM_INT32, statement)                                                     \
            NUMERIC_CASE_(D, SHAREDMEM_INT64, statement)                                                     \
            NUMERIC_CASE_(D, SHAREDMEM_UINT8, statement)                                                     \
            NUMERIC_CASE_(D, SHAREDMEM_UINT16, statement)                                                    \
            NUMERIC_CASE_(D, SHAREDMEM_UINT32, statement)                                                    \
            NUMERIC_CASE_(D, SHAREDMEM_UINT64, statement)                                                    \
            NUMERIC_CASE_(D, SHAREDMEM_FLOAT32, statement)                                                   \
            NUMERIC_CASE_(D, SHAREDMEM_FLOAT64, statement)                                                   \
            NUMERIC_CASE_(D, SHAREDMEM_COMPLEX64, statement)                                                 \
            NUMERIC_CASE_(D, SHAREDMEM_COMPLEX128, statement)                                                \
        }                                                                                                    \
    } while (0)

/*
 * What a call over an array returns, by what was returned within. Where sharedmem_stop() ended it there is no
 * error to tell, but no result either.
 */
int numeric_outcome(int code, const sharedmem_error *error);

/* ---- Keys ---- */

/* How many bytes the key of a dtype or record has. */
NUMERIC_INLINE size_t numeric_key_bytes(int32_t kind)
{
    switch (kind) {
    case SHAREDMEM_BOOL:
    case SHAREDMEM_INT8:
    case SHAREDMEM_UINT8:
        return 1;
    case SHAREDMEM_INT16:
    case SHAREDMEM_UINT16:
        return 2;
    case SHAREDMEM_INT32:
    case SHAREDMEM_UINT32:
    case SHAREDMEM_FLOAT32:
        return 4;
    case SHAREDMEM_COMPLEX128:
    case NUMERIC_WIDE_RECORD:
        return 16;
    default:
        return 8;
    }
}

/* How many bytes an element or a record has: the index is behind the key. */
NUMERIC_INLINE size_t numeric_item_bytes(int32_t kind)
{
    return numeric_key_bytes(kind) + (kind >= NUMERIC_RECORD ? sizeof(int64_t) : 0);
}

/* size bytes at any address, as an unsigned number. */
NUMERIC_INLINE uint64_t numeric_bits(const char *at, size_t size)
{
    uint8_t one;
    uint16_t two;
    uint32_t four;
    uint64_t eight;

    switch (size) {
    case 1:
        memcpy(&one, at, sizeof one);
        return one;
    case 2:
        memcpy(&two, at, sizeof two);
        return two;
    case 4:
        memcpy(&four, at, sizeof four);
        return four;
    default:
        memcpy(&eight, at, sizeof eight);
        return eight;
    }
}

/* The largest number of size bytes. */
NUMERIC_INLINE uint64_t numeric_all_ones(size_t size)
{
    return UINT64_MAX >> (64 - 8 * size);
}

/*
 * Of a float or double. The numbers' keys go down and up from that of 0.0, which is the sign bit; beyond that
 * of infinity there is room for NaN, and for more.
 */
NUMERIC_INLINE uint64_t numeric_real_key(const char *at, size_t size)
{
    const uint64_t sign = (uint64_t)1 << (8 * size - 1);
    const uint64_t infinity = size == 4 ? (uint64_t)0xff << 23 : (uint64_t)0x7ff << 52;
    uint64_t bits = numeric_bits(at, size), magnitude = bits & (sign - 1);

    if (magnitude > infinity)
        return numeric_all_ones(size);
    return bits & sign ? sign - magnitude : sign + magnitude;
}

/*
 * Of a complex number of two parts: by its real part, then by its imaginary one. NumPy puts R + nan i behind
 * all numbers, by R; then nan + I i, by I; then nan + nan i.
 */
NUMERIC_INLINE numeric_key numeric_complex_key(const char *at, size_t size)
{
    const uint64_t nan = numeric_all_ones(size);
    uint64_t high = numeric_real_key(at, size), low = numeric_real_key(at + size, size);

    if (high == nan) {
        high = low == nan ? nan : nan - 1;
    } else if (low == nan) {
        low = high;
        high = nan - 2;
    }
    return (numeric_key)high << (8 * size) | low;
}

NUMERIC_INLINE numeric_key numeric_key_of(const char *item, int32_t kind)
{
    const size_t size = numeric_key_bytes(kind);

    switch (kind) {
    case SHAREDMEM_BOOL:
        return numeric_bits(item, 1) != 0;
    case SHAREDMEM_INT8:
    case SHAREDMEM_INT16:
    case SHAREDMEM_INT32:
    case SHAREDMEM_INT64:
        return numeric_bits(item, size) ^ (uint64_t)1 << (8 * size - 1);
    case SHAREDMEM_FLOAT32:
    case SHAREDMEM_FLOAT64:
        return numeric_real_key(item, size);
    case SHAREDMEM_COMPLEX64:
    case SHAREDMEM_COMPLEX128:
        return numeric_complex_key(item, size / 2);
    case NUMERIC_WIDE_RECORD:
        return (numeric_key)numeric_bits(item + 8, 8) << 64 | numeric_bits(item, 8);
    default:
        return numeric_bits(item, size);
    }
}

/* Where keys have 8 bytes, no more are compared. */
NUMERIC_INLINE bool numeric_less(numeric_key a, numeric_key b, int32_t kind)
{
    return numeric_key_bytes(kind) > 8 ? a < b : (uint64_t)a < (uint64_t)b;
}

/* ---- Calls ---- */

/*
 * Whether a call can work on a: it is an array, and its elements lie side by side in C order. *n is how many
 * there are. Returns 0, or -1 with error, whose message begins with the call's name, and errno EINVAL.
 */
int numeric_check(const char *call, const sharedmem_array *a, size_t *n, sharedmem_error *error);

/* The same, and whether a has one dimension, or none. */
int numeric_check_row(const char *call, const sharedmem_array *a, size_t *n, sharedmem_error *error);

/* Returns 0, or -1 with error where the place for what comes out is NULL. */
int numeric_check_output(const char *call, const char *name, const void *output, sharedmem_error *error);

/*
 * How many processes share the work on n elements, the caller among them: no more than sharedmem_cpu_count(),
 * and each has share elements at least. 1, the caller alone, where they are no more than small.
 */
int numeric_count_ranks(size_t n, size_t small, size_t share);

/*
 * sharedmem_parallel() with np ranks; body is called by the caller alone where np is 1, outside of any team.
 * call is what messages name, and error is filled.
 */
int numeric_parallel(const char *call, int np, sharedmem_function *body, void *context,
                     sharedmem_error *error);

/* Shared memory for the ranks' work. NULL with errno, and error, which begins with the call's name. */
void *numeric_allocate(const char *call, size_t bytes, sharedmem_error *error);

#endif
