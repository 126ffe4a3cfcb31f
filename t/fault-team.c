/*
 * Death between any two stores of a split, of giving a team back, and of half a barrier: the others are told, no
 * block is lost but one that was on its way, and the next call is right.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "fault_ranks.h"
#include "sharedmem.h"
#include "tap.h"

/* Steps that nobody comes to: so many are counted. */
#define UNREACHED 1000000ul

enum call { KEEP, BOARD, HALVES, TURNS, N_CALLS };

static const char *const names[] = {"splits that are kept", "free of a team with a board", "half barriers",
                                    "turns in a team"};


/* Teams that this process has not freed: they stay to be found, so that no leak is seen in them. */
static sharedmem_team *kept[10000];
static size_t n_kept;

static int use_board(sharedmem_team *team, int k)
{
    char data[3000];
    int result = 0;

    SHAREDMEM_TEAM(team)
    {
        memset(data, sharedmem_rank() == 0 ? k + 1 : 0, sizeof data);
        result = sharedmem_bcast(data, sizeof data, 0);
        shared->wrong += result == 0 && data[2999] != k + 1;
    }
    return result;
}

static int use_turns(sharedmem_team *team)
{
    int n = 0;

    SHAREDMEM_TEAM(team)
    {
        SHAREDMEM_ORDERED
        n++;
    }
    return n == 1 ? 0 : -1;
}

static int one(enum call call, size_t rank, int k)
{
    sharedmem_team *team;
    int result = 0;

    if (call == HALVES)
        return sharedmem_barrier_arrive() != 0 || sharedmem_barrier_wait() != 0;
    team = sharedmem_team_split((int)rank % 2, k);
    if (team == NULL)
        return 1;
    if (call == BOARD)
        result = use_board(team, k);
    if (call == TURNS)
        result = use_turns(team);
    if (call != KEEP)
        sharedmem_team_free(team);
    else
        kept[n_kept++ % (sizeof kept / sizeof *kept)] = team;
    return result != 0;
}

/* In a team in reverse order, so that the teams are laid out by a rank that may die: the caller of all is the last. */
static int body(size_t rank, void *result, void *context)
{
    sharedmem_team *reverse = sharedmem_team_split(0, -(int)rank);
    bool failed = reverse == NULL;

    (void)result;
    SHAREDMEM_TEAM(reverse)
    {
        for (int k = 0; k < 3 && !failed; k++) {
            if (k == 1 && rank == shared->bad)
                fault_arm(shared->step);
            failed = one(*(enum call *)context, rank, k) != 0;
            if (k == 1 && rank == shared->bad)
                shared->n_steps = shared->step - fault_left();
        }
        if (rank == shared->bad)
            fault_arm(0);
    }
    sharedmem_team_free(reverse);
    shared->done += !failed;
    return failed;
}

/* At each store of the second of the calls, and two later. */
static int die_at_each(enum call call, int np, size_t who, int *died)
{
    int wrong = die_once(body, &call, np, who, UNREACHED, died);
    unsigned long n_steps = shared->n_steps + 2;

    for (unsigned long step = 1; step <= n_steps; step += test_under_valgrind() ? 7 : 1)
        wrong += die_once(body, &call, np, who, step, died);
    return wrong;
}

static void die_everywhere(enum call call, int np)
{
    int died = 0, wrong = die_at_each(call, np, (size_t)np - 1, &died);

    if (np > 2)
        wrong += die_at_each(call, np, 1, &died);
    test_int(0, wrong, "%s, %d ranks", names[call], np);
    test_ok(died > 0, "%s, %d ranks: %d died", names[call], np, died);
}

int main(void)
{
    static const int nps[] = {2, 6}; /* the two ways of barriers */

    test_begin(120);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    shared = sharedmem_calloc(1, sizeof *shared);
    for (enum call call = 0; call < N_CALLS; call++) {
        for (size_t i = 0; i < sizeof nps / sizeof *nps; i++)
            die_everywhere(call, nps[i]);
    }
    return test_end();
}
