/*
 * Checking mode: a death between any two stores of what it notes about locks does no harm. Those who live take
 * locks as before, find the next circle, and find no circle that is none.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "memory/heap.h"
#include "sharedmem.h"
#include "tap.h"
#include "team/lock_order.h"

/* More than the calls have. */
#define N_STEPS 3000

struct shared {
    sharedmem_mutex a, b, c, unused[5];
    unsigned long step;
    _Atomic int began;
};
static struct shared *shared;

static int n_warnings;
static char warning[1024];

static void note_warning(const char *message)
{
    n_warnings++;
    snprintf(warning, sizeof warning, "%s", message);
}

static void lock_both(sharedmem_mutex *one, sharedmem_mutex *two)
{
    bool died;

    sharedmem_mutex_lock_robust(one, &died);
    sharedmem_mutex_lock_robust(two, &died);
    sharedmem_mutex_unlock(two);
    sharedmem_mutex_unlock(one);
}

/* Pairs are noted, given back with their block, and noted again; in rank 1, which may die. */
static int use_locks(size_t rank, void *result, void *context)
{
    sharedmem_mutex *block;

    (void)result;
    (void)context;
    if (rank != 1)
        return 0;
    block = sharedmem_calloc(2, sizeof *block);
    fault_arm(shared->step);
    lock_both(&shared->a, &shared->b);
    lock_both(&block[0], &block[1]);
    lock_both(&shared->b, &block[0]);
    sharedmem_free(block);
    lock_both(&shared->b, &shared->c);
    fault_arm(0);
    return 0;
}

/* Returns what is wrong, as bits, in a program whose rank 1 has died, or not. */
static int is_wrong_after(unsigned long step, int *n_died)
{
    sharedmem_error error;
    int wrong = 0;

    n_warnings = 0;
    memset(shared, 0, sizeof *shared);
    shared->step = step;
    if (sharedmem_parallel(2, use_locks, NULL, .error = &error) != 0) {
        ++*n_died;
        wrong |= error.kind != SHAREDMEM_ERROR_SIGNAL || error.code != SIGKILL;
    }
    lock_both(&shared->a, &shared->b);
    lock_both(&shared->b, &shared->c);
    wrong |= (n_warnings != 0) << 1;
    lock_both(&shared->c, &shared->a);
    wrong |= (n_warnings != 1 || strstr(warning, "different orders") == NULL) << 2;
    lock_both(&shared->c, &shared->a);
    wrong |= (n_warnings != 1) << 3;
    /* Next time they are other mutexes; nor does anybody free what a dead rank had allocated. */
    lock_order_forget(0, SIZE_MAX);
    return wrong | (heap_check(NULL) != 0) << 4;
}

int main(void)
{
    int wrong = 0, n_died = 0, n_before = -1;

    test_begin(120);
    setenv("SHAREDMEM_CHECK", "1", 1);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    sharedmem_set_log(note_warning);
    shared = sharedmem_calloc(1, sizeof *shared);
    /* Until the calls have fewer steps. */
    for (unsigned long step = 1; step <= N_STEPS && wrong == 0 && n_died > n_before;
         step += test_under_valgrind() || test_address_sanitized() ? 17 : 1) {
        n_before = n_died;
        wrong = is_wrong_after(step, &n_died);
        if (wrong != 0)
            test_note("death at step %lu: %d, the last warning: %s", step, wrong, warning);
    }
    test_int(0, wrong, "after each death the living go on, and find what is wrong, once");
    test_ok(n_died > 3 && n_died == n_before, "%d died, and then nobody", n_died);
    return test_end();
}
