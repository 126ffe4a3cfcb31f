/* sharedmem_cpu_count(): which source counts, what malformed variables do. Each case is its own process. */
#include "host/cpu_count.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/affinity.h"
#include "host/limits.h"
#include "sharedmem.h"
#include "tap.h"

/* What a child found out. */
struct outcome {
    int count, again;
    char source[64];
    int warnings;
    char warning[256];
};

static struct outcome *outcome; /* shared with the children */

/* The variables of a case, NULL where unset; hwloc's choose the machine. */
struct variables {
    const char *np, *omp, *pbs;
    const char *synthetic, *components;
};

static void on_warning(const char *message)
{
    outcome->warnings++;
    snprintf(outcome->warning, sizeof outcome->warning, "%s", message);
}

static void set_variable(const char *name, const char *value)
{
    if (value != NULL)
        setenv(name, value, 1);
}

static void ask(void)
{
    sharedmem_set_log(on_warning);
    outcome->count = sharedmem_cpu_count();
    snprintf(outcome->source, sizeof outcome->source, "%s", sharedmem_cpu_count_source());
    outcome->again = sharedmem_cpu_count();
}

static void set_variables(const struct variables *variables)
{
    set_variable("SHAREDMEM_NP", variables->np);
    set_variable("OMP_NUM_THREADS", variables->omp);
    set_variable("PBS_NUM_PPN", variables->pbs);
    set_variable("HWLOC_SYNTHETIC", variables->synthetic);
    set_variable("HWLOC_COMPONENTS", variables->components);
}

/* Asks in a child with these variables. */
static void run_case(const struct variables *variables)
{
    int status;
    pid_t child;

    memset(outcome, 0, sizeof *outcome);
    child = fork();
    if (child == 0) {
        set_variables(variables);
        ask();
        test_child_exit(0);
    }
    waitpid(child, &status, 0);
    test_int(0, status, "the child ends well");
}

static const char *const malformed[] = {
    "", " ", "0", "-1", "+2", "abc", "4x", "2.5", "99999999999999999999", "4097", ",2", "0x4"};

/* Sets one variable to what is malformed, the next one to a good value: that counts. */
static void test_malformed(void)
{
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        const char *bad = malformed[i];
        const struct {
            const char *name, *next;
            struct variables variables;
        } cases[] = {
            {"SHAREDMEM_NP", "OMP_NUM_THREADS", {.np = bad, .omp = "7"}},
            {"OMP_NUM_THREADS", "PBS_NUM_PPN", {.omp = bad, .pbs = "7"}},
            {"PBS_NUM_PPN", "cores", {.pbs = bad, .synthetic = "core:1 pu:2"}},
        };

        for (size_t j = 0; j < 3; j++) {
            run_case(&cases[j].variables);
            test_int(j < 2 ? 7 : 1, outcome->count, "%s=\"%s\": the next source counts", cases[j].name, bad);
            test_str(cases[j].next, outcome->source, "which is %s", cases[j].next);
            test_int(1, outcome->warnings, "with one warning");
            test_has(cases[j].name, outcome->warning, "that names the variable");
        }
    }
}

static const struct {
    struct variables variables;
    int count;
    const char *source;
} good[] = {
    {{.np = "4"}, 4, "SHAREDMEM_NP"},
    {{.np = " 4 "}, 4, "SHAREDMEM_NP"},
    {{.np = "1"}, 1, "SHAREDMEM_NP"},
    {{.np = "4096"}, 4096, "SHAREDMEM_NP"},
    {{.np = "004"}, 4, "SHAREDMEM_NP"},
    {{.omp = "4"}, 4, "OMP_NUM_THREADS"},
    {{.omp = " 4 "}, 4, "OMP_NUM_THREADS"},
    {{.omp = "4,2"}, 4, "OMP_NUM_THREADS"},
    {{.omp = "4 , 2"}, 4, "OMP_NUM_THREADS"},
    {{.omp = "4096"}, 4096, "OMP_NUM_THREADS"},
    {{.pbs = "4"}, 4, "PBS_NUM_PPN"},
    {{.pbs = " 4 "}, 4, "PBS_NUM_PPN"},
    {{.pbs = "4096"}, 4096, "PBS_NUM_PPN"},
    /* The first good one counts; what is behind it is not even looked at. */
    {{.np = "2", .omp = "abc", .pbs = "abc"}, 2, "SHAREDMEM_NP"},
    {{.np = "2", .omp = "3", .pbs = "4"}, 2, "SHAREDMEM_NP"},
    {{.omp = "3", .pbs = "4"}, 3, "OMP_NUM_THREADS"},
};

static void test_good(void)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        run_case(&good[i].variables);
        test_int(good[i].count, outcome->count, "case %zu: the count", i);
        test_str(good[i].source, outcome->source, "its source");
        test_int(0, outcome->warnings, "no warning");
    }
}

static void test_lists(void)
{
    run_case(&(struct variables){.np = "4,2", .pbs = "6"});
    test_str("PBS_NUM_PPN", outcome->source, "a list is for OMP_NUM_THREADS only");
    run_case(&(struct variables){.np = "x", .omp = "y", .pbs = "z", .synthetic = "core:1 pu:1"});
    test_int(1, outcome->count, "three malformed ones leave the machine");
    test_int(3, outcome->warnings, "each is warned of, once");
}

/* The count that n cores (or processors) come to under this machine's quota, and its source. */
static void test_machine_count(int n, const char *source, const char *what)
{
    int quota = limits_cpu_quota("");
    bool is_capped = quota > 0 && quota < n;

    test_int(is_capped ? quota : n, outcome->count, "%s: the count", what);
    test_str(is_capped ? "cpu quota" : source, outcome->source, "%s: its source", what);
    test_int(0, outcome->warnings, "%s: no warning", what);
}

static int count_allowed(void)
{
    size_t bytes = 0;
    cpu_set_t *allowed = affinity_read(&bytes);
    int n = CPU_COUNT_S(bytes, allowed);

    CPU_FREE(allowed);
    return n;
}

static void test_machine(void)
{
    int n_allowed = count_allowed();

    run_case(&(struct variables){.synthetic = "package:2 core:3 pu:2"});
    test_machine_count(6, "cores", "a machine with SMT");
    run_case(&(struct variables){.synthetic = "package:4 core:64 pu:1"});
    test_machine_count(256, "cores", "a large machine");
    run_case(&(struct variables){.components = "-linux,-x86,-no_os,stop"});
    test_machine_count(n_allowed, "processors", "hwloc fails");
    run_case(&(struct variables){.np = NULL});
    test_note("this machine: %d by %s", outcome->count, outcome->source);
    test_ok(outcome->count >= 1 && outcome->count <= n_allowed, "this machine has 1 core or more");
    test_int(outcome->count, outcome->again, "asked again it is the same");
}

static void use_one_processor(void)
{
    size_t bytes = 0;
    cpu_set_t *allowed = affinity_read(&bytes);
    size_t cpu = 0;

    while (!CPU_ISSET_S(cpu, bytes, allowed))
        cpu++;
    CPU_ZERO_S(bytes, allowed);
    CPU_SET_S(cpu, bytes, allowed);
    sched_setaffinity(0, bytes, allowed);
    CPU_FREE(allowed);
}

/* A worker that is bound to its share counts that, whatever its parent has counted. */
static void test_affinity(void)
{
    int before = sharedmem_cpu_count();
    pid_t child;

    memset(outcome, 0, sizeof *outcome);
    child = fork();
    if (child == 0) {
        use_one_processor();
        ask();
        test_child_exit(0);
    }
    waitpid(child, NULL, 0);
    test_int(1, outcome->count, "bound to one processor: one core");
    test_str("cores", outcome->source, "by the topology");
    test_int(before, sharedmem_cpu_count(), "the parent keeps its count");
}

int main(void)
{
    test_begin(120);
    unsetenv("HWLOC_SYNTHETIC");
    unsetenv("HWLOC_XMLFILE");
    outcome = mmap(NULL, sizeof *outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    test_malformed();
    test_good();
    test_lists();
    test_machine();
    test_affinity();
    test_int(0, test_children(), "no child is left");
    return test_end();
}
