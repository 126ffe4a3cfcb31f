/* Where the kernel takes pages from: what it was told, by its own word, /proc/self/numa_maps. */
#include "memory/placed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/pages.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/segment.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MIB             ((size_t)1 << 20)

/*
 * What the kernel says of the mapping that address lies in: "default", "local", "interleave:0"; "" for
 * nothing.
 */
static const char *policy_at(const void *address)
{
    static char policy[64];
    FILE *file = fopen("/proc/self/numa_maps", "re");
    unsigned long begin;
    char line[1024], word[64];

    policy[0] = '\0';
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        /* Mappings rise: the last one that begins at the address or before has it. */
        if (sscanf(line, "%lx %63s", &begin, word) == 2 && begin <= (unsigned long)address)
            snprintf(policy, sizeof policy, "%s", word);
    }
    if (file != NULL)
        fclose(file);
    return policy;
}

/* Kernels have had several words for one thing. */
static bool is_local(const char *policy)
{
    return strcmp(policy, "local") == 0 || strcmp(policy, "prefer (many)") == 0 ||
           strcmp(policy, "prefer") == 0;
}

static const int first_twice[] = {0, 0};

static struct topology_area area_of(void *block, size_t bytes, enum topology_source source, int n_nodes)
{
    return (struct topology_area){block, bytes, source, n_nodes, first_twice};
}

/* A kernel without NUMA, or a container, tells or does nothing of this. */
static bool is_possible(void *block)
{
    struct topology_area area = area_of(block, 4096, TOPOLOGY_FIRST_TOUCH, 0);
    sharedmem_error error;

    if (topology_place(&area, 1, &error) != 0) {
        test_note("%s", error.message);
        return false;
    }
    area.source = TOPOLOGY_AS_USUAL;
    return policy_at(block)[0] != '\0' && topology_place(&area, 1, NULL) == 0;
}

static void test_areas(char *block)
{
    struct topology_area areas[] = {
        area_of(block, MIB, TOPOLOGY_NODES, 2),
        area_of(block + MIB, MIB, TOPOLOGY_NODES, 1),
        area_of(block + 2 * MIB, MIB, TOPOLOGY_FIRST_TOUCH, 0),
    };

    test_int(0, placed_set(areas, 3, NULL), "three areas are placed");
    test_str("interleave:0", policy_at(block), "the first on nodes in turn");
    test_has("prefer", policy_at(block + MIB), "the second on one node, if it has room");
    test_ok(is_local(policy_at(block + 2 * MIB)), "the third by first touch: %s", policy_at(block + 2 * MIB));
    test_str("default", policy_at(block + 3 * MIB), "what is behind is as it was");
    for (size_t i = 0; i < 4 * MIB; i += 4096)
        block[i] = 1;
    test_ok(block[0] == 1 && block[4 * MIB - 4096] == 1, "all of it can be used");
}

static void place_in_child(void *block, enum topology_source source, int n_nodes)
{
    struct topology_area area = area_of(block, MIB, source, n_nodes);
    pid_t child = fork();
    int status;

    if (child == 0)
        test_child_exit(placed_set(&area, 1, NULL) != 0);
    waitpid(child, &status, 0);
    test_int(0, status, "another process places it");
}

/* What one process says holds for all, whoever said what before. */
static void test_others(char *block)
{
    struct topology_area mine = area_of(block, MIB, TOPOLOGY_NODES, 2);

    place_in_child(block, TOPOLOGY_NODES, 2);
    test_str("interleave:0", policy_at(block), "and that holds here");
    place_in_child(block, TOPOLOGY_NODES, 1);
    test_has("prefer", policy_at(block), "and so does what it says next");
    test_int(0, placed_set(&mine, 1, NULL), "this one places it");
    place_in_child(block, TOPOLOGY_FIRST_TOUCH, 0);
    test_ok(is_local(policy_at(block)), "the other one's word is the last: %s", policy_at(block));
    test_int(0, placed_set(&mine, 1, NULL), "this one says again what it has said");
    test_str("interleave:0", policy_at(block), "and now that holds");
}

/* In a segment that another process has placed in, too. */
static void test_freed(void)
{
    static const size_t sizes[] = {64 << 10, MIB, 4 * MIB};

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char *block = sharedmem_malloc(sizes[i]);
        struct topology_area area = area_of(block, sizes[i], TOPOLOGY_NODES, 2);

        placed_set(&area, 1, NULL);
        test_str("interleave:0", policy_at(block), "a block of %zu is placed", sizes[i]);
        sharedmem_free(block);
        test_str("default", policy_at(block), "freed, it is as if it had never been");
    }
}

static void test_moved(void)
{
    char *block = sharedmem_malloc(MIB), *behind = sharedmem_malloc(MIB), *moved;
    struct topology_area area = area_of(block, MIB, TOPOLOGY_NODES, 2);

    placed_set(&area, 1, NULL);
    moved = sharedmem_realloc(block, 8 * MIB);
    test_ok(moved != NULL && moved != block, "a block moves");
    test_str("default", policy_at(block), "its old place is as if it had never been");
    sharedmem_free(moved);
    sharedmem_free(behind);
}

static const struct {
    const char *value;
    enum placed_default expected;
} values[] = {
    {"inter", PLACED_LOCAL},           {"", PLACED_LOCAL},
    {"Local", PLACED_LOCAL},           {"local", PLACED_LOCAL},
    {"interleave", PLACED_INTERLEAVE}, {"none", PLACED_NONE},
};

static int n_warnings;
static char warning[1024];

static void count_warning(const char *message)
{
    n_warnings++;
    snprintf(warning, sizeof warning, "%s", message);
}

static void test_default(void)
{
    sharedmem_set_log(count_warning);
    test_int(PLACED_LOCAL, placed_default(), "without a word it is first touch");
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        setenv("SHAREDMEM_MEM", values[i].value, 1);
        test_int(values[i].expected, placed_default(), "SHAREDMEM_MEM=%s", values[i].value);
    }
    test_int(1, n_warnings, "one warning for all that is none");
    test_has("SHAREDMEM_MEM=inter is not local, interleave or none", warning, "that says what is");
    unsetenv("SHAREDMEM_MEM");
}

/* A machine of one node has nothing to interleave, and so has one that is only described. */
static void test_begin_alone(void)
{
    struct topology *topology = topology_load(NULL, 0, NULL);

    n_warnings = 0;
    setenv("SHAREDMEM_MEM", "interleave", 1);
    if (topology != NULL && topology->n_nodes == 1) {
        placed_begin();
        test_str("default", policy_at(segment_part(SEGMENT_HEAP)), "one node: nothing is said to the kernel");
    } else {
        test_skip("this machine has several nodes");
    }
    test_int(0, n_warnings, "quietly");
    unsetenv("SHAREDMEM_MEM");
    topology_destroy(topology);
}

int main(void)
{
    char *block;

    test_begin(60);
    test_default();
    setenv("SHAREDMEM_HEAP", "64M", 1);
    if (memory_enter(NULL) != 0)
        return test_end();
    block = sharedmem_malloc(4 * MIB);
    if (is_possible(block)) {
        test_areas(block);
        test_others(block);
        test_freed();
        test_moved();
        test_begin_alone();
    } else {
        test_skip("this system does not let programs place memory");
    }
    test_int(0, sharedmem_heap_check(NULL), "the heap is whole");
    return test_end();
}
