/*
 * member.h: who uses the segment. Every process or thread that does owns a slot of the member table.
 *
 * A member's id is its slot and the slot's generation in 31 bits, never 0: it stays unique when slots, pids
 * and ranks repeat. Locks and wait records name members by id only.
 *
 * A slot's life: FREE, RESERVED (a child is about to be born into it; its parent answers for it), LIVE, then
 * FREE with the next generation when its member leaves, or DEAD when somebody saw its process or thread gone;
 * recover.h brings a dead member's slot back to FREE once nothing in the segment depends on it.
 */
#ifndef MEMORY_MEMBER_H
#define MEMORY_MEMBER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Slot 0 is never used, so that no id is 0. */
#define MEMBER_SLOTS     16384u
#define MEMBER_SLOT_BITS 14u
#define MEMBER_ID_BITS   31u

/* How many locks a member can hold at once and still have them recovered before its slot is used again. */
#define MEMBER_HELD_MAX 16u

enum member_state { MEMBER_FREE, MEMBER_RESERVED, MEMBER_LIVE, MEMBER_DEAD };

/* What a waiting member waits for: its own cache line, written by it alone (wait.h). */
struct member_wait_shared {
    _Atomic uint32_t kind;     /* enum wait_kind; 0: it does not wait. Stored last, cleared first */
    _Atomic uint32_t whom;     /* the member waited for; 0: nobody in particular */
    _Atomic uint64_t since_ns; /* clock_monotonic_ns() */
    _Atomic uint64_t word;     /* offset of the futex word it sleeps on; 0: it has not slept in this wait */
    _Atomic uint32_t seen;     /* it goes on sleeping while the word is this */
    _Atomic uint32_t number;   /* moves when a wait begins, ends, or sleeps on something else; stored first */
    char where[32];            /* the end of "file:line" */
};

/* Whoever looks for deadlocks (team/deadlock.h), one at a time. */
struct member_watch_shared {
    _Atomic uint64_t lease_ns; /* nobody else begins to look before this, clock_monotonic_ns() */
    char unused[56];
    char verdict[960]; /* what the last one that was found is */
};

struct member_shared {
    _Atomic uint32_t state; /* generation << 2 | enum member_state */
    _Atomic int32_t pid;
    /*
     * generation << 32 | thread: whom to ask whether it lives. Another generation than the state's: not said
     * yet.
     */
    _Atomic uint64_t owner;
    _Atomic uint64_t born_ns;        /* clock_boot_ns() at its start */
    _Atomic uint32_t held_untracked; /* it held more than MEMBER_HELD_MAX locks at once */
    _Atomic uint32_t condemned; /* 1 + the number of the wait that will never end (team/deadlock.h) */
    _Atomic uint32_t rank;      /* while it waits: as which rank of which team (an offset, 0: none), and how */
    _Atomic uint32_t depth;     /* many calls around that are within each other */
    _Atomic uint64_t team;
    _Atomic uint64_t looked_ns; /* when the last sleep in vain ended behind which all was done (wait.c) */
    /*
     * Offset of the small blocks that it keeps (cache.h), 0: none yet. They stay with the slot for its next
     * member. Changed under the heap's lock.
     */
    uint64_t cache;
    struct member_wait_shared wait;
    _Atomic uint64_t held[MEMBER_HELD_MAX]; /* offsets of the locks it holds, takes or gives back; 0: none */
};

/* The calling thread's own slot and id; NULL and 0 where it is no member (yet). */
extern _Thread_local struct member_shared *member_me
    __attribute__((tls_model("initial-exec"), visibility("hidden")));
extern _Thread_local uint32_t member_my_id __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* The calling thread's cache of small blocks (cache.h); NULL where it has none (yet). */
struct cache_shared;
extern _Thread_local struct cache_shared *member_my_cache
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

uint64_t member_table_bytes(void);

struct member_watch_shared *member_watch(void);

/*
 * Makes the calling thread a member; it leaves by itself when the thread ends. Returns 0, or -1 with errno
 * EAGAIN.
 */
int member_join(void);

/* Whether the calling thread is a copy, forked by the program itself, of the one that is or was this member. */
bool member_is_copy_of(uint32_t id);

/* A worker of ours is none, although it was forked. */
void member_forget_original(void);

/* Takes a slot for a child that is about to be forked. Returns its id, or 0 with errno EAGAIN. */
uint32_t member_reserve(void);

/*
 * In the forked child: its one thread becomes the reserved member. Returns 0, or -1 with errno EOWNERDEAD
 * where the slot was taken away because who reserved it is gone.
 */
int member_become(uint32_t id);

/* Called by a member that is about to leave, where it is set: it may still use the segment. */
extern void (*member_leaving)(void);

/*
 * The calling thread is no member any more; what it still holds is recovered by the others, as after a death.
 */
void member_leave(void);

/*
 * Gives back a slot whose member never lived, or left holding nothing. Nothing happens where id is no longer
 * current.
 */
void member_release(uint32_t id);

/*
 * Whether the table itself says that id is gone: marked dead, or its slot belongs to a later member. Cheap.
 */
bool member_is_gone(uint32_t id);

/* As member_is_gone(), but where it seems to live asks the system, and marks it dead where it is not so. */
bool member_look(uint32_t id);

/*
 * Marks id dead and wakes every sleeping member, so that those who wait for it see it. Nothing where it is
 * gone.
 */
void member_mark_dead(uint32_t id);

/* Wakes every sleeping member: what it waits for may never come. */
void member_wake_sleepers(void);

/* From a dead slot to a free one; recover.c calls it once the slot's locks are recovered. */
void member_free_dead(uint32_t id);

/*
 * Takes a slot that nobody has but that has a cache: the first from slot on, 1 at first. Returns its id for
 * member_release(), or 0 where there is none.
 */
uint32_t member_reserve_idle(uint32_t slot);

/* The slot of id, whoever owns it now. */
struct member_shared *member_slot(uint32_t id);

/* Calls visit for the id of every slot that is not FREE, as of some moment during the call. */
void member_for_each(void (*visit)(uint32_t id, enum member_state state));

/* The number of id's slot. */
uint32_t member_number(uint32_t id);

/* The slot of that number, 1 to member_slots_used(), whatever it is used for. */
struct member_shared *member_numbered(uint32_t slot);
uint32_t member_slots_used(void);

/* Whether id holds, or was about to take, any lock. */
bool member_holds_any(uint32_t id);

/*
 * Notes that this member takes lock (an offset), before the first store to it; and that it is done with it,
 * after the last one. What is noted is recovered if it dies.
 */
void member_hold(uint64_t lock);
void member_unhold(uint64_t lock);

/*
 * The same for a member that knows itself, where this is its only lock; hold returns false where it is not,
 * and has done nothing then.
 *
 * What is noted must be in memory before the lock's word is touched, and until after it was. A killed process
 * leaves its stores in program order, so only the compiler has to be held.
 */
static inline bool member_hold_only(struct member_shared *me, uint64_t lock)
{
    if (atomic_load_explicit(&me->held[0], memory_order_relaxed) != 0)
        return false;
    atomic_store_explicit(&me->held[0], lock, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    return true;
}

static inline bool member_holds_only(const struct member_shared *me, uint64_t lock)
{
    return atomic_load_explicit(&me->held[0], memory_order_relaxed) == lock;
}

static inline void member_unhold_only(struct member_shared *me)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&me->held[0], 0, memory_order_relaxed);
}

#endif
