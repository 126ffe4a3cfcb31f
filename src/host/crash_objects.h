/*
 * crash_objects.h: which files a crashed process had mapped where, for who has another layout: ranks are born by
 * exec. The process itself writes down those that its program counters are in, as /proc/self/maps has them.
 */
#ifndef HOST_CRASH_OBJECTS_H
#define HOST_CRASH_OBJECTS_H

#include <stdint.h>

#define CRASH_OBJECTS 16

struct crash_object_shared {
    uint64_t begin, end; /* of the instructions */
    uint64_t start;      /* where the file's first byte is mapped; 0: unknown */
    uint64_t bias;       /* from the addresses in the file to those in the process */
};

struct crash_objects_shared {
    struct crash_object_shared all[CRASH_OBJECTS];
    uint16_t path[CRASH_OBJECTS]; /* offsets in paths */
    char paths[3400];             /* each with its 0 */
};

/*
 * Writes down the files of n program counters, up to CRASH_OBJECTS and as long as their paths fit.
 * Async-signal-safe. Returns how many; 0 where /proc does not tell.
 */
uint32_t crash_objects_read(struct crash_objects_shared *objects, const uint64_t *pcs, uint32_t n);

/*
 * The one of n that pc is in, as written by crash_objects_read() in another process, which may have stored
 * anything in there. path: gets where it is. Returns NULL where there is none.
 */
const struct crash_object_shared *crash_objects_find(const struct crash_objects_shared *objects, uint32_t n,
                                                     uint64_t pc, const char **path);

#endif
