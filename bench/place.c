/* What large arrays take to make, fill and copy, beside plain processes on a mapping of their own. */
#include <sharedmem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gang.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define ARRAY_BYTES ((size_t)1 << 30)
#define ARRAY_ITEMS (ARRAY_BYTES / sizeof(double))
#define ARRAY_MIB   ((uint64_t)ARRAY_BYTES >> 20)

static double *mapped;         /* a fresh mapping: what the floor fills */
static sharedmem_array source; /* shared, and touched: what is copied */

static sharedmem_array empty(void)
{
    return sharedmem_empty(SHAREDMEM_FLOAT64, 1, (const int64_t[]){(int64_t)ARRAY_ITEMS});
}

static void set_np(int np)
{
    char text[16];

    snprintf(text, sizeof text, "%d", np);
    setenv("SHAREDMEM_NP", text, 1);
}

/* ---- Made ---- */

static double make_ours(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    gate_open(&gang->gate);
    for (uint64_t i = 0; i < ops; i++) {
        sharedmem_array a = empty();

        gang_check(gang, a.data != NULL);
        sharedmem_free(a.data);
    }
    gate_leave(&gang->gate);
    return gang_end(gang);
}

static void *map_fresh(void)
{
    int fd = memfd_create("bench", MFD_CLOEXEC);
    void *memory = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, (off_t)ARRAY_BYTES) == 0)
        memory = mmap(NULL, ARRAY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        perror("memfd");
        exit(EXIT_FAILURE);
    }
    close(fd);
    return memory;
}

static double make_floor(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);

    gate_open(&gang->gate);
    for (uint64_t i = 0; i < ops; i++)
        munmap(map_fresh(), ARRAY_BYTES);
    gate_leave(&gang->gate);
    return gang_end(gang);
}

static void compare_making(void)
{
    static const struct bench_contender contenders[] = {
        {.name = "sharedmem_empty, _free", .run = make_ours, .np = 1},
        {.name = "floor: memfd, mmap, munmap", .run = make_floor, .np = 1},
        {.name = NULL},
    };
    static const struct bench_goal goals[] = {
        {1.0, "sharedmem_empty, _free", {"floor: memfd, mmap, munmap"}, 50000},
        {0, NULL, {NULL}, 0},
    };

    bench_table(&(struct bench_table){"1 GiB made", "array", contenders, goals});
}

/* ---- Filled ---- */

static double fill_ours(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);
    double value = 1.5;
    sharedmem_array a;

    set_np(contender->np);
    gate_open(&gang->gate);
    a = sharedmem_full(SHAREDMEM_FLOAT64, 1, (const int64_t[]){(int64_t)ARRAY_ITEMS}, &value);
    gate_leave(&gang->gate);
    gang_check(gang, a.data != NULL && ((double *)a.data)[ARRAY_ITEMS - 1] == value);
    sharedmem_free(a.data);
    return gang_end(gang);
}

static sharedmem_range share_of(const struct gang *gang, int rank)
{
    return sharedmem_part(ARRAY_ITEMS, rank, gang->np);
}

static void fill_member(struct gang *gang, int rank)
{
    sharedmem_range share = share_of(gang, rank);

    for (size_t i = share.begin; i < share.end; i++)
        mapped[i] = 1.5;
}

/* The pages first, in pieces that stay in the cache: fewer faults. */
static void fill_populated(struct gang *gang, int rank)
{
    sharedmem_range share = share_of(gang, rank);
    size_t n = ((size_t)256 << 10) / sizeof(double);

    for (size_t i = share.begin; i < share.end; i += n) {
        madvise(mapped + i, n * sizeof(double), MADV_POPULATE_WRITE);
        for (size_t k = i; k < i + n; k++)
            mapped[k] = 1.5;
    }
}

static void copy_member(struct gang *gang, int rank)
{
    sharedmem_range share = share_of(gang, rank);

    memcpy(mapped + share.begin, (double *)source.data + share.begin,
           (share.end - share.begin) * sizeof(double));
}

/* The mapping, and the start and the end of the members, count, as in ours. */
static double floor_by(const struct bench_contender *contender, uint64_t ops, gang_function *member)
{
    struct gang *gang = gang_create(contender, ops);

    gate_open(&gang->gate);
    mapped = map_fresh();
    gang_fork(gang, member);
    gate_leave(&gang->gate);
    gang_check(gang, mapped[ARRAY_ITEMS - 1] == 1.5);
    munmap(mapped, ARRAY_BYTES);
    return gang_end(gang);
}

static double fill_floor(const struct bench_contender *contender, uint64_t ops)
{
    return floor_by(contender, ops, fill_member);
}

static double fill_floor_populated(const struct bench_contender *contender, uint64_t ops)
{
    return floor_by(contender, ops, fill_populated);
}

static void compare_filling(void)
{
    static const struct bench_contender contenders[] = {
        {.name = "1: sharedmem_full", .run = fill_ours, .np = 1, .ops = ARRAY_MIB},
        {.name = "1: floor: a process", .run = fill_floor, .np = 1, .ops = ARRAY_MIB},
        {.name = "2: sharedmem_full", .run = fill_ours, .np = 2, .ops = ARRAY_MIB},
        {.name = "2: floor: processes", .run = fill_floor, .np = 2, .ops = ARRAY_MIB},
        {.name = "2: floor, populating", .run = fill_floor_populated, .np = 2, .ops = ARRAY_MIB},
        {.name = NULL},
    };
    static const struct bench_goal goals[] = {
        {1.05, "1: sharedmem_full", {"1: floor: a process"}, 0},
        {1.05, "2: sharedmem_full", {"2: floor: processes"}, 0},
        {0, NULL, {NULL}, 0},
    };

    bench_table(&(struct bench_table){"1 GiB made and filled", "MiB", contenders, goals});
}

/* ---- Copied ---- */

static double copy_ours(const struct bench_contender *contender, uint64_t ops)
{
    struct gang *gang = gang_create(contender, ops);
    sharedmem_array a;

    set_np(contender->np);
    gate_open(&gang->gate);
    a = sharedmem_copy(source);
    gate_leave(&gang->gate);
    gang_check(gang, a.data != NULL && ((double *)a.data)[ARRAY_ITEMS - 1] == 1.5);
    sharedmem_free(a.data);
    return gang_end(gang);
}

static double copy_floor(const struct bench_contender *contender, uint64_t ops)
{
    return floor_by(contender, ops, copy_member);
}

static void compare_copying(void)
{
    static const struct bench_contender contenders[] = {
        {.name = "1: sharedmem_copy", .run = copy_ours, .np = 1, .ops = ARRAY_MIB},
        {.name = "1: floor: a process", .run = copy_floor, .np = 1, .ops = ARRAY_MIB},
        {.name = "2: sharedmem_copy", .run = copy_ours, .np = 2, .ops = ARRAY_MIB},
        {.name = "2: floor: processes", .run = copy_floor, .np = 2, .ops = ARRAY_MIB},
        {.name = NULL},
    };
    static const struct bench_goal goals[] = {
        {1.05, "1: sharedmem_copy", {"1: floor: a process"}, 0},
        {1.05, "2: sharedmem_copy", {"2: floor: processes"}, 0},
        {0, NULL, {NULL}, 0},
    };
    double value = 1.5;

    source = empty();
    if (source.data == NULL) {
        perror("sharedmem_empty");
        exit(EXIT_FAILURE);
    }
    for (size_t i = 0; i < ARRAY_ITEMS; i++)
        ((double *)source.data)[i] = value;
    bench_table(&(struct bench_table){"1 GiB made and copied", "MiB", contenders, goals});
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    compare_making();
    compare_filling();
    compare_copying();
    return bench_end();
}
