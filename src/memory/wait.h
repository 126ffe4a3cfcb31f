/*
 * wait.h: the one way to wait for a word of the segment to change.
 *
 *     struct wait wait;
 *
 *     wait_begin(&wait, WAIT_LOCK, where, whom);
 *     while (!condition(seen = atomic_load(word))) {
 *         if (wait_pause(&wait))
 *             continue;                            // the cheap stages: spin, then yield
 *         if (!wait_park(&wait, word, seen, sleepers))
 *             look whether those waited for live;  // nothing happened for WAIT_PARK_NS
 *     }
 *     wait_end(&wait);
 *
 * The invariant: a waiter looks at its condition again after each step, and no step is unbounded, so that a
 * lost wake-up, whatever caused it, costs at most WAIT_PARK_NS. From the second stage on the wait is
 * published in the waiter's member slot: what, where, since when, for whom; and once it has slept, on which
 * word, and while that is what.
 */
#ifndef MEMORY_WAIT_H
#define MEMORY_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The stages. 50 pauses take about a microsecond: with a core for each member that is as good as spinning for
 * ever, and with more members than cores it does no harm. Then others get the core, then the waiter sleeps.
 */
#define WAIT_PAUSES  50
#define WAIT_YIELDS  30
/* With fault injection ranks die by the thousand, and each death may take so long to be seen. */
#ifdef SHAREDMEM_FAULT_INJECTION
#define WAIT_PARK_NS 2000000u
#else
#define WAIT_PARK_NS 50000000u
#endif

struct member_shared;

enum wait_kind {
    WAIT_NOTHING,
    WAIT_LOCK,    /* for a lock; whom: its owner */
    WAIT_WORKERS, /* the master, for its workers */
    WAIT_ROOM,    /* a worker, until reduce has taken earlier results; whom: the master */
    WAIT_BARRIER, /* for the other ranks; whom: one that has not come */
    WAIT_ORDERED, /* for its turn; whom: who comes before */
    WAIT_MEETING, /* for the other ranks of the job to attach */
    WAIT_OUTPUT,  /* until the launcher has taken what was printed in a region */
    WAIT_ITEM,    /* a worker, until the next item is made; whom: the master */
    WAIT_CALL,    /* a parked worker, for the next map; whom: its master */
    WAIT_LOOP,    /* for those that are many loops behind; whom: one of them */
    WAIT_COUNTER, /* for a counter to come to a value; whom: nobody in particular */
    WAIT_TIMED,   /* for a lock or a counter, but not for ever */
    WAIT_RECEIVE, /* for a message; whom: its sender, or nobody in particular */
    WAIT_SEND,    /* until a message is received, or has room; whom: its receiver */
    WAIT_INNER,   /* for a lock of the library's own, which nobody has while it waits for another thing */
    WAIT_LAUNCHER /* the launcher's own processes: they do nothing for others but see to the dead */
};

/* What a wait of that kind is, behind "waiting" or "waits": "in the barrier or collective". */
const char *wait_phrase(uint32_t kind);

/* And for which rank, to be put behind the place: " (from rank 1)"; "" for waits that are not for one, or rank -1. */
void wait_whom_text(uint32_t kind, int rank, char *text, size_t bytes);

struct wait {
    enum wait_kind kind;
    uint32_t whom;
    const char *where; /* "file:line", or NULL */
    uint64_t since_ns; /* 0: not published yet */
    uint64_t until_ns; /* when it is given up; 0: never */
    uint64_t word;     /* what it sleeps on, and while it is what; 0: it has not slept yet */
    uint32_t seen;
    unsigned steps;
    uint64_t vain_ns;      /* when the last sleep ended, if it was in vain */
    uint32_t next_park_ns; /* how long the next sleep may be; 0: WAIT_PARK_NS */
    bool is_condemned;     /* it is known that nobody will ever end it, and its team has failed with that */
    struct wait
        *outer; /* the wait that this one interrupts: a master that waits for workers waits for locks too */
};

/* Begins to wait. whom: a member's id, or 0. Costs nothing: nothing is published yet. */
void wait_begin(struct wait *wait, enum wait_kind kind, const char *where, uint32_t whom);

/* One pause of the first stage. */
static inline void wait_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::
                         : "memory"); /* yield is a no-op on most cores; isb waits about as long as PAUSE */
#endif
}

/*
 * The first stage by itself, before any wait_begin(), where nanoseconds count: pauses until condition holds,
 * or the stage is over. wait_begin_spun() begins a wait behind it.
 */
#define WAIT_SPIN_UNTIL(condition)                                                                           \
    for (unsigned wait_spins = 0; wait_spins < WAIT_PAUSES && !(condition); wait_spins++)                    \
    wait_relax()

void wait_begin_spun(struct wait *wait, enum wait_kind kind, const char *where, uint32_t whom);

/* Sleeps after so many yields at most, where a wait is no longer short after them. Not after wait_pause(). */
void wait_limit_yields(struct wait *wait, unsigned yields);

/*
 * Ends the wait at until_ns, clock_monotonic_ns(): wait_park() sleeps no longer, and its caller asks
 * wait_is_over(). 0: never. Directly behind the wait's beginning.
 */
void wait_limit(struct wait *wait, uint64_t until_ns);
bool wait_is_over(const struct wait *wait);

/* Names whom the wait is for from now on: a lock changes its owner. */
void wait_for(struct wait *wait, uint32_t whom);

/* Does one cheap step and returns true; false where they are used up and it is time to park. */
bool wait_pause(struct wait *wait);

/*
 * The same for a word that is written again and again while it is waited for, as a lock's is: each step of
 * the first stage is twice as long as the one before. Each look takes the word's line from its writer, who
 * then waits for it: with a look a pause two members that do nothing but enter a region take several times as
 * long.
 */
bool wait_pause_longer(struct wait *wait);

/*
 * Sleeps while *word is seen, at most WAIT_PARK_NS. sleepers: counts those who sleep, for wait_wake(); or
 * NULL, where whoever changes the word knows by other means that somebody sleeps.
 * Returns false where nobody woke it in all that time, or who is waited for is gone: it is time to look.
 */
bool wait_park(struct wait *wait, _Atomic uint32_t *word, uint32_t seen, _Atomic uint32_t *sleepers);

/* What wait_park() publishes, for waits that sleep by other means. */
void wait_sleeps_on(struct wait *wait, const void *word, uint32_t seen);

/*
 * The same for the calling thread's wait for workers, which sleeps in a call of the system's, on no word. Before
 * what has ended that sleep leads to anything, wait_acts() says so.
 */
#define WAIT_OUTSIDE 1u /* in place of a word: no futex lies there */
void wait_sleeps_outside(void);
void wait_acts(void);

/*
 * A wait that has been published is interrupted by a function of the user: until wait_resume(), in the same
 * thread, the record says that this member does not wait. Stays interrupted where the function does not come
 * back; wait_end() of the outer wait ends both.
 */
void wait_interrupt(struct wait *wait);
void wait_resume(struct wait *wait);

/*
 * For the floors above, which know of teams: called when a wait is published, to say in the member's slot for
 * which team it is; and by a waiter whom nobody woke in all of a sleep, to look whether anybody ever will.
 */
extern void (*wait_telling)(struct member_shared *me);
extern void (*wait_watching)(struct wait *wait);

/* Says that the wait is over, and the outer one, if any, goes on. In reverse order of the beginnings. */
void wait_end(struct wait *wait);

/* For whoever changed word, after the change: wakes all who sleep on it. A load where none does. */
void wait_wake(_Atomic uint32_t *word, _Atomic uint32_t *sleepers);

/*
 * The same for the only one that ever changes word, where sleepers is in word's line. Its look at sleepers is
 * a write: those who waited have read the line, and this fetches it back now, where the next change of word
 * would else wait for that. A barrier of two takes a sixth less.
 *
 * It is the fence too: whatever is done to sleepers is in one order. Who adds itself in wait_park() before
 * this is seen here; who does so later reads what this wrote, or what others have made of it. By the release
 * here and the fence there that one sees word as changed, and does not sleep.
 */
static inline void wait_wake_mine(_Atomic uint32_t *word, _Atomic uint32_t *sleepers)
{
    if (atomic_fetch_add_explicit(sleepers, 0, memory_order_acq_rel) != 0)
        wait_wake(word, sleepers);
}

/*
 * Where it is set, published waits of this process are added to it, in nanoseconds, as they end: the outermost of
 * each thread, and but for those of a master for its workers, who work for it.
 */
extern _Atomic uint64_t *wait_total __attribute__((visibility("hidden")));

/* In a forked child: the waits of its parent are not its own. */
void wait_forget(void);

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half of a count comes first");

/* The word to sleep on where what is waited for is a count of 64 bits: it changes with each of 2^32 steps. */
static inline _Atomic uint32_t *wait_low_half(_Atomic uint64_t *count)
{
    return (_Atomic uint32_t *)(void *)count;
}

/* Publishes at once, without a step: for waits that sleep by other means than wait_park(). */
void wait_publish(struct wait *wait);

#endif
