/*
 * 100,000 random command lines and environments through all that is decided before anything starts, in one process:
 * options, hosts, the batch system's grant, the plan, binding on many machines, words and the drawing. Nothing
 * crashes or hangs, what is refused is refused in one line for a person, and what is planned holds together.
 * TEST_ROUNDS says how many, TEST_SEED which.
 */
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "smrrun/batch.h"
#include "smrrun/drawing.h"
#include "smrrun/hosts.h"
#include "smrrun/plan.h"
#include "smrrun_grammar.h"
#include "tap.h"

#define HOSTNAME "node1.cluster"

static const char *const machines[] = {
    "pu:1",
    "core:4 pu:1",
    "core:4 pu:2",
    "package:2 core:4 pu:2",
    "package:2 l3:2 core:3 pu:2",
    "package:1 numa:4 l3:1 core:2 pu:1",
    "laptop",
    "board",
    "hybrid",
    "two-by-64",
    "sub-numa",
    "memory-only",
};

static struct topology *topologies[LENGTH(machines)];

static const char *source(const char *name)
{
    static char path[PATH_MAX];
    const char *srcdir = getenv("srcdir");

    snprintf(path, sizeof path, "%s/t/topologies/%s.xml", srcdir != NULL ? srcdir : ".", name);
    return path;
}

static bool load_machines(void)
{
    bool is_loaded = true;

    for (size_t i = 0; i < LENGTH(machines); i++) {
        topologies[i] = strchr(machines[i], ':') != NULL ? topology_load_synthetic(machines[i], NULL)
                                                         : topology_load_xml(source(machines[i]), NULL);
        is_loaded = is_loaded && topologies[i] != NULL;
    }
    return is_loaded;
}

/* ---- What must hold. Each returns NULL, or what does not ---- */

static const char *check_line(const char *text)
{
    if (text[0] == '\0')
        return "what is refused is told";
    if (strlen(text) > 600)
        return "in a line that fits into three of a terminal's, or nearly";
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c < ' ' || *c == 0x7f)
            return "without characters that a terminal would obey";
    }
    return NULL;
}

/* A warning may not be there. */
static const char *check_warning(const char *text)
{
    return text[0] != '\0' ? check_line(text) : NULL;
}

static const char *check_binding(const struct binding_plan *binding, const struct topology *topology)
{
    for (int i = 0; i < binding->n_ranks * binding->width; i++) {
        if (binding->pus[i] < -1 || (i % binding->width == 0 && binding->pus[i] < 0))
            return "each rank has a processing unit";
    }
    return binding->width <= topology->n_pus ? NULL : "no rank has more than there is";
}

static const char *check_plan(const struct plan *plan, const struct options *options,
                              const struct topology *topology)
{
    const char *wrong = check_warning(plan->warning);

    if (plan->n_ranks < 1 || plan->n_ranks > OPTIONS_MAX_RANKS)
        return "there are 1 to 4096 ranks";
    if (options->n_ranks > 0 && plan->n_ranks != options->n_ranks)
        return "there are as many ranks as -n says";
    if (plan->n_threads < 0 || plan->n_threads > OPTIONS_MAX_RANKS || plan->source[0] == '\0')
        return "threads are counted, and where ranks are from is known";
    if (wrong == NULL)
        wrong = check_warning(plan->unbound);
    if (wrong == NULL && plan->binding != NULL)
        wrong = check_binding(plan->binding, topology);
    return wrong;
}

/* ---- One line and environment ---- */

/* How many of what came out. */
static struct {
    long refused, done, planned, unplanned, bound;
} counts;

static const char *wrong_line;

static void look_at_line(const char *text, void *argument)
{
    (void)argument;
    if (wrong_line == NULL)
        wrong_line = check_line(text);
}

/* What a person would be told. */
static const char *describe(const struct plan *plan, const struct topology *topology, bool is_drawn)
{
    char text[900];

    for (int rank = 0; rank < plan->n_ranks; rank += rank + 1) {
        const char *wrong;

        plan_describe_rank(plan, topology, rank, text, sizeof text);
        wrong = check_line(text);
        if (wrong != NULL)
            return wrong;
    }
    wrong_line = NULL;
    if (is_drawn)
        drawing_make(topology, topology, plan->binding, look_at_line, NULL);
    return wrong_line;
}

/* Hosts as decide.c has them, but for what it says. */
static void read_hosts(const struct options *options, struct batch *batch)
{
    struct hosts hosts = {0};

    if (options->hosts != NULL)
        hosts_read_list(&hosts, options->hosts, HOSTNAME);
    else if (options->hosts_file != NULL)
        hosts_read_file(&hosts, options->hosts_file, HOSTNAME);
    if (hosts.has_counts && hosts.n_here > 0 && hosts.n_here <= OPTIONS_MAX_RANKS) {
        batch->n_ranks = hosts.n_here;
        snprintf(batch->source, sizeof batch->source, "the list of hosts");
    }
}

static const char *plan(struct grammar *grammar, const struct options *options)
{
    size_t i = grammar_random(grammar, grammar_chance(grammar, 90) ? LENGTH(machines) - 3 : LENGTH(machines));
    struct plan_machine machine = {.topology = topologies[i],
                                   .n_pus = topologies[i]->n_pus,
                                   .quota = grammar_chance(grammar, 20) ? (int)grammar_random(grammar, 9) : 0,
                                   .has_omp_threads = getenv("OMP_NUM_THREADS") != NULL,
                                   .omp_threads = (long)grammar_random(grammar, 20) - 2};
    const char *wrong;
    struct batch batch;
    struct plan planned;
    char message[1024] = "";

    topologies[i]->is_this_machine = grammar_chance(grammar, 80);
    batch_read(&batch, HOSTNAME);
    read_hosts(options, &batch);
    wrong = check_warning(batch.warning);
    if (!plan_needs_topology(options, &batch, &machine) && grammar_chance(grammar, 50))
        machine.topology = NULL;
    if (plan_make(&planned, options, &batch, &machine, message, sizeof message) != 0) {
        counts.unplanned++;
        return wrong != NULL ? wrong : check_line(message);
    }
    counts.planned++;
    counts.bound += planned.binding != NULL;
    if (wrong == NULL)
        wrong = check_plan(&planned, options, machine.topology);
    if (wrong == NULL && machine.topology != NULL)
        wrong = describe(&planned, machine.topology, grammar_chance(grammar, 3));
    plan_fini(&planned);
    return wrong;
}

static const char *try_one(struct grammar *grammar)
{
    struct options options;
    char message[1024];
    const char *wrong = NULL;
    int n = grammar->argc;

    switch (options_parse(&options, n, grammar->argv, message, sizeof message)) {
    case OPTIONS_BAD:
        counts.refused++;
        wrong = check_line(message);
        break;
    case OPTIONS_DONE:
        counts.done++;
        break;
    case OPTIONS_RUN:
        wrong = message[0] != '\0' ? "there is no message where all is well" : plan(grammar, &options);
        break;
    }
    options_free(&options);
    return wrong;
}

/* ---- All ---- */

static long rounds_of(void)
{
    const char *text = getenv("TEST_ROUNDS");

    if (text != NULL)
        return atol(text);
    return test_under_valgrind() ? 1000 : test_thread_sanitized() ? 10000 : 100000;
}

static void print_line(const struct grammar *grammar)
{
    for (int i = 0; i < grammar->argc; i++) {
        printf(i == 0 ? "#" : " ");
        for (const char *c = grammar->words[i]; *c != '\0'; c++)
            printf(*c > ' ' && *c <= '~' ? "%c" : "\\%03o", *c > ' ' && *c <= '~' ? *c : (unsigned char)*c);
    }
    printf("\n");
}

/* -h and its like print; the test's own results are elsewhere meanwhile. */
static int silence(int to)
{
    int saved;

    fflush(stdout);
    saved = dup(STDOUT_FILENO);
    dup2(to, STDOUT_FILENO);
    close(to);
    return saved;
}

int main(void)
{
    struct grammar grammar;
    const char *wrong = NULL;
    long rounds, i;
    int saved;

    test_begin(60);
    unsetenv("HWLOC_XMLFILE");
    rounds = rounds_of();
    grammar = grammar_start(20261);
    if (!test_ok(load_machines(), "the machines are loaded"))
        return test_end();
    /* Where node files are. And each look at a variable goes over all of them. */
    test_ok(chdir(getenv("srcdir") != NULL ? getenv("srcdir") : ".") == 0, "the source tree is there");
    clearenv();
    saved = silence(open("/dev/null", O_WRONLY | O_CLOEXEC));
    for (i = 0; i < rounds && wrong == NULL; i++) {
        grammar_environment(&grammar);
        grammar_line(&grammar);
        wrong = try_one(&grammar);
    }
    silence(saved);
    if (wrong != NULL)
        print_line(&grammar);
    test_str(NULL, wrong, "%ld lines, to number %ld", rounds, i);
    test_note("%ld refused, %ld answered, %ld not planned, %ld planned, of these %ld bound", counts.refused,
              counts.done, counts.unplanned, counts.planned, counts.bound);
    test_ok(counts.refused > rounds / 10 && counts.planned > rounds / 10 && counts.unplanned > rounds / 1000,
            "of all kinds there are many");
    for (size_t m = 0; m < LENGTH(machines); m++)
        topology_destroy(topologies[m]);
    return test_end();
}
