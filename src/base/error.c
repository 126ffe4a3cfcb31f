#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/each_fork.h"
#include "base/log.h"
#include "base/text.h"
#include "base/thread_room.h"

_Static_assert(sizeof(sharedmem_error) == 4096, "sharedmem_error is 4096 bytes, for ever");

static _Atomic(sharedmem_uncaught_handler *) uncaught_handler = sharedmem_uncaught;
static error_leave *leave_process;
static _Thread_local error_leave *leave_thread __attribute__((tls_model("initial-exec")));

_Thread_local bool error_has_fail_message __attribute__((tls_model("initial-exec")));

static _Thread_local void *fail_message __attribute__((tls_model("initial-exec")));

void error_clear(sharedmem_error *error)
{
    if (error == NULL)
        return;
    memset(error, 0, sizeof *error);
    error->rank = -1;
    error->item = SHAREDMEM_NO_ITEM;
}

__attribute__((format(printf, 4, 0))) static void
error_fill(sharedmem_error *error, sharedmem_error_kind kind, int code, const char *format, va_list arguments)
{
    error_clear(error);
    error->kind = kind;
    error->code = code;
    vsnprintf(error->message, sizeof error->message, format, arguments);
    text_one_line(error->message);
}

int error_set(sharedmem_error *error, sharedmem_error_kind kind, int code, const char *format, ...)
{
    va_list arguments;

    if (error != NULL) {
        va_start(arguments, format);
        error_fill(error, kind, code, format, arguments);
        va_end(arguments);
    }
    errno = code;
    return -1;
}

int error_system(sharedmem_error *error, const char *format, ...)
{
    int code = errno;
    va_list arguments;

    if (error != NULL) {
        size_t length;

        va_start(arguments, format);
        error_fill(error, SHAREDMEM_ERROR_SYSTEM, code, format, arguments);
        va_end(arguments);
        length = strlen(error->message);
        snprintf(error->message + length, sizeof error->message - length, ": %s", strerror(code));
    }
    errno = code;
    return -1;
}

int sharedmem_fail_message(int code, const char *message)
{
    return sharedmem_fail(code, "%s", message != NULL ? message : "");
}

int sharedmem_fail(int code, const char *format, ...)
{
    const size_t size = sizeof((sharedmem_error *)0)->message;
    char *text = thread_room(&fail_message, size);
    va_list arguments;

    va_start(arguments, format);
    if (text != NULL) {
        vsnprintf(text, size, format, arguments);
        text_one_line(text);
        error_has_fail_message = true;
    }
    va_end(arguments);
    return code != 0 ? code : -1;
}

void error_take_fail_message(sharedmem_error *error)
{
    char *text = fail_message;

    if (text != NULL && text[0] != '\0' && error != NULL)
        memcpy(error->message, text, sizeof error->message);
    if (text != NULL)
        text[0] = '\0';
    error_has_fail_message = false;
}

void sharedmem_print_error(const sharedmem_error *error)
{
    char text[sizeof *error + 256];

    if (error == NULL)
        return;
    snprintf(text, sizeof text, "sharedmem: %s%s%s\n%s", error->where, error->where[0] != '\0' ? ": " : "",
             error->message, error->traceback);
    log_write(text);
}

sharedmem_uncaught_handler *sharedmem_set_uncaught(sharedmem_uncaught_handler *handler)
{
    return atomic_exchange(&uncaught_handler, handler);
}

void sharedmem_uncaught(const sharedmem_error *error)
{
    if (leave_thread != NULL)
        leave_thread(error);
    if (leave_process != NULL)
        leave_process(error);
    sharedmem_print_error(error);
    exit(EXIT_FAILURE);
}

void (*error_find_place)(char *where, size_t size);

/*
 * Whether to look for the call that went wrong, where the error does not say. Not in a signal handler, which is
 * what EDEADLK may be of: that could hang.
 */
static bool wants_place(const sharedmem_error *error, sharedmem_uncaught_handler *handler)
{
    return handler == sharedmem_uncaught && error->where[0] == '\0' && error->kind == SHAREDMEM_ERROR_USAGE &&
           error->code != EDEADLK && error_find_place != NULL;
}

int error_uncaught(const sharedmem_error *error)
{
    sharedmem_uncaught_handler *handler = atomic_load(&uncaught_handler);
    int saved_errno = errno;
    sharedmem_error placed;

    if (handler != NULL && wants_place(error, handler)) {
        placed = *error;
        error_find_place(placed.where, sizeof placed.where);
        error = &placed;
    }
    if (handler != NULL)
        handler(error);
    errno = saved_errno;
    return -1;
}

/* A copy of a worker that the program forked fails nobody's item. Our own workers set theirs afterwards. */
EACH_FORK static void forget_leave(void)
{
    leave_process = NULL;
    leave_thread = NULL;
}

static void install_hook(void)
{
    pthread_atfork(NULL, NULL, forget_leave);
}

void error_guard_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, install_hook);
}

EACH_FORK void error_set_leave(error_leave *leave)
{
    error_guard_forks();
    leave_process = leave;
}

error_leave *error_set_thread_leave(error_leave *leave)
{
    error_leave *before = leave_thread;

    error_guard_forks();
    leave_thread = leave;
    return before;
}

int error_end_call(sharedmem_error *error, bool is_asked_for, const char *where)
{
    if (error->where[0] == '\0')
        text_copy_end(error->where, sizeof error->where, where);
    return is_asked_for ? -1 : error_uncaught(error);
}
