/* The wait contract: stages, publishing, wake-ups, and deaths that wake. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/clock.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/recover.h"
#include "memory/wait.h"
#include "tap.h"

struct shared {
    _Atomic uint32_t word;
    _Atomic uint32_t sleepers;
    _Atomic uint32_t done;
};

static struct shared *shared;

static void test_stages(void)
{
    struct wait wait;
    int cheap = 0;

    wait_begin(&wait, WAIT_LOCK, "dir/heat.c:88", 0);
    test_int(WAIT_NOTHING, (long long)member_me->wait.kind, "nothing is published at first");
    while (wait_pause(&wait))
        cheap++;
    test_int(WAIT_PAUSES + WAIT_YIELDS, cheap, "the cheap stages end");
    test_int(WAIT_LOCK, (long long)member_me->wait.kind, "by then the wait is published");
    test_str("dir/heat.c:88", member_me->wait.where, "with its place");
    wait_for(&wait, 77);
    test_int(77, (long long)member_me->wait.whom, "and whom it is for");
    wait_end(&wait);
    test_int(WAIT_NOTHING, (long long)member_me->wait.kind, "and it ends");
}

static void test_long_place(void)
{
    char place[200];
    struct wait wait;

    memset(place, 'x', sizeof place);
    strcpy(place + sizeof place - 10, "end.c:123");
    wait_begin(&wait, WAIT_LOCK, place, 0);
    wait_publish(&wait);
    test_has("xend.c:123", member_me->wait.where, "of a long place the end is kept");
    test_int(sizeof member_me->wait.where - 1, (long long)strlen(member_me->wait.where), "as much as fits");
    wait_end(&wait);
}

static void test_park(void)
{
    struct wait wait;
    uint64_t begin = clock_monotonic_ns();

    wait_begin(&wait, WAIT_LOCK, NULL, 0);
    test_ok(!wait_park(&wait, &shared->word, 0, &shared->sleepers), "a park that nobody ends says so");
    test_ok(clock_monotonic_ns() - begin >= WAIT_PARK_NS - 1000000, "after its period");
    test_ok(wait_park(&wait, &shared->word, 5, &shared->sleepers), "none begins where the word has changed");
    test_int(0, (long long)shared->sleepers, "nobody sleeps");
    wait_end(&wait);
}

static void wait_for_word(uint32_t value)
{
    struct wait wait;
    uint32_t seen;

    wait_begin(&wait, WAIT_LOCK, NULL, 0);
    while ((seen = atomic_load(&shared->word)) != value) {
        if (!wait_pause(&wait))
            wait_park(&wait, &shared->word, seen, &shared->sleepers);
    }
    wait_end(&wait);
}

static void *answer(void *rounds)
{
    if (memory_enter(NULL) != 0)
        return NULL;
    for (uint32_t i = 0; i < *(uint32_t *)rounds; i++) {
        wait_for_word(2 * i + 1);
        atomic_store(&shared->word, 2 * i + 2);
        wait_wake(&shared->word, &shared->sleepers);
    }
    return rounds;
}

/* Hand-offs from one to the other, now and then after a pause, so that all stages occur. */
static void test_hand_off(void)
{
    uint32_t rounds = test_under_valgrind() ? 300 : 20000;
    pthread_t thread;

    atomic_store(&shared->word, 0);
    pthread_create(&thread, NULL, answer, &rounds);
    for (uint32_t i = 0; i < rounds; i++) {
        if (i % 1000 == 0)
            usleep(2000);
        atomic_store(&shared->word, 2 * i + 1);
        wait_wake(&shared->word, &shared->sleepers);
        wait_for_word(2 * i + 2);
    }
    pthread_join(thread, NULL);
    test_int(2 * rounds, (long long)shared->word, "%u hand-offs", rounds);
}

/* A child that waits for whom until it sees it gone, then says so. */
static pid_t fork_waiter(uint32_t whom)
{
    pid_t pid = fork();
    struct wait wait;

    if (pid != 0)
        return pid;
    if (memory_enter(NULL) != 0)
        test_child_exit(1);
    wait_begin(&wait, WAIT_LOCK, NULL, whom);
    while (!member_is_gone(whom)) {
        if (!wait_pause(&wait))
            wait_park(&wait, &shared->word, atomic_load(&shared->word), NULL);
    }
    wait_end(&wait);
    atomic_fetch_add(&shared->done, 1);
    test_child_exit(0);
}

static int n_asleep;

static void count_asleep(uint32_t id, enum member_state state)
{
    n_asleep += state == MEMBER_LIVE && atomic_load(&member_slot(id)->wait.word) != 0;
}

static void test_death_wakes(void)
{
    uint32_t victim = member_reserve();
    int good = 0;

    for (int i = 0; i < 8; i++)
        fork_waiter(victim);
    do {
        n_asleep = 0;
        member_for_each(count_asleep);
        sched_yield();
    } while (n_asleep < 8);
    member_mark_dead(victim);
    for (int i = 0; i < 8; i++) {
        int status;

        wait(&status);
        good += status == 0;
    }
    test_int(8, good, "a death wakes all who sleep");
    recover_all_dead();
}

int main(void)
{
    test_begin(60);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    if (memory_enter(NULL) != 0)
        test_skip_all("no shared memory here");
    shared = heap_alloc_zeroed(sizeof *shared);
    test_stages();
    test_long_place();
    test_park();
    test_hand_off();
    test_death_wakes();
    return test_end();
}
