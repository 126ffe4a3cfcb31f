/*
 * Much use of the heap by several members at once: sizes from a byte to a MiB, each power of two as often as
 * the others, and now and then some MiB; malloc, calloc, realloc, aligned_alloc and free, mostly of what
 * another has allocated. At any moment the heap holds at most 1.5 times the most that was ever asked for at
 * once, and a MiB for each member. What it holds is what it counts as used, and the pages that the system has
 * for it.
 *
 *     TEST_ROUNDS=10000000 ./t/heap-mixed.t      so many operations
 *     ./t/heap-mixed.t 16 1024                   with sizes from 16 to 1024 bytes only
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "memory/heap.h"
#include "memory/segment.h"
#include "sharedmem.h"
#include "tap.h"

#define N_MEMBERS 4
#define MIB       ((uint64_t)1 << 20)
#define PAGE      4096u

/* How often each member reads the heap's counts, and how often in all the pages are counted. */
#define LOOK_EVERY   64u
#define PAGE_COUNTS  100u
#define HELD_PERCENT 150u
#define SLACK_BYTES  (N_MEMBERS * MIB)

#define MIN_SLOTS 2048u
#define MAX_SLOTS (1u << 20)

/* What a slot has is changed by who has set busy. */
struct slot {
    _Atomic uint32_t busy;
    unsigned char mark; /* what is stored in each page of the block, and in its last byte */
    size_t bytes;
    unsigned char *block; /* NULL: none */
};

struct range {
    size_t least, most;
};

/* Not in the heap that is measured. */
struct shared {
    uint64_t n_steps; /* of each member */
    uint32_t n_slots;
    struct range only;           /* most 0: as the phases say */
    uint64_t pages_before;       /* resident ones, of the segment */
    _Atomic uint64_t live, peak; /* bytes asked for, now and at most */
    /* The worst that was seen, in percent of the peak as of then, beyond the slack. */
    _Atomic uint64_t used_most, resident_most;
    struct slot slots[MAX_SLOTS];
};

static struct shared *shared;

/* Spans of one phase must serve as the runs of the next, and the other way round. */
static const struct range phases[] = {
    {1, 1 << 20}, {1, 4096}, {16384, 1 << 20}, {1, 32768}, {1, 1 << 20},
};

#define N_PHASES (sizeof phases / sizeof *phases)

struct worker {
    uint64_t random;
    uint64_t step;
};

static uint64_t draw(struct worker *worker)
{
    worker->random ^= worker->random << 13;
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return worker->random >> 11;
}

static void raise_to(_Atomic uint64_t *most, uint64_t value)
{
    uint64_t seen = atomic_load_explicit(most, memory_order_relaxed);

    while (seen < value && !atomic_compare_exchange_weak_explicit(most, &seen, value, memory_order_relaxed,
                                                                  memory_order_relaxed))
        ;
}

/* ---- Blocks ---- */

/* Asked for before the block is there, and given up after it is gone: never less than there is. */
static void ask_for(size_t bytes)
{
    raise_to(&shared->peak, atomic_fetch_add_explicit(&shared->live, bytes, memory_order_relaxed) + bytes);
}

static void give_up(size_t bytes)
{
    atomic_fetch_sub_explicit(&shared->live, bytes, memory_order_relaxed);
}

static size_t draw_bytes(struct worker *worker)
{
    const struct range *range = &phases[worker->step * N_PHASES / shared->n_steps];
    unsigned doublings = 0;
    size_t least;

    if (shared->only.most != 0)
        range = &shared->only;
    else if (draw(worker) % 2048 == 0)
        return MIB << draw(worker) % 4;
    while (range->least << (doublings + 1) <= range->most)
        doublings++;
    least = range->least << draw(worker) % (doublings > 0 ? doublings : 1);
    return least + draw(worker) % (least + 1);
}

/* Every page is written to, so that it is there. */
static void mark(struct slot *slot)
{
    for (size_t at = 0; at < slot->bytes; at += PAGE)
        slot->block[at] = slot->mark;
    slot->block[slot->bytes - 1] = slot->mark;
}

/* Whether the first bytes of a block have a mark, as far as it was set. */
static bool has_mark(const unsigned char *block, size_t bytes, unsigned char mark)
{
    bool good = true;

    for (size_t at = 0; at < bytes; at += PAGE)
        good &= block[at] == mark;
    return good;
}

static bool is_good(const struct slot *slot)
{
    return has_mark(slot->block, slot->bytes, slot->mark) && slot->block[slot->bytes - 1] == slot->mark;
}

/* At most what a block has bytes: a page for each block of 16 bytes is what the program asks for. */
static size_t draw_alignment(struct worker *worker, size_t bytes)
{
    size_t alignment = (size_t)64 << draw(worker) % 8;

    while (alignment > 64 && alignment > bytes)
        alignment /= 2;
    return alignment;
}

static int fill(struct worker *worker, struct slot *slot)
{
    const unsigned how = draw(worker) % 16;
    size_t alignment;

    slot->bytes = draw_bytes(worker);
    alignment = draw_alignment(worker, slot->bytes);
    ask_for(slot->bytes);
    if (how < 2)
        slot->block = sharedmem_calloc(1, slot->bytes);
    else if (how < 3)
        slot->block = sharedmem_aligned_alloc(alignment, slot->bytes);
    else
        slot->block = sharedmem_malloc(slot->bytes);
    if (slot->block == NULL)
        return sharedmem_fail(1, "no block of %zu bytes", slot->bytes);
    if (how < 2 && !(has_mark(slot->block, slot->bytes, 0) && slot->block[slot->bytes - 1] == 0))
        return sharedmem_fail(1, "calloc of %zu bytes: not zero", slot->bytes);
    if (how == 2 && (uintptr_t)slot->block % alignment != 0)
        return sharedmem_fail(1, "%zu bytes: not aligned to %zu", slot->bytes, alignment);
    slot->mark = (unsigned char)(draw(worker) % 255 + 1);
    mark(slot);
    return 0;
}

static int empty(struct slot *slot)
{
    if (!is_good(slot))
        return sharedmem_fail(1, "a block of %zu bytes has lost its content", slot->bytes);
    sharedmem_free(slot->block);
    give_up(slot->bytes);
    slot->block = NULL;
    return 0;
}

/* While it moves there are both. */
static int change(struct worker *worker, struct slot *slot)
{
    const size_t before = slot->bytes, bytes = draw_bytes(worker);
    const size_t kept = before < bytes ? before : bytes;
    unsigned char *block;

    if (!is_good(slot))
        return sharedmem_fail(1, "a block of %zu bytes has lost its content", before);
    ask_for(bytes);
    block = sharedmem_realloc(slot->block, bytes);
    if (block == NULL)
        return sharedmem_fail(1, "no block of %zu bytes, from %zu", bytes, before);
    give_up(before);
    slot->block = block;
    slot->bytes = bytes;
    if (!has_mark(block, kept, slot->mark))
        return sharedmem_fail(1, "realloc from %zu to %zu bytes has lost their content", before, bytes);
    mark(slot);
    return 0;
}

/* ---- What the heap holds ---- */

static uint64_t resident_pages(void)
{
    const size_t n = segment_size / PAGE;
    unsigned char *pages = malloc(n);
    uint64_t count = 0;

    if (pages == NULL || mincore(segment_base, segment_size, pages) != 0)
        abort();
    for (size_t i = 0; i < n; i++)
        count += pages[i] & 1;
    free(pages);
    return count;
}

/*
 * Of the whole run's peak: in its beginning little lives, while the heap still has pages of what was freed before.
 */
static uint64_t percent_of_peak(uint64_t bytes)
{
    uint64_t peak = atomic_load_explicit(&shared->peak, memory_order_relaxed);

    return bytes > SLACK_BYTES && peak > 0 ? (bytes - SLACK_BYTES) * 100 / peak : 0;
}

static uint64_t used_bytes(void)
{
    struct heap_statistics now;

    heap_statistics_read(&now);
    return now.used_bytes;
}

static void look(const struct worker *worker, size_t rank)
{
    if (worker->step % LOOK_EVERY == 0)
        raise_to(&shared->used_most, used_bytes());
    if (rank == 0 && worker->step % (shared->n_steps / PAGE_COUNTS + 1) == 0)
        raise_to(&shared->resident_most, (resident_pages() - shared->pages_before) * PAGE);
}

/* ---- Members ---- */

static int change_slot(struct worker *worker, struct slot *slot)
{
    if (slot->block == NULL)
        return fill(worker, slot);
    return draw(worker) % 4 == 0 ? change(worker, slot) : empty(slot);
}

/* Half of all goes to a few slots, so that some blocks live for a moment and others for long. */
static struct slot *draw_slot(struct worker *worker)
{
    uint32_t n = draw(worker) % 2 == 0 ? shared->n_slots / 16 : shared->n_slots;

    return &shared->slots[draw(worker) % n];
}

static int use(size_t rank, void *result, void *context)
{
    struct worker worker = {.random = (rank + 1) * 0x9e3779b97f4a7c15u};
    int status = 0;

    (void)result;
    (void)context;
    while (worker.step < shared->n_steps && status == 0) {
        struct slot *slot = draw_slot(&worker);

        /* acquire, and release below: what the last one did with the block is seen. */
        if (atomic_exchange_explicit(&slot->busy, 1, memory_order_acquire) != 0)
            continue;
        status = change_slot(&worker, slot);
        atomic_store_explicit(&slot->busy, 0, memory_order_release);
        look(&worker, rank);
        worker.step++;
    }
    return status;
}

/* ---- The test ---- */

static uint64_t count_steps(void)
{
    const char *text = getenv("TEST_ROUNDS");

    if (text != NULL && atoll(text) > 0)
        return (uint64_t)atoll(text);
    if (test_under_valgrind())
        return 4000;
    return test_thread_sanitized() || test_address_sanitized() ? 20000 : 30000;
}

static bool empty_all(void)
{
    bool good = true;

    for (uint32_t i = 0; i < shared->n_slots; i++)
        good &= shared->slots[i].block == NULL || empty(&shared->slots[i]) == 0;
    return good;
}

/* Small blocks have to be some MiB together too, or the slack would hide what they waste. */
static uint32_t count_slots(void)
{
    uint32_t n = MIN_SLOTS;

    while (shared->only.most != 0 && n < MAX_SLOTS && n * shared->only.most < 64 * MIB)
        n *= 2;
    return test_under_valgrind() ? n / 8 : n;
}

/* Enough for the slots to be filled, and some of them again and again. */
static uint64_t enough_steps(uint64_t n)
{
    return n < 10 * shared->n_slots && !test_under_valgrind() ? 10 * shared->n_slots : n;
}

static void prepare(uint64_t n_steps, struct range only)
{
    shared->only = only;
    shared->n_slots = count_slots();
    shared->n_steps = enough_steps(n_steps) / N_MEMBERS;
    shared->live = shared->peak = shared->used_most = shared->resident_most = 0;
}

static void test_held(void)
{
    test_ok(percent_of_peak(shared->used_most) <= HELD_PERCENT,
            "at most %llu%% of the peak of %.1f MiB was in use",
            (unsigned long long)percent_of_peak(shared->used_most), (double)shared->peak / (double)MIB);
    test_ok(percent_of_peak(shared->resident_most) <= HELD_PERCENT, "and at most %llu%% was resident",
            (unsigned long long)percent_of_peak(shared->resident_most));
}

static void test_use(const char *name, int32_t backend, struct range only, uint64_t n_steps)
{
    struct heap_statistics before, after;
    sharedmem_error error = {.message = ""};

    prepare(n_steps, only);
    heap_statistics_read(&before);
    test_int(0, sharedmem_parallel(N_MEMBERS, use, NULL, .backend = backend, .error = &error),
             "%s, %llu operations %s", name, (unsigned long long)shared->n_steps * N_MEMBERS, error.message);
    test_held();
    test_int(0, sharedmem_heap_check(&error), "the heap is whole %s", error.message);
    test_ok(empty_all(), "what is left has its content");
    heap_statistics_read(&after);
    test_int((long long)before.n_blocks, (long long)after.n_blocks, "no block is left");
    test_ok(after.used_bytes <= before.used_bytes + SLACK_BYTES, "the heap is empty (%llu KiB in use)",
            (unsigned long long)after.used_bytes / 1024);
    test_note("%.1f MiB are resident after all was freed",
              (double)((resident_pages() - shared->pages_before) * PAGE) / (double)MIB);
    test_int(0, sharedmem_heap_check(NULL), "and whole");
}

int main(int argc, char **argv)
{
    const struct range all = {0, 0}, small = {16, 1024};
    const uint64_t n = count_steps();

    test_begin(120 + (unsigned)(n / 2000));
    setenv("SHAREDMEM_HEAP", test_under_valgrind() ? "256M" : "1G", 1);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || sharedmem_heap_check(NULL) != 0)
        test_skip_all("no shared memory here");
    shared->pages_before = resident_pages();
    if (argc == 3) {
        test_use("these sizes", SHAREDMEM_PROCESSES,
                 (struct range){strtoul(argv[1], NULL, 10), strtoul(argv[2], NULL, 10)}, n);
        return test_end();
    }
    test_use("4 processes, small sizes", SHAREDMEM_PROCESSES, small, n);
    test_use("4 processes", SHAREDMEM_PROCESSES, all, n);
    test_use("4 threads", SHAREDMEM_THREADS, all, n / 4);
    return test_end();
}
