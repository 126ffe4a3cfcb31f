/* The map by its caller alone: all items in order, with the results and errors that workers would give. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "run/crew_errors.h"
#include "run/escape.h"
#include "run/map_shared.h"
#include "run/solo.h"
#include "run/stop.h"

/* Which function of the user is being called. */
enum step { STEP_NEXT, STEP_WORK, STEP_REDUCE };

struct serial {
    const sharedmem_map_options *options;
    sharedmem_error *error;
    struct map_progress progress;
    uint32_t stops_at_start;
    struct team_shared *meant_before; /* by sharedmem_stop() */
    void *scratch;                    /* room for an item, then a result, which the caller has no array for */
    char *item;                       /* NULL: the map has none */
    char *result;
    size_t i;
    enum step step;
    int code;
    struct solo solo;
};

static void call(void *argument)
{
    struct serial *serial = argument;
    const sharedmem_map_options *options = serial->options;

    switch (serial->step) {
    case STEP_NEXT:
        serial->code = options->next(serial->i, serial->item, options->context);
        break;
    case STEP_WORK:
        serial->code = options->work(serial->i, serial->result, options->context);
        break;
    case STEP_REDUCE:
        serial->code = options->reduce(serial->i, serial->result, options->context);
    }
}

static void say_code(struct serial *serial, sharedmem_error *error)
{
    switch (serial->step) {
    case STEP_NEXT:
        crew_next_error(error, serial->i, serial->code);
        break;
    case STEP_WORK:
        crew_item_error(error, 0, serial->i, serial->code);
        break;
    case STEP_REDUCE:
        crew_reduce_error(error, serial->i, serial->code);
    }
}

/* Calls a function of the user. Returns what it returned; negative also where it was left, with error filled. */
static int do_step(struct serial *serial, enum step step, sharedmem_error *error)
{
    bool is_failure;

    serial->step = step;
    serial->code = 0;
    switch (escape_run(call, serial, error)) {
    case ESCAPE_BY_ERROR:
        error->item = serial->i;
        error->rank = 0;
        return -1;
    case ESCAPE_CANCELLED:
        error_set(error, SHAREDMEM_ERROR_DEADLOCK, ECANCELED, "item %zu waited for what cannot come",
                  serial->i);
        return -1;
    default:
        break;
    }
    is_failure = step == STEP_NEXT ? serial->code < 0 : serial->code != 0;
    if (is_failure)
        say_code(serial, error);
    else
        error_drop_fail_message();
    return serial->code;
}

/* What item i's result begins with. */
static void prepare_result(struct serial *serial)
{
    const sharedmem_map_options *options = serial->options;

    if (options->results != NULL)
        serial->result = (char *)options->results + serial->i * options->result_size;
    else if (serial->result != NULL)
        memset(serial->result, 0, options->result_size);
}

/* Does the item, so often as it may be tried. Returns 0, or its failure with error. */
static int try_item(struct serial *serial, sharedmem_error *error)
{
    int code = -1;

    for (int32_t tries = 0; tries <= serial->options->retries && code != 0; tries++) {
        prepare_result(serial);
        solo_begin_item(&serial->solo, serial->i);
        code = do_step(serial, STEP_WORK, error);
        if (code == 0 && serial->solo.place.in_ordered) {
            crew_region_error(error, serial->i);
            code = -1;
        }
        serial->solo.place.in_ordered = false;
    }
    return code;
}

/* The item is done: reduce it, count it. */
static int take(struct serial *serial)
{
    const sharedmem_map_options *options = serial->options;
    int code = options->reduce != NULL ? do_step(serial, STEP_REDUCE, serial->error) : 0;

    if (code != 0) {
        map_mark_failed(options, serial->i);
        return code;
    }
    if (options->states != NULL)
        options->states[serial->i] = SHAREDMEM_DONE;
    serial->progress.n_done++;
    return 0;
}

static bool is_stopped(const struct serial *serial)
{
    return stop_is_told(serial->solo.place.team, serial->stops_at_start, serial->solo.before);
}

/* Returns 0 where the map goes on. */
static int do_item(struct serial *serial)
{
    const sharedmem_map_options *options = serial->options;
    sharedmem_error error;

    serial->solo.place.item = serial->item;
    if (try_item(serial, &error) == 0)
        return take(serial);
    /* What fails because it was stopped is no failure. */
    if (is_stopped(serial))
        return 0;
    map_mark_failed(options, serial->i);
    if (serial->error->kind == SHAREDMEM_ERROR_NONE)
        *serial->error = error;
    return options->retries > 0 ? 0 : -1;
}

/* Points item at the next one, or makes it. Returns 1, 0 where there is none, negative on failure. */
static int next_item(struct serial *serial)
{
    const sharedmem_map_options *options = serial->options;

    if (options->items != NULL)
        serial->item = (char *)options->items + serial->i * options->item_size;
    if (options->next == NULL)
        return serial->i < options->n;
    memset(serial->item, 0, options->item_size);
    return do_step(serial, STEP_NEXT, serial->error);
}

static int do_all(struct serial *serial)
{
    int there = 0;

    while (!is_stopped(serial) && (there = next_item(serial)) > 0) {
        if (do_item(serial) != 0)
            return -1;
        serial->i++;
        if (serial->options->progress != NULL)
            map_tell_progress(&serial->progress, serial->options, false);
        if (serial->progress.error.kind != SHAREDMEM_ERROR_NONE) {
            *serial->error = serial->progress.error;
            return -1;
        }
    }
    if (there < 0 || serial->error->kind != SHAREDMEM_ERROR_NONE)
        return -1;
    return is_stopped(serial) ? SHAREDMEM_STOPPED : 0;
}

/* Also where an exception of C++ passes through. */
static void end(struct serial *serial)
{
    solo_leave(&serial->solo);
    stop_leave(serial->meant_before);
    free(serial->scratch);
}

/* Room for one item and one result. */
static int make_scratch(struct serial *serial)
{
    const sharedmem_map_options *options = serial->options;
    size_t item = options->next != NULL ? bits_round_up(options->item_size, BITS_ALIGNMENT) : 0;
    size_t result = options->results == NULL ? options->result_size : 0;

    if (item + result == 0)
        return 0;
    serial->scratch = malloc(item + result);
    if (serial->scratch == NULL)
        return error_set(serial->error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM,
                         "map: no memory for an item and a result of %zu bytes", item + result);
    if (item > 0)
        serial->item = serial->scratch;
    if (result > 0)
        serial->result = (char *)serial->scratch + item;
    return 0;
}

int map_serial(const sharedmem_map_options *options, sharedmem_error *error)
{
    __attribute__((cleanup(end))) struct serial serial = {
        .options = options, .error = error, .stops_at_start = stop_count(), .meant_before = stop_enter(NULL)};
    int code;

    if (make_scratch(&serial) != 0)
        return -1;
    map_begin_progress(&serial.progress);
    solo_enter(&serial.solo, true);
    serial.solo.place.leave = escape_cancelled;
    code = do_all(&serial);
    if (options->progress != NULL)
        map_tell_progress(&serial.progress, options, true);
    if (code < 0)
        errno = ECANCELED;
    return code;
}
