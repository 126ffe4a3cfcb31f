/*
 * Teams whose ranks die, fail, or go away while others wait in theirs or in another; and what may not be done with
 * teams and with half barriers.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sharedmem.h>

#include "shared_block.h"
#include "tap.h"
#include "uncaught.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

struct shared {
    char wrong[200]; /* what was found first */
    sharedmem_team *lent;
    _Atomic int n_failed; /* maps and calls */
};

static struct shared *shared;

static void check(bool held, const char *what)
{
    if (!held)
        note_wrong(shared->wrong, what);
}

static uint64_t blocks(void)
{
    sharedmem_heap_statistics statistics;

    sharedmem_heap_statistics_read(&statistics);
    return statistics.n_blocks;
}

/* ---- Ends ---- */

/* The rank that ends is in one team with rank 1; ranks 0 and 2 are in the other. */
#define WHO 3

enum end { KILLED, EXITS, FAILS, RETURNS, GIVES_BACK, N_ENDS };

static const struct {
    const char *name;
    bool needs_process;
    int kind, code;
    const char *message;
} ends[] = {
    {"is killed", true, SHAREDMEM_ERROR_SIGNAL, SIGKILL, "SIGKILL"},
    {"exits", true, SHAREDMEM_ERROR_EXITED, 9, "exit(9)"},
    {"fails", false, SHAREDMEM_ERROR_RETURNED, 6, "had enough"},
    {"returns", false, SHAREDMEM_ERROR_DEADLOCK, EDEADLK, "rank 3 is gone while rank"},
    {"gives its team back", false, SHAREDMEM_ERROR_DEADLOCK, EDEADLK,
     "rank 3 has given its team back while rank 1 waits"},
};

/* Ranks that are ended in the middle, as threads, cannot give back what they have: it is kept for the test. */
static struct sharedmem_team *kept[400];
static _Atomic int n_kept;

static sharedmem_team *keep(sharedmem_team *team)
{
    kept[n_kept++ % (int)COUNT_OF(kept)] = team;
    return team;
}

static void wait_in_barrier(void)
{
    sharedmem_barrier();
}

static void wait_in_half(void)
{
    sharedmem_barrier_arrive();
    sharedmem_barrier_wait();
}

static void wait_in_collective(void)
{
    sharedmem_all_double(1, SHAREDMEM_SUM);
}

static void wait_in_split(void)
{
    keep(sharedmem_team_split(0, 0));
}

/* Behind rank 1 of the team, which is the one that ends. */
static void wait_in_turns(void)
{
    for (int k = 0; k < 2; k++) {
        SHAREDMEM_ORDERED
        {
            check(true, "");
        }
    }
    sharedmem_barrier();
}

static void wait_in_loop(void)
{
    for (int k = 0; k < 100; k++)
        SHAREDMEM_FOR(i, 1)
            ;
}

static const struct {
    const char *name;
    void (*wait)(void);
} waits[] = {{"a barrier", wait_in_barrier}, {"half a barrier", wait_in_half}, {"a collective", wait_in_collective},
             {"a split", wait_in_split},     {"turns", wait_in_turns},         {"loops", wait_in_loop}};

struct plan {
    enum end end;
    size_t wait;
};

static int end_now(const struct plan *plan, sharedmem_team *team)
{
    if (plan->end == KILLED)
        kill(getpid(), SIGKILL);
    if (plan->end == EXITS)
        _exit(9);
    if (plan->end == FAILS)
        return sharedmem_fail(6, "rank %d had enough", sharedmem_rank());
    sharedmem_team_free(team);
    if (plan->end == RETURNS)
        return 0;
    sharedmem_barrier();
    return 0;
}

static int end_in_teams(size_t rank, void *result, void *context)
{
    const struct plan *plan = context;
    sharedmem_team *team = keep(sharedmem_team_split((int)rank % 2, 0));

    (void)result;
    SHAREDMEM_TEAM (team) {
        sharedmem_barrier();
        if (rank == WHO && plan->end < RETURNS)
            return end_now(plan, team);
    }
    if (rank == WHO)
        return end_now(plan, team);
    SHAREDMEM_TEAM (team) {
        /* Rank 2 is no worse off than rank 1, which waits for the one that ends: it waits for those that wait. */
        if (rank != 2)
            waits[plan->wait].wait();
    }
    sharedmem_barrier();
    return 0;
}

static void end_once(enum end end, size_t wait, int backend)
{
    struct plan plan = {end, wait};
    sharedmem_error error;
    uint64_t before = blocks();
    const char *how = backend == SHAREDMEM_THREADS ? "threads" : "processes";
    int result;

    memset((void *)shared, 0, sizeof *shared);
    result = sharedmem_parallel(4, end_in_teams, &plan, .backend = backend, .error = &error);
    test_ok(result == -1 && errno == ECANCELED, "%s: a rank %s, another waits in %s: it ends", how, ends[end].name,
            waits[wait].name);
    if (end != RETURNS || wait != 4) {
        test_int(ends[end].kind, error.kind, "its kind");
        test_int(ends[end].code, error.code, "its code");
        test_int(WHO, error.rank, "its rank");
        test_has(ends[end].message, error.message, "its message");
    }
    test_str("", shared->wrong, "and nothing else is wrong");
    test_ok(blocks() <= before + (ends[end].needs_process ? 1 : 0), "nothing is left");
}

static void test_ends(void)
{
    for (enum end end = 0; end < N_ENDS; end++) {
        for (size_t wait = 0; wait < COUNT_OF(waits); wait++) {
            if (!test_thread_sanitized())
                end_once(end, wait, SHAREDMEM_PROCESSES);
            if (!ends[end].needs_process)
                end_once(end, wait, SHAREDMEM_THREADS);
        }
    }
}

/* Messages have the numbers of the call, by which users know their ranks, in whatever order the team has them. */
static int wait_in_reverse(size_t rank, void *result, void *context)
{
    sharedmem_team *team = keep(sharedmem_team_split(rank == 1 ? SHAREDMEM_NO_COLOUR : 0, -(int)rank));

    (void)result;
    (void)context;
    if (rank == 4)
        return 0;
    SHAREDMEM_TEAM (team)
        sharedmem_barrier();
    return 0;
}

static void test_numbers(void)
{
    sharedmem_error error;

    test_int(-1, sharedmem_parallel(5, wait_in_reverse, NULL, .backend = SHAREDMEM_THREADS, .error = &error),
             "a rank does not come to a team in reverse order");
    test_has("rank 4 is gone while rank", error.message, "which one");
    test_has(", in a team of 4", error.message, "in which team");
}

/* ---- Misuse ---- */

/* Whether the one error since then is that. */
static bool is_told(int before, int code, const char *part)
{
    return uncaught == before + 1 && last.kind == SHAREDMEM_ERROR_USAGE && last.code == code &&
           strstr(last.message, part) != NULL;
}

#define REFUSED(call, code, part)                                                                            \
    do {                                                                                                     \
        int before_ = uncaught;                                                                              \
        errno = 0;                                                                                           \
        check((call) && errno == (code), #call ": not refused");                                             \
        check(is_told(before_, (code), (part)), #call ": told otherwise");                                   \
    } while (0)

static void misuse_halves(void)
{
    sharedmem_loop loop;

    REFUSED(sharedmem_barrier_wait() == -1, EPERM, "barrier_wait: this rank has not arrived");
    check(sharedmem_barrier_arrive() == 0, "arrive");
    REFUSED(sharedmem_barrier_arrive() == -1, EPERM, "barrier_arrive: this rank has arrived at a barrier");
    REFUSED(sharedmem_barrier() == -1, EPERM, "barrier: this rank has arrived");
    REFUSED(sharedmem_bcast(&loop, 1, 0) == -1, EPERM, "bcast: this rank has arrived");
    REFUSED(sharedmem_team_split(0, 0) == NULL, EPERM, "team_split: this rank has arrived");
    REFUSED(sharedmem_loop_begin(&loop, 5) == -1, EPERM, "loop: this rank has arrived");
    check(sharedmem_barrier_wait() == 0, "wait");
    REFUSED(sharedmem_barrier_wait() == -1, EPERM, "barrier_wait: this rank has not arrived");
}

static void misuse_teams(sharedmem_team *team, sharedmem_team *other)
{
    int before = uncaught;

    REFUSED(sharedmem_team_split(-5, 0) == NULL, EINVAL, "team_split: colour is -5");
    REFUSED(sharedmem_team_split_by(9) == NULL, EINVAL, "team_split_by: level is 9");
    REFUSED((sharedmem_team_leave(team), errno = EPERM), EPERM, "team_leave: this is not the team");
    before = uncaught;
    errno = 0;
    check(sharedmem_team_enter(NULL) == -1 && errno == EINVAL && uncaught == before, "entered nothing");
    SHAREDMEM_TEAM (team) {
        REFUSED((sharedmem_team_free(team), errno = EPERM), EPERM, "team_free: the caller is in this team");
        REFUSED((sharedmem_team_leave(other), errno = EPERM), EPERM, "team_leave: this is not the team");
        SHAREDMEM_TEAM (other)
            REFUSED((sharedmem_team_leave(team), errno = EPERM), EPERM, "team_leave: this is not the team");
    }
    for (int k = 0; k < 16; k++)
        check(sharedmem_team_enter(team) == 0, "16 times");
    REFUSED(sharedmem_team_enter(team) == -1, EPERM, "16 times already");
    for (int k = 0; k < 16; k++)
        sharedmem_team_leave(team);
}

/* In a team of the caller alone, so that nobody waits for what goes wrong. */
static void leave_what_is_open(sharedmem_team *alone, sharedmem_team *team)
{
    sharedmem_loop loop;

    check(sharedmem_team_enter(alone) == 0 && sharedmem_ordered_begin("here:1") == 0, "no turn");
    REFUSED(sharedmem_team_enter(team) == -1, EPERM, "ordered region");
    REFUSED((sharedmem_team_leave(alone), errno = EPERM), EPERM, "team_leave: it was left within an ordered");
    check(sharedmem_team_enter(alone) == 0 && sharedmem_loop_begin(&loop, 5) == 0, "no loop");
    REFUSED((sharedmem_team_leave(alone), errno = EPERM), EPERM, "team_leave: it was left within a loop");
    sharedmem_loop_end(&loop);
    SHAREDMEM_TEAM (alone) {
        int n = 0;

        SHAREDMEM_FOR(i, 5)
        n++;
        check(n == 5, "a loop after one that was left open");
    }
}

/* Of a map and a call whose caller is in the team. */
static int enter_in_worker(size_t i, void *result, void *context)
{
    (void)result;
    if (i > 0 || context == NULL)
        return 0;
    REFUSED(sharedmem_team_enter(context) == -1, EPERM, "team_enter: the caller is not the rank");
    return 0;
}

static int split_in_map(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    REFUSED(sharedmem_team_split(0, 0) == NULL, EPERM, "team_split: items of a map");
    REFUSED(sharedmem_barrier_arrive() == -1, EPERM, "barrier_arrive: items of a map");
    REFUSED(sharedmem_barrier_wait() == -1, EPERM, "barrier_wait: items of a map");
    return 0;
}

static int free_in_item(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    REFUSED((sharedmem_team_free(context), errno = EPERM), EPERM, "team_free: this rank is in this team, around");
    return 0;
}

/* A worker has a copy, which is its own. */
static int free_in_worker(size_t i, void *result, void *context)
{
    int before = uncaught;

    (void)i;
    (void)result;
    sharedmem_team_free(context);
    check(uncaught == before, "a worker's copy");
    return 0;
}

/* By a call within, of the rank that is in it. */
static void free_within(sharedmem_team *team, int backend)
{
    SHAREDMEM_TEAM (team) {
        check(sharedmem_map(1, free_in_item, .context = team, .backend = SHAREDMEM_SERIAL) == 0, "a serial map");
        check(sharedmem_parallel(1, free_in_item, .context = team, .backend = backend) == 0, "a call of one");
        if (backend == SHAREDMEM_THREADS)
            check(sharedmem_map(2, free_in_item, .context = team, .np = 1, .backend = backend) == 0, "a thread");
        else
            check(sharedmem_map(1, free_in_worker, .context = team, .np = 2, .backend = backend) == 0, "a worker");
    }
    check(sharedmem_team_size(team) == 1, "it is gone");
}

static int misuse(size_t rank, void *result, void *context)
{
    sharedmem_team *team = sharedmem_team_split(0, 0), *other = sharedmem_team_split(0, 1);
    sharedmem_team *alone = sharedmem_team_split((int)rank, 0);
    int backend = *(int *)context;

    (void)result;
    if (rank == 1)
        shared->lent = team;
    sharedmem_barrier();
    if (rank == 0) {
        misuse_teams(team, other);
        leave_what_is_open(alone, team);
        if (backend == SHAREDMEM_THREADS)
            REFUSED(sharedmem_team_enter(shared->lent) == -1, EPERM, "team_enter: the caller is not the rank");
        SHAREDMEM_TEAM (team) {
            check(sharedmem_map(1, enter_in_worker, .context = team, .np = 1) == 0, "a map");
            check(sharedmem_map(1, split_in_map, .np = 1) == 0, "another map");
            check(sharedmem_parallel(1, enter_in_worker, .context = team) == 0, "a call");
        }
        free_within(alone, backend);
        misuse_halves();
    } else {
        sharedmem_barrier();
    }
    if (rank == 0)
        shared->lent = team;
    sharedmem_barrier();
    if (rank == 1)
        sharedmem_team_free(team);
    sharedmem_team_free(other);
    sharedmem_team_free(alone);
    return 0;
}

static void test_misuse(int backend)
{
    uint64_t before = blocks();
    int n_uncaught;

    memset((void *)shared, 0, sizeof *shared);
    sharedmem_set_uncaught(note_uncaught);
    test_int(0, sharedmem_parallel(2, misuse, &backend, .backend = backend), "all kinds of misuse");
    test_str("", shared->wrong, "are refused, and told");
    n_uncaught = uncaught;
    test_int(-1, sharedmem_team_enter(shared->lent), "a team whose call has ended");
    test_int(n_uncaught + 1, uncaught, "is refused, too");
    sharedmem_team_free(shared->lent);
    test_int((long long)before, (long long)blocks(), "and its memory was the call's");
    sharedmem_set_uncaught(sharedmem_uncaught);
}

int main(void)
{
    test_begin(60);
    shared = shared_block("64M", sizeof *shared);
    test_ends();
    test_numbers();
    if (!test_thread_sanitized())
        test_misuse(SHAREDMEM_PROCESSES);
    test_misuse(SHAREDMEM_THREADS);
    return test_end();
}
