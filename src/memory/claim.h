/*
 * claim.h: which process is which rank of its job.
 *
 * The launcher leaves in the environment of each rank SHAREDMEM_JOB, where the job's segment is, and
 * SHAREDMEM_RANK. But whatever the rank starts inherits both. So a process that wants to be the rank claims
 * it, by compare-and-swap in the segment; while it lives no other can. In order:
 *
 *   1. It opens the segment: as the inherited fd; else, where a wrapper closed inherited files, through
 *      /proc/pid/fd. It checks owner, seals, size, header and cookie.
 *   2. It maps the segment's beginning, up to the end of the claims, anywhere.
 *   3. It takes its rank's claim where nobody has it, or who had it has left or never joined and is gone.
 *
 * Who finds it taken runs alone, as rank 0 of 1, with one line of warning; so does who finds that the
 * variables were left over from another job. What cannot be gone on with is an uncaught error: a library of
 * another layout, or a rank whose former program died in the middle.
 */
#ifndef MEMORY_CLAIM_H
#define MEMORY_CLAIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "memory/segment.h"

enum claim_state {
    CLAIM_FREE,    /* nobody has come yet */
    CLAIM_TAKEN,   /* its process knows that it is this rank, and has needed no other yet */
    CLAIM_MEETING, /* it waits for the other ranks to come */
    CLAIM_JOINED,  /* it is a member of the segment */
    CLAIM_LEFT,    /* it left; the rank's next program may come */
    CLAIM_GIVEN_UP /* it ended itself since the job has failed: it is not the cause */
};

/* One for each rank, in the segment. */
struct claim_shared {
    _Atomic uint64_t owner;     /* whose it is: pid, and when it came; 0: nobody's */
    _Atomic uint32_t state;     /* enum claim_state */
    _Atomic uint32_t has_voted; /* a program of this rank has, in the meeting on the address (attach.h) */
    _Atomic uint64_t since_ns;  /* MEETING: clock_monotonic_ns() at its begin */
    uint64_t output_inode[2];   /* of the pipes that the launcher made for its stdout and stderr; 0: none */
    _Atomic uint64_t regions;   /* ended << 32 | begun: what it prints in one keeps its order (printed.h) */
    char where[40];             /* MEETING: the end of the "file:line" that joins */
    _Atomic uint32_t has_ended; /* without a launcher: its program was a member and has ended; none follows */
    _Atomic int32_t parent;     /* without a launcher: the process that has started its process */
    _Atomic uint64_t waited_ns; /* the header's counts_waits: how long its threads have waited, all together */
    char unused[24];
};

/* How many bytes the claims of n_ranks take. */
uint64_t claim_table_bytes(uint32_t n_ranks);

/*
 * The rank that this process is in its job, and the job's size. -1 and 1: it is alone. The first call claims.
 */
int claim_rank(void);
int claim_size(void);

/* This process's claim; NULL where it is alone. */
struct claim_shared *claim_mine(void);

/* The header of the job, as mapped for the claims; NULL where this process is alone, or there is no memory. */
struct segment_header_shared *claim_header(void);

/* Whether rank's program has ended for good, in a job without a launcher, whose claims are in what is mapped here. */
bool claim_has_left(struct segment_header_shared *header, int rank);

/*
 * Without a launcher, for who waits in the meeting: a rank that died in it, -1: none; and ranks that have not come
 * yet. Returns whether this is the first of those that wait.
 *
 * before_too: also one that died before it came, where nothing else can come in its place: its process was started by
 * the one that has started this, which is the ranks' launcher then, and no shell that goes on to the rank's next
 * program. But a copy that it forked could take its place, and shall have had some time for it.
 */
struct text_ranges;
int claim_dead_in_meeting(bool before_too);
bool claim_list_missing(struct text_ranges *missing);

/* Who has started this job's ranks: "smrrun", "srun", ... */
const char *claim_launcher(void);

/* Of any rank, for the launcher and members: the segment is mapped whole. */
struct claim_shared *claim_of(uint32_t rank);

/* The process that has the claim; 0: none. */
pid_t claim_owner_pid(const struct claim_shared *claim);

/* Whether the process that has the claim died as a member; the system is asked. */
bool claim_is_dead(const struct claim_shared *claim);

/* Gives this process's claim back: the rank's next program may take it. Only by who took it, at its end. */
void claim_leave(enum claim_state state);

/* Whether this process itself made the claim, and is no forked copy of who did. */
bool claim_is_mine(void);

/*
 * For attach.c: step 1. Returns an fd and copies the header, checked, or -1 with errno and error as in
 * attach.h.
 */
int claim_open(struct segment_header_shared *header, sharedmem_error *error);

#endif
