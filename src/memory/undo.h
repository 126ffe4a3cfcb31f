/*
 * undo.h: changes to several words that happen as a whole or not at all, whatever kills their author.
 *
 * A log lies beside the lock that guards the words. Each word's old value is logged before the word changes;
 * undo_commit() clears the log, and that one store makes the change final. Who gets the lock after a death
 * and finds the log not empty calls undo_roll_back(): the words get their old values in reverse. Rolling back
 * twice, or from the start after a death in it, does no harm.
 *
 * A killed process leaves its stores visible in program order, so that nothing is flushed; the compiler is
 * held.
 */
#ifndef MEMORY_UNDO_H
#define MEMORY_UNDO_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * The longest change, a span cut out of a longer run, logs about 60 words: 2 for each of 16 units, and the
 * lists.
 */
#define UNDO_CAPACITY 127

struct undo_shared {
    _Atomic uint64_t count;
    struct {
        uint64_t offset; /* of 8 aligned bytes in the segment */
        uint64_t old;
    } entries[UNDO_CAPACITY];
    uint64_t unused;
};

/* Sets *word, logged. The word lies in the segment. The caller holds the log's lock. */
void undo_set64(struct undo_shared *log, uint64_t *word, uint64_t value);

/* As undo_set64(); the other half of the word's 8 aligned bytes must be guarded by the same lock. */
void undo_set32(struct undo_shared *log, uint32_t *word, uint32_t value);

/* How many more words can be set before the next commit. */
uint32_t undo_room(const struct undo_shared *log);

/* Makes what was set since the last commit final. */
void undo_commit(struct undo_shared *log);

/* Gives all words set since the last commit their old values. */
void undo_roll_back(struct undo_shared *log);

#endif
