#include "team/stage.h"

#include "base/bits.h"
#include "base/fault.h"
#include "team/barrier.h"
#include "team/collective.h"

int stage_pass(const struct stage *stage, size_t from)
{
    struct team_place *place = stage->place;

    while (from < stage->bytes) {
        size_t to = from + bits_smaller(stage->bytes - from, stage->window);
        char *half = collective_half(place->team, barrier_next(place));

        stage->put(stage->what, half, from, to);
        FAULT_POINT();
        if (barrier_meet(place, stage->where) != 0)
            return -1;
        stage->take(stage->what, half, from, to);
        from = to;
    }
    return 0;
}
