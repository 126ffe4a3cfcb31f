/*
 * tap.h: a small harness that speaks TAP, for tests in C.
 *
 *     int main(void)
 *     {
 *         test_begin(60);                        // seconds that the whole file may take
 *         test_ok(1 + 1 == 2, "one and one");
 *         test_int(4, 2 * 2, "two times %d", 2);
 *         return test_end();                     // prints the plan; the exit status
 *     }
 *
 * A failed check prints file:line and what was expected to stderr and the test goes on. Results are printed by
 * the process and in the thread that called test_begin(). A check in a forked child prints its failure only, and
 * counts nowhere: the child reports by its exit status, through test_child_exit().
 */
#ifndef T_TAP_H
#define T_TAP_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Starts: clears OMP_*, PBS_*, SLURM_* and SHAREDMEM_* from the environment, makes stdout line buffered, and sets
 * the time limit. Past it the test prints "Bail out!", kills all its descendants and ends. The limit is multiplied
 * by TEST_TIME_SCALE (valgrind, sanitizers), where set.
 *
 * The test becomes a child subreaper: a descendant that lost its parent becomes its child. So test_children()
 * counts those too, and the test must reap them.
 */
void test_begin(unsigned seconds);

/*
 * Prints the plan 1..N by what ran. Returns the exit status for main. A test that checked nothing has failed, and
 * so has one that leaves children: zombies count, and what lives is killed.
 */
int test_end(void);

/* Ends the file with "1..0 # SKIP why". Before the first result; does not return. */
void test_skip_all(const char *why, ...) __attribute__((format(printf, 1, 2), noreturn));

/* One result "ok N # SKIP why". */
void test_skip(const char *why, ...) __attribute__((format(printf, 1, 2)));

/* A comment line on stdout. */
void test_note(const char *text, ...) __attribute__((format(printf, 1, 2)));

/*
 * kill(2) of a process that the test started; of a process group, by its leader. Where the fork had failed, -1,
 * the test bails out: kill(-1) would end everything on the machine.
 */
void test_kill(int pid, int signal);
void test_kill_group(int pid, int signal);

/* Ends a forked child: flushes nothing, runs nothing. */
void test_child_exit(int status) __attribute__((noreturn));

/* The checks; each returns whether it held. NULL strings are fine. The rest is the name, as printf's. */
#define test_ok(condition, ...)      test_check_ok(__FILE__, __LINE__, (condition), #condition, __VA_ARGS__)
#define test_int(expected, got, ...) test_check_int(__FILE__, __LINE__, (expected), (got), __VA_ARGS__)
#define test_str(expected, got, ...) test_check_str(__FILE__, __LINE__, (expected), (got), __VA_ARGS__)
/* Whether text contains part. */
#define test_has(part, text, ...) test_check_has(__FILE__, __LINE__, (part), (text), __VA_ARGS__)

bool test_check_ok(const char *file, int line, bool held, const char *condition, const char *name, ...)
    __attribute__((format(printf, 5, 6)));
bool test_check_int(const char *file, int line, long long expected, long long got, const char *name, ...)
    __attribute__((format(printf, 5, 6)));
bool test_check_str(const char *file, int line, const char *expected, const char *got, const char *name, ...)
    __attribute__((format(printf, 5, 6)));
bool test_check_has(const char *file, int line, const char *part, const char *text, const char *name, ...)
    __attribute__((format(printf, 5, 6)));

/* How many children this process has, zombies and orphaned descendants too: what a map left behind. */
int test_children(void);

/*
 * Waits for those that lost their parent and are ours now. After calls whose workers may have been ended while a child
 * of theirs looked for the place of an error: it is killed with its worker. All children of our own have been waited
 * for before. Returns how many they were.
 */
int test_reap_orphans(void);

/* How many file descriptors this process has open. */
int test_fds(void);

/* Whether the test runs under valgrind, and whether it was built with the address or the thread sanitizer. */
bool test_under_valgrind(void);
bool test_address_sanitized(void);
bool test_thread_sanitized(void);

#endif
