/*
 * A thousand calls of each kind that fail, in every way, leave nothing: no process, descriptor, block of the
 * heap, slot of the member table, and no memory that grows.
 *
 * TEST_ROUNDS sets how many.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory/heap.h"
#include "memory/member.h"
#include "sharedmem.h"
#include "tap.h"

#define N_ROUNDS  1000
#define N_WARM_UP 48
#define N_ITEMS   12

/* As much as an allocator's habits make of it; a leak of a block a round is more. */
#define RSS_SLACK_KB 1024

enum how { FAIL, FAIL_IN_REDUCE, UNCAUGHT, STOP, EXIT, KILL, N_HOW };

struct shared {
    _Atomic int how;
};

static struct shared *shared;
static sharedmem_pool *pool;

static int fail_by(enum how how)
{
    switch (how) {
    case FAIL:
        return sharedmem_fail(1, "item fails");
    case UNCAUGHT:
        sharedmem_free(&pool);
        return 2;
    case STOP:
        sharedmem_stop();
        return 0;
    case EXIT:
        exit(3);
    case KILL:
        kill(getpid(), SIGKILL);
        break;
    default:
        break;
    }
    return 0;
}

static int work(size_t i, void *result, void *context)
{
    (void)context;
    *(size_t *)result = i;
    return i == 7 ? fail_by((enum how)shared->how) : 0;
}

static int reduce(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    return i == 5 && shared->how == FAIL_IN_REDUCE ? 4 : 0;
}

static int map(sharedmem_map_options options)
{
    sharedmem_error error;

    options.n = N_ITEMS;
    options.work = work;
    options.np = 2;
    options.result_size = sizeof(size_t);
    options.reduce = reduce;
    options.error = &error;
    return sharedmem_map_with(&options, sizeof options);
}

static int map_forked(void)
{
    return map((sharedmem_map_options){.schedule = SHAREDMEM_DYNAMIC});
}

static int map_by_pool(void)
{
    return map((sharedmem_map_options){.pool = pool, .schedule = SHAREDMEM_DYNAMIC});
}

static int map_threads(void)
{
    return map((sharedmem_map_options){.backend = SHAREDMEM_THREADS});
}

static int map_serially(void)
{
    return map((sharedmem_map_options){.backend = SHAREDMEM_SERIAL});
}

/* The item fails in all its tries. */
static int map_again(void)
{
    return map((sharedmem_map_options){.retries = 1, .schedule = SHAREDMEM_STATIC});
}

static int fail(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    if (fail_by((enum how)shared->how) == 0)
        pause();
    return 1;
}

static int wait_for_background(void)
{
    sharedmem_error error;
    sharedmem_background *call = sharedmem_background_start(fail, NULL, .error = &error);

    if (shared->how == STOP || shared->how == FAIL_IN_REDUCE)
        sharedmem_background_cancel(call);
    return sharedmem_background_wait(call, &error);
}

static int fail_in_rank(size_t rank, void *result, void *context)
{
    return rank == 1 ? work(7, &(size_t){0}, context) + (result != NULL) + (shared->how == FAIL_IN_REDUCE)
                     : 0;
}

static int call_parallel(void)
{
    sharedmem_error error;

    return sharedmem_parallel(2, fail_in_rank, NULL, .error = &error) != 0 || shared->how == STOP;
}

/* ---- What is there ---- */

struct use {
    int children, fds, members;
    uint64_t blocks;
    long rss_kb;
};

static int n_members;

static void count_member(uint32_t id, enum member_state state)
{
    (void)id;
    (void)state;
    n_members++;
}

static long rss_kb(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    long kb = 0;

    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0)
            kb = strtol(line + 8, NULL, 10);
    }
    if (status != NULL)
        fclose(status);
    return kb;
}

static struct use look(void)
{
    struct heap_statistics heap;
    struct use use;

    n_members = 0;
    member_for_each(count_member);
    heap_statistics_read(&heap);
    use = (struct use){.children = test_children(),
                       .fds = test_fds(),
                       .members = n_members,
                       .blocks = heap.n_blocks,
                       .rss_kb = rss_kb()};
    return use;
}

static int run(int (*call)(void), int n_how, int rounds)
{
    int failed = 0;

    for (int k = 0; k < rounds; k++) {
        shared->how = k % n_how;
        failed += call() != 0;
    }
    /* A pool that has lost a worker gets it back; then it is as it was. */
    shared->how = N_HOW;
    if (call == map_by_pool)
        call();
    return failed;
}

static int count_rounds(void)
{
    const char *text = getenv("TEST_ROUNDS");

    if (text != NULL && atoi(text) > 0)
        return atoi(text);
    return test_under_valgrind() ? 3 * N_HOW : test_address_sanitized() ? N_ROUNDS / 4 : N_ROUNDS;
}

static void test_call(const char *name, int (*call)(void), int n_how)
{
    int rounds = count_rounds(), failed;
    struct use before, after;

    run(call, n_how, test_under_valgrind() ? 2 * N_HOW : N_WARM_UP);
    before = look();
    failed = run(call, n_how, rounds);
    after = look();
    test_int(rounds, failed, "%s: %d calls fail", name, rounds);
    test_int(before.children, after.children, "no process is left");
    test_int(before.fds, after.fds, "no descriptor");
    test_int(before.members, after.members, "no slot of the member table");
    test_int((long long)before.blocks, (long long)after.blocks, "no block of the heap");
    if (test_under_valgrind() || test_address_sanitized() || test_thread_sanitized())
        test_skip("what checks memory keeps memory");
    else
        test_ok(after.rss_kb - before.rss_kb < RSS_SLACK_KB, "no memory (%ld KiB more)",
                after.rss_kb - before.rss_kb);
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
}

int main(void)
{
    test_begin(120 + (unsigned)count_rounds() / 20);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    shared = sharedmem_calloc(1, sizeof *shared);
    if (shared == NULL)
        test_skip_all("no shared memory here");
    test_call("forked maps", map_forked, N_HOW);
    test_call("maps tried again", map_again, N_HOW);
    /* What ends a process ends the program here. */
    test_call("maps by threads", map_threads, EXIT);
    test_call("serial maps", map_serially, EXIT);
    test_call("background calls", wait_for_background, N_HOW);
    test_call("parallel calls", call_parallel, N_HOW);
    pool = sharedmem_pool_create(2, NULL);
    test_call("maps by a pool", map_by_pool, N_HOW);
    sharedmem_pool_destroy(pool);
    sharedmem_free(shared);
    return test_end();
}
