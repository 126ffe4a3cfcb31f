/*
 * look_alikes.h: what only looks as if ranks waited for each other for ever: all go on after a while. As deadlocks.h,
 * whose memory and helpers these use.
 */
#ifndef T_LOOK_ALIKES_H
#define T_LOOK_ALIKES_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "deadlocks.h"

/* How long that takes: longer than two looks at it. */
#define LOOKS_LIKE_MS 300

static inline void sleep_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

static void expect(bool held)
{
    if (!held)
        atomic_fetch_add(&deadlocks->n_wrong, 1);
}

static void one_sleeps(int rank)
{
    if (rank == 0)
        sleep_ms(LOOKS_LIKE_MS);
    sharedmem_barrier();
}

static void one_reckons(int rank)
{
    double since = sharedmem_wtime();

    while (rank == 0 && sharedmem_wtime() < since + LOOKS_LIKE_MS * 1e-3)
        ;
    sharedmem_barrier();
}

/* A child of our own, which the library knows nothing of. */
static pid_t after_a_while(void (*act)(void))
{
    pid_t child = fork();

    if (child != 0)
        return child;
    sleep_ms(LOOKS_LIKE_MS);
    if (act != NULL)
        act();
    _exit(0);
}

static void reap(pid_t child)
{
    expect(child > 0 && waitpid(child, NULL, 0) == child);
}

static int pipe_fds[2];

static void write_byte(void)
{
    expect(write(pipe_fds[1], "", 1) == 1);
}

static void one_reads_slowly(int rank)
{
    pid_t child;
    char byte;

    if (rank == 0) {
        expect(pipe(pipe_fds) == 0);
        child = after_a_while(write_byte);
        expect(read(pipe_fds[0], &byte, 1) == 1);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        reap(child);
    }
    sharedmem_barrier();
}

static void one_waits_for_a_child(int rank)
{
    if (rank == 0)
        reap(after_a_while(NULL));
    sharedmem_barrier();
}

static void go_on(void)
{
    if (deadlocks->pid > 0)
        kill(deadlocks->pid, SIGCONT);
}

/* Rank 1 is stopped, and goes on by the hand of a child of rank 0, who waits in the barrier meanwhile. */
static void one_is_stopped(int rank)
{
    pid_t child = 0;

    if (rank == 1)
        deadlocks->pid = getpid();
    meet(sharedmem_size());
    if (rank == 0) {
        child = after_a_while(go_on);
        expect(kill(deadlocks->pid, SIGSTOP) == 0);
    }
    sharedmem_barrier();
    if (rank == 0)
        reap(child);
}

static void *send_later(void *argument)
{
    sleep_ms(LOOKS_LIKE_MS);
    sharedmem_send(argument, 0, 0, 1);
    return NULL;
}

/* The thread is no member until it sends; it works for its process's team. */
static void a_thread_sends(int rank)
{
    pthread_t thread;

    if (rank == 1)
        expect(pthread_create(&thread, NULL, send_later, NULL) == 0);
    sharedmem_recv(NULL, 0, 1 - rank, 1, NULL);
    if (rank == 0)
        sharedmem_send(NULL, 0, 1, 1);
    else
        pthread_join(thread, NULL);
}

static void *unlock_later(void *argument)
{
    sharedmem_mutex *mutex = argument;

    SHAREDMEM_LOCKED(mutex)
    {
        meet(sharedmem_size() + 1);
        sleep_ms(LOOKS_LIKE_MS);
    }
    return NULL;
}

static void a_thread_unlocks(int rank)
{
    pthread_t thread;

    if (rank == 0)
        expect(pthread_create(&thread, NULL, unlock_later, &deadlocks->mutexes[0]) == 0);
    meet(sharedmem_size() + 1);
    SHAREDMEM_LOCKED(&deadlocks->mutexes[0])
    {
    }
    if (rank == 0)
        pthread_join(thread, NULL);
}

static void timed_mutexes_in_a_ring(int rank)
{
    int n = sharedmem_size();
    sharedmem_mutex *other = &deadlocks->mutexes[(rank + 1) % n];

    SHAREDMEM_LOCKED(&deadlocks->mutexes[rank])
    {
        meet(n);
        expect(sharedmem_mutex_timedlock(other, LOOKS_LIKE_MS * 1e-3) != 0 && errno == ETIMEDOUT);
        atomic_fetch_add(&deadlocks->n_here, 1);
        while (atomic_load(&deadlocks->n_here) < 2 * n)
            sched_yield();
    }
}

static void counter_in_time(int rank)
{
    if (rank == 0)
        expect(sharedmem_counter_timedwait(&deadlocks->counter, SHAREDMEM_GE, 1, LOOKS_LIKE_MS * 1e-3) != 0 &&
               errno == ETIMEDOUT);
    sharedmem_barrier();
}

/* A counter may be set by whoever likes: here by a thread that nobody knows. */
static void *count_later(void *argument)
{
    (void)argument;
    sleep_ms(LOOKS_LIKE_MS);
    sharedmem_counter_add(&deadlocks->counter, 1);
    return NULL;
}

static void a_thread_counts(int rank)
{
    pthread_t thread;

    if (rank == 0) {
        expect(pthread_create(&thread, NULL, count_later, NULL) == 0);
        pthread_join(thread, NULL);
    }
    sharedmem_counter_wait(&deadlocks->counter, SHAREDMEM_GE, 1);
    sharedmem_barrier();
}

static void one_counts_late(int rank)
{
    if (rank == 0) {
        sleep_ms(LOOKS_LIKE_MS);
        sharedmem_counter_add(&deadlocks->counter, 1);
    }
    sharedmem_counter_wait(&deadlocks->counter, SHAREDMEM_GE, 1);
}

static void one_looks_for_messages(int rank)
{
    int found = 0;

    if (rank == 1) {
        sleep_ms(LOOKS_LIKE_MS);
        sharedmem_send(NULL, 0, 0, 1);
    }
    while (rank == 0 && found == 0) {
        found = sharedmem_iprobe(1, 1, NULL);
        sleep_ms(1);
    }
    if (rank == 0)
        sharedmem_recv(NULL, 0, 1, 1, NULL);
    sharedmem_barrier();
}

static void a_region_takes_long(int rank)
{
    SHAREDMEM_CRITICAL
    {
        if (rank == 0)
            sleep_ms(LOOKS_LIKE_MS);
    }
    sharedmem_barrier();
}

static void one_calls_a_shell(int rank)
{
    if (rank == 0)
        expect(system("sleep 0.3") == 0);
    sharedmem_barrier();
}

static int sleep_long(size_t i, void *result, void *context)
{
    (void)result, (void)context;
    if (i == 0)
        sleep_ms(LOOKS_LIKE_MS);
    return 0;
}

static void one_has_a_map(int rank)
{
    if (rank == 0)
        expect(sharedmem_map(3, sleep_long, NULL, .np = 2) == 0);
    sharedmem_barrier();
}

static void one_has_a_background_call(int rank)
{
    if (rank == 0)
        expect(sharedmem_background_wait(sharedmem_background_start(sleep_long, NULL), NULL) == 0);
    sharedmem_barrier();
}

static int lock_first(size_t i, void *result, void *context)
{
    (void)i, (void)result, (void)context;
    SHAREDMEM_LOCKED(&deadlocks->mutexes[0])
    {
    }
    return 0;
}

/* The next rank has what the call needs, and gives it back when this one no longer waits. */
static void background_in_time(int rank)
{
    sharedmem_background *call = NULL;

    if (rank == 1) {
        SHAREDMEM_LOCKED(&deadlocks->mutexes[0])
        {
            meet(2);
            sharedmem_barrier();
        }
    } else {
        meet(2);
        call = sharedmem_background_start(lock_first, NULL);
        expect(!sharedmem_background_test(call, LOOKS_LIKE_MS * 1e-3));
        sharedmem_barrier();
        expect(sharedmem_background_wait(call, NULL) == 0);
    }
}

static void an_alarm_wakes_one(int rank)
{
    struct timespec while_ = {.tv_nsec = LOOKS_LIKE_MS * 1000000l};
    sigset_t set;

    if (rank == 0) {
        sigemptyset(&set);
        sigtimedwait(&set, NULL, &while_);
    }
    sharedmem_barrier();
}

static void many_messages(int rank)
{
    char *room = malloc(sizeof large / 2);

    for (int k = 0; k < 300; k++) {
        sharedmem_sendrecv(&rank, sizeof rank, next_rank(), k, room, sizeof rank, rank_before(), k, NULL);
        if (k % 50 == 0)
            sharedmem_sendrecv(large, sizeof large / 2, next_rank(), 1, room, sizeof large / 2, rank_before(),
                               1, NULL);
    }
    free(room);
}

static void many_barriers(int rank)
{
    (void)rank;
    for (int k = 0; k < 300; k++)
        sharedmem_barrier();
}

static void many_turns(int rank)
{
    (void)rank;
    SHAREDMEM_FOR(i, 600, .schedule = SHAREDMEM_DYNAMIC)
    {
        SHAREDMEM_ORDERED
        {
            expect(i < 600);
        }
    }
}

static void a_turn_takes_long(int rank)
{
    (void)rank;
    SHAREDMEM_FOR(i, 40, .schedule = SHAREDMEM_STATIC, .chunk = 1)
    {
        if (i == 0)
            sleep_ms(LOOKS_LIKE_MS);
        SHAREDMEM_ORDERED
        {
        }
    }
}

static void a_turn_takes_long_inside(int rank)
{
    SHAREDMEM_ORDERED
    {
        if (rank == 0)
            sleep_ms(LOOKS_LIKE_MS);
    }
}

static void a_team_takes_long(int rank)
{
    sharedmem_team *pair = sharedmem_team_split(rank / 2, 0);

    SHAREDMEM_TEAM(pair)
    {
        if (rank == 0)
            sleep_ms(LOOKS_LIKE_MS);
        sharedmem_barrier();
    }
    sharedmem_team_free(pair);
    sharedmem_barrier();
}

/* The last one ends, and rank 0 alone waits for its turn: nobody else passes it over. */
static void one_ends_before_its_turn(int rank)
{
    int last = sharedmem_size() - 1;
    sharedmem_team *team = keep(sharedmem_team_split(0, 0));

    sharedmem_barrier();
    if (rank == last)
        return;
    SHAREDMEM_TEAM(team)
    {
        for (int k = 0; k < (rank == 0 ? 2 : 1); k++) {
            SHAREDMEM_ORDERED
            {
            }
        }
        if (rank != 0)
            expect(sharedmem_recv(NULL, 0, 0, 1, NULL) == 0);
        for (int other = 1; rank == 0 && other < last; other++)
            sharedmem_send(NULL, 0, other, 1);
    }
}

static void a_root_comes_late(int rank)
{
    int value = rank;

    if (rank == 0)
        sleep_ms(LOOKS_LIKE_MS);
    sharedmem_bcast(&value, sizeof value, 0);
    expect(value == 0);
}

static void one_sends_late(int rank)
{
    if (rank == 0) {
        sleep_ms(LOOKS_LIKE_MS);
        for (int other = 1; other < sharedmem_size(); other++)
            sharedmem_send(large, sizeof large / 4, other, 1);
    } else {
        char *room = malloc(sizeof large / 4);

        expect(room != NULL && sharedmem_recv(room, sizeof large / 4, 0, 1, NULL) == 0);
        free(room);
    }
}

struct look_alike {
    const char *name;
    int size;
    void (*body)(int rank);
    bool needs_processes;
};

static const struct look_alike look_alikes[] = {
    {"one sleeps", 3, one_sleeps, false},
    {"one reckons", 3, one_reckons, false},
    {"one reads slowly", 3, one_reads_slowly, true},
    {"one waits for a child of its own", 3, one_waits_for_a_child, true},
    {"one is stopped", 4, one_is_stopped, true},
    {"a thread sends", 2, a_thread_sends, true},
    {"a thread unlocks", 3, a_thread_unlocks, true},
    {"mutexes for some time", 2, timed_mutexes_in_a_ring, false},
    {"a counter for some time", 3, counter_in_time, false},
    {"a thread counts", 3, a_thread_counts, false},
    {"one counts late", 3, one_counts_late, false},
    {"one looks for messages", 3, one_looks_for_messages, false},
    {"a region takes long", 4, a_region_takes_long, false},
    {"one calls a shell", 3, one_calls_a_shell, true},
    {"one has a map", 3, one_has_a_map, true},
    {"one has a background call", 3, one_has_a_background_call, true},
    {"a background call for some time", 2, background_in_time, true},
    {"one waits for a signal", 3, an_alarm_wakes_one, false},
    {"many messages", 8, many_messages, false},
    {"many barriers", 16, many_barriers, false},
    {"many turns", 8, many_turns, false},
    {"a turn takes long", 4, a_turn_takes_long, false},
    {"a turn takes long inside", 4, a_turn_takes_long_inside, false},
    {"a team takes long", 4, a_team_takes_long, false},
    {"one ends before its turn", 4, one_ends_before_its_turn, false},
    {"a root comes late", 4, a_root_comes_late, false},
    {"one sends late", 3, one_sends_late, false},
};

#endif
