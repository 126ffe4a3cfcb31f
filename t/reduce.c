/*
 * sharedmem_all(), threads as ranks: values of all sizes, combined by rising rank into the same bytes in all
 * ranks; no block is left behind; and who has no memory, fails or never comes.
 */
#include "team/team.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory/heap.h"
#include "memory/memory.h"
#include "tap.h"
#include "team/ordered.h"

#include "rank_threads.h"

static const uint32_t rank_counts[] = {1, 2, 4, 5, 8, MAX_RANKS};

static void say_left(struct rank *me)
{
    ordered_say_left(team, me->place.rank, TEAM_LEFT);
}

/* ---- Values ---- */

static unsigned char byte_of(uint32_t rank, size_t i, unsigned salt)
{
    return (unsigned char)(rank * 7 + i + i / 251 + salt);
}

static void fill(unsigned char *value, size_t bytes, uint32_t rank, unsigned salt)
{
    for (size_t i = 0; i < bytes; i++)
        value[i] = byte_of(rank, i, salt);
}

/* Another order, or another number of values, has other bytes. */
static unsigned char combined(unsigned char into, unsigned char from)
{
    return (unsigned char)(into * 5 + (from ^ 0x5a));
}

static void combine(void *into, const void *from, void *context)
{
    size_t bytes = *(size_t *)context;

    if ((uintptr_t)from % 64 != 0)
        *(unsigned char *)into = 255;
    for (size_t i = 0; i < bytes; i++)
        ((unsigned char *)into)[i] = combined(((unsigned char *)into)[i], ((const unsigned char *)from)[i]);
}

static bool is_combined(const unsigned char *value, size_t bytes, unsigned salt)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char expected = byte_of(0, i, salt);

        for (uint32_t rank = 1; rank < team->size; rank++)
            expected = combined(expected, byte_of(rank, i, salt));
        if (value[i] != expected)
            return false;
    }
    return true;
}

/* Whoever still reads a block of the call that is free already, reads this. */
static void overwrite_free(size_t bytes)
{
    void *block = heap_alloc(bytes, HEAP_ALIGNMENT);

    memset(block, 0xee, bytes);
    heap_free(block);
}

static void combine_once(struct rank *me, size_t bytes, bool is_shared, unsigned salt)
{
    unsigned char *value = is_shared ? heap_alloc(bytes + 1, HEAP_ALIGNMENT) : malloc(bytes + 1);

    fill(value, bytes, me->place.rank, salt);
    value[bytes] = 77;
    check(me, sharedmem_all(value, bytes, combine, &bytes) == 0, "a call failed");
    if (me->place.rank == 0 && bytes > 0)
        overwrite_free(bytes * team->size);
    check(me, is_combined(value, bytes, salt), "other bytes");
    check(me, value[bytes] == 77, "a byte too many");
    if (is_shared)
        heap_free(value);
    else
        free(value);
}

static void all_sizes(struct rank *me)
{
    static const size_t sizes[] = {0, 1, 8, 16, 63, 64, 65, 1000, 15000, 87381, 170000, 262144, 700000};

    size_t step = test_under_valgrind() ? 5 : 1;

    for (size_t s = 0; s < COUNT_OF(sizes); s += step) {
        combine_once(me, sizes[s], false, 1);
        combine_once(me, sizes[s], true, 2);
    }
    check(me, sharedmem_all(NULL, 0, combine, NULL) == 0, "nothing to combine, nowhere");
}

/* Among others: what a slow rank still reads is not overwritten. */
static void many(struct rank *me)
{
    unsigned n = test_under_valgrind() ? (team->size > 4 ? 8 : 20) : team->size > 8 ? 100 : 500;

    for (unsigned k = 0; k < n && me->wrong == NULL; k++) {
        unsigned what = (unsigned)rand_r(&me->common) % 8;
        unsigned char byte = me->place.rank == 0 ? (unsigned char)k : 0;

        dawdle_once_in(me, 100);
        if (what == 0)
            check(me, sharedmem_barrier() == 0, "a barrier failed");
        else if (what == 1)
            check(me, sharedmem_all_int64(1, SHAREDMEM_SUM) == team->size, "another sum");
        else if (what == 2)
            check(me, sharedmem_bcast(&byte, 1, 0) == 0 && byte == (unsigned char)k, "another byte");
        else
            combine_once(me, what == 3 ? 40000 : (unsigned)rand_r(&me->common) % 200, k % 2 == 0, k);
    }
}

static void test_values(uint32_t n)
{
    uint64_t before = blocks_in_heap();

    test_str(NULL, run(n, all_sizes, 1), "%u ranks: values of all sizes", n);
    for (unsigned seed = 0; seed < 3; seed++)
        test_str(NULL, run(n, many, seed), "%u ranks: among other calls, from seed %u", n, seed);
    test_int((long long)before, (long long)blocks_in_heap(), "%u ranks: leave no block behind", n);
}

/* ---- What MPI has MINLOC for ---- */

struct least {
    double value;
    int64_t rank;
};

static void lesser(void *into, const void *from, void *context)
{
    struct least *least = into;
    const struct least *other = from;

    (void)context;
    if (other->value < least->value)
        *least = *other;
}

static void find_least(struct rank *me)
{
    for (uint32_t k = 0; k < (test_under_valgrind() ? 40 : 100); k++) {
        uint32_t who = k % team->size;
        struct least least = {me->place.rank == who ? -1.5 : me->place.rank, me->place.rank};

        check(me,
              sharedmem_all(&least, sizeof least, lesser, NULL) == 0 && least.value == -1.5 &&
                  least.rank == who,
              "another least one");
    }
}

/* ---- Failure ---- */

/* Too much: of the heap, and of what numbers can say. */
static void ask_too_much(struct rank *me)
{
    static const size_t sizes[] = {(size_t)1 << 40, SIZE_MAX / 3, SIZE_MAX};
    unsigned char value = 9;

    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        errno = 0;
        check(me, sharedmem_all(&value, sizes[s], combine, NULL) == -1 && errno == ENOMEM, "not ENOMEM");
    }
    check(me, value == 9, "the value is changed");
    combine_once(me, 100, false, 3);
}

static void *blocks[100000];

/* Rank 0 takes all that there is, so that no board can be had; and gives it back. */
static void have_no_memory(struct rank *me)
{
    size_t n = 0, bytes = 1000;
    unsigned char value[1000] = {1};

    if (me->place.rank == 0) {
        for (size_t size = (size_t)16 << 20; size >= 4096; size /= 2)
            while (n < COUNT_OF(blocks) && (blocks[n] = sharedmem_malloc(size)) != NULL)
                n++;
    }
    sharedmem_barrier();
    for (int k = 0; k < 5; k++) {
        errno = 0;
        check(me, sharedmem_all(value, bytes, combine, &bytes) == -1 && errno == ENOMEM, "no ENOMEM");
    }
    sharedmem_barrier();
    while (n > 0)
        sharedmem_free(blocks[--n]);
    sharedmem_barrier();
    combine_once(me, 100, false, 4);
}

static const size_t cancelled_sizes[] = {8, 1000, 400000};

static bool is_cancelled(size_t bytes)
{
    unsigned char *value = calloc(1, bytes);
    int result;

    errno = 0;
    result = sharedmem_all(value, bytes, combine, &bytes);
    free(value);
    return result == -1 && errno == ECANCELED;
}

/* common says which size, and who gives up after some rounds. */
static void be_cancelled(struct rank *me)
{
    unsigned quitter = me->common % 100;
    size_t bytes = cancelled_sizes[me->common / 100 / 2];

    for (int round = 0; round < 7; round++)
        check(me, !is_cancelled(bytes), "cancelled too early");
    if (me->place.rank != quitter)
        check(me, is_cancelled(bytes), "not cancelled");
    else if (me->common / 100 % 2 == 0)
        team_stop(team);
}

static void test_failure(uint32_t n)
{
    uint64_t before = blocks_in_heap();
    const char *wrong = NULL;

    for (unsigned k = 0; k < 2 * COUNT_OF(cancelled_sizes) && wrong == NULL; k++) {
        for (unsigned quitter = 0; quitter < n && wrong == NULL; quitter++)
            wrong = run(n, be_cancelled, k * 100 + quitter);
    }
    test_str(NULL, wrong, "%u ranks: who stops the team, or leaves, cancels the call of the others", n);
    test_str(NULL, run(n, ask_too_much, 0), "%u ranks: more than there is", n);
    test_str(NULL, run(n, have_no_memory, 0), "%u ranks: no memory at all", n);
    test_int((long long)before, (long long)blocks_in_heap(), "%u ranks: and no block is left", n);
}

static char message[200];

static void note_error(const sharedmem_error *error)
{
    strncpy(message, error->message, sizeof message - 1);
    message[sizeof message - 1] = '\0';
}

static void test_misuse(void)
{
    sharedmem_uncaught_handler *before = sharedmem_set_uncaught(note_error);
    uint64_t value = 3;

    test_ok(sharedmem_all(&value, 8, NULL, NULL) == -1 && errno == EINVAL, "no function is refused");
    test_has("all: combine is NULL", message, "with a sentence");
    test_ok(sharedmem_all(NULL, 8, combine, NULL) == -1 && errno == EINVAL, "no value is refused");
    test_has("all: value is NULL", message, "with a sentence");
    test_ok(sharedmem_all(&value, 8, combine, NULL) == 0 && value == 3, "alone a value is what it was");
    sharedmem_set_uncaught(before);
}

int main(void)
{
    test_begin(180);
    setenv("SHAREDMEM_HEAP", "96M", 1);
    if (memory_enter(NULL) != 0)
        test_skip_all("no shared memory here");
    test_misuse();
    hooks.end = say_left;
    for (size_t i = 0; i < COUNT_OF(rank_counts); i += test_under_valgrind() ? 2 : 1) {
        test_values(rank_counts[i]);
        test_str(NULL, run(rank_counts[i], find_least, 0), "%u ranks: the least, and whose it is",
                 rank_counts[i]);
    }
    test_failure(2);
    test_failure(4);
    test_failure(7);
    test_int(0, heap_check(NULL), "the heap is whole");
    return test_end();
}
