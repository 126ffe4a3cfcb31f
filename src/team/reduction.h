/*
 * reduction.h: the engine of the collectives that reckon: elements of each rank are combined by rising rank,
 * (((0 op 1) op 2) op 3), each place by itself, whichever way they go and whoever does it. So the bits are the
 * same in all ranks, and the same for private and for shared memory, for few elements and for many.
 *
 * Three ways, by what all ranks know alike, the size of the team and the bytes of a rank:
 *
 *     words   up to two of them go beside the counts of one barrier
 *     board   more go through slots in a half of the team's board, and one barrier
 *     stage   a lot is combined by all ranks, a slice each (reduction_large.c)
 */
#ifndef TEAM_REDUCTION_H
#define TEAM_REDUCTION_H

#include <stddef.h>
#include <stdint.h>

#include "memory/heap.h"
#include "sharedmem.h"
#include "team/op.h"
#include "team/team.h"

/* Who gets what: all elements combined, at root or everywhere; those up to this rank's, or of those before it. */
enum reduction_kind { REDUCTION_AT_ROOT, REDUCTION_AT_ALL, REDUCTION_SCAN, REDUCTION_EXSCAN };

struct reduction {
    struct team_place *place;
    const char *where;
    enum reduction_kind kind;
    uint32_t root;
    size_t count; /* of elements in each rank */
    size_t bytes; /* of one; their product does not overflow */
    const char *in;
    char *out;         /* may be in; read only where the kind has something for the rank */
    op_kernel *kernel; /* NULL: combine, once for each element */
    op_kernel *alone;  /* see op_find_alone() */
    sharedmem_combine_function *combine;
    void *context;
    uint32_t barrier; /* for the engine: what is put is put for this one */
};

/*
 * Makes the reduction, with all others of a team of two or more. No rank's in is read any more, by anybody,
 * once its call has returned.
 * Returns 0, or -1 with errno: ECANCELED; ENOMEM or what heap_alloc() says, in all ranks alike.
 */
int reduction_run(struct reduction *reduction);

/* Sets n elements at `to` to what those of one rank make, at from, which may be to. */
void reduction_combine_one(const struct reduction *reduction, void *to, const void *from, size_t n);

/* ---- For the two files of the engine ---- */

/* Sets n elements at `to` to left op right; to may be left, and with a kernel right. */
void reduction_combine(const struct reduction *reduction, void *to, const void *left, const void *right,
                       size_t n);

/* Whether rank gets a result. */
static inline bool reduction_wants(const struct reduction *reduction, uint32_t rank)
{
    switch (reduction->kind) {
    case REDUCTION_AT_ROOT:
        return rank == reduction->root;
    case REDUCTION_EXSCAN:
        return rank > 0;
    default:
        return true;
    }
}

/* Whether each rank has a result of its own. */
static inline bool reduction_is_scan(const struct reduction *reduction)
{
    return reduction->kind >= REDUCTION_SCAN;
}

/* By the stage. */
int reduction_large(struct reduction *reduction);

#endif
