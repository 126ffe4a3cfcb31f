#include "memory/placed.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/error.h"
#include "base/log.h"
#include "host/affinity.h"
#include "host/pages.h"
#include "memory/heap.h"
#include "memory/segment.h"

/*
 * Smaller blocks give no page back when they are freed, or few: who gets them next finds them where they are.
 */
#define FORGET_BYTES ((size_t)64 << 10)

enum placed_default placed_default(void)
{
    static const char *const names[] = {
        [PLACED_LOCAL] = "local", [PLACED_INTERLEAVE] = "interleave", [PLACED_NONE] = "none"};
    const char *text = env_text(ENV_MEM);

    for (size_t i = 0; text != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0)
            return (enum placed_default)i;
    }
    if (text != NULL)
        env_warn(ENV_MEM, "local, interleave or none");
    return PLACED_LOCAL;
}

/*
 * The topology of the nodes that pages come from in turn by default. NULL where they do not, or there is but
 * one
 * node: error then says nothing, or why they are not known.
 */
static struct topology *nodes_in_turn(sharedmem_error *error)
{
    struct topology *topology;
    size_t mask_bytes;
    cpu_set_t *mask;

    error_clear(error);
    if (placed_default() != PLACED_INTERLEAVE)
        return NULL;
    mask = affinity_read(&mask_bytes);
    topology = topology_load(mask, mask_bytes, error);
    if (mask != NULL)
        CPU_FREE(mask);
    if (topology != NULL && topology->is_this_machine && topology->n_nodes > 1)
        return topology;
    topology_destroy(topology);
    return NULL;
}

/* Tells the kernel to take pages from these in turn, or as usual where topology is NULL. Frees that. */
static void place_as_default(void *begin, size_t bytes, struct topology *topology, sharedmem_error *error)
{
    struct topology_area area = {.begin = begin, .bytes = bytes, .source = TOPOLOGY_AS_USUAL};

    if (topology != NULL) {
        area.source = TOPOLOGY_NODES;
        area.n_nodes = topology->n_nodes;
        area.nodes = topology->nodes;
    }
    topology_place(&area, 1, error);
    topology_destroy(topology);
}

void placed_begin(void)
{
    char *begin = segment_part(SEGMENT_HEAP);
    sharedmem_error error;
    struct topology *topology = nodes_in_turn(&error);

    begin += -(uintptr_t)begin % PAGES_HUGE_BYTES;
    if (topology != NULL)
        place_as_default(begin, (size_t)(segment_base + segment_size - begin), topology, &error);
    if (error.kind != SHAREDMEM_ERROR_NONE)
        log_warn("%s=interleave is ignored: %s", env_name(ENV_MEM), error.message);
}

int placed_set(const struct topology_area *areas, int n, sharedmem_error *error)
{
    /* relaxed: whoever frees the block has come by it after this. */
    atomic_store_explicit(&segment_header()->is_placed, 1, memory_order_relaxed);
    return topology_place(areas, n, error);
}

void placed_forget(void *block)
{
    int saved_errno = errno;
    sharedmem_error unused;
    size_t bytes;

    if (atomic_load_explicit(&segment_header()->is_placed, memory_order_relaxed) != 0 &&
        heap_usable(block, &bytes) == HEAP_GOOD && bytes >= FORGET_BYTES)
        place_as_default(block, bytes, nodes_in_turn(&unused), &unused);
    errno = saved_errno;
}
