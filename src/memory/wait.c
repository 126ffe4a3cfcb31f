#include "memory/wait.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>

#include "base/each_fork.h"
#include "base/fault.h"
#include "base/text.h"
#include "host/clock.h"
#include "host/futex.h"
#include "memory/member.h"
#include "memory/segment.h"

/* The calling thread's innermost wait. */
static _Thread_local struct wait *current __attribute__((tls_model("initial-exec")));

void (*wait_telling)(struct member_shared *me);
void (*wait_watching)(struct wait *wait);
_Atomic uint64_t *wait_total;

EACH_FORK void wait_forget(void)
{
    current = NULL;
    wait_total = NULL;
}

void wait_begin(struct wait *wait, enum wait_kind kind, const char *where, uint32_t whom)
{
    *wait = (struct wait){.kind = kind, .whom = whom, .where = where, .outer = current};
    current = wait;
}

void wait_begin_spun(struct wait *wait, enum wait_kind kind, const char *where, uint32_t whom)
{
    wait_begin(wait, kind, where, whom);
    wait->steps = WAIT_PAUSES;
}

void wait_limit_yields(struct wait *wait, unsigned yields)
{
    if (yields < WAIT_YIELDS)
        wait->steps = WAIT_PAUSES + WAIT_YIELDS - yields;
}

void wait_limit(struct wait *wait, uint64_t until_ns)
{
    wait->until_ns = until_ns;
    if (until_ns != 0)
        wait->kind = WAIT_TIMED;
}

bool wait_is_over(const struct wait *wait)
{
    return wait->until_ns != 0 && clock_monotonic_ns() >= wait->until_ns;
}

/* How long the next sleep may be. */
static uint64_t park_ns(const struct wait *wait)
{
    uint64_t now = wait->until_ns != 0 ? clock_monotonic_ns() : 0;
    uint64_t longest = wait->next_park_ns != 0 ? wait->next_park_ns : WAIT_PARK_NS;

    if (wait->until_ns == 0 || wait->until_ns > now + longest)
        return longest;
    return wait->until_ns > now ? wait->until_ns - now : 0;
}

void wait_for(struct wait *wait, uint32_t whom)
{
    if (wait->whom == whom)
        return;
    wait->whom = whom;
    if (wait->since_ns != 0 && member_me != NULL)
        atomic_store_explicit(&member_me->wait.whom, whom, memory_order_relaxed);
}

/* Another wait, or none, is about to be in the record: who sees any of it sees another number too. */
static void renumber(struct member_wait_shared *record)
{
    uint32_t number = atomic_load_explicit(&record->number, memory_order_relaxed);

    atomic_store_explicit(&record->number, number + 1, memory_order_relaxed);
    /* Pairs with the acquire fence of who reads a record (team/deadlock.c). */
    atomic_thread_fence(memory_order_release);
}

/* Writes the wait into this member's record. */
static void publish(const struct wait *wait)
{
    struct member_wait_shared *record;

    if (member_me == NULL)
        return;
    record = &member_me->wait;
    renumber(record);
    atomic_store_explicit(&record->kind, WAIT_NOTHING, memory_order_relaxed);
    if (wait_telling != NULL)
        wait_telling(member_me);
    atomic_store_explicit(&record->word, wait->word, memory_order_relaxed);
    atomic_store_explicit(&record->seen, wait->seen, memory_order_relaxed);
    /* The end of a path says more than its beginning. */
    text_copy_end(record->where, sizeof record->where, wait->where);
    atomic_store_explicit(&record->whom, wait->whom, memory_order_relaxed);
    atomic_store_explicit(&record->since_ns, wait->since_ns, memory_order_relaxed);
    /* release: who sees the kind sees the rest. */
    atomic_store_explicit(&record->kind, wait->kind, memory_order_release);
}

void wait_publish(struct wait *wait)
{
    wait->since_ns = clock_monotonic_ns();
    publish(wait);
}

bool wait_pause(struct wait *wait)
{
    if (wait->steps >= WAIT_PAUSES + WAIT_YIELDS)
        return false;
    if (wait->steps++ < WAIT_PAUSES) {
        wait_relax();
        return true;
    }
    if (wait->since_ns == 0)
        wait_publish(wait);
    sched_yield();
    return true;
}

bool wait_pause_longer(struct wait *wait)
{
    unsigned left = WAIT_PAUSES - wait->steps, pauses = wait->steps + 1;

    if (wait->steps >= WAIT_PAUSES)
        return wait_pause(wait);
    /* As many as all before, and one: 1, 2, 4, ... */
    if (pauses > left)
        pauses = left;
    wait->steps += pauses;
    while (pauses-- > 0)
        wait_relax();
    return true;
}

/* The word stays in the record between two sleeps of one wait: to be woken then does no harm. */
void wait_sleeps_on(struct wait *wait, const void *word, uint32_t seen)
{
    uint64_t offset = segment_offset(word);

    if (wait->since_ns == 0)
        wait_publish(wait);
    if (member_me == NULL || (wait->word == offset && wait->seen == seen))
        return;
    wait->word = offset;
    wait->seen = seen;
    renumber(&member_me->wait);
    atomic_store_explicit(&member_me->wait.word, offset, memory_order_relaxed);
    atomic_store_explicit(&member_me->wait.seen, seen, memory_order_relaxed);
}

/* Says what the calling thread's wait for workers sleeps on. */
static void say_outside(uint64_t word)
{
    if (member_me == NULL || current == NULL || current->kind != WAIT_WORKERS || current->since_ns == 0 ||
        current->word == word)
        return;
    current->word = word;
    renumber(&member_me->wait);
    atomic_store_explicit(&member_me->wait.word, word, memory_order_relaxed);
}

void wait_sleeps_outside(void)
{
    say_outside(WAIT_OUTSIDE);
}

void wait_acts(void)
{
    say_outside(0);
}

/* Who slept in vain has looked, and done what was to be done, before it sleeps again. */
static void say_looked(struct wait *wait)
{
    if (wait->vain_ns == 0)
        return;
    /* release: pairs with has_looked(), in team/deadlock.c. */
    atomic_store_explicit(&member_me->looked_ns, wait->vain_ns, memory_order_release);
    wait->vain_ns = 0;
}

bool wait_park(struct wait *wait, _Atomic uint32_t *word, uint32_t seen, _Atomic uint32_t *sleepers)
{
    bool woken;

    wait_sleeps_on(wait, word, seen);
    say_looked(wait);
    if (sleepers != NULL)
        atomic_fetch_add_explicit(sleepers, 1, memory_order_relaxed);
    FAULT_POINT();
    /*
     * Pairs with the fences in wait_wake() and member_mark_dead(), and with wait_wake_mine(): either they
     * see this sleeper, or what they changed is seen here. futex_wait() compares *word once more; a mark set
     * after this check and before the sleep costs one period.
     */
    atomic_thread_fence(memory_order_seq_cst);
    woken = wait->whom == 0 || !member_is_gone(wait->whom) ? futex_wait(word, seen, park_ns(wait)) : false;
    if (sleepers != NULL)
        atomic_fetch_sub_explicit(sleepers, 1, memory_order_relaxed);
    wait->next_park_ns = 0;
    if (wait->until_ns != 0 || wait_watching == NULL || member_me == NULL)
        return woken;
    if (!woken)
        wait->vain_ns = clock_monotonic_ns();
    /* relaxed: whoever condemns a wait wakes it afterwards, and what is said of it is read with acquire. */
    if (!woken || atomic_load_explicit(&member_me->condemned, memory_order_relaxed) != 0)
        wait_watching(wait);
    return woken;
}

void wait_wake(_Atomic uint32_t *word, _Atomic uint32_t *sleepers)
{
    /* Pairs with the fence in wait_park(). */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(sleepers, memory_order_relaxed) != 0)
        futex_wake(word, INT_MAX);
}

/* The record says that this member waits for nothing. */
static void clear_record(struct member_wait_shared *record)
{
    renumber(record);
    atomic_store_explicit(&record->word, 0, memory_order_relaxed);
    atomic_store_explicit(&record->kind, WAIT_NOTHING, memory_order_release);
}

static void count(const struct wait *wait)
{
    const struct wait *outer = wait->outer;

    if (wait->kind == WAIT_WORKERS || (outer != NULL && outer->since_ns != 0 && outer->kind != WAIT_WORKERS))
        return;
    /* relaxed: a number for a person. */
    atomic_fetch_add_explicit(wait_total, clock_monotonic_ns() - wait->since_ns, memory_order_relaxed);
}

void wait_end(struct wait *wait)
{
    current = wait->outer;
    if (wait->since_ns == 0 || member_me == NULL)
        return;
    if (wait_total != NULL)
        count(wait);
    if (current != NULL && current->since_ns != 0)
        publish(current);
    else
        clear_record(&member_me->wait);
}

void wait_interrupt(struct wait *wait)
{
    wait_acts();
    wait_begin(wait, WAIT_NOTHING, NULL, 0);
    if (member_me == NULL)
        return;
    clear_record(&member_me->wait);
    wait->seen = atomic_load_explicit(&member_me->wait.number, memory_order_relaxed);
}

void wait_resume(struct wait *wait)
{
    current = wait->outer;
    if (member_me == NULL || current == NULL || current->since_ns == 0)
        return;
    /* Mostly nobody has waited meanwhile, and the rest of the record is as it was. */
    if (wait->seen != atomic_load_explicit(&member_me->wait.number, memory_order_relaxed) ||
        current->word != 0)
        publish(current);
    else {
        renumber(&member_me->wait);
        atomic_store_explicit(&member_me->wait.kind, current->kind, memory_order_release);
    }
}

const char *wait_phrase(uint32_t kind)
{
    switch ((enum wait_kind)kind) {
    case WAIT_LOCK:
    case WAIT_INNER:
        return "for a lock or critical region";
    case WAIT_WORKERS:
        return "for workers of a map or parallel call";
    case WAIT_ROOM:
        return "until the caller of the map has taken earlier results";
    case WAIT_ITEM:
        return "until the caller of the map has made the next item";
    case WAIT_CALL:
        return "for the next map of its pool";
    case WAIT_BARRIER:
        return "in the barrier or collective";
    case WAIT_ORDERED:
        return "for the turn of an ordered region";
    case WAIT_MEETING:
        return "for all ranks to join the job";
    case WAIT_OUTPUT:
        return "until the launcher takes what was printed";
    case WAIT_LOOP:
        return "for ranks behind it in earlier loops, before the loop";
    case WAIT_COUNTER:
        return "for a counter";
    case WAIT_TIMED:
        return "for a lock or counter, for some time only,";
    case WAIT_RECEIVE:
        return "for a message";
    case WAIT_SEND:
        return "until another rank receives";
    default:
        return "for another";
    }
}

void wait_whom_text(uint32_t kind, int rank, char *text, size_t bytes)
{
    static const char *const phrases[][2] = {
        [WAIT_LOCK] = {"", " has it"},    [WAIT_INNER] = {"", " has it"}, [WAIT_ORDERED] = {"", " is before"},
        [WAIT_LOOP] = {"", " is behind"}, [WAIT_RECEIVE] = {"from ", ""}, [WAIT_SEND] = {"to ", ""}};

    text[0] = '\0';
    if (rank >= 0 && kind < sizeof phrases / sizeof *phrases && phrases[kind][0] != NULL)
        snprintf(text, bytes, " (%srank %d%s)", phrases[kind][0], rank, phrases[kind][1]);
}
