/*
 * hello: everybody says hello, in order, though nobody knows who comes to it first.
 *
 *     hello [COUNT]        COUNT items, 12 by default
 *
 * First the program says who it is. Then COUNT items say hello in a map, ordered by item, whichever worker
 * does them. Then the ranks of a parallel call do, ordered by rank; after a barrier each of them reads in
 * shared memory what all the others have written.
 *
 * What is printed within an ordered region is seen in that order, too. To know it, each also writes its
 * number into a log in shared memory.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#define COUNT_DEFAULT 12
#define COUNT_MAX     1000000

/* In shared memory. Only who is in the ordered region writes. */
struct log {
    size_t n;
    size_t numbers[];
};

static bool is_in_order(const struct log *log, size_t n)
{
    if (log->n != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (log->numbers[i] != i)
            return false;
    }
    return true;
}

static void say_hello(struct log *log, const char *what, size_t number)
{
    printf("%s %zu says hello: rank %d of %d\n", what, number, sharedmem_rank(), sharedmem_size());
    log->numbers[log->n++] = number;
}

/* Item i, in a worker. */
static int work(size_t i, void *result, void *context)
{
    (void)result;
    SHAREDMEM_ORDERED
    {
        say_hello(context, "item", i);
    }
    return 0;
}

/* A rank. Behind the barrier nobody writes any more, and everybody may read. */
static int body(size_t rank, void *result, void *context)
{
    struct log *log = context;

    (void)result;
    SHAREDMEM_ORDERED
    {
        say_hello(log, "rank", rank);
    }
    if (sharedmem_barrier() != 0)
        return sharedmem_fail(errno, "no barrier: %s", strerror(errno));
    if (!is_in_order(log, (size_t)sharedmem_size()))
        return sharedmem_fail(1, "the log is not in order: it has %zu numbers", log->n);
    SHAREDMEM_ORDERED
    {
        printf("rank %zu has read %zu hellos\n", rank, log->n);
    }
    return 0;
}

/* Without .error the library itself reports a failure, and ends the program. */
static bool run(struct log *log, size_t count, int ranks)
{
    bool right;

    SHAREDMEM_ORDERED
    {
        printf("the program says hello: rank %d of %d\n", sharedmem_rank(), sharedmem_size());
    }
    sharedmem_map(count, work, log, .schedule = SHAREDMEM_DYNAMIC);
    right = is_in_order(log, count);
    log->n = 0;
    sharedmem_parallel(ranks, body, log);
    return right;
}

static struct log *new_log(size_t capacity)
{
    struct log *log = sharedmem_calloc(1, sizeof *log + capacity * sizeof *log->numbers);

    if (log == NULL)
        fprintf(stderr, "hello: no shared memory: %s\n", strerror(errno));
    return log;
}

/* A number, or 0 where text is none that can be used. */
static size_t parse_count(const char *text)
{
    unsigned long long count;
    char *end;

    /* strtoull() would take blanks and a sign. */
    if (!isdigit((unsigned char)*text))
        return 0;
    errno = 0;
    count = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && count <= COUNT_MAX ? (size_t)count : 0;
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? parse_count(argv[1]) : COUNT_DEFAULT;
    int ranks = sharedmem_cpu_count();
    struct log *log;
    bool right;

    if (argc > 2 || count == 0) {
        fprintf(stderr, "usage: hello [COUNT]    items, 1 to %d, by default %d\n", COUNT_MAX, COUNT_DEFAULT);
        return 2;
    }
    log = new_log(count > (size_t)ranks ? count : (size_t)ranks);
    if (log == NULL)
        return EXIT_FAILURE;
    right = run(log, count, ranks);
    puts(right ? "right: all said hello in order" : "WRONG: the items said hello out of order");
    sharedmem_free(log);
    return fflush(stdout) == 0 && right ? EXIT_SUCCESS : EXIT_FAILURE;
}
