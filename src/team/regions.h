/* regions.h: the regions that the calling thread is in, for whoever has to end them in its place. */
#ifndef TEAM_REGIONS_H
#define TEAM_REGIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/member.h"

/* What a thread is in at some moment. */
struct regions_mark {
    uint64_t held[MEMBER_HELD_MAX];
    uint32_t member; /* 0: it was no member yet */
    bool in_ordered;
};

void regions_mark(struct regions_mark *mark);

/*
 * Leaves the critical regions that this thread has entered since. What they guarded is as it was left.
 * Mutexes that it has locked since come free as after a death, which their next owners are told of. Where it
 * is in an ordered region, its turn goes on until its rank has left, or has tried once more.
 */
void regions_leave_since(const struct regions_mark *mark);

#endif
