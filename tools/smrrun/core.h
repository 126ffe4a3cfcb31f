/* core.h: where the core file of a rank is that has dumped one, by core(5). */
#ifndef SMRRUN_CORE_H
#define SMRRUN_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Makes of kernel.core_pattern a pattern for glob(3) that the file of process pid matches, which signal ended:
 * what nobody knows of it afterwards is a *. uses_pid: kernel.core_uses_pid. Returns 0; -1 where it is no file
 * but a program or a socket that takes the core, or does not fit.
 */
int core_glob(const char *pattern, bool uses_pid, pid_t pid, int signal, char *glob, size_t size);

/*
 * Writes "core dumped", and where it is as far as that can be seen: "core dumped: /home/me/core.77", "core
 * dumped; see: coredumpctl info 77", "core dumped, taken by apport".
 *
 * folder: where the process was started; NULL: here. seconds: no file older than that is its. Blocks as looking
 * into a folder does.
 */
void core_describe(pid_t pid, int signal, const char *folder, double seconds, char *text, size_t size);

#endif
