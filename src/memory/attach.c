#include "memory/attach.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "host/clock.h"
#include "host/pages.h"
#include "memory/claim.h"
#include "memory/foreign.h"
#include "memory/heap.h"
#include "memory/placed.h"
#include "memory/wait.h"

/* In a program built with the thread sanitizer. */
extern void __tsan_init(void) __attribute__((weak));

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

int attach_create(uint32_t n_ranks, uint64_t heap_bytes, char job[ATTACH_JOB_BYTES], sharedmem_error *error)
{
    int fd = segment_create_for(n_ranks, heap_bytes, error);

    if (fd < 0)
        return -1;
    heap_init();
    placed_begin();
    snprintf(job, ATTACH_JOB_BYTES, "%d:%d:%016llx", (int)getpid(), fd,
             (unsigned long long)segment_header()->cookie);
    return fd;
}

/* Without a launcher: after this it is said for whom others wait. */
#define PATIENCE_NS UINT64_C(5000000000)

/* And a rank that has died before it came is waited for so long. */
#define GRACE_NS UINT64_C(1000000000)

/* Something in the meeting has changed. release: who sees the turn sees what. */
static void wake_meeting(struct segment_header_shared *header)
{
    atomic_fetch_add_explicit(&header->vote_turn, 1, memory_order_release);
    wait_wake(&header->vote_turn, &header->vote_sleepers);
}

void attach_give_up(uint32_t rank)
{
    struct segment_header_shared *header = segment_header();
    uint32_t nobody = 0;

    if (atomic_compare_exchange_strong_explicit(&header->given_up, &nobody, rank + 1, memory_order_release,
                                                memory_order_relaxed))
        wake_meeting(header);
}

static uint32_t n_yes(uint64_t votes)
{
    return (uint32_t)votes;
}

static uint32_t n_no(uint64_t votes)
{
    return (uint32_t)(votes >> 32);
}

static bool is_complete(const struct segment_header_shared *header, uint64_t votes)
{
    return n_yes(votes) + n_no(votes) >= header->n_ranks;
}

/* This process has found the rank that ended, and tells of it: nobody else will. */
static bool is_finder;

/* Without a launcher those who wait see to it that nobody waits in vain, as far as can be known; and say for whom. */
static void watch_meeting(struct segment_header_shared *header, uint64_t since_ns)
{
    static bool is_told;
    struct text_ranges missing;
    uint32_t nobody = 0;
    uint64_t waited_ns = clock_monotonic_ns() - since_ns;
    int dead = claim_dead_in_meeting(waited_ns >= GRACE_NS);

    if (dead >= 0) {
        if (atomic_compare_exchange_strong_explicit(&header->given_up, &nobody, (uint32_t)dead + 1,
                                                    memory_order_release, memory_order_relaxed)) {
            is_finder = true;
            wake_meeting(header);
        }
        return;
    }
    if (is_told || waited_ns < PATIENCE_NS)
        return;
    is_told = true;
    if (claim_list_missing(&missing) && missing.n > 0)
        log_warn("waiting for rank%s %s of %u on this node, started by %s, to come to a call that needs all; "
                 "SHAREDMEM_JOB=none is for programs that run each by itself",
                 missing.n > 1 ? "s" : "", missing.text, header->n_ranks, claim_launcher());
}

/*
 * Waits until is_over(), or nobody shall wait any more. No cheap stages: others are still being started, and
 * need the processor.
 */
static void wait_in_meeting(struct segment_header_shared *header,
                            bool (*is_over)(const struct segment_header_shared *header, unsigned c),
                            unsigned c)
{
    struct wait wait;

    wait_begin(&wait, WAIT_MEETING, NULL, 0);
    for (;;) {
        uint32_t turn = atomic_load_explicit(&header->vote_turn, memory_order_acquire);

        if (is_over(header, c) || atomic_load_explicit(&header->given_up, memory_order_relaxed) != 0)
            break;
        if (!wait_park(&wait, &header->vote_turn, turn, &header->vote_sleepers) && foreign_is_met())
            watch_meeting(header, wait.since_ns);
    }
    wait_end(&wait);
}

static uint64_t votes_on(const struct segment_header_shared *header, unsigned c)
{
    return atomic_load_explicit(&header->votes[c], memory_order_acquire);
}

static bool all_have_voted(const struct segment_header_shared *header, unsigned c)
{
    return is_complete(header, votes_on(header, c));
}

static uint64_t address_of(const struct segment_header_shared *header)
{
    return atomic_load_explicit(&header->address, memory_order_acquire);
}

static bool is_decided(const struct segment_header_shared *header, unsigned unused)
{
    (void)unused;
    return address_of(header) != 0;
}

/* Says yes or no to candidate c, and waits for all the others. Returns 1 all yes, 0 some no, -1 given up. */
static int vote(struct segment_header_shared *header, unsigned c, bool yes)
{
    uint64_t mine = yes ? 1 : (uint64_t)1 << 32;
    uint64_t votes = mine + atomic_fetch_add_explicit(&header->votes[c], mine, memory_order_acq_rel);

    /* Only the last one wakes: who sleeps has nothing to do before. */
    if (is_complete(header, votes))
        wake_meeting(header);
    else
        wait_in_meeting(header, all_have_voted, c);
    votes = votes_on(header, c);
    if (!is_complete(header, votes))
        return -1;
    return n_no(votes) == 0;
}

static void *given_up(const struct segment_header_shared *header, sharedmem_error *error)
{
    error_set(error, SHAREDMEM_ERROR_SYSTEM, is_finder ? EOWNERDEAD : ECANCELED, "rank %u has ended without joining the job",
              atomic_load_explicit(&header->given_up, memory_order_relaxed) - 1);
    return NULL;
}

/* code: why this rank could not map the last one. */
static void *no_address(const struct segment_header_shared *header, int code, sharedmem_error *error)
{
    unsigned long long mib = (unsigned long long)header->size >> 20;

    if (code == ENOMEM)
        error_set(error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM,
                  "the job's shared memory of %llu MiB does not fit here; raise ulimit -v, or give smrrun a "
                  "smaller "
                  "--heap",
                  mib);
    else
        error_set(error, SHAREDMEM_ERROR_SYSTEM, EADDRNOTAVAIL,
                  "no address for shared memory of %llu MiB is free in all ranks", mib);
    return NULL;
}

/* Step 3. Returns the address, where the segment is mapped now, or NULL. */
static void *agree(struct segment_header_shared *header, int fd, sharedmem_error *error)
{
    int code = 0;

    for (unsigned c = 0; attach_candidate(c) != NULL; c++) {
        void *address = attach_candidate(c);
        bool mapped = may_try(c) && pages_map_at(fd, header->size, address);
        int answer;

        code = mapped ? 0 : errno;
        answer = vote(header, c, mapped);
        if (answer == 1)
            return address;
        if (mapped)
            pages_unmap(address, header->size);
        if (answer == -1)
            return given_up(header, error);
    }
    return no_address(header, code, error);
}

/* A later program of a rank: its vote was given. */
static void *take_decided(struct segment_header_shared *header, int fd, sharedmem_error *error)
{
    void *address;

    wait_in_meeting(header, is_decided, 0);
    address = (void *)address_of(header);
    if (address == NULL)
        return given_up(header, error);
    if (pages_map_at(fd, header->size, address))
        return address;
    return no_address(header, errno, error);
}

/* So that the launcher can say who waits where, before there is a member table to say it in. */
static void say_meeting(struct claim_shared *claim, const char *where)
{
    text_copy_end(claim->where, sizeof claim->where, where);
    atomic_store_explicit(&claim->since_ns, clock_monotonic_ns(), memory_order_relaxed);
    atomic_store_explicit(&claim->state, CLAIM_MEETING, memory_order_release);
}

static void *meet(struct segment_header_shared *header, int fd, sharedmem_error *error)
{
    struct claim_shared *claim = claim_mine();
    void *base;

    if (atomic_exchange_explicit(&claim->has_voted, 1, memory_order_relaxed) != 0)
        return take_decided(header, fd, error);
    base = agree(header, fd, error);
    if (base == NULL)
        return NULL;
    atomic_store_explicit(&header->address, (uintptr_t)base, memory_order_release);
    return base;
}

int attach_join(const char *where, sharedmem_error *error)
{
    struct segment_header_shared *header = claim_header(), copy;
    int saved_errno;
    void *base;
    int fd = claim_open(&copy, error);

    if (fd < 0)
        return -1;
    if (header == NULL) {
        close(fd);
        return error_set(error, SHAREDMEM_ERROR_USAGE, ENOENT, "this process is no rank of the job");
    }
    pages_huge_set(copy.has_huge != 0);
    say_meeting(claim_mine(), where);
    base = meet(header, fd, error);
    if (base != NULL)
        segment_adopt(base, header->size);
    atomic_store_explicit(&claim_mine()->state, base != NULL ? CLAIM_JOINED : CLAIM_GIVEN_UP,
                          memory_order_release);
    saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return base != NULL ? 0 : -1;
}
