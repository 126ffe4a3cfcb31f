/* Binding: how plans are shown, refused, and carried out on this machine. */
#include "host/binding.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/affinity.h"
#include "tap.h"

static void test_format(void)
{
    int pus[] = {0, 1, 2, 8, -1, 3, 5, 6, 7, 9};
    struct binding_plan plan = {.n_ranks = 2, .width = 5, .pus = pus};
    char text[16], small[4];

    test_int(5, binding_format(&plan, 0, text, sizeof text), "the length of a list");
    test_str("0-2,8", text, "what is missing in a row is not shown");
    binding_format(&plan, 1, text, sizeof text);
    test_str("3,5-7,9", text, "lone ones and ranges");
    test_int(7, binding_format(&plan, 1, small, sizeof small), "a list that is cut has its whole length");
    test_str("3,5", small, "and fits");
    test_int(7, binding_format(&plan, 1, NULL, 0), "the length can be asked for");
    test_int(7, binding_format(&(struct binding_plan){.n_ranks = 1}, 0, text, sizeof text),
             "without a width");
    test_str("unbound", text, "it says so");
}

static void test_refusals(void)
{
    struct binding_plan *plan;

    errno = 0;
    test_ok(binding_plan_create(NULL, 0, BINDING_NONE) == NULL && errno == EINVAL, "no ranks: EINVAL");
    errno = 0;
    test_ok(binding_plan_create(NULL, -1, BINDING_SHARE) == NULL && errno == EINVAL,
            "fewer than none: EINVAL");
    plan = binding_plan_create(NULL, 5, BINDING_NONE);
    if (test_ok(plan != NULL && plan->width == 0 && plan->n_ranks == 5, "NONE needs no topology")) {
        test_int(0, binding_apply(plan, 4), "and binds nobody");
        test_ok(binding_apply(plan, 5) == -1 && errno == EINVAL, "a rank too high: EINVAL");
        test_ok(binding_apply(plan, -1) == -1 && errno == EINVAL, "a rank too low: EINVAL");
    }
    errno = ERANGE;
    binding_plan_destroy(plan);
    binding_plan_destroy(NULL);
    test_int(ERANGE, errno, "destroying keeps errno");
}

/* Binds this process by plan and compares with what the kernel says. Returns an exit status. */
static int check_applied(const struct binding_plan *plan, int rank)
{
    size_t bytes = 0;
    cpu_set_t *mask;
    int found = 0, expected = 0;

    if (binding_apply(plan, rank) != 0)
        return 1;
    mask = affinity_read(&bytes);
    if (mask == NULL)
        return 2;
    for (int i = 0; i < plan->width; i++) {
        int cpu = plan->pus[rank * plan->width + i];

        expected += cpu >= 0;
        found += cpu >= 0 && CPU_ISSET_S((size_t)cpu, bytes, mask);
    }
    found = CPU_COUNT_S(bytes, mask) == expected ? found : -1;
    CPU_FREE(mask);
    return found == expected ? 0 : 3;
}

static void test_apply(void)
{
    size_t bytes = 0;
    cpu_set_t *allowed = affinity_read(&bytes);
    struct topology *topology = topology_load(allowed, bytes, NULL);
    struct binding_plan *plan = binding_plan_create(topology, topology->n_pus, BINDING_SHARE);

    test_int(topology->n_pus, plan->n_ranks, "a rank for each processing unit of this machine");
    for (int rank = 0; rank < plan->n_ranks && rank < 8; rank++) {
        int status;
        pid_t child = fork();

        if (child == 0)
            test_child_exit(check_applied(plan, rank));
        waitpid(child, &status, 0);
        test_int(0, status, "rank %d is bound as planned", rank);
    }
    binding_plan_destroy(plan);
    topology_destroy(topology);
    CPU_FREE(allowed);
}

/* A plan for a machine that is described must not touch this one: its processors mean others here. */
static void test_apply_elsewhere(void)
{
    struct topology *topology = topology_load_synthetic("package:2 core:8 pu:1", NULL);
    struct binding_plan *plan = binding_plan_create(topology, 16, BINDING_SHARE);
    size_t bytes = 0;
    cpu_set_t *before = affinity_read(&bytes), *after;

    test_int(0, binding_apply(plan, 0), "a plan for another machine is applied");
    after = affinity_read(&bytes);
    test_ok(CPU_EQUAL_S(bytes, before, after), "and changes nothing");
    CPU_FREE(before);
    CPU_FREE(after);
    binding_plan_destroy(plan);
    topology_destroy(topology);
}

/* Lists of processors, applied to 0 to 9. */
static const struct {
    const char *list;
    bool is_excluded;
    const char *left; /* NULL: it is no list */
} lists[] = {
    {"0", false, "0"},
    {"0-3,8", false, "01238"},
    {"1-9:2", false, "13579"},
    {"9,0", false, "09"},
    {"5-20", false, "56789"},
    {"12", false, ""},
    {"0-65535", true, ""},
    {"0-7", true, "89"},
    {"20", true, "0123456789"},
    {"0,", false, NULL},
    {"", false, NULL},
    {"3-1", false, NULL},
    {"1-", false, NULL},
    {"1-5:", false, NULL},
    {"1-5:0", false, NULL},
    {"-1", false, NULL},
    {"65536", false, NULL},
    {"a", true, NULL},
    {"0 1", false, NULL},
    {"0,,1", false, NULL},
    {"0x1", false, NULL},
    {"1e", true, NULL},
    {"99999999999999999999", false, NULL},
};

static void test_restrict(void)
{
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        cpu_set_t mask;
        char left[16] = "";
        int n = 0, result;

        CPU_ZERO(&mask);
        for (int cpu = 0; cpu < 10; cpu++)
            CPU_SET(cpu, &mask);
        result = affinity_restrict(&mask, sizeof mask, lists[i].list, lists[i].is_excluded);
        for (int cpu = 0; cpu < 10; cpu++) {
            if (CPU_ISSET(cpu, &mask))
                left[n++] = (char)('0' + cpu);
        }
        test_int(lists[i].left != NULL ? 0 : -1, result, "list '%s'", lists[i].list);
        test_str(lists[i].left != NULL ? lists[i].left : "0123456789", left, "leaves");
    }
}

int main(void)
{
    test_begin(60);
    test_restrict();
    unsetenv("HWLOC_SYNTHETIC");
    unsetenv("HWLOC_XMLFILE");
    test_format();
    test_refusals();
    test_apply();
    test_apply_elsewhere();
    test_int(0, test_children(), "no child is left");
    return test_end();
}
