/* The recoverable lock: exclusion between processes and between threads, and what is left of dead owners. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory/heap.h"
#include "memory/lock.h"
#include "memory/member.h"
#include "memory/memory.h"
#include "memory/recover.h"
#include "memory/segment.h"
#include "memory/wait.h"
#include "tap.h"

struct shared {
    struct lock_shared lock;
    uint64_t counter; /* guarded by lock, and not atomic: lost additions show */
    _Atomic uint32_t ready;
    struct lock_shared more[MEMBER_HELD_MAX + 1];
};

static struct shared *shared;

static void add(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        if (lock_acquire(&shared->lock, "t/lock.c:0") != 0)
            return;
        shared->counter++;
        lock_release(&shared->lock);
    }
}

static unsigned rounds(void)
{
    return test_under_valgrind() ? 500 : 20000;
}

static void test_processes(int n)
{
    bool good = true;

    shared->counter = 0;
    for (int i = 0; i < n; i++) {
        if (fork() == 0) {
            if (memory_enter(NULL) != 0)
                test_child_exit(1);
            add(rounds());
            test_child_exit(0);
        }
    }
    for (int i = 0; i < n; i++) {
        int status;

        wait(&status);
        good &= status == 0;
    }
    test_ok(good, "%d processes", n);
    test_int((long long)n * rounds(), (long long)shared->counter, "no addition is lost");
    recover_all_dead();
}

static void *add_in_thread(void *unused)
{
    (void)unused;
    if (memory_enter(NULL) == 0)
        add(rounds());
    return NULL;
}

static void test_threads(int n)
{
    pthread_t threads[32];

    shared->counter = 0;
    for (int i = 0; i < n; i++)
        pthread_create(&threads[i], NULL, add_in_thread, NULL);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    test_int((long long)n * rounds(), (long long)shared->counter, "no addition of %d threads is lost", n);
}

static void test_own(void)
{
    test_int(0, lock_acquire(&shared->lock, NULL), "free memory is a free lock");
    test_int(EDEADLK, lock_acquire(&shared->lock, NULL), "taken twice is EDEADLK");
    lock_release(&shared->lock);
    test_int(0, lock_acquire(&shared->lock, NULL), "and free after one release");
    lock_release(&shared->lock);
    test_ok(!member_holds_any(member_my_id), "nothing is held");
}

/* The short ways say no where they are not for it, and have changed nothing then. */
static void test_short_ways(void)
{
    struct lock_shared *first = &shared->more[0], *second = &shared->more[1];

    test_int(0, lock_try(first, segment_offset(first)), "a free lock is taken by the short way");
    test_ok(lock_is_mine(first) && member_holds_any(member_my_id), "and noted");
    test_int(EBUSY, lock_try(second, segment_offset(second)), "a second one is not");
    test_int(EBUSY, lock_try(first, segment_offset(first)), "nor the same again");
    test_int(0, (long long)second->word, "the second is as free as before");
    test_ok(!lock_try_release(second, segment_offset(second)), "what is not mine is not given back");
    test_int(0, lock_acquire(second, NULL), "the long way takes it");
    test_ok(!lock_try_release(second, segment_offset(second)), "whose note the short way does not know");
    test_ok(lock_is_mine(second), "and so leaves it");
    atomic_fetch_or(&first->word, 1u << MEMBER_ID_BITS);
    test_ok(!lock_try_release(first, segment_offset(first)), "nor is a lock for which somebody sleeps");
    lock_release(first);
    lock_release(second);
    test_ok(first->word == 0 && second->word == 0 && !member_holds_any(member_my_id),
            "the long way gives both back");
    atomic_store(&first->word, member_my_id + 1);
    test_int(EBUSY, lock_try(first, segment_offset(first)), "what another has is not taken");
    test_ok(!lock_try_release(first, segment_offset(first)) && first->word == member_my_id + 1,
            "and not given back");
    test_ok(!member_holds_any(member_my_id), "nor noted");
    atomic_store(&first->word, 0);
    atomic_store(&first->owner_died, 1);
    test_int(EOWNERDEAD, lock_try(first, segment_offset(first)), "the short way tells of a dead owner");
    lock_mark_consistent(first);
    test_ok(lock_try_release(first, segment_offset(first)) && first->word == 0, "and back");
}

/* A child that takes n locks and is killed with them. Its id. */
static uint32_t die_holding(struct lock_shared *locks, unsigned n)
{
    uint32_t id = member_reserve();
    pid_t pid = fork();

    if (pid == 0) {
        member_become(id);
        for (unsigned i = 0; i < n; i++)
            lock_acquire(&locks[i], NULL);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
    return id;
}

static void test_dead_owner(void)
{
    uint32_t id = die_holding(&shared->lock, 1);

    test_ok(!member_is_gone(id), "an owner died unseen");
    test_int(EOWNERDEAD, lock_acquire(&shared->lock, NULL), "its lock is had all the same, and says so");
    test_ok(member_is_gone(id), "the waiter saw the death");
    lock_release(&shared->lock);
    test_int(EOWNERDEAD, lock_acquire(&shared->lock, NULL), "until somebody says that all is well");
    lock_mark_consistent(&shared->lock);
    lock_release(&shared->lock);
    test_int(0, lock_acquire(&shared->lock, NULL), "it does");
    lock_release(&shared->lock);
    recover_member(id);

    id = die_holding(&shared->lock, 1);
    recover_member(id);
    test_int(0, (long long)shared->lock.word, "recover_member frees a dead member's lock");
    test_int(EOWNERDEAD, lock_acquire(&shared->lock, NULL), "which says so to the next");
    lock_mark_consistent(&shared->lock);
    lock_release(&shared->lock);
}

static void test_many_held(void)
{
    uint32_t id = die_holding(shared->more, MEMBER_HELD_MAX);
    uint32_t next;

    recover_member(id);
    next = member_reserve();
    test_ok(member_slot(next) == member_slot(id), "a slot comes again after all its locks were recovered");
    member_release(next);
    for (unsigned i = 0; i < MEMBER_HELD_MAX; i++)
        lock_mark_consistent(&shared->more[i]);
    id = die_holding(shared->more, MEMBER_HELD_MAX + 1);
    recover_member(id);
    next = member_reserve();
    test_ok(member_slot(next) != member_slot(id), "but not while locks may be left that nobody noted");
    member_release(next);
    test_int(EOWNERDEAD, lock_acquire(&shared->more[MEMBER_HELD_MAX], NULL), "these are found dead too");
    lock_release(&shared->more[MEMBER_HELD_MAX]);
}

static void *die_in_thread(void *id)
{
    if (memory_enter(NULL) == 0)
        lock_acquire(&shared->lock, NULL);
    *(uint32_t *)id = member_my_id;
    return NULL;
}

static void test_thread_that_ends(void)
{
    uint32_t id = 0;
    pthread_t thread;

    pthread_create(&thread, NULL, die_in_thread, &id);
    pthread_join(thread, NULL);
    test_int(EOWNERDEAD, lock_acquire(&shared->lock, NULL),
             "a thread that ended in the lock is a dead owner");
    lock_mark_consistent(&shared->lock);
    lock_release(&shared->lock);
    recover_member(id);
}

static void find_sleeper(uint32_t id, enum member_state state)
{
    struct member_shared *member = member_slot(id);

    if (state == MEMBER_LIVE && atomic_load(&member->wait.kind) == WAIT_LOCK &&
        atomic_load(&member->wait.word) != 0 && atomic_load(&member->wait.whom) == member_my_id)
        atomic_fetch_add(&shared->ready, 1);
}

static void test_published(void)
{
    pid_t pid;

    lock_acquire(&shared->lock, NULL);
    pid = fork();
    if (pid == 0) {
        if (memory_enter(NULL) == 0)
            add(1);
        test_child_exit(0);
    }
    while (atomic_load(&shared->ready) == 0) {
        member_for_each(find_sleeper);
        usleep(1000);
    }
    test_ok(true, "who sleeps for a lock publishes what it waits for and whom");
    lock_release(&shared->lock);
    waitpid(pid, NULL, 0);
    recover_all_dead();
}

int main(void)
{
    test_begin(120);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    if (memory_enter(NULL) != 0)
        test_skip_all("no shared memory here");
    shared = heap_alloc_zeroed(sizeof *shared);
    test_own();
    test_short_ways();
    test_processes(1);
    test_processes(2);
    test_processes(8);
    test_processes(32);
    test_threads(2);
    test_threads(8);
    test_threads(32);
    test_dead_owner();
    test_many_held();
    test_thread_that_ends();
    test_published();
    return test_end();
}
