#include "memory/recover.h"

#include "memory/lock.h"
#include "memory/member.h"
#include "memory/segment.h"

static bool is_lock_offset(uint64_t offset)
{
    return offset % _Alignof(struct lock_shared) == 0 &&
           offset >= segment_header()->part_offset[SEGMENT_CRITICALS] &&
           offset <= segment_size - sizeof(struct lock_shared);
}

/* Returns whether the slot may be used again. */
static bool recover_locks(uint32_t id)
{
    struct member_shared *member = member_slot(id);

    for (unsigned i = 0; i < MEMBER_HELD_MAX; i++) {
        uint64_t offset = atomic_load_explicit(&member->held[i], memory_order_relaxed);

        if (offset == 0 || !is_lock_offset(offset))
            continue;
        if (member_me == NULL)
            return false;
        lock_recover(segment_at(offset), id);
    }
    /*
     * It held locks that nobody noted. They are found dead by its id as long as no later member can get that
     * id.
     */
    return atomic_load_explicit(&member->held_untracked, memory_order_relaxed) == 0;
}

void recover_member(uint32_t id)
{
    member_mark_dead(id);
    if (recover_locks(id))
        member_free_dead(id);
}

static _Thread_local bool found_dead;

static void recover_if_dead(uint32_t id, enum member_state state)
{
    if (state != MEMBER_DEAD && !member_look(id))
        return;
    recover_member(id);
    found_dead = true;
}

bool recover_all_dead(void)
{
    found_dead = false;
    member_for_each(recover_if_dead);
    return found_dead;
}
