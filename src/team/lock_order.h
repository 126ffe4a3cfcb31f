/*
 * lock_order.h: checking mode for the order in which locks are taken. Each pair of locks of which one was taken
 * within the other is noted once, with both places, in a table that all members share. Where a new pair closes
 * a circle, those who go round it at once could wait for each other for ever: that is warned of, once, whether
 * or not it happens.
 *
 * It is a warning since not every circle is a mistake: a barrier, or a lock around all of it, may keep those
 * apart who go round it.
 */
#ifndef TEAM_LOCK_ORDER_H
#define TEAM_LOCK_ORDER_H

#include <stddef.h>
#include <stdint.h>

/* Room for the end of "file:line". */
#define LOCK_ORDER_WHERE_BYTES 64

/*
 * The calling member, which took the lock `from` (an offset) at from_where and holds it, waits for the lock `to`
 * at to_where; NULL is an unknown place. Warns where that closes a circle.
 */
void lock_order_note(uint64_t from, const char *from_where, uint64_t to, const char *to_where);

/* The memory of a block is given back: the locks in it are no more, and others may come to lie there. */
void lock_order_forget(uint64_t offset, size_t bytes);

#endif
