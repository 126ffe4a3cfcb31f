/*
 * log.h: the library's warnings, through the handler of sharedmem_set_log(). Nothing else prints but errors.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/*
 * Warns: one line, cut after 1023 bytes. Keeps errno. Safe in a forked child of a threaded program: no locks.
 */
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Writes all of text to stderr, whatever interrupts it; never through stdio, whose lock a fork may have lost.
 */
void log_write(const char *text);

#endif
