/*
 * The shared heap, used by ranks, beside malloc used by as many threads, and Boost.Interprocess's heap used
 * by as many processes: a block that is freed at once, one that another frees, sizes and lifetimes as they
 * come.
 *
 * What is compared is throughput: the time from the first operation of any member to the last of all, over
 * all their operations. So 8 members on 2 processors take as long for one as 2 do, on all sides alike, unless
 * one that has to wait for the processor makes the others wait.
 */
#include <sharedmem.h>

#include <stdio.h>
#include <stdlib.h>

#include "gang.h"

#define SMALL_BYTES 64u

typedef void *take_function(size_t bytes);
typedef void give_function(void *block);

/* So that the calls are made directly: an indirect one takes as long as what a floor does. */
#define INLINE static inline __attribute__((always_inline))

/* A compiler that knows malloc leaves out a block that nobody looks at. */
INLINE void look_at(void *block)
{
    __asm__ volatile("" : : "r"(block) : "memory");
}

static uint64_t each(const struct gang *gang)
{
    return gang->ops / (uint64_t)gang->np;
}

/* ---- What is asked: a block that is freed at once ---- */

INLINE void use_hot(struct gang *gang, take_function *take, give_function *give)
{
    bool good = true;

    for (uint64_t i = each(gang); i > 0; i--) {
        void *block = take(SMALL_BYTES);

        look_at(block);
        good &= block != NULL;
        give(block);
    }
    if (!good)
        gang_check(gang, false);
}

/* ---- A block that another frees ---- */

/* How many blocks can be on their way; and how many of them are told of at once is the contender's work. */
#define RING_BLOCKS 4096u

/* What lies in gang->shared. Each end is alone in its line. */
struct ring {
    _Alignas(64) _Atomic uint64_t put;
    _Alignas(64) _Atomic uint64_t got;
    _Alignas(64) void *blocks[RING_BLOCKS];
};

_Static_assert(sizeof(struct ring) <= GANG_SHARED_BYTES, "a gang has room for it");

static struct ring *ring_of(struct gang *gang)
{
    return (struct ring *)gang->shared;
}

/* Waits until end has come to a number. acquire: pairs with the release of who moves that end. */
static void wait_for(_Atomic uint64_t *end, uint64_t number)
{
    unsigned steps = 0;

    while (atomic_load_explicit(end, memory_order_acquire) < number)
        spin_step(&steps);
}

static uint64_t batch_end(const struct gang *gang, uint64_t begin)
{
    return begin + gang->work < gang->ops ? begin + gang->work : gang->ops;
}

INLINE void put_all(struct gang *gang, take_function *take)
{
    struct ring *ring = ring_of(gang);

    for (uint64_t i = 0, end; i < gang->ops; i = end) {
        end = batch_end(gang, i);
        if (end > RING_BLOCKS)
            wait_for(&ring->got, end - RING_BLOCKS);
        for (uint64_t k = i; k < end; k++) {
            uint64_t *block = take(SMALL_BYTES);

            if (block != NULL)
                *block = k;
            ring->blocks[k % RING_BLOCKS] = block;
        }
        atomic_store_explicit(&ring->put, end, memory_order_release);
    }
}

INLINE void get_all(struct gang *gang, give_function *give)
{
    struct ring *ring = ring_of(gang);
    bool good = true;

    for (uint64_t i = 0, end; i < gang->ops; i = end) {
        end = batch_end(gang, i);
        wait_for(&ring->put, end);
        for (uint64_t k = i; k < end; k++) {
            uint64_t *block = ring->blocks[k % RING_BLOCKS];

            good &= block != NULL && *block == k;
            give(block);
        }
        atomic_store_explicit(&ring->got, end, memory_order_release);
    }
    if (!good)
        gang_check(gang, false);
}

INLINE void hand_over(struct gang *gang, int rank, take_function *take, give_function *give)
{
    if (rank == 0)
        put_all(gang, take);
    else
        get_all(gang, give);
}

/* ---- Sizes and lifetimes as they come ---- */

#define N_LIVE 1024u

/* From 16 bytes to 4 KiB, small ones as often as large ones. */
static size_t mixed_bytes(uint64_t random)
{
    size_t least = (size_t)16 << (random >> 32) % 8;

    return least + (random >> 40) % least + 1;
}

/*
 * An operation frees one block of many and takes another in its place; what it takes is written to. boost.cc
 * does the same.
 */
INLINE void use_mixed(struct gang *gang, int rank, take_function *take, give_function *give)
{
    unsigned char *blocks[N_LIVE] = {NULL};
    uint64_t state = (uint64_t)rank + 1;
    bool good = true;

    for (uint64_t i = each(gang); i > 0; i--) {
        uint64_t random = spin_random(&state);
        unsigned char **block = &blocks[random % N_LIVE];

        give(*block);
        *block = take(mixed_bytes(random));
        if (*block != NULL)
            **block = 1;
        good &= *block != NULL;
    }
    for (unsigned k = 0; k < N_LIVE; k++)
        give(blocks[k]);
    if (!good)
        gang_check(gang, false);
}

/* ---- Ours ---- */

static void ours_hot_member(struct gang *gang, int rank)
{
    (void)rank;
    use_hot(gang, sharedmem_malloc, sharedmem_free);
}

static void ours_over_member(struct gang *gang, int rank)
{
    hand_over(gang, rank, sharedmem_malloc, sharedmem_free);
}

static void ours_mixed_member(struct gang *gang, int rank)
{
    use_mixed(gang, rank, sharedmem_malloc, sharedmem_free);
}

/* What the ranks do: those that are forked see it as it was. */
static gang_function *rank_member;

static int body(size_t rank, void *result, void *context)
{
    struct gang *gang = context;

    (void)result;
    gate_enter(&gang->gate, gang->np);
    rank_member(gang, (int)rank);
    gate_leave(&gang->gate);
    return 0;
}

static double ours(const struct bench_contender *contender, uint64_t ops, gang_function *member)
{
    struct gang *gang = gang_create(contender, ops);

    rank_member = member;
    sharedmem_parallel(contender->np, body, gang);
    gang_check(gang, sharedmem_heap_check(NULL) == 0);
    return gang_end(gang);
}

static double ours_hot(const struct bench_contender *contender, uint64_t ops)
{
    return ours(contender, ops, ours_hot_member);
}

static double ours_over(const struct bench_contender *contender, uint64_t ops)
{
    return ours(contender, ops, ours_over_member);
}

static double ours_mixed(const struct bench_contender *contender, uint64_t ops)
{
    return ours(contender, ops, ours_mixed_member);
}

/* ---- The peer: malloc, which is glibc's unless another is preloaded ---- */

static void malloc_hot_member(struct gang *gang, int rank)
{
    (void)rank;
    use_hot(gang, malloc, free);
}

static void malloc_over_member(struct gang *gang, int rank)
{
    hand_over(gang, rank, malloc, free);
}

static void malloc_mixed_member(struct gang *gang, int rank)
{
    use_mixed(gang, rank, malloc, free);
}

static double threads(const struct bench_contender *contender, uint64_t ops, gang_function *member)
{
    struct gang *gang = gang_create(contender, ops);

    gang_thread(gang, member);
    return gang_end(gang);
}

static double malloc_hot(const struct bench_contender *contender, uint64_t ops)
{
    return threads(contender, ops, malloc_hot_member);
}

static double malloc_over(const struct bench_contender *contender, uint64_t ops)
{
    return threads(contender, ops, malloc_over_member);
}

static double malloc_mixed(const struct bench_contender *contender, uint64_t ops)
{
    return threads(contender, ops, malloc_mixed_member);
}

/* ---- Floors: one's own list, of one size, that tells nobody what is whose ---- */

struct link {
    struct link *next;
    unsigned char rest[SMALL_BYTES - sizeof(struct link *)];
};

static _Thread_local struct link link_one, *links;

static void *link_take(size_t bytes)
{
    struct link *first = links;

    (void)bytes;
    links = first->next;
    return first;
}

static void link_give(void *block)
{
    struct link *link = block;

    link->next = links;
    links = link;
}

static void link_member(struct gang *gang, int rank)
{
    (void)rank;
    link_give(&link_one);
    use_hot(gang, link_take, link_give);
}

static double link_hot(const struct bench_contender *contender, uint64_t ops)
{
    return threads(contender, ops, link_member);
}

/* Blocks that nobody allocates: the ring alone. */
static void *place_take(size_t bytes)
{
    static struct link places[2 * RING_BLOCKS];
    static unsigned next;

    (void)bytes;
    return &places[next++ % (2 * RING_BLOCKS)];
}

static void place_give(void *block)
{
    look_at(block);
}

static void place_member(struct gang *gang, int rank)
{
    hand_over(gang, rank, place_take, place_give);
}

static double place_over(const struct bench_contender *contender, uint64_t ops)
{
    return threads(contender, ops, place_member);
}

/* ---- The tables ---- */

/*
 * So many a round that it takes some milliseconds with the fastest. Were they found by trying, as is usual,
 * one try while a member had to wait for the processor would make them so few that nothing but such waits is
 * measured.
 */
#define HOT_OPS   400000u
#define OVER_OPS  100000u
#define MIXED_OPS 100000u

/* Of as many members: ours, the peers, the floor. */
static const struct bench_contender hot[] = {
    {.name = "1: sharedmem_malloc", .run = ours_hot, .np = 1, .ops = HOT_OPS},
    {.name = "1: malloc, in threads", .run = malloc_hot, .np = 1, .ops = HOT_OPS},
    {.name = "1: floor, a list of one's own", .run = link_hot, .np = 1, .ops = HOT_OPS * 4},
    {.name = "2: sharedmem_malloc", .run = ours_hot, .np = 2, .ops = HOT_OPS},
    {.name = "2: malloc, in threads", .run = malloc_hot, .np = 2, .ops = HOT_OPS},
    {.name = "2: Boost managed_shared_memory",
     .run = gang_boost,
     .np = 2,
     .ops = HOT_OPS / 4,
     .question = "hot"},
    {.name = "2: floor, a list of one's own", .run = link_hot, .np = 2, .ops = HOT_OPS * 4},
    {.name = "8: sharedmem_malloc", .run = ours_hot, .np = 8, .ops = HOT_OPS},
    {.name = "8: malloc, in threads", .run = malloc_hot, .np = 8, .ops = HOT_OPS},
    {.name = "8: floor, a list of one's own", .run = link_hot, .np = 8, .ops = HOT_OPS * 4},
    {.name = NULL},
};

static const struct bench_goal hot_goals[] = {
    {2, "1: sharedmem_malloc", {"1: malloc, in threads"}, 0},
    {2, "2: sharedmem_malloc", {"2: malloc, in threads"}, 0},
    {2, "8: sharedmem_malloc", {"8: malloc, in threads"}, 0},
    {0.2, "2: sharedmem_malloc", {"2: Boost managed_shared_memory"}, 0},
    {0, NULL, {NULL}, 0},
};

static const struct bench_contender mixed[] = {
    {.name = "1: sharedmem_malloc", .run = ours_mixed, .np = 1, .ops = MIXED_OPS},
    {.name = "1: malloc, in threads", .run = malloc_mixed, .np = 1, .ops = MIXED_OPS},
    {.name = "2: sharedmem_malloc", .run = ours_mixed, .np = 2, .ops = MIXED_OPS},
    {.name = "2: malloc, in threads", .run = malloc_mixed, .np = 2, .ops = MIXED_OPS},
    {.name = "2: Boost managed_shared_memory",
     .run = gang_boost,
     .np = 2,
     .ops = MIXED_OPS / 4,
     .question = "mixed"},
    {.name = "8: sharedmem_malloc", .run = ours_mixed, .np = 8, .ops = MIXED_OPS},
    {.name = "8: malloc, in threads", .run = malloc_mixed, .np = 8, .ops = MIXED_OPS},
    {.name = NULL},
};

static const struct bench_goal mixed_goals[] = {
    {0.2, "2: sharedmem_malloc", {"2: Boost managed_shared_memory"}, 0},
    {0, NULL, {NULL}, 0},
};

static const struct bench_goal over_goals[] = {
    {1, "sharedmem_malloc", {"malloc, in threads"}, 0},
    {0, NULL, {NULL}, 0},
};

static void compare_over(uint64_t batch)
{
    const struct bench_contender contenders[] = {
        {.name = "sharedmem_malloc", .run = ours_over, .np = 2, .ops = OVER_OPS, .work = batch},
        {.name = "malloc, in threads", .run = malloc_over, .np = 2, .ops = OVER_OPS, .work = batch},
        {.name = "floor: the ring alone", .run = place_over, .np = 2, .ops = OVER_OPS, .work = batch},
        {.name = NULL},
    };
    char title[64];

    snprintf(title, sizeof title, "freed by another, in batches of %d", (int)batch);
    bench_table(&(struct bench_table){title, "block", contenders, over_goals});
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    bench_table(&(struct bench_table){"64 bytes, freed at once", "pair", hot, hot_goals});
    compare_over(16);
    compare_over(1024);
    bench_table(&(struct bench_table){"mixed sizes, 16 bytes to 4 KiB", "pair", mixed, mixed_goals});
    return bench_end();
}
