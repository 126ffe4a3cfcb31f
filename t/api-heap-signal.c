/*
 * Signal handlers that call the heap at any moment: where they interrupted another of its calls theirs fail,
 * with EDEADLK; else they do what they should. Either way no block is given twice, and the heap stays whole.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <sharedmem.h>

#include "tap.h"

#define N_HANDLER 80
#define N_MAIN    64

/* What the handler has: more than a cache keeps, so that it empties and fills that too. */
static void *of_handler[N_HANDLER];
static volatile sig_atomic_t n_of_handler, n_signals, n_refused, n_errors;
static void *of_main[N_MAIN];

static void take_some(int n)
{
    while (n_of_handler < n) {
        void *block = sharedmem_malloc(64);

        if (block == NULL) {
            n_refused++;
            n_errors += errno != EDEADLK;
            return;
        }
        of_handler[n_of_handler++] = block;
    }
}

/* A free that is refused is an uncaught error, and the block stays. */
static void give_all(void)
{
    while (n_of_handler > 0) {
        sig_atomic_t before = n_refused;

        sharedmem_free(of_handler[n_of_handler - 1]);
        if (n_refused != before)
            return;
        n_of_handler--;
    }
}

static void note_refused(const sharedmem_error *error)
{
    n_refused++;
    n_errors += error->code != EDEADLK;
}

static void handle(int signal)
{
    static unsigned seed = 1;
    int saved_errno = errno;

    (void)signal;
    n_signals++;
    seed = seed * 1103515245u + 12345u;
    if (n_of_handler > 0)
        give_all();
    else
        take_some((int)(seed >> 16) % N_HANDLER);
    errno = saved_errno;
}

/* Each block holds where it is kept: who finds something else has one that was given twice. */
static int use(int i)
{
    if (of_main[i] == NULL) {
        of_main[i] = sharedmem_malloc(64);
        if (of_main[i] == NULL)
            return 1;
        memcpy(of_main[i], &(void *){&of_main[i]}, sizeof(void *));
        return 0;
    }
    if (memcmp(of_main[i], &(void *){&of_main[i]}, sizeof(void *)) != 0)
        return 1;
    sharedmem_free(of_main[i]);
    of_main[i] = NULL;
    return 0;
}

static void set_timer(long microseconds)
{
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};

    setitimer(ITIMER_REAL, &timer, NULL);
}

int main(void)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    int rounds = test_under_valgrind() ? 300 : 20000, bad = 0;
    sharedmem_error error = {.message = ""};

    test_begin(120);
    sharedmem_set_uncaught(note_refused);
    sharedmem_set_log(NULL);
    if (sharedmem_heap_check(NULL) != 0)
        test_skip_all("no shared memory here");
    sigaction(SIGALRM, &action, NULL);
    set_timer(60);
    for (int k = 0; (k < 1000 || n_signals < rounds) && bad == 0; k++) {
        for (int i = 0; i < 100 && bad == 0; i++)
            bad = use(rand() % N_MAIN);
    }
    set_timer(0);
    test_int(0, bad, "no block is given twice, with %d signals", (int)n_signals);
    test_int(0, n_errors, "what is refused is so for one reason");
    test_note("%d calls of the handler were refused", (int)n_refused);
    give_all();
    for (int i = 0; i < N_MAIN; i++)
        sharedmem_free(of_main[i]);
    test_int(0, sharedmem_heap_check(&error), "the heap is whole %s", error.message);
    return test_end();
}
