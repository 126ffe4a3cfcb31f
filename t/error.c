/* Errors: filling them, what sharedmem_fail() leaves, uncaught ones, printing. Warnings. */
#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "tap.h"

#define MESSAGE_ROOM sizeof(((sharedmem_error *)0)->message)

/* ---- What a child printed to stderr, and how it ended ---- */

struct ending {
    int status;
    char text[8192];
};

static void read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    ssize_t got;

    while ((got = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
}

static void run_in_child(void (*body)(void), struct ending *ending)
{
    int ends[2];
    pid_t child;

    if (pipe(ends) != 0 || (child = fork()) < 0) {
        test_ok(false, "a child can be forked");
        return;
    }
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        body();
        test_child_exit(0);
    }
    close(ends[1]);
    read_all(ends[0], ending->text, sizeof ending->text);
    close(ends[0]);
    waitpid(child, &ending->status, 0);
}

static void test_prints(const char *expected, void (*body)(void), const char *name)
{
    struct ending ending;

    run_in_child(body, &ending);
    test_int(0, ending.status, "%s: it returns", name);
    test_str(expected, ending.text, "%s: what it prints", name);
}

/* ---- Filling ---- */

static void test_clear(void)
{
    sharedmem_error error;

    memset(&error, 0x55, sizeof error);
    error_clear(NULL);
    error_clear(&error);
    test_int(SHAREDMEM_ERROR_NONE, error.kind, "a cleared error has no kind");
    test_int(0, error.code, "no code");
    test_int(-1, error.rank, "no rank");
    test_int(0, error.pid, "no process");
    test_ok(error.item == SHAREDMEM_NO_ITEM, "no item");
    test_str("", error.where, "no place");
    test_str("", error.message, "no message");
    test_str("", error.traceback, "no traceback");
}

static void test_set(void)
{
    sharedmem_error error;

    memset(&error, 0x55, sizeof error);
    errno = 0;
    test_int(-1, error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "%d of %s", 3, "four"),
             "error_set() returns -1");
    test_int(EINVAL, errno, "it sets errno");
    test_int(SHAREDMEM_ERROR_USAGE, error.kind, "it sets the kind");
    test_int(EINVAL, error.code, "the code");
    test_str("3 of four", error.message, "the message");
    test_int(-1, error.rank, "and no rank");
    test_ok(error.item == SHAREDMEM_NO_ITEM, "and no item");
    test_str("", error.where, "and no place");
    errno = 0;
    test_int(-1, error_set(NULL, SHAREDMEM_ERROR_USAGE, E2BIG, "%s", "lost"),
             "without an error it returns -1");
    test_int(E2BIG, errno, "and sets errno");
}

static void test_system(void)
{
    sharedmem_error error;
    char expected[128];

    snprintf(expected, sizeof expected, "cannot open x: %s", strerror(ENOENT));
    errno = ENOENT;
    test_int(-1, error_system(&error, "cannot open %s", "x"), "error_system() returns -1");
    test_int(ENOENT, errno, "it keeps errno");
    test_int(SHAREDMEM_ERROR_SYSTEM, error.kind, "its kind is SYSTEM");
    test_int(ENOENT, error.code, "its code is errno");
    test_str(expected, error.message, "its message has the system's words");
    errno = EPERM;
    test_int(-1, error_system(NULL, "%s", "lost"), "without an error it returns -1");
    test_int(EPERM, errno, "and keeps errno");
}

static void test_long_messages(void)
{
    char text[2 * MESSAGE_ROOM];
    sharedmem_error error;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s", text);
    test_int(MESSAGE_ROOM - 1, (long long)strlen(error.message), "a long message is cut");
    test_str("", error.traceback, "and nothing is written behind it");
    errno = ENOENT;
    error_system(&error, "%s", text);
    test_int(MESSAGE_ROOM - 1, (long long)strlen(error.message), "a long message with errno's text too");
    test_str("", error.traceback, "and nothing is written behind it");
    text[MESSAGE_ROOM - 4] = '\0';
    errno = ENOENT;
    error_system(&error, "%s", text);
    test_int(MESSAGE_ROOM - 1, (long long)strlen(error.message), "errno's text is cut");
    test_has("xx: ", error.message, "at the right place");
}

/* ---- What sharedmem_fail() leaves ---- */

static void test_fail_codes(void)
{
    test_int(3, sharedmem_fail(3, "why"), "sharedmem_fail() returns its code");
    test_int(-7, sharedmem_fail(-7, "why"), "a negative one too");
    test_int(-1, sharedmem_fail(0, "why"), "for 0 it returns -1");
    test_int(5, sharedmem_fail_message(5, "why"), "sharedmem_fail_message() returns its code");
    test_int(-1, sharedmem_fail_message(0, NULL), "for 0 it returns -1");
    error_take_fail_message(NULL);
}

static void test_fail_is_taken_once(void)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_RETURNED, ECANCELED, "as it was");
    error_take_fail_message(&error);
    test_str("as it was", error.message, "without sharedmem_fail() the message stays");
    sharedmem_fail(1, "first");
    sharedmem_fail(1, "cannot open %s", "x");
    error_take_fail_message(&error);
    test_str("cannot open x", error.message, "the last message is taken");
    test_int(ECANCELED, error.code, "and nothing else changes");
    error_set(&error, SHAREDMEM_ERROR_RETURNED, ECANCELED, "as it was");
    error_take_fail_message(&error);
    test_str("as it was", error.message, "it is taken once");
    sharedmem_fail(1, "dropped");
    error_take_fail_message(NULL);
    error_take_fail_message(&error);
    test_str("as it was", error.message, "it can be dropped");
}

static void test_fail_texts(void)
{
    char text[2 * MESSAGE_ROOM];
    sharedmem_error error;

    error_clear(&error);
    sharedmem_fail_message(1, "100%s");
    error_take_fail_message(&error);
    test_str("100%s", error.message, "a ready message is no format");
    sharedmem_fail_message(1, NULL);
    error_take_fail_message(&error);
    test_str("100%s", error.message, "NULL is no message");
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    sharedmem_fail(1, "%s", text);
    error_take_fail_message(&error);
    test_int(MESSAGE_ROOM - 1, (long long)strlen(error.message), "a long message is cut");
    test_str("", error.traceback, "and nothing is written behind it");
    sharedmem_fail(1, "two\nlines\n");
    error_take_fail_message(&error);
    test_ok(strchr(error.message, '\n') == NULL, "a message has no newline, whatever the user wrote");
}

static void *fail_in_thread(void *argument)
{
    (void)argument;
    sharedmem_fail(1, "another thread's");
    return NULL;
}

static void test_fail_by_thread(void)
{
    sharedmem_error error;
    pthread_t thread;

    error_clear(&error);
    sharedmem_fail(1, "mine");
    pthread_create(&thread, NULL, fail_in_thread, NULL);
    pthread_join(thread, NULL);
    error_take_fail_message(&error);
    test_str("mine", error.message, "each thread has its own message");
}

/* ---- Uncaught ---- */

static const sharedmem_error *handled;
static int handled_times;

static void handle(const sharedmem_error *error)
{
    handled = error;
    handled_times++;
    errno = EDOM;
}

static void make_error(sharedmem_error *error)
{
    error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL, "np is %d", -1);
    strcpy(error->where, "solver.c:42");
}

static void fail_uncaught(void)
{
    sharedmem_error error;

    make_error(&error);
    error_uncaught(&error);
}

static _Noreturn void leave(const sharedmem_error *error)
{
    _exit(strcmp(error->where, "solver.c:42") == 0 ? 42 : 43);
}

static void fail_in_worker(void)
{
    error_set_leave(leave);
    fail_uncaught();
}

static void print_at_exit(void)
{
    log_write("bye\n");
}

static void fail_with_exit_handler(void)
{
    atexit(print_at_exit);
    fail_uncaught();
}

static void test_default_handler(void)
{
    struct ending ending;

    run_in_child(fail_uncaught, &ending);
    test_ok(WIFEXITED(ending.status) && WEXITSTATUS(ending.status) == 1,
            "an uncaught error is exit status 1");
    test_str("sharedmem: solver.c:42: np is -1\n", ending.text, "it is printed once, with its place");
    run_in_child(fail_with_exit_handler, &ending);
    test_str("sharedmem: solver.c:42: np is -1\nbye\n", ending.text, "exit handlers run after it");
    run_in_child(fail_in_worker, &ending);
    test_ok(WIFEXITED(ending.status) && WEXITSTATUS(ending.status) == 42,
            "a worker leaves as it was told instead");
    test_str("", ending.text, "and prints nothing");
}

static void test_own_handlers(void)
{
    sharedmem_error error;

    make_error(&error);
    test_ok(sharedmem_set_uncaught(handle) == sharedmem_uncaught, "a program starts with sharedmem_uncaught");
    errno = EINVAL;
    test_int(-1, error_uncaught(&error), "error_uncaught() returns -1 where the handler returns");
    test_int(EINVAL, errno, "with errno as it was");
    test_int(1, handled_times, "the handler is called once");
    test_ok(handled == &error, "it gets the error");
    test_ok(sharedmem_set_uncaught(NULL) == handle, "setting another returns the handler until now");
    errno = E2BIG;
    test_int(-1, error_uncaught(&error), "without a handler error_uncaught() returns");
    test_int(E2BIG, errno, "with errno as it was");
    test_int(1, handled_times, "and calls nobody");
    test_ok(sharedmem_set_uncaught(sharedmem_uncaught) == NULL, "no handler is NULL");
}

/* ---- Printing ---- */

static void print_null(void)
{
    sharedmem_print_error(NULL);
}

static void print_whole(void)
{
    sharedmem_error error;

    make_error(&error);
    strcpy(error.traceback, "  here\n  there\n");
    sharedmem_print_error(&error);
}

static void print_placeless(void)
{
    sharedmem_error error;

    make_error(&error);
    error.where[0] = '\0';
    sharedmem_print_error(&error);
}

static void print_full(void)
{
    sharedmem_error error;

    error_clear(&error);
    memset(error.where, 'w', sizeof error.where - 1);
    memset(error.message, 'm', sizeof error.message - 1);
    memset(error.traceback, 't', sizeof error.traceback - 1);
    sharedmem_print_error(&error);
}

static void test_print_error(void)
{
    struct ending ending;
    sharedmem_error error;
    size_t whole =
        strlen("sharedmem: : \n") + sizeof error.where + sizeof error.message + sizeof error.traceback - 3;

    test_prints("", print_null, "no error");
    test_prints("sharedmem: solver.c:42: np is -1\n  here\n  there\n", print_whole, "a whole error");
    test_prints("sharedmem: np is -1\n", print_placeless, "an error without a place");
    run_in_child(print_full, &ending);
    test_int((long long)whole, (long long)strlen(ending.text),
             "an error as long as it can be is printed whole");
}

/* ---- Warnings ---- */

static char logged[2048];
static int logged_times;

static void on_log(const char *message)
{
    snprintf(logged, sizeof logged, "%s", message);
    logged_times++;
    errno = EDOM;
}

static void warn(void)
{
    log_warn("%d %s", 2, "many");
}

static void warn_nobody(void)
{
    sharedmem_set_log(NULL);
    warn();
}

static void warn_long(void)
{
    char text[3000];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_warn("%s", text);
}

static void test_log(void)
{
    struct ending ending;

    test_prints("sharedmem: 2 many\n", warn, "a warning");
    test_prints("", warn_nobody, "a warning for nobody");
    run_in_child(warn_long, &ending);
    test_int((long long)strlen("sharedmem: \n") + 1023, (long long)strlen(ending.text),
             "a long warning is cut");
    test_ok(strchr(ending.text, '\n') == ending.text + strlen(ending.text) - 1, "and still is one line");
}

static void test_log_handler(void)
{
    sharedmem_log_handler *first = sharedmem_set_log(on_log);

    test_ok(first != NULL && first != on_log, "a program starts with a log handler");
    errno = EINVAL;
    warn();
    test_int(EINVAL, errno, "warnings keep errno");
    test_str("2 many", logged, "the handler gets the message alone");
    test_ok(sharedmem_set_log(NULL) == on_log, "setting another returns the handler until now");
    warn();
    test_int(1, logged_times, "without a handler warnings are dropped");
    test_ok(sharedmem_set_log(first) == NULL, "no handler is NULL");
}

int main(void)
{
    test_begin(30);
    test_clear();
    test_set();
    test_system();
    test_long_messages();
    test_fail_codes();
    test_fail_is_taken_once();
    test_fail_texts();
    test_fail_by_thread();
    test_default_handler();
    test_own_handlers();
    test_print_error();
    test_log();
    test_log_handler();
    return test_end();
}
