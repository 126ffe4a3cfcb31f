#include "memory/member.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

#include "base/each_fork.h"
#include "base/fault.h"
#include "host/clock.h"
#include "host/futex.h"
#include "host/process.h"
#include "memory/recover.h"
#include "memory/segment.h"

_Static_assert(sizeof(struct member_wait_shared) == 64, "a wait record is one cache line");
_Static_assert(sizeof(struct member_shared) == 256, "a slot is four cache lines");
_Static_assert(sizeof(struct member_watch_shared) == 1024, "slots are aligned behind it");
_Static_assert(MEMBER_SLOTS == 1u << MEMBER_SLOT_BITS, "an id's slot fits its bits");

#define GENERATIONS (1u << (MEMBER_ID_BITS - MEMBER_SLOT_BITS))

struct member_table_shared {
    _Atomic uint32_t n_used; /* slots 1..n_used have been used: no scan goes further */
    char unused[252];
    struct member_watch_shared watch;
    struct member_shared slots[MEMBER_SLOTS];
};

_Thread_local struct member_shared *member_me __attribute__((tls_model("initial-exec")));
_Thread_local uint32_t member_my_id __attribute__((tls_model("initial-exec")));
_Thread_local struct cache_shared *member_my_cache __attribute__((tls_model("initial-exec")));

void (*member_leaving)(void);

static pthread_once_t hooks_once = PTHREAD_ONCE_INIT;
static pthread_key_t leave_key;

static struct member_table_shared *table(void)
{
    return segment_part(SEGMENT_MEMBERS);
}

uint64_t member_table_bytes(void)
{
    return sizeof(struct member_table_shared);
}

struct member_watch_shared *member_watch(void)
{
    return &table()->watch;
}

static uint32_t state_word(uint32_t generation, enum member_state state)
{
    return generation << 2 | (uint32_t)state;
}

static enum member_state state_of(uint32_t word)
{
    return (enum member_state)(word & 3);
}

static uint32_t make_id(uint32_t slot, uint32_t word)
{
    return (word >> 2) << MEMBER_SLOT_BITS | slot;
}

uint32_t member_number(uint32_t id)
{
    return id & (MEMBER_SLOTS - 1);
}

struct member_shared *member_slot(uint32_t id)
{
    return &table()->slots[member_number(id)];
}

struct member_shared *member_numbered(uint32_t slot)
{
    return &table()->slots[slot];
}

uint32_t member_slots_used(void)
{
    return atomic_load_explicit(&table()->n_used, memory_order_acquire);
}

/* Changes the state of id's slot. Returns whether it was id's and in the state from. */
static bool change_state(uint32_t id, enum member_state from, enum member_state to)
{
    uint32_t generation = id >> MEMBER_SLOT_BITS;
    uint32_t expected = state_word(generation, from);
    uint32_t next = to == MEMBER_FREE ? (generation + 1) % GENERATIONS : generation;

    /* acq_rel: what the slot's former owner wrote is seen by the next one, which acquires in take_slot(). */
    return atomic_compare_exchange_strong_explicit(&member_slot(id)->state, &expected, state_word(next, to),
                                                   memory_order_acq_rel, memory_order_relaxed);
}

/* Takes slot where it is free. Returns its id or 0. */
static uint32_t take_slot(uint32_t slot)
{
    uint32_t word = atomic_load_explicit(&table()->slots[slot].state, memory_order_relaxed);

    if (state_of(word) != MEMBER_FREE || !change_state(make_id(slot, word), MEMBER_FREE, MEMBER_RESERVED))
        return 0;
    return make_id(slot, word);
}

/* Slots below n_used come first: the table then takes no more pages than there were members at once. */
static uint32_t take_used_slot(void)
{
    uint32_t n_used = member_slots_used();

    for (uint32_t slot = 1; slot <= n_used; slot++) {
        uint32_t id = take_slot(slot);

        if (id != 0)
            return id;
    }
    return 0;
}

static uint32_t take_new_slot(void)
{
    uint32_t n_used = atomic_load_explicit(&table()->n_used, memory_order_relaxed);

    while (n_used < MEMBER_SLOTS - 1) {
        if (atomic_compare_exchange_weak_explicit(&table()->n_used, &n_used, n_used + 1, memory_order_acq_rel,
                                                  memory_order_relaxed)) {
            uint32_t id = take_slot(n_used + 1);

            if (id != 0)
                return id;
            n_used = n_used + 1;
        }
    }
    return 0;
}

/*
 * Whom to ask whether the slot's owner lives: first the thread that reserved it, then the one born into it.
 * The time goes first: a reader (member_look) that sees the new thread must not judge it by the old one's
 * time.
 */
EACH_FORK static void set_owner(struct member_shared *member, uint32_t id)
{
    uint64_t generation = id >> MEMBER_SLOT_BITS;

    atomic_store_explicit(&member->born_ns, clock_boot_ns(), memory_order_relaxed);
    atomic_store_explicit(&member->owner, generation << 32 | (uint32_t)gettid(), memory_order_release);
    atomic_store_explicit(&member->pid, getpid(), memory_order_relaxed);
}

EACH_FORK static void clear_slot(struct member_shared *member)
{
    atomic_store_explicit(&member->held_untracked, 0, memory_order_relaxed);
    atomic_store_explicit(&member->wait.kind, 0, memory_order_relaxed);
    atomic_store_explicit(&member->wait.word, 0, memory_order_relaxed);
    atomic_store_explicit(&member->condemned, 0, memory_order_relaxed);
    for (unsigned i = 0; i < MEMBER_HELD_MAX; i++)
        atomic_store_explicit(&member->held[i], 0, memory_order_relaxed);
}

static void prepare_slot(uint32_t id)
{
    clear_slot(member_slot(id));
    set_owner(member_slot(id), id);
}

uint32_t member_reserve(void)
{
    uint32_t id = take_used_slot();

    if (id == 0)
        id = take_new_slot();
    if (id == 0 && recover_all_dead())
        id = take_used_slot();
    if (id == 0) {
        errno = EAGAIN;
        return 0;
    }
    prepare_slot(id);
    return id;
}

uint32_t member_reserve_idle(uint32_t slot)
{
    for (; slot <= member_slots_used(); slot++) {
        uint32_t id = member_numbered(slot)->cache != 0 ? take_slot(slot) : 0;

        if (id != 0) {
            prepare_slot(id);
            return id;
        }
    }
    return 0;
}

EACH_FORK int member_become(uint32_t id)
{
    struct member_shared *member = member_slot(id);

    if (!change_state(id, MEMBER_RESERVED, MEMBER_LIVE)) {
        errno = EOWNERDEAD;
        return -1;
    }
    set_owner(member, id);
    member_me = member;
    member_my_id = id;
    /* What the slot has is adopted under the heap's lock: the last member may have died in making it. */
    member_my_cache = NULL;
    return 0;
}

bool member_holds_any(uint32_t id)
{
    struct member_shared *member = member_slot(id);

    for (unsigned i = 0; i < MEMBER_HELD_MAX; i++) {
        if (atomic_load_explicit(&member->held[i], memory_order_relaxed) != 0)
            return true;
    }
    return atomic_load_explicit(&member->held_untracked, memory_order_relaxed) != 0;
}

static void forget_me(void)
{
    member_me = NULL;
    member_my_id = 0;
    member_my_cache = NULL;
}

void member_leave(void)
{
    uint32_t id = member_my_id;

    if (id == 0)
        return;
    if (member_leaving != NULL)
        member_leaving();
    forget_me();
    if (member_holds_any(id))
        member_mark_dead(id);
    else
        member_release(id);
}

static void leave_at_thread_end(void *unused)
{
    (void)unused;
    member_leave();
}

/* The member that this thread was when the program forked it; 0: none. */
static _Thread_local uint32_t original __attribute__((tls_model("initial-exec")));

bool member_is_copy_of(uint32_t id)
{
    return id != 0 && id == original;
}

EACH_FORK void member_forget_original(void)
{
    original = 0;
}

/* A program's own fork: the slot is the parent's, and the child takes its own when it needs one. */
EACH_FORK static void drop_in_forked_child(void)
{
    if (member_my_id != 0)
        original = member_my_id;
    forget_me();
    pthread_setspecific(leave_key, NULL);
}

static void install_hooks(void)
{
    pthread_key_create(&leave_key, leave_at_thread_end);
    pthread_atfork(NULL, NULL, drop_in_forked_child);
}

int member_join(void)
{
    uint32_t id;

    pthread_once(&hooks_once, install_hooks);
    if (member_me != NULL)
        return 0;
    id = member_reserve();
    if (id == 0 || member_become(id) != 0)
        return -1;
    /* The value only has to differ from NULL for the destructor to run. */
    pthread_setspecific(leave_key, member_me);
    return 0;
}

void member_release(uint32_t id)
{
    if (!change_state(id, MEMBER_LIVE, MEMBER_FREE))
        change_state(id, MEMBER_RESERVED, MEMBER_FREE);
}

bool member_is_gone(uint32_t id)
{
    uint32_t word = atomic_load_explicit(&member_slot(id)->state, memory_order_acquire);

    /* FREE with this generation: no member has had the id yet. It is what memory that was not zeroed says. */
    return word >> 2 != id >> MEMBER_SLOT_BITS || state_of(word) == MEMBER_DEAD ||
           state_of(word) == MEMBER_FREE;
}

bool member_look(uint32_t id)
{
    struct member_shared *member = member_slot(id);
    uint64_t owner;

    if (member_is_gone(id))
        return true;
    /* acquire: pairs with set_owner(). */
    owner = atomic_load_explicit(&member->owner, memory_order_acquire);
    if (owner >> 32 != id >> MEMBER_SLOT_BITS)
        return false;
    if (process_lives((pid_t)(uint32_t)owner, atomic_load_explicit(&member->born_ns, memory_order_relaxed)))
        return false;
    /* If the slot got a new owner since, its generation differs and this changes nothing. */
    member_mark_dead(id);
    return true;
}

static void wake_sleeper(uint32_t id, enum member_state state)
{
    uint64_t word = atomic_load_explicit(&member_slot(id)->wait.word, memory_order_acquire);

    if (state == MEMBER_LIVE && word != 0 && word < segment_size)
        futex_wake(segment_at(word), INT_MAX);
}

void member_mark_dead(uint32_t id)
{
    /*
     * A child that was killed before it became a member holds nothing, but its slot must come back all the
     * same.
     */
    if (!change_state(id, MEMBER_LIVE, MEMBER_DEAD) && !change_state(id, MEMBER_RESERVED, MEMBER_DEAD))
        return;
    FAULT_POINT();
    member_wake_sleepers();
}

void member_wake_sleepers(void)
{
    /*
     * Pairs with the fence in wait_park(): who is not seen asleep here sees, before it sleeps, why it is
     * woken.
     */
    atomic_thread_fence(memory_order_seq_cst);
    member_for_each(wake_sleeper);
}

void member_free_dead(uint32_t id)
{
    change_state(id, MEMBER_DEAD, MEMBER_FREE);
}

void member_for_each(void (*visit)(uint32_t id, enum member_state state))
{
    uint32_t n_used = member_slots_used();

    for (uint32_t slot = 1; slot <= n_used; slot++) {
        uint32_t word = atomic_load_explicit(&table()->slots[slot].state, memory_order_acquire);

        if (state_of(word) != MEMBER_FREE)
            visit(make_id(slot, word), state_of(word));
    }
}

void member_hold(uint64_t lock)
{
    for (unsigned i = 0; i < MEMBER_HELD_MAX; i++) {
        if (atomic_load_explicit(&member_me->held[i], memory_order_relaxed) == 0) {
            atomic_store_explicit(&member_me->held[i], lock, memory_order_relaxed);
            atomic_signal_fence(memory_order_seq_cst);
            return;
        }
    }
    atomic_store_explicit(&member_me->held_untracked, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

void member_unhold(uint64_t lock)
{
    atomic_signal_fence(memory_order_seq_cst);
    for (unsigned i = 0; i < MEMBER_HELD_MAX; i++) {
        if (atomic_load_explicit(&member_me->held[i], memory_order_relaxed) == lock) {
            atomic_store_explicit(&member_me->held[i], 0, memory_order_relaxed);
            return;
        }
    }
}
