/*
 * move.h: what the tests of the calls that move data have in common: memory of all kinds, where parts lie
 * in a whole, and a pattern by which each byte tells whose it is.
 */
#ifndef T_MOVE_H
#define T_MOVE_H

#include <sharedmem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared_block.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MAX_RANKS       16
#define GUARD           24 /* bytes behind each buffer that nobody writes to */
#define UNTOUCHED       0xEE

enum memory {
    PRIVATE,
    SHARED,
    IN_SHARED,
    OUT_SHARED,
    MIXED,    /* some ranks this, some that */
    COMMON,   /* the whole is the same shared memory in all */
    THERE,    /* and each part lies in its place in it */
    IN_PLACE, /* in == out */
    IN_PLACE_SHARED,
    IN_PLACE_MIXED,
    N_MEMORIES
};

static const char *const memory_names[] = {
    "private", "shared",    "in shared", "out shared",       "mixed",
    "common",  "in common", "in place",  "in place, shared", "in place, mixed"};

/* Where parts lie in the whole. */
struct layout {
    const char *name;
    size_t sizes[MAX_RANKS];
    size_t offsets[MAX_RANKS];
    size_t whole;
    bool is_equal; /* for calls without sizes */
    bool is_dense; /* offsets may be NULL */
};

struct test {
    const struct layout *layout;
    enum memory memory;
    int root;
    unsigned salt; /* another pattern in each test */
};

struct shared {
    char wrong[200];
};

static struct shared *shared;
static unsigned char *pattern;
#define PATTERN_BYTES ((4u << 20) + 8192)

static inline void make_pattern(void)
{
    unsigned state = 1;

    pattern = malloc(PATTERN_BYTES);
    for (size_t i = 0; i < PATTERN_BYTES; i++) {
        state = state * 1664525u + 1013904223u;
        pattern[i] = (unsigned char)(state >> 24);
    }
}

/* What rank from has for rank to. */
static const unsigned char *part(const struct test *test, int from, int to)
{
    return pattern + ((unsigned)from * 41 + (unsigned)to * 307 + test->salt * 17) % 8191;
}

static inline void wrong(const struct test *test, const char *call, const char *what)
{
    char text[200];

    snprintf(text, sizeof text, "%s, %s of %zu bytes, %s, root %d: %s in rank %d", call, test->layout->name,
             test->layout->sizes[0], memory_names[test->memory], test->root, what, sharedmem_rank());
    note_wrong(shared->wrong, text);
}

/* ---- Memory ---- */

static inline bool in_is_shared(const struct test *test, int rank)
{
    return test->memory == SHARED || test->memory == IN_SHARED || (test->memory == MIXED && rank % 2 == 0) ||
           test->memory == IN_PLACE_SHARED || (test->memory == IN_PLACE_MIXED && rank % 2 == 0);
}

static inline bool out_is_shared(const struct test *test, int rank)
{
    return test->memory == SHARED || test->memory == OUT_SHARED ||
           (test->memory == MIXED && rank / 2 % 2 == 0);
}

static inline bool is_in_place(const struct test *test)
{
    return test->memory >= IN_PLACE;
}

static inline bool is_common(const struct test *test)
{
    return test->memory == COMMON || test->memory == THERE;
}

static inline unsigned char *get(size_t bytes, bool is_shared)
{
    unsigned char *block = is_shared ? sharedmem_malloc(bytes + GUARD) : malloc(bytes + GUARD);

    memset(block, UNTOUCHED, bytes + GUARD);
    return block;
}

static inline void put_back(unsigned char *block)
{
    if (sharedmem_is_shared(block))
        sharedmem_free(block);
    else
        free(block);
}

static inline unsigned char *get_common(const struct test *test)
{
    unsigned char *common = sharedmem_team_calloc(1, test->layout->whole + GUARD);

    if (common != NULL && sharedmem_rank() == 0)
        memset(common, UNTOUCHED, test->layout->whole + GUARD);
    sharedmem_barrier();
    return common;
}

static inline void put_back_common(unsigned char *common)
{
    sharedmem_barrier();
    if (sharedmem_rank() == 0)
        sharedmem_free(common);
}

static inline bool is_untouched(const unsigned char *from, const unsigned char *to)
{
    while (from < to && *from == UNTOUCHED)
        from++;
    return from >= to;
}

/* Whether the whole has the parts of all ranks, for rank to, and nothing else was written. */
static inline bool is_whole(const struct test *test, const unsigned char *whole, int to)
{
    const struct layout *layout = test->layout;
    int size = sharedmem_size();
    bool is_right = is_untouched(whole + layout->whole, whole + layout->whole + GUARD);

    for (int rank = 0; rank < size; rank++) {
        const unsigned char *begin = whole + layout->offsets[rank], *end = begin + layout->sizes[rank];
        const unsigned char *next = whole + layout->whole;

        for (int other = 0; other < size; other++) {
            if (whole + layout->offsets[other] >= end && whole + layout->offsets[other] < next)
                next = whole + layout->offsets[other];
        }
        is_right &= memcmp(begin, part(test, rank, to), layout->sizes[rank]) == 0;
        is_right &= is_untouched(end, next);
    }
    return is_right;
}

/* ---- Layouts ---- */

static inline void lay_equal(struct layout *layout, size_t bytes, int size)
{
    *layout =
        (struct layout){.name = "parts", .is_equal = true, .is_dense = true, .whole = bytes * (size_t)size};
    for (int rank = 0; rank < size; rank++) {
        layout->sizes[rank] = bytes;
        layout->offsets[rank] = bytes * (size_t)rank;
    }
}

/* kind 0 to 3; bytes is the greatest part. */
#define N_KINDS 4
static inline void lay_unequal(struct layout *layout, size_t bytes, int size, int kind)
{
    static const char *const names[] = {"rising parts", "parts and none", "one part only",
                                        "parts backwards, with gaps"};
    size_t at = 0;

    *layout = (struct layout){.name = names[kind], .is_dense = kind != 3};
    for (int rank = 0; rank < size; rank++) {
        layout->sizes[rank] = kind == 0   ? bytes * (size_t)(rank + 1) / (size_t)size
                              : kind == 1 ? (rank % 3 == 0   ? 0
                                             : rank % 3 == 1 ? 13
                                                             : bytes)
                              : kind == 2 ? (rank == size - 1 ? bytes : 0)
                                          : bytes / (rank % 2 == 0 ? 1 : 300);
    }
    for (int i = 0; i < size; i++) {
        int rank = kind == 3 ? size - 1 - i : i;

        at += kind == 3 ? 5 : 0;
        layout->offsets[rank] = at;
        at += layout->sizes[rank];
    }
    layout->whole = at;
}

#endif
