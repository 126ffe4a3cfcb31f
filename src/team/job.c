#include "team/job.h"

#include <stdlib.h>
#include <errno.h>
#include <unistd.h>

#include "base/error.h"
#include "base/flush.h"
#include "host/clock.h"
#include "host/cpu_count.h"
#include "memory/budget.h"
#include "memory/claim.h"
#include "memory/foreign.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/recover.h"
#include "memory/wait.h"
#include "team/check.h"
#include "team/loop.h"
#include "team/ordered.h"
#include "team/printed.h"

struct team_place job_my_place;

/*
 * The process whose place that is: a forked copy has it too. 0: nobody has entered, or it has left. Written under
 * memory.c's lock, or at the end; release and acquire: who finds it, by any thread, finds the place.
 */
static _Atomic pid_t entered_pid;

static pid_t entered(void)
{
    return atomic_load_explicit(&entered_pid, memory_order_acquire);
}

struct team_shared *job_team(void)
{
    return segment_base != NULL && segment_header()->team != 0 ? segment_at(segment_header()->team) : NULL;
}

/* ---- In a rank ---- */

struct team_place *job_place(void)
{
    return entered() == getpid() && claim_is_mine() ? &job_my_place : NULL;
}

/* Without a launcher the rank that was first to see the failure tells of it. */
static void tell_if_first(void)
{
    const struct team_shared *team = job_my_place.team;

    if (foreign_is_met() && atomic_load_explicit(&team->first, memory_order_acquire) == job_my_place.rank + 1)
        sharedmem_print_error(team_first_error(team));
}

_Noreturn void job_leave_failed(int status)
{
    tell_if_first();
    /* First: while it flushes, which may take long, the launcher lets it. */
    claim_leave(CLAIM_GIVEN_UP);
    flush_to_leave();
    _exit(status);
}

/* The job has failed while this rank waited for it. */
static void leave_cancelled(void)
{
    job_leave_failed(EXIT_FAILURE);
}

/* An uncaught error: the launcher tells it, once for all ranks, and ends the others. */
static void leave_by_error(const sharedmem_error *error)
{
    sharedmem_error mine = *error;

    if (job_place() == NULL)
        return;
    mine.rank = (int32_t)job_my_place.rank;
    mine.pid = getpid();
    team_fail(job_my_place.team, job_my_place.rank, &mine);
    member_wake_sleepers();
    job_leave_failed(EXIT_FAILURE);
}

/* The launcher wants to know how long this rank waits; what it has waited for the others to join is the begin. */
static void count_waits(struct claim_shared *claim)
{
    uint64_t since = atomic_load_explicit(&claim->since_ns, memory_order_relaxed);

    if (segment_header()->counts_waits == 0)
        return;
    wait_total = &claim->waited_ns;
    if (since != 0)
        atomic_fetch_add_explicit(wait_total, clock_monotonic_ns() - since, memory_order_relaxed);
}

/* Takes rank's place where its program before left it. */
static void enter(struct team_shared *team, uint32_t rank)
{
    struct team_rank_shared *shared = &team->ranks[rank];

    job_my_place = (struct team_place){.team = team, .rank = rank, .leave = leave_cancelled};
    atomic_store_explicit(&shared->member, member_my_id, memory_order_release);
    atomic_store_explicit(&claim_mine()->state, CLAIM_JOINED, memory_order_release);
    atomic_store_explicit(&entered_pid, getpid(), memory_order_release);
    count_waits(claim_mine());
    /* Of other launchers none would tell of it. */
    if (!foreign_is_met())
        crash_join_rank(&shared->crash, team_crash_objects(team, rank));
    team_set_process(&job_my_place);
    error_set_leave(leave_by_error);
    printed_joined();
}

/* Under memory.c's lock. */
static void joined(void)
{
    if (entered() != getpid() && job_team() != NULL && claim_rank() < (int)job_team()->size)
        enter(job_team(), (uint32_t)claim_rank());
    else
        crash_join_thread();
}

/* Nobody else sees a rank end that no launcher of ours has started. */
static void say_ended(struct team_shared *team, uint32_t rank)
{
    ordered_say_left(team, rank, TEAM_LEFT);
    member_wake_sleepers();
}

/* Before its slot is free: a member that is gone would be taken for a rank that is. */
static void leaving(void)
{
    if (entered() != getpid())
        return;
    loop_leave(&job_my_place);
    check_left_messages(job_my_place.team, job_my_place.rank);
    atomic_store_explicit(&job_my_place.team->ranks[job_my_place.rank].member, 0, memory_order_release);
    if (foreign_is_met())
        say_ended(job_my_place.team, job_my_place.rank);
    atomic_store_explicit(&entered_pid, 0, memory_order_release);
}

/* A rank does the launcher's part, and then attaches as the others do. */
static int create_for_ranks(uint32_t n_ranks, sharedmem_error *error)
{
    uint32_t n_cpus = (uint32_t)cpu_count_machine();
    uint32_t crowd = n_ranks > n_cpus ? (n_ranks + n_cpus - 1) / n_cpus : 0;
    char job[ATTACH_JOB_BYTES];
    int fd = job_create(n_ranks, 0, crowd, job, error);

    if (fd < 0)
        return -1;
    member_leave();
    segment_drop();
    return fd;
}

__attribute__((constructor)) static void set_hooks(void)
{
    memory_joined = joined;
    memory_leaving = leaving;
    foreign_create = create_for_ranks;
}

/* Whoever makes the calls is the one whose waits are to be told of. */
static void show_member(const struct team_place *place)
{
    struct team_rank_shared *shared = &place->team->ranks[place->rank];

    if (place == &job_my_place && entered() != 0 &&
        atomic_load_explicit(&shared->member, memory_order_relaxed) != member_my_id)
        atomic_store_explicit(&shared->member, member_my_id, memory_order_release);
}

struct team_place *job_current_of_rank(const char *where)
{
    struct team_place *place = team_here();

    if (place == NULL && claim_rank() >= 0) {
        /* Where that fails the rank has mostly ended. */
        memory_enter_first(where, NULL);
        place = team_here();
    } else if (place == &job_my_place) {
        memory_enter_at(where, NULL);
    }
    if (place == &job_my_place)
        show_member(place);
    return place;
}

/* ---- In the launcher ---- */

void job_launcher_waits(void)
{
    static struct wait wait;

    wait_forget();
    wait_begin(&wait, WAIT_LAUNCHER, NULL, 0);
    wait_publish(&wait);
}

int job_create(uint32_t n_ranks, uint64_t heap_bytes, uint32_t crowd, char job[ATTACH_JOB_BYTES],
               sharedmem_error *error)
{
    int fd = attach_create(n_ranks, heap_bytes, job, error);
    struct team_shared *team;

    if (fd < 0)
        return -1;
    team = memory_enter(error) == 0 ? heap_alloc(team_bytes(n_ranks), HEAP_ALIGNMENT) : NULL;
    if (team == NULL) {
        close(fd);
        return error_set(error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM, "no shared memory for %u ranks: %s",
                         n_ranks, budget_reason());
    }
    team_init(team, n_ranks, false);
    team->is_job = true;
    team->crowd = crowd;
    segment_header()->team = segment_offset(team);
    return fd;
}

void job_rank_ended(uint32_t rank)
{
    struct team_shared *team = job_team();
    struct claim_shared *claim = claim_of(rank);
    uint32_t member = atomic_load_explicit(&team->ranks[rank].member, memory_order_acquire);

    ordered_say_left(team, rank, claim_is_dead(claim) ? TEAM_DIED : TEAM_LEFT);
    if (member != 0)
        recover_member(member);
    /* Whoever was through the meeting has stored what it came to. */
    if (atomic_load_explicit(&segment_header()->address, memory_order_acquire) == 0)
        attach_give_up(rank);
    member_wake_sleepers();
}
