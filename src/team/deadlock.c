#include "team/deadlock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "host/clock.h"
#include "host/process.h"
#include "memory/claim.h"
#include "memory/member.h"
#include "memory/segment.h"
#include "memory/wait.h"
#include "team/job.h"
#include "team/team.h"

/* What is read of a member at one moment. */
struct sight {
    uint32_t kind, seen, number;
    uint64_t word;
};

/* What a look has found. */
struct look {
    uint64_t print; /* of all that must not have changed at the next one */
    uint32_t n_judged;
};

/* The calling thread's first look, as long as its lease is the one that counts. */
static _Thread_local struct {
    uint64_t print, began_ns, again_ns, lease_ns;
} first;

/* ---- What members say ---- */

/* Returns false where it is just being changed. */
static bool read_record(const struct member_shared *member, struct sight *sight)
{
    const struct member_wait_shared *record = &member->wait;

    /* acquire: pairs with the release in publish(), wait.c: who sees the kind sees the rest. */
    sight->kind = atomic_load_explicit(&record->kind, memory_order_acquire);
    sight->number = atomic_load_explicit(&record->number, memory_order_relaxed);
    sight->word = atomic_load_explicit(&record->word, memory_order_relaxed);
    sight->seen = atomic_load_explicit(&record->seen, memory_order_relaxed);
    /* Pairs with the fence in renumber(): where any of it is of a later wait, so is the number now. */
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&record->number, memory_order_relaxed) == sight->number &&
           atomic_load_explicit(&record->kind, memory_order_relaxed) == sight->kind;
}

/* Waits that only another member can end, by changing the word. */
static bool is_closed(uint32_t kind)
{
    switch ((enum wait_kind)kind) {
    case WAIT_LOCK:
    case WAIT_ROOM:
    case WAIT_BARRIER:
    case WAIT_ORDERED:
    case WAIT_ITEM:
    case WAIT_CALL:
    case WAIT_LOOP:
    case WAIT_RECEIVE:
    case WAIT_SEND:
        return true;
    default:
        return false;
    }
}

/* Closed waits that a verdict is of. Masters, and parked workers, only wait along. */
static bool is_judged(uint32_t kind)
{
    return is_closed(kind) && kind != WAIT_CALL;
}

static uint32_t kind_of(const struct member_shared *member)
{
    return atomic_load_explicit(&member->wait.kind, memory_order_acquire);
}

/*
 * The owner's id is what a lock's word is, but for its highest bit (memory/lock.h). The launcher's processes
 * have one only while they recover it, and then give it back.
 */
static bool is_owner_gone(const struct sight *sight)
{
    uint32_t owner = sight->seen & ((1u << MEMBER_ID_BITS) - 1);

    return owner == 0 || member_is_gone(owner) || kind_of(member_slot(owner)) == WAIT_LAUNCHER;
}

/* Whether the condition of a closed wait is false, and only another member can make it true. */
static bool is_endless(const struct sight *sight)
{
    if (sight->kind == WAIT_WORKERS)
        return sight->word == WAIT_OUTSIDE;
    if (!is_closed(sight->kind) || sight->word == 0 || sight->word % sizeof(uint32_t) != 0 ||
        sight->word >= segment_size ||
        atomic_load_explicit((_Atomic uint32_t *)segment_at(sight->word), memory_order_relaxed) != sight->seen)
        return false;
    return sight->kind != WAIT_LOCK || !is_owner_gone(sight);
}

static void mix(uint64_t *print, uint64_t value)
{
    *print = (*print ^ value) * 0x9e3779b97f4a7c15u;
    *print ^= *print >> 29;
}

/* Whether a live member will do nothing unless another does. */
static bool look_at_member(const struct member_shared *member, struct look *look)
{
    struct sight sight;

    if (!read_record(member, &sight))
        return false;
    mix(&look->print, (uint64_t)sight.number << 32 | sight.kind);
    mix(&look->print, sight.word);
    mix(&look->print, sight.seen);
    if (sight.kind == WAIT_LAUNCHER)
        return true;
    look->n_judged += is_judged(sight.kind);
    return is_endless(&sight);
}

static enum member_state state_of(uint32_t slot, struct look *look)
{
    /* acquire: pairs with change_state(), member.c: the slot is its member's. */
    uint32_t word = atomic_load_explicit(&member_numbered(slot)->state, memory_order_acquire);

    mix(&look->print, word);
    return (enum member_state)(word & 3);
}

/* Others may go on without a rank that has left its job, once they have seen that. */
static void mix_left(uint64_t *print)
{
    for (uint32_t rank = 0; job_team() != NULL && rank < segment_header()->n_ranks; rank++)
        mix(print, atomic_load_explicit(&job_team()->ranks[rank].left, memory_order_acquire));
}

/* What the records say by themselves. Returns whether all wait in vain. */
static bool look_at_records(struct look *look)
{
    uint32_t n_used = member_slots_used();

    *look = (struct look){.print = n_used};
    for (uint32_t slot = 1; slot <= n_used; slot++) {
        enum member_state state = state_of(slot, look);

        if (state == MEMBER_RESERVED)
            return false;
        if (state == MEMBER_LIVE && !look_at_member(member_numbered(slot), look))
            return false;
    }
    mix_left(&look->print);
    return look->n_judged > 0;
}

/* ---- What the system says ---- */

static pid_t thread_of(const struct member_shared *member)
{
    return (pid_t)(uint32_t)atomic_load_explicit(&member->owner, memory_order_acquire);
}

static enum member_state plain_state(const struct member_shared *member)
{
    return (enum member_state)(atomic_load_explicit(&member->state, memory_order_acquire) & 3);
}

static int count_members_of(pid_t pid)
{
    uint32_t n_used = member_slots_used();
    int n = 0;

    for (uint32_t slot = 1; slot <= n_used; slot++) {
        const struct member_shared *member = member_numbered(slot);

        n += plain_state(member) == MEMBER_LIVE &&
             atomic_load_explicit(&member->pid, memory_order_relaxed) == pid;
    }
    return n;
}

/* What it does each time that it has slept long enough is not all for itself: it must be asleep indeed. */
static bool acts_by_itself(uint32_t kind)
{
    return kind == WAIT_WORKERS || kind == WAIT_RECEIVE || kind == WAIT_SEND;
}

/* acquire: pairs with the release in wait_park(): what a member did behind its last sleep in vain is seen. */
static bool has_looked(const struct member_shared *member)
{
    return atomic_load_explicit(&member->looked_ns, memory_order_acquire) >= first.began_ns;
}

/* Whether neither this member nor anybody else in its process will do anything. */
static bool is_at_rest(const struct member_shared *member)
{
    pid_t pid = atomic_load_explicit(&member->pid, memory_order_relaxed);
    struct process_look look;

    if (kind_of(member) == WAIT_LAUNCHER)
        return true;
    if (process_look(thread_of(member), &look) != 1 || strchr("TtZX", look.state) != NULL)
        return false;
    if (member != member_me && ((acts_by_itself(kind_of(member)) && look.state != 'S') ||
                                (is_judged(kind_of(member)) && !has_looked(member))))
        return false;
    return look.n_threads == 1 || look.n_threads == count_members_of(pid);
}

/* A rank that is still to join, or whose next program may, can do anything. */
static bool is_rank_settled(uint32_t rank)
{
    const struct claim_shared *claim = claim_of(rank);

    if (atomic_load_explicit(&job_team()->ranks[rank].left, memory_order_acquire) != TEAM_STAYS)
        return true;
    return atomic_load_explicit(&claim->state, memory_order_acquire) == CLAIM_JOINED &&
           count_members_of(claim_owner_pid(claim)) > 0;
}

static bool are_all_at_rest(void)
{
    uint32_t n_used = member_slots_used();
    struct process_look dead;

    for (uint32_t rank = 0; job_team() != NULL && rank < segment_header()->n_ranks; rank++) {
        if (!is_rank_settled(rank))
            return false;
    }
    for (uint32_t slot = 1; slot <= n_used; slot++) {
        const struct member_shared *member = member_numbered(slot);
        enum member_state state = plain_state(member);

        /* Who has died is to be collected, and that is told to those who wait. */
        if ((state == MEMBER_LIVE && !is_at_rest(member)) ||
            (state == MEMBER_DEAD && process_look(thread_of(member), &dead) == 1))
            return false;
    }
    return true;
}

/* ---- The verdict ---- */

/* A team that has been told to stop ends its ranks' waits, though not all may have woken yet. */
static bool is_team_stopping(const struct member_shared *member)
{
    uint64_t team = atomic_load_explicit(&member->team, memory_order_relaxed);

    return team != 0 && team < segment_size && team_is_stopping(segment_at(team));
}

static bool is_party(const struct member_shared *member)
{
    return plain_state(member) == MEMBER_LIVE && is_judged(kind_of(member));
}

/* Those that are to be condemned: of the innermost calls. Returns how deep that is; -1: nobody is. */
static int64_t depth_to_condemn(void)
{
    uint32_t n_used = member_slots_used();
    int64_t depth = -1;

    for (uint32_t slot = 1; slot <= n_used; slot++) {
        const struct member_shared *member = member_numbered(slot);
        uint32_t own = atomic_load_explicit(&member->depth, memory_order_relaxed);

        if (!is_party(member))
            continue;
        if (is_team_stopping(member))
            return -1;
        if (own > depth)
            depth = own;
    }
    return depth;
}

static bool waits_alike(const struct member_shared *one, const struct member_shared *other)
{
    return is_party(other) && kind_of(one) == kind_of(other) &&
           strcmp(one->wait.where, other->wait.where) == 0 &&
           atomic_load_explicit(&one->team, memory_order_relaxed) ==
               atomic_load_explicit(&other->team, memory_order_relaxed);
}

static uint32_t rank_of(const struct member_shared *member)
{
    return atomic_load_explicit(&member->rank, memory_order_relaxed);
}

/* Which ranks wait like member, in order. */
static void list_alike(const struct member_shared *member, struct text_ranges *ranks)
{
    uint64_t alike[MEMBER_SLOTS / 64] = {0};
    uint32_t n_used = member_slots_used();

    for (uint32_t i = 1; i <= n_used; i++) {
        uint32_t rank = rank_of(member_numbered(i)) % MEMBER_SLOTS;

        if (waits_alike(member, member_numbered(i)))
            alike[rank / 64] |= (uint64_t)1 << rank % 64;
    }
    text_ranges_of_set(ranks, alike, MEMBER_SLOTS);
}

/* For whom, if it is one that waits alone, and that one's record says as which rank it waits itself. */
static void say_whom(const struct member_shared *member, bool is_alone, char *text, size_t bytes)
{
    uint32_t whom = atomic_load_explicit(&member->wait.whom, memory_order_relaxed);
    bool is_known = is_alone && whom != 0 && is_party(member_slot(whom));

    wait_whom_text(kind_of(member), is_known ? (int)rank_of(member_slot(whom)) : -1, text, bytes);
}

/* Appends "ranks 1-3 wait in the barrier or collective at b.c:20" for the slot's member and all alike. */
static void say_group(char *text, size_t bytes, uint32_t slot)
{
    const struct member_shared *member = member_numbered(slot);
    size_t length = strlen(text);
    struct text_ranges ranks;
    char whom[40];

    for (uint32_t i = 1; i < slot; i++) {
        if (is_party(member_numbered(i)) && waits_alike(member, member_numbered(i)))
            return;
    }
    list_alike(member, &ranks);
    say_whom(member, ranks.n == 1, whom, sizeof whom);
    snprintf(text + length, bytes - length, "%srank%s %s wait%s %s at %s%s", length > 0 ? ", " : "",
             ranks.n > 1 ? "s" : "", ranks.text, ranks.n > 1 ? "" : "s", wait_phrase(kind_of(member)),
             member->wait.where, whom);
}

static void condemn(int64_t depth)
{
    char groups[800] = "", *verdict = member_watch()->verdict;
    uint32_t n_used = member_slots_used();

    for (uint32_t slot = 1; slot <= n_used; slot++) {
        if (is_party(member_numbered(slot)))
            say_group(groups, sizeof groups, slot);
    }
    snprintf(verdict, sizeof member_watch()->verdict, "deadlock: %s; nobody is left who could end that",
             groups);
    for (uint32_t slot = 1; slot <= n_used; slot++) {
        struct member_shared *member = member_numbered(slot);

        if (is_party(member) && atomic_load_explicit(&member->depth, memory_order_relaxed) == depth)
            /* release: pairs with watch(): who sees it sees the verdict. */
            atomic_store_explicit(&member->condemned,
                                  atomic_load_explicit(&member->wait.number, memory_order_relaxed) + 1,
                                  memory_order_release);
    }
    member_wake_sleepers();
}

/* ---- A waiter ---- */

static void set_error(sharedmem_error *error)
{
    error_set(error, SHAREDMEM_ERROR_DEADLOCK, EDEADLK, "%s", member_watch()->verdict);
}

static void obey(struct wait *wait)
{
    struct team_place *place = team_here();
    sharedmem_error error;

    wait->is_condemned = true;
    atomic_store_explicit(&member_me->condemned, 0, memory_order_relaxed);
    if (place == NULL)
        return;
    set_error(&error);
    error.rank = (int32_t)team_root_rank(place->team, place->rank);
    team_fail(place->team, place->rank, &error);
    member_wake_sleepers();
}

/* The next look is this thread's alone until lease_ns. Returns whether it was to be had. */
static bool take_lease(uint64_t now, uint64_t lease_ns)
{
    _Atomic uint64_t *lease = &member_watch()->lease_ns;
    uint64_t until = atomic_load_explicit(lease, memory_order_relaxed);

    /* relaxed: it guards no data, and two lookers would only look twice. */
    return now >= until && atomic_compare_exchange_strong_explicit(
                               lease, &until, lease_ns, memory_order_relaxed, memory_order_relaxed);
}

static void set_lease(uint64_t lease_ns)
{
    atomic_store_explicit(&member_watch()->lease_ns, lease_ns, memory_order_relaxed);
}

/* Others wait for it, unless it does not come: then its wait has ended, and it was no deadlock. */
static void come_again(struct wait *wait, uint64_t now, uint32_t after_ns)
{
    first.again_ns = now + after_ns;
    first.lease_ns = first.again_ns + DEADLOCK_AGAIN_NS / 2;
    set_lease(first.lease_ns);
    wait->next_park_ns = after_ns;
}

static void look_first(struct wait *wait)
{
    uint64_t now = clock_monotonic_ns();
    struct look look;

    first.print = 0;
    if (!take_lease(now, now + DEADLOCK_REST_NS) || !look_at_records(&look))
        return;
    first.print = look.print;
    first.began_ns = clock_monotonic_ns();
    come_again(wait, now, DEADLOCK_AGAIN_NS);
}

static bool is_unchanged(void)
{
    struct look look;

    return look_at_records(&look) && look.print == first.print;
}

/* The records before and after the system is asked: what that says is then of members that have not moved. */
static void look_again(struct wait *wait)
{
    uint64_t now = clock_monotonic_ns();
    bool is_same;
    int64_t depth;

    if (now < first.again_ns) {
        wait->next_park_ns = (uint32_t)(first.again_ns - now);
        return;
    }
    is_same = is_unchanged();
    if (is_same && !are_all_at_rest()) {
        come_again(wait, now, DEADLOCK_SOON_NS);
        return;
    }
    set_lease(now + DEADLOCK_REST_NS);
    depth = is_same && is_unchanged() ? depth_to_condemn() : -1;
    first.print = 0;
    if (depth >= 0)
        condemn(depth);
}

static void watch(struct wait *wait)
{
    int saved_errno = errno;

    if (first.print != 0 &&
        atomic_load_explicit(&member_watch()->lease_ns, memory_order_relaxed) == first.lease_ns)
        look_again(wait);
    else
        look_first(wait);
    /* acquire: pairs with the release in condemn(). */
    if (atomic_load_explicit(&member_me->condemned, memory_order_acquire) ==
        atomic_load_explicit(&member_me->wait.number, memory_order_relaxed) + 1)
        obey(wait);
    errno = saved_errno;
}

/* As whom the calling thread waits. */
static void tell(struct member_shared *me)
{
    const struct team_place *place = team_here();
    uint32_t depth = 0;

    for (const struct team_place *around = place; around != NULL; around = around->within)
        depth++;
    atomic_store_explicit(&me->rank, place != NULL ? team_root_rank(place->team, place->rank) : 0,
                          memory_order_relaxed);
    atomic_store_explicit(&me->team,
                          place != NULL && segment_contains(place->team) ? segment_offset(place->team) : 0,
                          memory_order_relaxed);
    atomic_store_explicit(&me->depth, depth, memory_order_relaxed);
}

int deadlock_end_lock(const char *where)
{
    struct team_place *place = team_here();
    sharedmem_error error;

    if (place != NULL)
        return team_cancelled(place);
    set_error(&error);
    return error_end_call(&error, false, where);
}

__attribute__((constructor)) static void set_hooks(void)
{
    wait_telling = tell;
    wait_watching = watch;
}
