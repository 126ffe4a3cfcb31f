/*
 * Teams that are split from the ranks of a parallel call, processes and threads: who is in which, and that all that
 * ranks do together they can do in any team. And that nothing of a team is left behind.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sharedmem.h>

#include "shared_block.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MAX_RANKS       16
#define N_ITEMS         60

static const int nps[] = {1, 2, 3, 7, MAX_RANKS};

struct shared {
    char wrong[100]; /* what was found first */
    _Atomic int n_done[MAX_RANKS][N_ITEMS]; /* by colour: how often each item of a loop was */
    int turns[MAX_RANKS][2 * N_ITEMS];      /* by colour: who, or which item, had its turn */
    int n_turns[MAX_RANKS];                 /* not atomic: turns are what orders it */
    _Atomic int n_in_map;
};

static struct shared *shared;

static void check(bool held, const char *what)
{
    if (!held)
        note_wrong(shared->wrong, what);
}

static const struct way {
    const char *name;
    int backend;
    bool is_debug;
} ways[] = {{"processes", SHAREDMEM_PROCESSES, false},
            {"threads", SHAREDMEM_THREADS, false},
            {"debug mode", SHAREDMEM_PROCESSES, true}};

static uint64_t blocks(void)
{
    sharedmem_heap_statistics statistics;

    sharedmem_heap_statistics_read(&statistics);
    return statistics.n_blocks;
}

static void run_as(const struct way *way, int np, sharedmem_function *body, void *context, const char *name)
{
    uint64_t before;

    if (way->backend == SHAREDMEM_PROCESSES && !way->is_debug && test_thread_sanitized())
        return;
    memset((void *)shared, 0, sizeof *shared);
    before = blocks();
    sharedmem_set_debug(way->is_debug);
    test_int(0, sharedmem_parallel(np, body, context, .backend = way->backend), "%s, %d ranks: %s", way->name,
             np, name);
    sharedmem_set_debug(false);
    test_str("", shared->wrong, "%s, %d ranks: %s, right", way->name, np, name);
    test_int((long long)before, (long long)blocks(), "%s, %d ranks: %s, nothing is left", way->name, np, name);
}

/* ---- Who is in which ---- */

/* Ranks of colour rank % n, by falling rank: how many come before rank, and are there at all. */
static int place_among(int rank, int size, int n, int *n_like)
{
    int before = 0;

    *n_like = 0;
    for (int other = 0; other < size; other++) {
        *n_like += other % n == rank % n;
        before += other % n == rank % n && other > rank;
    }
    return before;
}

static void check_who(sharedmem_team *team, int rank, int size, int n)
{
    int n_like, place = place_among(rank, size, n, &n_like);
    int64_t sum = 0;

    check(sharedmem_team_rank(team) == place, "another rank in the team");
    check(sharedmem_team_size(team) == n_like, "another size of the team");
    check(sharedmem_rank() == rank && sharedmem_size() == size, "a split changes nothing for who calls");
    SHAREDMEM_TEAM (team) {
        sharedmem_range part = sharedmem_my_part(100), expected = sharedmem_part(100, place, n_like);

        check(sharedmem_rank() == place && sharedmem_size() == n_like, "another rank within");
        check(part.begin == expected.begin && part.end == expected.end, "another part");
        sum = sharedmem_all_int64(rank, SHAREDMEM_SUM);
    }
    for (int other = rank % n; other < size; other += n)
        sum -= other;
    check(sum == 0, "a sum of other ranks");
    check(sharedmem_rank() == rank && sharedmem_size() == size, "another rank behind the block");
}

static int who(size_t self, void *result, void *context)
{
    int rank = (int)self, size = sharedmem_size();

    (void)result;
    (void)context;
    for (int n = 1; n <= size; n++) {
        sharedmem_team *team = sharedmem_team_split(rank % n, -rank);

        check_who(team, rank, size, n);
        sharedmem_team_free(team);
    }
    return 0;
}

/* Only the first third gets a team. */
static int some(size_t self, void *result, void *context)
{
    int rank = (int)self, size = sharedmem_size(), n_in = (size + 2) / 3;
    sharedmem_team *team;
    bool was_in = false;

    (void)result;
    (void)context;
    errno = ERANGE;
    team = sharedmem_team_split(rank < n_in ? 1000000000 : SHAREDMEM_NO_COLOUR, 7);
    check(errno == (rank < n_in ? ERANGE : 0), "another errno of a split");
    check((team != NULL) == (rank < n_in), "a team for who is in none");
    SHAREDMEM_TEAM (team) {
        was_in = true;
        check(sharedmem_size() == n_in && sharedmem_barrier() == 0, "another size of some");
    }
    check(was_in == (rank < n_in), "a block without a team");
    check(team != NULL || (sharedmem_team_rank(team) == -1 && sharedmem_team_size(team) == 0), "none has ranks");
    sharedmem_team_free(team);
    check(sharedmem_team_split(SHAREDMEM_NO_COLOUR, 0) == NULL && errno == 0, "nobody has a colour");
    return 0;
}

/* Ranks that are bound run where the plan says: each in one of the teams, and in no more. */
static int by_level(size_t self, void *result, void *context)
{
    static const int32_t levels[] = {SHAREDMEM_BY_NUMA, SHAREDMEM_BY_L3, SHAREDMEM_BY_PACKAGE};

    (void)result;
    (void)context;
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        sharedmem_team *team = sharedmem_team_split_by(levels[i]);
        int64_t first;

        check(team != NULL, "no team by level");
        SHAREDMEM_TEAM (team) {
            first = sharedmem_all_int64((int64_t)self, SHAREDMEM_MIN);
            check(sharedmem_rank() != 0 || first == (int64_t)self, "not by old rank");
        }
        check(sharedmem_all_int64(sharedmem_team_rank(team) == 0 ? sharedmem_team_size(team) : 0,
                                  SHAREDMEM_SUM) == sharedmem_size(),
              "the teams do not have all ranks");
        sharedmem_team_free(team);
    }
    return 0;
}

/* ---- What ranks do together ---- */

static void collectives(void)
{
    static _Thread_local char data[700000];
    int rank = sharedmem_rank(), size = sharedmem_size(), last = size - 1;
    size_t sizes[] = {8, 5000, sizeof data};
    double sum = sharedmem_all_double(rank + 0.5, SHAREDMEM_SUM);
    char *block;

    check(sum == size * (size - 1) / 2.0 + size * 0.5, "another sum");
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        memset(data, rank == last ? (int)i + 1 : 0, sizes[i]);
        check(sharedmem_bcast(data, sizes[i], last) == 0 && data[0] == (char)(i + 1) &&
                  data[sizes[i] - 1] == (char)(i + 1),
              "another broadcast");
    }
    block = sharedmem_team_calloc((size_t)size, 1);
    check(block != NULL, "no block");
    if (block == NULL)
        return;
    block[rank] = (char)rank;
    check(sharedmem_barrier() == 0 && block[last] == last, "a barrier that did not wait");
    sharedmem_barrier();
    if (rank == last)
        sharedmem_free(block);
    block = sharedmem_team_full(SHAREDMEM_INT8, 1, (int64_t[]){1000}, "x").data;
    check(block != NULL && block[0] == 'x' && block[999] == 'x', "an array of other values");
    sharedmem_barrier();
    if (rank == 0)
        sharedmem_free(block);
}

static void loops(int colour)
{
    static const int32_t schedules[] = {SHAREDMEM_GUIDED, SHAREDMEM_DYNAMIC, SHAREDMEM_STATIC};

    for (size_t k = 0; k < COUNT_OF(schedules); k++) {
        SHAREDMEM_FOR(i, N_ITEMS, .schedule = schedules[k])
        {
            shared->n_done[colour][i]++;
            SHAREDMEM_ORDERED
            {
                shared->turns[colour][shared->n_turns[colour]++] = (int)i;
            }
        }
        sharedmem_barrier();
        for (int i = 0; i < N_ITEMS; i++) {
            check(shared->n_done[colour][i] == (int)k + 1, "an item that was not done once");
            check(shared->turns[colour][i] == i, "turns out of order");
        }
        sharedmem_barrier();
        if (sharedmem_rank() == 0)
            shared->n_turns[colour] = 0;
        sharedmem_barrier();
    }
}

static void turns(int colour)
{
    int rank = sharedmem_rank(), size = sharedmem_size();

    for (int round = 0; round < 3; round++) {
        SHAREDMEM_ORDERED
        {
            shared->turns[colour][shared->n_turns[colour]++] = rank;
        }
    }
    sharedmem_barrier();
    for (int i = 0; i < 3 * size; i++)
        check(shared->turns[colour][i] == i % size, "ranks take turns in another order");
}

static int together(size_t self, void *result, void *context)
{
    int n_colours = *(int *)context, colour = (int)self % n_colours;
    sharedmem_team *team = sharedmem_team_split(colour, 0);

    (void)result;
    SHAREDMEM_TEAM (team) {
        collectives();
        loops(colour);
        turns(colour);
    }
    collectives();
    sharedmem_team_free(team);
    return 0;
}

/* ---- Teams of teams ---- */

/* Halves of halves, down to teams of one. Returns how many it went down. */
static int halve(int rank, int size)
{
    sharedmem_team *half;
    int depth = 0;

    check(sharedmem_rank() == rank && sharedmem_size() == size, "another rank in a half");
    if (size == 1)
        return 0;
    half = sharedmem_team_split(rank < size / 2, 0);
    SHAREDMEM_TEAM (half) {
        depth = 1 + (rank < size / 2 ? halve(rank, size / 2) : halve(rank - size / 2, size - size / 2));
    }
    sharedmem_team_free(half);
    check(sharedmem_all_int64(1, SHAREDMEM_SUM) == size, "another sum behind the halves");
    return depth;
}

static int nested(size_t self, void *result, void *context)
{
    int size = sharedmem_size();

    (void)result;
    (void)context;
    halve((int)self, size);
    return 0;
}

/* Rows and columns of a grid, one within the other, and within a loop; the same one twice. */
static int grid(size_t self, void *result, void *context)
{
    int size = sharedmem_size(), dims[2] = {0, 0}, n_done = 0;
    sharedmem_team *row, *column;

    (void)result;
    (void)context;
    sharedmem_dims(size, 2, dims);
    row = sharedmem_team_split((int)self / dims[1], 0);
    column = sharedmem_team_split((int)self % dims[1], 0);
    check(sharedmem_team_size(row) == dims[1] && sharedmem_team_size(column) == dims[0], "another grid");
    SHAREDMEM_TEAM (row) {
        SHAREDMEM_FOR(i, (size_t)dims[1], .schedule = SHAREDMEM_STATIC)
        {
            n_done++;
            SHAREDMEM_TEAM (column) {
                SHAREDMEM_FOR(k, (size_t)dims[0], .schedule = SHAREDMEM_STATIC)
                n_done += 10;
                check(sharedmem_size() == dims[0], "another column");
                SHAREDMEM_TEAM (row) {
                    check(sharedmem_size() == dims[1], "another row within a column");
                }
                check(sharedmem_all_int64(1, SHAREDMEM_SUM) == dims[0], "another sum of a column");
            }
        }
        check(sharedmem_all_int64(1, SHAREDMEM_SUM) == dims[1], "another sum of a row");
    }
    check(n_done == 11, "an item that was not done once in a grid");
    sharedmem_team_free(row);
    sharedmem_team_free(column);
    return 0;
}

/* ---- Ways out of the block ---- */

static int leave_by_return(sharedmem_team *team)
{
    SHAREDMEM_TEAM (team) {
        SHAREDMEM_FOR(i, 5)
        {
            SHAREDMEM_ORDERED
            {
                return sharedmem_size();
            }
        }
    }
    return 0;
}

static int ways_out(size_t self, void *result, void *context)
{
    int size = sharedmem_size();
    sharedmem_team *team = sharedmem_team_split((int)self % 2, 0);

    (void)result;
    (void)context;
    SHAREDMEM_TEAM (team) {
        if (sharedmem_rank() >= 0)
            break;
        check(false, "behind break");
    }
    check(sharedmem_size() == size, "break stays in the team");
    leave_by_return(team);
    check(sharedmem_size() == size, "return stays in the team");
    SHAREDMEM_TEAM (team) {
        goto out;
    }
out:
    check(sharedmem_size() == size, "goto stays in the team");
    check(sharedmem_team_enter(team) == 0, "no way in");
    errno = ERANGE;
    sharedmem_team_leave(team);
    sharedmem_team_free(team);
    sharedmem_team_free(NULL);
    check(errno == ERANGE, "errno is not kept");
    check(sharedmem_all_int64(1, SHAREDMEM_SUM) == size, "another sum at the end");
    return 0;
}

/* ---- Calls within ---- */

static int count_item(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    shared->n_in_map++;
    return 0;
}

static int meet_within(size_t rank, void *result, void *context)
{
    (void)result;
    (void)context;
    check(sharedmem_size() == 2 && sharedmem_rank() == (int)rank, "another rank in a call within");
    shared->n_in_map += (int)sharedmem_all_int64(1, SHAREDMEM_SUM);
    return 0;
}

static int calls_within(size_t self, void *result, void *context)
{
    sharedmem_team *team = sharedmem_team_split((int)self % 2, 0);
    int size = sharedmem_size(), backend = *(int *)context;

    (void)result;
    SHAREDMEM_TEAM (team) {
        int of_team = sharedmem_size();

        check(sharedmem_map(10, count_item, .np = 2, .backend = backend) == 0, "a map failed");
        check(sharedmem_parallel(2, meet_within, NULL, .backend = backend) == 0, "a call failed");
        check(sharedmem_size() == of_team, "another team behind a map");
        sharedmem_barrier();
    }
    sharedmem_barrier();
    check(shared->n_in_map == size * 14, "items that were not done");
    sharedmem_team_free(team);
    return 0;
}

/* ---- Again and again ---- */

static int again(size_t self, void *result, void *context)
{
    int n = *(int *)context;
    sharedmem_team *kept[3] = {NULL};

    (void)result;
    for (int k = 0; k < n; k++) {
        sharedmem_team *team = sharedmem_team_split((int)self % (1 + k % 3), k % 5 * (int)self);

        SHAREDMEM_TEAM (team)
            check(sharedmem_all_int64(1, SHAREDMEM_SUM) == sharedmem_size(), "another sum, again");
        sharedmem_team_free(kept[k % 3]);
        kept[k % 3] = team;
    }
    for (int k = 0; k < 3; k++)
        sharedmem_team_free(kept[k]);
    return 0;
}

struct growth {
    int n;
    uint64_t first, last; /* blocks in use */
};

/* What a rank does not give back stays its process's, which knows it. */
static sharedmem_team *left[MAX_RANKS][150];

/* More teams at once than a page of the list has room for, each in a block of its own; not all are given back. */
static int many(size_t self, void *result, void *context)
{
    sharedmem_team **teams = left[self];

    (void)result;
    (void)context;
    for (int k = 0; k < 150; k++)
        teams[k] = sharedmem_team_split((int)self % 2, 0);
    for (int k = 0; k < 150; k += 1 + k % 3) {
        sharedmem_team_free(teams[k]);
        teams[k] = NULL;
    }
    return 0;
}

/* After the call: of the blocks nothing is left, and the handles do no harm. */
static void free_what_is_left(void)
{
    for (size_t rank = 0; rank < COUNT_OF(left); rank++) {
        for (size_t k = 0; k < COUNT_OF(left[0]); k++) {
            sharedmem_team_free(left[rank][k]);
            left[rank][k] = NULL;
        }
    }
}

static int grow(size_t self, void *result, void *context)
{
    struct growth *growth = context;

    (void)result;
    for (int k = 0; k < growth->n; k++) {
        sharedmem_team *team = sharedmem_team_split((int)self % 2, 0);
        double value = 0;

        SHAREDMEM_TEAM (team)
            sharedmem_bcast(&value, sizeof value, 0);
        sharedmem_team_free(team);
        sharedmem_barrier();
        if (self == 0 && k == 10)
            growth->first = blocks();
        if (self == 0 && k == growth->n - 1)
            growth->last = blocks();
        sharedmem_barrier();
    }
    return 0;
}

static void test_growth(void)
{
    const char *text = getenv("TEST_ROUNDS");
    struct growth *growth = sharedmem_calloc(1, sizeof *growth);

    if (test_thread_sanitized())
        return;
    growth->n = text != NULL ? atoi(text) : test_under_valgrind() ? 100 : 10000;
    test_int(0, sharedmem_parallel(2, grow, growth), "%d splits", growth->n);
    test_int((long long)growth->first, (long long)growth->last, "%d splits: memory is used again", growth->n);
    sharedmem_free(growth);
}

static void test_alone(void)
{
    sharedmem_team *team = sharedmem_team_split(3, 0), *within = NULL;
    int n = 0;

    test_ok(team != NULL && sharedmem_team_size(team) == 1 && sharedmem_team_rank(team) == 0, "alone: one of one");
    SHAREDMEM_TEAM (team) {
        within = sharedmem_team_split_by(SHAREDMEM_BY_NUMA);
        SHAREDMEM_TEAM (within) {
            SHAREDMEM_FOR(i, 5)
            n += sharedmem_barrier() == 0 && sharedmem_barrier_arrive() == 0 && sharedmem_barrier_wait() == 0;
        }
    }
    test_int(5, n, "alone: all items, and barriers");
    errno = ERANGE;
    test_ok(sharedmem_team_split(SHAREDMEM_NO_COLOUR, 0) == NULL && errno == 0, "alone: no colour, no team");
    sharedmem_team_free(within);
    sharedmem_team_free(team);
}

int main(void)
{
    static int two = 2, three = 3, backends[] = {SHAREDMEM_PROCESSES, SHAREDMEM_THREADS}, n_again;
    size_t few = test_under_valgrind();

    test_begin(60);
    shared = shared_block("64M", sizeof *shared);
    n_again = test_under_valgrind() ? 10 : 200;
    for (size_t w = 0; w < COUNT_OF(ways); w++) {
        for (size_t i = few; i < COUNT_OF(nps); i += 1 + few) {
            run_as(&ways[w], nps[i], who, NULL, "colours and keys");
            run_as(&ways[w], nps[i], some, NULL, "some without a colour");
            run_as(&ways[w], nps[i], by_level, NULL, "by level");
            run_as(&ways[w], nps[i], together, &two, "all together, two colours");
            run_as(&ways[w], nps[i], together, &three, "all together, three colours");
            run_as(&ways[w], nps[i], nested, NULL, "halves of halves");
            run_as(&ways[w], nps[i], grid, NULL, "rows and columns");
            run_as(&ways[w], nps[i], ways_out, NULL, "ways out");
            run_as(&ways[w], nps[i], again, &n_again, "again and again");
            run_as(&ways[w], nps[i], many, NULL, "many teams");
            free_what_is_left();
        }
        if (!ways[w].is_debug)
            run_as(&ways[w], 3, calls_within, &backends[ways[w].backend == SHAREDMEM_THREADS], "calls within");
    }
    test_growth();
    test_alone();
    return test_end();
}
