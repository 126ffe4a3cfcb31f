#include "team/subteam.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/fault.h"
#include "memory/heap.h"
#include "memory/segment.h"
#include "team/check.h"
#include "team/ordered.h"

/* Behind the rows come the teams, each aligned to 64. */
struct subteam_block_shared {
    uint64_t entry;           /* the offset of its word in the list */
    _Atomic uint32_t n_teams; /* that somebody still has */
    uint32_t n_rows;
    struct subteam_row_shared rows[];
};

/* ---- The list ---- */

#define ENTRIES 63

/* An entry that a block is on its way to; 0 is a free one. */
#define TAKEN 1

/* Where blocks are: their offsets. */
struct subteam_page_shared {
    uint64_t next; /* the offset of an older page; 0: there is none */
    _Atomic uint64_t blocks[ENTRIES];
};

/* Takes a free entry of page. Returns NULL where none is free. */
static _Atomic uint64_t *take_from(struct subteam_page_shared *page)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        uint64_t none = 0;

        /* relaxed: it only says whose the entry is. */
        if (atomic_load_explicit(&page->blocks[i], memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(&page->blocks[i], &none, TAKEN, memory_order_relaxed,
                                                    memory_order_relaxed))
            return &page->blocks[i];
    }
    return NULL;
}

/* Puts a new page in front, and takes its first entry. Ranks that do so at once put one each. */
static _Atomic uint64_t *add_page(struct team_shared *root)
{
    struct subteam_page_shared *page = heap_alloc_zeroed(sizeof *page);
    uint64_t first = atomic_load_explicit(&root->subteams, memory_order_relaxed);

    if (page == NULL)
        return NULL;
    atomic_store_explicit(&page->blocks[0], TAKEN, memory_order_relaxed);
    FAULT_POINT();
    /* release: with the page, what is in it; acquire in those who read. */
    do
        page->next = first;
    while (!atomic_compare_exchange_weak_explicit(&root->subteams, &first, segment_offset(page),
                                                  memory_order_release, memory_order_relaxed));
    FAULT_POINT();
    return &page->blocks[0];
}

/* Takes an entry for a block that is still to be made. Returns NULL where there is no memory for one. */
static _Atomic uint64_t *take_entry(struct team_shared *root)
{
    /* acquire: pairs with the release in add_page(), and by it with those of older pages. */
    uint64_t at = atomic_load_explicit(&root->subteams, memory_order_acquire);
    _Atomic uint64_t *entry = NULL;

    while (at != 0 && entry == NULL) {
        struct subteam_page_shared *page = segment_at(at);

        entry = take_from(page);
        at = page->next;
    }
    return entry != NULL ? entry : add_page(root);
}

/* Nobody has any team of block any more. */
static void drop(struct subteam_block_shared *block)
{
    _Atomic uint64_t *entry = segment_at(block->entry);

    /* Before the block is another's. A death between the two loses it. */
    atomic_store_explicit(entry, 0, memory_order_release);
    FAULT_POINT();
    heap_free(block);
}

/* ---- Laying out ---- */

static int by_colour(const void *left, const void *right)
{
    const struct subteam_wish *a = left, *b = right;

    if (a->colour != b->colour)
        return a->colour < b->colour ? -1 : 1;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->rank < b->rank ? -1 : 1;
}

/* How many of wishes, which are in order, are of the first one's colour. */
static uint32_t count_like_first(const struct subteam_wish *wishes, uint32_t n)
{
    uint32_t like = 1;

    while (like < n && wishes[like].colour == wishes[0].colour)
        like++;
    return like;
}

static size_t block_head_bytes(uint32_t n_rows)
{
    return bits_round_up(sizeof(struct subteam_block_shared) + n_rows * sizeof(struct subteam_row_shared),
                         64);
}

/* Of a block for wishes, which all are for a team. */
static size_t block_bytes(const struct subteam_wish *wishes, uint32_t n, uint32_t n_rows)
{
    size_t bytes = block_head_bytes(n_rows);

    for (uint32_t at = 0, like; at < n; at += like) {
        like = count_like_first(wishes + at, n - at);
        bytes += team_sub_bytes(like);
    }
    return bytes;
}

/* Lays out one team for wishes, into memory of the block. */
static void lay_out_team(struct subteam_block_shared *block, struct team_shared *sub,
                         const struct team_shared *team, const struct subteam_wish *wishes, uint32_t size)
{
    team_init_sub(sub, size, team_root(team));
    sub->block = segment_offset(block);
    atomic_store_explicit(&sub->n_users, size, memory_order_relaxed);
    for (uint32_t rank = 0; rank < size; rank++) {
        sub->ranks[rank].root_rank = team_root_rank(team, wishes[rank].rank);
        block->rows[wishes[rank].rank] =
            (struct subteam_row_shared){.team = segment_offset(sub), .rank = rank};
    }
}

/* wishes: in order, all for a team; n_rows: ranks of the team that is split. */
static struct subteam_block_shared *make_block(const struct team_shared *team,
                                               const struct subteam_wish *wishes, uint32_t n, uint32_t n_rows)
{
    struct subteam_block_shared *block = heap_alloc(block_bytes(wishes, n, n_rows), HEAP_ALIGNMENT);
    char *next = (char *)block + block_head_bytes(n_rows);
    uint32_t n_teams = 0;

    if (block == NULL)
        return NULL;
    block->n_rows = n_rows;
    for (uint32_t rank = 0; rank < n_rows; rank++)
        block->rows[rank].team = 0;
    for (uint32_t at = 0, like; at < n; at += like) {
        like = count_like_first(wishes + at, n - at);
        lay_out_team(block, (struct team_shared *)(void *)next, team, wishes + at, like);
        next += team_sub_bytes(like);
        n_teams++;
    }
    atomic_store_explicit(&block->n_teams, n_teams, memory_order_relaxed);
    return block;
}

int subteam_lay_out(struct team_shared *team, struct subteam_wish *wishes, uint32_t n, uint64_t *offset)
{
    struct subteam_block_shared *block;
    _Atomic uint64_t *entry;
    uint32_t without = 0;

    *offset = 0;
    qsort(wishes, n, sizeof *wishes, by_colour);
    while (without < n && wishes[without].colour < 0)
        without++;
    if (without == n)
        return 0;
    entry = take_entry(team_root(team));
    if (entry == NULL)
        return ENOMEM;
    FAULT_POINT();
    block = make_block(team, wishes + without, n - without, n);
    if (block != NULL) {
        block->entry = segment_offset((void *)entry);
        *offset = segment_offset(block);
    }
    FAULT_POINT();
    /* release: who frees all that is left finds the block laid out. */
    atomic_store_explicit(entry, *offset, memory_order_release);
    FAULT_POINT();
    return block != NULL ? 0 : ENOMEM;
}

const struct subteam_row_shared *subteam_row(uint64_t offset, uint32_t rank)
{
    const struct subteam_block_shared *block = segment_at(offset);

    return &block->rows[rank];
}

/* ---- Giving back ---- */

void subteam_give_back(struct team_shared *team, uint32_t rank)
{
    struct subteam_block_shared *block = segment_at(team->block);

    check_left_messages(team, rank);
    /* Who waits for it there shall not, and its turns are passed over. */
    ordered_say_left(team, rank, TEAM_LEFT);
    FAULT_POINT();
    /* acq_rel, both: the last one frees what the others have done with. */
    if (atomic_fetch_sub_explicit(&team->n_users, 1, memory_order_acq_rel) != 1)
        return;
    FAULT_POINT();
    team_free_blocks(team);
    FAULT_POINT();
    if (atomic_fetch_sub_explicit(&block->n_teams, 1, memory_order_acq_rel) == 1)
        drop(block);
}

/* Of a block whose ranks are gone: what its teams have besides. A team that all gave back has nothing any more. */
static void free_teams_of(struct subteam_block_shared *block)
{
    for (uint32_t i = 0; i < block->n_rows; i++) {
        struct team_shared *team;

        if (block->rows[i].team == 0 || block->rows[i].rank != 0)
            continue;
        team = segment_at(block->rows[i].team);
        if (atomic_load_explicit(&team->n_users, memory_order_acquire) != 0)
            team_free_blocks(team);
    }
}

void subteam_free_all(struct team_shared *root)
{
    uint64_t at = atomic_load_explicit(&root->subteams, memory_order_acquire);

    while (at != 0) {
        struct subteam_page_shared *page = segment_at(at);

        for (size_t i = 0; i < ENTRIES; i++) {
            uint64_t offset = atomic_load_explicit(&page->blocks[i], memory_order_acquire);

            if (offset == 0 || offset == TAKEN)
                continue;
            free_teams_of(segment_at(offset));
            heap_free(segment_at(offset));
        }
        at = page->next;
        heap_free(page);
    }
}
