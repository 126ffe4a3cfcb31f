#include "team/held.h"

#include <stdio.h>

#include "base/checking.h"
#include "base/text.h"
#include "base/thread_room.h"
#include "memory/segment.h"
#include "team/critical.h"
#include "team/lock_order.h"

struct held {
    uint64_t lock; /* its offset; 0: none */
    const struct team_place *place;
    char where[LOCK_ORDER_WHERE_BYTES];
};

/* MEMBER_HELD_MAX of them. What is in there is believed only as far as the locks themselves say so. */
static _Thread_local void *table __attribute__((tls_model("initial-exec")));

static struct held *table_here(void)
{
    return thread_room(&table, MEMBER_HELD_MAX * sizeof(struct held));
}

/* Whether the member notes the lock, and it is its own: the one alone may be said too early, or too late. */
static bool is_held(uint64_t lock)
{
    for (unsigned i = 0; lock != 0 && i < MEMBER_HELD_MAX; i++) {
        if (atomic_load_explicit(&member_me->held[i], memory_order_relaxed) == lock)
            return lock_is_mine(segment_at(lock));
    }
    return false;
}

void held_wants(const struct lock_shared *lock, const char *where)
{
    struct held *known = checking_is_on() ? table_here() : NULL;

    if (known == NULL)
        return;
    for (unsigned i = 0; i < MEMBER_HELD_MAX; i++) {
        if (is_held(known[i].lock) && known[i].lock != segment_offset(lock))
            lock_order_note(known[i].lock, known[i].where, segment_offset(lock), where);
    }
}

void held_took(const struct lock_shared *lock, const char *where)
{
    struct held *known = checking_is_on() ? table_here() : NULL;

    if (known == NULL)
        return;
    for (unsigned i = 0; i < MEMBER_HELD_MAX; i++) {
        /* That of a lock that is given back, or of this one from before. */
        if (is_held(known[i].lock) && known[i].lock != segment_offset(lock))
            continue;
        known[i] = (struct held){.lock = segment_offset(lock), .place = team_here()};
        text_copy_end(known[i].where, sizeof known[i].where, where);
        return;
    }
}

bool held_describe(const struct team_place *place, char *text, size_t size)
{
    const struct held *known = table;
    char what[CRITICAL_NAME_BYTES + 32];

    for (unsigned i = 0; known != NULL && member_me != NULL && i < MEMBER_HELD_MAX; i++) {
        if (!is_held(known[i].lock) || known[i].place != place)
            continue;
        critical_describe(known[i].lock, what, sizeof what);
        snprintf(text, size, "%s since %s", what,
                 known[i].where[0] != '\0' ? known[i].where : "an unknown place");
        return true;
    }
    return false;
}
