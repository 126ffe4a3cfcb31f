#include "memory/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/error.h"
#include "host/pages.h"
#include "memory/heap.h"
#include "memory/wait.h"

/* The part of the segment that is mapped for the vote. */
#define CONTROL_BYTES 4096u

_Static_assert(sizeof(struct segment_header_shared) <= CONTROL_BYTES,
               "the header fits what is mapped for the vote");

/* In a program built with the thread sanitizer. */
extern void __tsan_init(void) __attribute__((weak));

struct job {
    pid_t pid;
    int fd;
    uint64_t cookie;
};

/*
 * The first is free in every plain process, and under the thread and memory sanitizers and valgrind; the
 * address sanitizer has its shadow there and takes the second. The others are for programs that put something
 * of their own into either.
 */
void *attach_candidate(unsigned c)
{
    static const uintptr_t candidates[] = {
        0x4000000000, 0x200000000000, 0x300000000000, 0x8000000000, 0x100000000000,
    };

    return c < sizeof candidates / sizeof *candidates ? (void *)candidates[c] : NULL;
}

/* The thread sanitizer kills a process that maps where it does not like; at the first candidate it does. */
static bool may_try(unsigned c)
{
    return c == 0 || __tsan_init == NULL;
}

int attach_create(uint64_t size, uint32_t n_ranks, char job[ATTACH_JOB_BYTES], sharedmem_error *error)
{
    int fd = segment_memfd(size, n_ranks, error);
    void *base;

    if (fd < 0)
        return -1;
    base = pages_map(fd, size);
    if (base == NULL) {
        error_system(error, "cannot map %llu MiB of shared memory", (unsigned long long)size >> 20);
        close(fd);
        return -1;
    }
    segment_adopt(base, size);
    heap_init();
    snprintf(job, ATTACH_JOB_BYTES, "%d:%d:%016llx", (int)getpid(), fd,
             (unsigned long long)segment_header()->cookie);
    return fd;
}

void attach_give_up(void)
{
    struct segment_header_shared *header = segment_header();

    atomic_store_explicit(&header->given_up, 1, memory_order_release);
    atomic_fetch_add_explicit(&header->vote_turn, 1, memory_order_release);
    wait_wake(&header->vote_turn, &header->vote_sleepers);
}

static int parse_job(const char *text, struct job *job)
{
    unsigned long long cookie;
    int end = 0;

    /* %n: nothing may follow. */
    if (sscanf(text, "%d:%d:%16llx%n", &job->pid, &job->fd, &cookie, &end) != 3 || text[end] != '\0' ||
        job->pid <= 0 || job->fd < 0)
        return -1;
    job->cookie = cookie;
    return 0;
}

/* A new fd for the launcher's, or for the one inherited from it. */
static int open_fd(const struct job *job)
{
    char path[64];
    int fd;

    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)job->pid, job->fd);
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0)
        return fd;
    return fcntl(job->fd, F_DUPFD_CLOEXEC, 0);
}

/* Checks what fd is before anything is believed that lies in it. */
static int check_fd(int fd, const struct job *job, uint64_t *size, sharedmem_error *error)
{
    struct segment_header_shared header;

    if (pages_inspect(fd, size) != 0) {
        if (errno == EPERM)
            return error_set(error, SHAREDMEM_ERROR_SYSTEM, EPERM,
                             "the job's shared memory belongs to another user");
        return error_set(error, SHAREDMEM_ERROR_USAGE, EPROTO, "what %s names is not shared memory of a job",
                         env_name(ENV_JOB));
    }
    if (pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EPROTO, "the job's shared memory has no header");
    if (segment_header_check(&header, *size, error) != 0)
        return -1;
    if (header.cookie != job->cookie || header.n_ranks == 0)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EPROTO,
                         "%s names another job: it was left over in the environment", env_name(ENV_JOB));
    return 0;
}

/* Steps 1 and 2 of the protocol. Returns an fd, or -1. */
static int open_job(uint64_t *size, sharedmem_error *error)
{
    const char *text = env_text(ENV_JOB);
    struct job job;
    int fd;

    if (text == NULL)
        return error_set(error, SHAREDMEM_ERROR_USAGE, ENOENT, "this process belongs to no job");
    if (parse_job(text, &job) != 0)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "%s=%.40s is malformed; only the launcher sets it", env_name(ENV_JOB), text);
    fd = open_fd(&job);
    if (fd < 0)
        return error_set(error, SHAREDMEM_ERROR_SYSTEM, ESRCH, "the job's launcher (pid %d) is gone",
                         (int)job.pid);
    if (check_fd(fd, &job, size, error) != 0) {
        int saved_errno = errno;

        close(fd);
        errno = saved_errno;
        return -1;
    }
    return fd;
}

/* Says yes or no to candidate c, and waits for all the others. Returns 1 all yes, 0 some no, -1 given up. */
static int vote(struct segment_header_shared *header, unsigned c, bool yes)
{
    uint32_t n_yes, n_no;
    struct wait wait;

    atomic_fetch_add_explicit(yes ? &header->votes[c].yes : &header->votes[c].no, 1, memory_order_relaxed);
    /* release: who sees the turn sees the vote. */
    atomic_fetch_add_explicit(&header->vote_turn, 1, memory_order_release);
    wait_wake(&header->vote_turn, &header->vote_sleepers);
    wait_begin(&wait, WAIT_MEETING, NULL, 0);
    for (;;) {
        uint32_t turn = atomic_load_explicit(&header->vote_turn, memory_order_acquire);

        n_yes = atomic_load_explicit(&header->votes[c].yes, memory_order_relaxed);
        n_no = atomic_load_explicit(&header->votes[c].no, memory_order_relaxed);
        if (n_yes + n_no >= header->n_ranks || atomic_load_explicit(&header->given_up, memory_order_relaxed))
            break;
        if (!wait_pause(&wait))
            wait_park(&wait, &header->vote_turn, turn, &header->vote_sleepers);
    }
    wait_end(&wait);
    if (n_yes + n_no < header->n_ranks)
        return -1;
    return n_no == 0;
}

/* Steps 3 and 4. Returns the address, where the segment is mapped now, or NULL. */
static void *agree(struct segment_header_shared *header, int fd, uint64_t size, sharedmem_error *error)
{
    for (unsigned c = 0; attach_candidate(c) != NULL; c++) {
        void *address = attach_candidate(c);
        bool mapped = may_try(c) && pages_map_at(fd, size, address);
        int answer = vote(header, c, mapped);

        if (answer == 1)
            return address;
        if (mapped)
            pages_unmap(address, size);
        if (answer == -1) {
            error_set(error, SHAREDMEM_ERROR_SYSTEM, ECANCELED,
                      "the job ended before all its ranks had begun");
            return NULL;
        }
    }
    error_set(error, SHAREDMEM_ERROR_SYSTEM, EADDRNOTAVAIL,
              "no address for shared memory of %llu MiB is free in all ranks",
              (unsigned long long)size >> 20);
    return NULL;
}

/* A later program of a rank finds the address decided. */
static void *take_decided(uintptr_t address, int fd, uint64_t size, sharedmem_error *error)
{
    if (pages_map_at(fd, size, (void *)address))
        return (void *)address;
    error_set(error, SHAREDMEM_ERROR_SYSTEM, EADDRNOTAVAIL,
              "the job's shared memory is at %p, which is taken here", (void *)address);
    return NULL;
}

int attach_join(sharedmem_error *error)
{
    struct segment_header_shared *header;
    uintptr_t address;
    uint64_t size;
    void *base;
    int saved_errno;
    int fd = open_job(&size, error);

    if (fd < 0)
        return -1;
    header = pages_map(fd, CONTROL_BYTES);
    if (header == NULL) {
        error_system(error, "cannot map the job's shared memory");
        close(fd);
        return -1;
    }
    address = atomic_load_explicit(&header->address, memory_order_acquire);
    base = address != 0 ? take_decided(address, fd, size, error) : agree(header, fd, size, error);
    if (base != NULL) {
        atomic_store_explicit(&header->address, (uintptr_t)base, memory_order_release);
        segment_adopt(base, size);
    }
    saved_errno = errno;
    pages_unmap(header, CONTROL_BYTES);
    close(fd);
    errno = saved_errno;
    return base != NULL ? 0 : -1;
}
