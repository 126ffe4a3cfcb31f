/*
 * calls.h: calls within calls. A worker that is itself the master of a map may be killed in the middle of it, and
 * nobody else knows of the memory that this map has. So a call's block is noted with the rank whose worker made
 * it, and freed by that worker's own master.
 */
#ifndef RUN_CALLS_H
#define RUN_CALLS_H

#include <stdint.h>

#include "team/team.h"

/* The beginning of the block of a call, in the segment. */
struct call_shared {
    _Atomic uint64_t next; /* the offset of an older one of the same rank; 0: there is none */
    _Atomic uint64_t team; /* its team's offset */
    _Atomic uint64_t
        list; /* the offset of the rank's word for its last call; 0: it is not noted, or no more */
    char unused[40];
};

/* The calling thread begins a call with team; it is noted where the thread is a worker's own. */
void calls_begin(struct call_shared *call, struct team_shared *team);

/* The call has ended, all of its workers with it. NULL, and one that was not noted, are fine. Keeps errno. */
void calls_end(struct call_shared *call);

/*
 * Rank's worker goes on without its rank: a thread, or a parked one. Its calls that have not ended are its own,
 * and noted no more.
 */
void calls_forget(struct team_shared *team, uint32_t rank);

/*
 * Rank's worker has died: frees the blocks of its calls, when the workers of those are gone, too. They end with
 * their master; one that does not, within a fifth of a second, keeps its block.
 */
void calls_collect(struct team_shared *team, uint32_t rank);

#endif
