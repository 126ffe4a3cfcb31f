#include "team/printed.h"

#include <errno.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "host/fds.h"
#include "memory/claim.h"
#include "memory/wait.h"

/* How long a rank sleeps before it looks again whether the launcher has read. */
#define LOOK_AGAIN_NS 50000

/* The inodes of the launcher's pipes that are this process's stdout and stderr; 0: it is none. */
static uint64_t pipes[2];

_Atomic uint64_t *printed_regions;

/* How many this process itself is in. */
static _Atomic uint32_t n_open;

#define BEGUN ((uint64_t)1)
#define ENDED ((uint64_t)1 << 32)

/*
 * Into a pipe the C library would keep lines until there are 4096 bytes of them, and those of a rank that crashes,
 * or is ended, would never come out. A buffer of the program's own choice stays.
 */
static void print_by_lines(void)
{
    if (pipes[0] == 0 || __flbf(stdout) || (__fbufsize(stdout) != 0 && __fbufsize(stdout) != PIPE_BUF) ||
        ftrylockfile(stdout) != 0)
        return;
    fflush(stdout);
    setvbuf(stdout, NULL, _IOLBF, 0);
    funlockfile(stdout);
}

void printed_joined(void)
{
    struct claim_shared *claim = claim_mine();

    if (claim == NULL)
        return;
    for (int i = 0; i < 2; i++)
        pipes[i] = claim->output_inode[i] == fds_inode(STDOUT_FILENO + i) ? claim->output_inode[i] : 0;
    printed_regions = pipes[0] != 0 || pipes[1] != 0 ? &claim->regions : NULL;
    /* One pipe for both. */
    if (pipes[1] == pipes[0])
        pipes[1] = 0;
    print_by_lines();
}

/* Nothing is in the pipe that is file i, or it is not the launcher's any more. */
static bool is_taken(int i)
{
    int bytes = 0;

    return pipes[i] == 0 || ioctl(STDOUT_FILENO + i, FIONREAD, &bytes) != 0 || bytes == 0;
}

/* The program may have put something else into the place of its stdout. */
static void check_pipe(int i)
{
    if (pipes[i] != 0 && fds_inode(STDOUT_FILENO + i) != pipes[i])
        pipes[i] = 0;
}

static void wait_until_taken(void)
{
    struct timespec pause = {.tv_nsec = LOOK_AGAIN_NS};
    struct wait wait;

    wait_begin(&wait, WAIT_OUTPUT, NULL, 0);
    while (!is_taken(0) || !is_taken(1)) {
        if (wait_pause(&wait))
            continue;
        check_pipe(0);
        check_pipe(1);
        nanosleep(&pause, NULL);
    }
    wait_end(&wait);
}

/* The C library gives a stream its buffer when something is first printed to it. */
static bool has_ever_printed(void)
{
    return __fbufsize(stdout) > 0 || __fbufsize(stderr) > 0;
}

void printed_begin(void)
{
    /* relaxed: the launcher looks after it has read what was printed later, which is order enough. */
    if (printed_regions == NULL)
        return;
    atomic_fetch_add_explicit(&n_open, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(printed_regions, BEGUN, memory_order_relaxed);
}

/* A look that comes between the load and the store is that of another thread's region, and harmless. */
void printed_forget_workers(void)
{
    uint32_t begun, own = atomic_load_explicit(&n_open, memory_order_relaxed);

    if (printed_regions == NULL)
        return;
    begun = (uint32_t)atomic_load_explicit(printed_regions, memory_order_relaxed);
    atomic_store_explicit(printed_regions, (uint64_t)(begun - own) * ENDED | begun, memory_order_relaxed);
}

void printed_settle(void)
{
    int saved_errno = errno;

    if (printed_is_pending())
        fflush(stdout);
    if (printed_regions != NULL) {
        if (has_ever_printed() && (!is_taken(0) || !is_taken(1)))
            wait_until_taken();
        atomic_fetch_add_explicit(printed_regions, ENDED, memory_order_relaxed);
        atomic_fetch_sub_explicit(&n_open, 1, memory_order_relaxed);
    }
    errno = saved_errno;
}
