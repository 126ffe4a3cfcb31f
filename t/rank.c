/*
 * The program that the tests of smrrun run as ranks: t/rank MODE [ARGUMENT]... Made of the public header alone,
 * as programs of users are. Modes that some rank ends in say so by "rank 2": there are more than two ranks
 * then.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sharedmem.h>

#include "messages.h"

/* The rank that ends, or does not come. */
#define WHO 2

static int rank, size;

static void sleep_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

static int number(char **arguments, int otherwise)
{
    return arguments[0] != NULL ? atoi(arguments[0]) : otherwise;
}

/* Prints one line at once, whole: others may be waiting for it. */
static void say(const char *text)
{
    printf("%s\n", text);
    fflush(stdout);
}

/* ---- Who, and in what order ---- */

/* Needs no other rank. */
static int who(char **arguments)
{
    (void)arguments;
    printf("rank %d of %d\n", rank, size);
    return 0;
}

static int hello(char **arguments)
{
    SHAREDMEM_ORDERED
    {
        printf("rank %d of %d%s%s\n", rank, size, arguments[0] != NULL ? " " : "",
               arguments[0] != NULL ? arguments[0] : "");
    }
    return 0;
}

/* turns [N]: rounds of ordered regions; in every third a line in two pieces, and one on stderr. */
static int turns(char **arguments)
{
    for (int round = 0; round < number(arguments, 10); round++) {
        SHAREDMEM_ORDERED
        {
            printf("%d ", round);
            if (round % 3 == 0)
                fflush(stdout);
            printf("%d\n", rank);
        }
    }
    return 0;
}

/* skip: rank 2 ends after its first turn, and is passed over from then on. */
static int skip(char **arguments)
{
    (void)arguments;
    for (int round = 0; round < 3; round++) {
        SHAREDMEM_ORDERED
        {
            printf("%d %d\n", round, rank);
        }
        if (rank == WHO)
            return 0;
    }
    return 0;
}

/* lines [N]: each rank writes N lines "RANK NUMBER LENGTH xxx", of that length; a quarter in two writes. */
static int lines(char **arguments)
{
    static const int lengths[] = {70, 300, 20000, 90};
    static char line[20001];

    for (int i = 0; i < number(arguments, 100); i++) {
        int length = lengths[i % 4];
        int head = snprintf(line, sizeof line, "%d %d %d ", rank, i, length);

        memset(line + head, 'x', (size_t)(length - head));
        line[length] = '\n';
        head = i % 4 == 3 ? head : 0;
        if (write(STDOUT_FILENO, line, (size_t)head) < 0 ||
            write(STDOUT_FILENO, line + head, (size_t)(length + 1 - head)) < 0)
            return 1;
    }
    return 0;
}

/* ---- Meeting ---- */

static int barriers(char **arguments)
{
    for (int i = 0; i < number(arguments, 100); i++)
        sharedmem_barrier();
    if (rank == 0)
        say("all met");
    return 0;
}

static int init(char **arguments)
{
    (void)arguments;
    if (sharedmem_init() != 0 || sharedmem_finalize() != 0)
        return 1;
    return 0;
}

/* late [N]: rank 2 comes when the others have waited for a while. */
static int late(char **arguments)
{
    if (rank == WHO)
        sleep_ms(200);
    return barriers(arguments);
}

/* absent: rank 2 ends without having needed the others, who wait for it. */
static int absent(char **arguments)
{
    (void)arguments;
    if (rank != WHO)
        sharedmem_barrier();
    return 0;
}

/* die-first: rank 2 knows that it is one, and is killed before it meets the others. */
static int die_first(char **arguments)
{
    (void)arguments;
    /* Once the others have found it: where it was the first, and alone, its death leaves no trace of it. */
    if (rank == WHO)
        sleep(1);
    if (rank == WHO)
        raise(SIGKILL);
    return sharedmem_barrier();
}

/* wait [SUM]: all but rank 2 wait in a barrier, or a collective, for ever. */
static int wait_for_ever(char **arguments)
{
    sharedmem_barrier();
    say("ready");
    while (rank == WHO)
        pause();
    if (arguments[0] != NULL)
        sharedmem_all_int64(1, SHAREDMEM_SUM);
    else
        sharedmem_barrier();
    return 0;
}

/* ---- Ending ---- */

/* A real fault, which no compiler and no sanitizer sees coming. */
static void fault(void)
{
    volatile char *page = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    *page = 1;
}

static int end_badly(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    return i == 3 ? sharedmem_fail(7, "item three is bad") : 0;
}

static int crash(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    if (i == 3)
        fault();
    return 0;
}

/* Ends this process in the way that how names; where it is none, with that exit status. */
static int end_by(const char *how)
{
    if (strcmp(how, "segv") == 0)
        fault();
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "kill") == 0)
        raise(SIGKILL);
    if (strcmp(how, "abort7") == 0)
        sharedmem_abort(7);
    if (strcmp(how, "uncaught") == 0)
        sharedmem_critical_begin("a name that is far too long for any critical region", SHAREDMEM_HERE);
    if (strcmp(how, "free") == 0)
        sharedmem_free(&size);
    if (strcmp(how, "free-twice") == 0) {
        void *block = sharedmem_malloc(100);

        sharedmem_free(block);
        sharedmem_free(block);
    }
    if (strcmp(how, "map-crash") == 0)
        sharedmem_map(8, crash, NULL, .np = 2);
    if (strcmp(how, "map") == 0)
        sharedmem_map(8, end_badly, NULL, .np = 2);
    return atoi(how);
}

/* end HOW: rank 2 ends, while the others wait for it in a barrier. */
static int end(char **arguments)
{
    sharedmem_barrier();
    if (rank == WHO)
        return end_by(arguments[0]);
    sharedmem_barrier();
    return 0;
}

/* end-all HOW: all ranks end so. */
static int end_all(char **arguments)
{
    sharedmem_barrier();
    return end_by(arguments[0]);
}

/* errors: two ranks have errors that nobody catches, one after the other. */
static int errors(char **arguments)
{
    (void)arguments;
    sharedmem_barrier();
    if (rank == WHO)
        sleep_ms(200);
    if (rank >= WHO - 1)
        end_by(rank == WHO ? "uncaught" : "free");
    return 0;
}

/* alone HOW: the same, where no rank uses the library any further. */
static int end_alone(char **arguments)
{
    if (rank == WHO)
        return end_by(arguments[0]);
    while (pause() != 0)
        ;
    return 0;
}

/* ---- Reductions ---- */

/* Whether n numbers at `at` are all value; who has none asks of none. */
static bool are_all(const int64_t *at, size_t n, int64_t value)
{
    for (size_t i = 0; i < n; i++) {
        if (at[i] != value)
            return false;
    }
    return true;
}

/* reductions [N]: of so many numbers each, private in even ranks and shared in odd ones; the last rank is root. */
static int reductions(char **arguments)
{
    const size_t n = (size_t)number(arguments, 1000);
    int64_t *in = rank % 2 == 0 ? calloc(n, sizeof *in) : sharedmem_calloc(n, sizeof *in);
    int64_t *out = rank % 2 == 0 ? sharedmem_calloc(n, sizeof *out) : calloc(n, sizeof *out);
    int64_t *common = sharedmem_team_calloc(n, sizeof *common), all = (int64_t)size * (size + 1) / 2;

    for (size_t i = 0; i < n; i++)
        in[i] = rank + 1;
    if (sharedmem_reduce(in, out, n, SHAREDMEM_INT64, SHAREDMEM_SUM, size - 1) != 0 ||
        !are_all(out, n, rank == size - 1 ? all : 0))
        return 1;
    if (sharedmem_allreduce(in, common, n, SHAREDMEM_INT64, SHAREDMEM_MAX) != 0 || !are_all(common, n, size))
        return 2;
    if (sharedmem_exscan(in, out, n, SHAREDMEM_INT64, SHAREDMEM_SUM) != 0 ||
        (rank > 0 && !are_all(out, n, (int64_t)rank * (rank + 1) / 2)))
        return 3;
    if (sharedmem_scan(in, in, n, SHAREDMEM_INT64, SHAREDMEM_SUM) != 0 ||
        !are_all(in, n, (int64_t)(rank + 1) * (rank + 2) / 2))
        return 4;
    free(rank % 2 == 0 ? in : out);
    return 0;
}

/* ---- Memory ---- */

struct node {
    struct node *next;
    int64_t value;
};

/* Each rank makes a node of its own, and follows those of all the others through a ring of pointers. */
static int pointers(char **arguments)
{
    struct node **nodes = sharedmem_team_calloc((size_t)size, sizeof(struct node *));
    int64_t sum = 0;

    (void)arguments;
    if (nodes == NULL)
        return 1;
    nodes[rank] = sharedmem_malloc(sizeof(struct node));
    nodes[rank]->value = rank + 1;
    sharedmem_barrier();
    nodes[rank]->next = nodes[(rank + 1) % size];
    sharedmem_barrier();
    for (struct node *node = nodes[rank]; (sum += node->value) && node->next != nodes[rank];)
        node = node->next;
    if (sum != (int64_t)size * (size + 1) / 2 || sharedmem_all_int64(sum, SHAREDMEM_SUM) != sum * size)
        return 1;
    sharedmem_free(nodes[rank]);
    return 0;
}

static void add(void *into, const void *from, void *context)
{
    (void)context;
    *(int *)into += *(const int *)from;
}

/* first CALL: the collective is the first that is called at all. */
static int first(char **arguments)
{
    int value = rank + 40;

    if (strcmp(arguments[0], "bcast") == 0)
        return sharedmem_bcast(&value, sizeof value, WHO) != 0 || value != WHO + 40;
    if (strcmp(arguments[0], "all_int64") == 0)
        return sharedmem_all_int64(rank, SHAREDMEM_MAX) != size - 1;
    if (strcmp(arguments[0], "all_double") == 0)
        return sharedmem_all_double(rank, SHAREDMEM_MIN) != 0.0 ||
               sharedmem_all_double(0.5, SHAREDMEM_SUM) != 0.5 * size;
    if (strcmp(arguments[0], "all") == 0) {
        int sum = rank;

        return sharedmem_all(&sum, sizeof sum, add, NULL) != 0 || sum != size * (size - 1) / 2;
    }
    if (strcmp(arguments[0], "loop") == 0) {
        SHAREDMEM_FOR(i, 10)
        {
            value += (int)i;
        }
        return sharedmem_all_int64(value - rank - 40, SHAREDMEM_SUM) != 45;
    }
    if (strcmp(arguments[0], "team_calloc") == 0) {
        _Atomic int *counter = sharedmem_team_calloc(1, sizeof *counter);

        atomic_fetch_add(counter, 1);
        sharedmem_barrier();
        return atomic_load(counter) != size;
    }
    if (strcmp(arguments[0], "team_empty") == 0) {
        /* Rank 2 may be told to ask for more than the others: "first team_empty 1". */
        int64_t shape[] = {size + (rank == 2 ? number(arguments + 1, 0) : 0), 3};
        sharedmem_array a = sharedmem_team_empty(SHAREDMEM_INT32, 2, shape);

        *(int32_t *)sharedmem_element(a, (int64_t[]){rank, 1}) = rank;
        sharedmem_barrier();
        return *(int32_t *)sharedmem_element(a, (int64_t[]){(rank + 1) % size, 1}) != (rank + 1) % size;
    }
    if (strcmp(arguments[0], "team_full") == 0) {
        sharedmem_array a = sharedmem_team_full(SHAREDMEM_FLOAT64, 1, (int64_t[]){1000}, &(double){0.5});
        double sum = 0;

        return sharedmem_sum(a, &sum) != 0 || sum != 500;
    }
    if (strcmp(arguments[0], "malloc") == 0)
        sharedmem_free(sharedmem_malloc(100));
    return sharedmem_size() != size;
}

/*
 * loops [N]: N loops, one behind the other; each item is printed in order, and each rank says so at the end.
 */
static int loops(char **arguments)
{
    for (int k = 0; k < number(arguments, 10); k++) {
        SHAREDMEM_FOR(i, 20, .schedule = k % 3, .chunk = (size_t)k % 4)
        {
            SHAREDMEM_ORDERED
            {
                printf("%zu ", i);
            }
        }
    }
    SHAREDMEM_ORDERED
    {
        printf("rank %d\n", rank);
    }
    return 0;
}

/* loop-end HOW: rank 2 ends in a loop, while the others wait for it in a later one. */
static int loop_end(char **arguments)
{
    for (int k = 0; k < 60; k++) {
        SHAREDMEM_FOR(i, 20, .schedule = SHAREDMEM_STATIC)
        {
            if (rank == WHO && k == 3)
                return end_by(arguments[0]);
            (void)i;
        }
    }
    return 0;
}

/* ---- Messages ---- */

/* messages [N]: of all kinds. */
static int messages(char **arguments)
{
    const char *wrong = messages_of_all_kinds(number(arguments, 20), size > 4 ? 73729 : 1 << 20);

    if (wrong != NULL)
        say(wrong);
    return wrong != NULL;
}

/* mail [FIRST]: all send to rank 0 what a later program reads there: mail-read [FIRST]. */
static int mail(char **arguments)
{
    unsigned char data[5000];

    for (int k = 0; k < 10; k++) {
        message_fill(data, message_length(k) % 5000, rank, number(arguments, 0), k);
        if (sharedmem_send(data, message_length(k) % 5000, 0, number(arguments, 0)) != 0)
            return 1;
    }
    return 0;
}

static int mail_read(char **arguments)
{
    unsigned char data[5000];
    sharedmem_status status;

    for (int k = 0; rank == 0 && k < 10 * size; k++) {
        if (sharedmem_recv(data, sizeof data, k % size, number(arguments, 0), &status) != 0 ||
            !message_is(data, status.bytes, k % size, number(arguments, 0), k / size))
            return 1;
    }
    if (rank == 0)
        say("all mail was read");
    return 0;
}

/* message-end HOW [any]: rank 2 sends to all and ends, while the others want more of it, or of any. */
static int message_end(char **arguments)
{
    int value = 0, source = arguments[1] != NULL ? SHAREDMEM_ANY_SOURCE : WHO;

    if (rank == WHO) {
        for (int to = 0; to < size; to++)
            sharedmem_send(&to, sizeof to, to, 5);
        return end_by(arguments[0]);
    }
    if (sharedmem_recv(&value, sizeof value, WHO, 5, NULL) != 0 || value != rank)
        return 9;
    if (source == SHAREDMEM_ANY_SOURCE && rank != 0)
        return 0;
    return sharedmem_recv(&value, sizeof value, source, 5, NULL);
}

/* message-in-vain: rank 0 sends to rank 2, which ends without it. */
static int message_in_vain(char **arguments)
{
    static char data[100000];

    (void)arguments;
    sharedmem_barrier();
    return rank == 0 ? sharedmem_send(data, sizeof data, WHO, 6) : 0;
}

/* message-cut: rank 0 has less room than rank 2 sends. */
static int message_cut(char **arguments)
{
    char data[100] = {0};

    (void)arguments;
    sharedmem_barrier();
    if (rank == WHO)
        sharedmem_send(data, 100, 0, 6);
    return rank == 0 ? sharedmem_recv(data, 99, WHO, 6, NULL) : 0;
}

/* critical [N]: all add to one number, which is not atomic. */
static int critical(char **arguments)
{
    int n = number(arguments, 1000);
    volatile int64_t *counter = sharedmem_team_calloc(1, sizeof *counter);

    for (int i = 0; i < n; i++) {
        SHAREDMEM_CRITICAL
        {
            *counter += 1;
        }
    }
    sharedmem_barrier();
    if (rank == 0)
        printf("counted %lld of %lld\n", (long long)*counter, (long long)n * size);
    return 0;
}

/* Mutexes and counters of all ranks. */
struct synced {
    sharedmem_mutex mutex;
    sharedmem_counter counter;
    int64_t sum;
};

/* locked [N]: all add to one number, under a mutex; each waits until all have. */
static int locked(char **arguments)
{
    struct synced *synced = sharedmem_team_calloc(1, sizeof *synced);
    int n = number(arguments, 1000);

    for (int i = 0; i < n; i++) {
        SHAREDMEM_LOCKED (&synced->mutex)
            synced->sum++;
    }
    sharedmem_counter_add(&synced->counter, 1);
    sharedmem_counter_wait(&synced->counter, SHAREDMEM_EQ, size);
    if (rank == 0)
        printf("%lld\n", (long long)synced->sum);
    return 0;
}

/* locked-end HOW: rank 2 ends with a mutex locked, for which the others wait. */
static int locked_end(char **arguments)
{
    struct synced *synced = sharedmem_team_calloc(1, sizeof *synced);

    if (rank == WHO) {
        sharedmem_mutex_lock(&synced->mutex);
        sharedmem_counter_add(&synced->counter, 1);
        return end_by(arguments[0]);
    }
    sharedmem_counter_wait(&synced->counter, SHAREDMEM_EQ, 1);
    SHAREDMEM_LOCKED (&synced->mutex)
        say("entered");
    return 0;
}

/* counter: all wait for a counter that rank 2 never changes. */
static int wait_for_counter(char **arguments)
{
    struct synced *synced = sharedmem_team_calloc(1, sizeof *synced);

    (void)arguments;
    while (rank == WHO)
        sleep_ms(1000);
    return sharedmem_counter_wait(&synced->counter, SHAREDMEM_GE, 1);
}

/* hold: rank 2 is in a critical region, and rank 0 waits for a message of it, for ever; others want to enter. */
static int hold(char **arguments)
{
    (void)arguments;
    if (rank == WHO)
        sharedmem_critical_begin(NULL, SHAREDMEM_HERE);
    sharedmem_barrier();
    if (rank == 0)
        sharedmem_recv(NULL, 0, WHO, 0, NULL);
    if (rank != WHO)
        sharedmem_critical_begin(NULL, SHAREDMEM_HERE);
    while (pause() != 0)
        ;
    return 0;
}

/* held: rank 2 dies in a critical region, after which the others take it. */
static int held(char **arguments)
{
    (void)arguments;
    sharedmem_barrier();
    if (rank != WHO)
        sleep_ms(100);
    SHAREDMEM_CRITICAL
    {
        if (rank == WHO)
            raise(SIGKILL);
        say("entered");
    }
    return 0;
}

static int square(size_t i, void *result, void *context)
{
    (void)context;
    *(int64_t *)result = (int64_t)(i * i);
    return sharedmem_rank() < 0 || sharedmem_size() != 2;
}

/* Each rank has a map of its own, with two workers, whose results lie in the memory of all. */
/* Needs no other rank. What a map of 20 s says at its end. */
static int progress(char **arguments)
{
    sharedmem_progress progress = {.n_done = 10, .n = 10, .seconds = 20, .is_last = 1, .where = "prog.c:7"};

    (void)arguments;
    sharedmem_progress_bar(&progress, NULL);
    return 0;
}

static int map(char **arguments)
{
    int64_t *results = sharedmem_team_calloc(100 * (size_t)size, sizeof *results);
    int64_t sum = 0;

    (void)arguments;
    sharedmem_map(100, square, NULL, .np = 2, .results = results + 100 * (size_t)rank,
                  .result_size = sizeof *results);
    if (sharedmem_rank() != rank || sharedmem_size() != size)
        return 1;
    sharedmem_barrier();
    for (size_t i = 0; i < 100 * (size_t)size; i++)
        sum += results[i];
    return sum != (int64_t)328350 * size;
}

/* Each rank but the first sorts, adds and searches an array of its own, which is worth a second process. */
static int sort(char **arguments)
{
    int64_t n = 270000 + rank, high = n - 1, sum = 0, index = -1;
    int64_t *numbers =
        rank % 2 == 0 ? sharedmem_malloc((size_t)n * sizeof *numbers) : malloc((size_t)n * sizeof *numbers);
    sharedmem_array a = sharedmem_wrap(numbers, SHAREDMEM_INT64, 1, &n);
    bool is_wrong;

    (void)arguments;
    for (int64_t i = 0; i < n; i++)
        numbers[i] = i * 7919 % n;
    if (rank > 0 && (sharedmem_sort(a) != 0 || sharedmem_sum(a, &sum) != 0 ||
                     sharedmem_searchsorted(a, sharedmem_wrap(&high, SHAREDMEM_INT64, 0, NULL),
                                            SHAREDMEM_LEFT, &index) != 0))
        return 1;
    sharedmem_barrier();
    is_wrong = rank > 0 && (numbers[0] != 0 || numbers[high] != high || sum != n * high / 2 || index != high);
    if (rank % 2 == 0)
        sharedmem_free(numbers);
    else
        free(numbers);
    return is_wrong;
}

/* Large memory of all ranks: each finds zeros in its part; then rank 0 says where more of it is to lie. */
static int place(char **arguments)
{
    const size_t n = (size_t)48 << 20;
    char *block = sharedmem_team_calloc(n, 1);
    sharedmem_range mine = sharedmem_my_part(n);
    int64_t n_bad = 0;

    (void)arguments;
    for (size_t i = mine.begin; i < mine.end; i++)
        n_bad += block[i] != 0;
    for (int32_t how = SHAREDMEM_FIRST_TOUCH; how <= SHAREDMEM_BY_RANK; how++) {
        char *more = sharedmem_team_calloc(n / 48, 1);
        sharedmem_error error = {0};

        if (rank == 0 && sharedmem_place(more, n / 48, how, &error) < 1)
            n_bad += error.kind != SHAREDMEM_ERROR_SYSTEM;
        sharedmem_barrier();
        more[rank] = 1;
        sharedmem_barrier();
        if (rank == 0)
            sharedmem_free(more);
    }
    n_bad = sharedmem_all_int64(n_bad, SHAREDMEM_SUM);
    if (rank == 0)
        printf("%s, SHAREDMEM_MEM is %s\n", n_bad == 0 ? "placed" : "wrong",
               getenv("SHAREDMEM_MEM") != NULL ? getenv("SHAREDMEM_MEM") : "not set");
    return 0;
}

/* heap MIB: whether so much can be had. */
static int heap(char **arguments)
{
    void *block;

    sharedmem_barrier();
    block = sharedmem_malloc((size_t)number(arguments, 1) << 20);
    if (rank == 0)
        say(block != NULL ? "enough" : strerror(errno));
    sharedmem_barrier();
    sharedmem_free(block);
    return 0;
}

/* fill BYTES: takes and touches blocks until there are no more; rank 0 says whether that was as it should be. */
static int fill(char **arguments)
{
    size_t bytes = (size_t)number(arguments, 64), n = 0;
    char *block;

    for (; (block = sharedmem_malloc(bytes)) != NULL; n++)
        memset(block, 1, bytes);
    if (errno != ENOMEM || n == 0)
        return 3;
    sharedmem_barrier();
    if (rank == 0)
        say(sharedmem_heap_check(NULL) == 0 ? "whole" : "damaged");
    return 0;
}

/* no-page: rank 2 touches a page of the heap that the system does not have. */
static int no_page(char **arguments)
{
    int fd = memfd_create("empty", MFD_CLOEXEC);
    char *block;

    (void)arguments;
    sharedmem_barrier();
    block = sharedmem_aligned_alloc((size_t)1 << 16, (size_t)1 << 16);
    if (rank == WHO && block != NULL &&
        mmap(block, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED)
        *block = 1;
    sharedmem_barrier();
    return 0;
}

/* ---- Other processes of a rank ---- */

/* helper: once it is part of the job, rank 1 starts itself again, as a process with its environment. */
static int helper(char **arguments)
{
    char command[4096];
    int status = 0;

    sharedmem_barrier();
    /* arguments[-2] is this program's name. */
    snprintf(command, sizeof command, "%s hello helper", arguments[-2]);
    if (rank == 1)
        status = system(command);
    sharedmem_barrier();
    return status != 0;
}

/* forked: the same by a fork alone: the copy is no rank either. */
static int forked(char **arguments)
{
    pid_t child = -1;
    int status = 0;

    (void)arguments;
    sharedmem_barrier();
    if (rank == 1)
        child = fork();
    if (child == 0) {
        printf("rank %d of %d forked\n", sharedmem_rank(), sharedmem_size());
        sharedmem_barrier();
        exit(0);
    }
    if (child > 0)
        waitpid(child, &status, 0);
    sharedmem_barrier();
    return status != 0;
}

/* close-exec PROGRAM [ARGUMENT]...: as wrappers do that are afraid of what they inherit. */
static int close_exec(char **arguments)
{
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    execvp(arguments[0], arguments);
    return 127;
}

/* ---- Signals ---- */

static const int counted[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH, SIGTSTP};
static const char *const names[] = {"HUP", "INT", "TERM", "USR1", "USR2", "CONT", "WINCH", "TSTP"};
#define N_COUNTED (sizeof counted / sizeof *counted)

static volatile sig_atomic_t counts[NSIG];

static void count(int signal)
{
    counts[signal]++;
}

static bool has_come(void)
{
    for (size_t i = 0; i < N_COUNTED; i++) {
        if (counts[counted[i]] != 0)
            return true;
    }
    return false;
}

/* Makes the file PREFIX.RANK. */
static void leave_file(const char *prefix)
{
    char path[4096];
    int fd;

    snprintf(path, sizeof path, "%s.%d", prefix, rank);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0)
        close(fd);
}

/*
 * signals [MS [PREFIX]]: waits for a signal, and MS longer for others; then says how many of each came, and makes
 * the file PREFIX.RANK.
 */
static int count_signals(char **arguments)
{
    struct sigaction action = {.sa_handler = count};

    for (size_t i = 0; i < N_COUNTED; i++)
        sigaction(counted[i], &action, NULL);
    say("ready");
    while (!has_come())
        sleep_ms(1);
    sleep_ms(number(arguments, 200));
    for (size_t i = 0; i < N_COUNTED; i++) {
        if (counts[counted[i]] != 0)
            printf("rank %d: %s %d\n", rank, names[i], (int)counts[counted[i]]);
    }
    if (arguments[0] != NULL && arguments[1] != NULL)
        leave_file(arguments[1]);
    return 0;
}

/* save: SIGTERM lets it save its work, which takes a while, and end well. */
static int save(char **arguments)
{
    struct sigaction action = {.sa_handler = count};

    (void)arguments;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    say("ready");
    while (!has_come())
        sleep_ms(1);
    sleep_ms(300);
    say("saved");
    return 0;
}

/* stubborn: ignores what it can, and waits for ever. */
static int stubborn(char **arguments)
{
    (void)arguments;
    for (size_t i = 0; i < N_COUNTED; i++)
        signal(counted[i], SIG_IGN);
    say("ready");
    while (pause() != 0)
        ;
    return 0;
}

/* ask: rank 0 asks for a name and reads it, while the others wait. */
static int ask(char **arguments)
{
    char name[64] = "";

    (void)arguments;
    if (rank == 0) {
        printf("your name? ");
        fflush(stdout);
        if (fgets(name, sizeof name, stdin) == NULL)
            return 1;
        name[strcspn(name, "\n")] = '\0';
    } else if (getchar() != EOF) {
        return 1;
    }
    sharedmem_bcast(name, sizeof name, 0);
    SHAREDMEM_ORDERED
    {
        printf("rank %d: %s\n", rank, name);
    }
    return 0;
}

/* differ WHAT: what SHAREDMEM_CHECK=1 finds. Where rank 2 does something else the others are at "others.c:2". */
static int differ(char **arguments)
{
    const char *what = arguments[0] != NULL ? arguments[0] : "";
    bool is_other = rank == WHO;
    int value = 0;

    sharedmem_init();
    if (strcmp(what, "finalize") == 0)
        return is_other ? sharedmem_finalize_at("rank2.c:1") : sharedmem_barrier_at("others.c:2");
    if (strcmp(what, "root") == 0)
        return sharedmem_bcast_at(&value, sizeof value, is_other, is_other ? "rank2.c:1" : "others.c:2");
    if (strcmp(what, "end") == 0)
        return is_other ? 0 : sharedmem_barrier_at("others.c:2");
    if (strcmp(what, "region") == 0) {
        sharedmem_critical_begin("log", "rank2.c:1");
        sharedmem_finalize_at("others.c:2");
        sharedmem_critical_end("log");
    }
    if (strcmp(what, "message") == 0) {
        if (is_other)
            sharedmem_send_at(&value, sizeof value, 0, 5, "rank2.c:1");
        sharedmem_finalize();
    }
    for (int k = 0; k < 2 && strcmp(what, "order") == 0; k++) {
        if (rank == k) {
            sharedmem_critical_begin(k == 0 ? "a" : "b", "outer.c:0");
            sharedmem_critical_begin(k == 0 ? "b" : "a", k == 0 ? "others.c:2" : "rank2.c:1");
            sharedmem_critical_end(k == 0 ? "b" : "a");
            sharedmem_critical_end(k == 0 ? "a" : "b");
        }
        sharedmem_barrier();
    }
    return 0;
}

struct mode {
    const char *name;
    int (*run)(char **arguments);
};

static const struct mode modes[] = {
    {"who", who},
    {"hello", hello},
    {"turns", turns},
    {"skip", skip},
    {"lines", lines},
    {"barriers", barriers},
    {"init", init},
    {"late", late},
    {"absent", absent},
    {"die-first", die_first},
    {"wait", wait_for_ever},
    {"end", end},
    {"end-all", end_all},
    {"errors", errors},
    {"end-alone", end_alone},
    {"reductions", reductions},
    {"pointers", pointers},
    {"first", first},
    {"loops", loops},
    {"loop-end", loop_end},
    {"messages", messages},
    {"mail", mail},
    {"mail-read", mail_read},
    {"message-end", message_end},
    {"message-in-vain", message_in_vain},
    {"message-cut", message_cut},
    {"critical", critical},
    {"held", held},
    {"hold", hold},
    {"locked", locked},
    {"locked-end", locked_end},
    {"counter", wait_for_counter},
    {"map", map},
    {"progress", progress},
    {"sort", sort},
    {"heap", heap},
    {"place", place},
    {"fill", fill},
    {"no-page", no_page},
    {"helper", helper},
    {"forked", forked},
    {"close-exec", close_exec},
    {"signals", count_signals},
    {"save", save},
    {"stubborn", stubborn},
    {"ask", ask},
    {"differ", differ},
};

int main(int argc, char **argv)
{
    bool is_wrapper = argc > 1 && strcmp(argv[1], "close-exec") == 0;

    /* A wrapper is no rank itself. */
    if (!is_wrapper) {
        rank = sharedmem_rank();
        size = sharedmem_size();
    }
    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(argv[1], modes[i].name) == 0)
            return modes[i].run(argv + 2);
    }
    fprintf(stderr, "usage: rank MODE [ARGUMENT]...\n");
    return 2;
}
