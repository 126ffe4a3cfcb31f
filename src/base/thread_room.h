/*
 * thread_room.h: memory that each thread has for itself, allocated when it is first needed.
 *
 * Thread-local variables are for words. All of them together must fit, where a program loads the library later
 * by dlopen(3), into what is left of some 1,600 bytes, which other libraries want too.
 */
#ifndef BASE_THREAD_ROOM_H
#define BASE_THREAD_ROOM_H

#include <stddef.h>

/*
 * *slot, a thread-local variable, is the calling thread's block of so many bytes, at first NULL: it then gets
 * one, all zero. When the thread ends the block is freed, and *slot is NULL.
 * Returns *slot; NULL where there is no memory. Keeps errno.
 */
void *thread_room(void **slot, size_t bytes);

#endif
