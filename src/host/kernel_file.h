/* kernel_file.h: reading small files of /proc and /sys. All return 0, or -1 where the file does not tell. */
#ifndef HOST_KERNEL_FILE_H
#define HOST_KERNEL_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Reads the first line of a file, without its newline. -1 also where it does not fit. */
int kernel_file_line(const char *path, char *line, size_t size);

/* Reads a file that holds one whole number. -1 also for what is none: "max", "-1". */
int kernel_file_number(const char *path, uint64_t *number);

/* Reads the size behind key in a file of lines like "MemTotal: 2048 kB" or "inactive_file 4096". */
int kernel_file_field(const char *path, const char *key, uint64_t *bytes);

#endif
