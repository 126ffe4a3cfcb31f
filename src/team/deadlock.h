/*
 * deadlock.h: the proof that nobody will ever end the waits of a segment's members, and what follows from it.
 *
 * The first proof, that a rank is gone for whom others wait, needs no such look: each wait makes it by itself
 * (barrier.c, ordered.c, loop.c, lock.c). This is the second one. Who waits, watches: a member whom nobody woke
 * in all of a sleep looks, unless another one does, and looks again a while later. It is a deadlock where
 *
 *   1. every live member but the launcher's own processes is in a closed wait: one that only another member
 *      can end, and that has no end of its own (is_closed()). Counters, waits for some time, output and the
 *      meeting are none; a member that runs a function of the user within a wait is not in it (wait_interrupt);
 *   2. its condition is false: the word that it sleeps on is still what it has seen. A master's wait has no
 *      word: it says so when it goes to sleep in poll(2), and when anything has ended that (wait_acts()), and
 *      the system says that it sleeps still. So do those who wait for messages, which pass others on;
 *   3. the owner of a lock that is waited for lives: from a dead one it is taken;
 *   4. nobody else can act: every thread of the members' processes is a member, no such process is stopped or
 *      has ended, no slot is reserved for a child that is about to be born, no dead member is still to be
 *      collected, and in a job every rank has joined and is a member, or has ended for good;
 *   5. all that holds at two moments, and no record's number has moved between them, nor has a rank left the
 *      job. So no member has left its wait in between, and the records, which are read one after the other, hold
 *      at one moment together. In the time between, each has slept out one sleep, and looked: what it does only
 *      then, as to pass over a rank that has left, has been done. Each says so itself (looked_ns): on a busy
 *      machine one may not have come to it, and is waited for.
 *
 * At the second moment there is then nobody who could change any of the words, and it stays so. Signal handlers
 * are left out of this: one may end a wait that this calls endless (by sharedmem_stop()), and will not be
 * asked for. Where any of this cannot be told (no /proc, threads of a runtime), there is no verdict.
 *
 * The verdict names the groups that wait, and condemns the waits of those in the innermost calls: their teams
 * fail with it, and so their masters go on with an error, or the ranks of a job end. Waits outside of these
 * calls go on: they may come to their end now, and if not they are seen by another look.
 */
#ifndef TEAM_DEADLOCK_H
#define TEAM_DEADLOCK_H

#include <stdint.h>

/*
 * How long after its first look a waiter looks again: longer than any sleep, so that mostly each of the others has
 * been awake in between; and how long after that once more, while nothing moves but not all have.
 */
#define DEADLOCK_AGAIN_NS 60000000u

/* The same, where nothing has moved by then, but not all have looked behind a sleep yet. */
#define DEADLOCK_SOON_NS 10000000u

/* How long nobody looks again after one that found no deadlock: looks of many waiters would add up. */
#define DEADLOCK_REST_NS 5000000u

/*
 * A lock was waited for that will never come free (ECANCELED of memory/lock.h): what team_cancelled() does; or,
 * where the caller works for no team, an uncaught error that says why. Returns -1.
 */
int deadlock_end_lock(const char *where);

#endif
