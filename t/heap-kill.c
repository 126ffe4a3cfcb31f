/*
 * Kills at random moments: eight processes get, change and give back blocks of all sizes as fast as they can,
 * mostly what another has got, while they are killed every millisecond, one or three at once, and replaced.
 * After each death the heap is whole and the others go on; and in the end nothing is lost but what the dead
 * were just getting or giving.
 *
 * TEST_ROUNDS sets how many are killed. Built with HEAP_CHECKED it is t/heap-kill-checked.t: the same with
 * guarded blocks.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "memory/heap.h"
#include "memory/recover.h"
#include "sharedmem.h"
#include "tap.h"

#define N_KILLS   300
#define N_WORKERS 8u
#define N_SLOTS   256u
#define MIB       ((uint64_t)1 << 20)

/* What who has a slot is just doing with its block: stored before, so that it is known after his death. */
enum doing {
    NOTHING,  /* the block is there, if any, with its marks */
    TAKING,   /* it is there if its address is, else it may be lost */
    MARKING,  /* it is there, with or without its marks */
    RESIZING, /* it, its successor, or both may be lost */
    GIVING    /* it may be lost */
};

/* Changed by its owner alone, and by the master once that is dead. */
struct slot {
    _Atomic uint32_t owner; /* 1 + worker; 0: none */
    _Atomic uint32_t doing;
    size_t bytes, next_bytes;
    unsigned char *block;
    unsigned char mark;
};

struct worker {
    _Alignas(64) _Atomic pid_t pid; /* 0: not there yet */
    _Atomic uint64_t n_calls;
    uint64_t random;
};

/* Not in the heap. */
struct shared {
    _Atomic bool stop;
    struct worker workers[N_WORKERS];
    struct slot slots[N_SLOTS];
};

static struct shared *shared;
static sharedmem_background *calls[N_WORKERS];

/* What the deaths may have cost, by what the dead were doing. */
static uint64_t blocks_at_risk, bytes_at_risk;
static uint64_t random_state;

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 11;
}

/* ---- Workers ---- */

/* release: a death leaves all stores before it. Those after it stay behind it, since a call lies between. */
static void say(struct slot *slot, enum doing doing)
{
    atomic_store_explicit(&slot->doing, doing, memory_order_release);
}

/* From 1 byte to 256 KiB, each power of two as often as the others. */
static size_t draw_bytes(uint64_t *state)
{
    size_t least = (size_t)1 << draw(state) % 18;

    return least + draw(state) % (least + 1);
}

static void mark(struct slot *slot)
{
    slot->block[0] = slot->block[slot->bytes / 2] = slot->block[slot->bytes - 1] = slot->mark;
}

static bool is_marked(const struct slot *slot)
{
    return slot->block[0] == slot->mark && slot->block[slot->bytes / 2] == slot->mark &&
           slot->block[slot->bytes - 1] == slot->mark;
}

static int mark_new(struct slot *slot, unsigned char *block)
{
    if (block == NULL)
        return sharedmem_fail(1, "no block of %zu bytes", slot->next_bytes);
    slot->bytes = slot->next_bytes;
    slot->block = block;
    say(slot, MARKING);
    slot->mark++;
    mark(slot);
    say(slot, NOTHING);
    return 0;
}

static int take(uint64_t *state, struct slot *slot)
{
    const unsigned how = draw(state) % 8;

    slot->bytes = slot->next_bytes = draw_bytes(state);
    say(slot, TAKING);
    if (how == 0)
        return mark_new(slot, sharedmem_calloc(1, slot->next_bytes));
    if (how == 1)
        return mark_new(slot, sharedmem_aligned_alloc((size_t)64 << draw(state) % 7, slot->next_bytes));
    return mark_new(slot, sharedmem_malloc(slot->next_bytes));
}

static int resize(uint64_t *state, struct slot *slot)
{
    slot->next_bytes = draw_bytes(state);
    say(slot, RESIZING);
    return mark_new(slot, sharedmem_realloc(slot->block, slot->next_bytes));
}

static void give(struct slot *slot)
{
    say(slot, GIVING);
    sharedmem_free(slot->block);
    slot->block = NULL;
    say(slot, NOTHING);
}

static int change(uint64_t *state, struct slot *slot)
{
    if (slot->block == NULL)
        return take(state, slot);
    if (!is_marked(slot))
        return sharedmem_fail(1, "a block of %zu bytes has lost its content", slot->bytes);
    if (draw(state) % 3 == 0)
        return resize(state, slot);
    give(slot);
    return 0;
}

static int churn(size_t i, void *result, void *context)
{
    struct worker *me = context;
    const uint32_t id = (uint32_t)(me - shared->workers) + 1;
    int status = 0;

    (void)i;
    (void)result;
    atomic_store_explicit(&me->pid, getpid(), memory_order_release);
    while (status == 0 && !atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
        struct slot *slot = &shared->slots[draw(&me->random) % N_SLOTS];
        uint32_t none = 0;

        /* acquire, and release below: what the last owner did with the block is seen. */
        if (!atomic_compare_exchange_strong_explicit(&slot->owner, &none, id, memory_order_acquire,
                                                     memory_order_relaxed))
            continue;
        status = change(&me->random, slot);
        atomic_store_explicit(&slot->owner, 0, memory_order_release);
        atomic_fetch_add_explicit(&me->n_calls, 1, memory_order_relaxed);
    }
    return status;
}

/* ---- The killer ---- */

static bool start(uint32_t k)
{
    sharedmem_error error;

    shared->workers[k].pid = 0;
    shared->workers[k].random = draw(&random_state) | 1;
    calls[k] = sharedmem_background_start(churn, &shared->workers[k], .error = &error);
    if (calls[k] == NULL)
        test_note("worker %u is not started: %s", k, error.message);
    return calls[k] != NULL;
}

/* Once it works. Returns whether it came to that. */
static bool kill_one(uint32_t k)
{
    while (atomic_load_explicit(&shared->workers[k].pid, memory_order_acquire) == 0) {
        if (sharedmem_background_test(calls[k], 0.0001) != 0)
            return false;
    }
    test_kill(shared->workers[k].pid, SIGKILL);
    return true;
}

static void give_up(struct slot *slot, unsigned n_blocks)
{
    blocks_at_risk += n_blocks;
    bytes_at_risk += slot->bytes + slot->next_bytes;
    slot->block = NULL;
}

/* Puts right the slot that worker k had when it died, if any. */
static void repair(uint32_t k)
{
    for (struct slot *slot = shared->slots; slot < shared->slots + N_SLOTS; slot++) {
        if (atomic_load_explicit(&slot->owner, memory_order_acquire) != k + 1)
            continue;
        if (slot->doing == RESIZING)
            give_up(slot, 2);
        else if (slot->doing == GIVING || (slot->doing == TAKING && slot->block == NULL))
            give_up(slot, 1);
        else if (slot->block != NULL)
            mark(slot);
        slot->doing = NOTHING;
        atomic_store_explicit(&slot->owner, 0, memory_order_release);
    }
}

/* Whether k's death is told, the heap is whole after it, and it is replaced. */
static bool bury(uint32_t k)
{
    sharedmem_error error = {.message = ""};
    const int status = sharedmem_background_wait(calls[k], &error);
    const bool is_killed = status == -1 && error.kind == SHAREDMEM_ERROR_SIGNAL && error.code == SIGKILL;

    if (!is_killed)
        test_note("worker %u was to be killed: %s", k, error.message);
    repair(k);
    if (sharedmem_heap_check(&error) != 0) {
        test_note("%s", error.message);
        return false;
    }
    return start(k) && is_killed;
}

/* At most a millisecond, at random: it is the length of a life, and nothing waits for it. */
static void live_on(void)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)(draw(&random_state) % 1000000)}, NULL);
}

/* Kills n_victims at once. Three: who puts right what one has left is killed too. */
static bool kill_some(uint32_t n_victims)
{
    const uint32_t first = (uint32_t)draw(&random_state) % N_WORKERS;
    bool good = true;

    live_on();
    for (uint32_t i = 0; i < n_victims; i++)
        good &= kill_one((first + i) % N_WORKERS);
    for (uint32_t i = 0; i < n_victims; i++)
        good &= bury((first + i) % N_WORKERS);
    return good;
}

static uint64_t all_calls(void)
{
    uint64_t n = 0;

    for (uint32_t k = 0; k < N_WORKERS; k++)
        n += shared->workers[k].n_calls;
    return n;
}

static void test_kills(unsigned n_kills)
{
    unsigned killed = 0;
    bool good = true;

    for (uint32_t k = 0; k < N_WORKERS; k++)
        good &= start(k);
    while (good && killed < n_kills) {
        uint32_t n_victims = draw(&random_state) % 4 == 0 ? 3 : 1;

        good = kill_some(n_victims);
        killed += n_victims;
    }
    test_ok(good, "%u are killed, and the heap is whole after each death", killed);
}

static void test_the_living(void)
{
    const uint64_t before = all_calls();
    sharedmem_error error;
    bool good = true;

    while (all_calls() < before + (uint64_t)100 * N_WORKERS && good)
        good = sharedmem_background_test(calls[0], 0.001) == 0;
    test_ok(good, "the others go on");
    shared->stop = true;
    for (uint32_t k = 0; k < N_WORKERS; k++) {
        if (sharedmem_background_wait(calls[k], &error) == 0)
            continue;
        test_note("worker %u: %s", k, error.message);
        good = false;
    }
    test_ok(good, "and end well, after %llu calls", (unsigned long long)all_calls());
}

static bool give_all(void)
{
    bool good = true;

    for (struct slot *slot = shared->slots; slot < shared->slots + N_SLOTS; slot++) {
        good &= slot->owner == 0 && (slot->block == NULL || is_marked(slot));
        if (slot->block != NULL)
            give(slot);
    }
    return good;
}

static void test_lost(const struct heap_statistics *before)
{
    struct heap_statistics after;
    uint64_t lost;

    test_ok(give_all(), "what is left has its content, and is given back");
    recover_all_dead();
    heap_statistics_read(&after);
    lost = after.n_blocks - before->n_blocks;
    test_ok(lost <= blocks_at_risk, "%lld blocks are lost, of %llu that were on their way", (long long)lost,
            (unsigned long long)blocks_at_risk);
    /* Spans that stay for the next blocks, and rounding. */
    test_ok(after.used_bytes <= before->used_bytes + bytes_at_risk * 5 / 4 + N_WORKERS * MIB,
            "%lld KiB are lost, of %llu", (long long)(after.used_bytes - before->used_bytes) / 1024,
            (unsigned long long)bytes_at_risk / 1024);
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
}

static unsigned count_kills(void)
{
    const char *text = getenv("TEST_ROUNDS");

    if (text != NULL && atoi(text) > 0)
        return (unsigned)atoi(text);
    if (test_under_valgrind())
        return 20;
    return test_thread_sanitized() ? 60 : N_KILLS;
}

static void seed(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    random_state = (uint64_t)now.tv_nsec << 20 | 1;
}

int main(void)
{
    struct heap_statistics before;
    int fds;

    test_begin(120 + count_kills() / 10);
    setenv("SHAREDMEM_HEAP", "2G", 1);
    if (test_under_valgrind())
        setenv("SHAREDMEM_HEAP", "256M", 1);
#ifdef HEAP_CHECKED
    setenv("SHAREDMEM_HEAP_CHECK", "1", 1);
#endif
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || sharedmem_heap_check(NULL) != 0)
        test_skip_all("no shared memory here");
    seed();
    heap_statistics_read(&before);
    fds = test_fds();
    test_kills(count_kills());
    test_the_living();
    test_lost(&before);
    test_int(0, test_children(), "no process is left");
    test_int(fds, test_fds(), "no descriptor");
    return test_end();
}
