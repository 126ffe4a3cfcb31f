/*
 * sharedmem_dims(): n as a product of factors that are as near to each other as can be: the largest one as small as
 * possible, then the next, and so on.
 *
 * The largest is a divisor of n, and at least its k-th root. From the smallest such on each is tried, whether the
 * rest has k - 1 factors that are no larger; mostly the first or second does.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"

/* No number below 2^31 has more. */
#define DIVISORS_MAX 1536

struct divisors {
    int n;
    int rising[DIVISORS_MAX];
};

static int compare(const void *left, const void *right)
{
    return *(const int *)left - *(const int *)right;
}

static void find_divisors(int n, struct divisors *found)
{
    found->n = 0;
    for (int d = 1; d <= n / d; d++) {
        if (n % d != 0)
            continue;
        found->rising[found->n++] = d;
        if (d != n / d)
            found->rising[found->n++] = n / d;
    }
    qsort(found->rising, (size_t)found->n, sizeof *found->rising, compare);
}

/* Whether base to the power of k is n or more. */
static bool reaches(int base, int k, int n)
{
    int64_t power = 1;

    while (k-- > 0 && power < n)
        power *= base;
    return power >= n;
}

/* Writes k factors of n into dims, falling, none above most. Returns whether there are such. */
static bool factor(const struct divisors *divisors, int n, int k, int most, int *dims)
{
    if (k == 0)
        return n == 1;
    if (n == 1) {
        for (int i = 0; i < k; i++)
            dims[i] = 1;
        return true;
    }
    for (int i = 0; i < divisors->n && divisors->rising[i] <= most; i++) {
        int largest = divisors->rising[i];

        if (n % largest != 0 || !reaches(largest, k, n))
            continue;
        dims[0] = largest;
        if (factor(divisors, n / largest, k - 1, largest, dims + 1))
            return true;
    }
    return false;
}

/* The rest of n falls into the places that are 0, n_free of them. */
static void fill(int rest, int n_free, int ndims, int *dims)
{
    struct divisors divisors;
    /* No more than 30 factors of an int are above 1. */
    int factors[32], n_factors = n_free < 32 ? n_free : 32;

    find_divisors(rest, &divisors);
    factor(&divisors, rest, n_factors, rest, factors);
    for (int i = 0, next = 0; i < ndims; i++) {
        if (dims[i] != 0)
            continue;
        dims[i] = next < n_factors ? factors[next] : 1;
        next++;
    }
}

static int check(int n, int ndims, const int *dims, sharedmem_error *error)
{
    if (n < 1)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL, "dims: n is %d; give how many ranks there are",
                         n);
    if (ndims < 1)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL, "dims: ndims is %d; a grid has 1 or more",
                         ndims);
    if (dims == NULL)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "dims: dims is NULL; give an array of %d, with 0 for each that is to be set", ndims);
    for (int i = 0; i < ndims; i++) {
        if (dims[i] < 0)
            return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                             "dims: dims[%d] is %d; give 0 for one that is to be set", i, dims[i]);
    }
    return 0;
}

static int divide(int n, int ndims, int *dims, sharedmem_error *error)
{
    int rest = n, n_free = 0;

    for (int i = 0; i < ndims; i++) {
        if (dims[i] == 0) {
            n_free++;
            continue;
        }
        if (rest % dims[i] != 0)
            return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                             "dims: %d ranks are no multiple of the dimensions that are given; set dims[%d], "
                             "which is %d, to 0 or a divisor",
                             n, i, dims[i]);
        rest /= dims[i];
    }
    if (n_free == 0 && rest != 1)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "dims: the dimensions that are given have %d ranks, and there are %d; set one to 0",
                         n / rest, n);
    if (n_free > 0)
        fill(rest, n_free, ndims, dims);
    return 0;
}

int sharedmem_dims_at(int n, int ndims, int *dims, const char *where)
{
    sharedmem_error error;

    error_clear(&error);
    if (check(n, ndims, dims, &error) == 0 && divide(n, ndims, dims, &error) == 0)
        return 0;
    return error_end_call(&error, false, where);
}
