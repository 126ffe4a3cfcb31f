/* block_find.h: what a pointer leads to. For the heap's own files. */
#ifndef MEMORY_BLOCK_FIND_H
#define MEMORY_BLOCK_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/heap.h"
#include "memory/heap_layout.h"

struct block_found {
    uint32_t unit; /* the head of its run */
    uint32_t block;
    bool in_span;
};

/* HEAP_GOOD, HEAP_FOREIGN or HEAP_NO_BLOCK. The caller has the heap's lock. */
enum heap_answer block_find(const struct heap_shared *heap, const void *pointer, struct block_found *found);

/* The room of a small block, without the lock; 0 where the block is none, or this member has no cache. */
size_t block_find_small(const void *block);

/* Sets *room to what the block has, which may be more than was asked for. */
enum heap_answer block_find_room(const void *block, size_t *room);

/* The room of a small block that begins there, whether it is free or not; 0 where none does. */
size_t block_find_slot(const void *block);

/* The beginning of the block that an address lies in, with its room, or NULL. For messages: it may take long. */
char *block_find_around(const void *address, size_t *room);

#endif
