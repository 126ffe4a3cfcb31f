/* Loops that are refused: misused by a rank alone, or not the same in all ranks of a team. */
#include "team/team.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "memory/heap.h"
#include "memory/memory.h"
#include "tap.h"
#include "team/ordered.h"

#include "rank_threads.h"

static char errors[MAX_RANKS + 1][200];
static _Thread_local char *last_error;

static void note_error(const sharedmem_error *error)
{
    if (last_error != NULL)
        snprintf(last_error, sizeof errors[0], "%.199s", error->message);
}

static void begin_rank(struct rank *me)
{
    last_error = errors[me->place.rank];
}

static void say_left(struct rank *me)
{
    ordered_say_left(team, me->place.rank, TEAM_LEFT);
}

static void forget(void)
{
    memset(errors, 0, sizeof errors);
}

static void test_refused(int code, const char *message, int result, const char *name)
{
    test_ok(result == -1 && errno == code, "%s is refused", name);
    test_has(message, errors[MAX_RANKS], "%s: with a sentence", name);
    errors[MAX_RANKS][0] = '\0';
}

static void test_options(void)
{
    struct {
        sharedmem_loop_options known;
        uint64_t more;
    } newer = {.known = {.n = 3}, .more = 1};
    sharedmem_loop loop;
    size_t i;

    test_refused(EINVAL, "n is 281474976710657; it can be 2^48",
                 sharedmem_loop_begin(&loop, ((size_t)1 << 48) + 1), "too many items");
    test_refused(EINVAL, "SHAREDMEM_STATIC", sharedmem_loop_begin(&loop, 3, .schedule = 3), "a schedule");
    test_refused(EINVAL, "SHAREDMEM_STATIC", sharedmem_loop_begin(&loop, 3, .schedule = -1),
                 "another schedule");
    test_refused(E2BIG, "does not know", sharedmem_loop_begin(&loop, 3, .reserved = 1), "a reserved option");
    test_refused(EINVAL, "NULL", sharedmem_loop_begin_with(&loop, NULL, 0), "no options");
    test_refused(E2BIG, "does not know", sharedmem_loop_begin_with(&loop, &newer.known, sizeof newer),
                 "a newer option");
    test_ok(!sharedmem_loop_next(&loop, &i), "and there are no items then");
    sharedmem_loop_end(&loop);
    newer.more = 0;
    test_int(0, sharedmem_loop_begin_with(&loop, &newer.known, sizeof newer),
             "a newer caller that wants no more");
    sharedmem_loop_end(&loop);
    test_int(0, sharedmem_loop_begin_with(&loop, &newer.known, sizeof(size_t)), "an older one");
    sharedmem_loop_end(&loop);
}

static void test_places(void)
{
    sharedmem_loop loop, inner;
    size_t i;

    sharedmem_loop_begin(&loop, 3, .schedule = SHAREDMEM_DYNAMIC);
    test_refused(EPERM, "dealt this rank no item yet", sharedmem_ordered_begin(NULL),
                 "a turn before the first item");
    test_ok(sharedmem_loop_next(&loop, &i) && i == 0, "the first item");
    test_refused(EPERM, "in a loop already", sharedmem_loop_begin(&inner, 3), "a loop in a loop");
    test_int(0, sharedmem_ordered_begin(NULL), "a turn");
    test_refused(EPERM, "ordered region already", sharedmem_ordered_begin(NULL), "a second one within");
    sharedmem_ordered_end();
    test_refused(EPERM, "ordered region already", sharedmem_ordered_begin(NULL), "a second one behind");
    test_ok(sharedmem_loop_next(&loop, &i) && i == 1, "the next item");
    test_int(0, sharedmem_ordered_begin(NULL), "has its own");
    test_ok(!sharedmem_loop_next(&loop, &i), "which ends the loop where it is not ended");
    test_has("ended within an ordered region", errors[MAX_RANKS], "with a sentence");
    test_int(0, sharedmem_ordered_begin(NULL), "behind the loop ranks have turns");
    test_refused(EPERM, "outside", sharedmem_loop_begin(&loop, 3), "a loop in a turn");
    sharedmem_ordered_end();
    test_int(0, sharedmem_ordered_begin(NULL), "and turns again");
    sharedmem_ordered_end();
}

/* The same alone, and in a team of one. */
static void test_misuse(void)
{
    struct team_place place;

    last_error = errors[MAX_RANKS];
    test_options();
    start_team(1);
    place = (struct team_place){.team = team};
    team_enter_thread(&place);
    test_options();
    test_places();
    atomic_store(&team->ranks[0].floor, ((uint64_t)1 << 63) - 1);
    test_refused(EOVERFLOW, "2^63", sharedmem_loop_begin(&(sharedmem_loop){0}, 3), "a loop too many");
    team->is_map = true;
    test_refused(EPERM, "items of a map are no ranks", sharedmem_loop_begin(&(sharedmem_loop){0}, 3),
                 "a loop in a map");
    team_enter_thread(NULL);
    end_team();
    last_error = NULL;
}

static unsigned difference;

/* The last rank's loop is another one. */
static void differ(struct rank *me)
{
    bool is_other = me->place.rank == team->size - 1;
    sharedmem_loop loop;
    int result;

    if (is_other && difference == 3)
        SHAREDMEM_FOR(i, 10)
    (void)i;
    sharedmem_barrier();
    if (is_other)
        result = sharedmem_loop_begin(&loop, difference == 0 ? 11 : 10, .chunk = difference == 1 ? 2 : 1,
                                      .schedule = difference == 2 ? SHAREDMEM_STATIC : SHAREDMEM_DYNAMIC);
    else
        result = sharedmem_loop_begin(&loop, 10, .chunk = 1, .schedule = SHAREDMEM_DYNAMIC);
    if (result != 0)
        check(me, errno == EINVAL && strstr(last_error, "same n, .schedule and .chunk") != NULL,
              "another error");
    else
        sharedmem_loop_end(&loop);
}

/* Whoever comes first is right. */
static void test_mismatch(uint32_t n)
{
    for (difference = 0; difference < 4; difference++) {
        const char *wrong = run(n, differ, 1);
        uint32_t n_told = 0;

        for (uint32_t rank = 0; rank < n; rank++)
            n_told += errors[rank][0] != '\0';
        test_str(NULL, wrong, "%u ranks: one with another loop", n);
        test_ok(n_told == n - 1 || (difference < 3 && n_told == 1), "%u are told", n_told);
    }
}

int main(void)
{
    test_begin(60);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    sharedmem_set_uncaught(note_error);
    if (memory_enter(NULL) != 0)
        test_skip_all("no shared memory here");
    hooks.new_team = forget;
    hooks.begin = begin_rank;
    hooks.end = say_left;
    test_misuse();
    test_mismatch(2);
    test_mismatch(5);
    return test_end();
}
