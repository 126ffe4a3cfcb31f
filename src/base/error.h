/*
 * error.h: filling a sharedmem_error, and the rule for errors that nobody asked for (sharedmem_set_uncaught).
 *
 * A function that fails ends in one visible expression: return error_set(error, KIND, code, "...", ...).
 * error may be NULL everywhere; errno is set all the same.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "sharedmem.h"

/* Makes error say nothing: kind NONE, no rank, no item. */
void error_clear(sharedmem_error *error);

/* Fills error and sets errno to code. Returns -1. */
int error_set(sharedmem_error *error, sharedmem_error_kind kind, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* As error_set() with kind SYSTEM and code errno; ": " and the errno's text are put behind the message. */
int error_system(sharedmem_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Takes the message left by sharedmem_fail() in this thread into error->message, where there is one; forgets
 * it.
 */
void error_take_fail_message(sharedmem_error *error);

/* Whether sharedmem_fail() left a message in this thread. */
extern _Thread_local bool error_has_fail_message __attribute__((tls_model("initial-exec")));

/* The function succeeded all the same: its message is dropped. After each item, and so but a look. */
static inline void error_drop_fail_message(void)
{
    if (error_has_fail_message)
        error_take_fail_message(NULL);
}

/*
 * Writes "file:line" of the program's call that this thread is in, or nothing; NULL: nobody can. For usage errors
 * of calls that are not told their place.
 */
extern void (*error_find_place)(char *where, size_t size);

/* Hands error to the uncaught handler. Returns -1 with errno as it was, where the handler returns. */
int error_uncaught(const sharedmem_error *error);

/*
 * Sets how the default handler ends this process, in place of exit(1): a worker fails its item.
 * leave must not return. Called in a freshly forked worker; NULL is exit(1).
 */
typedef void error_leave(const sharedmem_error *error);
void error_set_leave(error_leave *leave);

/* Before a fork whose child calls that: what it would do once in each child is done here for all. */
void error_guard_forks(void);


/*
 * The same for the calling thread alone, before that of the process. Returns the one until now; NULL: none.
 */
error_leave *error_set_thread_leave(error_leave *leave);

/*
 * How a public call with options fails: error, which is filled, gets the place of the call where it has none.
 * is_asked_for:
 * it is the caller's own; else it is uncaught. Returns -1 with errno.
 */
int error_end_call(sharedmem_error *error, bool is_asked_for, const char *where);

#endif
