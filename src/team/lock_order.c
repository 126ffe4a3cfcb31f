/*
 * The invariant: under the table's lock a pair counts when its `from` is not 0. That is stored last, and
 * cleared first, each in one piece; so that a member's death in the middle of noting leaves a pair, or none,
 * and there is nothing to put right.
 */
#include "team/lock_order.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/checking.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/text.h"
#include "memory/claim.h"
#include "memory/heap.h"
#include "memory/lock.h"
#include "memory/memory.h"
#include "memory/segment.h"
#include "team/critical.h"
#include "team/team.h"

/* More than programs have that name their locks; one that has more is told that the rest is not noted. */
#define PAIRS_MAX 1024u

struct pair_shared {
    _Atomic uint64_t from; /* the offset of a lock; 0: no pair */
    uint64_t to;
};

struct pair_told_shared {
    char from_where[LOCK_ORDER_WHERE_BYTES];
    char to_where[LOCK_ORDER_WHERE_BYTES];
    int32_t rank; /* who took them so; -1: pid says it */
    int32_t pid;
};

/* Apart from what is told of them: the pairs are looked through at each lock within another. */
struct lock_order_shared {
    struct lock_shared lock;
    uint32_t n_used; /* no pair is behind this */
    uint32_t is_full; /* it was told */
    struct pair_shared pairs[PAIRS_MAX];
    struct pair_told_shared told[PAIRS_MAX];
};

/* ---- The table ---- */

static struct lock_order_shared *table_here(void)
{
    /* acquire: pairs with the release in make_table(). */
    uint64_t offset = atomic_load_explicit(&segment_header()->lock_order, memory_order_acquire);

    return offset != 0 ? segment_at(offset) : NULL;
}

/* It stays as long as the segment. NULL: there is no memory, and nothing is noted. */
static struct lock_order_shared *make_table(void)
{
    struct lock_order_shared *table = heap_alloc_zeroed(sizeof *table);
    uint64_t none = 0;

    if (table == NULL)
        return NULL;
    FAULT_POINT();
    /* release: with the table its zeros. */
    if (!atomic_compare_exchange_strong_explicit(&segment_header()->lock_order, &none, segment_offset(table),
                                                 memory_order_acq_rel, memory_order_acquire))
        heap_free(table);
    return table_here();
}

/* Returns false in a signal handler that interrupted a call of this thread which has the table. */
static bool enter_table(struct lock_order_shared *table)
{
    switch (lock_acquire(&table->lock, NULL)) {
    case 0:
        return true;
    case EOWNERDEAD:
        lock_mark_consistent(&table->lock);
        return true;
    default:
        return false;
    }
}

static uint64_t from_of(const struct lock_order_shared *table, uint32_t pair)
{
    /* relaxed: the table's lock orders it. */
    return atomic_load_explicit(&table->pairs[pair].from, memory_order_relaxed);
}

/* ---- Pairs ---- */

static bool is_noted(const struct lock_order_shared *table, uint64_t from, uint64_t to)
{
    for (uint32_t i = 0; i < table->n_used; i++) {
        if (from_of(table, i) == from && table->pairs[i].to == to)
            return true;
    }
    return false;
}

/* A free one, or PAIRS_MAX. */
static uint32_t find_room(const struct lock_order_shared *table)
{
    uint32_t i = 0;

    while (i < table->n_used && from_of(table, i) != 0)
        i++;
    return i;
}

/* Returns the new pair's number, or PAIRS_MAX where there is no room. */
static uint32_t add(struct lock_order_shared *table, uint64_t from, const char *from_where, uint64_t to,
                    const char *to_where)
{
    const struct team_place *place = team_here();
    uint32_t i = find_room(table);
    struct pair_told_shared *told = &table->told[i];

    if (i == PAIRS_MAX)
        return i;
    told->rank = place != NULL ? (int32_t)place->rank : claim_rank();
    told->pid = getpid();
    text_copy_end(told->from_where, sizeof told->from_where, from_where);
    text_copy_end(told->to_where, sizeof told->to_where, to_where);
    table->pairs[i].to = to;
    FAULT_POINT();
    if (i == table->n_used)
        table->n_used = i + 1;
    FAULT_POINT();
    /* A killed process leaves its stores in program order: only the compiler has to be held. */
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&table->pairs[i].from, from, memory_order_relaxed);
    FAULT_POINT();
    return i;
}

/* ---- Circles ---- */

/* A way over pairs, found by going on from each to all that begin where it ends, the nearest first. */
struct search {
    uint32_t n;
    uint16_t pairs[PAIRS_MAX];
    uint16_t before[PAIRS_MAX]; /* the place in pairs of the one before; its own: the first */
    bool is_seen[PAIRS_MAX];
};

static void go_on(const struct lock_order_shared *table, struct search *search, uint64_t from, uint32_t before)
{
    for (uint32_t i = 0; i < table->n_used; i++) {
        if (from_of(table, i) != from || search->is_seen[i])
            continue;
        search->is_seen[i] = true;
        search->pairs[search->n] = (uint16_t)i;
        search->before[search->n] = (uint16_t)(before < PAIRS_MAX ? before : search->n);
        search->n++;
    }
}

/* Returns the place of the way's last pair, or PAIRS_MAX where there is no way from one lock to the other. */
static uint32_t find_way(const struct lock_order_shared *table, struct search *search, uint64_t from, uint64_t to)
{
    memset(search, 0, sizeof *search);
    go_on(table, search, from, PAIRS_MAX);
    for (uint32_t at = 0; at < search->n; at++) {
        uint64_t end = table->pairs[search->pairs[at]].to;

        if (end == to)
            return at;
        go_on(table, search, end, at);
    }
    return PAIRS_MAX;
}

/* ---- Saying it ---- */

static const char *place_of(const char *where)
{
    return where[0] != '\0' ? where : "an unknown place";
}

/* "; rank 1 took mutex 0x1 at a.c:1, then critical "b" at a.c:2" behind text. */
static void append_pair(const struct lock_order_shared *table, uint32_t pair, char *text, size_t size)
{
    const struct pair_told_shared *told = &table->told[pair];
    char first[CRITICAL_NAME_BYTES + 32], second[CRITICAL_NAME_BYTES + 32];
    size_t length = strlen(text);

    critical_describe(from_of(table, pair), first, sizeof first);
    critical_describe(table->pairs[pair].to, second, sizeof second);
    snprintf(text + length, size - length, "; %s %d takes %s at %s, then %s at %s",
             told->rank >= 0 ? "rank" : "process", told->rank >= 0 ? told->rank : told->pid, first,
             place_of(told->from_where), second, place_of(told->to_where));
}

/* The new pair, then those of the way from its end back to its beginning. */
static void describe_circle(const struct lock_order_shared *table, const struct search *search, uint32_t last,
                            uint32_t new_pair, char *text, size_t size)
{
    uint16_t way[PAIRS_MAX];
    uint32_t n = 0;

    for (uint32_t at = last;; at = search->before[at]) {
        way[n++] = search->pairs[at];
        if (search->before[at] == at)
            break;
    }
    snprintf(text, size,
             "locks are taken in different orders, and who does that at once may wait for each other for ever");
    append_pair(table, new_pair, text, size);
    while (n-- > 0)
        append_pair(table, way[n], text, size);
}

/* Notes the pair, and writes what there is to be warned of, or nothing. The caller has the table. */
static void note(struct lock_order_shared *table, uint64_t from, const char *from_where, uint64_t to,
                 const char *to_where, char *text, size_t size)
{
    struct search search;
    uint32_t new_pair, last;

    if (is_noted(table, from, to))
        return;
    new_pair = add(table, from, from_where, to, to_where);
    if (new_pair == PAIRS_MAX) {
        if (!table->is_full)
            snprintf(text, size, "more than %u pairs of locks are taken within each other: %s notes no more of them",
                     PAIRS_MAX, "SHAREDMEM_CHECK");
        table->is_full = true;
        return;
    }
    last = find_way(table, &search, to, from);
    if (last < PAIRS_MAX)
        describe_circle(table, &search, last, new_pair, text, size);
}

void lock_order_note(uint64_t from, const char *from_where, uint64_t to, const char *to_where)
{
    struct lock_order_shared *table = table_here();
    int saved_errno = errno;
    char text[1000] = "";

    if (table == NULL)
        table = make_table();
    if (table != NULL && enter_table(table)) {
        note(table, from, from_where, to, to_where, text, sizeof text);
        lock_release(&table->lock);
    }
    if (text[0] != '\0')
        log_warn("%s", text);
    errno = saved_errno;
}

void lock_order_forget(uint64_t offset, size_t bytes)
{
    struct lock_order_shared *table = table_here();

    if (table == NULL || !enter_table(table))
        return;
    for (uint32_t i = 0; i < table->n_used; i++) {
        if (from_of(table, i) - offset >= bytes && table->pairs[i].to - offset >= bytes)
            continue;
        atomic_store_explicit(&table->pairs[i].from, 0, memory_order_relaxed);
        FAULT_POINT();
    }
    lock_release(&table->lock);
}

static void forget_block(const void *block)
{
    size_t bytes;

    if (segment_contains(block) && memory_enter(NULL) == 0 && heap_usable(block, &bytes) == HEAP_GOOD)
        lock_order_forget(segment_offset(block), bytes);
}

__attribute__((constructor)) static void set_hook(void)
{
    memory_forget = forget_block;
}
