#include "host/binding.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/each_fork.h"

/* Twice what Linux can be built for. On the stack, as CPU_ALLOC() is malloc(): no call for a forked child. */
#define MAX_PUS 16384

union mask {
    cpu_set_t set;
    unsigned char bytes[MAX_PUS / 8];
};

static const int *row_of(const struct binding_plan *plan, int rank)
{
    return plan->pus + (size_t)rank * (size_t)plan->width;
}

static bool is_rank(const struct binding_plan *plan, int rank)
{
    return rank >= 0 && rank < plan->n_ranks;
}

EACH_FORK int binding_apply(const struct binding_plan *plan, int rank)
{
    return binding_apply_to(plan, rank, 0);
}

EACH_FORK int binding_apply_to(const struct binding_plan *plan, int rank, pid_t tid)
{
    union mask mask;
    const int *row;

    if (!is_rank(plan, rank)) {
        errno = EINVAL;
        return -1;
    }
    if (plan->width == 0 || !plan->is_this_machine)
        return 0;
    row = row_of(plan, rank);
    memset(&mask, 0, sizeof mask);
    for (int i = 0; i < plan->width && row[i] >= 0; i++)
        CPU_SET_S((size_t)row[i], sizeof mask, &mask.set);
    return sched_setaffinity(tid, sizeof mask, &mask.set);
}

int binding_rank_here(const struct binding_plan *plan)
{
    const int n = plan->is_this_machine ? plan->n_ranks * plan->width : 0;
    int pu = sched_getcpu();

    for (int i = 0; i < n && pu >= 0; i++) {
        if (plan->pus[i] == pu)
            return i / plan->width;
    }
    return -1;
}

struct writer {
    char *text;
    size_t size;
    size_t length; /* of the whole, also of what was cut */
};

static void write_range(struct writer *writer, int first, int last)
{
    size_t used = writer->length < writer->size ? writer->length : writer->size;
    const char *comma = writer->length > 0 ? "," : "";
    char *to = writer->text + used;
    size_t room = writer->size - used;

    if (first == last)
        writer->length += (size_t)snprintf(to, room, "%s%d", comma, first);
    else
        writer->length += (size_t)snprintf(to, room, "%s%d-%d", comma, first, last);
}

int binding_format(const struct binding_plan *plan, int rank, char *text, size_t size)
{
    struct writer writer = {text, size, 0};
    const int *row;

    if (plan->width == 0 || !is_rank(plan, rank))
        return snprintf(text, size, "unbound");
    row = row_of(plan, rank);
    for (int i = 0, end; i < plan->width && row[i] >= 0; i = end) {
        for (end = i + 1; end < plan->width && row[end] == row[end - 1] + 1; end++)
            continue;
        write_range(&writer, row[i], row[end - 1]);
    }
    return (int)writer.length;
}
