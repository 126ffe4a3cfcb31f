/* stats.h: what a job used, told at its end (--stats). */
#ifndef SMRRUN_STATS_H
#define SMRRUN_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "smrrun/keeper.h"
#include "team/supervise.h"

/* Of more ranks than this only the least, the mean and the most are told, unless all are asked for. */
#define STATS_EACH_MAX 16

#define STATS_UNKNOWN UINT64_MAX

struct stats_rank {
    uint32_t rank;
    uint64_t user_ns, system_ns; /* processor time */
    uint64_t peak_bytes;         /* of memory */
    uint64_t waited_ns;          /* for other ranks, in the library; STATS_UNKNOWN: it did not use that */
};

/*
 * How much longer the busiest of the ranks was than all were on average: the most processor time over the mean; 1
 * is the best. 0: they took none.
 */
double stats_imbalance(const struct stats_rank *ranks, size_t n);

/*
 * Makes the lines of the table, n ranks at least 1; line is called with argument for each, without "smrrun: " and
 * newline. Pure.
 */
void stats_table(const struct stats_rank *ranks, size_t n, uint64_t wall_ns, bool is_each,
                 void (*line)(const char *text, void *argument), void *argument);

/*
 * Rank has ended, in a job with shared memory: what it was waiting in counts up to now. Before anybody else takes
 * its place in there.
 */
void stats_rank_ended(uint32_t rank);

/* Sends the table of a job whose ranks have ended, after wall_ns. Waits until the face takes it. */
void stats_say(const struct keeper_job *job, const struct supervise *ranks, bool has_memory,
               uint64_t wall_ns);

#endif
