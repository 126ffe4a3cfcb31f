#include "team/team.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/checking.h"
#include "base/each_fork.h"
#include "base/error.h"
#include "memory/heap.h"
#include "memory/claim.h"
#include "memory/member.h"
#include "memory/segment.h"
#include "team/mailbox.h"
#include "team/subteam.h"
#include "team/check.h"

_Static_assert(offsetof(struct team_rank_shared, arrived) == 64, "barriers have a line of their own");
_Static_assert(offsetof(struct team_rank_shared, crash) == 128, "what is told lies beside the arrival");
_Static_assert(sizeof(struct crash_objects_shared) <= sizeof(sharedmem_error), "it fits an error's place");
_Static_assert(sizeof(struct team_rank_shared) % 64 == 0, "ranks share no cache line");
_Static_assert(offsetof(struct team_shared, loops) == 256, "a team's head is four lines");

struct team_place *_Atomic team_process_place;
_Thread_local struct team_place *team_thread_place __attribute__((tls_model("initial-exec")));

static sharedmem_error *errors_of(const struct team_shared *team)
{
    const char *behind = (const char *)&team->ranks[team->size];

    if (team->is_checked)
        behind += team->size * sizeof(struct check_rank_shared);
    return (sharedmem_error *)(uintptr_t)behind;
}

/* Who is alone has nobody to compare with. */
static bool has_checks(uint32_t size)
{
    return size > 1 && checking_is_on();
}

struct check_rank_shared *team_checks(struct team_shared *team)
{
    return (struct check_rank_shared *)(void *)&team->ranks[team->size];
}

size_t team_sub_bytes(uint32_t size)
{
    size_t each = sizeof(struct team_rank_shared) + (has_checks(size) ? sizeof(struct check_rank_shared) : 0);

    return sizeof(struct team_shared) + size * each;
}

size_t team_bytes(uint32_t size)
{
    return team_sub_bytes(size) + size * sizeof(sharedmem_error);
}

static void init(struct team_shared *team, uint32_t size, bool is_map)
{
    memset(team, 0, sizeof *team + size * sizeof team->ranks[0]);
    team->size = size;
    team->is_map = is_map;
    team->is_checked = !is_map && has_checks(size);
    if (team->is_checked)
        memset(team_checks(team), 0, size * sizeof(struct check_rank_shared));
    for (uint32_t rank = 0; rank < size; rank++) {
        atomic_store_explicit(&team->ranks[rank].item, SHAREDMEM_NO_ITEM, memory_order_relaxed);
        /* In a map any item may come first; else each rank's first ticket is its number. */
        atomic_store_explicit(&team->ranks[rank].floor, is_map ? 0 : rank, memory_order_relaxed);
        team->ranks[rank].root_rank = rank;
    }
}

void team_init(struct team_shared *team, uint32_t size, bool is_map)
{
    static _Atomic uint64_t n_teams;

    init(team, size, is_map);
    /* relaxed: only that it differs counts. */
    team->number = 1 + atomic_fetch_add_explicit(&n_teams, 1, memory_order_relaxed);
}

void team_init_sub(struct team_shared *team, uint32_t size, const struct team_shared *root)
{
    init(team, size, false);
    team->to_root = (int64_t)((uintptr_t)root - (uintptr_t)team);
    team->crowd = root->crowd;
}

void team_free_blocks(struct team_shared *team)
{
    /* acquire: pairs with the release in collective.c. */
    uint64_t blocks[] = {atomic_load_explicit(&team->board, memory_order_acquire),
                         atomic_load_explicit(&team->stage, memory_order_acquire),
                         atomic_load_explicit(&team->pending, memory_order_acquire)};

    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        if (blocks[i] != 0)
            heap_free(segment_at(blocks[i]));
    }
    mailbox_close(team);
    subteam_free_all(team);
}

void team_fail(struct team_shared *team, uint32_t rank, const sharedmem_error *error)
{
    uint32_t nobody = 0;

    rank = team_root_rank(team, rank);
    team = team_root(team);
    /* A second one of a rank is not read, and the one before may be the team's first. */
    if (team_own_error(team, rank) != NULL || (team_first_error(team) != NULL && !team->is_job)) {
        team_stop(team);
        return;
    }
    memcpy(&errors_of(team)[rank], error, sizeof *error);
    /* release: pairs with team_own_error(). */
    if (team->is_job)
        atomic_store_explicit(&team->ranks[rank].has_failed, 1, memory_order_release);
    /*
     * release: who reads the claim, with acquire, reads the error whole. A death before this claims nothing.
     */
    atomic_compare_exchange_strong_explicit(&team->first, &nobody, rank + 1, memory_order_release,
                                            memory_order_relaxed);
    team_stop(team);
}

const sharedmem_error *team_first_error(const struct team_shared *team)
{
    uint32_t first;

    team = team_root(team);
    first = atomic_load_explicit(&team->first, memory_order_acquire);
    return first != 0 && first <= team->size ? &errors_of(team)[first - 1] : NULL;
}

const sharedmem_error *team_own_error(const struct team_shared *team, uint32_t rank)
{
    bool has_failed = atomic_load_explicit(&team->ranks[rank].has_failed, memory_order_acquire) != 0;

    return has_failed ? &errors_of(team)[rank] : NULL;
}

struct crash_objects_shared *team_crash_objects(const struct team_shared *team, uint32_t rank)
{
    return (struct crash_objects_shared *)(void *)&errors_of(team)[rank];
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
    atomic_store_explicit(&team_root(team)->is_stopped, 1, memory_order_relaxed);
    team_stop(team);
    /* A team of one may be in a program without a segment. */
    if (member_me != NULL)
        member_wake_sleepers();
}

bool team_is_stopped(const struct team_shared *team)
{
    return atomic_load_explicit(&team_root(team)->is_stopped, memory_order_relaxed) != 0;
}

void team_stop(struct team_shared *team)
{
    atomic_store_explicit(&team_root(team)->stopping, 1, memory_order_relaxed);
}

bool team_rank_is_told_gone(const struct team_shared *team, uint32_t rank)
{
    uint32_t member = team_member(team, rank);

    if (team_left(team, rank) != TEAM_STAYS)
        return true;
    /* A thread of a job's rank may come and go; a worker is one. */
    return !team_root(team)->is_job && member != 0 && member_is_gone(member);
}

bool team_rank_is_gone(const struct team_shared *team, uint32_t rank)
{
    uint32_t member = team_member(team, rank);

    if (team_rank_is_told_gone(team, rank))
        return true;
    return team_root(team)->is_job ? claim_is_dead(claim_of(team_root_rank(team, rank)))
                                   : member != 0 && member_look(member);
}

uint32_t team_waker(const struct team_shared *team, uint32_t rank)
{
    uint32_t member = team_member(team, rank);

    return member != 0 && !member_is_gone(member) ? member : 0;
}

/*
 * A program's own fork, in work or body: the copy is not the rank. Our own workers take their places
 * afterwards.
 */
EACH_FORK static void leave_in_forked_child(void)
{
    atomic_store_explicit(&team_process_place, NULL, memory_order_relaxed);
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
    /* release: another thread of the program may find it, and what it is. */
    atomic_store_explicit(&team_process_place, place, memory_order_release);
}

EACH_FORK void team_enter_process(struct team_place *place)
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
    team_root_place(place)->is_cancelled = true;
    if (place->leave != NULL)
        place->leave();
    errno = ECANCELED;
    return -1;
}

const char *team_which(const struct team_place *place, char text[TEAM_WHICH_BYTES])
{
    text[0] = '\0';
    if (place->root != NULL)
        snprintf(text, TEAM_WHICH_BYTES, ", in a team of %u", place->team->size);
    return text;
}

const char *team_how_gone(const struct team_shared *team, uint32_t rank)
{
    bool goes_on = team_left(team_root(team), team_root_rank(team, rank)) == TEAM_STAYS;

    return goes_on && team_left(team, rank) == TEAM_LEFT ? "has given its team back" : "is gone";
}

void team_miss(const struct team_place *place, uint32_t rank, const char *what, const char *where)
{
    struct team_shared *team = place->team;
    uint32_t missing = team_root_rank(team, rank);
    char which[TEAM_WHICH_BYTES];
    sharedmem_error error;

    /* If it left because the team had failed, that is seen below, and is no news. */
    if (team_left(team, rank) == TEAM_STAYS && !team_root(team)->is_job)
        team_stop(team);
    if (team_is_stopping(team))
        return;
    error_set(&error, SHAREDMEM_ERROR_DEADLOCK, EDEADLK, "rank %u %s while rank %u waits for %s at %s%s",
              missing, team_how_gone(team, rank), team_root_rank(team, place->rank), what,
              where != NULL ? where : "an unknown place", team_which(place, which));
    error.rank = (int32_t)missing;
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
