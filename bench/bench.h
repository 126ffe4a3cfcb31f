/*
 * bench.h: a table of contenders that answer one question.
 *
 *     int main(int argc, char **argv)
 *     {
 *         bench_begin(argc, argv);
 *         bench_table(&(struct bench_table){"barrier of 2", "barrier", contenders, goals});
 *         return bench_end();
 *     }
 *
 * The contenders of a table run in turn, A B C A B C ..., because a machine's speed drifts by more than
 * the differences that count. Each round times a number of operations that takes some 20 ms; ratios are
 * made within a round, and their median is what is compared with a goal. Where operations take longer, there
 * are fewer rounds, unless -r says how many.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdint.h>

struct bench_contender;

/* What a contender returns in place of nanoseconds. */
#define BENCH_ABSENT (-1.0) /* this machine or build does not have it */
#define BENCH_FAILED (-2.0) /* it went wrong */
#define BENCH_HUNG   (-3.0) /* it did not end, and is none of ours */

/* Does ops operations; returns the nanoseconds that one takes. It leaves no thread and no child behind. */
typedef double bench_function(const struct bench_contender *contender, uint64_t ops);

struct bench_contender {
    const char *name; /* NULL ends a list */
    bench_function *run;
    int np;               /* members; ours of as many members is what the ratio column compares with */
    uint64_t work;        /* for spin_work() in each operation */
    uint64_t ops;         /* operations a round; 0: what takes some 20 ms, a multiple of np */
    const char *question; /* of a contender that is a program of its own: what to ask it */
};

/* That ours takes at most limit times what the best of some others takes. */
struct bench_goal {
    double limit; /* 0 ends a list */
    const char *ours;
    const char *against[4]; /* names in the same table, NULL after the last */
    double or_ns;           /* or at most this, whatever the others take; 0: no such way out */
};

struct bench_table {
    const char *title;
    const char *operation;
    const struct bench_contender *contenders; /* the first with a number of members is ours */
    const struct bench_goal *goals;           /* or NULL */
};

/*
 * Starts a program: reads its arguments, [-r ROUNDS] [WORD]..., where a word chooses the tables that have
 * it in their title. Drops OMP_* and GOMP_* from the environment. A table that takes more than five minutes
 * hangs, and ends the program.
 */
void bench_begin(int argc, char **argv);

/* Runs a table and prints it, if it is chosen. */
void bench_table(const struct bench_table *table);

/* The exit status for main: a goal that is missed is no failure, a contender that went wrong is. */
int bench_end(void);

/* How many loops of spin_work() take so long, on this machine and now. */
uint64_t bench_work_loops(uint64_t ns);

#endif
