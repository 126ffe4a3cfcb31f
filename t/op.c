/*
 * The kernels: each op on each dtype against a plain sentence of it, for all pairs of awkward values, of any
 * number and at any address, in place too; and which ops make no sense.
 */
#include "team/op.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MAX_ELEMENTS    400
#define MAX_BYTES       (MAX_ELEMENTS * OP_PAIR_BYTES + 64)

__extension__ typedef __int128 whole;

static const char *const dtype_names[] = {"none",   "bool",   "int8",   "int16",   "int32",   "int64",     "uint8",
                                          "uint16", "uint32", "uint64", "float32", "float64", "complex64", "complex128"};
static const char *const op_names[] = {"none", "sum",  "prod", "min",  "max",    "and",   "or",
                                       "xor",  "band", "bor",  "bxor", "minloc", "maxloc"};

static bool is_real(int32_t dtype)
{
    return dtype == SHAREDMEM_FLOAT32 || dtype == SHAREDMEM_FLOAT64;
}

static bool is_complex(int32_t dtype)
{
    return dtype >= SHAREDMEM_COMPLEX64;
}

static bool is_signed(int32_t dtype)
{
    return dtype >= SHAREDMEM_INT8 && dtype <= SHAREDMEM_INT64;
}

static bool makes_sense(int32_t dtype, int32_t op)
{
    if (is_complex(dtype))
        return op <= SHAREDMEM_PROD;
    return !is_real(dtype) || op < SHAREDMEM_BAND || op > SHAREDMEM_BXOR;
}

/* ---- What is right ---- */

static whole read_whole(const char *from, int32_t dtype)
{
    size_t size = sharedmem_itemsize(dtype);
    uint64_t bits = 0;

    memcpy(&bits, from, size);
    if (is_signed(dtype) && size < 8 && (bits >> (8 * size - 1)) != 0)
        bits |= UINT64_MAX << (8 * size);
    return is_signed(dtype) ? (whole)(int64_t)bits : (whole)bits;
}

static double read_real(const char *from, int32_t dtype)
{
    double real;
    float single;

    memcpy(&real, from, dtype == SHAREDMEM_FLOAT64 ? sizeof real : 0);
    memcpy(&single, from, sizeof single);
    return dtype == SHAREDMEM_FLOAT64 ? real : (double)single;
}

static void write_real(char *to, double value, int32_t dtype)
{
    float single = (float)value;

    if (dtype == SHAREDMEM_FLOAT64)
        memcpy(to, &value, sizeof value);
    else
        memcpy(to, &single, sizeof single);
}

/* -1: a comes before b in the order of MIN and MAX; 1: behind it; 0: none of both. beyond: where a NaN is. */
static int order(const char *a, const char *b, int32_t dtype, int beyond)
{
    if (is_real(dtype)) {
        double x = read_real(a, dtype), y = read_real(b, dtype);

        if (isnan(x) || isnan(y))
            return isnan(x) && isnan(y) ? 0 : isnan(x) ? beyond : -beyond;
        if (x != y)
            return x < y ? -1 : 1;
        return signbit(x) == signbit(y) ? 0 : signbit(x) ? -1 : 1;
    }
    whole x = read_whole(a, dtype), y = read_whole(b, dtype);

    if (dtype == SHAREDMEM_BOOL) {
        x = x != 0;
        y = y != 0;
    }
    return x < y ? -1 : x > y;
}

static whole whole_result(whole a, whole b, int32_t op)
{
    switch (op) {
    case SHAREDMEM_SUM:
        return a + b;
    case SHAREDMEM_PROD:
        /* Modulo 2^64, whose lowest bytes are all that is written. */
        return (whole)((uint64_t)a * (uint64_t)b);
    case SHAREDMEM_MIN:
        return a < b ? a : b;
    case SHAREDMEM_MAX:
        return a > b ? a : b;
    case SHAREDMEM_AND:
        return a != 0 && b != 0;
    case SHAREDMEM_OR:
        return a != 0 || b != 0;
    case SHAREDMEM_XOR:
        return (a != 0) != (b != 0);
    case SHAREDMEM_BAND:
        return a & b;
    case SHAREDMEM_BOR:
        return a | b;
    default:
        return a ^ b;
    }
}

static void expect_whole(char *to, const char *a, const char *b, int32_t dtype, int32_t op)
{
    whole x = read_whole(a, dtype), y = read_whole(b, dtype);
    uint64_t bits;

    if (dtype == SHAREDMEM_BOOL)
        bits = whole_result(x != 0, y != 0, op) != 0;
    else
        bits = (uint64_t)whole_result(x, y, op);
    memcpy(to, &bits, sharedmem_itemsize(dtype));
}

/* volatile: each is rounded by itself. */
static double rounded(double value, int32_t part)
{
    volatile float single = (float)value;
    volatile double real = value;

    return part == SHAREDMEM_FLOAT32 ? (double)single : real;
}

static void expect_real(char *to, const char *a, const char *b, int32_t dtype, int32_t op)
{
    double x = read_real(a, dtype), y = read_real(b, dtype);

    switch (op) {
    case SHAREDMEM_SUM:
        write_real(to, rounded(x + y, dtype), dtype);
        break;
    case SHAREDMEM_PROD:
        write_real(to, rounded(x * y, dtype), dtype);
        break;
    case SHAREDMEM_MIN:
        memcpy(to, order(a, b, dtype, -1) <= 0 ? a : b, sharedmem_itemsize(dtype));
        break;
    case SHAREDMEM_MAX:
        memcpy(to, order(a, b, dtype, 1) >= 0 ? a : b, sharedmem_itemsize(dtype));
        break;
    default:
        write_real(to, (double)whole_result(x != 0, y != 0, op), dtype);
    }
}

static void expect_complex(char *to, const char *a, const char *b, int32_t dtype, int32_t op)
{
    int32_t part = dtype == SHAREDMEM_COMPLEX64 ? SHAREDMEM_FLOAT32 : SHAREDMEM_FLOAT64;
    size_t at = sharedmem_itemsize(part);
    double x = read_real(a, part), y = read_real(a + at, part);
    double u = read_real(b, part), v = read_real(b + at, part);

    if (op == SHAREDMEM_SUM) {
        write_real(to, rounded(x + u, part), part);
        write_real(to + at, rounded(y + v, part), part);
    } else {
        write_real(to, rounded(rounded(x * u, part) - rounded(y * v, part), part), part);
        write_real(to + at, rounded(rounded(x * v, part) + rounded(y * u, part), part), part);
    }
}

static void expect_pair(char *to, const char *a, const char *b, int32_t dtype, int32_t op)
{
    int which = op == SHAREDMEM_MAXLOC ? order(a, b, dtype, 1) : -order(a, b, dtype, -1);
    int64_t i, k;

    memcpy(&i, a + OP_INDEX_AT, sizeof i);
    memcpy(&k, b + OP_INDEX_AT, sizeof k);
    memcpy(to, which > 0 || (which == 0 && i <= k) ? a : b, OP_PAIR_BYTES);
}

static void expect(char *to, const char *a, const char *b, int32_t dtype, int32_t op)
{
    if (op >= SHAREDMEM_MINLOC)
        expect_pair(to, a, b, dtype, op);
    else if (is_complex(dtype))
        expect_complex(to, a, b, dtype, op);
    else if (is_real(dtype))
        expect_real(to, a, b, dtype, op);
    else
        expect_whole(to, a, b, dtype, op);
}

/* ---- Values ---- */

static const int64_t wholes[] = {0,   1,     -1,     2,         7,          -128,        127,       128,
                                 255, 32767, -32768, INT32_MIN, INT32_MAX, UINT32_MAX, INT64_MIN, INT64_MAX};
static const double reals[] = {0.0, -0.0, 1, -1, 0.1, -3.7, 1e30, -1e30, (double)NAN, (double)-NAN,
                               (double)INFINITY, (double)-INFINITY, FLT_MIN / 4, DBL_MIN, 1 + DBL_EPSILON, 1 - 1e-7};
#define N_VALUES COUNT_OF(wholes)
_Static_assert(COUNT_OF(reals) == N_VALUES, "as many of both");

/* Value i; of complex numbers and pairs the second part goes another way round. */
static void write_value(char *to, size_t i, int32_t dtype, int32_t op)
{
    int32_t part = dtype == SHAREDMEM_COMPLEX64 ? SHAREDMEM_FLOAT32 : SHAREDMEM_FLOAT64;
    int64_t index = (int64_t)(i * 5 % 3) - 1;

    memset(to, 0x55, op_element_bytes(dtype, op));
    if (is_complex(dtype)) {
        write_real(to, reals[i], part);
        write_real(to + sharedmem_itemsize(part), reals[(i * 7 + 3) % N_VALUES], part);
    } else if (is_real(dtype)) {
        write_real(to, reals[i], dtype);
    } else {
        memcpy(to, &wholes[i], sharedmem_itemsize(dtype));
    }
    if (op >= SHAREDMEM_MINLOC)
        memcpy(to + OP_INDEX_AT, &index, sizeof index);
}

/* NaNs of sums and products may be any. */
static bool is_same(const char *got, const char *expected, int32_t dtype, int32_t op)
{
    int32_t part = dtype == SHAREDMEM_COMPLEX64 ? SHAREDMEM_FLOAT32 : is_complex(dtype) ? SHAREDMEM_FLOAT64 : dtype;
    size_t bytes = op_element_bytes(dtype, op), step = is_real(part) ? sharedmem_itemsize(part) : bytes;

    if (!is_real(part) || op > SHAREDMEM_PROD)
        return memcmp(got, expected, bytes) == 0;
    for (size_t at = 0; at < bytes; at += step) {
        if (memcmp(got + at, expected + at, step) != 0 &&
            !(isnan(read_real(got + at, part)) && isnan(read_real(expected + at, part))))
            return false;
    }
    return true;
}

/* ---- Kernels ---- */

static char lefts[MAX_BYTES], rights[MAX_BYTES], tos[MAX_BYTES], wanted[MAX_BYTES];

/* All pairs of values, from element `from` on. */
static void fill(size_t shift, size_t from, size_t n, int32_t dtype, int32_t op)
{
    size_t bytes = op_element_bytes(dtype, op);

    for (size_t i = 0; i < n; i++) {
        write_value(lefts + shift + i * bytes, (from + i) / N_VALUES % N_VALUES, dtype, op);
        write_value(rights + shift + i * bytes, (from + i) % N_VALUES, dtype, op);
        expect(wanted + i * bytes, lefts + shift + i * bytes, rights + shift + i * bytes, dtype, op);
    }
}

/* where 0: the result has a place of its own; 1: it replaces the left ones; 2: the right ones. */
static size_t count_wrong(size_t shift, size_t from, size_t n, int where, int32_t dtype, int32_t op)
{
    size_t bytes = op_element_bytes(dtype, op), wrong = 0;
    char *to = (where == 0 ? tos : where == 1 ? lefts : rights) + shift;

    memset(tos, 0x77, sizeof tos);
    memset(lefts, 0x77, sizeof lefts);
    memset(rights, 0x77, sizeof rights);
    fill(shift, from, n, dtype, op);
    op_find(dtype, op)(to, lefts + shift, rights + shift, n);
    for (size_t i = 0; i < n; i++)
        wrong += !is_same(to + i * bytes, wanted + i * bytes, dtype, op);
    return wrong + (to[n * bytes] != 0x77) + (shift > 0 && to[-1] != 0x77);
}

static void test_kernel(int32_t dtype, int32_t op)
{
    size_t wrong = 0;

    for (int where = 0; where < 3; where++) {
        wrong += count_wrong(0, 0, N_VALUES * N_VALUES, where, dtype, op);
        for (size_t n = 0; n < 40; n++)
            wrong += count_wrong(n % 17, n * 13, n, where, dtype, op);
    }
    test_int(0, (long long)wrong, "%s of %s", op_names[op], dtype_names[dtype]);
}

static void test_senseless(int32_t dtype, int32_t op, const char *words)
{
    sharedmem_error error;

    op_explain("scan", dtype, op, &error);
    test_ok(op_find(dtype, op) == NULL && op_element_bytes(dtype, op) == 0, "no op %d of dtype %d", (int)op,
            (int)dtype);
    test_ok(error.kind == SHAREDMEM_ERROR_USAGE && error.code == EINVAL, "a usage error");
    test_has(words, error.message, "which says so");
}

int main(void)
{
    test_begin(30);
    for (int32_t dtype = SHAREDMEM_BOOL; dtype <= SHAREDMEM_COMPLEX128; dtype++) {
        for (int32_t op = SHAREDMEM_SUM; op <= SHAREDMEM_MAXLOC; op++) {
            if (makes_sense(dtype, op))
                test_kernel(dtype, op);
            else
                test_senseless(dtype, op, is_complex(dtype) ? "complex numbers" : "of bits");
        }
    }
    test_senseless(0, SHAREDMEM_SUM, "scan: dtype is 0, which is none");
    test_senseless(14, SHAREDMEM_SUM, "scan: dtype is 14, which is none");
    test_senseless(INT32_MIN, SHAREDMEM_SUM, "which is none");
    test_senseless(SHAREDMEM_INT8, 0, "scan: op is 0, which is none");
    test_senseless(SHAREDMEM_INT8, 13, "scan: op is 13, which is none");
    test_senseless(SHAREDMEM_INT8, INT32_MAX, "which is none");
    return test_end();
}
