/*
 * job.h: jobs of several ranks that are started as a user starts them, by smrrun or by MPI's launchers, and
 * judged by how long that takes, or by what they print.
 *
 * The ranks run bench/rank under smrrun, and bench/mpi-mpich or bench/mpi-openmpi, both of mpi.c, under MPI.
 * These know the same questions. A question with a slash in it is a program itself: /bin/true.
 */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H

#include <stdint.h>
#include <sys/types.h>

#include "bench.h"

enum job_launcher {
    JOB_SMRRUN,
    JOB_SMRRUN_BLIND, /* with options by which it need not know the machine, nor load hwloc */
    JOB_MPICH,
    JOB_OPENMPI
};

/*
 * Before anything is started, floors too: what the one before left behind, daemons and dirty memory, is its
 * own, and after a pause all find the caches equally cold.
 */
void job_pause(void);

/*
 * Runs a job of np ranks. Returns the nanoseconds from its start to its end, BENCH_ABSENT where there is no
 * such launcher, BENCH_FAILED, or BENCH_HUNG.
 */
double job_time(enum job_launcher launcher, int np, const char *question);

/* Runs a job of np ranks that does ops operations. Returns the number that it prints, or as job_time(). */
double job_ask(enum job_launcher launcher, int np, const char *question, uint64_t ops);

/*
 * Runs a job of np ranks that fails. Returns the nanoseconds from then, as the failing rank has printed it by
 * spin_now_ns(), to its end; or as job_time(). What it says of its failure is dropped.
 */
double job_end(enum job_launcher launcher, int np, const char *question);

/* ---- What they are made of ---- */

#define JOB_NOWHERE (-1)

/*
 * Starts a program, its standard input /dev/null, its standard output out, for JOB_NOWHERE /dev/null too; on
 * one processor, for a negative cpu on any. It ends with this process. A benchmark that cannot start it ends.
 */
pid_t job_spawn(const char *const *argv, int out, int cpu);

/* Waits for its end, and ends it after 30 s. Returns what waitpid(2) says of it. */
int job_wait(pid_t pid);

/* The path of a file in the build folder, good until the next call. */
const char *job_path(const char *name);

#endif
