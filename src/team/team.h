/*
 * team.h: a team's control block, ranks 0..size-1, and which team the calling code works for.
 *
 * The first error ends the team: who fails writes its error beside its rank, then claims to be the first, and
 * all others stop at their next step.
 *
 * A team may be split (subteam.h). Who is alive, what failed first and whether all stop is a matter of the
 * outermost team, the job's or the call's: it alone has the errors, and whoever supervises its ranks knows of no
 * other. So each sub-team says where the outermost one is, its root, and each of its ranks which one it is there;
 * a root says that of itself. All the rest, barriers, loops and turns, a sub-team has for itself.
 */
#ifndef TEAM_TEAM_H
#define TEAM_TEAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/crash.h"
#include "memory/lock.h"
#include "sharedmem.h"
#include "team/schedule.h"

/* How many words a rank can tell the others with a barrier: what its cache line has room for. */
#define TEAM_WORDS 3

/*
 * The places for loops: the ranks of a team can be in so many at once. Half as many is what a rank can always
 * be ahead of another (loop.c). A power of two.
 */
#define TEAM_LOOPS       32u
#define TEAM_LOOPS_AHEAD (TEAM_LOOPS / 2)

/* How a rank has ended, once it has. */
enum team_left {
    TEAM_STAYS,
    TEAM_LEFT, /* by itself: it did all, or its error is in the team */
    TEAM_DIED  /* in the middle of something, as the launcher saw */
};

/* What each rank tells the others: it alone writes, but for the counts of those who sleep. */
struct team_rank_shared {
    /* For ordered regions: it will not enter one with a ticket below this (ordered.h). */
    _Atomic uint64_t floor;
    _Atomic uint32_t floor_sleepers;
    _Atomic uint32_t member;       /* its member id; 0: not born yet */
    _Atomic uint64_t item;         /* what it works on, or SHAREDMEM_NO_ITEM */
    _Atomic uint32_t left;         /* enum team_left */
    _Atomic uint32_t has_given_up; /* is_mended: another is to take its place, its error says why */
    _Atomic uint64_t calls; /* the offset of the last of its own calls that have not ended (run/calls.h) */
    /* For loops: how many it has left (loop.c). */
    _Atomic uint64_t loops;
    _Atomic uint32_t loops_sleepers;
    uint32_t root_rank; /* which one it is in the outermost team */
    _Atomic uint32_t has_failed; /* is_job: it has an error of its own */
    char unused[4];

    /* For barriers, and what it tells the others by them: words for the even ones, and for the odd. */
    _Atomic uint32_t arrived; /* how many it has come to */
    _Atomic uint32_t arrived_sleepers;
    _Atomic uint64_t words[2][TEAM_WORDS];
    char unused2[8];

    /* Where it crashed, if it did. */
    struct crash_shared crash;
    char unused3[24];
};

/* In the segment; a team of one may lie anywhere. */
struct team_shared {
    /* A line that all read at each step, and that changes once. */
    uint32_t size;
    uint16_t is_map;              /* its items know nothing of each other: no barriers */
    uint16_t is_checked;          /* its ranks say what they call before they do it (check.h) */
    _Atomic uint32_t stopping;    /* nothing more is to be begun */
    _Atomic uint32_t first;       /* 1 + the rank whose error came first; 0: none has failed */
    _Atomic uint32_t has_ordered; /* somebody waits, or waited, for its turn in an ordered region */
    uint32_t is_job;              /* of the launcher: its ranks were born by exec (job.h) */
    uint32_t crowd; /* so many ranks share a processor, and who spins keeps them from work; 0: none do */
    _Atomic uint32_t abort_status; /* of sharedmem_abort(); 0: nobody called it */
    uint32_t is_mended;            /* whoever is gone is replaced: nobody gives up waiting for it */
    _Atomic uint32_t is_stopped;   /* stopping is no failure: sharedmem_stop() */
    int64_t to_root; /* bytes from here to the outermost team, which alone has what is said of stops and errors */
    uint64_t number; /* of a root: no other that its process lays out has it, be it in the same place */
    _Atomic uint32_t all_started; /* of a crew's: no worker of it is still to be forked; a hint */
    char unused[4];

    /* For ordered regions: nobody will enter one with a ticket below this (ordered.h). */
    _Atomic uint64_t passed;
    /* For sub-teams (subteam.h). */
    _Atomic uint64_t subteams; /* of a root: the offset of the first page of its list; 0: it was never split */
    uint64_t block;            /* of a sub-team: the offset of the block that it is in */
    _Atomic uint32_t n_users;  /* ranks of a sub-team that have not given it back */
    char unused4[36];

    /* The barrier of large teams. */
    _Atomic uint32_t n_arrived;    /* in all barriers so far */
    struct lock_shared board_lock; /* who has it puts up the board, or the stage */
    char unused2[52];
    _Atomic uint32_t n_released; /* barriers that all have come to: the futex word */
    _Atomic uint32_t released_sleepers;
    /* For collectives (collective.c). */
    _Atomic uint64_t result[TEAM_WORDS]; /* what the last one to come has made of the words of all */
    _Atomic uint64_t board;   /* the offset of the block that broadcasts go through; 0: none needed it yet */
    _Atomic uint64_t stage;   /* the same of the block that large reductions go through (reduction_large.c) */
    _Atomic uint64_t pending; /* the offset of what rank 0 has allocated, and not all may know of yet; or 0 */
    /* For messages (mailbox.h). */
    _Atomic uint64_t mailboxes; /* the offset of those of all ranks; 0: nobody has sent or received yet */

    struct schedule_shared loops[TEAM_LOOPS]; /* loop k has number k % TEAM_LOOPS (loop.c) */

    struct team_rank_shared
        ranks[];
    /* is_checked: then what each rank says that it calls. A root: then an error for each, pages that nobody
     * touches while nobody fails. */
};

/* How many bytes a team of size needs: at most about 75 MiB, for 16,383; twice that in checking mode. */
size_t team_bytes(uint32_t size);

/* The same for a sub-team, which has no room for errors: those are its root's. */
size_t team_sub_bytes(uint32_t size);

/* Lays a team into memory of team_bytes(size), of whatever content, aligned to 64. */
void team_init(struct team_shared *team, uint32_t size, bool is_map);

/* The same for a sub-team of root, into team_sub_bytes(size). The caller sets each rank's root_rank. */
void team_init_sub(struct team_shared *team, uint32_t size, const struct team_shared *root);

struct check_rank_shared;

/* is_checked: what the ranks say that they call, one after the other. */
struct check_rank_shared *team_checks(struct team_shared *team);

/*
 * Frees the blocks that the collectives and messages of a team in the heap needed, and the sub-teams that nobody
 * gave back; its ranks are gone, but for the caller.
 */
void team_free_blocks(struct team_shared *team);

/* The outermost team: itself, but of a sub-team. */
static inline struct team_shared *team_root(const struct team_shared *team)
{
    return (struct team_shared *)((uintptr_t)team + (uintptr_t)team->to_root);
}

/* Which one rank is there. */
static inline uint32_t team_root_rank(const struct team_shared *team, uint32_t rank)
{
    return team->ranks[rank].root_rank;
}

/*
 * These ask, or tell, the root of the team, where a sub-team is given, but for give_up and reopen, which are for
 * roots.
 */

/*
 * Rank failed with error: it is kept, and first if nobody was before. The team stops. Of a team that is no job
 * later errors are not kept.
 */
void team_fail(struct team_shared *team, uint32_t rank, const sharedmem_error *error);

/* The error that came first, or NULL. */
const sharedmem_error *team_first_error(const struct team_shared *team);

/* In a job: why rank has failed by itself, be it first or not; NULL: it has not. */
const sharedmem_error *team_own_error(const struct team_shared *team, uint32_t rank);

/*
 * In a job: where rank writes down its files when it crashes (host/crash.h). That is the place of its own error:
 * nobody looks at it where there is one.
 */
struct crash_objects_shared *team_crash_objects(const struct team_shared *team, uint32_t rank);

/* Rank gives up with error, which is kept; the team goes on. */
void team_give_up(struct team_shared *team, uint32_t rank, const sharedmem_error *error);

/* Why rank has given up, or NULL. */
const sharedmem_error *team_why_given_up(const struct team_shared *team, uint32_t rank);

/* Rank, whose worker is gone, is open for another one. */
void team_reopen(struct team_shared *team, uint32_t rank);

/* Tells all to begin nothing more. Who sleeps in a wait finds out when it wakes. */
void team_stop(struct team_shared *team);

/* The same, quietly, and wakes those who sleep. Async-signal-safe. */
void team_stop_quietly(struct team_shared *team);

/* Whether somebody said so quietly. */
bool team_is_stopped(const struct team_shared *team);

/* Whether somebody said so. */
static inline bool team_is_stopping(const struct team_shared *team)
{
    /* relaxed: a late look costs one more item, nothing else hangs on it. */
    return atomic_load_explicit(&team_root(team)->stopping, memory_order_relaxed) != 0;
}

/* How rank has ended; or how it has left, where it gave this team back and goes on. */
static inline enum team_left team_left(const struct team_shared *team, uint32_t rank)
{
    /* acquire: pairs with the release in ordered_say_left(): all that it did is seen. */
    uint32_t left = atomic_load_explicit(&team->ranks[rank].left, memory_order_acquire);

    if (left == TEAM_STAYS && team->to_root != 0)
        left = atomic_load_explicit(&team_root(team)->ranks[team_root_rank(team, rank)].left,
                                    memory_order_acquire);
    return (enum team_left)left;
}

/* The member that rank is; 0: none yet, or at present. */
static inline uint32_t team_member(const struct team_shared *team, uint32_t rank)
{
    /* acquire: pairs with the release of who became it. */
    return atomic_load_explicit(&team_root(team)->ranks[team_root_rank(team, rank)].member,
                                memory_order_acquire);
}

/* Whether rank will do nothing any more: it left, or its process is gone (the system is asked). */
bool team_rank_is_gone(const struct team_shared *team, uint32_t rank);

/* The same as far as whoever supervises the ranks has said so; nobody is asked. */
bool team_rank_is_told_gone(const struct team_shared *team, uint32_t rank);

/* The member that rank is at present, for waits for it; 0 where it is none, be it between two programs. */
uint32_t team_waker(const struct team_shared *team, uint32_t rank);

struct critical_held;

/* A rank's place in its team; private to the process. */
struct team_place {
    struct team_shared *team;
    uint32_t rank;
    sharedmem_loop *loop; /* the one that it is in, which is its user's; or NULL */
    uint64_t behind_loop; /* in a loop: the first ticket behind it (ordered.h) */
    uint64_t ticket;      /* in_ordered: its turn (ordered.h) */
    bool has_ticket;      /* ticket is set: it has been in an ordered region */
    bool in_ordered;
    const char *ordered_where; /* in_ordered: where that began, or NULL */
    bool is_cancelled; /* it knows that the team has failed: what it does from then on is no cause of that */
    bool has_arrived;  /* it is between the two halves of a barrier (barrier.h) */
    /*
     * In a worker: how it ends where it cannot go on, since the team has failed. NULL: waits return an error.
     */
    void (*leave)(void);
    const struct critical_held *masters_hold; /* what nobody here can wait for (critical.h); or NULL */
    const void *item;                         /* what sharedmem_item() gives; or NULL */
    uint32_t cores;                           /* that this rank is bound to, all its own; 0: none */
    const struct team_place *within;          /* where the call was made that this is a rank of; or NULL */
    struct team_place *root;                  /* in a sub-team: the same rank's in the outermost one; else NULL */
};

/* The rank's place in the outermost team. */
static inline struct team_place *team_root_place(const struct team_place *place)
{
    return place->root != NULL ? place->root : (struct team_place *)place;
}

/* What messages say behind the place of a wait: ", in a team of 2" where place is in a sub-team, else "". */
#define TEAM_WHICH_BYTES 40
const char *team_which(const struct team_place *place, char text[TEAM_WHICH_BYTES]);

/* How messages say that rank is gone: "is gone"; or that it gave its sub-team back, and goes on. */
const char *team_how_gone(const struct team_shared *team, uint32_t rank);

/* The process's place and the calling thread's own, or NULL: for team_here() only. */
extern struct team_place *_Atomic team_process_place __attribute__((visibility("hidden")));
extern _Thread_local struct team_place *team_thread_place
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

/*
 * The calling thread's place: its own, else its process's, else NULL: it works for no team, as a team of one.
 */
static inline struct team_place *team_here(void)
{
    /* acquire: pairs with the release in team_set_process(), by whichever thread joined. */
    return team_thread_place != NULL ? team_thread_place
                                     : atomic_load_explicit(&team_process_place, memory_order_acquire);
}

/* Before a fork whose child enters a team: what that would do once in each child is done here for all. */
void team_guard_forks(void);

/* Makes place the process's, for a worker; place stays the caller's. */
void team_enter_process(struct team_place *place);

/* The same for a program that is a rank itself: what its threads work for stays as it is. */
void team_set_process(struct team_place *place);

/*
 * Makes place the calling thread's and returns the one until now, to be given back at the end; NULL is none.
 */
struct team_place *team_enter_thread(struct team_place *place);

/*
 * The team has failed, and rank in place waits for what will not come: ends the worker, or returns -1,
 * ECANCELED.
 */
int team_cancelled(struct team_place *place);

/*
 * Rank is gone, and place's waits in vain for `what` at where ("its turn in"): the team fails with that.
 * Where the rank died, its end is told by whoever supervises it; in a job that may see no more than the
 * rank's shell.
 */
void team_miss(const struct team_place *place, uint32_t rank, const char *what, const char *where);

#endif
