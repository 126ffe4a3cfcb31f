/*
 * selftest.h: --selftest: what this machine, cgroup, batch job and limits give, what each of that means for a run, and
 * a small job of smrrun itself.
 *
 * One line for each, in columns: "ok", "note" for what works but costs something, "FAIL" for what keeps jobs from
 * running, with what helps; then what it is about; then a sentence. Versions are first. The lines of one machine
 * change with what they are about, and with nothing else but the job's time.
 */
#ifndef SMRRUN_SELFTEST_H
#define SMRRUN_SELFTEST_H

#include <stdio.h>

#include "smrrun/decide.h"

/* What smrrun runs as its own rank, a program and its argument; and whether a command line is that. */
char **selftest_command(void);
bool selftest_is_rank(int argc, char **argv);

/*
 * Prints to out all that is known before a job is started. root: "" for this machine; a folder with proc/ and sys/
 * below it, recorded from another, for tests: the cgroups, and what the kernel says of huge pages and tracing.
 * Returns how many lines begin with FAIL.
 */
int selftest_report(FILE *out, const char *root, const struct launch *launch);

/* Prints what the small job has shown: its exit status, and how long it took. Returns as above. */
int selftest_job(FILE *out, int n_ranks, int status, double seconds);

/* The life of one of its ranks; rank 0 prints a line to stdout. Returns the exit status. */
int selftest_rank(void);

#endif
