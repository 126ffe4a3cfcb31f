/*
 * integrate: pi as the area under 4 / (1 + x^2) from 0 to 1, cut into strips, in three ways that must agree.
 *
 *     integrate [STRIPS]        16777216 by default
 *
 * critical: each item adds its part to one sum in shared memory, in a critical region, whenever it is ready.
 * returned: each item's part is its result, and reduce adds them up, by rising item.
 * serial:   the caller alone, part after part.
 *
 * An item is 65,536 strips. "returned" and "serial" add the same numbers in the same order, so that every bit
 * is equal. "critical" adds the same numbers in any order. To add n positive numbers takes n - 1 roundings,
 * each wrong by half a DBL_EPSILON of the sum at most. So two orders differ by less than
 * n * DBL_EPSILON * sum.
 */
#define _POSIX_C_SOURCE 200809L

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sharedmem.h>

#define STRIPS_PER_ITEM 65536
#define STRIPS_DEFAULT  16777216
#define STRIPS_MAX      1000000000000

static const double pi = 3.14159265358979323846;

struct job {
    size_t strips;
    size_t n_items;     /* the last one may be shorter */
    double *shared_sum; /* of "critical" */
    double sum;         /* of "returned" */
};

/* The part of item i. */
static double part(const struct job *job, size_t i)
{
    size_t begin = i * STRIPS_PER_ITEM;
    size_t end = i + 1 < job->n_items ? begin + STRIPS_PER_ITEM : job->strips;
    double heights = 0;

    for (size_t k = begin; k < end; k++) {
        double x = ((double)k + 0.5) / (double)job->strips;

        heights += 4 / (1 + x * x);
    }
    return heights / (double)job->strips;
}

/* Item i in a worker, for "critical". Only the addition is in the region, where one is at a time. */
static int add_part(size_t i, void *result, void *context)
{
    const struct job *job = context;
    double mine = part(job, i);

    (void)result;
    SHAREDMEM_CRITICAL
    {
        *job->shared_sum += mine;
    }
    return 0;
}

/* Item i in a worker, for "returned". */
static int return_part(size_t i, void *result, void *context)
{
    *(double *)result = part(context, i);
    return 0;
}

/* Item i's result, on the master. */
static int reduce(size_t i, void *result, void *context)
{
    struct job *job = context;

    (void)i;
    job->sum += *(double *)result;
    return 0;
}

/* Without .error the library itself reports a failure, and ends the program. */
static double integrate_critical(struct job *job)
{
    *job->shared_sum = 0;
    sharedmem_map(job->n_items, add_part, job);
    return *job->shared_sum;
}

static double integrate_returned(struct job *job)
{
    job->sum = 0;
    sharedmem_map(job->n_items, return_part, job, .result_size = sizeof(double), .reduce = reduce);
    return job->sum;
}

static double integrate_serial(struct job *job)
{
    double sum = 0;

    for (size_t i = 0; i < job->n_items; i++)
        sum += part(job, i);
    return sum;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double timed(const char *name, double (*integrate)(struct job *job), struct job *job)
{
    double begin = seconds();
    double sum = integrate(job);

    printf("%s  %.16f  in %.4f s\n", name, sum, seconds() - begin);
    return sum;
}

/*
 * Strips taken at their middle are wrong by 1 / (3 strips^2) at most; on top of that come the roundings: of
 * each height, of the sum within an item, and of the sum over items.
 */
static bool is_pi(const struct job *job, double sum)
{
    double strips = (double)job->strips;
    double roundings = 8 + STRIPS_PER_ITEM + (double)job->n_items;

    return fabs(sum - pi) <= 1 / (3 * strips * strips) + roundings * DBL_EPSILON * pi;
}

/* Does it in all ways. Returns whether they agree. */
static bool run(struct job *job)
{
    double critical = timed("critical", integrate_critical, job);
    double returned = timed("returned", integrate_returned, job);
    double serial = timed("serial  ", integrate_serial, job);
    double bound = (double)job->n_items * DBL_EPSILON * serial;

    return returned == serial && fabs(critical - serial) <= bound && is_pi(job, serial);
}

/* A number, or 0 where text is none that can be used. */
static size_t parse_strips(const char *text)
{
    unsigned long long strips;
    char *end;

    /* strtoull() would take blanks and a sign. */
    if (!isdigit((unsigned char)*text))
        return 0;
    errno = 0;
    strips = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && strips <= STRIPS_MAX ? (size_t)strips : 0;
}

int main(int argc, char **argv)
{
    struct job job = {.strips = argc > 1 ? parse_strips(argv[1]) : STRIPS_DEFAULT};
    bool right;

    if (argc > 2 || job.strips == 0) {
        fprintf(stderr, "usage: integrate [STRIPS]    1 to %lld, by default %d\n", STRIPS_MAX + 0LL,
                STRIPS_DEFAULT);
        return 2;
    }
    job.n_items = (job.strips - 1) / STRIPS_PER_ITEM + 1;
    job.shared_sum = sharedmem_new(double, 1);
    if (job.shared_sum == NULL) {
        fprintf(stderr, "integrate: no shared memory: %s\n", strerror(errno));
        return EXIT_FAILURE;
    }
    right = run(&job);
    puts(right ? "right: all three agree, and it is pi" : "WRONG: they do not agree, or it is not pi");
    sharedmem_free(job.shared_sum);
    return fflush(stdout) == 0 && right ? EXIT_SUCCESS : EXIT_FAILURE;
}
