#include "memory/memory.h"

#include "base/error.h"
#include "base/slow.h"
#include "memory/heap.h"
#include "memory/segment.h"

static int create_once(sharedmem_error *error)
{
    int result = 0;

    slow_lock();
    if (segment_base == NULL) {
        result = segment_create(error);
        if (result == 0)
            heap_init();
    }
    slow_unlock();
    return result;
}

int memory_enter_first(sharedmem_error *error)
{
    if (create_once(error) != 0)
        return -1;
    if (member_join() != 0)
        return error_system(
            error, "the job has no room for one more process or thread: its %u member slots are taken",
            MEMBER_SLOTS - 1);
    return 0;
}
