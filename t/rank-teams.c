/* What t/smrrun-teams.t runs as ranks: t/rank-teams MODE [ARGUMENT]. Modes that some rank ends in say so by rank 2. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sharedmem.h>

#define WHO 2

static int rank, size, n_wrong;
static sharedmem_team *team; /* of those that end without giving it back */

static void check(bool held, const char *what)
{
    if (!held && n_wrong++ < 3)
        fprintf(stderr, "rank %d: %s\n", rank, what);
}

/* Ranks that have the colour of this one, where there are n. */
static int64_t sum_of_colour(int n)
{
    int64_t sum = 0;

    for (int other = rank % n; other < size; other += n)
        sum += other;
    return sum;
}

static int halve(int first, int n)
{
    sharedmem_team *half;
    int depth = 0;

    check(sharedmem_rank() == rank - first && sharedmem_size() == n, "another rank in a half");
    if (n == 1)
        return 0;
    half = sharedmem_team_split(rank < first + n / 2, 0);
    SHAREDMEM_TEAM (half) {
        depth = 1 + (rank < first + n / 2 ? halve(first, n / 2) : halve(first + n / 2, n - n / 2));
    }
    sharedmem_team_free(half);
    return depth;
}

/* teams [N]: N rounds of splits, and of what ranks do together in their teams. */
static int teams(const char *argument)
{
    int n_rounds = argument != NULL ? atoi(argument) : 20;
    sharedmem_team *node = sharedmem_team_split_by(SHAREDMEM_BY_NUMA);

    check(sharedmem_team_size(node) >= 1, "no team of a node");
    for (int round = 0; round < n_rounds; round++) {
        int n = 1 + round % 4, n_done = 0;

        team = sharedmem_team_split(rank % n, -rank);
        SHAREDMEM_TEAM (team) {
            int first = rank;

            check(sharedmem_all_int64(rank, SHAREDMEM_SUM) == sum_of_colour(n), "another sum");
            sharedmem_bcast(&first, sizeof first, sharedmem_size() - 1);
            check(first == rank % n, "another one is the last");
            SHAREDMEM_FOR(i, 20)
            {
                n_done++;
                SHAREDMEM_ORDERED
                n_done++;
            }
            check(sharedmem_all_int64(n_done, SHAREDMEM_SUM) == 40, "items that were not done once");
            check(sharedmem_barrier_arrive() == 0 && sharedmem_barrier_wait() == 0, "no half barrier");
        }
        check(sharedmem_all_int64(rank, SHAREDMEM_SUM) == (int64_t)size * (size - 1) / 2, "another sum of all");
        sharedmem_team_free(team);
        halve(0, size);
    }
    sharedmem_team_free(node);
    if (sharedmem_all_int64(n_wrong, SHAREDMEM_SUM) == 0 && rank == 0)
        puts("all right");
    return n_wrong > 0;
}

/* turns: in its team each rank says its turn; rank 2 ends after the first, and is passed over. */
static int turns(const char *argument)
{
    (void)argument;
    team = sharedmem_team_split(0, -rank);
    SHAREDMEM_TEAM (team) {
        for (int round = 0; round < 3; round++) {
            SHAREDMEM_ORDERED
            {
                printf("%d %d\n", round, rank);
            }
            if (rank == WHO)
                return 0;
        }
    }
    return 0;
}

/* end HOW: rank 2 ends in a team, while one waits for it there, and others for that one. */
static int end(const char *how)
{
    team = sharedmem_team_split(rank % 2, 0);
    SHAREDMEM_TEAM (team) {
        sharedmem_barrier();
        if (rank == WHO && strcmp(how, "kill") == 0)
            raise(SIGKILL);
        if (rank == WHO && strcmp(how, "abort7") == 0)
            sharedmem_abort(7);
        if (rank == WHO && strcmp(how, "uncaught") == 0)
            sharedmem_team_split(-7, 0);
        if (rank == WHO)
            return atoi(how);
        if (rank == 0)
            sharedmem_barrier();
    }
    sharedmem_barrier();
    return 0;
}

/* free: rank 2 gives its team back, and goes on, while rank 0 waits for it there. */
static int give_back(const char *argument)
{
    (void)argument;
    team = sharedmem_team_split(rank % 2, 0);
    if (rank == WHO) {
        sharedmem_team_free(team);
        sharedmem_barrier();
        return 0;
    }
    SHAREDMEM_TEAM (team) {
        if (rank == 0)
            sharedmem_all_double(1, SHAREDMEM_SUM);
    }
    sharedmem_barrier();
    return 0;
}

/* A thread of each rank is in the team, while the first one has the job as ever. */
static void *be_in_team(void *unused)
{
    (void)unused;
    check(sharedmem_size() == size, "another size in a thread");
    SHAREDMEM_TEAM (team) {
        check(sharedmem_size() == sharedmem_team_size(team), "another size in a thread in its team");
        for (int k = 0; k < 200; k++)
            check(sharedmem_all_int64(rank, SHAREDMEM_SUM) == sum_of_colour(2), "another sum in a thread");
    }
    return NULL;
}

static int threads(const char *argument)
{
    pthread_t thread;

    (void)argument;
    team = sharedmem_team_split(rank % 2, 0);
    pthread_create(&thread, NULL, be_in_team, NULL);
    for (int k = 0; k < 200; k++)
        check(sharedmem_all_int64(1, SHAREDMEM_SUM) == size, "another sum beside a thread");
    pthread_join(thread, NULL);
    sharedmem_team_free(team);
    return n_wrong > 0;
}

static const struct {
    const char *name;
    int (*run)(const char *argument);
} modes[] = {{"teams", teams}, {"turns", turns}, {"end", end}, {"free", give_back}, {"threads", threads}};

int main(int argc, char **argv)
{
    rank = sharedmem_rank();
    size = sharedmem_size();
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (argc > 1 && strcmp(argv[1], modes[i].name) == 0)
            return modes[i].run(argv[2]);
    }
    return 2;
}
