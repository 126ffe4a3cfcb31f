/* solo.h: a team of one, for calls that do all in the caller: no workers, no shared memory. */
#ifndef RUN_SOLO_H
#define RUN_SOLO_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "team/team.h"

struct solo {
    alignas(64) unsigned char memory[sizeof(struct team_shared) + sizeof(struct team_rank_shared) +
                                     sizeof(sharedmem_error)];
    struct team_place place;
    struct team_place *before; /* what the thread worked for until now */
    bool is_entered;
};

/* A variable whose end is solo_leave(), also when an exception of C++ ends it. */
#define SOLO_TEAM(name) __attribute__((cleanup(solo_leave))) struct solo name = {.is_entered = false}

/* The calling thread becomes rank 0 of 1, until solo_leave(), which keeps errno. */
void solo_enter(struct solo *solo, bool is_map);
void solo_leave(struct solo *solo);

/* In a map: item i begins. */
void solo_begin_item(struct solo *solo, uint64_t i);

#endif
