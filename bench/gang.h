/*
 * gang.h: members of a peer or a floor, as forked processes or as threads, that do one thing together.
 *
 *     struct gang *gang = gang_create(contender, ops);
 *     gang_fork(gang, member);
 *     return gang_end(gang);
 *
 * Member r is bound to the r-th processor, and round again where there are more members. OpenMP's are
 * bound too: who is not, runs beside an idle processor for many milliseconds at times, and no figure of
 * it comes twice.
 */
#ifndef BENCH_GANG_H
#define BENCH_GANG_H

#include <stdbool.h>

#include "bench.h"
#include "gate.h"

#define GANG_SHARED_BYTES ((size_t)64 << 10)

/* Lies in memory that a gang's members, and workers of the library, share. */
struct gang {
    int np;
    uint64_t ops;
    uint64_t work;
    bool failed;
    struct gate gate;
    _Alignas(64) unsigned char shared[GANG_SHARED_BYTES]; /* zero before: locks, flags, counters */
};

/* What a member does, between the gate's opening and its own leave. */
typedef void gang_function(struct gang *gang, int rank);

/* Never NULL: a benchmark that gets no memory ends. */
struct gang *gang_create(const struct bench_contender *contender, uint64_t ops);

/* Runs np processes, and waits for them. */
void gang_fork(struct gang *gang, gang_function *member);

/* Runs np threads, and waits for them. They live in a process of their own: ours stays without threads. */
void gang_thread(struct gang *gang, gang_function *member);

/* Runs one process that uses the gate by itself, as if it were all members. */
void gang_apart(struct gang *gang, gang_function *all);

/* Says that what the gang did is wrong unless it is right. */
void gang_check(struct gang *gang, bool right);

/* The nanoseconds of an operation by the gate, or BENCH_FAILED. Frees. */
double gang_end(struct gang *gang);

/* How many processors this process may use. */
int gang_processors(void);

/*
 * Contenders that ask bench/openmp: a program of its own, since OpenMP reads OMP_WAIT_POLICY when it
 * starts, and since its threads would be lost in the forked workers of the library.
 */
double gang_openmp(const struct bench_contender *contender, uint64_t ops);
double gang_openmp_passive(const struct bench_contender *contender, uint64_t ops);

/* The same with bench/boost, which is C++: forked processes that share memory by Boost.Interprocess. */
double gang_boost(const struct bench_contender *contender, uint64_t ops);

#endif
