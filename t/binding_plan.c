/* Binding plans: fixed ones for a few machines, and what holds for every machine and number of ranks. */
#include "host/binding.h"

#include <stdlib.h>

#include "tap.h"

/* A plan with what it was made from, and what is asked about it most. */
struct subject {
    const char *machine;
    const struct topology *topology;
    const struct binding_plan *plan;
    int *index_of; /* of each os_index: its place in topology->pus */
};

enum domain { PACKAGE, NODE, L3, CORE, N_DOMAINS };

static int domain_of(const struct topology_pu *pu, enum domain domain)
{
    const int ids[] = {pu->package, pu->numa, pu->l3, pu->core};

    return ids[domain];
}

static const int *row_of(const struct subject *subject, int rank)
{
    return subject->plan->pus + rank * subject->plan->width;
}

static int row_length(const struct subject *subject, int rank)
{
    int length = 0;

    while (length < subject->plan->width && row_of(subject, rank)[length] >= 0)
        length++;
    return length;
}

static const struct topology_pu *pu_at(const struct subject *subject, int rank, int i)
{
    return &subject->topology->pus[subject->index_of[row_of(subject, rank)[i]]];
}

/* ---- What must hold. Each returns NULL, or what does not ---- */

static const char *check_shape(const struct subject *subject)
{
    const struct topology *topology = subject->topology;
    const struct binding_plan *plan = subject->plan;
    int cores = plan->n_ranks <= topology->n_cores ? topology->n_cores / plan->n_ranks : 0;

    if (plan->cores_per_rank != cores)
        return "every rank has cores / ranks of them";
    if (plan->n_ranks > topology->n_pus)
        return plan->width == 0 ? NULL : "more ranks than processing units are unbound";
    if (cores == 0 && plan->width != 1)
        return "more ranks than cores have a processing unit each";
    return plan->width >= 1 ? NULL : "ranks are bound";
}

static const char *check_rows(const struct subject *subject)
{
    for (int rank = 0; rank < subject->plan->n_ranks; rank++) {
        const int *row = row_of(subject, rank);

        if (row_length(subject, rank) < 1)
            return "no row is empty";
        for (int i = 1; i < row_length(subject, rank); i++) {
            if (row[i] <= row[i - 1])
                return "rows rise";
        }
    }
    return NULL;
}

static const char *check_apart(const struct subject *subject)
{
    bool *is_used = calloc((size_t)subject->topology->n_pus, sizeof *is_used);
    const char *wrong = NULL;

    for (int rank = 0; rank < subject->plan->n_ranks; rank++) {
        for (int i = 0; i < row_length(subject, rank); i++) {
            bool *used = &is_used[pu_at(subject, rank, i) - subject->topology->pus];

            if (*used)
                wrong = "no processing unit is given twice";
            *used = true;
        }
    }
    free(is_used);
    return wrong;
}

/* The processing units of a rank are all of cores_per_rank cores. */
static const char *check_whole_cores(const struct subject *subject)
{
    for (int rank = 0; rank < subject->plan->n_ranks; rank++) {
        int whole = 0, cores = 0;
        bool *is_mine = calloc((size_t)subject->topology->n_cores, sizeof *is_mine);

        for (int i = 0; i < row_length(subject, rank); i++) {
            bool *mine = &is_mine[pu_at(subject, rank, i)->core];

            cores += !*mine;
            *mine = true;
        }
        for (int i = 0; i < subject->topology->n_pus; i++)
            whole += is_mine[subject->topology->pus[i].core];
        free(is_mine);
        if (cores != subject->plan->cores_per_rank || whole != row_length(subject, rank))
            return "shares are whole cores, equally many";
    }
    return NULL;
}

/* All of a rank's processing units come before all of the next one's. */
static const char *check_order(const struct subject *subject)
{
    const struct topology_pu *last = NULL;

    for (int rank = 0; rank < subject->plan->n_ranks; rank++) {
        const struct topology_pu *highest = pu_at(subject, rank, 0);

        for (int i = 0; i < row_length(subject, rank); i++) {
            const struct topology_pu *pu = pu_at(subject, rank, i);

            if (last != NULL && pu <= last)
                return "ranks follow each other as processing units do";
            highest = pu > highest ? pu : highest;
        }
        last = highest;
    }
    return NULL;
}

/* How many shares fit into the parts of the machine that lie in one package, node, ... down to innermost. */
static int shares_that_fit(const struct subject *subject, enum domain innermost)
{
    const struct topology *topology = subject->topology;
    int sum = 0;

    for (int i = 0, cores = 0; i < topology->n_pus; i++) {
        const struct topology_pu *pu = &topology->pus[i], *next = pu + 1;
        bool is_last = i == topology->n_pus - 1;

        cores += is_last || next->core != pu->core;
        for (enum domain domain = PACKAGE; domain <= innermost && !is_last; domain++)
            is_last = domain_of(pu, domain) != domain_of(next, domain);
        if (is_last) {
            sum += cores / subject->plan->cores_per_rank;
            cores = 0;
        }
    }
    return sum;
}

static bool is_crossing(const struct subject *subject, int rank, enum domain domain)
{
    for (int i = 1; i < row_length(subject, rank); i++) {
        if (domain_of(pu_at(subject, rank, i), domain) != domain_of(pu_at(subject, rank, 0), domain))
            return true;
    }
    return false;
}

static bool is_any_crossing(const struct subject *subject, enum domain domain)
{
    for (int rank = 0; rank < subject->plan->n_ranks; rank++) {
        if (is_crossing(subject, rank, domain))
            return true;
    }
    return false;
}

static const char *check_crossing(const struct subject *subject)
{
    static const char *const wrong[] = {"no share crosses a package where all fit",
                                        "no share crosses a NUMA node", "no share crosses an L3"};

    for (enum domain domain = PACKAGE; domain <= L3; domain++) {
        if (shares_that_fit(subject, domain) >= subject->plan->n_ranks && is_any_crossing(subject, domain))
            return wrong[domain];
    }
    return NULL;
}

static int count_domains(const struct subject *subject, enum domain domain)
{
    int n = 0;

    for (int i = 0; i < subject->topology->n_pus; i++) {
        int id = domain_of(&subject->topology->pus[i], domain);

        n = id + 1 > n ? id + 1 : n;
    }
    return n;
}

static bool is_even(const struct subject *subject, enum domain domain)
{
    int n_domains = count_domains(subject, domain), least = subject->plan->n_ranks, most = 0;
    int *ranks_of = calloc((size_t)n_domains, sizeof *ranks_of);

    for (int rank = 0; rank < subject->plan->n_ranks; rank++)
        ranks_of[domain_of(pu_at(subject, rank, 0), domain)]++;
    for (int id = 0; id < n_domains; id++) {
        least = ranks_of[id] < least ? ranks_of[id] : least;
        most = ranks_of[id] > most ? ranks_of[id] : most;
    }
    free(ranks_of);
    return most - least <= 1;
}

/* All domains of a kind are alike in these machines: as long as no share crosses one, counts differ by 1. */
static const char *check_spread(const struct subject *subject)
{
    static const char *const wrong[] = {"packages are used evenly", "NUMA nodes are used evenly",
                                        "L3s are used evenly", "cores are used evenly"};
    enum domain innermost = subject->plan->cores_per_rank > 0 ? L3 : CORE;

    for (enum domain domain = PACKAGE; domain <= innermost; domain++) {
        if (is_any_crossing(subject, domain))
            return NULL;
        if (!is_even(subject, domain))
            return wrong[domain];
    }
    return NULL;
}

static const char *check_all(const struct subject *subject)
{
    typedef const char *check_function(const struct subject *subject);
    static check_function *const always[] = {check_rows, check_apart, check_order, check_spread};
    static check_function *const by_core[] = {check_whole_cores, check_crossing};
    const char *wrong = check_shape(subject);

    if (subject->plan->width == 0)
        return wrong;
    for (size_t i = 0; i < sizeof always / sizeof always[0] && wrong == NULL; i++)
        wrong = always[i](subject);
    for (size_t i = 0; i < sizeof by_core / sizeof by_core[0] && wrong == NULL; i++)
        wrong = subject->plan->cores_per_rank > 0 ? by_core[i](subject) : NULL;
    return wrong;
}

/* ---- Every number of ranks on many machines ---- */

static const char *const machines[] = {
    "pu:1",
    "core:1 pu:2",
    "core:2 pu:1",
    "package:1 core:6 pu:1",
    "package:1 core:7 pu:4",
    "package:2 core:3 pu:1",
    "package:3 core:5 pu:2",
    "package:2 numa:1 core:4 pu:2",
    "package:2 l3:2 core:3 pu:1",
    "package:2 l3:4 core:8 pu:1",
    "package:1 numa:4 l3:2 core:4 pu:2",
    "package:4 numa:2 l3:2 core:3 pu:2",
    "package:2 l3:1 numa:2 core:6 pu:1",
    "numa:1 package:2 l3:3 core:2 pu:2",
    "numa:2 core:5 pu:1",
    "numa:2 package:2 core:3 pu:2",
    "package:2 l3:5 core:3 pu:2",
    "package:2 l3:2 numa:2 core:3 pu:1",
};

static void index_pus(struct subject *subject)
{
    const struct topology *topology = subject->topology;
    int max = 0;

    for (int i = 0; i < topology->n_pus; i++)
        max = topology->pus[i].os_index > max ? topology->pus[i].os_index : max;
    subject->index_of = calloc((size_t)max + 1, sizeof *subject->index_of);
    for (int i = 0; i < topology->n_pus; i++)
        subject->index_of[topology->pus[i].os_index] = i;
}

/* One result for a whole machine: thousands of lines would tell nobody more. */
static void test_ranks(const char *name, const struct topology *topology)
{
    struct subject subject = {name, topology, NULL, NULL};
    const char *wrong = NULL;
    int n_ranks = 0;

    index_pus(&subject);
    while (wrong == NULL && n_ranks < topology->n_pus + 3) {
        struct binding_plan *plan = binding_plan_create(topology, ++n_ranks, BINDING_SHARE);

        subject.plan = plan;
        wrong = plan != NULL ? check_all(&subject) : "a plan is made";
        binding_plan_destroy(plan);
    }
    test_str(NULL, wrong, "%s: 1 to %d ranks", name, n_ranks);
    free(subject.index_of);
}

static void test_machines(void)
{
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        struct topology *topology = topology_load_synthetic(machines[i], NULL);

        if (test_ok(topology != NULL, "%s", machines[i]))
            test_ranks(machines[i], topology);
        topology_destroy(topology);
    }
}

/* ---- Plans that were thought out by hand ---- */

struct expected {
    const char *machine;
    int n_ranks;
    const char *plan; /* the rows, as binding_format() writes them */
};

static const struct expected plans[] = {
    {"package:2 core:4 pu:1", 1, "0-7"},
    {"package:2 core:4 pu:1", 2, "0-3 4-7"},
    {"package:2 core:4 pu:1", 4, "0-1 2-3 4-5 6-7"},
    /* Two cores each: two ranks on the first package, one on the second. */
    {"package:2 core:4 pu:1", 3, "0-1 2-3 4-5"},
    {"package:2 core:4 pu:1", 5, "0 1 2 4 5"},
    /* Two packages of three cores: two shares of two fit in without crossing, so of three one crosses. */
    {"package:2 core:3 pu:1", 2, "0-2 3-5"},
    {"package:2 core:3 pu:1", 3, "0-1 2-3 4-5"},
    {"package:2 core:3 pu:1", 4, "0 1 3 4"},
    /* Siblings stay together up to one rank a core, then each is a rank's, both packages evenly. */
    {"package:2 core:2 pu:2", 2, "0-3 4-7"},
    {"package:2 core:2 pu:2", 4, "0-1 2-3 4-5 6-7"},
    {"package:2 core:2 pu:2", 5, "0 1 2 4 6"},
    {"package:2 core:2 pu:2", 6, "0 1 2 4 5 6"},
    {"package:2 core:2 pu:2", 8, "0 1 2 3 4 5 6 7"},
    {"package:2 core:2 pu:2", 9, "unbound unbound unbound unbound unbound unbound unbound unbound unbound"},
    /* The first package must take three of five: one of them crosses an L3. In the second none has to. */
    {"package:2 l3:2 core:3 pu:1", 5, "0-1 2-3 4-5 6-7 9-10"},
    {"package:2 l3:2 core:4 pu:1", 4, "0-3 4-7 8-11 12-15"},
    {"package:2 l3:2 core:4 pu:1", 6, "0-1 2-3 4-5 8-9 10-11 12-13"},
    {"package:1 l3:4 core:8 pu:1", 6, "0-4 5-9 10-14 16-20 21-25 26-30"},
};

static void format_plan(const struct binding_plan *plan, char *text, size_t size)
{
    size_t length = 0;

    for (int rank = 0; rank < plan->n_ranks; rank++) {
        if (rank > 0)
            text[length++] = ' ';
        length += (size_t)binding_format(plan, rank, text + length, size - length);
    }
}

static void test_plans(void)
{
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        struct topology *topology = topology_load_synthetic(plans[i].machine, NULL);
        struct binding_plan *plan = binding_plan_create(topology, plans[i].n_ranks, BINDING_SHARE);
        char text[256];

        format_plan(plan, text, sizeof text);
        test_str(plans[i].plan, text, "%s: %d ranks", plans[i].machine, plans[i].n_ranks);
        binding_plan_destroy(plan);
        topology_destroy(topology);
    }
}

static void test_one_plan(struct topology_pu *pus, int n_pus, int n_cores, int n_ranks, const char *expected,
                          const char *name)
{
    struct topology topology = {.n_pus = n_pus, .n_cores = n_cores, .pus = pus};
    struct binding_plan *plan = binding_plan_create(&topology, n_ranks, BINDING_SHARE);
    char text[256];

    format_plan(plan, text, sizeof text);
    test_str(expected, text, "%s: %d ranks", name, n_ranks);
    binding_plan_destroy(plan);
}

/* Machines that are not the same everywhere, written as topologies: os_index, core, L3, node, package, speed. */
static void test_uneven(void)
{
    /* Two big cores with two processing units, four small ones. */
    struct topology_pu hybrid[] = {{0, 0, 0, 0, 0, 0}, {1, 0, 0, 0, 0, 0}, {2, 1, 0, 0, 0, 0}, {3, 1, 0, 0, 0, 0},
                                   {4, 2, 0, 0, 0, 0}, {5, 3, 0, 0, 0, 0}, {6, 4, 0, 0, 0, 0}, {7, 5, 0, 0, 0, 0}};
    /* The batch system gave five cores here and two there. */
    struct topology_pu granted[] = {{2, 0, 0, 0, 0, 0}, {3, 1, 0, 0, 0, 0}, {4, 2, 0, 0, 0, 0}, {5, 3, 0, 0, 0, 0},
                                    {6, 4, 0, 0, 0, 0}, {9, 5, 1, 1, 1, 0}, {11, 6, 1, 1, 1, 0}};
    /* The kernel counts siblings far apart. */
    struct topology_pu siblings[] = {{0, 0, 0, 0, 0, 0}, {4, 0, 0, 0, 0, 0}, {1, 1, 0, 0, 0, 0}, {5, 1, 0, 0, 0, 0},
                                     {2, 2, 1, 1, 1, 0}, {6, 2, 1, 1, 1, 0}, {3, 3, 1, 1, 1, 0}, {7, 3, 1, 1, 1, 0}};

    test_one_plan(hybrid, 8, 6, 3, "0-3 4-5 6-7", "two kinds of cores");
    test_one_plan(hybrid, 8, 6, 2, "0-4 5-7", "two kinds of cores");
    test_one_plan(hybrid, 8, 6, 8, "0 1 2 3 4 5 6 7", "two kinds of cores");
    test_one_plan(granted, 7, 7, 1, "2-6,9,11", "uneven packages");
    test_one_plan(granted, 7, 7, 3, "2-3 4-5 9,11", "uneven packages");
    test_one_plan(granted, 7, 7, 4, "2 3 9 11", "uneven packages");
    test_one_plan(granted, 7, 7, 6, "2 3 4 5 9 11", "uneven packages");
    test_one_plan(siblings, 8, 4, 2, "0-1,4-5 2-3,6-7", "siblings far apart");
    test_one_plan(siblings, 8, 4, 4, "0,4 1,5 2,6 3,7", "siblings far apart");
    test_one_plan(siblings, 8, 4, 6, "0 4 1 2 6 3", "siblings far apart");
    test_ranks("two kinds of cores", &(struct topology){.n_pus = 8, .n_cores = 6, .pus = hybrid});
    test_ranks("siblings far apart", &(struct topology){.n_pus = 8, .n_cores = 4, .pus = siblings});
}

int main(void)
{
    test_begin(60);
    test_machines();
    test_plans();
    test_uneven();
    return test_end();
}
