/*
 * recover.h: what is left of dead members is put right, and their slots become free again. Each step may be
 * done by several members at once, and again after one of them died in it.
 */
#ifndef MEMORY_RECOVER_H
#define MEMORY_RECOVER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Marks id dead, recovers each lock it held and frees its slot. Nothing happens where its slot has a later
 * member.
 * A caller that is no member itself leaves the slot dead where there are locks to recover.
 */
void recover_member(uint32_t id);

/* Looks whether any member is dead and recovers those that are. Returns whether there was one. */
bool recover_all_dead(void);

#endif
