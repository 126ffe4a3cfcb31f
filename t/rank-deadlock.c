/*
 * What t/smrrun-deadlock.t runs as ranks: t/rank-deadlock true|alike I does the I'th of a list of deadlocks.h or
 * look_alikes.h; t/rank-deadlock list prints both lists, a line each: "true I SIZE NAME". And what t/smrrun-report.t
 * runs: t/rank-deadlock report, whose ranks wait in the barrier, but for two.
 */
#include <stdio.h>

#include <sharedmem.h>

#include "deadlocks.h"
#include "look_alikes.h"

static int list(void)
{
    for (size_t i = 0; i < COUNT_OF(true_ones); i++)
        printf("true %zu %d %s\n", i, true_ones[i].size, true_ones[i].name);
    for (size_t i = 0; i < COUNT_OF(look_alikes); i++)
        printf("alike %zu %d %s\n", i, look_alikes[i].size, look_alikes[i].name);
    return 0;
}

static int first_is_long(size_t i, void *result, void *context)
{
    (void)result, (void)context;
    if (i == 0)
        sleep_ms(60000);
    SHAREDMEM_ORDERED
    {
    }
    return 0;
}

/* Rank 2 waits for its own workers, rank 3 for nobody. */
static int wait_and_tell(void)
{
    printf("%d %d\n", sharedmem_rank(), (int)getpid());
    fflush(stdout);
    sharedmem_init();
    if (sharedmem_rank() == 2)
        sharedmem_map(3, first_is_long, NULL, .np = 3);
    if (sharedmem_rank() == 3)
        sleep_ms(60000);
    sharedmem_barrier();
    return 0;
}

int main(int argc, char **argv)
{
    size_t i;

    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return list();
    if (argc == 2 && strcmp(argv[1], "report") == 0)
        return wait_and_tell();
    if (argc != 3)
        return 2;
    i = strtoul(argv[2], NULL, 10);
    deadlocks = sharedmem_team_calloc(1, sizeof *deadlocks);
    if (strcmp(argv[1], "true") == 0 && i < COUNT_OF(true_ones))
        true_ones[i].body(sharedmem_rank());
    else if (i < COUNT_OF(look_alikes))
        look_alikes[i].body(sharedmem_rank());
    return deadlocks->n_wrong > 0;
}
