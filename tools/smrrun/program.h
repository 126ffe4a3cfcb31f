/* program.h: finding the program for the ranks, and knowing before anything starts that it can be run. */
#ifndef SMRRUN_PROGRAM_H
#define SMRRUN_PROGRAM_H

#include <limits.h>
#include <stddef.h>

/*
 * Looks name up as execvp(3) would in the folder wdir (NULL: this one), with PATH from the environment, and
 * checks that it is a file that the system can run: executable, no folder, of a known format and for this
 * machine, with an interpreter that is there. Unlike execvp(3) it does not hand what has no format to a
 * shell, and the first executable file of that name is the one, whatever is wrong with it. What cannot be
 * judged (a file that may not be read, formats that were registered with the kernel) is taken for good.
 *
 * path: gets what to execute once in wdir: as given where name has a slash, else in a folder of PATH,
 * absolute where that is.
 * message: gets one line without a newline, cut to size, where the answer is not 0.
 * Returns 0, 126 (it is there but cannot be run), 127 (there is none) or 125 (wdir cannot be entered).
 */
int program_find(const char *name, const char *wdir, char path[PATH_MAX], char *message, size_t size);

#endif
