/*
 * Loops, threads as ranks: each item once, however far the fast ones are ahead of the slow; turns within
 * loops and between them; who waits, and who is waited for in vain.
 */
#include "team/team.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/wait.h"
#include "tap.h"
#include "team/ordered.h"

#include "rank_threads.h"

#define MAX_ITEMS  1000
#define STEPS      1000
#define STEP_ITEMS 64

static const uint32_t rank_counts[] = {1, 2, 3, 8, MAX_RANKS};

/* How the last rank ends, in the test that is about that. */
enum way { COMES, STOPS, LEAVES, IS_GONE };

static const char *const ways[] = {"comes", "stops the team", "leaves", "is gone"};
static enum way way;

/* How often each item was done, and by whom last. */
static _Atomic unsigned char done[STEPS][STEP_ITEMS];
static _Atomic unsigned many_done[MAX_ITEMS], many_by[MAX_ITEMS];

/* Not atomic: ordered regions are what orders these. */
static uint64_t last_turn, n_turns;

/* ---- A team's life ---- */

static void end_rank(struct rank *me)
{
    if (way != IS_GONE || me->place.rank != team->size - 1)
        ordered_say_left(team, me->place.rank, TEAM_LEFT);
}

static void forget(void)
{
    memset((void *)done, 0, sizeof done);
    memset((void *)many_done, 0, sizeof many_done);
    last_turn = n_turns = 0;
}

/* ---- One loop ---- */

static struct {
    size_t n, chunk;
    int32_t schedule;
    bool by_chunk;
} asked;

static bool is_chunk_right(size_t begin, size_t end)
{
    size_t chunk = asked.chunk > 0 ? asked.chunk : 1;

    if (begin >= end || end > asked.n)
        return false;
    if (asked.schedule == SHAREDMEM_DYNAMIC || (asked.schedule == SHAREDMEM_STATIC && asked.chunk > 0))
        return begin % chunk == 0 && end - begin == (asked.n - begin < chunk ? asked.n - begin : chunk);
    return true;
}

static void do_items(struct rank *me, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        atomic_fetch_add(&many_done[i], 1);
        atomic_store(&many_by[i], me->place.rank);
    }
}

static void be_asked(struct rank *me)
{
    sharedmem_loop loop;
    size_t i, begin, end, last = 0;

    check(me, sharedmem_loop_begin(&loop, asked.n, .schedule = asked.schedule, .chunk = asked.chunk) == 0,
          "a loop does not begin");
    if (asked.by_chunk) {
        while (sharedmem_loop_next_chunk(&loop, &begin, &end)) {
            check(me, is_chunk_right(begin, end), "a chunk of another size");
            do_items(me, begin, end);
        }
    } else {
        while (sharedmem_loop_next(&loop, &i)) {
            check(me, i + 1 > last, "items do not rise");
            do_items(me, i, i + 1);
            last = i + 1;
        }
    }
    check(me, !sharedmem_loop_next(&loop, &i) && !sharedmem_loop_next_chunk(&loop, &begin, &end),
          "a loop goes on after its end");
    sharedmem_loop_end(&loop);
    /* The end is no barrier, so that the next loop is a check too. */
    SHAREDMEM_FOR(k, team->size, .schedule = SHAREDMEM_STATIC, .chunk = 1)
    {
        check(me, k == me->place.rank, "static items of another rank");
    }
}

static const char *run_asked(uint32_t n_ranks)
{
    const char *wrong = run(n_ranks, be_asked, 1);

    for (size_t i = 0; i < MAX_ITEMS && wrong == NULL; i++) {
        if (many_done[i] != (i < asked.n))
            wrong = "an item is not done once";
    }
    return wrong;
}

/* The same ranks get the same items of a static loop. */
static bool is_repeated(uint32_t n_ranks)
{
    unsigned before[MAX_ITEMS];
    bool same = true;

    for (size_t i = 0; i < asked.n; i++)
        before[i] = many_by[i];
    same &= run_asked(n_ranks) == NULL;
    for (size_t i = 0; i < asked.n; i++)
        same &= before[i] == many_by[i];
    return same;
}

static void test_each_once(uint32_t n_ranks)
{
    static const int32_t schedules[] = {SHAREDMEM_GUIDED, SHAREDMEM_DYNAMIC, SHAREDMEM_STATIC};
    static const char *const names[] = {"guided", "dynamic", "static"};
    static const size_t ns[] = {0, 1, 2, 7, MAX_ITEMS}, chunks[] = {0, 1, 3, 1000000, SIZE_MAX};

    for (size_t s = 0; s < COUNT_OF(schedules); s++) {
        const char *wrong = NULL;

        for (size_t k = 0; k < COUNT_OF(ns) * COUNT_OF(chunks) * 2 && wrong == NULL;
             k += test_under_valgrind() ? 13 : 1) {
            asked.n = ns[k / 2 % COUNT_OF(ns)];
            asked.chunk = chunks[k / 2 / COUNT_OF(ns)];
            asked.schedule = schedules[s];
            asked.by_chunk = k % 2 == 1;
            wrong = run_asked(n_ranks);
            if (wrong == NULL && asked.schedule == SHAREDMEM_STATIC && !is_repeated(n_ranks))
                wrong = "other items the second time";
        }
        test_str(NULL, wrong, "%u ranks, %s: each item once (n %zu, chunk %zu)", n_ranks, names[s], asked.n,
                 asked.chunk);
    }
}

/* ---- Many loops and turns, one behind the other ---- */

/* In an ordered region: turns come by rising step, and within it by rising place. */
static void take_turn(struct rank *me, size_t step, size_t place)
{
    SHAREDMEM_ORDERED
    {
        uint64_t turn = (uint64_t)(step + 1) << 32 | place;

        check(me, turn > last_turn, "a turn out of order");
        last_turn = turn;
        n_turns++;
        dawdle_once_in(me, 400);
    }
}

static void do_item(struct rank *me, size_t step, size_t i, bool is_ordered)
{
    dawdle_once_in(me, 400);
    atomic_fetch_add(&done[step][i], 1);
    if (is_ordered && (step + i) % 3 != 0)
        take_turn(me, step, i);
}

/* Each rank leaves by break at the items that are given; what it had in hand is lost. */
static void leave_early(struct rank *me, size_t step, size_t n, int32_t schedule)
{
    SHAREDMEM_FOR(i, n, .schedule = schedule, .chunk = step % 3)
    {
        if (i % 7 == 5)
            continue;
        if (i % 11 == me->place.rank)
            break;
        do_item(me, step, i, true);
    }
}

static void by_chunks(struct rank *me, size_t step, size_t n, int32_t schedule)
{
    sharedmem_loop loop;
    size_t begin, end;

    sharedmem_loop_begin(&loop, n, .schedule = schedule, .chunk = step % 5);
    while (sharedmem_loop_next_chunk(&loop, &begin, &end)) {
        for (size_t i = begin; i < end; i++)
            do_item(me, step, i, false);
        take_turn(me, step, begin);
    }
}

static void one_step(struct rank *me, size_t step)
{
    unsigned what = below(&me->common, 12);
    size_t n = below(&me->common, STEP_ITEMS + 1), chunk = below(&me->common, 6);
    int32_t schedule = (int32_t)below(&me->common, 3);

    dawdle_once_in(me, 400);
    switch (what) {
    case 0:
        take_turn(me, step, me->place.rank);
        break;
    case 1:
        /* Not all have a turn before the loop. */
        if (me->place.rank % 2 == 0)
            take_turn(me, step, me->place.rank);
        SHAREDMEM_FOR(i, n, .schedule = schedule)
        {
            SHAREDMEM_ORDERED
            {
                n_turns++;
            }
        }
        break;
    case 2:
        leave_early(me, step, n, schedule);
        break;
    case 3:
        by_chunks(me, step, n, schedule);
        break;
    case 4:
        check(me, sharedmem_barrier() == 0, "a barrier failed");
        break;
    default:
        SHAREDMEM_FOR(i, n, .schedule = schedule, .chunk = chunk)
        {
            do_item(me, step, i, what < 8);
        }
    }
}

static size_t busy_steps(void)
{
    return test_under_valgrind() ? STEPS / 20 : test_address_sanitized() ? STEPS / 4 : STEPS;
}

static void be_busy(struct rank *me)
{
    for (size_t step = 0; step < busy_steps() && me->wrong == NULL; step++)
        one_step(me, step);
}

/* Goes through what the ranks have done again, for how often each item should be. */
static const char *wrong_counts(unsigned seed, size_t n_steps)
{
    for (size_t step = 0; step < n_steps; step++) {
        unsigned what = below(&seed, 12);
        size_t n = below(&seed, STEP_ITEMS + 1);

        below(&seed, 6);
        below(&seed, 3);
        for (size_t i = 0; i < STEP_ITEMS; i++) {
            bool is_due = i < n && (what == 3 || what > 4);

            if (what == 2 ? done[step][i] > 1 : done[step][i] != is_due)
                return "an item is not done once";
        }
    }
    return NULL;
}

static void test_many(uint32_t n, unsigned seed)
{
    const char *wrong = run(n, be_busy, seed);

    if (wrong == NULL)
        wrong = wrong_counts(seed, busy_steps());
    test_str(NULL, wrong, "%u ranks: loops and turns behind each other, from seed %u", n, seed);
    test_ok(n_turns > 0, "of which %llu were ordered", (unsigned long long)n_turns);
}

/*
 * As if all had been in so many loops already, and had so many turns: counts pass 2^32, tickets come near
 * 2^63.
 */
static size_t old_steps(void)
{
    return test_under_valgrind() ? 3 * TEAM_LOOPS : 200;
}

static void be_old(struct rank *me)
{
    for (size_t step = 0; step < old_steps(); step++) {
        SHAREDMEM_FOR(i, STEP_ITEMS, .schedule = (int32_t)(step % 3), .chunk = 2)
        {
            do_item(me, step, i, true);
        }
    }
}

static void test_old(uint32_t n)
{
    const char *wrong;
    uint64_t block = ((uint64_t)1 << 63) - 201 * ORDERED_BLOCK;

    start_team(n);
    for (uint32_t rank = 0; rank < n; rank++) {
        atomic_store(&team->ranks[rank].loops, UINT32_MAX + 1ull - 2 * TEAM_LOOPS);
        atomic_store(&team->ranks[rank].floor, block + rank);
    }
    start_ranks(be_old, 1);
    wrong = join_ranks();
    for (size_t k = 0; k < old_steps() * STEP_ITEMS && wrong == NULL; k++)
        wrong = done[k / STEP_ITEMS][k % STEP_ITEMS] == 1 ? NULL : "an item is not done once";
    test_str(NULL, wrong, "%u ranks: counts of loops pass 2^32", n);
    end_team();
}

/* ---- Waiting for room ---- */

static _Atomic bool may_go;

/* The last rank is late; the others go as far as they can. */
static void go_ahead(struct rank *me)
{
    bool is_late = me->place.rank == team->size - 1;

    while (is_late && !atomic_load(&may_go))
        usleep(500);
    if (is_late && way == STOPS)
        team_stop(team);
    if (is_late && way != COMES)
        return;
    for (size_t k = 0; k < 3 * TEAM_LOOPS; k++) {
        sharedmem_loop loop;
        size_t i;
        bool begun;

        errno = 0;
        begun = sharedmem_loop_begin(&loop, STEP_ITEMS, .schedule = SHAREDMEM_DYNAMIC, .chunk = k % 3) == 0;
        check(me, begun || (way != COMES && k == TEAM_LOOPS && errno == ECANCELED), "a loop does not begin");
        while (sharedmem_loop_next(&loop, &i))
            atomic_fetch_add(&done[k][i], 1);
        if (!begun)
            return;
    }
    check(me, way == COMES, "all loops, though the last rank never came");
}

static bool all_others_wait(void)
{
    for (uint32_t rank = 0; rank < team->size - 1; rank++) {
        uint32_t member = atomic_load(&team->ranks[rank].member);

        if (member == 0 || atomic_load(&member_slot(member)->wait.kind) != WAIT_LOOP)
            return false;
    }
    return true;
}

static const char *wrong_ahead(void)
{
    for (uint32_t rank = 0; rank < team->size - 1; rank++) {
        if (atomic_load(&team->ranks[rank].loops) != TEAM_LOOPS)
            return "a rank that waits too early, or too late";
    }
    return NULL;
}

static const char *wrong_end(void)
{
    size_t n_loops = way == COMES ? 3 * TEAM_LOOPS : TEAM_LOOPS;

    for (size_t k = 0; k < n_loops * STEP_ITEMS; k++) {
        if (done[k / STEP_ITEMS][k % STEP_ITEMS] != 1)
            return "an item is not done once";
    }
    /* Who left should have come; of one that died its supervisor tells. */
    if (way != LEAVES)
        return team_first_error(team) == NULL ? NULL : "an error";
    if (team_first_error(team) == NULL || team_first_error(team)->kind != SHAREDMEM_ERROR_DEADLOCK)
        return "no error";
    return strstr(team_first_error(team)->message, "to leave an earlier loop, in the loop at") != NULL
               ? NULL
               : "another error";
}

static void test_room(uint32_t n)
{
    for (way = COMES; way <= IS_GONE; way++) {
        const char *wrong, *later;

        start_team(n);
        atomic_store(&may_go, false);
        start_ranks(go_ahead, 1);
        while (!all_others_wait())
            usleep(500);
        wrong = wrong_ahead();
        atomic_store(&may_go, true);
        later = join_ranks();
        if (wrong == NULL)
            wrong = later != NULL ? later : wrong_end();
        end_team();
        test_str(NULL, wrong, "%u ranks: who is %u loops ahead waits for one that %s", n, TEAM_LOOPS,
                 ways[way]);
    }
}

int main(void)
{
    const char *text = getenv("TEST_ROUNDS");
    unsigned rounds = text != NULL ? (unsigned)atoi(text) : 1;

    test_begin(180 + 20 * rounds);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    if (memory_enter(NULL) != 0)
        test_skip_all("no shared memory here");
    hooks.new_team = forget;
    hooks.end = end_rank;
    for (size_t i = 0; i < COUNT_OF(rank_counts) - test_under_valgrind(); i++) {
        test_each_once(rank_counts[i]);
        test_old(rank_counts[i]);
        for (unsigned round = 0; round < rounds; round++)
            test_many(rank_counts[i], round);
    }
    test_room(2);
    test_room(5);
    return test_end();
}
