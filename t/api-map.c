/*
 * sharedmem_map() as a program uses it: every way of results, schedules, worker counts; nothing left behind.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sharedmem.h>

#include "tap.h"

static int square(size_t i, void *result, void *context)
{
    (void)context;
    if (result != NULL)
        *(double *)result = (double)i * (double)i;
    return 0;
}

/* What reduce has seen: items come by rising index, each once. */
struct seen {
    size_t next;
    bool in_order;
    double sum;
};

static int add_up(size_t i, void *result, void *context)
{
    struct seen *seen = context;

    seen->in_order &= i == seen->next++;
    seen->sum += *(double *)result;
    return 0;
}

static bool all_squares(const double *results, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (results[i] != (double)i * (double)i)
            return false;
    }
    return true;
}

enum where { SLOTS, PRIVATE, SHARED, N_WHERE };

static bool map_squares(size_t n, int np, int schedule, size_t chunk, enum where where, bool reduce,
                        int backend)
{
    struct seen seen = {.in_order = true}, want = {0};
    double *results = where == PRIVATE  ? malloc((n + 1) * sizeof *results)
                      : where == SHARED ? sharedmem_malloc((n + 1) * sizeof *results)
                                        : NULL;
    bool good;

    if (results != NULL)
        memset(results, 0xff, (n + 1) * sizeof *results);
    good = sharedmem_map(n, square, &seen, .np = np, .schedule = schedule, .chunk = chunk, .results = results,
                         .result_size = sizeof *results, .reduce = reduce ? add_up : NULL,
                         .backend = backend) == 0;
    for (size_t i = 0; i < n; i++)
        want.sum += (double)i * (double)i;
    if (reduce)
        good &= seen.in_order && seen.next == n && seen.sum == want.sum;
    if (results != NULL)
        good &= all_squares(results, n);
    if (where == PRIVATE)
        free(results);
    else
        sharedmem_free(results);
    return good;
}

/* Every n, np, schedule and chunk for one way of results. */
static bool map_all_ways(enum where where, bool reduce)
{
    static const size_t ns[] = {0, 1, 2, 3, 100, 5000}, chunks[] = {0, 1, 3, 7000};
    static const int nps[] = {1, 2, 3, 7, 16};
    bool good = true;

    for (size_t n = 0; n < sizeof ns / sizeof *ns; n++) {
        good &= map_squares(ns[n], 0, 0, 0, where, reduce, SHAREDMEM_SERIAL);
        for (size_t p = 0; p < sizeof nps / sizeof *nps; p += test_under_valgrind() ? 3 : 1) {
            for (int schedule = SHAREDMEM_GUIDED; schedule <= SHAREDMEM_STATIC; schedule++) {
                /* There each n meets one schedule, and each np all of them. */
                if (test_under_valgrind() && (n + (size_t)schedule) % 3 != 0)
                    continue;
                good &= map_squares(ns[n], nps[p], schedule, chunks[(n + p) % 4], where, reduce,
                                    SHAREDMEM_PROCESSES);
            }
        }
    }
    return good;
}

static void test_all_ways(void)
{
    static const char *const names[] = {"slots", "private memory", "shared memory"};

    for (int where = SLOTS; where < N_WHERE; where++) {
        if (where != SLOTS)
            test_ok(map_all_ways(where, false), "results in %s", names[where]);
        test_ok(map_all_ways(where, true), "results in %s, reduced", names[where]);
    }
}

/* Many more results than the ring holds, and a master that is slower than the workers. */
static void test_long(void)
{
    size_t n = test_under_valgrind() ? 20000 : 300000;

    for (int schedule = SHAREDMEM_GUIDED; schedule <= SHAREDMEM_STATIC; schedule++)
        test_ok(map_squares(n, 4, schedule, 0, SLOTS, true, 0), "%zu results through the ring, schedule %d",
                n, schedule);
}

struct big {
    double numbers[131072];
};

static int fill(size_t i, void *result, void *context)
{
    struct big *big = result;
    bool zero = big->numbers[0] == 0 && big->numbers[131071] == 0;

    (void)context;
    for (size_t k = 0; k < 131072; k++)
        big->numbers[k] = (double)(i + k);
    return zero ? 0 : 1;
}

static int check_big(size_t i, void *result, void *context)
{
    const struct big *big = result;

    (void)context;
    return big->numbers[0] == (double)i && big->numbers[131071] == (double)(i + 131071) ? 0 : 1;
}

static void test_big_results(void)
{
    test_int(0,
             sharedmem_map(60, fill, NULL, .np = 3, .result_size = sizeof(struct big), .reduce = check_big),
             "results of 1 MiB, which begin as zero");
}

static int remember_rank(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    *(int *)result = sharedmem_rank() * 100 + sharedmem_size();
    return 0;
}

static int increment(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    *(double *)result += 1;
    return 0;
}

/* A result begins as what .results holds, wherever that lies and whoever does the item. */
static void test_in_place(void)
{
    double *shared = sharedmem_new(double, 3), private[3] = {5, 6, 7}, serial[3] = {5, 6, 7};

    memcpy(shared, private, sizeof private);
    sharedmem_map(3, increment, NULL, .np = 2, .results = shared, .result_size = sizeof *shared);
    sharedmem_map(3, increment, NULL, .np = 2, .results = private, .result_size = sizeof *private);
    sharedmem_map(3, increment, NULL, .backend = SHAREDMEM_SERIAL, .results = serial,
                  .result_size = sizeof *serial);
    test_ok(shared[0] == 6 && shared[2] == 8, "shared results are changed in place");
    test_ok(memcmp(shared, private, sizeof private) == 0, "private ones too");
    test_ok(memcmp(shared, serial, sizeof serial) == 0, "and by SERIAL");
    sharedmem_free(shared);
}

static int return_from_fork(size_t i, void *result, void *context)
{
    (void)context;
    if (i == 5 && fork() == 0)
        return 0;
    *(double *)result = (double)i * (double)i;
    return 0;
}

/* An exec that failed after a fork, mostly: the copy must not go on as the worker. */
static void test_copy_of_worker(void)
{
    double results[40] = {0};

    test_int(0,
             sharedmem_map(40, return_from_fork, NULL, .np = 2, .results = results,
                           .result_size = sizeof *results),
             "a copy of a worker that returns from work is ended");
    test_ok(all_squares(results, 40), "and all results are there");
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

static int close_files(size_t i, void *result, void *context)
{
    (void)context;
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    *(double *)result = (double)i * (double)i;
    return 0;
}

static void test_closed_files(void)
{
    double results[100];

    test_int(
        0, sharedmem_map(100, close_files, NULL, .np = 3, .results = results, .result_size = sizeof *results),
        "work that closes all files");
    test_ok(all_squares(results, 100), "harms nothing");
}

static void *block_on_input(void *stream)
{
    return (void *)(intptr_t)fgetc(stream);
}

/* A thread waits for input, with its stream locked, while another maps. */
static void test_blocked_reader(void)
{
    int ends[2];
    FILE *stream;
    pthread_t thread;

    if (pipe(ends) != 0)
        return;
    stream = fdopen(ends[0], "r");
    pthread_create(&thread, NULL, block_on_input, stream);
    /* The reader has the lock once a try fails. */
    while (ftrylockfile(stream) == 0) {
        funlockfile(stream);
        usleep(1000);
    }
    test_ok(map_squares(100, 2, 0, 0, PRIVATE, true, 0), "a map while a thread waits for input");
    close(ends[1]);
    pthread_join(thread, NULL);
    fclose(stream);
}

static void test_ranks(void)
{
    int ranks[12];
    bool good = true;

    test_ok(sharedmem_rank() == 0 && sharedmem_size() == 1, "outside of a map: rank 0 of 1");
    sharedmem_map(12, remember_rank, NULL, .np = 3, .schedule = SHAREDMEM_STATIC, .results = ranks,
                  .result_size = sizeof *ranks);
    for (int i = 0; i < 12; i++)
        good &= ranks[i] == i / 4 * 100 + 3;
    test_ok(good, "inside: static blocks go to ranks 0, 1, 2 of 3");
    sharedmem_map(2, remember_rank, NULL, .np = 16, .schedule = SHAREDMEM_STATIC, .results = ranks,
                  .result_size = sizeof *ranks);
    test_ok(ranks[0] == 2 && ranks[1] == 102, "never more workers than items");
}

static int private_number = 1;

static int read_private(size_t i, void *result, void *context)
{
    (void)i;
    *(int *)result = private_number + *(int *)context;
    private_number = 99;
    return 0;
}

static void test_snapshot(void)
{
    int context = 10, results[4] = {0};

    private_number = 5;
    sharedmem_map(4, read_private, &context, .np = 4, .schedule = SHAREDMEM_STATIC, .results = results,
                  .result_size = sizeof *results);
    test_ok(results[0] == 15 && results[3] == 15, "workers see private memory as of the call");
    test_int(5, private_number, "and what they write to it stays theirs");
}

static int allocate_in_worker(size_t i, void *result, void *context)
{
    char *text = sharedmem_malloc(32);

    (void)context;
    snprintf(text, 32, "made by item %zu", i);
    *(char **)result = text;
    return 0;
}

static void test_pointers(void)
{
    char *texts[50], want[32];
    bool good = true;

    sharedmem_map(50, allocate_in_worker, NULL, .np = 4, .results = texts, .result_size = sizeof *texts);
    for (int i = 0; i < 50; i++) {
        snprintf(want, sizeof want, "made by item %d", i);
        good &= strcmp(texts[i], want) == 0;
        sharedmem_free(texts[i]);
    }
    test_ok(good, "what a worker allocates the master reads by its pointer, and frees");
}

static int map_inside(size_t i, void *result, void *context)
{
    double squares[20];
    double sum = 0;

    (void)context;
    if (sharedmem_map(20, square, NULL, .np = 2, .results = squares, .result_size = sizeof *squares) != 0)
        return 1;
    for (int k = 0; k < 20; k++)
        sum += squares[k];
    *(double *)result = sum + (double)i;
    return 0;
}

static void test_nested(void)
{
    double results[6];

    test_int(0,
             sharedmem_map(6, map_inside, NULL, .np = 3, .results = results, .result_size = sizeof *results),
             "a map in a map");
    test_ok(results[0] == 2470 && results[5] == 2475, "is right");
}

static int no_reduce(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return 0;
}

static void *map_in_thread(void *result)
{
    for (int i = 0; i < 10; i++)
        *(bool *)result &= map_squares(500, 2, SHAREDMEM_DYNAMIC, 1, SLOTS, true, 0);
    /* Workers that map themselves need what another thread may just hold at the fork. */
    *(bool *)result &=
        sharedmem_map(4, map_inside, NULL, .np = 2, .result_size = sizeof(double), .reduce = no_reduce) == 0;
    return NULL;
}

static void test_from_threads(void)
{
    pthread_t threads[4];
    bool good[4] = {true, true, true, true};

    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, map_in_thread, &good[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    test_ok(good[0] && good[1] && good[2] && good[3], "maps from 4 threads at once");
}

static void test_sigchld_ignored(void)
{
    signal(SIGCHLD, SIG_IGN);
    test_ok(map_squares(100, 4, 0, 0, PRIVATE, true, 0), "a program that ignores SIGCHLD");
    signal(SIGCHLD, SIG_DFL);
}

static int print_item(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    printf("item %zu\n", i);
    return 0;
}

/*
 * In a child whose stdout is a file: what was pending before the map, and what workers print, is there once.
 */
static void test_stdio(void)
{
    FILE *file = tmpfile();
    int lines = 0, pending = 0;
    char line[64];
    pid_t pid = fork();

    if (pid == 0) {
        dup2(fileno(file), STDOUT_FILENO);
        setvbuf(stdout, NULL, _IOFBF, 65536);
        printf("pending\n");
        sharedmem_map(20, print_item, NULL, .np = 3);
        fflush(stdout);
        test_child_exit(0);
    }
    waitpid(pid, NULL, 0);
    rewind(file);
    while (fgets(line, sizeof line, file) != NULL) {
        lines += strncmp(line, "item ", 5) == 0;
        pending += strcmp(line, "pending\n") == 0;
    }
    fclose(file);
    test_int(1, pending, "what was pending before a map is printed once");
    test_int(20, lines, "and what workers print is not lost");
}

static int own_mask(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    return sched_getaffinity(0, sizeof(cpu_set_t), result);
}

/* Has the master run on processor, while it may run on all of them. */
static void move_to(int processor, const cpu_set_t *all)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    sched_setaffinity(0, sizeof one, &one);
    sched_setaffinity(0, sizeof *all, all);
}

/* The order in which workers are forked depends on where the master is; where they are bound must not. */
static void test_binding(void)
{
    cpu_set_t all, now, first[4], masks[4];
    const size_t n = sizeof masks / sizeof *masks;
    bool same = true, kept = true;
    int code = 0, n_maps = 0;

    sched_getaffinity(0, sizeof all, &all);
    for (int processor = 0; processor < CPU_SETSIZE; processor++) {
        if (!CPU_ISSET(processor, &all))
            continue;
        move_to(processor, &all);
        memset(masks, 0, sizeof masks);
        code |= sharedmem_map(n, own_mask, NULL, .np = (int)n, .schedule = SHAREDMEM_STATIC, .chunk = 1,
                              .results = masks, .result_size = sizeof *masks);
        if (n_maps++ == 0)
            memcpy(first, masks, sizeof first);
        same &= memcmp(first, masks, sizeof masks) == 0;
        sched_getaffinity(0, sizeof now, &now);
        kept &= CPU_EQUAL(&now, &all);
    }
    test_int(0, code, "maps from each processor");
    test_ok(same, "their workers are bound to the same processors");
    test_ok(kept, "and the master is bound to none");
}

static void test_leaves_nothing(void)
{
    int fds = test_fds(), maps = test_under_valgrind() ? 20 : 500;
    bool good = true;

    for (int i = 0; i < maps; i++)
        good &= map_squares(20, 2, 0, 0, i % 3, i % 2 != 0 || i % 3 == SLOTS, 0);
    test_ok(good, "%d maps in a row", maps);
    test_int(fds, test_fds(), "no file stays open");
    test_int(0, test_children(), "no process is left");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
}

int main(void)
{
    test_begin(180);
    setenv("SHAREDMEM_HEAP", "512M", 1);
    test_all_ways();
    test_long();
    test_big_results();
    test_in_place();
    test_copy_of_worker();
    test_closed_files();
    test_blocked_reader();
    test_ranks();
    test_snapshot();
    test_pointers();
    test_nested();
    test_from_threads();
    test_sigchld_ignored();
    test_stdio();
    test_binding();
    test_leaves_nothing();
    return test_end();
}
