/* sharedmem_map(): what its caller asks for, checked; and the backend that does without workers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/debug.h"
#include "base/error.h"
#include "base/options.h"
#include "host/cpu_count.h"
#include "memory/member.h"
#include "run/crew_errors.h"
#include "run/map_shared.h"
#include "run/solo.h"

/*
 * Beyond this, counters of items and chunks could overflow; it is more than any machine can count to in
 * years.
 */
#define MAP_MAX_ITEMS ((size_t)1 << 48)

/* The master has a slot of the member table too. */
#define MAP_MAX_WORKERS ((int)MEMBER_SLOTS - 2)

static int usage(sharedmem_error *error, const char *message)
{
    return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL, "map: %s", message);
}

static int check_sizes(const sharedmem_map_options *options, sharedmem_error *error)
{
    size_t bytes;

    if (options->n > MAP_MAX_ITEMS)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "map: n is %zu; it can be 2^48 at most (was it negative?)", options->n);
    if (options->results != NULL && options->result_size == 0)
        return usage(error, ".results needs .result_size, the bytes of one result");
    if (options->n > 0 && options->result_size > 0 && options->results == NULL && options->reduce == NULL)
        return usage(error,
                     ".result_size without .results or .reduce: results would be lost (was .results NULL?)");
    if (__builtin_mul_overflow(options->n, options->result_size, &bytes) || bytes > PTRDIFF_MAX)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "map: n * .result_size, %zu * %zu, is more than any memory", options->n,
                         options->result_size);
    return 0;
}

static int check(const sharedmem_map_options *options, sharedmem_error *error)
{
    if (options->reserved != 0)
        return options_refused(E2BIG, "map", error);
    if (options->work == NULL)
        return usage(error, "work is NULL; give the function that does item i");
    if (options->np < 0 || options->np > MAP_MAX_WORKERS)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                         "map: .np is %d; it can be 1 to %d, or 0 for sharedmem_cpu_count()", options->np,
                         MAP_MAX_WORKERS);
    if (options->schedule < SHAREDMEM_GUIDED || options->schedule > SHAREDMEM_STATIC)
        return usage(error, ".schedule is none of SHAREDMEM_GUIDED, SHAREDMEM_DYNAMIC, SHAREDMEM_STATIC");
    if (options->backend < SHAREDMEM_PROCESSES || options->backend > SHAREDMEM_SERIAL)
        return usage(error, ".backend is none of SHAREDMEM_PROCESSES, SHAREDMEM_SERIAL");
    return check_sizes(options, error);
}

static uint32_t count_workers(const sharedmem_map_options *options)
{
    size_t np = options->np > 0 ? (size_t)options->np : (size_t)sharedmem_cpu_count();

    return (uint32_t)(np < options->n ? np : options->n);
}

static int run(const sharedmem_map_options *options, sharedmem_error *error)
{
    if (check(options, error) != 0)
        return -1;
    if (options->n == 0)
        return 0;
    if (options->backend == SHAREDMEM_SERIAL || debug_is_on())
        return map_serial(options, error);
    return map_forked(options, count_workers(options), error);
}

int sharedmem_map_with(const sharedmem_map_options *given, size_t sizeof_options)
{
    sharedmem_map_options options;
    int code = options_read(&options, sizeof options, given, sizeof_options);
    sharedmem_error own, *error = options.error != NULL ? options.error : &own;

    error_clear(error);
    if (options_refused(code, "map", error) == 0 && run(&options, error) == 0)
        return 0;
    return error_end_call(error, options.error != NULL, options.where);
}

/* ---- SERIAL ---- */

/* Item i's result: in the caller's array, else in the one scratch. */
static void *serial_result(const sharedmem_map_options *options, void *scratch, size_t i)
{
    if (options->result_size == 0)
        return NULL;
    return options->results != NULL ? (char *)options->results + i * options->result_size : scratch;
}

static int serial_item(const sharedmem_map_options *options, void *result, size_t i, sharedmem_error *error)
{
    int code;

    if (result != NULL && options->results == NULL)
        memset(result, 0, options->result_size);
    code = options->work(i, result, options->context);
    if (code != 0) {
        crew_item_error(error, 0, i, code);
        return -1;
    }
    error_drop_fail_message();
    code = options->reduce != NULL ? options->reduce(i, result, options->context) : 0;
    if (code != 0) {
        crew_reduce_error(error, i, code);
        return -1;
    }
    error_drop_fail_message();
    return 0;
}

/* In a variable with this cleanup: given back also when an exception of C++ passes through. */
static void free_scratch(void **scratch)
{
    free(*scratch);
}

static int do_all(const sharedmem_map_options *options, void *scratch, sharedmem_error *error)
{
    SOLO_TEAM(solo);

    solo_enter(&solo, true);
    for (size_t i = 0; i < options->n; i++) {
        solo_begin_item(&solo, i);
        if (serial_item(options, serial_result(options, scratch, i), i, error) != 0)
            return -1;
    }
    return 0;
}

int map_serial(const sharedmem_map_options *options, sharedmem_error *error)
{
    __attribute__((cleanup(free_scratch))) void *scratch = NULL;

    if (options->results == NULL && options->result_size > 0) {
        scratch = malloc(options->result_size);
        if (scratch == NULL)
            return error_set(error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM,
                             "map: no memory for a result of %zu bytes", options->result_size);
    }
    if (do_all(options, scratch, error) == 0)
        return 0;
    errno = ECANCELED;
    return -1;
}
