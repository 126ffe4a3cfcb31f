#include "team/op.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"

/*
 * Loops are made of many elements at a time. Before version 12, and at -O2 later too, gcc does that only where
 * asked; and it fuses products with sums unless asked not to, some elements of an array and not others.
 */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#define EACH_ALONE _Pragma("clang loop vectorize(assume_safety)")
#else
#pragma GCC optimize("tree-vectorize", "vect-cost-model=dynamic", "fp-contract=off")
#define EACH_ALONE _Pragma("GCC ivdep")
#endif

/* The memory is the user's: of what type it is only he knows, and it may lie anywhere. */
#define ANYWHERE __attribute__((__may_alias__, __aligned__(1)))

#define KERNEL(name, type, expression)                                                                       \
    static void name(void *to, const void *left, const void *right, size_t n)                                \
    {                                                                                                        \
        typedef type ANYWHERE element;                                                                       \
        element *t = to;                                                                                     \
        const element *l = left, *r = right;                                                                 \
                                                                                                             \
        EACH_ALONE                                                                                           \
        for (size_t i = 0; i < n; i++) {                                                                     \
            const type a = l[i], b = r[i];                                                                   \
            t[i] = (type)(expression);                                                                       \
        }                                                                                                    \
    }

/* ---- Pairs ---- */

/* Takes the right pair where its value is beyond the left one, or neither is and its index is smaller. */
#define PAIR_KERNEL(name, type, is_beyond)                                                                   \
    static void name(void *to, const void *left, const void *right, size_t n)                                \
    {                                                                                                        \
        for (size_t at = 0; at < n * OP_PAIR_BYTES; at += OP_PAIR_BYTES) {                                   \
            const char *l = (const char *)left + at, *r = (const char *)right + at;                          \
            uint64_t chosen[2];                                                                              \
            int64_t i, k;                                                                                    \
            type a, b;                                                                                       \
                                                                                                             \
            memcpy(&a, l, sizeof a);                                                                         \
            memcpy(&b, r, sizeof b);                                                                         \
            memcpy(&i, l + OP_INDEX_AT, sizeof i);                                                           \
            memcpy(&k, r + OP_INDEX_AT, sizeof k);                                                           \
            memcpy(chosen, is_beyond(b, a) || (!is_beyond(a, b) && k < i) ? r : l, sizeof chosen);           \
            memcpy((char *)to + at, chosen, sizeof chosen);                                                  \
        }                                                                                                    \
    }

#define IS_ABOVE(a, b) ((a) > (b))
#define IS_BELOW(a, b) ((a) < (b))

/* ---- Whole numbers ---- */

/* wide: an unsigned type in which sums and products wrap, and that nothing is promoted to. */
#define LOGICAL_KERNELS(T, type)                                                                             \
    KERNEL(and_##T, type, (a != 0) & (b != 0))                                                               \
    KERNEL(or_##T, type, (a != 0) | (b != 0))                                                                \
    KERNEL(xor_##T, type, (a != 0) ^ (b != 0))

#define INTEGER_KERNELS(T, type, wide)                                                                       \
    KERNEL(sum_##T, type, (wide)a + (wide)b)                                                                 \
    KERNEL(prod_##T, type, (wide)a *(wide)b)                                                                 \
    KERNEL(min_##T, type, b < a ? b : a)                                                                     \
    KERNEL(max_##T, type, b > a ? b : a)                                                                     \
    LOGICAL_KERNELS(T, type)                                                                                 \
    KERNEL(band_##T, type, a &b)                                                                             \
    KERNEL(bor_##T, type, a | b)                                                                             \
    KERNEL(bxor_##T, type, a ^ b)                                                                            \
    PAIR_KERNEL(minloc_##T, type, IS_BELOW)                                                                  \
    PAIR_KERNEL(maxloc_##T, type, IS_ABOVE)

INTEGER_KERNELS(int8, int8_t, uint32_t)
INTEGER_KERNELS(int16, int16_t, uint32_t)
INTEGER_KERNELS(int32, int32_t, uint32_t)
INTEGER_KERNELS(int64, int64_t, uint64_t)
INTEGER_KERNELS(uint8, uint8_t, uint32_t)
INTEGER_KERNELS(uint16, uint16_t, uint32_t)
INTEGER_KERNELS(uint32, uint32_t, uint32_t)
INTEGER_KERNELS(uint64, uint64_t, uint64_t)

/* A bool is read as a byte: what is not 0 is true, whatever a program has made of it. */
#define IS_TRUER(a, b)  (((a) != 0) > ((b) != 0))
#define IS_FALSER(a, b) (((a) != 0) < ((b) != 0))
LOGICAL_KERNELS(bool, uint8_t)
PAIR_KERNEL(minloc_bool, uint8_t, IS_FALSER)
PAIR_KERNEL(maxloc_bool, uint8_t, IS_TRUER)

/* ---- Real numbers ---- */

/*
 * Of two equal numbers only zeros can differ, in the sign. No && and no ||, and signs compared as numbers: else
 * it would be one element at a time.
 */
#define REAL_KERNELS(T, type, sign)                                                                          \
    static inline bool is_above_##T(type a, type b)                                                          \
    {                                                                                                        \
        return ((a != a) & (b == b)) | (a > b) | ((a == b) & (sign(1, a) > sign(1, b)));                     \
    }                                                                                                        \
    static inline bool is_below_##T(type a, type b)                                                          \
    {                                                                                                        \
        return ((a != a) & (b == b)) | (a < b) | ((a == b) & (sign(1, a) < sign(1, b)));                     \
    }                                                                                                        \
    KERNEL(sum_##T, type, a + b)                                                                             \
    KERNEL(prod_##T, type, a *b)                                                                             \
    KERNEL(min_##T, type, is_below_##T(b, a) ? b : a)                                                        \
    KERNEL(max_##T, type, is_above_##T(b, a) ? b : a)                                                        \
    LOGICAL_KERNELS(T, type)                                                                                 \
    PAIR_KERNEL(minloc_##T, type, is_below_##T)                                                              \
    PAIR_KERNEL(maxloc_##T, type, is_above_##T)

REAL_KERNELS(float32, float, __builtin_copysignf)
REAL_KERNELS(float64, double, __builtin_copysign)

/* ---- Complex numbers ---- */

/* Real part, imaginary part: sums are those of twice as many real numbers. */
#define COMPLEX_KERNELS(T, type, part)                                                                       \
    static void sum_##T(void *to, const void *left, const void *right, size_t n)                             \
    {                                                                                                        \
        sum_##part(to, left, right, 2 * n);                                                                  \
    }                                                                                                        \
    static void prod_##T(void *to, const void *left, const void *right, size_t n)                            \
    {                                                                                                        \
        typedef type ANYWHERE element;                                                                       \
        element *t = to;                                                                                     \
        const element *l = left, *r = right;                                                                 \
                                                                                                             \
        EACH_ALONE                                                                                           \
        for (size_t i = 0; i < n; i++) {                                                                     \
            const type a = l[2 * i], b = l[2 * i + 1], c = r[2 * i], d = r[2 * i + 1];                       \
            t[2 * i] = a * c - b * d;                                                                        \
            t[2 * i + 1] = a * d + b * c;                                                                    \
        }                                                                                                    \
    }

COMPLEX_KERNELS(complex64, float, float32)
COMPLEX_KERNELS(complex128, double, float64)

/* ---- The table ---- */

#define N_DTYPES (SHAREDMEM_COMPLEX128 + 1)
#define N_OPS    (SHAREDMEM_MAXLOC + 1)

#define REAL_ROW(T)                                                                                          \
    [SHAREDMEM_SUM] = sum_##T, [SHAREDMEM_PROD] = prod_##T, [SHAREDMEM_MIN] = min_##T,                       \
    [SHAREDMEM_MAX] = max_##T, [SHAREDMEM_AND] = and_##T, [SHAREDMEM_OR] = or_##T,                           \
    [SHAREDMEM_XOR] = xor_##T, [SHAREDMEM_MINLOC] = minloc_##T, [SHAREDMEM_MAXLOC] = maxloc_##T
#define INTEGER_ROW(T)                                                                                       \
    REAL_ROW(T), [SHAREDMEM_BAND] = band_##T, [SHAREDMEM_BOR] = bor_##T, [SHAREDMEM_BXOR] = bxor_##T
#define COMPLEX_ROW(T) [SHAREDMEM_SUM] = sum_##T, [SHAREDMEM_PROD] = prod_##T

static op_kernel *const kernels[N_DTYPES][N_OPS] = {
    [SHAREDMEM_BOOL] = {[SHAREDMEM_SUM] = or_bool, [SHAREDMEM_PROD] = and_bool, [SHAREDMEM_MIN] = and_bool,
                        [SHAREDMEM_MAX] = or_bool, [SHAREDMEM_AND] = and_bool, [SHAREDMEM_OR] = or_bool,
                        [SHAREDMEM_XOR] = xor_bool, [SHAREDMEM_BAND] = and_bool, [SHAREDMEM_BOR] = or_bool,
                        [SHAREDMEM_BXOR] = xor_bool, [SHAREDMEM_MINLOC] = minloc_bool,
                        [SHAREDMEM_MAXLOC] = maxloc_bool},
    [SHAREDMEM_INT8] = {INTEGER_ROW(int8)},
    [SHAREDMEM_INT16] = {INTEGER_ROW(int16)},
    [SHAREDMEM_INT32] = {INTEGER_ROW(int32)},
    [SHAREDMEM_INT64] = {INTEGER_ROW(int64)},
    [SHAREDMEM_UINT8] = {INTEGER_ROW(uint8)},
    [SHAREDMEM_UINT16] = {INTEGER_ROW(uint16)},
    [SHAREDMEM_UINT32] = {INTEGER_ROW(uint32)},
    [SHAREDMEM_UINT64] = {INTEGER_ROW(uint64)},
    [SHAREDMEM_FLOAT32] = {REAL_ROW(float32)},
    [SHAREDMEM_FLOAT64] = {REAL_ROW(float64)},
    [SHAREDMEM_COMPLEX64] = {COMPLEX_ROW(complex64)},
    [SHAREDMEM_COMPLEX128] = {COMPLEX_ROW(complex128)},
};

static bool is_dtype(int32_t dtype)
{
    return dtype >= SHAREDMEM_BOOL && dtype <= SHAREDMEM_COMPLEX128;
}

static bool is_op(int32_t op)
{
    return op >= SHAREDMEM_SUM && op <= SHAREDMEM_MAXLOC;
}

op_kernel *op_find(int32_t dtype, int32_t op)
{
    return is_dtype(dtype) && is_op(op) ? kernels[dtype][op] : NULL;
}

op_kernel *op_find_alone(int32_t dtype, int32_t op)
{
    bool is_logical = op == SHAREDMEM_AND || op == SHAREDMEM_OR || op == SHAREDMEM_XOR;

    /* x or x is whether x is true. */
    if (op_find(dtype, op) == NULL || op >= SHAREDMEM_MINLOC || !(is_logical || dtype == SHAREDMEM_BOOL))
        return NULL;
    return kernels[dtype][SHAREDMEM_OR];
}

size_t op_element_bytes(int32_t dtype, int32_t op)
{
    if (op_find(dtype, op) == NULL)
        return 0;
    return op >= SHAREDMEM_MINLOC ? OP_PAIR_BYTES : sharedmem_itemsize(dtype);
}

void op_explain(const char *call, int32_t dtype, int32_t op, sharedmem_error *error)
{
    if (!is_dtype(dtype))
        error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: dtype is %d, which is none; give a sharedmem_dtype, SHAREDMEM_FLOAT64 for doubles", call,
                  (int)dtype);
    else if (!is_op(op))
        error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: op is %d, which is none; give a sharedmem_op, SHAREDMEM_SUM for sums", call, (int)op);
    else if (dtype >= SHAREDMEM_COMPLEX64)
        error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: op is %d; of complex numbers there are SHAREDMEM_SUM and SHAREDMEM_PROD", call, (int)op);
    else
        error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: op is %d, of bits, which is for bool and integers; of real numbers there are "
                  "SHAREDMEM_AND, SHAREDMEM_OR and SHAREDMEM_XOR, which ask whether they are 0",
                  call, (int)op);
}
