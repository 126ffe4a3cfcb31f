#include "memory/claim.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/each_fork.h"
#include "base/env.h"
#include "base/error.h"
#include "base/log.h"
#include "base/slow.h"
#include "base/text.h"
#include "host/clock.h"
#include "host/pages.h"
#include "host/process.h"
#include "memory/foreign.h"

_Static_assert(sizeof(struct claim_shared) == 128, "a claim is two cache lines");

/* An owner is a pid in the low bits, which Linux keeps below 2^22, and milliseconds since boot. */
#define PID_BITS 22u

/* What this process is; known from the first call of find_out() on. */
static struct {
    atomic_bool is_known; /* release: the rest is there */
    int rank;             /* -1: alone */
    int size;
    pid_t pid; /* who found out */
    struct segment_header_shared *header;
} self = {.rank = -1, .size = 1};

/* Who else has started it, where it is a rank but not smrrun's. Written with the above. */
static struct foreign foreign;

struct job {
    pid_t pid;
    int fd;
    uint64_t cookie;
};

/* ---- Step 1: the segment ---- */

static int parse_job(const char *text, struct job *job)
{
    char *end;
    unsigned long pid = strtoul(text, &end, 10), fd;

    if (!isdigit((unsigned char)*text) || *end != ':' || pid == 0 || pid > INT_MAX)
        return -1;
    text = end + 1;
    fd = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end != ':' || fd > INT_MAX)
        return -1;
    text = end + 1;
    if (!isxdigit((unsigned char)*text))
        return -1;
    job->pid = (pid_t)pid;
    job->fd = (int)fd;
    job->cookie = strtoull(text, &end, 16);
    return *end == '\0' ? 0 : -1;
}

/* A new fd for the launcher's. */
static int open_launchers(const struct job *job)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)job->pid, job->fd);
    return open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

/* Checks what fd is before anything is believed that lies in it. */
static int check_fd(int fd, const struct job *job, struct segment_header_shared *header,
                    sharedmem_error *error)
{
    uint64_t size;

    if (pages_inspect(fd, &size) != 0) {
        if (errno == EPERM)
            return error_set(error, SHAREDMEM_ERROR_SYSTEM, EPERM,
                             "the job's shared memory belongs to another user");
        return error_set(error, SHAREDMEM_ERROR_USAGE, ESRCH, "what %s names is not shared memory of a job",
                         env_name(ENV_JOB));
    }
    if (pread(fd, header, sizeof *header, 0) != (ssize_t)sizeof *header)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EPROTO, "the job's shared memory has no header");
    if (segment_header_check(header, size, error) != 0)
        return -1;
    if (header->cookie != job->cookie || header->n_ranks == 0)
        return error_set(error, SHAREDMEM_ERROR_USAGE, ESRCH,
                         "%s names another job: it was left over in the environment", env_name(ENV_JOB));
    return 0;
}

/* Returns fd where it is the job's segment; else closes it and returns -1. */
static int keep_if_right(int fd, const struct job *job, struct segment_header_shared *header,
                         sharedmem_error *error)
{
    int saved_errno;

    if (check_fd(fd, job, header, error) == 0)
        return fd;
    saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return -1;
}

int claim_open(struct segment_header_shared *header, sharedmem_error *error)
{
    const char *text = env_text(ENV_JOB);
    struct job job;
    int fd;

    if (foreign.launcher != NULL)
        return foreign_open(&foreign, header, error);
    if (text == NULL)
        return error_set(error, SHAREDMEM_ERROR_USAGE, ENOENT, "this process belongs to no job");
    /* So the launcher says that it could make none. */
    if (text[0] == '!')
        return error_set(error, SHAREDMEM_ERROR_SYSTEM, ENOMEM, "%s", text + 1);
    if (parse_job(text, &job) != 0)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s=%.40s is malformed; only the launcher sets it", env_name(ENV_JOB), text);
    /* First what is cheap: by way of /proc, 16 ranks take half a millisecond longer. */
    fd = fcntl(job.fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0 && keep_if_right(fd, &job, header, NULL) >= 0)
        return fd;
    fd = open_launchers(&job);
    if (fd < 0)
        return error_set(error, SHAREDMEM_ERROR_SYSTEM, ESRCH, "the job's launcher (pid %d) is gone",
                         (int)job.pid);
    return keep_if_right(fd, &job, header, error);
}

/* ---- Steps 2 and 3 ---- */

uint64_t claim_table_bytes(uint32_t n_ranks)
{
    return n_ranks * sizeof(struct claim_shared);
}

static struct claim_shared *claims_in(struct segment_header_shared *header)
{
    return (struct claim_shared *)(void *)((char *)header + header->part_offset[SEGMENT_CLAIMS]);
}

struct claim_shared *claim_of(uint32_t rank)
{
    return &claims_in(segment_header())[rank];
}

pid_t claim_owner_pid(const struct claim_shared *claim)
{
    return (pid_t)(atomic_load_explicit(&claim->owner, memory_order_relaxed) & ((1u << PID_BITS) - 1));
}

static uint64_t owner_now(void)
{
    return clock_boot_ns() / 1000000u << PID_BITS | (uint64_t)getpid();
}

static bool owner_lives(uint64_t owner)
{
    return process_lives_at_all((pid_t)(owner & ((1u << PID_BITS) - 1)), (owner >> PID_BITS) * 1000000u);
}

/*
 * Whether who has the claim ended in that state. Its state is looked at again when it is known to be gone: it may have
 * left in good order just before, and whoever asks have been held up between the two.
 */
static bool has_died_in(const struct claim_shared *claim, enum claim_state state)
{
    uint64_t owner = atomic_load_explicit(&claim->owner, memory_order_acquire);

    /* acquire, all: pairs with the releases of who takes it, and goes on; its last words were before its end. */
    return owner != 0 && atomic_load_explicit(&claim->state, memory_order_acquire) == state &&
           !owner_lives(owner) && atomic_load_explicit(&claim->state, memory_order_acquire) == state &&
           atomic_load_explicit(&claim->owner, memory_order_acquire) == owner;
}

bool claim_is_dead(const struct claim_shared *claim)
{
    return has_died_in(claim, CLAIM_JOINED);
}

/* As a member; or in the meeting, whose votes it may have given in part. */
static bool died_in_the_middle(const struct segment_header_shared *header, const struct claim_shared *claim)
{
    uint32_t state = atomic_load_explicit(&claim->state, memory_order_acquire);

    return state == CLAIM_JOINED ||
           (state == CLAIM_MEETING && atomic_load_explicit(&header->address, memory_order_relaxed) == 0);
}

/* Takes rank's claim. Returns 0, or -1 with errno EBUSY (another has it), EOWNERDEAD, and error. */
static int take(struct segment_header_shared *header, int rank, sharedmem_error *error)
{
    struct claim_shared *claim = &claims_in(header)[rank];
    uint64_t owner = atomic_load_explicit(&claim->owner, memory_order_acquire);

    for (;;) {
        /* It may be this process itself, before it executed this program: then that is over. */
        if (owner != 0 && claim_owner_pid(claim) == getpid())
            break;
        if (owner != 0 && owner_lives(owner))
            return error_set(error, SHAREDMEM_ERROR_USAGE, EBUSY,
                             "process %d would be a second process of rank %d, which process %d is; it runs "
                             "alone, as rank 0 of 1",
                             (int)getpid(), rank, (int)claim_owner_pid(claim));
        if (owner != 0 && died_in_the_middle(header, claim))
            return error_set(error, SHAREDMEM_ERROR_SIGNAL, EOWNERDEAD,
                             "rank %d cannot go on: its earlier process %d died while it was part of the job",
                             rank, (int)claim_owner_pid(claim));
        /* acq_rel: what the rank's earlier program did is seen by this one. */
        if (atomic_compare_exchange_strong_explicit(&claim->owner, &owner, owner_now(), memory_order_acq_rel,
                                                    memory_order_acquire))
            break;
    }
    atomic_store_explicit(&claim->parent, getppid(), memory_order_relaxed);
    /* release: with the state, what it is the state of; pairs with has_died_in(). */
    atomic_store_explicit(&claim->state, CLAIM_TAKEN, memory_order_release);
    return 0;
}

static int read_rank(uint32_t n_ranks, long *rank, sharedmem_error *error)
{
    if (foreign.launcher != NULL) {
        *rank = foreign.rank;
        return 0;
    }
    if (env_int(ENV_RANK, 0, (long)n_ranks - 1, rank) == ENV_GOOD)
        return 0;
    return error_set(error, SHAREDMEM_ERROR_USAGE, EPROTO,
                     "%s=%.40s is no rank of this job, which has %u; only the launcher sets it",
                     env_name(ENV_RANK), env_text(ENV_RANK) != NULL ? env_text(ENV_RANK) : "", n_ranks);
}

/* Returns the rank, or -1 with errno and error. */
static int claim(sharedmem_error *error)
{
    struct segment_header_shared copy, *header;
    uint64_t bytes;
    long rank;
    int fd = claim_open(&copy, error);

    if (fd < 0)
        return -1;
    bytes = copy.part_offset[SEGMENT_CLAIMS] + claim_table_bytes(copy.n_ranks);
    header = pages_map_begin(fd, bytes);
    close(fd);
    if (header == NULL)
        return error_system(error, "cannot map the beginning of the job's shared memory");
    if (read_rank(copy.n_ranks, &rank, error) != 0 || take(header, (int)rank, error) != 0) {
        int saved_errno = errno;

        pages_unmap(header, bytes);
        errno = saved_errno;
        return -1;
    }
    self.header = header;
    self.size = (int)copy.n_ranks;
    return (int)rank;
}

/* What is left over in an environment is no reason not to run; what belongs to the job and is wrong is. */
static void tell(const sharedmem_error *error)
{
    switch (error->code) {
    case ENOENT:
    case ENOMEM:
        break;
    case ESRCH:
    case EPERM:
    case EINVAL:
    case EBUSY:
        log_warn("%s%s", error->message,
                 error->code == EBUSY ? "" : "; this process runs alone, as rank 0 of 1");
        break;
    default:
        error_uncaught(error);
    }
}

/* A program's own fork: the copy is not the rank, unless it finds that free. */
EACH_FORK static void forget_in_forked_child(void)
{
    foreign_forget();
    self.rank = -1;
    self.size = 1;
    self.header = NULL;
    atomic_store_explicit(&self.is_known, false, memory_order_relaxed);
}

/* The launcher could make no shared memory: who wants some will hear why; who only counts ranks can. */
static void take_by_environment(void)
{
    long size, rank;

    if (env_int(ENV_SIZE, 1, INT_MAX, &size) != ENV_GOOD || env_int(ENV_RANK, 0, size - 1, &rank) != ENV_GOOD)
        return;
    self.rank = (int)rank;
    self.size = (int)size;
}

static void install_hook(void)
{
    pthread_atfork(NULL, NULL, forget_in_forked_child);
}

/* Whether somebody has started this process as a rank. */
static bool is_rank(void)
{
    const char *job = env_text(ENV_JOB);

    if (job != NULL && strcmp(job, "none") != 0)
        return true;
    foreign_read(&foreign);
    if (foreign.problem[0] != '\0')
        log_warn("%s; this process runs alone, as rank 0 of 1", foreign.problem);
    return foreign.launcher != NULL;
}

static void find_out(void)
{
    static pthread_once_t hook_once = PTHREAD_ONCE_INIT;
    sharedmem_error error;

    error_clear(&error);
    slow_lock();
    if (!atomic_load_explicit(&self.is_known, memory_order_relaxed)) {
        int saved_errno = errno;

        /* Before it is known: a child that is forked meanwhile finds out by itself. */
        self.rank = is_rank() ? claim(&error) : -1;
        self.pid = getpid();
        if (self.rank < 0 && error.code == ENOMEM)
            take_by_environment();
        atomic_store_explicit(&self.is_known, true, memory_order_release);
        if (self.rank >= 0)
            pthread_once(&hook_once, install_hook);
        else if (error.kind != SHAREDMEM_ERROR_NONE)
            tell(&error);
        errno = saved_errno;
    }
    slow_unlock();
}

int claim_rank(void)
{
    if (!atomic_load_explicit(&self.is_known, memory_order_acquire))
        find_out();
    return self.rank;
}

int claim_size(void)
{
    claim_rank();
    return self.size;
}

struct segment_header_shared *claim_header(void)
{
    return claim_rank() >= 0 ? self.header : NULL;
}

struct claim_shared *claim_mine(void)
{
    return claim_header() != NULL ? &claims_in(self.header)[self.rank] : NULL;
}

bool claim_is_mine(void)
{
    return atomic_load_explicit(&self.is_known, memory_order_acquire) && self.header != NULL &&
           self.pid == getpid();
}

void claim_leave(enum claim_state state)
{
    struct claim_shared *mine;

    if (!claim_is_mine())
        return;
    mine = claim_mine();
    /* Nobody else sees that it ends. */
    if (foreign_is_met() && atomic_load_explicit(&mine->state, memory_order_relaxed) == CLAIM_JOINED)
        atomic_store_explicit(&mine->has_ended, 1, memory_order_relaxed);
    atomic_store_explicit(&mine->state, state, memory_order_relaxed);
    /* release: pairs with the exchange in take(). Given up, it stays: nobody shall come after that. */
    if (state == CLAIM_LEFT)
        atomic_store_explicit(&mine->owner, 0, memory_order_release);
}

/* ---- Without a launcher ---- */

bool claim_has_left(struct segment_header_shared *header, int rank)
{
    struct claim_shared *claim = &claims_in(header)[rank];

    return atomic_load_explicit(&claim->has_ended, memory_order_acquire) != 0 || claim_is_dead(claim);
}

/* Whether this process and claim's were started by the same, which lives: this one's parent is no other since. */
static bool has_same_parent(const struct claim_shared *claim)
{
    pid_t parent = atomic_load_explicit(&claim->parent, memory_order_relaxed);

    return parent > 1 && parent == getppid();
}

int claim_dead_in_meeting(bool before_too)
{
    for (int rank = 0; rank < self.size; rank++) {
        const struct claim_shared *claim = &claims_in(self.header)[rank];

        if (has_died_in(claim, CLAIM_MEETING) ||
            (before_too && has_died_in(claim, CLAIM_TAKEN) && has_same_parent(claim)))
            return rank;
    }
    return -1;
}

bool claim_list_missing(struct text_ranges *missing)
{
    int first = -1;

    text_ranges_begin(missing);
    for (int rank = 0; rank < self.size; rank++) {
        uint32_t state = atomic_load_explicit(&claims_in(self.header)[rank].state, memory_order_acquire);

        if (state != CLAIM_MEETING && state != CLAIM_JOINED)
            text_ranges_add(missing, (unsigned)rank);
        else if (first < 0)
            first = rank;
    }
    return first == self.rank;
}

const char *claim_launcher(void)
{
    return foreign.launcher != NULL ? foreign.launcher : "smrrun";
}
