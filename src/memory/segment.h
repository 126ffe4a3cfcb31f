/*
 * segment.h: the one piece of memory that all members of a job share.
 *
 * It is a sealed memfd: it has no name, is gone with the last process, and never changes its size. It is
 * mapped at one address in every member, so that a plain pointer into it is good in all of them. This process
 * has one segment or none; a forked child has its parent's.
 *
 * The segment begins with its header, then follow the parts, each at an offset that the header tells. The
 * header is input: whoever attaches (attach.h) checks it first.
 */
#ifndef MEMORY_SEGMENT_H
#define MEMORY_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sharedmem.h"

/* Changes whenever anything in the segment changes its place or meaning; programs and launcher must agree. */
#define SEGMENT_LAYOUT 7u
#define SEGMENT_MAGIC  0x7368617265646d31u /* "sharedm1" */

/* The smallest segment that is worth having, and the largest that the heap's 32-bit unit numbers reach. */
#define SEGMENT_MIN_BYTES ((uint64_t)16 << 20)
#define SEGMENT_MAX_BYTES ((uint64_t)8 << 40)

/* How many addresses are tried at most before ranks born by exec give up (attach.h). */
#define SEGMENT_CANDIDATES 8

/* The heap is last: it takes what is left. */
enum segment_part { SEGMENT_CLAIMS, SEGMENT_MEMBERS, SEGMENT_CRITICALS, SEGMENT_HEAP, SEGMENT_PARTS };

/* What the table of critical regions takes; the floor above fills it (team/critical.h). */
#define SEGMENT_CRITICALS_BYTES ((uint64_t)20 << 10)

/* What a segment's size was decided by. */
enum segment_by {
    SEGMENT_BY_MEMORY, /* as much as the machine and the cgroups have */
    SEGMENT_BY_HEAP,   /* SHAREDMEM_HEAP */
    SEGMENT_BY_OPTION, /* a launcher's option */
    SEGMENT_BY_ADDRESS_SPACE,
    SEGMENT_BY_FILE_SIZE,
    SEGMENT_BY_SYSTEM /* it refused more */
};

struct segment_header_shared {
    uint64_t magic;
    uint32_t layout;
    uint32_t n_ranks; /* how many processes attach by exec; 0: the segment is for forked members only */
    uint64_t size;
    uint64_t cookie; /* random; who attaches must know it */
    uint64_t part_offset[SEGMENT_PARTS];

    /* The meeting on the address, see attach.h. */
    _Atomic uint64_t votes[SEGMENT_CANDIDATES]; /* no << 32 | yes */
    _Atomic uint32_t vote_turn;     /* counts votes that are complete: the futex word of those who wait */
    _Atomic uint32_t vote_sleepers; /* how many of them sleep */
    _Atomic uint32_t given_up;      /* 1 + a rank that will never come; nobody shall wait for it */
    uint32_t size_by;               /* enum segment_by: who said how large it is */
    _Atomic uint64_t address;       /* where everybody has it, once that is decided */

    _Atomic uint32_t is_placed; /* 1: blocks may have a placement of their own (placed.h) */
    uint32_t has_huge; /* 1: all who map it ask for huge pages, as its maker found that the kernel has some */
    uint64_t team; /* offset of the job's team (team/job.h), which the launcher lays out */
    uint32_t counts_waits; /* 1: ranks count how long they wait (claim.h); set before they start */
    uint32_t unused;
    _Atomic uint64_t lock_order; /* offset of what is known of it (team/lock_order.h); 0: nothing yet */
};

/* Where this process has the segment; NULL and 0 before segment_create() or an attach. Written once. */
extern char *segment_base;
extern size_t segment_size;

/*
 * How large a segment should be: total memory, but at most half of the address space limit and of the file
 * size limit (both hit a memfd too), rounded down to 2 MiB and kept between the two constants above. Pure.
 * total 0: unknown, 1 GiB is taken. A limit may be LIMITS_NONE.
 */
uint64_t segment_size_rule(uint64_t total, uint64_t address_space, uint64_t file_size);

/*
 * Makes this process's segment, for forked members, and maps it anywhere. Its pages read as zero, and none is
 * written to core files. Not thread-safe: memory.c calls it once.
 *
 * size: SHAREDMEM_HEAP where set, else segment_size_rule() of this machine, halved while the system refuses
 * it.
 * Returns 0, or -1 with errno and error.
 */
int segment_create(sharedmem_error *error);

/*
 * The same for n_ranks processes that attach by exec (attach.h). asked: the size, where a launcher's option
 * says it; 0: as above. Returns the memfd, or -1 with errno and error.
 */
int segment_create_for(uint32_t n_ranks, uint64_t asked, sharedmem_error *error);

/* Where part ends, as an offset. */
uint64_t segment_part_end(enum segment_part part);

static inline struct segment_header_shared *segment_header(void)
{
    return (struct segment_header_shared *)(void *)segment_base;
}

/* Where part begins, in this process. */
static inline void *segment_part(enum segment_part part)
{
    return segment_base + segment_header()->part_offset[part];
}

static inline bool segment_contains(const void *address)
{
    return (uintptr_t)address - (uintptr_t)segment_base < segment_size;
}

/* Offsets are how the segment's own words name places; 0, the header, stands for none. */
static inline uint64_t segment_offset(const void *address)
{
    return (uint64_t)((const char *)address - segment_base);
}

static inline void *segment_at(uint64_t offset)
{
    return segment_base + offset;
}

/*
 * For attach.c and tests: a sealed memfd of size bytes with its header written. Returns the fd, or -1 with
 * error.
 */
int segment_memfd(uint64_t size, uint32_t n_ranks, sharedmem_error *error);

/*
 * For attach.c: whether header describes a segment of size bytes that this library can use. Returns 0 or -1.
 */
int segment_header_check(const struct segment_header_shared *header, uint64_t size, sharedmem_error *error);

/* For attach.c: makes the mapping at base this process's segment. */
void segment_adopt(char *base, size_t size);

/* For who has made a segment for others: unmaps it; this process has none then. */
void segment_drop(void);

#endif
