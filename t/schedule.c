/* Dealing items: each one once, whoever asks when; the sizes of chunks; the largest maps. */
#include "team/schedule.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MAX_ITEMS       1000
#define MAX_RANKS       16
#define MANY            (UINT64_C(1) << 48)
#define MANY_RANKS      16382u

static const struct {
    sharedmem_schedule kind;
    const char *name;
} kinds[] = {
    {SHAREDMEM_GUIDED, "guided"},
    {SHAREDMEM_DYNAMIC, "dynamic"},
    {SHAREDMEM_STATIC, "static"},
};

static const uint64_t item_counts[] = {0, 1, 2, 7, 100, 1000};
static const uint32_t rank_counts[] = {1, 2, 3, 7, 16};
static const uint64_t chunks[] = {0, 1, 3, 1000};
static const uint64_t chunk_maxima[] = {1, 5, UINT64_MAX};

/* A small generator, so that every run asks in the same orders. */
static uint64_t random_state = 42;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state % n);
}

/* ---- A team that asks, simulated ---- */

struct simulation {
    struct schedule schedule;
    struct schedule_shared shared;
    struct schedule_turn turns[MAX_RANKS];
    int times[MAX_ITEMS];      /* how often each item was dealt */
    uint32_t owner[MAX_ITEMS]; /* to whom */
    bool done[MAX_RANKS];
    uint32_t n_done;
    bool sound; /* no chunk was empty or out of bounds */
};

static void begin_simulation(struct simulation *run, const struct schedule *schedule)
{
    memset(run, 0, sizeof *run);
    run->schedule = *schedule;
    run->sound = true;
}

static void deal_to(struct simulation *run, uint32_t rank)
{
    uint64_t begin, end;

    if (!schedule_next(&run->schedule, &run->shared, &run->turns[rank], rank, &begin, &end)) {
        run->n_done += !run->done[rank];
        run->done[rank] = true;
        return;
    }
    if (begin >= end || end > run->schedule.n || run->done[rank]) {
        run->sound = false;
        return;
    }
    for (uint64_t i = begin; i < end; i++) {
        run->times[i]++;
        run->owner[i] = rank;
    }
}

static void deal_in_turn(struct simulation *run)
{
    for (uint32_t rank = 0; run->n_done < run->schedule.n_ranks && run->sound; rank++)
        deal_to(run, rank % run->schedule.n_ranks);
}

static void deal_at_random(struct simulation *run)
{
    while (run->n_done < run->schedule.n_ranks && run->sound)
        deal_to(run, random_below(run->schedule.n_ranks));
}

static bool each_once(const struct simulation *run)
{
    for (uint64_t i = 0; i < run->schedule.n; i++) {
        if (run->times[i] != 1)
            return false;
    }
    return run->sound;
}

/* ---- Each item once ---- */

static bool dealt_well(const struct schedule *schedule)
{
    struct simulation in_turn, at_random;

    begin_simulation(&in_turn, schedule);
    begin_simulation(&at_random, schedule);
    deal_in_turn(&in_turn);
    deal_at_random(&at_random);
    if (schedule->kind == SHAREDMEM_STATIC &&
        memcmp(in_turn.owner, at_random.owner, sizeof in_turn.owner) != 0)
        return false;
    if (each_once(&in_turn) && each_once(&at_random))
        return true;
    test_note("chunk %" PRIu64 ", at most %" PRIu64, schedule->chunk, schedule->chunk_max);
    return false;
}

static bool all_chunks_dealt_well(struct schedule schedule)
{
    for (size_t c = 0; c < COUNT_OF(chunks); c++) {
        for (size_t m = 0; m < COUNT_OF(chunk_maxima); m++) {
            schedule.chunk = chunks[c];
            schedule.chunk_max = chunk_maxima[m];
            if (!dealt_well(&schedule))
                return false;
        }
    }
    return true;
}

static void test_each_once(void)
{
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        for (size_t n = 0; n < COUNT_OF(item_counts); n++) {
            for (size_t r = 0; r < COUNT_OF(rank_counts); r++) {
                struct schedule schedule = {
                    .kind = kinds[k].kind, .n_ranks = rank_counts[r], .n = item_counts[n]};

                test_ok(all_chunks_dealt_well(schedule),
                        "%s: each of %" PRIu64 " items goes once to %u ranks", kinds[k].name, schedule.n,
                        schedule.n_ranks);
            }
        }
    }
}

/* ---- Who gets what, and how much ---- */

static void test_static_blocks(void)
{
    const struct schedule schedule = {.kind = SHAREDMEM_STATIC, .n_ranks = 3, .n = 8};
    static const uint32_t owners[] = {0, 0, 0, 1, 1, 1, 2, 2};
    struct simulation run;

    begin_simulation(&run, &schedule);
    deal_at_random(&run);
    test_ok(memcmp(run.owner, owners, sizeof owners) == 0, "8 items for 3 ranks are blocks of 3, 3 and 2");
}

static void test_static_chunks(void)
{
    const struct schedule schedule = {.kind = SHAREDMEM_STATIC, .n_ranks = 3, .n = 9, .chunk = 2};
    static const uint32_t owners[] = {0, 0, 1, 1, 2, 2, 0, 0, 1};
    struct simulation run;

    begin_simulation(&run, &schedule);
    deal_at_random(&run);
    test_ok(memcmp(run.owner, owners, sizeof owners) == 0, "static chunks go around the ranks in turn");
}

/* Whether chunks never grow, and stay within their bounds; the last may be smaller. */
static bool shrinks(const struct schedule *schedule)
{
    uint64_t least = schedule->chunk > 0 ? schedule->chunk : 1;
    uint64_t most = schedule->chunk_max > least ? schedule->chunk_max : least;
    uint64_t begin, end, last = UINT64_MAX;
    struct schedule_shared shared = {0};
    struct schedule_turn turn = {0};

    while (schedule_next(schedule, &shared, &turn, random_below(schedule->n_ranks), &begin, &end)) {
        uint64_t chunk = end - begin;

        if (chunk > last || chunk > most || (chunk < least && end < schedule->n))
            return false;
        last = chunk;
    }
    return true;
}

static void test_guided_shrinks(void)
{
    for (size_t r = 0; r < COUNT_OF(rank_counts); r++) {
        for (size_t c = 0; c < COUNT_OF(chunks); c++) {
            for (size_t m = 0; m < COUNT_OF(chunk_maxima); m++) {
                struct schedule schedule = {.kind = SHAREDMEM_GUIDED,
                                            .n_ranks = rank_counts[r],
                                            .n = 100000,
                                            .chunk = chunks[c],
                                            .chunk_max = chunk_maxima[m]};

                test_ok(shrinks(&schedule),
                        "guided chunks shrink for %u ranks, %" PRIu64 " to %" PRIu64 " items",
                        schedule.n_ranks, schedule.chunk, schedule.chunk_max);
            }
        }
    }
}

static void test_guided_begins_large(void)
{
    const struct schedule schedule = {
        .kind = SHAREDMEM_GUIDED, .n_ranks = 4, .n = 1000, .chunk_max = UINT64_MAX};
    struct schedule_shared shared = {0};
    struct schedule_turn turn = {0};
    uint64_t begin, end;

    test_ok(schedule_next(&schedule, &shared, &turn, 0, &begin, &end), "there is a first chunk");
    test_ok(begin == 0 && end > 1 && end <= 250, "it is more than an item, and no more than an equal share");
}

/* ---- The largest maps ---- */

static void test_guided_of_many(void)
{
    const struct schedule schedule = {
        .kind = SHAREDMEM_GUIDED, .n_ranks = MANY_RANKS, .n = MANY, .chunk_max = UINT64_MAX};
    struct schedule_shared shared = {0};
    struct schedule_turn turn = {0};
    uint64_t begin, end;

    test_ok(schedule_next(&schedule, &shared, &turn, 0, &begin, &end), "guided: a first chunk of 2^48 items");
    test_ok(begin == 0 && end > 0 && end <= MANY / MANY_RANKS, "at most an equal share");
    atomic_store(&shared.next, MANY - 1);
    test_ok(schedule_next(&schedule, &shared, &turn, MANY_RANKS - 1, &begin, &end), "and a last one");
    test_ok(begin == MANY - 1 && end == MANY, "of one item");
    test_ok(!schedule_next(&schedule, &shared, &turn, 0, &begin, &end), "and no more");
}

static void test_dynamic_of_many(void)
{
    const struct schedule schedule = {.kind = SHAREDMEM_DYNAMIC,
                                      .n_ranks = MANY_RANKS,
                                      .n = MANY,
                                      .chunk = MANY - 1,
                                      .chunk_max = UINT64_MAX};
    struct schedule_shared shared = {0};
    struct schedule_turn turn = {0};
    uint64_t begin, end, counter;
    bool more = false;

    test_ok(schedule_next(&schedule, &shared, &turn, 0, &begin, &end),
            "dynamic: a first chunk of 2^48 items");
    test_ok(begin == 0 && end == MANY - 1, "as large as was asked for");
    test_ok(schedule_next(&schedule, &shared, &turn, 1, &begin, &end), "and a last one");
    test_ok(begin == MANY - 1 && end == MANY, "with what is left");
    more |= schedule_next(&schedule, &shared, &turn, 0, &begin, &end);
    counter = atomic_load(&shared.next);
    for (uint32_t rank = 0; rank < 4 * MANY_RANKS; rank++)
        more |= schedule_next(&schedule, &shared, &turn, rank % MANY_RANKS, &begin, &end);
    test_ok(!more, "and no more, however often it is asked");
    test_ok(atomic_load(&shared.next) == counter, "asking again does not move the counter");
}

/* Where the counter may stand when all ranks asked at the same moment, just before the end. */
static void test_dynamic_overshoot(void)
{
    const struct schedule schedule = {
        .kind = SHAREDMEM_DYNAMIC, .n_ranks = MANY_RANKS, .n = MANY, .chunk = MANY, .chunk_max = UINT64_MAX};
    struct schedule_shared shared = {.next = MANY - 1 + MANY_RANKS * MANY};
    struct schedule_turn turn = {0};
    uint64_t begin, end;

    test_ok(!schedule_next(&schedule, &shared, &turn, 0, &begin, &end), "dynamic: no chunk beyond the end");
}

static void test_static_blocks_of_many(void)
{
    const struct schedule schedule = {.kind = SHAREDMEM_STATIC, .n_ranks = MANY_RANKS, .n = MANY};
    uint64_t begin, end, next = 0;
    bool adjoin = true;

    for (uint32_t rank = 0; rank < MANY_RANKS; rank++) {
        struct schedule_turn turn = {0};

        adjoin &= schedule_next(&schedule, NULL, &turn, rank, &begin, &end) && begin == next && end > begin &&
                  end - begin <= MANY / MANY_RANKS + 1;
        next = end;
    }
    test_ok(adjoin && next == MANY, "static: 2^48 items are equal blocks, side by side");
}

static void test_static_chunks_of_many(void)
{
    const struct schedule schedule = {
        .kind = SHAREDMEM_STATIC, .n_ranks = MANY_RANKS, .n = MANY, .chunk = 1000};
    uint64_t last = (MANY - 1) / schedule.chunk;
    struct schedule_turn turn = {.n_taken = last / MANY_RANKS};
    uint32_t rank = (uint32_t)(last % MANY_RANKS);
    uint64_t begin, end;

    test_ok(schedule_next(&schedule, NULL, &turn, rank, &begin, &end),
            "static: the last chunk of 2^48 items");
    test_ok(begin == last * schedule.chunk && end == MANY, "ends with the last one");
    test_ok(!schedule_next(&schedule, NULL, &turn, rank, &begin, &end), "its rank gets no more");
    turn.n_taken = UINT64_MAX / MANY_RANKS;
    test_ok(!schedule_next(&schedule, NULL, &turn, rank, &begin, &end), "nor after very many questions");
    turn.n_taken = UINT64_MAX - 1;
    test_ok(!schedule_next(&schedule, NULL, &turn, rank, &begin, &end), "nor after the most there can be");
}

/* ---- Threads ---- */

#define THREADS      8
#define THREAD_ITEMS 200000

static struct schedule contended;
static struct schedule_shared contended_shared;
static _Atomic uint8_t claims[THREAD_ITEMS];

static void *claim(void *argument)
{
    uint32_t rank = (uint32_t)(uintptr_t)argument;
    struct schedule_turn turn = {0};
    uint64_t begin, end;

    while (schedule_next(&contended, &contended_shared, &turn, rank, &begin, &end)) {
        for (uint64_t i = begin; i < end; i++)
            atomic_fetch_add(&claims[i], 1);
    }
    return NULL;
}

static void run_threads(void)
{
    pthread_t threads[THREADS];

    for (uintptr_t rank = 0; rank < THREADS; rank++)
        pthread_create(&threads[rank], NULL, claim, (void *)rank);
    for (int rank = 0; rank < THREADS; rank++)
        pthread_join(threads[rank], NULL);
}

static void test_threads(sharedmem_schedule kind, const char *name, uint64_t chunk)
{
    size_t wrong = 0;

    memset(&contended_shared, 0, sizeof contended_shared);
    memset((void *)claims, 0, sizeof claims);
    contended = (struct schedule){
        .kind = kind, .n_ranks = THREADS, .n = THREAD_ITEMS, .chunk = chunk, .chunk_max = UINT64_MAX};
    run_threads();
    for (size_t i = 0; i < THREAD_ITEMS; i++)
        wrong += claims[i] != 1;
    test_int(0, (long long)wrong, "%s: %d threads claim each item once, %" PRIu64 " at a time", name, THREADS,
             chunk);
}

int main(void)
{
    test_begin(60);
    test_each_once();
    test_static_blocks();
    test_static_chunks();
    test_guided_shrinks();
    test_guided_begins_large();
    test_guided_of_many();
    test_dynamic_of_many();
    test_dynamic_overshoot();
    test_static_blocks_of_many();
    test_static_chunks_of_many();
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        for (size_t c = 0; c < COUNT_OF(chunks); c++)
            test_threads(kinds[k].kind, kinds[k].name, chunks[c]);
    }
    return test_end();
}
