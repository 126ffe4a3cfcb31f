/*
 * output.h: what ranks print comes out in whole lines.
 *
 * Each rank has a pipe for its stdout and one for its stderr, or one for both where these are the same file,
 * so that their order holds. Whoever owns the output reads from the pipes as bytes come and writes whole
 * lines, many with one write(2). What is no line passes on like this:
 *
 * - A line that is written in pieces waits until it is whole. "\r" and "\r\n" end a line too; a "\r" waits up
 *   to OUTPUT_PIECE_NS for the "\n".
 * - A piece longer than OUTPUT_LINE_MAX passes as it is, and the rest of its line as it comes, in pieces of
 *   that size. Lines of other ranks may come between them.
 * - On a terminal a piece without an end, a prompt, passes when nothing has followed for OUTPUT_PIECE_NS; or
 *   when it has grown for OUTPUT_GROWING_NS, like a row of dots. What other ranks print then stands right
 *   behind it.
 * - What is left at a pipe's end passes as it is, with a newline behind it where lines have labels.
 *
 * All bytes pass unchanged. A rank's own lines keep their order. Between ranks: pipes are read in the order
 * in which they became readable, as far as the system tells, and what was read earlier is written earlier, or
 * stands earlier in the same write. So a rank that has seen its pipe become empty (FIONREAD) after it printed
 * whole lines may let another one print: the other's lines come later. Pieces held back have no place in that
 * order; so they are not where the rank says that order counts more than whole lines (output_follow).
 *
 * One turn reads at most 64 KiB from a pipe: no rank keeps the others from printing. Reading goes on only
 * after writing, so that a slow reader slows the ranks down. Beside 400 KiB and 150 bytes a pipe, memory is
 * used for pieces held back only: at most OUTPUT_LINE_MAX for each, as long as it is held back.
 */
#ifndef SMRRUN_OUTPUT_H
#define SMRRUN_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#define OUTPUT_LINE_MAX   65536
#define OUTPUT_PIECE_NS   100000000u
#define OUTPUT_GROWING_NS 1000000000u

struct output;

/* What each line begins with; added up. */
enum output_style {
    OUTPUT_LABELS = 1, /* "[rank] " */
    OUTPUT_STAMPS = 2  /* date and time, before that */
};

/* What became of a call. */
enum output_state {
    OUTPUT_OPEN,   /* all is well */
    OUTPUT_CLOSED, /* nobody reads what is written any more (EPIPE) */
    OUTPUT_BROKEN  /* writing failed otherwise, see output_errno() */
};

/*
 * For n_ranks ranks, whose output goes to the fds to[0] (stdout) and to[1] (stderr), which stay the caller's,
 * mostly 1 and 2. Their flags are left alone. style: of enum output_style.
 * It takes two fds for each pipe and one more, all above 2 and closed on exec; after output_close_reads() or
 * output_close_writes() half of that.
 * Returns NULL with errno ENOMEM, EMFILE, ENFILE, or ENOSPC (the user's limit on epoll watches); nothing is
 * left open then.
 */
struct output *output_create(int n_ranks, const int to[2], unsigned style);

/* The write ends for rank's stdout and stderr; the same fd twice where one pipe serves both. -1: closed. */
int output_stdout_fd(const struct output *output, int rank);
int output_stderr_fd(const struct output *output, int rank);

/*
 * In the process that starts the ranks: drops the read ends, and what is needed to poll them. In the one that
 * owns the output: the write ends, without which no pipe would come to its end. Once more is fine.
 */
void output_close_reads(struct output *output);
void output_close_writes(struct output *output);

/*
 * In the process that starts the ranks: drops the write ends of one that has them now. All files that are open are
 * copied for each process that is started, which with thousands of ranks takes longer than all else.
 */
void output_close_writes_of(struct output *output, int rank);

/* An fd to poll(2) for: readable when some pipe is, or has come to its end. */
int output_poll_fd(const struct output *output);

/*
 * Sets who tells how many regions a rank has begun (the low half) and ended (the high one) in which order
 * counts more than whole lines: pieces read of it then pass as they come, where it is in one, or was since
 * the last read. NULL: nobody, as in the beginning.
 */
void output_follow(struct output *output, uint64_t (*regions_of)(int rank));

/* The longest that may be slept before output_run() is called for a pending piece; UINT64_MAX: for ever. */
uint64_t output_timeout_ns(const struct output *output);

/*
 * Passes on what is there: one turn, after which output_poll_fd() is readable where there is more. All that
 * passes is written when it returns. Blocks as write(2) to the fds in to does, also where they are
 * non-blocking; a signal handler does not end that. The caller ignores SIGPIPE and SIGXFSZ.
 *
 * A failure of stdout or stderr is returned by one call, once; output_errno() and output_failed_stream() then
 * tell of it. The other stream goes on. What is for the failed one is read and dropped, so that ranks don't
 * hang.
 */
enum output_state output_run(struct output *output);

/* How many pipes have not come to their end. */
int output_n_open(const struct output *output);

/*
 * Passes on all that can be read without waiting, pending pieces too, whether or not the pipes are at their
 * end. It ends even if somebody goes on printing. Blocks and returns as output_run(); called again, it tells
 * of a second failure.
 */
enum output_state output_finish(struct output *output);

/* Of the failure that was returned last: its errno, or 0; and which of to it was, 0 or 1, or -1. */
int output_errno(const struct output *output);
int output_failed_stream(const struct output *output);

/* Frees all and closes what of the pipes is open in this process. Keeps errno; NULL is fine. */
void output_destroy(struct output *output);

#endif
