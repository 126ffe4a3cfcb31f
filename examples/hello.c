/*
 * hello: everybody says hello, in order, though nobody knows who comes to it first.
 *
 *     ./hello [COUNT]              alone, with COUNT items, 12 by default
 *     smrrun -n 4 ./hello          four ranks
 *
 * First the program says who it is: under smrrun it runs once as each rank, and they do so in turn. Alone it
 * goes on: COUNT items say hello in a map, ordered by item, whichever worker does them. Then the ranks of a
 * parallel call do, ordered by rank; after a barrier each of them reads in shared memory what all the others
 * have written.
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

/* Every rank of smrrun's; alone this is rank 0 of 1. Behind the barrier only rank 0 uses the log. */
static bool say_who(struct log *log)
{
    SHAREDMEM_ORDERED
    {
        printf("hello from rank %d of %d\n", sharedmem_rank(), sharedmem_size());
        log->numbers[log->n++] = (size_t)sharedmem_rank();
    }
    sharedmem_barrier();
    return sharedmem_rank() != 0 || is_in_order(log, (size_t)sharedmem_size());
}

/* Alone. Without .error the library itself reports a failure, and ends the program. */
static bool run(struct log *log, size_t count, int ranks)
{
    bool right;

    log->n = 0;
    sharedmem_map(count, work, log, .schedule = SHAREDMEM_DYNAMIC);
    right = is_in_order(log, count);
    log->n = 0;
    sharedmem_parallel(ranks, body, log);
    return right;
}

/*
 * Where a call for all ranks fails, it fails in all of them. One says so, and none ends, which would end the
 * job, before it has.
 */
static struct log *new_log(size_t capacity)
{
    struct log *log = sharedmem_team_calloc(1, sizeof *log + capacity * sizeof *log->numbers);

    if (log != NULL)
        return log;
    if (sharedmem_rank() == 0)
        fprintf(stderr, "hello: no shared memory: %s\n", strerror(errno));
    sharedmem_barrier();
    return NULL;
}

static int usage(void)
{
    if (sharedmem_rank() == 0)
        fprintf(stderr, "usage: hello [COUNT]    items, 1 to %d, by default %d\n", COUNT_MAX, COUNT_DEFAULT);
    sharedmem_barrier();
    return 2;
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
    bool is_alone = sharedmem_size() == 1;
    int ranks = is_alone ? sharedmem_cpu_count() : sharedmem_size();
    struct log *log;
    bool right;

    if (argc > 2 || count == 0)
        return usage();
    log = new_log(count > (size_t)ranks ? count : (size_t)ranks);
    if (log == NULL)
        return EXIT_FAILURE;
    right = say_who(log);
    if (is_alone)
        right = run(log, count, ranks) && right;
    if (sharedmem_rank() == 0) {
        puts(right ? "right: all said hello in order" : "WRONG: they said hello out of order");
        sharedmem_free(log);
    }
    return fflush(stdout) == 0 && right ? EXIT_SUCCESS : EXIT_FAILURE;
}
