#include "smrrun/plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static int at_least_one(int n)
{
    return n > 1 ? n : 1;
}

bool plan_needs_topology(const struct options *options, const struct batch *batch,
                         const struct plan_machine *machine)
{
    int n_ranks = options->n_ranks > 0 ? options->n_ranks : batch->n_ranks;
    bool has_ranks = n_ranks > 0;
    bool has_threads = options->n_threads > 0 || machine->has_omp_threads || batch->n_threads > 0;

    /* More ranks than processors are not bound, and have one thread each, whatever the cores are. */
    if (machine->n_pus > 0 && n_ranks > machine->n_pus && !options->report_bindings && !options->dry_run)
        return false;
    return options->bind != BINDING_NONE || options->per_object > 0 || options->use_smt || !has_ranks ||
           !has_threads || options->report_bindings || options->dry_run || options->selftest;
}

/* The cores that this job may use: its grant and quota count where they are less than what is there. */
static int usable_cores(const struct options *options, const struct batch *batch,
                        const struct plan_machine *machine)
{
    int cores = OPTIONS_MAX_RANKS;

    if (machine->topology != NULL)
        cores = options->use_smt ? machine->topology->n_pus : machine->topology->n_cores;
    else if (machine->n_pus > 0)
        cores = machine->n_pus;

    if (batch->n_cores > 0)
        cores = smaller(cores, batch->n_cores);
    if (machine->quota > 0)
        cores = smaller(cores, machine->quota);
    return at_least_one(cores);
}

/* How many ranks ppr:K:obj makes; 0: it was not given. */
static int ranks_per_objects(const struct options *options, const struct plan_machine *machine)
{
    if (options->per_object == 0 || machine->topology == NULL)
        return 0;
    return smaller(options->per_object * binding_count_objects(machine->topology, options->map),
                   OPTIONS_MAX_RANKS);
}

static void count_ranks(struct plan *plan, const struct options *options, const struct batch *batch,
                        const struct plan_machine *machine, int cores)
{
    int threads = at_least_one(options->n_threads > 0 ? options->n_threads : batch->n_threads);
    int by_object = ranks_per_objects(options, machine);

    if (options->n_ranks > 0) {
        plan->n_ranks = options->n_ranks;
        snprintf(plan->source, sizeof plan->source, "-n");
    } else if (by_object > 0) {
        plan->n_ranks = by_object;
        snprintf(plan->source, sizeof plan->source, "--map-by");
    } else if (batch->n_ranks > 0) {
        plan->n_ranks = smaller(batch->n_ranks, OPTIONS_MAX_RANKS);
        /* A list of hosts is not of a batch system. */
        snprintf(plan->source, sizeof plan->source, "%s%s%s", batch->source,
                 batch->system != NULL ? " of " : "", batch->system != NULL ? batch->system : "");
    } else {
        plan->n_ranks = smaller(at_least_one(cores / threads), OPTIONS_MAX_RANKS);
        plan->is_default = true;
        snprintf(plan->source, sizeof plan->source, "%d core%s%s%s%s", cores, cores == 1 ? "" : "s",
                 batch->n_cores == cores && batch->system != NULL ? " granted by " : "",
                 batch->n_cores == cores && batch->system != NULL ? batch->system : "",
                 threads > 1 ? " / threads of a rank" : "");
    }
}

static void count_threads(struct plan *plan, const struct options *options, const struct batch *batch,
                          const struct plan_machine *machine, int cores)
{
    int share = at_least_one(cores / plan->n_ranks);
    long used;

    if (options->n_threads > 0)
        plan->n_threads = options->n_threads;
    else if (machine->has_omp_threads)
        plan->n_threads = 0;
    else if (batch->n_threads > 0)
        /* Of as many ranks as the job asked for; of more, which -n says, each has fewer. */
        plan->n_threads = options->n_ranks > 0 ? smaller(batch->n_threads, share) : batch->n_threads;
    else
        plan->n_threads = share;
    used = plan->n_threads > 0 ? plan->n_threads : machine->omp_threads;
    if ((machine->topology != NULL || machine->n_pus > 0) && used > share)
        snprintf(plan->warning, sizeof plan->warning,
                 "%d rank%s of %ld threads%s%s are more than the %d core%s here; give -t %d%s", plan->n_ranks,
                 plan->n_ranks == 1 ? "" : "s", used, plan->n_ranks == 1 ? "" : " each",
                 plan->n_threads > 0 ? "" : " (OMP_NUM_THREADS)", cores, cores == 1 ? "" : "s", share,
                 plan->n_ranks == 1 ? "" : ", or fewer ranks");
}

/* Says why nobody is bound. */
static void leave_unbound(struct plan *plan, const char *why)
{
    binding_plan_destroy(plan->binding);
    plan->binding = NULL;
    snprintf(plan->unbound, sizeof plan->unbound, "%s", why);
}

/* How many each rank has, as somebody said; 0: nobody did. */
static int known_threads(const struct options *options, const struct batch *batch,
                         const struct plan_machine *machine)
{
    long threads = machine->has_omp_threads ? machine->omp_threads : batch->n_threads;

    if (options->n_threads > 0)
        return options->n_threads;
    return threads < 0 ? 0 : threads > OPTIONS_MAX_RANKS ? OPTIONS_MAX_RANKS : (int)threads;
}

static int bind_ranks(struct plan *plan, const struct options *options, const struct batch *batch,
                      const struct plan_machine *machine)
{
    const struct topology *topology = machine->topology;

    if (options->bind == BINDING_NONE)
        return 0;
    if (plan->crowd > 0)
        leave_unbound(plan, "there are more ranks than processors");
    if (plan->crowd > 0 || topology == NULL)
        return 0;
    /* Others have the rest, and nobody knows which. */
    if (!options->is_bind_given && batch->n_cores > 0 && batch->n_cores < topology->n_cores) {
        leave_unbound(plan,
                      "the batch system granted fewer cores than this host shows; --bind-to share binds");
        return 0;
    }
    plan->binding = binding_plan_make(
        topology, &(struct binding_request){plan->n_ranks, options->bind, options->map, options->cores,
                                            options->per_object, options->use_smt,
                                            known_threads(options, batch, machine)});
    if (plan->binding == NULL)
        return -1;
    /* To look at, any machine is good. */
    if (!plan->binding->is_this_machine && !options->dry_run)
        leave_unbound(plan, "the topology is not of this machine (HWLOC_XMLFILE or HWLOC_SYNTHETIC)");
    return 0;
}

/* Where nobody said how many threads, a rank has as many as it has cores for itself. */
static void fit_threads(struct plan *plan, const struct options *options, const struct batch *batch,
                        const struct plan_machine *machine)
{
    int own = plan->binding != NULL ? plan->binding->cores_per_rank : 0;

    if (own > 0 && own < plan->n_threads && known_threads(options, batch, machine) == 0)
        plan->n_threads = own;
}

/* Why ranks cannot be bound as was asked for, by errno. */
static void refuse_binding(const struct plan *plan, const struct options *options, int cores, char *message,
                           size_t size)
{
    if (errno != ENOSPC)
        snprintf(message, size, "out of memory while planning %d ranks", plan->n_ranks);
    else if (options->per_object > 0)
        snprintf(message, size,
                 "--map-by: %d ranks, %d on each object, do not fit on this machine; give a smaller -n "
                 "or a larger number of them",
                 plan->n_ranks, options->per_object);
    else
        snprintf(message, size,
                 "--map-by: %d rank%s of %d cores each do not fit the %d core%s here; give PE=%d, or "
                 "fewer ranks",
                 plan->n_ranks, plan->n_ranks == 1 ? "" : "s", options->cores, cores, cores == 1 ? "" : "s",
                 at_least_one(cores / plan->n_ranks));
}

/* How many share one; 0 where each has its own, or nobody knows. */
static int ranks_per_processor(int n_ranks, const struct plan_machine *machine)
{
    int n_pus = machine->topology != NULL ? machine->topology->n_pus : machine->n_pus;

    return n_pus > 0 && n_ranks > n_pus ? (n_ranks + n_pus - 1) / n_pus : 0;
}

int plan_make(struct plan *plan, const struct options *options, const struct batch *batch,
              const struct plan_machine *machine, char *message, size_t size)
{
    int cores = usable_cores(options, batch, machine);

    memset(plan, 0, sizeof *plan);
    count_ranks(plan, options, batch, machine, cores);
    if (options->stdin_rank >= plan->n_ranks) {
        snprintf(message, size, "--stdin %d: there are ranks 0 to %d; give one of them, or none",
                 options->stdin_rank, plan->n_ranks - 1);
        return -1;
    }
    count_threads(plan, options, batch, machine, cores);
    plan->crowd = ranks_per_processor(plan->n_ranks, machine);
    if (bind_ranks(plan, options, batch, machine) == 0) {
        fit_threads(plan, options, batch, machine);
        return 0;
    }
    refuse_binding(plan, options, cores, message, size);
    return -1;
}

void plan_fini(struct plan *plan)
{
    binding_plan_destroy(plan->binding);
    plan->binding = NULL;
}

/* ---- In words ---- */

/* The cores of package that have a processor among those, counted from the package's first. */
static void add_package(const struct topology *topology, int package,
                        bool (*has)(int os_index, const void *argument), const void *argument, char *text,
                        size_t size)
{
    struct text_ranges cores;
    int first_core = -1, last = -1;

    text_ranges_begin(&cores);
    for (int p = 0; p < topology->n_pus; p++) {
        const struct topology_pu *pu = &topology->pus[p];

        if (pu->package != package)
            continue;
        if (first_core < 0)
            first_core = pu->core;
        if (pu->core != last && has(pu->os_index, argument)) {
            last = pu->core;
            text_ranges_add(&cores, (unsigned)(pu->core - first_core));
        }
    }
    if (cores.n > 0)
        snprintf(text + strlen(text), size - strlen(text), "%spackage %d core%s %s",
                 text[0] != '\0' ? ", " : "", package, cores.n > 1 ? "s" : "", cores.text);
}

void plan_describe(const struct topology *topology, bool (*has)(int os_index, const void *argument),
                   const void *argument, char *text, size_t size)
{
    struct text_ranges cpus;
    char packages[512] = "";
    int n_packages = 0, highest = -1;

    text_ranges_begin(&cpus);
    for (int p = 0; p < topology->n_pus; p++) {
        if (topology->pus[p].package >= n_packages)
            n_packages = topology->pus[p].package + 1;
        if (topology->pus[p].os_index > highest)
            highest = topology->pus[p].os_index;
    }
    for (int os_index = 0; os_index <= highest; os_index++) {
        if (has(os_index, argument))
            text_ranges_add(&cpus, (unsigned)os_index);
    }
    for (int package = 0; package < n_packages; package++)
        add_package(topology, package, has, argument, packages, sizeof packages);
    if ((int)cpus.n >= topology->n_pus)
        snprintf(text, size, "unbound, cpus %s (%s)", cpus.text, packages);
    else
        snprintf(text, size, "cpus %s (%s)", cpus.text, packages);
}

struct row {
    const struct binding_plan *binding;
    int rank;
};

static bool row_has(int os_index, const void *argument)
{
    const struct row *row = argument;

    if (row->binding == NULL)
        return true;
    for (int i = 0; i < row->binding->width; i++) {
        if (row->binding->pus[row->rank * row->binding->width + i] == os_index)
            return true;
    }
    return false;
}

void plan_describe_rank(const struct plan *plan, const struct topology *topology, int rank, char *text,
                        size_t size)
{
    struct row row = {.binding = plan->binding, .rank = rank};

    plan_describe(topology, row_has, &row, text, size);
}
