/*
 * The collectives, threads as ranks: what a slow rank reads is not overwritten by a fast one, no block is
 * left behind, and who fails or never comes ends the call in all others. And parts.
 */
#include "team/team.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "tap.h"
#include "team/barrier.h"

#include "rank_threads.h"

#define ALMOST_WRAPPED (UINT32_MAX - 20)

static const uint32_t rank_counts[] = {1, 2, 3, 4, 5, 8, 17, MAX_RANKS};

/* As if it had met so many times already. */
static void age_team(uint32_t n_barriers)
{
    for (uint32_t rank = 0; rank < team->size; rank++)
        atomic_store(&team->ranks[rank].arrived, n_barriers);
    atomic_store(&team->n_arrived, n_barriers * team->size);
    atomic_store(&team->n_released, n_barriers);
}

static bool same_bits(const void *left, const void *right)
{
    return memcmp(left, right, 8) == 0;
}

/* ---- Broadcast ---- */

static unsigned char byte_of(size_t i, unsigned salt)
{
    return (unsigned char)(i * 31 + i / 251 + salt * 17);
}

static void fill(unsigned char *data, size_t bytes, unsigned salt)
{
    for (size_t i = 0; i < bytes; i++)
        data[i] = byte_of(i, salt);
}

static bool is_filled(const unsigned char *data, size_t bytes, unsigned salt)
{
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] != byte_of(i, salt))
            return false;
    }
    return true;
}

/* Root changes its data at once afterwards: what others got must not depend on that. */
static void bcast_once(struct rank *me, size_t bytes, uint32_t root, bool is_shared)
{
    unsigned char *data = is_shared ? heap_alloc(bytes, HEAP_ALIGNMENT) : malloc(bytes + 1);
    unsigned salt = root + (unsigned)bytes;

    if (me->place.rank == root)
        fill(data, bytes, salt);
    check(me, sharedmem_bcast(data, bytes, (int)root) == 0, "a broadcast failed");
    if (me->place.rank == root)
        fill(data, bytes, salt + 1);
    else
        check(me, is_filled(data, bytes, salt), "other bytes than root's");
    if (is_shared)
        heap_free(data);
    else
        free(data);
}

static void bcast_sizes(struct rank *me)
{
    static const size_t sizes[] = {
        0, 1, 8, 16, 17, 31, 4096, 16384, 16385, 512 << 10, (512 << 10) + 1, (1 << 20) + 1};
    bool few = test_under_valgrind();
    uint32_t step = team->size > (few ? 2 : 8) ? team->size / 3 : 1;
    size_t most = few ? (1 << 20) + 1 : (size_t)10 << 20;

    for (size_t s = 0; s < COUNT_OF(sizes) - (few ? 2 : 0); s++) {
        for (uint32_t root = 0; root < team->size; root += step) {
            bcast_once(me, sizes[s], root, false);
            bcast_once(me, sizes[s], root, true);
        }
    }
    bcast_once(me, most, team->size - 1, false);
    check(me, sharedmem_bcast(NULL, 0, 0) == 0, "nothing to send, nowhere");
}

/* All mean the same shared memory: what root changes next is not undone by a slow rank's copy. */
static void bcast_in_place(struct rank *me)
{
    static const size_t sizes[] = {8, 400000, (size_t)1 << 20};
    uint32_t root = 1 % team->size;
    char *shared = sharedmem_team_calloc(1, (size_t)1 << 20);

    for (size_t k = 0; k < (test_under_valgrind() ? 12 : 150); k++) {
        size_t bytes = sizes[k % COUNT_OF(sizes)];
        char *last = &shared[bytes - 1];

        if (me->place.rank == root)
            *last = 1;
        check(me, sharedmem_bcast(shared, bytes, (int)root) == 0, "a broadcast failed");
        if (me->place.rank == root)
            *last = 2;
        sharedmem_barrier();
        check(me, *last == 2, "root's change was undone");
        sharedmem_barrier();
    }
    if (me->place.rank == 0)
        sharedmem_free(shared);
}

static void test_bcast(uint32_t n)
{
    uint64_t before = blocks_in_heap();

    test_str(NULL, run(n, bcast_sizes, 1), "%u ranks: broadcasts of all sizes", n);
    test_str(NULL, run(n, bcast_in_place, 1), "%u ranks: broadcasts in place", n);
    test_int((long long)before, (long long)blocks_in_heap(), "leave no block behind");
}

/* ---- Allocation ---- */

static void allocate(struct rank *me)
{
    char *block = sharedmem_team_calloc(1000, 7);
    void *none;

    check(me, block != NULL, "no block");
    for (size_t i = 0; block != NULL && i < 7000; i++)
        check(me, block[i] == 0, "a block that is not zero");
    sharedmem_barrier();
    if (block != NULL && me->place.rank == 0)
        memset(block, 255, 7000);
    sharedmem_barrier();
    me->block = block;
    if (me->place.rank == team->size - 1)
        sharedmem_free(block);
    errno = 0;
    none = sharedmem_team_calloc(SIZE_MAX / 2, 3);
    check(me, none == NULL && errno == ENOMEM, "a product that overflows");
    none = sharedmem_team_calloc((size_t)1 << 40, 1);
    check(me, none == NULL && errno == ENOMEM, "more than there is");
}

static void test_allocation(uint32_t n)
{
    uint64_t before = blocks_in_heap();
    bool same = true;

    test_str(NULL, run(n, allocate, 1), "%u ranks: allocation", n);
    for (uint32_t rank = 1; rank < n; rank++)
        same &= ranks[rank].block == ranks[0].block;
    test_ok(same && blocks_in_heap() == before, "%u ranks: the same address in all", n);
}

/* ---- Everything in turn ---- */

/* Whatever the order of a sum, its last bits tell of it. */
static void all_once(struct rank *me, unsigned k)
{
    uint32_t n = team->size;
    double least = -1.0 * k, sum = k, got;

    for (uint32_t rank = 1; rank < n; rank++)
        sum += k + 0.1 * rank;
    got = sharedmem_all_double(k + 0.1 * me->place.rank, SHAREDMEM_SUM);
    check(me, same_bits(&got, &sum), "another sum, among other calls");
    got = sharedmem_all_double(least * (me->place.rank + 1), SHAREDMEM_MAX);
    check(me, same_bits(&got, &least), "another maximum, among other calls");
    check(me, sharedmem_all_int64((int64_t)k * me->place.rank, SHAREDMEM_MAX) == (int64_t)k * (n - 1),
          "another greatest integer, among other calls");
}

static void mixed_step(struct rank *me, unsigned k)
{
    unsigned what = below(&me->common, 12), root = below(&me->common, team->size);
    void *block;

    dawdle_once_in(me, 200);
    switch (what) {
    case 0:
        check(me, sharedmem_barrier() == 0, "a barrier failed");
        break;
    case 1:
        SHAREDMEM_ORDERED
        {
            dawdle_once_in(me, 200);
        }
        break;
    case 2:
        block = sharedmem_team_calloc(1, 100);
        check(me, block != NULL, "no block, among other calls");
        sharedmem_barrier();
        if (me->place.rank == root)
            sharedmem_free(block);
        break;
    case 3:
        bcast_once(me, below(&me->common, 20), root, k % 2 == 0);
        break;
    case 4:
        bcast_once(me, 20 + below(&me->common, 3000), root, k % 2 == 0);
        break;
    default:
        all_once(me, k);
    }
}

static void mix(struct rank *me)
{
    unsigned n = test_under_valgrind() ? (team->size > 8 ? 16 : 50) : team->size > 8 ? 300 : 2000;

    for (unsigned k = 0; k < n && me->wrong == NULL; k++)
        mixed_step(me, k);
}

static void test_mix(uint32_t n, unsigned seed)
{
    const char *wrong;

    start_team(n);
    age_team(ALMOST_WRAPPED);
    start_ranks(mix, seed);
    wrong = join_ranks();
    end_team();
    test_str(NULL, wrong, "%u ranks: thousands of calls in turn, from seed %u", n, seed);
}

/* ---- Failure ---- */

#define LAST_ROUND 7
#define N_CALLS    6

/* Makes one call. Whether it failed as it should where the team has. */
static bool is_cancelled(struct rank *me, unsigned call)
{
    int last = (int)team->size - 1;
    void *block;

    errno = 0;
    switch (call) {
    case 0:
        return isnan(sharedmem_all_double(1.0, SHAREDMEM_SUM)) && errno == ECANCELED;
    case 1:
        return sharedmem_all_int64(1, SHAREDMEM_SUM) == 0 && errno == ECANCELED;
    case 2:
        return sharedmem_bcast(me->block, 8, 0) == -1 && errno == ECANCELED;
    case 3:
        return sharedmem_bcast(me->block, 4000, last) == -1 && errno == ECANCELED;
    case 4:
        return sharedmem_bcast(me->block, 600000, last) == -1 && errno == ECANCELED;
    default:
        block = sharedmem_team_calloc(1, 10);
        if (block != NULL && me->place.rank == 0)
            sharedmem_free(block);
        return block == NULL && errno == ECANCELED;
    }
}

/* The seed says which call, and who gives up after some rounds. */
static void be_cancelled(struct rank *me)
{
    unsigned call = me->common / 100, quitter = me->common % 100;

    me->block = calloc(1, 600000);
    for (int round = 0; round < LAST_ROUND; round++)
        check(me, !is_cancelled(me, call), "cancelled too early");
    if (me->place.rank != quitter)
        check(me, is_cancelled(me, call), "not cancelled");
    else if (call % 2 == 0)
        team_stop(team);
    else
        atomic_store_explicit(&team->ranks[quitter].left, 1, memory_order_release);
    free(me->block);
}

static void test_failure(uint32_t n)
{
    uint64_t before = blocks_in_heap();
    const char *wrong = NULL;

    for (unsigned call = 0; call < N_CALLS && wrong == NULL; call++) {
        for (unsigned quitter = 0; quitter < n && wrong == NULL; quitter++)
            wrong = run(n, be_cancelled, call * 100 + quitter);
    }
    test_str(NULL, wrong, "%u ranks: who stops the team, or leaves, cancels every call of the others", n);
    test_int((long long)before, (long long)blocks_in_heap(), "%u ranks: and no block is left", n);
}

static void sum_once(struct rank *me)
{
    check(me, sharedmem_all_int64(me->place.rank, SHAREDMEM_SUM) == team->size * (team->size - 1) / 2,
          "another sum");
}

static bool all_have_come(uint32_t barrier)
{
    bool have = true;

    for (uint32_t rank = 0; rank < team->size; rank++)
        have &= atomic_load(&team->ranks[rank].arrived) == barrier;
    return have;
}

/* One was killed just before it was counted, so nobody is the last. The call is complete all the same. */
static void test_uncounted(uint32_t n)
{
    const char *wrong;

    start_team(n);
    atomic_store(&team->n_arrived, UINT32_MAX);
    start_ranks(sum_once, 1);
    while (!all_have_come(1))
        usleep(1000);
    team_stop(team);
    wrong = join_ranks();
    end_team();
    test_str(NULL, wrong, "%u ranks: each adds up by itself where the last one died", n);
}

/* ---- Parts ---- */

/* What is wrong with the parts of n items, or NULL. */
static const char *wrong_parts(size_t n, int n_parts)
{
    size_t end = 0, least = n / (size_t)n_parts, previous = SIZE_MAX;

    for (int part = 0; part < n_parts; part++) {
        sharedmem_range range = sharedmem_part(n, part, n_parts);
        size_t size = range.end - range.begin;

        if (range.begin != end || range.end < range.begin)
            return "a part does not begin where the one before ends";
        if (size < least || size - least > 1 || size > previous)
            return "a part is too small or too large";
        end = range.end;
        previous = size;
    }
    return end == n ? NULL : "parts do not end at n";
}

static void test_parts(void)
{
    static const size_t ns[] = {0, 1, 2, 5, 16, 17, 1000, SIZE_MAX - 1, SIZE_MAX};
    static const int counts[] = {1, 2, 3, 16, 17, 4096};
    static const int bad[][2] = {{-1, 4}, {4, 4}, {0, 0}, {0, -1}, {-2, -1}, {INT32_MIN, 1}, {INT32_MAX, 1}};
    const char *wrong = NULL;
    bool empty = true;

    for (size_t i = 0; i < COUNT_OF(ns); i++) {
        for (size_t k = 0; k < COUNT_OF(counts) && wrong == NULL; k++)
            wrong = wrong_parts(ns[i], counts[k]);
    }
    test_str(NULL, wrong, "parts follow each other, of sizes that differ by one, the larger first");
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        sharedmem_range range = sharedmem_part(10, bad[i][0], bad[i][1]);

        empty &= range.begin == 10 && range.end == 10;
    }
    test_ok(empty, "a part out of range is empty");
    test_ok(sharedmem_my_part(7).begin == 0 && sharedmem_my_part(7).end == 7, "alone all is one's own");
}

int main(void)
{
    const char *text = getenv("TEST_ROUNDS");
    unsigned rounds = text != NULL ? (unsigned)atoi(text) : 1;

    test_begin(120 + 20 * rounds);
    setenv("SHAREDMEM_HEAP", "256M", 1);
    if (memory_enter(NULL) != 0)
        test_skip_all("no shared memory here");
    test_parts();
    for (size_t i = 0; i < COUNT_OF(rank_counts); i += test_under_valgrind() ? 2 : 1) {
        test_bcast(rank_counts[i]);
        test_allocation(rank_counts[i]);
        for (unsigned round = 0; round < rounds; round++)
            test_mix(rank_counts[i], round);
    }
    test_failure(2);
    test_failure(3);
    test_failure(6);
    test_uncounted(5);
    test_uncounted(17);
    test_int(0, heap_check(NULL), "the heap is whole");
    return test_end();
}
