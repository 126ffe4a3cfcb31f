/* Large memory: filled, copied and touched by those who will use it; placed where a program says. */
#include <sharedmem.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MIB             ((size_t)1 << 20)
#define LARGE           (32 * MIB) /* from here on several processes fill */

static void set_np(int np)
{
    char text[16];

    snprintf(text, sizeof text, "%d", np);
    setenv("SHAREDMEM_NP", text, 1);
}

/* How much shared memory this process has mapped, in bytes. */
static long mapped_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long kib = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "RssShmem: %ld", &kib) == 1)
            break;
    }
    if (file != NULL)
        fclose(file);
    return kib * 1024;
}

/* ---- Filled ---- */

static const unsigned char value[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* The first item is the value, and each other one is as the one before. */
static bool is_filled(const void *data, size_t bytes, size_t itemsize)
{
    return memcmp(data, value, itemsize) == 0 &&
           memcmp((const char *)data + itemsize, data, bytes - itemsize) == 0;
}

static const struct {
    int32_t dtype;
    int np;
    size_t bytes;
} fills[] = {
    {SHAREDMEM_FLOAT64, 2, LARGE - 8},
    {SHAREDMEM_FLOAT64, 2, LARGE},
    {SHAREDMEM_FLOAT64, 2, LARGE + 8},
    {SHAREDMEM_FLOAT64, 1, LARGE + 8},
    {SHAREDMEM_FLOAT64, 3, LARGE + 4096},
    {SHAREDMEM_UINT8, 2, LARGE + 1},
    {SHAREDMEM_UINT8, 3, LARGE + 12345},
    {SHAREDMEM_INT16, 5, LARGE + 4094},
    {SHAREDMEM_COMPLEX128, 2, LARGE + 16},
    {SHAREDMEM_COMPLEX128, 7, LARGE + 256 * 1024 + 16},
    /* More processes than 4 MiB shares. */
    {SHAREDMEM_FLOAT32, 100, LARGE + 4},
    {SHAREDMEM_UINT8, 2, 1},
    {SHAREDMEM_FLOAT64, 2, 256 * 1024},
    {SHAREDMEM_UINT8, 2, 256 * 1024 + 1},
};

static void test_fill(void)
{
    for (size_t i = 0; i < COUNT_OF(fills); i++) {
        size_t itemsize = sharedmem_itemsize(fills[i].dtype);
        int64_t shape = (int64_t)(fills[i].bytes / itemsize);
        sharedmem_array a, b;

        set_np(fills[i].np);
        a = sharedmem_full(fills[i].dtype, 1, &shape, value);
        test_ok(a.data != NULL && is_filled(a.data, fills[i].bytes, itemsize),
                "%zu bytes of items of %zu are filled by %d", fills[i].bytes, itemsize, fills[i].np);
        b = sharedmem_copy(a);
        test_ok(b.data != NULL && memcmp(a.data, b.data, fills[i].bytes) == 0, "and copied");
        sharedmem_free(a.data);
        sharedmem_free(b.data);
    }
    test_int(0, test_children(), "nobody is left");
}

static void test_full_like(void)
{
    int64_t shape[] = {1024, 4097};
    sharedmem_array a = sharedmem_empty(SHAREDMEM_INT64, 2, shape), b;

    set_np(2);
    b = sharedmem_full_like(a, value);
    test_ok(is_filled(b.data, sharedmem_array_nbytes(b), 8), "full_like, too");
    test_ok(b.ndim == 2 && b.shape[1] == 4097 && b.strides[0] == 8 * 4097, "with its shape");
    sharedmem_free(a.data);
    sharedmem_free(b.data);
}

/* ---- Copied, with strides ---- */

/* Element i, j, k of a is the number of it in C order. */
static void number(sharedmem_array a)
{
    int32_t n = 0;

    for (int64_t i = 0; i < a.shape[0]; i++) {
        for (int64_t j = 0; j < a.shape[1]; j++) {
            for (int64_t k = 0; k < a.shape[2]; k++)
                memcpy((char *)a.data + i * a.strides[0] + j * a.strides[1] + k * a.strides[2],
                       &(int32_t){n++}, sizeof n);
        }
    }
}

static bool is_numbered(const int32_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (data[i] != (int32_t)i)
            return false;
    }
    return true;
}

/* How elements lie in memory: the strides, in items, of a shape, and where the first is. */
static const struct {
    const char *name;
    int64_t shape[3];
    int64_t strides[3];
    int64_t first;
} views[] = {
    {"as it is", {210, 200, 200}, {40000, 200, 1}, 0},
    {"transposed", {210, 200, 200}, {1, 210, 42000}, 0},
    {"backward", {210, 200, 200}, {-40000, -200, -1}, 8399999},
    {"every other", {1, 1, 8400000}, {0, 0, 2}, 0},
    {"rows of one", {8400000, 1, 1}, {3, 0, 0}, 0},
    {"padded rows", {3, 2800, 1001}, {2800 * 1008, 1008, 1}, 0},
};

static void test_views(bool is_shared)
{
    size_t room = (size_t)8400000 * 3;
    int32_t *data = is_shared ? sharedmem_calloc(room, 4) : calloc(room, 4);

    for (size_t i = 0; i < COUNT_OF(views); i++) {
        sharedmem_array a = sharedmem_wrap(data, SHAREDMEM_INT32, 3, views[i].shape), b;
        size_t n = sharedmem_array_size(a);

        a.data = data + views[i].first;
        for (int k = 0; k < 3; k++)
            a.strides[k] = 4 * views[i].strides[k];
        number(a);
        for (int np = 1; np <= 3; np++) {
            set_np(np);
            b = sharedmem_copy(a);
            test_ok(b.data != NULL && is_numbered(b.data, n), "%s memory, %s, copied by %d",
                    is_shared ? "shared" : "private", views[i].name, np);
            sharedmem_free(b.data);
        }
    }
    if (is_shared)
        sharedmem_free(data);
    else
        free(data);
}

/* ---- By whom ---- */

/* What of a large array the caller has mapped after it is filled: what it has touched itself. */
static long touched_of_full(void)
{
    int64_t n = (int64_t)(LARGE / 8);
    long before = mapped_bytes();
    sharedmem_array a = sharedmem_full(SHAREDMEM_FLOAT64, 1, &n, value);
    long touched = mapped_bytes() - before;

    sharedmem_free(a.data);
    return touched;
}

static bool is_sanitized(void)
{
    return test_address_sanitized() || test_thread_sanitized();
}

/* The more of its own a process has, the longer a fork takes. */
static void test_with_private(size_t bytes)
{
    char *mine = malloc(bytes);

    memset(mine, 1, bytes);
    __asm__ volatile("" : : "r"(mine) : "memory");
    test_ok(touched_of_full() >= (long)bytes * 9 / 10, "with as much memory of its own it does not fork");
    free(mine);
}

static void test_who_fills(void)
{
    const long all = (long)LARGE;

    if (mapped_bytes() == 0) {
        test_skip("the kernel does not tell what is mapped");
        return;
    }
    if (is_sanitized()) {
        test_skip("the sanitizers' own memory makes forking dear");
        return;
    }
    set_np(1);
    test_ok(touched_of_full() >= all * 9 / 10, "alone the caller touches all");
    set_np(2);
    test_ok(touched_of_full() <= all * 6 / 10, "of two it touches its half");
    set_np(4);
    test_ok(touched_of_full() <= all * 4 / 10, "of four its quarter");
    sharedmem_set_debug(true);
    test_ok(touched_of_full() >= all * 9 / 10, "in debug mode, all");
    sharedmem_set_debug(false);
    test_with_private((size_t)all);
}

static int fill_in_worker(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    *(long *)result = touched_of_full();
    return 0;
}

/* Two workers of two cores have one each. */
static void test_in_worker(void)
{
    long touched[2] = {0};

    if (mapped_bytes() == 0) {
        test_skip("the kernel does not tell what is mapped");
        return;
    }
    set_np(2);
    sharedmem_map(2, fill_in_worker, NULL, .results = touched, .result_size = sizeof touched[0], .chunk = 1);
    for (int i = 0; i < 2; i++)
        test_ok(touched[i] >= (long)LARGE * 9 / 10, "a worker with one core fills alone");
}

/* ---- A worker that is killed ---- */

/* The first child of parent but me, or 0. */
static pid_t child_of(pid_t parent, pid_t me)
{
    char path[64];
    pid_t child = 0;
    FILE *file;
    int pid;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    file = fopen(path, "re");
    while (file != NULL && child == 0 && fscanf(file, "%d", &pid) == 1) {
        if (pid != me)
            child = pid;
    }
    if (file != NULL)
        fclose(file);
    return child;
}

/* A process that kills the next one that its parent starts. */
static pid_t start_killer(void)
{
    pid_t parent = getpid(), killer = fork(), victim;

    if (killer != 0)
        return killer;
    while ((victim = child_of(parent, getpid())) == 0)
        continue;
    test_kill(victim, SIGKILL);
    test_child_exit(0);
}

/* It may have found nobody. */
static void end_killer(pid_t killer)
{
    test_kill(killer, SIGKILL);
    waitpid(killer, NULL, 0);
}

static bool can_see_children(void)
{
    pid_t child = fork();
    bool seen;

    if (child == 0) {
        pause();
        test_child_exit(0);
    }
    seen = child_of(getpid(), 0) == child;
    test_kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return seen;
}

static void test_killed(void)
{
    int64_t n = (int64_t)(3 * LARGE / 8);
    int n_right = 0, rounds = 10;
    pid_t killer;

    if (!can_see_children()) {
        test_skip("the kernel does not list children");
        return;
    }
    set_np(3);
    for (int i = 0; i < rounds; i++) {
        sharedmem_array a, b;

        killer = start_killer();
        a = sharedmem_full(SHAREDMEM_FLOAT64, 1, &n, value);
        end_killer(killer);
        killer = start_killer();
        b = sharedmem_copy(a);
        end_killer(killer);
        n_right += a.data != NULL && b.data != NULL && is_filled(a.data, (size_t)n * 8, 8) &&
                   is_filled(b.data, (size_t)n * 8, 8);
        sharedmem_free(a.data);
        sharedmem_free(b.data);
    }
    test_int(rounds, n_right, "a worker is killed, and the array is whole");
    test_int(0, test_children(), "nobody is left");
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
}

/* ---- A heap that is full ---- */

/* Takes blocks of so many bytes until there is none. */
static void take_all(size_t bytes)
{
    while (sharedmem_malloc(bytes) != NULL)
        continue;
}

/* There is room for an array, and for nothing else: none for the team that would fill it. */
static void fill_last(void)
{
    int64_t n = (int64_t)(LARGE / 8 + 512);
    sharedmem_array a;

    setenv("SHAREDMEM_HEAP", "64M", 1);
    set_np(2);
    a = sharedmem_empty(SHAREDMEM_FLOAT64, 1, &n);
    take_all(MIB);
    take_all(4096);
    take_all(64);
    sharedmem_free(a.data);
    a = sharedmem_full(SHAREDMEM_FLOAT64, 1, &n, value);
    test_child_exit(a.data != NULL && is_filled(a.data, (size_t)n * 8, 8) ? 0 : 1);
}

/* In a program of its own, which has no heap yet: this one, started anew. */
static void test_last(const char *self)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        execl(self, self, "last", (char *)NULL);
        test_child_exit(2);
    }
    waitpid(child, &status, 0);
    test_int(0, status, "an array that takes the last of the heap is filled by the caller alone");
}

/* ---- team_calloc ---- */

struct touched {
    long bytes[4];
    char *blocks[4];
    bool is_zero[4];
};

static int allocate_for_team(size_t rank, void *result, void *context)
{
    struct touched *touched = context;
    long before = mapped_bytes();
    char *block = sharedmem_team_calloc(LARGE, 1);
    sharedmem_range mine = sharedmem_my_part(LARGE);

    (void)result;
    touched->bytes[rank] = mapped_bytes() - before;
    touched->blocks[rank] = block;
    touched->is_zero[rank] = true;
    for (size_t i = mine.begin; i < mine.end; i++)
        touched->is_zero[rank] &= block[i] == 0;
    sharedmem_barrier();
    if (rank == 0)
        sharedmem_free(block);
    return 0;
}

static void test_team(const char *mem, bool is_touched)
{
    struct touched *touched = sharedmem_new(struct touched, 1);
    bool tells = mapped_bytes() != 0;

    if (mem != NULL)
        setenv("SHAREDMEM_MEM", mem, 1);
    sharedmem_parallel(4, allocate_for_team, touched);
    for (int rank = 0; rank < 4; rank++) {
        test_ok(touched->blocks[rank] == touched->blocks[0] && touched->is_zero[rank],
                "rank %d has the block, and zeros in it", rank);
        if (tells)
            test_int(is_touched,
                     touched->bytes[rank] >= (long)LARGE / 5 && touched->bytes[rank] <= (long)LARGE / 3,
                     "SHAREDMEM_MEM=%s: it has touched its quarter, or nothing", mem != NULL ? mem : "");
    }
    sharedmem_free(touched);
    unsetenv("SHAREDMEM_MEM");
}

/* ---- Placed ---- */

static void test_bad(void)
{
    static char private[4096];
    char *block = sharedmem_malloc(MIB);
    const struct {
        void *memory;
        size_t size;
        int32_t how;
        const char *message;
    } bad[] = {
        {block, MIB, -1, "place: how is -1; give SHAREDMEM_FIRST_TOUCH"},
        {block, MIB, 3, "place: how is 3"},
        {NULL, 0, 0, "place: this is not memory of the shared heap"},
        {private, sizeof private, SHAREDMEM_INTERLEAVE, "place: this is not memory of the shared heap"},
        {block, SIZE_MAX, SHAREDMEM_BY_RANK, "place: this is not memory of the shared heap"},
        {block - 64 * 1024 * MIB, MIB, SHAREDMEM_BY_RANK, "place: this is not memory of the shared heap"},
    };

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        sharedmem_error error;

        errno = 0;
        test_int(-1, sharedmem_place(bad[i].memory, bad[i].size, bad[i].how, &error), "%s is refused",
                 bad[i].message);
        test_int(EINVAL, errno, "by EINVAL");
        test_int(SHAREDMEM_ERROR_USAGE, error.kind, "as usage");
        test_has(bad[i].message, error.message, "and says so");
    }
    sharedmem_free(block);
}

static int n_uncaught;

static void count_uncaught(const sharedmem_error *error)
{
    n_uncaught += error->kind == SHAREDMEM_ERROR_USAGE;
}

static void test_uncaught(void)
{
    sharedmem_uncaught_handler *before = sharedmem_set_uncaught(count_uncaught);

    test_int(-1, sharedmem_place(NULL, 1, SHAREDMEM_INTERLEAVE, NULL), "without an error it is uncaught");
    test_int(1, n_uncaught, "once");
    sharedmem_set_uncaught(before);
}

/* Whether a call is one of those that this machine can answer. */
static bool is_answer(int n, const sharedmem_error *error)
{
    return n >= 1 || (n == -1 && error->kind == SHAREDMEM_ERROR_SYSTEM);
}

static void test_good(void)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 8191, MIB, LARGE};

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (int32_t how = SHAREDMEM_FIRST_TOUCH; how <= SHAREDMEM_BY_RANK; how++) {
            char *block = sharedmem_calloc(1, sizes[i] + 64);
            sharedmem_error error;
            int n = sharedmem_place(block + 64, sizes[i], how, &error);

            test_ok(is_answer(n, &error), "%zu bytes are placed, how %d: %d", sizes[i], (int)how, n);
            memset(block, 1, sizes[i] + 64);
            sharedmem_free(block);
        }
    }
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
}

/* On a machine that is only described nothing is done, but how many nodes there are is known. */
static void test_described(void)
{
    static const struct {
        const char *machine;
        int32_t how;
        int n;
    } rows[] = {
        {"numa:4 core:8 pu:1", SHAREDMEM_FIRST_TOUCH, 1},
        {"core:8 pu:1", SHAREDMEM_INTERLEAVE, 1},
        /* The processors of this test, whatever they are here, are near one of these nodes each. */
        {"numa:64 core:1 pu:1", SHAREDMEM_INTERLEAVE, 2},
        {"numa:64 core:1 pu:1", SHAREDMEM_BY_RANK, 2},
        {"numa:64 core:1 pu:1", SHAREDMEM_FIRST_TOUCH, 2},
    };
    long n_processors = sysconf(_SC_NPROCESSORS_ONLN);

    for (size_t i = 0; i < COUNT_OF(rows) && n_processors <= 8; i++) {
        char *block = sharedmem_malloc(MIB);
        int n;

        setenv("HWLOC_SYNTHETIC", rows[i].machine, 1);
        n = sharedmem_place(block, MIB, rows[i].how, NULL);
        test_ok(rows[i].n == 1 || n_processors == 1 ? n == 1 : n >= rows[i].n, "%s, how %d: %d nodes",
                rows[i].machine, (int)rows[i].how, n);
        unsetenv("HWLOC_SYNTHETIC");
        sharedmem_free(block);
    }
}

static int place_in_team(size_t i, void *result, void *context)
{
    char *block = sharedmem_malloc(MIB);
    sharedmem_error error;

    (void)i;
    (void)context;
    (void)result;
    for (int32_t how = SHAREDMEM_FIRST_TOUCH; how <= SHAREDMEM_BY_RANK; how++) {
        if (!is_answer(sharedmem_place(block, MIB, how, &error), &error))
            return sharedmem_fail(1, "how %d: %s", (int)how, error.message);
    }
    memset(block, 1, MIB);
    sharedmem_free(block);
    return 0;
}

static void test_in_teams(void)
{
    test_int(0, sharedmem_map(8, place_in_team, NULL, .np = 3), "workers place");
    test_int(0, sharedmem_map(8, place_in_team, NULL, .np = 3, .backend = SHAREDMEM_THREADS), "threads do");
    test_int(0, sharedmem_parallel(3, place_in_team, NULL), "ranks do");
    setenv("HWLOC_SYNTHETIC", "numa:64 core:1 pu:1", 1);
    test_int(0, sharedmem_map(8, place_in_team, NULL, .np = 3), "workers plan for another machine");
    test_int(0, sharedmem_parallel(3, place_in_team, NULL), "and ranks do");
    unsetenv("HWLOC_SYNTHETIC");
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "last") == 0)
        fill_last();
    test_begin(120);
    test_fill();
    test_full_like();
    test_views(false);
    test_views(true);
    test_who_fills();
    test_in_worker();
    test_killed();
    test_last(argv[0]);
    test_team(NULL, true);
    test_team("local", true);
    test_team("none", false);
    test_team("interleave", true);
    test_bad();
    test_uncaught();
    test_good();
    test_described();
    test_in_teams();
    return test_end();
}
