/*
 * Pointers that are no blocks of the heap, or no longer: each is told by errno and a message, none crashes,
 * and the heap is whole after each, in threads and in workers as well.
 */
#include <sharedmem.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends.h"
#include "tap.h"
#include "whole.h"

#define COUNT_OF(table) (sizeof(table) / sizeof *(table))
#define HEAP            "16M"
#define HEAP_BYTES      ((size_t)16 << 20)
#define LARGE_BYTES     ((size_t)1 << 20)

/* Of the calling thread: the errors that nobody asked for. */
static _Thread_local struct {
    int count;
    sharedmem_error last;
} uncaught;

static void note_uncaught(const sharedmem_error *error)
{
    uncaught.count++;
    uncaught.last = *error;
}

/* ---- Pointers that are no blocks ---- */

/* What makes one. It leaves what else it has allocated in spare, to be freed then. */
struct spare {
    char *blocks[3];
};

static char *segment_begin, *segment_end, *other_mapping, *others_block;

static char *on_stack(struct spare *spare)
{
    (void)spare;
    return __builtin_frame_address(0);
}

static char *from_malloc(struct spare *spare)
{
    static char *block;

    (void)spare;
    /* One for all, and for ever. */
    if (__atomic_load_n(&block, __ATOMIC_ACQUIRE) == NULL)
        __atomic_store_n(&block, malloc(64), __ATOMIC_RELEASE);
    return __atomic_load_n(&block, __ATOMIC_ACQUIRE);
}

static char *static_memory(struct spare *spare)
{
    static char memory[256];

    (void)spare;
    return memory;
}

static char *of_the_text(struct spare *spare)
{
    (void)spare;
    return (char *)(uintptr_t)&sharedmem_malloc;
}

static char *address_1(struct spare *spare)
{
    (void)spare;
    return (char *)1;
}

static char *last_address(struct spare *spare)
{
    (void)spare;
    return (char *)UINTPTR_MAX;
}

static char *of_another_job(struct spare *spare)
{
    (void)spare;
    return others_block;
}

/* The very memory of a block, where another mapping has it. */
static char *by_another_mapping(struct spare *spare)
{
    spare->blocks[0] = sharedmem_malloc(1000);
    return other_mapping + (spare->blocks[0] - segment_begin);
}

static char *first_of_segment(struct spare *spare)
{
    (void)spare;
    return segment_begin;
}

static char *in_the_tables(struct spare *spare)
{
    (void)spare;
    return segment_begin + 4096 + 64;
}

static char *last_of_segment(struct spare *spare)
{
    (void)spare;
    return segment_end - 64;
}

static char *behind_segment(struct spare *spare)
{
    (void)spare;
    return segment_end;
}

static char *before_segment(struct spare *spare)
{
    (void)spare;
    return segment_begin - 64;
}

static char *within(struct spare *spare, size_t bytes, size_t offset)
{
    spare->blocks[0] = sharedmem_malloc(bytes);
    return spare->blocks[0] + offset;
}

static char *small_1(struct spare *spare)
{
    return within(spare, 1000, 1);
}

static char *small_64(struct spare *spare)
{
    return within(spare, 1000, 64);
}

static char *tiny_8(struct spare *spare)
{
    return within(spare, 24, 8);
}

static char *medium_4096(struct spare *spare)
{
    return within(spare, 16000, 4096);
}

static char *large_1(struct spare *spare)
{
    return within(spare, LARGE_BYTES, 1);
}

static char *large_64(struct spare *spare)
{
    return within(spare, LARGE_BYTES, 64);
}

static char *large_4096(struct spare *spare)
{
    return within(spare, LARGE_BYTES, 4096);
}

static char *large_end(struct spare *spare)
{
    return within(spare, LARGE_BYTES, LARGE_BYTES - 64);
}

static char *aligned_64(struct spare *spare)
{
    spare->blocks[0] = sharedmem_aligned_alloc(8192, 8192);
    return spare->blocks[0] + 64;
}

/* The others of its size stay, so that its place is not given to anything else. */
static char *freed(struct spare *spare, size_t bytes)
{
    char *block;

    spare->blocks[0] = sharedmem_malloc(bytes);
    block = sharedmem_malloc(bytes);
    spare->blocks[1] = sharedmem_malloc(bytes);
    sharedmem_free(block);
    return block;
}

static char *freed_tiny(struct spare *spare)
{
    return freed(spare, 1);
}

static char *freed_small(struct spare *spare)
{
    return freed(spare, 1000);
}

static char *freed_large(struct spare *spare)
{
    return freed(spare, LARGE_BYTES);
}

static char *freed_alone(struct spare *spare)
{
    char *block = sharedmem_malloc(3000);

    (void)spare;
    sharedmem_free(block);
    return block;
}

/* Blocks of other sizes come and go, more of them than any list keeps. */
static char *freed_long_ago(struct spare *spare)
{
    char *block = freed(spare, 1000), *others[200];

    for (size_t i = 0; i < COUNT_OF(others); i++)
        others[i] = sharedmem_malloc(1 + i % 400);
    for (size_t i = 0; i < COUNT_OF(others); i++)
        sharedmem_free(others[i]);
    return block;
}

/* More of the same size are freed after it. */
static char *freed_among_many(struct spare *spare)
{
    char *others[200], *block = freed(spare, 128);

    for (size_t i = 0; i < COUNT_OF(others); i++)
        others[i] = sharedmem_malloc(500);
    for (size_t i = 0; i < COUNT_OF(others); i++)
        sharedmem_free(others[i]);
    return block;
}

static char *moved_away(struct spare *spare)
{
    char *block = sharedmem_malloc(100);

    spare->blocks[0] = sharedmem_realloc(block, LARGE_BYTES);
    return block;
}

static int free_it(size_t rank, void *result, void *context)
{
    (void)result;
    if (rank == 1)
        sharedmem_free(context);
    return 0;
}

static char *freed_by_another(struct spare *spare)
{
    char *block = sharedmem_malloc(1000);

    spare->blocks[0] = sharedmem_malloc(1000);
    sharedmem_parallel(2, free_it, block);
    return block;
}

static char *large_freed_by_another(struct spare *spare)
{
    char *block = sharedmem_malloc(LARGE_BYTES);

    (void)spare;
    sharedmem_parallel(2, free_it, block);
    return block;
}

#define FOREIGN  "not memory of the shared heap"
#define NO_BLOCK "no block begins there"

static const struct wrong {
    const char *name;
    char *(*make)(struct spare *spare);
    const char *says;
    bool forks;
} wrongs[] = {
    {"the stack", on_stack, FOREIGN, false},
    {"malloc's memory", from_malloc, FOREIGN, false},
    {"static memory", static_memory, FOREIGN, false},
    {"a function", of_the_text, FOREIGN, false},
    {"address 1", address_1, FOREIGN, false},
    {"the last address", last_address, FOREIGN, false},
    {"another job's block", of_another_job, FOREIGN, false},
    {"a block by another mapping", by_another_mapping, FOREIGN, false},
    {"the segment's begin", first_of_segment, FOREIGN, false},
    {"its tables", in_the_tables, FOREIGN, false},
    {"its last bytes", last_of_segment, NO_BLOCK, false},
    {"just behind it", behind_segment, FOREIGN, false},
    {"just before it", before_segment, FOREIGN, false},
    {"a small block, 1 byte on", small_1, NO_BLOCK, false},
    {"a small block, 64 bytes on", small_64, NO_BLOCK, false},
    {"a block of 24 bytes, 8 bytes on", tiny_8, NO_BLOCK, false},
    {"a block of 16000 bytes, 4096 on", medium_4096, NO_BLOCK, false},
    {"a large block, 1 byte on", large_1, NO_BLOCK, false},
    {"a large block, 64 bytes on", large_64, NO_BLOCK, false},
    {"a large block, a page on", large_4096, NO_BLOCK, false},
    {"a large block, its last bytes", large_end, NO_BLOCK, false},
    {"an aligned block, 64 bytes on", aligned_64, NO_BLOCK, false},
    {"a freed block of a byte", freed_tiny, NO_BLOCK, false},
    {"a freed small block", freed_small, NO_BLOCK, false},
    {"a freed large block", freed_large, NO_BLOCK, false},
    {"a freed block, the only one", freed_alone, NO_BLOCK, false},
    {"a block freed long ago", freed_long_ago, NO_BLOCK, false},
    {"a block freed among many", freed_among_many, NO_BLOCK, false},
    {"what realloc has moved away", moved_away, NO_BLOCK, false},
    {"a block that another freed", freed_by_another, NO_BLOCK, true},
    {"a large block that another freed", large_freed_by_another, NO_BLOCK, true},
};

/* The one error since: of the call, about that pointer, in one line. */
static bool is_told(const char *call, const char *pointer, const char *says)
{
    const sharedmem_error *error = &uncaught.last;
    char begin[64];

    snprintf(begin, sizeof begin, "%s(%p)", call, (const void *)pointer);
    if (uncaught.count == 1 && error->kind == SHAREDMEM_ERROR_USAGE && error->code == EINVAL &&
        strstr(error->message, begin) == error->message && strstr(error->message, says) != NULL &&
        strchr(error->message, '\n') == NULL)
        return true;
    fprintf(stderr, "# %d errors; the last: kind %d, code %d, \"%s\"\n", uncaught.count, error->kind,
            error->code, error->message);
    return false;
}

static bool free_is_refused(const char *pointer, const char *says)
{
    uncaught.count = 0;
    errno = ERANGE;
    sharedmem_free((void *)(uintptr_t)pointer);
    return errno == ERANGE && is_told("sharedmem_free", pointer, says);
}

static bool realloc_is_refused(const char *pointer, const char *says)
{
    uncaught.count = errno = 0;
    return sharedmem_realloc((void *)(uintptr_t)pointer, 100) == NULL && errno == EINVAL &&
           is_told("sharedmem_realloc", pointer, says);
}

static void fill_spare(struct spare *spare)
{
    for (size_t i = 0; i < COUNT_OF(spare->blocks); i++) {
        if (spare->blocks[i] != NULL)
            memset(spare->blocks[i], (int)i + 1, sharedmem_usable_size(spare->blocks[i]));
    }
}

/* Whether they are as fill_spare() has left them. Frees them. */
static bool spare_is_good(struct spare *spare)
{
    bool good = true;

    uncaught.count = 0;
    for (size_t i = 0; i < COUNT_OF(spare->blocks); i++) {
        char *block = spare->blocks[i];
        size_t room = sharedmem_usable_size(block);

        good &= block == NULL || (room > 0 && block[0] == (int)i + 1 && block[room - 1] == (int)i + 1);
        sharedmem_free(block);
    }
    return good && uncaught.count == 0;
}

/* All that may be asked of one. Each returns whether it went well; TAP is for who is alone. */
static bool check_wrong(const struct wrong *wrong, const char **failed)
{
    struct spare spare = {{NULL}};
    char *pointer = wrong->make(&spare);

    fill_spare(&spare);
    *failed = "free is refused, with a message";
    if (!free_is_refused(pointer, wrong->says) || !free_is_refused(pointer, wrong->says))
        return false;
    *failed = "realloc is refused, with a message";
    if (!realloc_is_refused(pointer, wrong->says))
        return false;
    *failed = "it has no room";
    if (sharedmem_usable_size(pointer) != 0)
        return false;
    *failed = "the heap is whole";
    if (!is_whole(wrong->name))
        return false;
    *failed = "the blocks beside it are as they were";
    return spare_is_good(&spare) && is_whole(wrong->name);
}

static bool is_possible(const struct wrong *wrong)
{
    if (wrong->make == by_another_mapping)
        return other_mapping != NULL;
    return !wrong->forks || !test_thread_sanitized();
}

static void test_wrongs(void)
{
    const char *failed = "";

    for (size_t i = 0; i < COUNT_OF(wrongs); i++) {
        bool good;

        if (!is_possible(&wrongs[i]))
            continue;
        good = check_wrong(&wrongs[i], &failed);

        test_ok(good, "%s%s%s", wrongs[i].name, good ? "" : ": not so: ", good ? "" : failed);
    }
}

/* ---- Every address ---- */

/* Blocks among which there are all kinds of places. Returns how many. */
static size_t scatter(char **blocks, size_t n)
{
    size_t n_left = 0;

    for (size_t i = 0; i < n; i++) {
        blocks[i] = sharedmem_malloc((size_t)1 << i % 18);
        memset(blocks[i], (int)(i % 255), (size_t)1 << i % 18);
    }
    for (size_t i = 0; i < n; i++) {
        if (i % 3 == 0)
            sharedmem_free(blocks[i]);
        else
            blocks[n_left++] = blocks[i];
    }
    return n_left;
}

static int by_address(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;

    return (x > y) - (x < y);
}

static void test_every_address(void)
{
    const size_t step = test_under_valgrind() ? 64 * 61 : 64;
    char *blocks[180];
    size_t n = scatter(blocks, COUNT_OF(blocks)), next = 0;
    int wrong_room = 0, untold = 0, count = 0;

    qsort(blocks, n, sizeof *blocks, by_address);
    for (char *at = segment_begin; at < segment_end; at += step) {
        while (next < n && blocks[next] < at)
            next++;
        if (next < n && blocks[next] == at) {
            wrong_room += sharedmem_usable_size(at) == 0;
            continue;
        }
        wrong_room += sharedmem_usable_size(at) != 0;
        uncaught.count = 0;
        sharedmem_free(at);
        untold += uncaught.count != 1;
        count++;
    }
    test_int(0, wrong_room, "of all addresses only those of blocks have room");
    test_int(0, untold, "all of %d others are refused", count);
    test_ok(is_whole("all addresses"), "the heap is whole");
    uncaught.count = 0;
    for (size_t i = 0; i < n; i++)
        sharedmem_free(blocks[i]);
    test_int(0, uncaught.count, "and the blocks are still there to be freed");
}

/* ---- In threads and workers ---- */

static void *check_in_thread(void *good)
{
    const char *failed;

    for (size_t i = 0; i < COUNT_OF(wrongs); i++) {
        if (wrongs[i].forks || !is_possible(&wrongs[i]) || check_wrong(&wrongs[i], &failed))
            continue;
        fprintf(stderr, "# in a thread: %s: not so: %s\n", wrongs[i].name, failed);
        return NULL;
    }
    return good;
}

/* One may get what another has freed, and then that is a block again: who frees must be alone. */
static bool is_alone(const struct wrong *wrong)
{
    return strstr(wrong->name, "freed") == NULL && strstr(wrong->name, "moved") == NULL && !wrong->forks &&
           is_possible(wrong);
}

static void *check_beside_others(void *good)
{
    const char *failed;

    for (size_t i = 0; i < COUNT_OF(wrongs); i++) {
        if (!is_alone(&wrongs[i]) || check_wrong(&wrongs[i], &failed))
            continue;
        fprintf(stderr, "# beside others: %s: not so: %s\n", wrongs[i].name, failed);
        return NULL;
    }
    return good;
}

static void test_threads(void)
{
    pthread_t threads[4];
    bool good = true;
    void *result;

    pthread_create(&threads[0], NULL, check_in_thread, &good);
    pthread_join(threads[0], &result);
    test_ok(result != NULL, "in a thread");
    for (size_t k = 0; k < COUNT_OF(threads); k++)
        pthread_create(&threads[k], NULL, check_beside_others, &good);
    for (size_t k = 0; k < COUNT_OF(threads); k++) {
        pthread_join(threads[k], &result);
        good &= result != NULL;
    }
    test_ok(good, "in %zu threads at once", COUNT_OF(threads));
}

/* In shared memory, since the item ends where it fails: what it leaves is the master's to free. */
struct item {
    size_t which;
    struct spare spare;
};

/* The item fails by what the library does with uncaught errors; 0 would be its success. */
static int free_wrong(size_t i, void *result, void *context)
{
    struct item *item = context;

    (void)i;
    (void)result;
    sharedmem_free(wrongs[item->which].make(&item->spare));
    return 0;
}

static void test_item(const struct way *way, sharedmem_pool *pool, struct item *item)
{
    const struct wrong *wrong = &wrongs[item->which];
    sharedmem_error error = {.message = ""};
    const sharedmem_map_options options = {
        .n = 1, .work = free_wrong, .context = item, .np = 1, .error = &error};

    item->spare = (struct spare){{NULL}};
    test_int(-1, way_map(way, pool, &options), "%s: %s: the item fails", way->name, wrong->name);
    test_int(SHAREDMEM_ERROR_USAGE, error.kind, "of kind USAGE");
    test_int(0, (long long)error.item, "it is named");
    test_has("sharedmem_free(0x", error.message, "the call is named");
    test_has(wrong->says, error.message, "and what is wrong");
    for (size_t i = 0; i < COUNT_OF(item->spare.blocks); i++)
        sharedmem_free(item->spare.blocks[i]);
    test_ok(is_whole(wrong->name), "the heap is whole");
}

/* A worker that fails takes its pool with it: there and where workers are forked some of the many will do. */
static bool is_for(const struct wrong *wrong, const struct way *way)
{
    return !wrong->forks && is_possible(wrong) && (!way_forks(way) || (wrong - wrongs) % 5 == 0);
}

static void test_workers(void)
{
    struct item *item = sharedmem_calloc(1, sizeof *item);
    sharedmem_pool *pool = NULL;

    sharedmem_set_uncaught(sharedmem_uncaught);
    if (!test_thread_sanitized())
        pool = sharedmem_pool_create(1, NULL);
    for (size_t w = 0; w < N_WAYS; w++) {
        for (item->which = 0; way_is_possible(&ways[w]) && item->which < COUNT_OF(wrongs); item->which++) {
            if (is_for(&wrongs[item->which], &ways[w]))
                test_item(&ways[w], pool, item);
        }
    }
    sharedmem_pool_destroy(pool);
    sharedmem_set_uncaught(note_uncaught);
    sharedmem_free(item);
}

/* Where the program says nothing: one line, and its end with status 1. */
static void test_end_of_program(void)
{
    char text[1024] = "";
    int fds[2], status;
    ssize_t length;
    pid_t pid;

    if (pipe(fds) != 0 || (pid = fork()) < 0)
        test_skip_all("no pipe, or no process");
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        sharedmem_set_uncaught(sharedmem_uncaught);
        sharedmem_free(sharedmem_malloc(8));
        sharedmem_free(fds);
        test_child_exit(77);
    }
    close(fds[1]);
    length = read(fds[0], text, sizeof text - 1);
    close(fds[0]);
    waitpid(pid, &status, 0);
    test_ok(WIFEXITED(status) && WEXITSTATUS(status) == 1, "a wrong pointer ends a program with status 1");
    test_has(FOREIGN, text, "it says why");
    test_ok(length > 0 && strchr(text, '\n') == text + length - 1, "in one line");
}

/* ---- What is around ---- */

/* A program with a heap of its own, elsewhere; it lives until its pipe is closed. Returns its pid. */
static pid_t start_other(int *its_end)
{
    int block_pipe[2], end_pipe[2];
    char *block = NULL;
    pid_t pid;

    if (pipe(block_pipe) != 0 || pipe(end_pipe) != 0 || (pid = fork()) < 0)
        test_skip_all("no pipe, or no process");
    if (pid == 0) {
        close(end_pipe[1]);
        /* So that its heap does not lie where ours will. */
        mmap(NULL, 4 * HEAP_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        block = sharedmem_malloc(100);
        if (write(block_pipe[1], &block, sizeof block) != sizeof block)
            test_child_exit(1);
        test_child_exit(read(end_pipe[0], &block, 1) == 0 ? 0 : 1);
    }
    close(block_pipe[1]);
    close(end_pipe[0]);
    if (read(block_pipe[0], &block, sizeof block) != sizeof block)
        test_skip_all("no shared memory here");
    close(block_pipe[0]);
    others_block = block;
    *its_end = end_pipe[1];
    return pid;
}

/* Where the segment lies, by what the library says of addresses; and its memory once more elsewhere. */
static void find_segment(void)
{
    char *block = sharedmem_malloc(1);

    segment_begin = (char *)((uintptr_t)block & ~(uintptr_t)4095);
    segment_end = segment_begin + 4096;
    while (sharedmem_is_shared(segment_begin - 1))
        segment_begin -= 4096;
    while (sharedmem_is_shared(segment_end))
        segment_end += 4096;
    sharedmem_free(block);
    /* Length 0: a second mapping of the same pages. Valgrind has none of it. */
    other_mapping = mremap(segment_begin, 0, (size_t)(segment_end - segment_begin), MREMAP_MAYMOVE);
    if (other_mapping == MAP_FAILED)
        other_mapping = NULL;
}

int main(void)
{
    int others_end, status;
    pid_t other;

    test_begin(120);
    setenv("SHAREDMEM_HEAP", HEAP, 1);
    sharedmem_set_uncaught(note_uncaught);
    other = start_other(&others_end);
    test_ok(free_is_refused((char *)&other, FOREIGN), "before there is a heap");
    find_segment();
    test_int((long long)HEAP_BYTES, segment_end - segment_begin, "the whole segment is known");
    test_ok(!sharedmem_is_shared(others_block), "another's lies elsewhere");
    test_wrongs();
    test_every_address();
    test_threads();
    test_workers();
    test_end_of_program();
    close(others_end);
    waitpid(other, &status, 0);
    test_int(0, status, "the other's heap is as it was");
    test_ok(is_whole("all"), "and ours");
    return test_end();
}
