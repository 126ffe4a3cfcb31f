#include "memory/wait.h"

#include <limits.h>
#include <sched.h>

#include "base/fault.h"
#include "base/text.h"
#include "host/clock.h"
#include "host/futex.h"
#include "memory/member.h"
#include "memory/segment.h"

/* The calling thread's innermost wait. */
static _Thread_local struct wait *current __attribute__((tls_model("initial-exec")));

void wait_forget(void)
{
    current = NULL;
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

    if (wait->until_ns == 0 || wait->until_ns > now + WAIT_PARK_NS)
        return WAIT_PARK_NS;
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

/* Writes the wait into this member's record. */
static void publish(const struct wait *wait)
{
    struct member_wait_shared *record;

    if (member_me == NULL)
        return;
    record = &member_me->wait;
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

static void set_sleep_word(uint64_t word)
{
    if (member_me != NULL)
        atomic_store_explicit(&member_me->wait.word, word, memory_order_relaxed);
}

bool wait_park(struct wait *wait, _Atomic uint32_t *word, uint32_t seen, _Atomic uint32_t *sleepers)
{
    bool woken;

    if (wait->since_ns == 0)
        wait_publish(wait);
    set_sleep_word(segment_offset(word));
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
    set_sleep_word(0);
    return woken;
}

void wait_wake(_Atomic uint32_t *word, _Atomic uint32_t *sleepers)
{
    /* Pairs with the fence in wait_park(). */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(sleepers, memory_order_relaxed) != 0)
        futex_wake(word, INT_MAX);
}

void wait_end(struct wait *wait)
{
    current = wait->outer;
    if (wait->since_ns == 0 || member_me == NULL)
        return;
    if (current != NULL && current->since_ns != 0)
        publish(current);
    else
        atomic_store_explicit(&member_me->wait.kind, WAIT_NOTHING, memory_order_release);
}
