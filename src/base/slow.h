/*
 * slow.h: one lock of this process around what is slow and happens rarely: making the segment, loading the
 * topology.
 *
 * No fork happens while another thread has it, so that a forked child finds it free, and what it guards
 * whole; a mutex of one's own, or a library with one inside, would be left taken in the child for ever.
 */
#ifndef BASE_SLOW_H
#define BASE_SLOW_H

/* May be taken again by the thread that has it. */
void slow_lock(void);
void slow_unlock(void);

#endif
