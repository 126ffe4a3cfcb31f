/*
 * Where the Python package sharedmem hangs or says what is not so, each turned around. Each in a child with a
 * time limit of its own, so that what hangs has a name.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sharedmem.h>

#include "tap.h"

#define N_ITEMS     60
#define ROW_SECONDS 20

/* Who does the work, and how it is dealt. */
static int backend, schedule;

struct shared {
    _Atomic int n_log, n_reduced;
    size_t log[N_ITEMS];
    _Atomic bool go;
};

static struct shared *shared;

static int map_as(sharedmem_map_options options)
{
    options.backend = backend;
    options.schedule = schedule;
    options.np = 3;
    return sharedmem_map_with(&options, sizeof options);
}

#define MAP(...) map_as((sharedmem_map_options){__VA_ARGS__, .where = SHAREDMEM_HERE})

static int do_nothing(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    if (result != NULL)
        *(size_t *)result = i;
    return 0;
}

static bool next_is_right(void)
{
    size_t results[N_ITEMS];
    bool good = MAP(N_ITEMS, do_nothing, .results = results, .result_size = sizeof *results) == 0;

    for (size_t i = 0; i < N_ITEMS; i++)
        good &= results[i] == i;
    return good && sharedmem_heap_check(NULL) == 0 && test_children() == 0;
}

static bool is_told(int result, const sharedmem_error *error, int kind, int code, uint64_t item)
{
    return result == -1 && errno == ECANCELED && error->kind == kind && error->code == code &&
           error->item == item;
}

/* ---- Ordered ---- */

static int skip_some(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    if (i % 7 == 3)
        return 0;
    SHAREDMEM_ORDERED
    {
        shared->log[shared->n_log++] = i;
    }
    return 0;
}

static bool log_rises(void)
{
    for (int k = 1; k < shared->n_log; k++) {
        if (shared->log[k] <= shared->log[k - 1])
            return false;
    }
    return true;
}

static bool ordered_skipped(void)
{
    return MAP(N_ITEMS, skip_some) == 0 && shared->n_log == N_ITEMS - 9 && log_rises();
}

static bool ordered_in_debug_mode(void)
{
    bool good;

    sharedmem_set_debug(true);
    good = ordered_skipped();
    sharedmem_set_debug(false);
    return good;
}

static int enter_twice(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    SHAREDMEM_ORDERED
    {
    }
    if (i == 20)
        SHAREDMEM_ORDERED
        {
        }
    return 0;
}

static bool ordered_twice(void)
{
    sharedmem_error error;

    return is_told(MAP(N_ITEMS, enter_twice, .error = &error), &error, SHAREDMEM_ERROR_USAGE, EPERM, 20) &&
           strstr(error.message, "ordered") != NULL && next_is_right();
}

/* ---- Deaths and ends ---- */

static int die_in_critical(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    SHAREDMEM_CRITICAL
    {
        shared->n_log++;
        if (i == 20)
            kill(getpid(), SIGKILL);
    }
    return 0;
}

static bool killed_in_critical(void)
{
    sharedmem_error error;
    int result = MAP(N_ITEMS, die_in_critical, .error = &error);

    shared->n_log = 0;
    return is_told(result, &error, SHAREDMEM_ERROR_SIGNAL, SIGKILL, 20) && next_is_right() &&
           MAP(20, die_in_critical) == 0 && shared->n_log == 20;
}

static int leave(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    if (*(int *)context < 0)
        kill(getpid(), SIGKILL);
    exit(*(int *)context);
}

static bool background_ends(int how, int kind, int code)
{
    sharedmem_error error;
    sharedmem_background *call = sharedmem_background_start(leave, &how);
    int result = sharedmem_background_wait(call, &error);

    return is_told(result, &error, kind, code, SHAREDMEM_NO_ITEM);
}

static bool background_killed(void)
{
    return background_ends(-1, SHAREDMEM_ERROR_SIGNAL, SIGKILL) && next_is_right();
}

static bool background_exits(void)
{
    return background_ends(3, SHAREDMEM_ERROR_EXITED, 3) && background_ends(0, SHAREDMEM_ERROR_EXITED, 0) &&
           next_is_right();
}

static int exit_in_item(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    if (i == 20)
        exit(4);
    return 0;
}

static bool exit_in_work(void)
{
    sharedmem_error error;

    return is_told(MAP(N_ITEMS, exit_in_item, .error = &error), &error, SHAREDMEM_ERROR_EXITED, 4, 20) &&
           next_is_right();
}

/* The others are kept in their items until it is stopped: not all can be done. */
static int stop_in_item(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    if (i == 20) {
        sharedmem_stop();
        shared->go = true;
    }
    while (i > 20 && !shared->go)
        usleep(100);
    return 0;
}

static bool stop_in_work(void)
{
    uint8_t states[N_ITEMS];
    sharedmem_error error;
    int result = MAP(N_ITEMS, stop_in_item, .states = states, .error = &error), n_failed = 0;

    for (int i = 0; i < N_ITEMS; i++)
        n_failed += states[i] == SHAREDMEM_FAILED;
    return result == SHAREDMEM_STOPPED && error.kind == SHAREDMEM_ERROR_NONE && n_failed == 0 &&
           next_is_right();
}

/* ---- What is asked for ---- */

static bool negative_np(void)
{
    sharedmem_error error;
    bool good =
        sharedmem_map(N_ITEMS, do_nothing, NULL, .np = -1, .backend = backend, .error = &error) == -1 &&
        errno == EINVAL && error.kind == SHAREDMEM_ERROR_USAGE;

    return good && strstr(error.message, "np is -1") != NULL && next_is_right();
}

static int note_process(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    *(pid_t *)result = getpid() + (sharedmem_size() > 1 ? 100000000 : 0);
    return 0;
}

/* How many of n items the caller did itself. */
static int done_by_caller(size_t n, size_t min_length)
{
    pid_t results[N_ITEMS];
    int count = 0;

    MAP(n, note_process, .min_length = min_length, .results = results, .result_size = sizeof *results);
    for (size_t i = 0; i < n; i++)
        count += results[i] == getpid();
    return count;
}

static bool min_length(void)
{
    bool is_serial = backend == SHAREDMEM_SERIAL;

    return done_by_caller(9, 10) == 9 && done_by_caller(10, 10) == (is_serial ? 10 : 0) &&
           done_by_caller(10, 0) == (is_serial ? 10 : 0);
}

static int count_down(size_t i, void *result, void *context)
{
    (void)context;
    *(int *)result = 1000 - (int)i;
    return i < 1000;
}

static int take_item(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    *(int *)result = *(const int *)sharedmem_item();
    return 0;
}

static long total;

static int add_result(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    total += *(int *)result;
    return 0;
}

static bool generator(void)
{
    total = 0;
    return MAP(SIZE_MAX, take_item, .next = count_down, .item_size = sizeof(int), .result_size = sizeof(int),
               .reduce = add_result) == 0 &&
           total == 500500;
}

static bool memory_is_told(void)
{
    return sharedmem_total_memory() > 0 && sharedmem_available_memory() > 0 &&
           sharedmem_available_memory() <= sharedmem_total_memory();
}

static _Atomic int n_warnings;

static void count_warning(const char *message)
{
    n_warnings += strstr(message, "OMP_NUM_THREADS") != NULL;
}

static bool junk_beside_batch(void)
{
    static const char *const junk[] = {"", "junk", "-4", "0", "2x", "99999999999999999999", ",4"};
    bool good = true;

    sharedmem_set_log(count_warning);
    setenv("PBS_NUM_PPN", "3", 1);
    for (size_t k = 0; k < sizeof junk / sizeof *junk; k++) {
        setenv("OMP_NUM_THREADS", junk[k], 1);
        good &= sharedmem_cpu_count() == 3 && strcmp(sharedmem_cpu_count_source(), "PBS_NUM_PPN") == 0;
    }
    setenv("OMP_NUM_THREADS", "2", 1);
    return sharedmem_cpu_count() == 2 && n_warnings == 1 && good;
}

/* ---- Order ---- */

/* The first item is done after another one. */
static int first_is_last(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    while (i == 0 && shared->n_log == 0)
        usleep(100);
    shared->n_log++;
    return 0;
}

static int log_reduced(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    shared->log[shared->n_reduced++] = i;
    return 0;
}

static bool reduce_by_index(void)
{
    /* Else it would wait for ever. */
    if (backend == SHAREDMEM_SERIAL)
        shared->n_log = 1;
    if (MAP(N_ITEMS, first_is_last, .reduce = log_reduced) != 0)
        return false;
    for (size_t i = 0; i < N_ITEMS; i++) {
        if (shared->log[i] != i)
            return false;
    }
    return shared->n_reduced == N_ITEMS;
}

/* ---- All of them ---- */

enum { EACH = 1, FORKED = 2 }; /* with each backend; where items may die, with processes only */

static const struct {
    const char *name;
    bool (*holds)(void);
    int with;
} rows[] = {
    {"ordered is skipped by some items", ordered_skipped, EACH},
    {"ordered is entered twice", ordered_twice, EACH},
    {"ordered in debug mode", ordered_in_debug_mode, EACH},
    {"a worker is killed inside critical", killed_in_critical, FORKED},
    {"a background call is killed", background_killed, FORKED},
    {"a background call exits", background_exits, FORKED},
    {"a work function exits", exit_in_work, FORKED},
    {"a work function stops the map", stop_in_work, EACH},
    {"np is -1", negative_np, EACH},
    {"too few items for min_length", min_length, EACH},
    {"a generator", generator, EACH},
    {"how much memory there is", memory_is_told, 0},
    {"junk in OMP_NUM_THREADS beside a good PBS_NUM_PPN", junk_beside_batch, 0},
    {"reduce is called by index", reduce_by_index, EACH},
};

/* In a child that is ended when its time is over, and its workers with it. */
static bool holds_in_time(bool (*holds)(void))
{
    const char *scale = getenv("TEST_TIME_SCALE");
    pid_t pid = fork();
    int status = -1;

    if (pid == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(ROW_SECONDS * (unsigned)(scale != NULL && atoi(scale) > 0 ? atoi(scale) : 1));
        shared = sharedmem_calloc(1, sizeof *shared);
        if (shared == NULL || !holds() || sharedmem_heap_check(NULL) != 0)
            test_child_exit(1);
        test_child_exit(0);
    }
    waitpid(pid, &status, 0);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    if (WIFSIGNALED(status))
        test_note("ended by signal %d%s", WTERMSIG(status), WTERMSIG(status) == SIGALRM ? ": it hangs" : "");
    return status == 0;
}

static void test_row(size_t r)
{
    int backends = rows[r].with == EACH ? SHAREDMEM_SERIAL : SHAREDMEM_PROCESSES;
    int schedules = rows[r].with != 0 ? SHAREDMEM_STATIC : SHAREDMEM_GUIDED;

    for (backend = SHAREDMEM_PROCESSES; backend <= backends; backend++) {
        for (schedule = SHAREDMEM_GUIDED; schedule <= schedules; schedule++) {
            /* There each child takes a second: each backend has one, so that each row meets all three. */
            if (test_under_valgrind() && rows[r].with == EACH && (backend + schedule) % 3 != 0)
                continue;
            test_ok(holds_in_time(rows[r].holds), "backend %d, schedule %d: %s", backend, schedule,
                    rows[r].name);
        }
    }
}

int main(void)
{
    test_begin(300);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        test_row(r);
    return test_end();
}
