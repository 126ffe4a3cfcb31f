/* crew_errors.h: the sentences in which calls with workers say what went wrong, or was asked for. */
#ifndef RUN_CREW_ERRORS_H
#define RUN_CREW_ERRORS_H

#include "sharedmem.h"
#include "team/supervise.h"
#include "team/team.h"

/* What callers give, checked. Each returns 0, or -1 with errno EINVAL and error. call: "map", to be named. */

/* How many workers; 0: as many as there are cores. name: what the caller knows it by, ".np". */
int crew_check_np(const char *call, const char *name, int64_t np, sharedmem_error *error);

int crew_check_backend(const char *call, int32_t backend, sharedmem_error *error);

/* Item i fails with code in rank of this process; with what sharedmem_fail() was told. */
void crew_item_error(sharedmem_error *error, uint32_t rank, uint64_t i, int code);

/* Item i began an ordered region and did not end it. */
void crew_region_error(sharedmem_error *error, uint64_t i);

/* The same for reduce, on the master. */
void crew_reduce_error(sharedmem_error *error, uint64_t i, int code);

/* The same for next, which was to make item i. */
void crew_next_error(sharedmem_error *error, uint64_t i, int code);

/* The same for the body of a parallel call. */
void crew_body_error(sharedmem_error *error, uint32_t rank, int code);

/* The same for a background call. */
void crew_call_error(sharedmem_error *error, int code);

/* Before workers are started: what is counted of the system's kills from then on may be one of them. Once. */
void crew_note_oom(void);

/* A worker ended before it was done; rank: what it left of itself: its item, where it crashed. */
void crew_death_error(sharedmem_error *error, const struct supervise_child *child,
                      const struct team_rank_shared *rank);

#endif
