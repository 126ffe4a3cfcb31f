/*
 * sum: copies a private array of doubles into shared memory and adds it up, by chunks, in parallel.
 *
 *     sum [COUNT]        COUNT doubles, 16M by default; K is 1024, M is 1024 * 1024
 *
 * An item is a chunk of 1,048,576 doubles. Workers are forked, so they see the private array as it is when
 * the map begins. What they write is lost with them, unless it goes to shared memory or is the item's result.
 */
#define _POSIX_C_SOURCE 200809L

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sharedmem.h>

#define CHUNK ((size_t)1048576)

struct job {
    size_t count;    /* doubles */
    size_t n_chunks; /* the last one may be shorter */
    double *input;   /* private */
    double *copy;    /* shared */
    double sum;
    bool is_terminal; /* stderr is one */
};

static size_t chunk_length(const struct job *job, size_t i)
{
    return i + 1 < job->n_chunks ? CHUNK : job->count - i * CHUNK;
}

static double sum_of(const double *numbers, size_t n)
{
    double sum = 0;

    for (size_t k = 0; k < n; k++)
        sum += numbers[k];
    return sum;
}

/* Chunk i, in a worker. */
static int work(size_t i, void *result, void *context)
{
    const struct job *job = context;
    const double *input = job->input + i * CHUNK;
    size_t n = chunk_length(job, i);

    memcpy(job->copy + i * CHUNK, input, n * sizeof *input);
    *(double *)result = sum_of(input, n);
    return 0;
}

/* On a terminal one line that is written again and again, else a line at each quarter. */
static void show_progress(const struct job *job, size_t done)
{
    if (job->is_terminal)
        fprintf(stderr, "%zu of %zu chunks%c", done, job->n_chunks, done < job->n_chunks ? '\r' : '\n');
    else if (4 * done / job->n_chunks > 4 * (done - 1) / job->n_chunks)
        fprintf(stderr, "%zu of %zu chunks\n", done, job->n_chunks);
}

/* Chunk i's result, on the master. Chunks come by rising index, so the sum is the same bits each time. */
static int reduce(size_t i, void *result, void *context)
{
    struct job *job = context;

    job->sum += *(double *)result;
    show_progress(job, i + 1);
    return 0;
}

/* Does it again without the library: every bit has to be equal. */
static bool is_right(const struct job *job)
{
    double sum = 0;

    for (size_t i = 0; i < job->n_chunks; i++)
        sum += sum_of(job->input + i * CHUNK, chunk_length(job, i));
    return sum == job->sum && memcmp(job->input, job->copy, job->count * sizeof *job->input) == 0;
}

/* A number, or 0 where text is none that can be used. */
static size_t parse_count(const char *text)
{
    unsigned long long count;
    char *end;
    int shift = 0;

    /* strtoull() would take blanks and a sign. */
    if (!isdigit((unsigned char)*text))
        return 0;
    errno = 0;
    count = strtoull(text, &end, 10);
    if (*end == 'K' || *end == 'M')
        shift = *end++ == 'K' ? 10 : 20;
    if (errno != 0 || *end != '\0' || count > SIZE_MAX / (2 * sizeof(double)) >> shift)
        return 0;
    return (size_t)count << shift;
}

/* Makes both arrays. */
static bool make_arrays(struct job *job)
{
    size_t bytes = job->count * sizeof *job->input;
    uint64_t available = sharedmem_available_memory();

    if (available != 0 && 2 * bytes > available) {
        fprintf(stderr, "sum: two arrays of %zu MiB are more than the %zu MiB of memory that are available\n",
                bytes >> 20, (size_t)(available >> 20));
        return false;
    }
    job->input = malloc(bytes);
    job->copy = job->input != NULL ? sharedmem_malloc(bytes) : NULL;
    if (job->copy == NULL) {
        fprintf(stderr, "sum: no %s memory for %zu bytes: %s\n", job->input == NULL ? "private" : "shared",
                bytes, strerror(errno));
        return false;
    }
    for (size_t k = 0; k < job->count; k++)
        job->input[k] = 1.0 / (double)(k + 1);
    return true;
}

static void free_arrays(struct job *job)
{
    free(job->input);
    sharedmem_free(job->copy);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Copies and adds up. Without .error the library itself reports a failure, and ends the program. */
static double run(struct job *job)
{
    double begin = seconds();

    sharedmem_map(job->n_chunks, work, job, .result_size = sizeof(double), .reduce = reduce);
    return seconds() - begin;
}

static void report(const struct job *job, double time)
{
    size_t workers = (size_t)sharedmem_cpu_count();

    printf("%zu doubles in %zu chunks copied and summed, workers: %zu\n", job->count, job->n_chunks,
           workers < job->n_chunks ? workers : job->n_chunks);
    printf("sum %.17g in %.4f s: %.2f GB/s, read and written\n", job->sum, time,
           2e-9 * (double)(job->count * sizeof(double)) / time);
}

int main(int argc, char **argv)
{
    struct job job = {.count = argc > 1 ? parse_count(argv[1]) : 16 * CHUNK};
    bool right;

    if (argc > 2 || job.count == 0) {
        fprintf(stderr, "usage: sum [COUNT]    doubles, such as 1000000, 64K or 16M, which is the default\n");
        return 2;
    }
    job.n_chunks = (job.count - 1) / CHUNK + 1;
    job.is_terminal = isatty(STDERR_FILENO);
    if (!make_arrays(&job))
        return EXIT_FAILURE;
    report(&job, run(&job));
    right = is_right(&job);
    puts(right ? "right: the copy and the sum are those of a serial run, bit for bit"
               : "WRONG: a serial run gives something else");
    free_arrays(&job);
    return fflush(stdout) == 0 && right ? EXIT_SUCCESS : EXIT_FAILURE;
}
