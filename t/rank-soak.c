/*
 * What t/smrrun-soak.t runs as ranks: t/rank-soak SEED. Ranks do all that they can wait in, over and over, until the
 * one that SEED says is killed, at a moment that SEED says too. Nobody ends in any other way.
 */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <sharedmem.h>

/* From the first step on, so that any of them may be hit: attaching takes about a millisecond. */
static void die_within(uint64_t us)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    struct itimerspec when = {.it_value = {.tv_nsec = (long)(us + 1) * 1000}};
    timer_t timer;

    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || timer_settime(timer, 0, &when, NULL) != 0)
        abort();
}

static void pass_on(int rank, int size, char *data, size_t bytes)
{
    sharedmem_sendrecv(data, bytes, (rank + 1) % size, 1, data + bytes, bytes, (rank + size - 1) % size, 1,
                       NULL);
}

static int item(size_t i, void *result, void *context)
{
    (void)context;
    *(int *)result = (int)i;
    return 0;
}

static void one_round(int rank, int size, char *data)
{
    sharedmem_team *half = sharedmem_team_split(rank % 2, 0);
    int results[4];

    SHAREDMEM_TEAM(half)
    {
        sharedmem_barrier();
    }
    sharedmem_team_free(half);
    sharedmem_all_double(rank, SHAREDMEM_SUM);
    SHAREDMEM_CRITICAL
    {
        sharedmem_free(sharedmem_malloc(100 + (size_t)rank * 1000));
    }
    pass_on(rank, size, data, 8);
    pass_on(rank, size, data, 100000);
    SHAREDMEM_FOR(i, 20, .schedule = SHAREDMEM_DYNAMIC)
    {
        SHAREDMEM_ORDERED
        {
            data[i] = (char)i;
        }
    }
    sharedmem_bcast(data, 50000, 0);
    if (rank == 0)
        sharedmem_map(4, item, NULL, .np = 2, .results = results, .result_size = sizeof *results);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc == 2 ? strtoull(argv[1], NULL, 10) : 0;
    int rank = sharedmem_rank(), size = sharedmem_size();
    uint64_t who = sharedmem_seed(seed, 0) % (uint64_t)size;
    char *data = malloc(200000);

    if (data == NULL)
        return 3;
    if ((uint64_t)rank == who)
        die_within(sharedmem_seed(seed, 1) % 20000);
    for (;;)
        one_round(rank, size, data);
}
