/*
 * files.h: the files that ranks print into by themselves, where each has its own (-o 'out.%r').
 *
 * A pattern is a path in which %r is the rank, %4r the same in four digits at least, %% a percent sign; %t is
 * as %r, for srun's habit. Folders on the way are made.
 */
#ifndef SMRRUN_FILES_H
#define SMRRUN_FILES_H

#include <stdbool.h>
#include <stddef.h>

struct files;

/* What is wrong with pattern, as "what follows % is no r"; or NULL. */
const char *files_problem(const char *pattern);

/* Whether each rank has a file of its own by this pattern. */
bool files_has_rank(const char *pattern);

/* The path for rank. Returns false where it is longer than size. */
bool files_path(const char *pattern, int rank, char *path, size_t size);

/* What %r takes at most in the place of its two letters. */
#define FILES_RANK_BYTES 1024

/* Writes rank for %r and %4r alone; each other percent sign stays, with what follows it. False: as above. */
bool files_put_rank(const char *text, int rank, char *to, size_t size);

/*
 * Makes one file, empty, and the folders on its way. Returns an fd above 2 that the caller owns, closed on
 * exec and open for appending, or -1 with errno.
 */
int files_make(const char *path);

/*
 * Makes the files of all ranks, empty. A stream whose pattern is NULL has none; where both patterns are the
 * same it is one file for both. message: which cannot be made, and why.
 * Returns NULL with errno.
 */
struct files *files_open(const char *const patterns[2], int n_ranks, char *message, size_t size);

/* The fd for rank's stdout (0) or stderr (1); -1: it has none. */
int files_fd(const struct files *files, int rank, int stream);

/* Closes all. NULL is fine. Keeps errno. */
void files_close(struct files *files);

#endif
