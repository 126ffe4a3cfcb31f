/* What sharedmem_map() refuses, and how it says so: each bad input with and without an error to fill. */
#include <sharedmem.h>

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* The options as a later version of the library may have them. */
struct later_options {
    sharedmem_map_options known;
    char more[16];
};

static atomic_int *calls; /* of work, in any process */

static int work(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    atomic_fetch_add(calls, 1);
    return 0;
}

static int reduce(size_t i, void *result, void *context)
{
    return work(i, result, context);
}

/* ---- Uncaught errors ---- */

static int uncaught;
static sharedmem_error last;

static void note_uncaught(const sharedmem_error *error)
{
    uncaught++;
    last = *error;
}

/* ---- Refused ---- */

static char room[64];

static const struct {
    const char *name;
    struct later_options given;
    size_t size; /* 0: sizeof(sharedmem_map_options) */
    int code;
    const char *says;
} refused[] = {
    {"a NULL work", {.known = {.n = 4}}, 0, EINVAL, "work"},
    {"a NULL work, nothing to do", {.known = {.n = 0}}, 0, EINVAL, "work"},
    {"np -1", {.known = {4, work, .np = -1}}, 0, EINVAL, "-1"},
    {"np INT32_MIN", {.known = {4, work, .np = INT32_MIN}}, 0, EINVAL, ".np"},
    {"np 16383", {.known = {4, work, .np = 16383}}, 0, EINVAL, "16383"},
    {"np 20000", {.known = {4, work, .np = 20000}}, 0, EINVAL, "20000"},
    {"np 20000, nothing to do", {.known = {0, work, .np = 20000}}, 0, EINVAL, "20000"},
    {"schedule 3", {.known = {4, work, .schedule = 3}}, 0, EINVAL, ".schedule"},
    {"schedule 9", {.known = {4, work, .schedule = 9}}, 0, EINVAL, ".schedule"},
    {"schedule -1", {.known = {4, work, .schedule = -1}}, 0, EINVAL, ".schedule"},
    {"backend 3", {.known = {4, work, .backend = 3}}, 0, EINVAL, ".backend"},
    {"backend 7", {.known = {4, work, .backend = 7}}, 0, EINVAL, ".backend"},
    {"backend -1", {.known = {4, work, .backend = -1}}, 0, EINVAL, ".backend"},
    {"results without result_size", {.known = {4, work, .results = room}}, 0, EINVAL, ".result_size"},
    {"results without result_size, serial",
     {.known = {4, work, .results = room, .backend = SHAREDMEM_SERIAL}},
     0,
     EINVAL,
     ".result_size"},
    {"n SIZE_MAX", {.known = {.n = SIZE_MAX, .work = work}}, 0, EINVAL, "18446744073709551615"},
    {"n 2^48 + 1", {.known = {.n = ((size_t)1 << 48) + 1, .work = work}}, 0, EINVAL, "2^48"},
    {"n SIZE_MAX, serial", {.known = {SIZE_MAX, work, .backend = SHAREDMEM_SERIAL}}, 0, EINVAL, "2^48"},
    {"2^48 results of 2^16 bytes",
     {.known = {(size_t)1 << 48, work, .result_size = (size_t)1 << 16}},
     0,
     EINVAL,
     ".result_size"},
    {"2^48 results of 2^15 bytes",
     {.known = {(size_t)1 << 48, work, .result_size = (size_t)1 << 15}},
     0,
     EINVAL,
     ".result_size"},
    {"2 results of SIZE_MAX bytes", {.known = {2, work, .result_size = SIZE_MAX}}, 0, EINVAL, ".result_size"},
    {"1 result of SIZE_MAX bytes", {.known = {1, work, .result_size = SIZE_MAX}}, 0, EINVAL, ".result_size"},
    {"reserved 1", {.known = {4, work, .reserved = 1}}, 0, E2BIG, "version"},
    {"a later option, its first byte",
     {.known = {.n = 4, .work = work}, .more = {1}},
     sizeof(struct later_options),
     E2BIG,
     "version"},
    {"a later option, its last byte",
     {.known = {.n = 4, .work = work}, .more = {[15] = 1}},
     sizeof(struct later_options),
     E2BIG,
     "version"},
    {"one byte more, set",
     {.known = {.n = 4, .work = work}, .more = {1}},
     sizeof(sharedmem_map_options) + 1,
     E2BIG,
     "version"},
};

static bool names_no_item(const sharedmem_error *error)
{
    return error->rank == -1 && error->item == SHAREDMEM_NO_ITEM;
}

static void check_error(const sharedmem_error *error, int code, const char *says, const char *where)
{
    test_int(SHAREDMEM_ERROR_USAGE, error->kind, "the error is of kind USAGE");
    test_int(code, error->code, "its code is errno");
    test_ok(names_no_item(error), "it names no worker and no item");
    test_str(where, error->where, "it names the call");
    test_has(says, error->message, "its message names what is wrong");
    test_ok(strchr(error->message, '\n') == NULL, "in one line");
    test_str("", error->traceback, "without a traceback");
}

static size_t size_of(size_t size)
{
    return size == 0 ? sizeof(sharedmem_map_options) : size;
}

static void test_filled(size_t i)
{
    struct later_options given = refused[i].given;
    sharedmem_error error;

    memset(&error, 0x55, sizeof error);
    given.known.error = &error;
    given.known.where = "solver.c:42";
    errno = 0;
    uncaught = 0;
    test_int(-1, sharedmem_map_with(&given.known, size_of(refused[i].size)), "%s: is refused",
             refused[i].name);
    test_int(refused[i].code, errno, "%s: errno", refused[i].name);
    test_int(0, uncaught, "the error is not uncaught");
    check_error(&error, refused[i].code, refused[i].says, "solver.c:42");
}

static void test_uncaught(size_t i)
{
    struct later_options given = refused[i].given;

    given.known.where = "solver.c:42";
    errno = 0;
    uncaught = 0;
    test_int(-1, sharedmem_map_with(&given.known, size_of(refused[i].size)), "%s, uncaught: is refused",
             refused[i].name);
    test_int(refused[i].code, errno, "%s, uncaught: errno", refused[i].name);
    test_int(1, uncaught, "the error is uncaught once");
    check_error(&last, refused[i].code, refused[i].says, "solver.c:42");
}

static void test_refused(void)
{
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        atomic_store(calls, 0);
        test_filled(i);
        test_uncaught(i);
        test_int(0, atomic_load(calls), "%s: nothing was done", refused[i].name);
    }
}

/* Options that hold no .error, for they are none, or too old. */
static void test_too_old(const sharedmem_map_options *options, size_t size, const char *name)
{
    errno = 0;
    uncaught = 0;
    test_int(-1, sharedmem_map_with(options, size), "%s: is refused", name);
    test_int(EINVAL, errno, "%s: errno", name);
    test_int(1, uncaught, "%s: the error is uncaught once", name);
    check_error(&last, EINVAL, "NULL", "");
}

static void test_no_options(void)
{
    sharedmem_map_options options = {.n = 4, .work = work};

    test_too_old(NULL, sizeof options, "no options");
    test_too_old(NULL, 0, "no options of no size");
    test_too_old(&options, 0, "options of no size");
    test_too_old(&options, offsetof(sharedmem_map_options, work), "options without work");
}

static void test_macro(void)
{
    sharedmem_error error;
    char here[32];
    int result, line;

    line = __LINE__ + 1;
    result = sharedmem_map(4, work, NULL, .np = -1, .error = &error);
    snprintf(here, sizeof here, "api-errors.c:%d", line);
    test_int(-1, result, "the macro returns what the function does");
    test_has(here, error.where, "it names its line");
    test_has("-1", error.message, "and passes its options");
}

static void test_no_handler(void)
{
    sharedmem_uncaught_handler *before = sharedmem_set_uncaught(NULL);

    errno = 0;
    test_int(-1, sharedmem_map(4, NULL, NULL), "without a handler an uncaught error is -1");
    test_int(EINVAL, errno, "with errno");
    sharedmem_set_uncaught(before);
}

/* ---- Taken ---- */

static const struct {
    const char *name;
    struct later_options given;
    size_t size; /* 0: sizeof(sharedmem_map_options) */
} taken[] = {
    {"no items", {.known = {.n = 0, .work = work}}, 0},
    {"no items, serial", {.known = {0, work, .backend = SHAREDMEM_SERIAL}}, 0},
    {"no items, with reduce", {.known = {0, work, .result_size = 8, .reduce = reduce}}, 0},
    {"no items, with results", {.known = {0, work, .results = room, .result_size = 8}}, 0},
    {"no items of the largest size", {.known = {0, work, .result_size = SIZE_MAX}}, 0},
    {"no items for the most workers", {.known = {0, work, .np = 16382}}, 0},
    {"fewer items than workers", {.known = {2, work, .np = 16382}}, 0},
    {"one item", {.known = {.n = 1, .work = work}}, 0},
    {"by default", {.known = {.n = 5, .work = work}}, 0},
    {"by the caller", {.known = {5, work, .backend = SHAREDMEM_SERIAL}}, 0},
    {"the largest chunk, guided", {.known = {5, work, .np = 2, .chunk = SIZE_MAX}}, 0},
    {"the largest chunk, dynamic",
     {.known = {5, work, .np = 2, .chunk = SIZE_MAX, .schedule = SHAREDMEM_DYNAMIC}},
     0},
    {"the largest chunk, static",
     {.known = {5, work, .np = 2, .chunk = SIZE_MAX, .schedule = SHAREDMEM_STATIC}},
     0},
    {"a later caller that wants nothing new", {.known = {5, work, .np = 2}}, sizeof(struct later_options)},
    {"one byte more, zero", {.known = {5, work, .np = 2}}, sizeof(sharedmem_map_options) + 1},
    {"an older caller with all before np",
     {.known = {5, work, .np = -1, .schedule = 9, .backend = 7, .reserved = 1}},
     offsetof(sharedmem_map_options, np)},
    {"the oldest caller, whatever lies behind",
     {.known = {5, work, NULL, room, 0, reduce, NULL, NULL, 0, -1, 9, 7, 1}, .more = {1}},
     offsetof(sharedmem_map_options, results)},
};

static void test_taken(void)
{
    for (size_t i = 0; i < COUNT_OF(taken); i++) {
        const sharedmem_map_options *given = &taken[i].given.known;

        uncaught = 0;
        atomic_store(calls, 0);
        test_int(0, sharedmem_map_with(given, size_of(taken[i].size)), "%s: is done", taken[i].name);
        test_int((long long)given->n, atomic_load(calls), "%s: work is called once an item", taken[i].name);
        test_int(0, uncaught, "%s: no error", taken[i].name);
    }
}

/* ---- The default: the program ends, or the worker's item fails ---- */

static _Noreturn void map_badly(int stderr_fd)
{
    dup2(stderr_fd, STDERR_FILENO);
    close(stderr_fd);
    sharedmem_set_uncaught(sharedmem_uncaught);
    sharedmem_map_with(&(sharedmem_map_options){4, work, .np = -1, .where = "solver.c:42"},
                       sizeof(sharedmem_map_options));
    test_child_exit(77);
}

static void read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    ssize_t got;

    while ((got = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
}

static void test_default(void)
{
    static const char begin[] = "sharedmem: solver.c:42: map: .np is -1";
    char text[8192];
    int ends[2], status;
    pid_t child;

    test_int(0, pipe(ends), "a pipe is made");
    child = fork();
    if (child == 0) {
        close(ends[0]);
        map_badly(ends[1]);
    }
    close(ends[1]);
    read_all(ends[0], text, sizeof text);
    close(ends[0]);
    waitpid(child, &status, 0);
    test_ok(WIFEXITED(status) && WEXITSTATUS(status) == 1, "by default an uncaught error is exit status 1");
    test_ok(strncmp(text, begin, strlen(begin)) == 0, "it is printed with its place");
    test_ok(strchr(text, '\n') == text + strlen(text) - 1, "in one line, once");
}

static int map_in_item(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    if (i == 2)
        sharedmem_map(4, work, NULL, .np = -1);
    return 0;
}

static void test_in_worker(void)
{
    sharedmem_error error;

    sharedmem_set_uncaught(sharedmem_uncaught);
    errno = 0;
    test_int(-1, sharedmem_map(4, map_in_item, NULL, .np = 2, .error = &error),
             "a bad map in an item fails it");
    test_int(ECANCELED, errno, "as other failures do");
    test_int(SHAREDMEM_ERROR_USAGE, error.kind, "the error is the inner map's");
    test_int(EINVAL, error.code, "with its code");
    test_has(".np is -1", error.message, "and its message");
    test_has("api-errors.c:", error.where, "and its place");
    test_int(2, (long long)error.item, "it names the item");
    test_ok(error.rank == 0 || error.rank == 1, "and the worker");
    test_ok(error.pid > 0 && error.pid != getpid(), "and its process");
    sharedmem_set_uncaught(note_uncaught);
}

int main(void)
{
    int fds;

    test_begin(120);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    calls = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sharedmem_set_uncaught(note_uncaught);
    fds = test_fds();
    test_refused();
    test_no_options();
    test_macro();
    test_no_handler();
    test_int(fds, test_fds(), "what is refused opens nothing");
    test_taken();
    test_default();
    test_in_worker();
    munmap((void *)calls, sizeof *calls);
    return test_end();
}
