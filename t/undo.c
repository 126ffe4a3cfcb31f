/* The undo log: a change happens as a whole or not at all. */
#include <stdlib.h>

#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/undo.h"
#include "tap.h"

struct shared {
    struct undo_shared log;
    uint64_t wide[4];
    uint32_t narrow[4];
};

int main(void)
{
    struct shared *shared;

    test_begin(20);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    if (memory_enter(NULL) != 0)
        test_skip_all("no shared memory here");
    shared = heap_alloc_zeroed(sizeof *shared);
    undo_set64(&shared->log, &shared->wide[0], 1);
    undo_set32(&shared->log, &shared->narrow[1], 2);
    undo_set64(&shared->log, &shared->wide[0], 3);
    test_int(3, (long long)shared->log.count, "each change is logged");
    undo_set64(&shared->log, &shared->wide[0], 3);
    test_int(3, (long long)shared->log.count, "but not what changes nothing");
    undo_commit(&shared->log);
    test_int(3, (long long)shared->wide[0], "committed changes");
    undo_roll_back(&shared->log);
    test_ok(shared->wide[0] == 3 && shared->narrow[1] == 2, "stay");

    undo_set64(&shared->log, &shared->wide[0], 4);
    undo_set32(&shared->log, &shared->narrow[0], 5);
    undo_set32(&shared->log, &shared->narrow[1], 6);
    undo_set64(&shared->log, &shared->wide[0], 7);
    undo_roll_back(&shared->log);
    test_ok(shared->wide[0] == 3 && shared->narrow[0] == 0 && shared->narrow[1] == 2,
            "others go, in reverse");
    test_int(0, (long long)shared->log.count, "and the log is empty");

    shared->log.count = UNDO_CAPACITY + 5;
    undo_roll_back(&shared->log);
    test_int(0, (long long)shared->log.count, "a damaged log is not followed");
    shared->log.entries[0].offset = UINT64_MAX - 7;
    shared->log.count = 1;
    undo_roll_back(&shared->log);
    test_int(0, (long long)shared->log.count, "nor is one that leads out of the segment");
    return test_end();
}
