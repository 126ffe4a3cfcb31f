#include "team/windows.h"

#include "base/bits.h"
#include "base/fault.h"
#include "team/barrier.h"
#include "team/collective.h"

int windows_pass(const struct windows *windows, size_t from)
{
    struct team_place *place = windows->place;

    while (from < windows->bytes) {
        size_t to = from + bits_smaller(windows->bytes - from, windows->window);
        char *half = collective_half(place->team, barrier_next(place));

        windows->put(windows->what, half, from, to);
        FAULT_POINT();
        if (barrier_meet(place, windows->where) != 0)
            return -1;
        windows->take(windows->what, half, from, to);
        from = to;
    }
    return 0;
}
