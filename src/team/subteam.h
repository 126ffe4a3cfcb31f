/*
 * subteam.h: the memory of the teams that a split makes. One block has all of them, and a row for each rank that
 * made the split, which says where its team is.
 *
 * The block is noted in a list of the outermost team, from before the first rank hears of it until the last one has
 * given its team back; so what nobody gave back, or nobody could, goes when the call ends, and in a job with that.
 * The list is of pages, which stay; an entry is one word, taken and given back by one store. So a death between two
 * stores costs the block that was on its way at most, and nobody waits for anybody.
 */
#ifndef TEAM_SUBTEAM_H
#define TEAM_SUBTEAM_H

#include <stddef.h>
#include <stdint.h>

#include "team/team.h"

/* What a rank asks for. */
struct subteam_wish {
    int32_t colour; /* below 0: no team */
    int32_t key;
    uint32_t rank; /* in the team that is split */
};

/* What it gets. */
struct subteam_row_shared {
    uint64_t team; /* its offset; 0: none */
    uint32_t rank; /* there */
    uint32_t unused;
};

/*
 * Lays out the teams of n ranks of team, a member's, in the heap: those of one colour are one team, by rising key
 * and then by rank. wishes: one of each rank, in any order; they are put into another.
 * *offset: of the block, to be read by subteam_row(); 0 where nobody wishes for a team.
 * Returns 0 or an errno: ENOMEM.
 */
int subteam_lay_out(struct team_shared *team, struct subteam_wish *wishes, uint32_t n, uint64_t *offset);

/* What rank of the team that was split gets from the block at offset. Only who gets a team may ask. */
const struct subteam_row_shared *subteam_row(uint64_t offset, uint32_t rank);

/* Rank gives its team back. The last one of a team frees what that has besides, and the last of all the block. */
void subteam_give_back(struct team_shared *team, uint32_t rank);

/* Frees all that is left of a root's sub-teams; its ranks are gone, but for the caller. */
void subteam_free_all(struct team_shared *root);

#endif
