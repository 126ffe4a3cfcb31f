#include "smrrun/advice.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void add(struct advice *advice, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(advice->lines[advice->n++], sizeof advice->lines[0], format, arguments);
    va_end(arguments);
}

static const char *plural(int n)
{
    return n == 1 ? "" : "s";
}

static bool is_by(const struct batch *batch, const char *system)
{
    return batch->system != NULL && strcmp(batch->system, system) == 0;
}

static bool is_started_by(const struct batch *batch, const char *starter)
{
    return batch->starter != NULL && strcmp(batch->starter, starter) == 0;
}

/* How users call what has started smrrun, with the option that leaves processes unbound. */
static const char *command_of(const struct batch *batch)
{
    return is_started_by(batch, "flux") ? "flux run" : "mpiexec";
}

static const char *unbinding_of(const struct batch *batch)
{
    return is_started_by(batch, "flux") ? "-o cpu-affinity=off" : "--bind-to none";
}

/*
 * srun has -n of the job unless told otherwise, and then does not heed --ntasks-per-node=1, as is often advised; with
 * -c it refuses nodes that have fewer cores than others. pbsdsh wants a path.
 */
static void describe_nodes(struct advice *advice, const struct batch *batch)
{
    char how[96];

    if (is_by(batch, "Slurm") && batch->n_groups > 1)
        snprintf(how, sizeof how, "srun --het-group=0-%d -n 1 smrrun", batch->n_groups - 1);
    else if (is_by(batch, "Slurm"))
        snprintf(how, sizeof how, "srun -N %d -n %d smrrun", batch->n_nodes, batch->n_nodes);
    else if (is_by(batch, "Torque"))
        snprintf(how, sizeof how, "pbsdsh -u $(which smrrun)");
    else
        snprintf(how, sizeof how, "mpiexec -n %d --map-by ppr:1:node smrrun", batch->n_nodes);
    add(advice, "the job has %d nodes, and smrrun uses this one; %s ... starts a job of its own on each",
        batch->n_nodes, how);
}

static void describe_starts(struct advice *advice, const struct batch *batch, const struct plan *plan)
{
    int n = batch->n_starts, all = n * plan->n_ranks;

    if (is_started_by(batch, "srun"))
        add(advice,
            "srun has started smrrun %d times on this host, each with %d rank%s of a job of its own; one job "
            "of %d: "
            "srun -n 1 -c %d smrrun -n %d ..., or srun -n %d PROGRAM without smrrun",
            n, plan->n_ranks, plural(plan->n_ranks), all, all, all, all);
    else
        add(advice,
            "%s has started smrrun %d times on this host, each with %d rank%s of a job of its own; one job "
            "of %d: "
            "smrrun -n %d ... alone, or %s -n %d PROGRAM without smrrun",
            batch->starter, n, plan->n_ranks, plural(plan->n_ranks), all, all, command_of(batch), all);
}

/* How many processors' worth may be used here; 0: not known. */
static int allowed(const struct plan_machine *machine)
{
    if (machine->quota > 0 && (machine->n_pus == 0 || machine->quota < machine->n_pus))
        return machine->quota;
    return machine->n_pus;
}

/* What the job was granted on this host. */
static int granted(const struct batch *batch)
{
    return batch->n_cores > batch->n_ranks ? batch->n_cores : batch->n_ranks;
}

static void describe_room(struct advice *advice, const struct batch *batch,
                          const struct plan_machine *machine)
{
    int n = allowed(machine), wanted = granted(batch);
    const char *are = n == 1 ? " is" : "s are";

    if (is_started_by(batch, "srun"))
        add(advice,
            "only %d CPU%s allowed here, of %d of the job: srun gave no more; try srun -n 1 -c %d smrrun "
            "..., "
            "or srun --cpu-bind=none",
            n, are, wanted, wanted);
    else if (batch->starter != NULL && !is_started_by(batch, "pbsdsh"))
        add(advice, "only %d CPU%s allowed here, of %d of the job: %s has bound smrrun; try %s %s", n, are,
            wanted, batch->starter, command_of(batch), unbinding_of(batch));
    else
        add(advice,
            "only %d CPU%s allowed here (by %s), and %s granted %d: the ranks share %s; -n %d starts one on "
            "each",
            n, are, n == machine->n_pus ? "affinity or cpuset" : "the cgroup's quota", batch->system, wanted,
            n == 1 ? "it" : "them", n);
}

/* What was typed is not judged. */
static bool lacks_room(const struct options *options, const struct batch *batch,
                       const struct plan_machine *machine)
{
    int n = allowed(machine);

    return batch->system != NULL && n > 0 && granted(batch) > n && options->cpus == NULL &&
           options->exclude == NULL && (options->n_ranks == 0 || options->n_ranks > n);
}

void advice_make(struct advice *advice, const struct options *options, const struct batch *batch,
                 const struct plan_machine *machine, const struct plan *plan)
{
    advice->n = 0;
    if (batch->n_nodes > 1 && batch->starter == NULL)
        describe_nodes(advice, batch);
    if (batch->n_starts > 1 && batch->start == 0)
        describe_starts(advice, batch, plan);
    if (lacks_room(options, batch, machine) && batch->start == 0)
        describe_room(advice, batch, machine);
}
