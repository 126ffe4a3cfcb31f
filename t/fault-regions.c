/*
 * Death in a critical region, an ordered region, a barrier and loops, between any two of their stores: the call
 * must say so, the heap be whole, the region free, and the next call right.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "sharedmem.h"
#include "shared_block.h"
#include "tap.h"

#define N_ITEMS  48
#define N_ROUNDS 100

enum region { UNNAMED, CRITICAL, ORDERED, BARRIER, LOOPS, N_REGIONS };

struct shared {
    size_t bad; /* the item or rank that is to die */
    unsigned long step;
    _Atomic size_t done;
};

static struct shared *shared;

static void arm(size_t i)
{
    if (i == shared->bad)
        fault_arm(shared->step);
}

static int enter_unnamed(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    arm(i);
    SHAREDMEM_CRITICAL
    {
        sharedmem_free(sharedmem_malloc(50));
    }
    shared->done++;
    return 0;
}

static int enter_critical(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    arm(i);
    SHAREDMEM_CRITICAL_NAMED("fault")
    {
        sharedmem_free(sharedmem_malloc(50));
    }
    shared->done++;
    return 0;
}

static int enter_ordered(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    arm(i);
    SHAREDMEM_ORDERED
    {
        usleep(20);
    }
    shared->done++;
    return 0;
}

/* Rank 0 is the caller, which is not to die. */
static int meet(size_t rank, void *result, void *context)
{
    (void)result;
    for (int k = 0; k < 4; k++) {
        if (k == 2)
            arm(rank);
        if (sharedmem_barrier() != 0)
            return 1;
    }
    shared->done++;
    (void)context;
    return 0;
}

/* More than the ring holds, so that the others come to wait for the dead one. */
static int loop(size_t rank, void *result, void *context)
{
    (void)result;
    (void)context;
    for (int k = 0; k < 60; k++) {
        if (k == 2)
            arm(rank);
        SHAREDMEM_FOR(i, 8, .schedule = k % 3)
        {
            if (k % 4 == 3) {
                SHAREDMEM_ORDERED
                {
                    (void)i;
                }
            }
        }
    }
    fault_arm(0);
    if (sharedmem_barrier() != 0)
        return 1;
    shared->done++;
    return 0;
}

static sharedmem_function *const enters[] = {enter_unnamed, enter_critical, enter_ordered};

static int call(enum region region, int np, sharedmem_error *error)
{
    shared->done = 0;
    if (region >= BARRIER)
        return sharedmem_parallel(np, region == BARRIER ? meet : loop, NULL, .error = error);
    return sharedmem_map(N_ITEMS, enters[region], NULL, .np = np, .schedule = SHAREDMEM_DYNAMIC,
                         .error = error);
}

static bool next_is_right(enum region region, int np)
{
    sharedmem_error error;

    shared->bad = SIZE_MAX;
    return call(region, np, &error) == 0 && shared->done == (region >= BARRIER ? (size_t)np : N_ITEMS) &&
           heap_check(NULL) == 0 && test_children() == 0;
}

static bool is_told_right(enum region region, const sharedmem_error *error)
{
    if (errno != ECANCELED || error->kind != SHAREDMEM_ERROR_SIGNAL || error->code != SIGKILL)
        return false;
    if (region >= BARRIER)
        return error->rank == (int32_t)shared->bad && error->item == SHAREDMEM_NO_ITEM;
    /* Many steps on, its worker may have come to another item, or to its end. */
    return shared->step > 4 || error->item == shared->bad;
}

static void test_region(enum region region, const char *name)
{
    int right = 0, died = 0;
    unsigned seed = 7;
    int rounds = test_under_valgrind() ? 10 : test_address_sanitized() ? N_ROUNDS / 3 : N_ROUNDS;

    for (int round = 0; round < rounds; round++) {
        int np = 2 + rand_r(&seed) % 7;
        sharedmem_error error;

        shared->bad = region >= BARRIER ? 1 + (size_t)rand_r(&seed) % (size_t)(np - 1)
                                        : (size_t)rand_r(&seed) % N_ITEMS;
        shared->step = 1 + (unsigned long)round % (region <= CRITICAL || region == LOOPS ? 40 : 8);
        if (call(region, np, &error) == 0) {
            right += next_is_right(region, np);
            continue;
        }
        died++;
        right += is_told_right(region, &error) && next_is_right(region, np);
    }
    test_int(rounds, right, "%s: deaths are told right and harm nothing", name);
    test_ok(died >= rounds / 4, "%d of %d calls lost a worker", died, rounds);
}

int main(void)
{
    test_begin(240);
    shared = shared_block("64M", sizeof *shared);
    /* From then on its short ways are open, in the workers too. */
    SHAREDMEM_CRITICAL {}
    test_region(UNNAMED, "critical without a name");
    test_region(CRITICAL, "critical");
    test_region(ORDERED, "ordered");
    test_region(BARRIER, "barrier");
    test_region(LOOPS, "loops");
    return test_end();
}
