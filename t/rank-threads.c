/*
 * Ranks with threads, for t/smrrun-threads.t: t/rank-threads MODE. A rank is a process: which of its threads
 * joins the job, and which of them ends, is its own business.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sharedmem.h>

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

static void *join_job(void *unused)
{
    sharedmem_init();
    return unused;
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

static const struct {
    const char *name;
    int (*run)(void);
} modes[] = {
    {"both-first", both_first},
    {"joiner-ends", joiner_ends},
    {"main-ends", main_ends},
    {"abort-while-reading", abort_while_reading},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(argv[1], modes[i].name) == 0)
            return modes[i].run();
    }
    return 98;
}
