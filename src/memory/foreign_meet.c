/* How ranks that no smrrun has started find their job's segment: foreign.h has the steps. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "host/clock.h"
#include "host/pages.h"
#include "host/process.h"
#include "host/rendezvous.h"
#include "memory/claim.h"
#include "memory/foreign.h"

/* Who holds the lock is done in a millisecond. */
#define LOCK_NS 500000u
#define OLD_NS  5000000u

uint64_t foreign_patience_ns = UINT64_C(5000000000);

int (*foreign_create)(uint32_t n_ranks, sharedmem_error *error);

/* What this process keeps: the name of its rank, and the segment. -1: nothing yet. */
static int name_fd = -1, memory_fd = -1;

static void pause_ns(uint64_t ns)
{
    struct timespec time = clock_timespec(ns);

    nanosleep(&time, NULL);
}

/* "sharedmem/1000/slurm.17.0.0/3"; rank -1: the lock. */
static const char *name_of(const struct foreign *foreign, int rank, char text[108])
{
    if (rank < 0)
        snprintf(text, 107, "sharedmem/%u/%s/meet", (unsigned)geteuid(), foreign->job);
    else
        snprintf(text, 107, "sharedmem/%u/%s/%d", (unsigned)geteuid(), foreign->job, rank);
    return text;
}

/* Once it takes long: who has the lock. A stopped process, say. Returns 0, or -1 with errno: it is no rank's. */
static int tell_of_holder(const struct foreign *foreign, const char *name)
{
    pid_t pid = rendezvous_owner(name);

    if (pid < 0 && errno == EPERM)
        return -1;
    if (pid > 0)
        log_warn("rank %d waits for process %d, which is about to find the other ranks that %s has started; if it "
                 "is stopped, kill -CONT %d lets it go on",
                 foreign->rank, (int)pid, foreign->launcher, (int)pid);
    return 0;
}

/* Returns the lock's fd, or -1 with errno and error. */
static int lock(const struct foreign *foreign, sharedmem_error *error)
{
    uint64_t tell_ns = clock_monotonic_ns() + foreign_patience_ns;
    char name[108];
    int fd;

    name_of(foreign, -1, name);
    while ((fd = rendezvous_take(name)) < 0 && errno == EADDRINUSE) {
        if (tell_ns != 0 && clock_monotonic_ns() >= tell_ns) {
            tell_ns = 0;
            if (tell_of_holder(foreign, name) != 0)
                break;
        }
        pause_ns(LOCK_NS);
    }
    if (fd < 0)
        error_system(error, "cannot look for the other ranks that %s has started", foreign->launcher);
    return fd;
}

/* Step 1. */
static int take_name(const struct foreign *foreign, sharedmem_error *error)
{
    char name[108];

    if (name_fd >= 0)
        return 0;
    name_fd = rendezvous_take(name_of(foreign, foreign->rank, name));
    if (name_fd >= 0)
        return 0;
    if (errno == EADDRINUSE)
        return error_set(
            error, SHAREDMEM_ERROR_USAGE, EBUSY,
            "process %d would be a second process of rank %d, which process %d is; it runs alone, as "
            "rank 0 of 1",
            (int)getpid(), foreign->rank, (int)rendezvous_owner(name));
    return error_system(error, "cannot be found by the other ranks that %s has started", foreign->launcher);
}

/* Whether the program that this rank had in that job has ended. */
static bool has_left(int fd, const struct segment_header_shared *header, int rank)
{
    uint64_t bytes = header->part_offset[SEGMENT_CLAIMS] + claim_table_bytes(header->n_ranks);
    struct segment_header_shared *mapped = pages_map_begin(fd, bytes);
    bool left;

    if (mapped == NULL)
        return false;
    left = claim_has_left(mapped, rank);
    pages_unmap(mapped, bytes);
    return left;
}

enum found { FOUND_NONE, FOUND_JOB, FOUND_OLD_JOB, FOUND_TROUBLE };

/* Who has been found to have the name of a rank; start_ticks tells a later process of that number apart. */
struct owner {
    pid_t pid; /* 0: nobody yet */
    uint64_t start_ticks;
};
static struct owner *owners; /* for each rank, until the job is found */

/* Whether that process lives still. */
static bool is_same(const struct owner *owner)
{
    struct process_look look;

    return owner->pid > 0 && process_look(owner->pid, &look) == 1 && look.start_ticks == owner->start_ticks;
}

/* Who has rank's name. Asked once: an owner answers no questions, and in the end its queue is full. */
static pid_t owner_of(const struct foreign *foreign, int rank)
{
    struct owner *owner = &owners[rank];
    struct process_look look;
    char name[108];

    if (is_same(owner))
        return owner->pid;
    owner->pid = rendezvous_owner(name_of(foreign, rank, name));
    if (owner->pid > 0 && process_look(owner->pid, &look) == 1)
        owner->start_ticks = look.start_ticks;
    return owner->pid;
}

/* Looks at the memory that process pid has. *fd: the job's. */
static enum found look_at(const struct foreign *foreign, pid_t pid, struct segment_header_shared *header,
                          int *fd)
{
    for (int n = 0; (*fd = rendezvous_open_memory(pid, n)) >= 0; n++) {
        uint64_t size;

        if (pages_inspect(*fd, &size) == 0 &&
            pread(*fd, header, sizeof *header, 0) == (ssize_t)sizeof *header &&
            segment_header_check(header, size, NULL) == 0 && header->n_ranks == (uint32_t)foreign->size) {
            if (!has_left(*fd, header, foreign->rank))
                return FOUND_JOB;
            close(*fd);
            return FOUND_OLD_JOB;
        }
        close(*fd);
    }
    /* It has no such memory, or has ended. */
    return errno == ENOENT ? FOUND_NONE : FOUND_TROUBLE;
}

/* Step 2. FOUND_TROUBLE: errno says which. */
static enum found find(const struct foreign *foreign, struct segment_header_shared *header, int *fd)
{
    for (int rank = 0; rank < foreign->size; rank++) {
        pid_t pid = rank != foreign->rank ? owner_of(foreign, rank) : 0;
        enum found found = pid < 0    ? FOUND_TROUBLE
                           : pid == 0 ? FOUND_NONE
                                      : look_at(foreign, pid, header, fd);

        if (found != FOUND_NONE)
            return found;
    }
    return FOUND_NONE;
}

/* Under the lock. Returns 0 with *fd, 1 where an old job has to end first, or -1. */
static int find_or_make(const struct foreign *foreign, struct segment_header_shared *header, int *fd,
                        sharedmem_error *error)
{
    if (take_name(foreign, error) != 0)
        return -1;
    switch (find(foreign, header, fd)) {
    case FOUND_JOB:
        return 0;
    case FOUND_OLD_JOB:
        return 1;
    case FOUND_TROUBLE:
        return error_system(error, "cannot look for the job's memory in the other ranks that %s has started",
                            foreign->launcher);
    case FOUND_NONE:
        break;
    }
    *fd = foreign_create((uint32_t)foreign->size, error);
    if (*fd < 0)
        return -1;
    if (pread(*fd, header, sizeof *header, 0) == (ssize_t)sizeof *header)
        return 0;
    error_system(error, "cannot read the job's shared memory");
    close(*fd);
    return -1;
}

static void tell_of_old_job(const struct foreign *foreign, uint64_t begin_ns, bool *is_told)
{
    if (*is_told || clock_monotonic_ns() - begin_ns < foreign_patience_ns)
        return;
    *is_told = true;
    log_warn("rank %d waits until the other ranks have ended the program before this one", foreign->rank);
}

static int meet(const struct foreign *foreign, struct segment_header_shared *header, sharedmem_error *error)
{
    uint64_t begin_ns = clock_monotonic_ns();
    bool is_told = false;

    for (;;) {
        int lock_fd = lock(foreign, error), fd = -1, saved_errno;
        int result = lock_fd >= 0 ? find_or_make(foreign, header, &fd, error) : -1;

        saved_errno = errno;
        if (result == 0)
            memory_fd = fd;
        if (lock_fd >= 0)
            close(lock_fd);
        errno = saved_errno;
        if (result <= 0)
            return result;
        pause_ns(OLD_NS);
        tell_of_old_job(foreign, begin_ns, &is_told);
    }
}

/* meet(), with room to note owners in. */
static int meet_all(const struct foreign *foreign, struct segment_header_shared *header,
                    sharedmem_error *error)
{
    int result, saved_errno;

    owners = calloc((size_t)foreign->size, sizeof *owners);
    if (owners == NULL)
        return error_set(error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM, "no memory for %d ranks", foreign->size);
    result = meet(foreign, header, error);
    saved_errno = errno;
    free(owners);
    owners = NULL;
    errno = saved_errno;
    return result;
}

int foreign_open(const struct foreign *foreign, struct segment_header_shared *header, sharedmem_error *error)
{
    if (memory_fd < 0 && meet_all(foreign, header, error) != 0)
        return -1;
    if (pread(memory_fd, header, sizeof *header, 0) != (ssize_t)sizeof *header)
        return error_system(error, "cannot read the job's shared memory");
    return fcntl(memory_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

void foreign_forget(void)
{
    if (name_fd >= 0)
        close(name_fd);
    if (memory_fd >= 0)
        close(memory_fd);
    name_fd = memory_fd = -1;
}

bool foreign_is_met(void)
{
    return memory_fd >= 0;
}
