/*
 * deadlocks.h: what ranks do who wait for each other for ever. For any kind of team: all that they share is in
 * *deadlocks, zeroed, which whoever calls the team has set.
 */
#ifndef T_DEADLOCKS_H
#define T_DEADLOCKS_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <sharedmem.h>

struct deadlocks {
    _Atomic int n_here, n_wrong;
    _Atomic pid_t pid;
    sharedmem_mutex mutexes[64];
    sharedmem_counter counter;
};

static struct deadlocks *deadlocks;

static char large[1 << 20];

/* Until n have come here: the library knows nothing of this wait. */
static inline void meet(int n)
{
    atomic_fetch_add(&deadlocks->n_here, 1);
    while (atomic_load(&deadlocks->n_here) < n)
        sched_yield();
}

static inline int next_rank(void)
{
    return (sharedmem_rank() + 1) % sharedmem_size();
}

static inline int rank_before(void)
{
    return (sharedmem_rank() + sharedmem_size() - 1) % sharedmem_size();
}

/* ---- For ever: each of these ends by a verdict ---- */

static void receives_in_a_ring(int rank)
{
    (void)rank;
    sharedmem_recv(NULL, 0, rank_before(), 1, NULL);
}

static void receives_from_any(int rank)
{
    (void)rank;
    sharedmem_recv(NULL, 0, SHAREDMEM_ANY_SOURCE, SHAREDMEM_ANY_TAG, NULL);
}

static void probes(int rank)
{
    sharedmem_status status;

    (void)rank;
    sharedmem_probe(rank_before(), 1, &status);
}

static void other_tags(int rank)
{
    sharedmem_send(&rank, sizeof rank, next_rank(), 1);
    sharedmem_recv(&rank, sizeof rank, rank_before(), 2, NULL);
}

static void sendrecv_with_other_tags(int rank)
{
    int from = 0;

    sharedmem_sendrecv(&rank, sizeof rank, next_rank(), 1, &from, sizeof from, rank_before(), 2, NULL);
}

static void large_messages_first(int rank)
{
    (void)rank;
    sharedmem_send(large, sizeof large, next_rank(), 1);
}

/* Nobody looks at them in a barrier, and there is room for so many only. */
static void small_messages_without_end(int rank)
{
    while (rank == 0 && sharedmem_send(&rank, sizeof rank, next_rank(), 1) == 0)
        ;
    sharedmem_barrier();
}

static void receive_and_barrier(int rank)
{
    if (rank == 0)
        sharedmem_recv(NULL, 0, next_rank(), 1, NULL);
    sharedmem_barrier();
}

static void large_message_and_barrier(int rank)
{
    if (rank == 0)
        sharedmem_send(large, sizeof large, next_rank(), 1);
    else
        sharedmem_barrier();
}

static void receive_and_half_barrier(int rank)
{
    if (rank == 0) {
        sharedmem_recv(NULL, 0, next_rank(), 1, NULL);
    } else {
        sharedmem_barrier_arrive();
        sharedmem_barrier_wait();
    }
}

static void receive_and_reduction(int rank)
{
    if (rank == 0)
        sharedmem_recv(NULL, 0, next_rank(), 1, NULL);
    else
        sharedmem_all_double(1, SHAREDMEM_SUM);
}

static void receive_and_bcast(int rank)
{
    if (rank == 0)
        sharedmem_recv(NULL, 0, next_rank(), 1, NULL);
    else
        sharedmem_bcast(&rank, sizeof rank, 0);
}

/* Each has one and asks for the next one's. */
static void mutexes_in_a_ring(int rank)
{
    int n = sharedmem_size();
    sharedmem_mutex *mine = &deadlocks->mutexes[rank], *other = &deadlocks->mutexes[(rank + 1) % n];

    SHAREDMEM_LOCKED(mine)
    {
        meet(n);
        SHAREDMEM_LOCKED(other)
        {
        }
    }
}

static const char *const names[] = {"zero", "one", "two", "three"};

static void regions_in_a_ring(int rank)
{
    int n = sharedmem_size();

    SHAREDMEM_CRITICAL_NAMED(names[rank])
    {
        meet(n);
        SHAREDMEM_CRITICAL_NAMED(names[(rank + 1) % n])
        {
        }
    }
}

static void mutex_and_region(int rank)
{
    if (rank == 0) {
        SHAREDMEM_CRITICAL
        {
            meet(2);
            SHAREDMEM_LOCKED(&deadlocks->mutexes[0])
            {
            }
        }
    } else {
        SHAREDMEM_LOCKED(&deadlocks->mutexes[0])
        {
            meet(2);
            SHAREDMEM_CRITICAL
            {
            }
        }
    }
}

static void barrier_in_a_region(int rank)
{
    if (rank == 0) {
        SHAREDMEM_CRITICAL
        {
            meet(sharedmem_size());
            sharedmem_barrier();
        }
    } else {
        meet(sharedmem_size());
        SHAREDMEM_CRITICAL
        {
        }
        sharedmem_barrier();
    }
}

static void receive_in_a_mutex(int rank)
{
    if (rank == 0) {
        SHAREDMEM_LOCKED(&deadlocks->mutexes[0])
        {
            meet(2);
            sharedmem_recv(NULL, 0, 1, 1, NULL);
        }
    } else {
        meet(2);
        SHAREDMEM_LOCKED(&deadlocks->mutexes[0])
        {
        }
        sharedmem_send(NULL, 0, 0, 1);
    }
}

/* The later one has the mutex that the earlier one needs before its turn. */
static void turn_in_a_mutex(int rank)
{
    if (rank == 1) {
        SHAREDMEM_LOCKED(&deadlocks->mutexes[0])
        {
            meet(2);
            SHAREDMEM_ORDERED
            {
            }
        }
    } else {
        meet(2);
        SHAREDMEM_LOCKED(&deadlocks->mutexes[0])
        {
        }
        SHAREDMEM_ORDERED
        {
        }
    }
}

/* Item 1 waits for its turn, and item 0 for a message of who has it. */
static void receive_before_a_turn(int rank)
{
    SHAREDMEM_FOR(i, 2, .schedule = SHAREDMEM_STATIC, .chunk = 1)
    {
        if (i == 0)
            sharedmem_recv(NULL, 0, 1 - rank, 1, NULL);
        SHAREDMEM_ORDERED
        {
        }
    }
}

static void loops_far_ahead(int rank)
{
    if (rank == 0) {
        sharedmem_recv(NULL, 0, 1, 1, NULL);
        return;
    }
    for (int k = 0; k < 100; k++) {
        SHAREDMEM_FOR(i, 1, .schedule = SHAREDMEM_STATIC)
        {
            (void)i;
        }
    }
    sharedmem_send(NULL, 0, 0, 1);
}

/* Ranks that are threads end in the middle, and cannot give back what they have: it is kept. */
static sharedmem_team *_Atomic kept[64];
static _Atomic unsigned n_kept;

static sharedmem_team *keep(sharedmem_team *team)
{
    return kept[n_kept++ % 64] = team;
}

static void barriers_of_two_teams(int rank)
{
    sharedmem_team *pair = keep(sharedmem_team_split(rank / 2, 0));

    if (rank != 0)
        sharedmem_barrier();
    SHAREDMEM_TEAM(pair)
    {
        sharedmem_barrier();
    }
    sharedmem_team_free(pair);
}

static void messages_in_a_team(int rank)
{
    sharedmem_team *pair = keep(sharedmem_team_split(rank % 2, 0));

    SHAREDMEM_TEAM(pair)
    {
        sharedmem_recv(NULL, 0, rank_before(), 1, NULL);
    }
    sharedmem_team_free(pair);
}

struct deadlock {
    const char *name;
    int size;
    void (*body)(int rank);
    bool is_of_items; /* a map's items may do it too */
};

static const struct deadlock true_ones[] = {
    {"two that receive from each other", 2, receives_in_a_ring, false},
    {"five that receive in a ring", 5, receives_in_a_ring, false},
    {"all receive from any", 3, receives_from_any, false},
    {"each probes", 2, probes, false},
    {"messages of other tags", 3, other_tags, false},
    {"sendrecv with other tags", 2, sendrecv_with_other_tags, false},
    {"two large messages first", 2, large_messages_first, false},
    {"five large messages first", 5, large_messages_first, false},
    {"small messages without end", 2, small_messages_without_end, false},
    {"a receive, and others in the barrier", 4, receive_and_barrier, false},
    {"a large message, and its receiver in the barrier", 2, large_message_and_barrier, false},
    {"a receive, and others in half a barrier", 3, receive_and_half_barrier, false},
    {"a receive, and others in a reduction", 3, receive_and_reduction, false},
    {"a receive, and others in a broadcast", 2, receive_and_bcast, false},
    {"two mutexes", 2, mutexes_in_a_ring, true},
    {"three mutexes", 3, mutexes_in_a_ring, true},
    {"two regions", 2, regions_in_a_ring, true},
    {"four regions", 4, regions_in_a_ring, true},
    {"a mutex and a region", 2, mutex_and_region, true},
    {"a barrier in a region", 4, barrier_in_a_region, false},
    {"a receive in a mutex", 2, receive_in_a_mutex, false},
    {"a turn in a mutex", 2, turn_in_a_mutex, true},
    {"a receive before a turn of a loop", 2, receive_before_a_turn, false},
    {"loops far ahead", 2, loops_far_ahead, false},
    {"barriers of two teams", 4, barriers_of_two_teams, false},
    {"messages in a team", 4, messages_in_a_team, false},
    {"eight that ask for mutexes", 8, mutexes_in_a_ring, true},
    {"four that probe", 4, probes, false},
    {"ten that receive in a ring", 10, receives_in_a_ring, false},
    {"sixteen large messages first", 16, large_messages_first, false},
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

#endif
