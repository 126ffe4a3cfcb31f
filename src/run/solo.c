#include "run/solo.h"

#include "team/ordered.h"

void solo_enter(struct solo *solo, bool is_map)
{
    struct team_shared *team = (struct team_shared *)(void *)solo->memory;

    team_init(team, 1, is_map);
    solo->place = (struct team_place){.team = team, .within = team_here()};
    if (solo->place.within != NULL)
        solo->place.masters_hold = solo->place.within->masters_hold;
    solo->before = team_enter_thread(&solo->place);
    solo->is_entered = true;
}

void solo_leave(struct solo *solo)
{
    if (!solo->is_entered)
        return;
    team_enter_thread(solo->before);
    team_free_blocks(solo->place.team);
    solo->is_entered = false;
}

void solo_begin_item(struct solo *solo, uint64_t i)
{
    atomic_store_explicit(&solo->place.team->ranks[0].item, i, memory_order_relaxed);
    ordered_set_floor(solo->place.team, 0, i);
}
