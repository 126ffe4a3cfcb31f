#include "team/team.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/error.h"
#include "memory/heap.h"
#include "memory/claim.h"
#include "memory/member.h"
#include "memory/segment.h"

_Static_assert(offsetof(struct team_rank_shared, arrived) == 64, "barriers have a line of their own");
_Static_assert(offsetof(struct team_rank_shared, crash) == 128, "what is told lies beside the arrival");
_Static_assert(sizeof(struct team_rank_shared) % 64 == 0, "ranks share no cache line");
_Static_assert(offsetof(struct team_shared, loops) == 256, "a team's head is four lines");

struct team_place *team_process_place;
_Thread_local struct team_place *team_thread_place __attribute__((tls_model("initial-exec")));

static sharedmem_error *errors_of(const struct team_shared *team)
{
    return (sharedmem_error *)(void *)&team->ranks[team->size];
}

size_t team_bytes(uint32_t size)
{
    return sizeof(struct team_shared) + size * (sizeof(struct team_rank_shared) + sizeof(sharedmem_error));
}

void team_init(struct team_shared *team, uint32_t size, bool is_map)
{
    memset(team, 0, sizeof *team + size * sizeof team->ranks[0]);
    team->size = size;
    team->is_map = is_map;
    for (uint32_t rank = 0; rank < size; rank++) {
        atomic_store_explicit(&team->ranks[rank].item, SHAREDMEM_NO_ITEM, memory_order_relaxed);
        /* In a map any item may come first; else each rank's first ticket is its number. */
        atomic_store_explicit(&team->ranks[rank].floor, is_map ? 0 : rank, memory_order_relaxed);
    }
}

void team_free_blocks(struct team_shared *team)
{
    /* acquire: pairs with the release in collective.c. */
    uint64_t blocks[] = {atomic_load_explicit(&team->board, memory_order_acquire),
                         atomic_load_explicit(&team->pending, memory_order_acquire)};

    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        if (blocks[i] != 0)
            heap_free(segment_at(blocks[i]));
    }
}

void team_fail(struct team_shared *team, uint32_t rank, const sharedmem_error *error)
{
    uint32_t nobody = 0;

    /* Later ones are not read, and the first may be this rank's. */
    if (team_first_error(team) != NULL) {
        team_stop(team);
        return;
    }
    memcpy(&errors_of(team)[rank], error, sizeof *error);
    /*
     * release: who reads the claim, with acquire, reads the error whole. A death before this claims nothing.
     */
    atomic_compare_exchange_strong_explicit(&team->first, &nobody, rank + 1, memory_order_release,
                                            memory_order_relaxed);
    team_stop(team);
}

const sharedmem_error *team_first_error(const struct team_shared *team)
{
    uint32_t first = atomic_load_explicit(&team->first, memory_order_acquire);

    return first != 0 && first <= team->size ? &errors_of(team)[first - 1] : NULL;
}

void team_give_up(struct team_shared *team, uint32_t rank, const sharedmem_error *error)
{
    memcpy(&errors_of(team)[rank], error, sizeof *error);
    /* release: pairs with team_why_given_up(). A death before this gave no reason. */
    atomic_store_explicit(&team->ranks[rank].has_given_up, 1, memory_order_release);
}

const sharedmem_error *team_why_given_up(const struct team_shared *team, uint32_t rank)
{
    bool given_up = atomic_load_explicit(&team->ranks[rank].has_given_up, memory_order_acquire) != 0;

    return given_up ? &errors_of(team)[rank] : NULL;
}

void team_reopen(struct team_shared *team, uint32_t rank)
{
    struct team_rank_shared *ours = &team->ranks[rank];

    memset(&ours->crash, 0, sizeof ours->crash);
    atomic_store_explicit(&ours->has_given_up, 0, memory_order_relaxed);
    atomic_store_explicit(&ours->member, 0, memory_order_relaxed);
    /* release: who sees the rank open again sees all of that. */
    atomic_store_explicit(&ours->left, TEAM_STAYS, memory_order_release);
}

void team_stop_quietly(struct team_shared *team)
{
    atomic_store_explicit(&team->is_stopped, 1, memory_order_relaxed);
    team_stop(team);
    /* A team of one may be in a program without a segment. */
    if (member_me != NULL)
        member_wake_sleepers();
}

bool team_is_stopped(const struct team_shared *team)
{
    return atomic_load_explicit(&team->is_stopped, memory_order_relaxed) != 0;
}

void team_stop(struct team_shared *team)
{
    atomic_store_explicit(&team->stopping, 1, memory_order_relaxed);
}

bool team_rank_is_told_gone(const struct team_shared *team, uint32_t rank)
{
    uint32_t member = atomic_load_explicit(&team->ranks[rank].member, memory_order_acquire);

    if (atomic_load_explicit(&team->ranks[rank].left, memory_order_acquire) != TEAM_STAYS)
        return true;
    /* A thread of a job's rank may come and go; a worker is one. */
    return !team->is_job && member != 0 && member_is_gone(member);
}

bool team_rank_is_gone(const struct team_shared *team, uint32_t rank)
{
    uint32_t member = atomic_load_explicit(&team->ranks[rank].member, memory_order_acquire);

    if (team_rank_is_told_gone(team, rank))
        return true;
    return team->is_job ? claim_is_dead(claim_of(rank)) : member != 0 && member_look(member);
}

uint32_t team_waker(const struct team_shared *team, uint32_t rank)
{
    uint32_t member = atomic_load_explicit(&team->ranks[rank].member, memory_order_relaxed);

    return member != 0 && !member_is_gone(member) ? member : 0;
}

/*
 * A program's own fork, in work or body: the copy is not the rank. Our own workers take their places
 * afterwards.
 */
static void leave_in_forked_child(void)
{
    team_process_place = NULL;
    team_thread_place = NULL;
}

static void install_hook(void)
{
    pthread_atfork(NULL, NULL, leave_in_forked_child);
}

void team_guard_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, install_hook);
}

void team_set_process(struct team_place *place)
{
    team_guard_forks();
    team_process_place = place;
}

void team_enter_process(struct team_place *place)
{
    team_set_process(place);
    team_thread_place = NULL;
}

struct team_place *team_enter_thread(struct team_place *place)
{
    struct team_place *before = team_thread_place;

    team_guard_forks();
    team_thread_place = place;
    return before;
}

int team_cancelled(struct team_place *place)
{
    place->is_cancelled = true;
    if (place->leave != NULL)
        place->leave();
    errno = ECANCELED;
    return -1;
}

void team_miss(const struct team_place *place, uint32_t rank, const char *what, const char *where)
{
    struct team_shared *team = place->team;
    sharedmem_error error;

    /* acquire: if it left because the team had failed, that is seen below, and is no news. */
    if (atomic_load_explicit(&team->ranks[rank].left, memory_order_acquire) == TEAM_STAYS && !team->is_job)
        team_stop(team);
    if (team_is_stopping(team))
        return;
    error_set(&error, SHAREDMEM_ERROR_DEADLOCK, EDEADLK, "rank %u is gone while rank %u waits for %s at %s",
              rank, place->rank, what, where != NULL ? where : "an unknown place");
    error.rank = (int32_t)rank;
    team_fail(team, place->rank, &error);
}

int sharedmem_rank(void)
{
    struct team_place *place = team_here();

    if (place != NULL)
        return (int)place->rank;
    return claim_rank() >= 0 ? claim_rank() : 0;
}

int sharedmem_size(void)
{
    struct team_place *place = team_here();

    return place != NULL ? (int)place->team->size : claim_size();
}
