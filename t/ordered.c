/* Ordered regions, with threads as ranks: turns by item and by rank, and turns that never come. */
#include "team/ordered.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "tap.h"
#include "team/schedule.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MAX_RANKS       32
#define ITEMS           400u
#define TURNS           12u /* of a rank at most */
#define LAST_TURN       (TURNS / 2)

static const struct map {
    const char *name;
    sharedmem_schedule kind;
    uint64_t chunk;
    uint64_t skip; /* each of these items stays outside; 0: none does */
} maps[] = {
    {"dynamic", SHAREDMEM_DYNAMIC, 1, 0},
    {"dynamic in chunks, each third item skips", SHAREDMEM_DYNAMIC, 7, 3},
    {"guided, each second item skips", SHAREDMEM_GUIDED, 1, 2},
    {"static blocks", SHAREDMEM_STATIC, 0, 0},
    {"static chunks, all items skip", SHAREDMEM_STATIC, 2, 1},
};

enum end { GOES_ON, IS_DONE, IS_GONE, FAILS };

/* How rank 0 ends after LAST_TURN turns. */
static const struct turns {
    const char *name;
    enum end end;
} turns[] = {
    {"all go on", GOES_ON},
    {"rank 0 is done early", IS_DONE},
    {"rank 0's thread ends", IS_GONE},
    {"rank 0 fails", FAILS},
};

static const uint32_t rank_counts[] = {1, 2, 3, 8, MAX_RANKS};

struct rank {
    pthread_t thread;
    struct team_place place;
    int code; /* errno, where it could not enter */
};

static struct {
    struct team_shared *team;
    struct schedule schedule;
    struct schedule_shared dealt;
    const struct map *map;
    const struct turns *turns;
    struct rank ranks[MAX_RANKS];

    /* Not atomic: the regions are what orders these. */
    uint64_t log[ITEMS + TURNS * MAX_RANKS];
    uint32_t n_logged;
    uint32_t n_entered_twice;
} run;

static bool take_turn(struct rank *me, uint64_t ticket)
{
    if (ordered_enter(&me->place, "t/ordered.c:1") != 0) {
        me->code = errno;
        return false;
    }
    run.log[run.n_logged++] = ticket;
    run.n_entered_twice += ordered_enter(&me->place, NULL) == 0 || errno != EPERM;
    ordered_leave(&me->place);
    return true;
}

static bool is_skipped(uint64_t item)
{
    return run.map->skip != 0 && item % run.map->skip == 0;
}

static void do_items(struct rank *me)
{
    struct team_rank_shared *mine = &run.team->ranks[me->place.rank];
    struct schedule_turn turn = {0};
    uint64_t begin, end;

    while (schedule_next(&run.schedule, &run.dealt, &turn, me->place.rank, &begin, &end)) {
        for (uint64_t i = begin; i < end; i++) {
            atomic_store_explicit(&mine->item, i, memory_order_relaxed);
            ordered_set_floor(run.team, me->place.rank, i);
            if (!is_skipped(i) && !take_turn(me, i))
                return;
        }
        atomic_store_explicit(&mine->item, SHAREDMEM_NO_ITEM, memory_order_relaxed);
        ordered_set_floor(run.team, me->place.rank, end);
    }
    ordered_set_floor(run.team, me->place.rank, ORDERED_NO_MORE);
}

static uint32_t turns_of(uint32_t rank)
{
    if (rank == 0)
        return run.turns->end == GOES_ON ? TURNS : LAST_TURN;
    return TURNS - rank % 3;
}

static void end_turns(const struct team_place *place)
{
    sharedmem_error error;

    if (place->rank == 0 && run.turns->end == IS_GONE)
        return;
    if (place->rank == 0 && run.turns->end == FAILS) {
        error_set(&error, SHAREDMEM_ERROR_RETURNED, ECANCELED, "as planned");
        team_fail(place->team, 0, &error);
        return;
    }
    ordered_set_floor(place->team, place->rank, ORDERED_NO_MORE);
}

static void take_turns(struct rank *me)
{
    for (uint32_t i = 0; i < turns_of(me->place.rank); i++) {
        if (i % 4 == 3 && i % run.team->size == me->place.rank)
            usleep(300);
        if (!take_turn(me, i * run.team->size + me->place.rank))
            return;
    }
    end_turns(&me->place);
}

static void *be_rank(void *argument)
{
    struct rank *me = argument;

    if (memory_enter(NULL) != 0)
        return NULL;
    atomic_store_explicit(&run.team->ranks[me->place.rank].member, member_my_id, memory_order_release);
    if (run.map != NULL)
        do_items(me);
    else
        take_turns(me);
    return NULL;
}

/* Runs a team of n; its memory is the caller's to free. */
static void run_team(uint32_t n, const struct map *map, const struct turns *how)
{
    memset(&run, 0, sizeof run);
    run.map = map;
    run.turns = how;
    if (map != NULL)
        run.schedule = (struct schedule){map->kind, n, ITEMS, map->chunk, UINT64_MAX, 0};
    run.team = heap_alloc(team_bytes(n), HEAP_ALIGNMENT);
    team_init(run.team, n, map != NULL);
    for (uint32_t rank = 0; rank < n; rank++)
        run.ranks[rank].place = (struct team_place){.team = run.team, .rank = rank};
    for (uint32_t rank = 0; rank < n; rank++)
        pthread_create(&run.ranks[rank].thread, NULL, be_rank, &run.ranks[rank]);
    for (uint32_t rank = 0; rank < n; rank++)
        pthread_join(run.ranks[rank].thread, NULL);
}

static const char *wrong_log(void)
{
    for (uint32_t i = 1; i < run.n_logged; i++) {
        if (run.log[i - 1] >= run.log[i])
            return "out of order";
    }
    return run.n_entered_twice == 0 ? NULL : "a rank entered twice";
}

static const char *wrong_codes(int first, int others)
{
    for (uint32_t rank = 0; rank < run.team->size; rank++) {
        if (run.ranks[rank].code != (rank == 0 ? first : others))
            return "another errno";
    }
    return NULL;
}

static const char *run_map(uint32_t n, const struct map *map)
{
    const char *wrong;
    uint32_t expected = 0;

    run_team(n, map, NULL);
    for (uint64_t i = 0; i < ITEMS; i++)
        expected += !is_skipped(i);
    wrong = wrong_log();
    if (wrong == NULL)
        wrong = wrong_codes(0, 0);
    if (wrong == NULL && run.n_logged != expected)
        wrong = "items are missing";
    heap_free(run.team);
    return wrong;
}

/* Rank 0's next turn would be the first that nobody can take. */
static const char *run_turns(uint32_t n, const struct turns *how)
{
    bool ends_all = how->end == IS_GONE || how->end == FAILS;
    const char *wrong;
    uint32_t expected = 0;

    run_team(n, NULL, how);
    for (uint32_t rank = 0; rank < n; rank++)
        expected += turns_of(rank);
    wrong = wrong_log();
    if (wrong == NULL)
        wrong = wrong_codes(0, ends_all ? ECANCELED : 0);
    if (wrong == NULL && (ends_all ? run.n_logged > LAST_TURN * n : run.n_logged != expected))
        wrong = "too few turns, or too many";
    heap_free(run.team);
    return wrong;
}

static void test_teams(uint32_t n, unsigned rounds)
{
    for (const struct map *map = maps; map < maps + COUNT_OF(maps); map++) {
        const char *wrong = NULL;

        for (unsigned round = 0; round < rounds && wrong == NULL; round++)
            wrong = run_map(n, map);
        test_str(NULL, wrong, "%u ranks, items %s", n, map->name);
    }
    for (const struct turns *how = turns; how < turns + COUNT_OF(turns); how++) {
        const char *wrong = NULL;

        for (unsigned round = 0; round < rounds && wrong == NULL; round++)
            wrong = run_turns(n, how);
        test_str(NULL, wrong, "%u ranks take turns, %s", n, how->name);
    }
}

static void test_misuse(void)
{
    struct team_shared *team = heap_alloc(team_bytes(1), HEAP_ALIGNMENT);
    struct team_place place = {.team = team};

    team_init(team, 1, true);
    atomic_store(&team->ranks[0].item, 5);
    test_int(0, ordered_enter(&place, NULL), "an item enters");
    test_int(-1, ordered_enter(&place, NULL), "but not while it is in");
    test_int(EPERM, errno, "which is EPERM");
    ordered_leave(&place);
    test_int(-1, ordered_enter(&place, NULL), "nor after it was");
    test_int(EPERM, errno, "which is EPERM too");
    atomic_store(&team->ranks[0].item, 6);
    test_int(0, ordered_enter(&place, NULL), "the next item enters");
    ordered_leave(&place);
    heap_free(team);
}

int main(void)
{
    const char *text = getenv("TEST_ROUNDS");
    unsigned rounds = text != NULL ? (unsigned)atoi(text) : 1;

    test_begin(60 + 2 * rounds);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    if (memory_enter(NULL) != 0)
        test_skip_all("no shared memory here");
    test_misuse();
    for (size_t i = 0; i < COUNT_OF(rank_counts); i++)
        test_teams(rank_counts[i], rounds);
    return test_end();
}
