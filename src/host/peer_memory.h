/* peer_memory.h: reading another process's memory, where the system lets us. */
#ifndef HOST_PEER_MEMORY_H
#define HOST_PEER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Which process it is. A pid alone does not say: it may be used again, and be another one's in another
 * namespace. So the process has a mark in its memory, and says where.
 */
struct peer_shared {
    uint64_t mark;
    uint64_t mark_at;
    int32_t pid;
    uint32_t unused;
};

/* For the one whose memory is to be read: says who it is. */
void peer_memory_tell(struct peer_shared *me);

/*
 * Copies bytes at address of the peer, which may be the caller itself, to data. Returns whether it did; where
 * not data may be changed. It is refused where tracing is: by Yama between processes that are not parent and
 * child, in some containers, and by kernels that lack it. Once that was so nobody is asked again.
 */
bool peer_memory_read(const struct peer_shared *peer, uint64_t address, void *data, size_t bytes);

#endif
