/* The member table: slots and ids, births and deaths, threads and forks. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory/member.h"
#include "memory/memory.h"
#include "memory/recover.h"
#include "tap.h"

static int n_live;

static void count_live(uint32_t id, enum member_state state)
{
    (void)id;
    n_live += state == MEMBER_LIVE;
}

static int count(void)
{
    n_live = 0;
    member_for_each(count_live);
    return n_live;
}

static void test_ids(void)
{
    uint32_t first = member_reserve(), second;

    test_ok(member_my_id != 0 && first != 0 && first != member_my_id, "ids are not 0 and differ");
    test_ok(!member_is_gone(first), "a reserved slot is not gone");
    member_release(first);
    test_ok(member_is_gone(first), "a released one is");
    second = member_reserve();
    test_ok(second != first && member_slot(second) == member_slot(first),
            "its slot comes again with another id");
    member_release(first);
    test_ok(!member_is_gone(second), "an old id changes nothing");
    member_release(second);
}

static void *be_member(void *id)
{
    member_join();
    *(uint32_t *)id = member_my_id;
    return NULL;
}

static void test_threads(void)
{
    uint32_t id = 0;
    pthread_t thread;

    pthread_create(&thread, NULL, be_member, &id);
    pthread_join(thread, NULL);
    test_ok(id != 0 && id != member_my_id, "a thread is a member of its own");
    test_ok(member_is_gone(id), "and no more once it has ended");
    test_int(1, count(), "one member is left");
}

/* A forked child that joins, tells its id and hangs until it is killed. */
static pid_t fork_member(uint32_t *id)
{
    int ends[2];
    pid_t pid;

    if (pipe(ends) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        uint32_t mine = member_my_id;

        if (mine != 0 || member_join() != 0)
            test_child_exit(1);
        if (write(ends[1], &member_my_id, sizeof member_my_id) != sizeof member_my_id)
            test_child_exit(1);
        pause();
    }
    close(ends[1]);
    if (read(ends[0], id, sizeof *id) != sizeof *id)
        *id = 0;
    close(ends[0]);
    return pid;
}

static void test_forked(void)
{
    uint32_t id;
    pid_t pid = fork_member(&id);

    test_ok(id != 0 && id != member_my_id, "a forked child has dropped its parent's slot and takes its own");
    test_ok(!member_look(id), "it lives");
    test_kill(pid, SIGKILL);
    /* It stays a zombie: that is dead enough. */
    waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT);
    test_ok(!member_is_gone(id), "nobody has noticed its death yet");
    test_ok(member_look(id), "whoever looks does");
    test_ok(member_is_gone(id), "and all know");
    waitpid(pid, NULL, 0);
    recover_member(id);
    test_int(1, count(), "its slot is free again");
}

static void test_born_into_slot(void)
{
    uint32_t id = member_reserve();
    pid_t pid = fork();
    int status;

    if (pid == 0)
        test_child_exit(member_become(id) == 0 && member_my_id == id ? 0 : 1);
    waitpid(pid, &status, 0);
    test_int(0, status, "a child becomes the member that was reserved for it");
    test_ok(member_look(id), "and is seen dead after its end");
    recover_member(id);
    id = member_reserve();
    member_mark_dead(id);
    test_ok(member_is_gone(id), "a child killed before its birth can be marked dead");
    pid = fork();
    if (pid == 0)
        test_child_exit(member_become(id) == -1 && errno == EOWNERDEAD ? 0 : 1);
    waitpid(pid, &status, 0);
    test_int(0, status, "and then cannot be born any more");
    recover_member(id);
}

static void test_full(void)
{
    static uint32_t ids[MEMBER_SLOTS];
    uint32_t n = 0, again, dead;
    pid_t pid = fork_member(&dead);

    test_kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    while (n < MEMBER_SLOTS && (ids[n] = member_reserve()) != 0)
        n++;
    test_int(EAGAIN, errno, "a full table is EAGAIN");
    test_int(MEMBER_SLOTS - 2, n, "after all slots but 0 and our own, a dead member's too");
    test_ok(member_is_gone(dead), "who was found dead on the way");
    member_release(ids[7]);
    again = member_reserve();
    test_ok(member_slot(again) == member_slot(ids[7]), "one given back is had again");
    ids[7] = again;
    while (n-- > 0)
        member_release(ids[n]);
    test_int(1, count(), "all given back");
}

int main(void)
{
    test_begin(60);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    test_int(0, memory_enter(NULL), "a member");
    test_ids();
    test_threads();
    test_forked();
    test_born_into_slot();
    test_full();
    return test_end();
}
