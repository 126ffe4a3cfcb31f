/*
 * Ranks with threads, for t/smrrun-threads.t: t/rank-threads MODE. A rank is a process: which of its threads
 * joins the job, and which of them ends, is its own business.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sharedmem.h>

#include "messages.h"

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void start(pthread_t *thread, void *(*body)(void *unused))
{
    if (pthread_create(thread, NULL, body, NULL) != 0)
        exit(99);
}

static void *allocate(void *unused)
{
    sharedmem_free(sharedmem_malloc(8));
    return unused;
}

/* Two threads make the first calls at once. */
static int both_first(void)
{
    pthread_t thread;
    int64_t sum;

    start(&thread, allocate);
    sum = sharedmem_all_int64(1, SHAREDMEM_SUM);
    pthread_join(thread, NULL);
    return sum == sharedmem_size() ? 0 : 1;
}

/* What each of the threads calls first of all. */
#define FIRST_CALLS 7
static pthread_barrier_t gate;
static _Atomic int64_t n_wrong_first;

static void *call_first(void *argument)
{
    int which = *(int *)argument, value = which;

    pthread_barrier_wait(&gate);
    switch (which) {
    case 0:
        n_wrong_first += sharedmem_all_int64(1, SHAREDMEM_SUM) != sharedmem_size();
        break;
    case 1:
        n_wrong_first += sharedmem_init() != 0;
        break;
    case 2:
        n_wrong_first += sharedmem_rank() < 0 || sharedmem_rank() >= sharedmem_size();
        break;
    case 3:
        sharedmem_free(sharedmem_malloc(100));
        break;
    case 4:
        SHAREDMEM_CRITICAL
            value++;
        break;
    case 5:
        n_wrong_first += sharedmem_iprobe(SHAREDMEM_ANY_SOURCE, 1, NULL) != 0;
        break;
    default:
        n_wrong_first += sharedmem_send(&value, sizeof value, sharedmem_rank(), 7) != 0 ||
                         sharedmem_recv(&value, sizeof value, sharedmem_rank(), 7, NULL) != 0 || value != which;
    }
    return NULL;
}

/* So many threads make the first calls at once, each another one. */
static int all_first(void)
{
    pthread_t threads[FIRST_CALLS];
    int which[FIRST_CALLS];

    pthread_barrier_init(&gate, NULL, FIRST_CALLS);
    for (int i = 0; i < FIRST_CALLS; i++) {
        which[i] = i;
        if (pthread_create(&threads[i], NULL, call_first, &which[i]) != 0)
            exit(99);
    }
    for (int i = 0; i < FIRST_CALLS; i++)
        pthread_join(threads[i], NULL);
    return sharedmem_all_int64(n_wrong_first, SHAREDMEM_SUM) == 0 ? 0 : 1;
}

static void *join_job(void *unused)
{
    sharedmem_init();
    return unused;
}

/* Of a job of one: a thread that has made no call yet ends the job while another one joins it. */
static int finalize_while_joining(void)
{
    pthread_t thread;
    int wrong = 0;

    start(&thread, join_job);
    for (int k = 0; k < 10000; k++)
        wrong |= sharedmem_finalize() != 0;
    pthread_join(thread, NULL);
    return wrong | (sharedmem_finalize() != 0);
}

/* The thread that joined is gone when the others wait for the rank. */
static int joiner_ends(void)
{
    pthread_t thread;

    if (sharedmem_rank() == 1) {
        start(&thread, join_job);
        pthread_join(thread, NULL);
        sleep_ms(200);
    }
    return sharedmem_barrier();
}

static void *meet_late(void *unused)
{
    sleep_ms(200);
    exit(sharedmem_barrier());
    return unused;
}

/* The first thread ends before the others do. */
static int main_ends(void)
{
    pthread_t thread;

    sharedmem_barrier();
    if (sharedmem_rank() != 1)
        return sharedmem_barrier();
    start(&thread, meet_late);
    pthread_exit(NULL);
}

/* ---- Calls in several threads at once ---- */

#define N_BUSY  3
#define N_TIMES 300

struct common {
    sharedmem_mutex mutex;
    sharedmem_counter n_done;
    int64_t by_mutex, by_critical, by_named; /* what a lock that excludes nobody would lose */
};
static struct common *common;
static int failed;

static void *be_busy(void *unused)
{
    char *kept[8] = {NULL};

    for (int k = 0; k < N_TIMES; k++) {
        sharedmem_free(kept[k % 8]);
        kept[k % 8] = sharedmem_malloc((size_t)(k * 37 % 3000));
        kept[k % 8][0] = 1;
        SHAREDMEM_LOCKED (&common->mutex)
            common->by_mutex++;
        SHAREDMEM_CRITICAL
            common->by_critical++;
        SHAREDMEM_CRITICAL_NAMED("named")
            common->by_named++;
        sharedmem_counter_add(&common->n_done, 1);
    }
    for (int k = 0; k < 8; k++)
        sharedmem_free(kept[k]);
    return unused;
}

static void *collect(void *unused)
{
    int rank = sharedmem_rank(), size = sharedmem_size(), value;
    char *block;

    for (int k = 0; k < 100; k++) {
        value = rank == k % size ? k : -1;
        failed |= sharedmem_barrier() != 0 || sharedmem_all_int64(1, SHAREDMEM_SUM) != size ||
                  sharedmem_bcast(&value, sizeof value, k % size) != 0 || value != k;
        SHAREDMEM_FOR (i, 10)
            sharedmem_counter_add(&common->n_done, 0);
        SHAREDMEM_ORDERED
            value = 0;
    }
    block = sharedmem_team_calloc(1, 1000);
    sharedmem_barrier();
    if (rank == 0)
        sharedmem_free(block);
    return unused;
}

/* Allocation, locks and counters in three threads, while another one meets the other ranks. */
static int busy(void)
{
    pthread_t threads[N_BUSY], meeter;
    int64_t n = (int64_t)sharedmem_size() * N_BUSY * N_TIMES;

    common = sharedmem_team_calloc(1, sizeof *common);
    for (int i = 0; i < N_BUSY; i++)
        start(&threads[i], be_busy);
    start(&meeter, collect);
    for (int i = 0; i < N_BUSY; i++)
        pthread_join(threads[i], NULL);
    sharedmem_counter_wait(&common->n_done, SHAREDMEM_GE, n);
    pthread_join(meeter, NULL);
    sharedmem_barrier();
    return failed || common->by_mutex != n || common->by_critical != n || common->by_named != n ||
           sharedmem_heap_check(NULL) != 0;
}

/* Each call of the rank by another thread, one after the other; the threads come and go, the rank stays. */
static int in_turns(void)
{
    pthread_t thread;

    common = sharedmem_team_calloc(1, sizeof *common);
    for (int k = 0; k < 5; k++) {
        start(&thread, collect);
        pthread_join(thread, NULL);
        failed |= sharedmem_all_double(1, SHAREDMEM_MAX) != 1;
    }
    return failed;
}

static void *fork_there(void *unused)
{
    int status = -1;
    pid_t child = fork();

    /* The copy is no rank, and uses what is shared all the same. */
    if (child == 0) {
        for (int k = 0; k < 50; k++) {
            sharedmem_free(sharedmem_malloc(100));
            SHAREDMEM_CRITICAL
                common->by_critical++;
            SHAREDMEM_LOCKED (&common->mutex)
                common->by_mutex++;
        }
        _exit(sharedmem_heap_check(NULL) != 0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        failed = 1;
    return unused;
}

/* Threads that fork while others are in the middle of all kinds of calls. */
static int forks(void)
{
    pthread_t busy_one, forker;
    int64_t n = (int64_t)sharedmem_size() * (N_TIMES + 5 * 50);

    common = sharedmem_team_calloc(1, sizeof *common);
    start(&busy_one, be_busy);
    for (int k = 0; k < 5; k++) {
        start(&forker, fork_there);
        pthread_join(forker, NULL);
    }
    pthread_join(busy_one, NULL);
    sharedmem_barrier();
    return failed || common->by_critical != n || common->by_mutex != n;
}

static void *exit_there(void *unused)
{
    sharedmem_barrier();
    exit(0);
    return unused;
}

/* A thread ends the program by exit(), while the first one is in a call. */
static int exits(void)
{
    pthread_t thread;

    common = sharedmem_team_calloc(1, sizeof *common);
    start(&thread, exit_there);
    while (!failed)
        be_busy(NULL);
    return 1;
}

static void *read_stdin(void *unused)
{
    while (getchar() != EOF)
        ;
    return unused;
}

/* A thread waits in getchar(), which keeps stdin locked. */
static int abort_while_reading(void)
{
    pthread_t thread;

    sharedmem_barrier();
    if (sharedmem_rank() == 0) {
        start(&thread, read_stdin);
        sleep_ms(100);
        sharedmem_abort(7);
    }
    pause();
    return 0;
}

/* ---- Messages ---- */

#define SPEAKERS 4
#define ROUNDS   300

static _Atomic int n_wrong;

/* Thread i of each rank speaks with thread i of all others, small and large, and all of them at once. */
static void *speak(void *argument)
{
    int rank = sharedmem_rank(), size = sharedmem_size(), tag = *(int *)argument;
    unsigned char *out = malloc(70000), *in = malloc(70000);

    for (int k = 0; k < ROUNDS; k++) {
        size_t bytes = k % 50 == 0 ? 70000 : k % 7 == 0 ? 6000 : 40;
        int to = (rank + k) % size, from = (rank + size - k % size) % size;

        message_fill(out, bytes, rank, tag, k);
        if (k % 2 == 0 || to == rank) {
            n_wrong += sharedmem_sendrecv(out, bytes, to, tag, in, bytes, from, tag, NULL) != 0;
        } else {
            n_wrong += bytes <= 65536 && sharedmem_send(out, bytes, to, tag) != 0;
            n_wrong += bytes <= 65536 && sharedmem_recv(in, bytes, from, tag, NULL) != 0;
        }
        n_wrong += !message_is(in, bytes, from, tag, k);
    }
    free(out);
    free(in);
    return NULL;
}

static int messages(void)
{
    pthread_t threads[SPEAKERS];
    int tags[SPEAKERS];

    sharedmem_init();
    for (int i = 0; i < SPEAKERS; i++) {
        tags[i] = i;
        if (pthread_create(&threads[i], NULL, speak, &tags[i]) != 0)
            exit(99);
    }
    for (int i = 0; i < SPEAKERS; i++)
        pthread_join(threads[i], NULL);
    return sharedmem_all_int64(n_wrong, SHAREDMEM_SUM) == 0 ? 0 : 1;
}

static const struct {
    const char *name;
    int (*run)(void);
} modes[] = {
    {"both-first", both_first},
    {"all-first", all_first},
    {"finalize-while-joining", finalize_while_joining},
    {"joiner-ends", joiner_ends},
    {"main-ends", main_ends},
    {"busy", busy},
    {"in-turns", in_turns},
    {"forks", forks},
    {"exits", exits},
    {"abort-while-reading", abort_while_reading},
    {"messages", messages},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(argv[1], modes[i].name) == 0)
            return modes[i].run();
    }
    return 98;
}
