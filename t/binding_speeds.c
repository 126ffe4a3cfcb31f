/*
 * Binding on machines with fast and slow cores: a laptop of six fast cores with two processing units each (0-11),
 * eight slow ones (12-19) and two slower ones outside of the cache (20, 21); a board with four little cores first
 * (0-3), then three big ones (4-6) and a bigger one (7). By hand, and by what must hold of all requests.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/binding.h"
#include "host/speeds.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static const char *source(const char *path)
{
    static char whole[4096];
    const char *srcdir = getenv("srcdir");

    snprintf(whole, sizeof whole, "%s/t/%s", srcdir != NULL ? srcdir : ".", path);
    return whole;
}

static struct topology *load(const char *machine)
{
    char path[256];

    snprintf(path, sizeof path, "topologies/%s.xml", machine);
    return topology_load_xml(source(path), NULL);
}

/* ---- By hand ---- */

static const struct {
    const char *machine;
    struct binding_request request;
    const char *plan;
} plans[] = {
    /* The fast ones, as long as each rank gets one. */
    {"laptop", {.n_ranks = 2, .policy = BINDING_SHARE}, "0-5 6-11"},
    {"laptop", {.n_ranks = 4, .policy = BINDING_SHARE}, "0-1 2-3 4-5 6-7"},
    {"laptop", {.n_ranks = 6, .policy = BINDING_SHARE}, "0-1 2-3 4-5 6-7 8-9 10-11"},
    {"laptop", {.n_ranks = 3, .policy = BINDING_CORE}, "0-1 4-5 8-9"},
    {"laptop", {.n_ranks = 3, .policy = BINDING_PU}, "0 4 8"},
    {"laptop", {.n_ranks = 3, .policy = BINDING_SHARE, .map = BINDING_CLOSE}, "0-1 2-3 4-5"},
    {"laptop", {.n_ranks = 3, .policy = BINDING_SHARE, .map = BINDING_BY_PACKAGE}, "0-3 4-7 8-11"},
    {"laptop", {.n_ranks = 12, .policy = BINDING_SHARE, .use_smt = true}, "0 1 2 3 4 5 6 7 8 9 10 11"},
    /* Then the slow ones too, without the slowest. */
    {"laptop", {.n_ranks = 7, .policy = BINDING_SHARE}, "0-3 4-7 8-11 12-13 14-15 16-17 18-19"},
    {"laptop", {.n_ranks = 8, .policy = BINDING_SHARE}, "0-1 2-3 4-5 6-7 8-9 10-11 12 13"},
    {"laptop", {.n_ranks = 2, .policy = BINDING_SHARE, .cores = 6}, "0-11 12-17"},
    {"laptop", {.n_ranks = 2, .policy = BINDING_SHARE, .threads = 5}, "0-11 12-17"},
    /* One rank has all, unless it says how many threads it has. */
    {"laptop", {.n_ranks = 1, .policy = BINDING_SHARE}, "0-21"},
    {"laptop", {.n_ranks = 1, .policy = BINDING_SHARE, .threads = 4}, "0-11"},
    {"laptop", {.n_ranks = 1, .policy = BINDING_CORE}, "0-1"},
    /* Whole caches are whole. */
    {"laptop", {.n_ranks = 2, .policy = BINDING_L3}, "0-19 0-19"},
    /* The slowest cores are outside of the cache, which makes two objects. */
    {"laptop", {.n_ranks = 2, .policy = BINDING_SHARE, .map = BINDING_BY_L3}, "0-5 6-11"},
    {"laptop",
     {.n_ranks = 2, .policy = BINDING_SHARE, .map = BINDING_BY_L3, .cores = 1, .per_object = 1},
     "0-1 20"},
    /* The slowest are used last, and not by who does not need them. */
    {"laptop", {.n_ranks = 2, .policy = BINDING_SHARE, .cores = 7}, "0-12 13-19"},
    {"laptop",
     {.n_ranks = 15, .policy = BINDING_SHARE},
     "0-1 2-3 4-5 6-7 8-9 10-11 12 13 14 15 16 17 18 19 20"},
    /* Little cores are first as the kernel counts. */
    {"board", {.n_ranks = 1, .policy = BINDING_CORE}, "7"},
    {"board", {.n_ranks = 2, .policy = BINDING_SHARE}, "7 4"},
    {"board", {.n_ranks = 4, .policy = BINDING_SHARE}, "7 4 5 6"},
    {"board", {.n_ranks = 5, .policy = BINDING_SHARE}, "7 4 5 6 0"},
    {"board", {.n_ranks = 8, .policy = BINDING_SHARE}, "7 4 5 6 0 1 2 3"},
    /* Without kinds in the file all cores are alike. */
    {"hybrid", {.n_ranks = 3, .policy = BINDING_SHARE}, "0-3 4,6 8,10"},
};

static void test_plans(void)
{
    for (size_t i = 0; i < COUNT_OF(plans); i++) {
        struct topology *topology = load(plans[i].machine);
        struct binding_plan *plan = topology != NULL ? binding_plan_make(topology, &plans[i].request) : NULL;
        char text[256] = "";
        size_t length = 0;

        for (int rank = 0; plan != NULL && rank < plan->n_ranks; rank++) {
            if (rank > 0)
                text[length++] = ' ';
            length += (size_t)binding_format(plan, rank, text + length, sizeof text - length);
        }
        test_str(plans[i].plan, text, "%s: %d ranks (plan %zu)", plans[i].machine, plans[i].request.n_ranks,
                 i);
        binding_plan_destroy(plan);
        topology_destroy(topology);
    }
}

/* ---- By what must hold. NULL, or what does not ---- */

/* How many cores of this speed or faster rank has; -1 for all ranks. */
static int count_cores(const struct topology *topology, const struct binding_plan *plan, int rank, int speed)
{
    int n = 0;

    for (int i = 0, last = -1; i < topology->n_pus; i++) {
        const struct topology_pu *pu = &topology->pus[i];

        for (int k = 0; k < plan->n_ranks * plan->width && pu->speed >= speed; k++) {
            if (plan->pus[k] != pu->os_index || pu->core == last || (rank >= 0 && k / plan->width != rank))
                continue;
            last = pu->core;
            n++;
        }
    }
    return n;
}

static int all_cores(const struct topology *topology, int speed)
{
    int n = 0;

    for (int i = 0; i < topology->n_pus; i++) {
        const struct topology_pu *pu = &topology->pus[i];

        n += pu->speed >= speed && (i == 0 || pu->core != pu[-1].core);
    }
    return n;
}

static const char *check(const struct topology *topology, const struct binding_request *request,
                         const struct binding_plan *plan)
{
    int need = request->cores > 0 ? request->cores : request->threads > 0 ? request->threads : 1;
    int own = count_cores(topology, plan, 0, 0);

    for (int rank = 1; rank < plan->n_ranks; rank++) {
        if (count_cores(topology, plan, rank, 0) != own)
            return "all have as many cores";
    }
    if (own < need && need * plan->n_ranks <= topology->n_cores && request->map == BINDING_SPREAD)
        return "each has the cores that its threads need, where there are so many";
    for (int speed = 2; speed > 0; speed--) {
        bool is_enough = all_cores(topology, speed) >= need * plan->n_ranks;

        if (is_enough && plan->n_ranks > 1 && count_cores(topology, plan, -1, 0) > all_cores(topology, speed))
            return "slow cores are used where the fast ones are not enough, only";
    }
    /* Ranks are at most as slow as need be: a slower core is used, with a core for each rank, if all others are. */
    if (own == 1 && request->map < BINDING_BY_L3) {
        for (int speed = 2; speed > 0; speed--) {
            int used = count_cores(topology, plan, -1, speed);

            if (used < plan->n_ranks && used < all_cores(topology, speed))
                return "fast cores come before slow ones";
        }
    }
    return NULL;
}

static void test_all(const char *machine, enum binding_map map)
{
    struct topology *topology = load(machine);
    const char *wrong = topology == NULL ? "it can be loaded" : NULL;
    int n_cases = 0;

    for (int n = 1; wrong == NULL && n <= topology->n_cores; n++) {
        for (int k = 0; k < 8 && wrong == NULL; k++) {
            struct binding_request request = {.n_ranks = n,
                                              .policy = BINDING_SHARE,
                                              .map = map,
                                              .cores = k < 4 ? k : 0,
                                              .threads = k < 4 ? 0 : k - 3};
            struct binding_plan *plan = binding_plan_make(topology, &request);

            if (plan == NULL)
                wrong = errno == ENOSPC && (map >= BINDING_BY_L3 || request.cores * n > topology->n_cores)
                            ? NULL
                            : "it can be made";
            else
                wrong = check(topology, &request, plan);
            binding_plan_destroy(plan);
            n_cases++;
            if (wrong != NULL)
                printf("# %d ranks, %d cores, %d threads\n", n, request.cores, request.threads);
        }
    }
    test_str(NULL, wrong, "%s: order %d, %d cases", machine, (int)map, n_cases);
    topology_destroy(topology);
}

/* ---- The look at this machine ---- */

static void test_look(void)
{
    static const struct {
        const char *folder;
        bool differ;
    } machines[] = {{"speeds-intel", true},
                    {"speeds-arm", true},
                    {"speeds-alike", false},
                    {"broken", false},
                    {"nowhere", false}};
    char path[64];

    for (size_t i = 0; i < COUNT_OF(machines); i++) {
        snprintf(path, sizeof path, "machines/%s", machines[i].folder);
        test_int(machines[i].differ, speeds_differ(source(path)), "%s: whether cores differ", path);
    }
}

int main(void)
{
    test_begin(60);
    unsetenv("HWLOC_XMLFILE");
    test_plans();
    for (enum binding_map map = BINDING_SPREAD; map <= BINDING_BY_PACKAGE; map++) {
        test_all("laptop", map);
        test_all("board", map);
    }
    test_look();
    return test_end();
}
