/*
 * list: workers build a linked list in shared memory, and the master walks it.
 *
 *     list [COUNT]        COUNT nodes, 100000 by default
 *
 * An item is a node. The worker that does it allocates the node and pushes it, in a critical region. Shared
 * memory lies at one address in all workers, so the links are plain pointers that the master can follow, and
 * it can free what the workers have allocated.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sharedmem.h>

#define COUNT_DEFAULT 100000
#define COUNT_MAX     100000000

struct node {
    struct node *next;
    size_t item;
};

/* In shared memory, as the nodes. */
struct list {
    struct node *first;
    size_t length;
};

static void push(struct list *list, struct node *node)
{
    SHAREDMEM_CRITICAL_NAMED("list")
    {
        node->next = list->first;
        list->first = node;
        list->length++;
    }
}

/* Item i, in a worker. */
static int work(size_t i, void *result, void *context)
{
    struct node *node = sharedmem_new(struct node, 1);

    (void)result;
    if (node == NULL)
        return sharedmem_fail(errno, "no shared memory for a node: %s", strerror(errno));
    node->item = i;
    push(context, node);
    return 0;
}

/* Whether every item is in the list once. seen: false for each. */
static bool has_all_once(const struct list *list, size_t count, bool *seen)
{
    size_t length = 0;

    for (const struct node *node = list->first; node != NULL; node = node->next) {
        if (node->item >= count || seen[node->item])
            return false;
        seen[node->item] = true;
        length++;
    }
    return length == count && list->length == count;
}

static bool check(const struct list *list, size_t count)
{
    bool *seen = calloc(count, sizeof *seen);
    bool right = seen != NULL && has_all_once(list, count, seen);

    if (seen == NULL)
        perror("list");
    free(seen);
    return right;
}

static void free_list(struct list *list)
{
    struct node *next;

    for (struct node *node = list->first; node != NULL; node = next) {
        next = node->next;
        sharedmem_free(node);
    }
    sharedmem_free(list);
}

static bool heap_is_whole(void)
{
    sharedmem_error error;

    if (sharedmem_heap_check(&error) == 0)
        return true;
    sharedmem_print_error(&error);
    return false;
}

/* Without .error the library itself reports a failure, and ends the program. */
static bool run(struct list *list, size_t count)
{
    bool right;

    sharedmem_map(count, work, list);
    printf("the list has %zu nodes\n", list->length);
    right = check(list, count);
    free_list(list);
    return heap_is_whole() && right;
}

/* A number, or 0 where text is none that can be used. */
static size_t parse_count(const char *text)
{
    unsigned long long count;
    char *end;

    /* strtoull() would take blanks and a sign. */
    if (!isdigit((unsigned char)*text))
        return 0;
    errno = 0;
    count = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && count <= COUNT_MAX ? (size_t)count : 0;
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? parse_count(argv[1]) : COUNT_DEFAULT;
    struct list *list;
    bool right;

    if (argc > 2 || count == 0) {
        fprintf(stderr, "usage: list [COUNT]    nodes, 1 to %d, by default %d\n", COUNT_MAX, COUNT_DEFAULT);
        return 2;
    }
    list = sharedmem_new(struct list, 1);
    if (list == NULL) {
        fprintf(stderr, "list: no shared memory: %s\n", strerror(errno));
        return EXIT_FAILURE;
    }
    right = run(list, count);
    puts(right ? "right: every item is there once, and the heap is whole"
               : "WRONG: not every item is there once, or the heap is not whole");
    return fflush(stdout) == 0 && right ? EXIT_SUCCESS : EXIT_FAILURE;
}
