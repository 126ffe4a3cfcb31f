#include "team/team.h"

#include <string.h>

_Static_assert(sizeof(struct team_shared) == 64, "a team's head is one cache line");

/*
 * A process has one team for now; a worker's is set once, in its one thread, before any code of the user
 * runs.
 */
static struct {
    uint32_t rank;
    uint32_t size;
} current = {.size = 1};

size_t team_bytes(uint32_t size)
{
    return sizeof(struct team_shared) + size * sizeof(sharedmem_error);
}

void team_init(struct team_shared *team, uint32_t size)
{
    memset(team, 0, sizeof *team);
    team->size = size;
}

void team_fail(struct team_shared *team, uint32_t rank, const sharedmem_error *error)
{
    uint32_t nobody = 0;

    memcpy(&team->errors[rank], error, sizeof *error);
    /*
     * release: who reads the claim, with acquire, reads the error whole. A death before this claims nothing.
     */
    atomic_compare_exchange_strong_explicit(&team->first, &nobody, rank + 1, memory_order_release,
                                            memory_order_relaxed);
    team_stop(team);
}

const sharedmem_error *team_first_error(const struct team_shared *team)
{
    uint32_t first = atomic_load_explicit(&team->first, memory_order_acquire);

    return first != 0 && first <= team->size ? &team->errors[first - 1] : NULL;
}

void team_stop(struct team_shared *team)
{
    atomic_store_explicit(&team->stopping, 1, memory_order_relaxed);
}

void team_enter(uint32_t rank, uint32_t size)
{
    current.rank = rank;
    current.size = size;
}

int sharedmem_rank(void)
{
    return (int)current.rank;
}

int sharedmem_size(void)
{
    return (int)current.size;
}
